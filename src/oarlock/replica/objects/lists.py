"""A list."""

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from oarlock.replica.codec import Value
from oarlock.replica.object import ReplicatedObject, replicated
from oarlock.replica.objects.values import MAX_ITEMS, check_room, handed_out

T = TypeVar("T")


class ReplicatedList(ReplicatedObject, Sequence[T]):
    """A list that every server has a copy of.

    Reading is as with any sequence, from this server's copy: `l[3]`, `l[1:4]`, `x in l`, `len(l)`. Whatever changes it
    is awaited. Positions may be negative, as in any list; what they mean is decided when the command is applied.
    """

    def __init__(self, name: str, *, max_items: int = MAX_ITEMS) -> None:
        """Start empty.

        Args:
            name: The object's name, alike on all servers.
            max_items: How many items there may be; alike on all servers. `TooManyItems` is raised beyond.
        """
        super().__init__(name)
        self._items: list[T] = []
        self._max_items = max_items

    def __getitem__(self, position: Value) -> Value:
        return handed_out(self._items[position])

    def __iter__(self) -> Iterator[T]:
        return iter(self.copy())  # whoever awaits while iterating misses nothing

    def __contains__(self, item: object) -> bool:
        return item in self._items

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}: {self._items!r}>"

    def get(self, position: int) -> T:
        """The item at a position; for `read`.

        Raises:
            IndexError: There is none.
        """
        return handed_out(self._items[position])

    def copy(self) -> list[T]:
        """All of it, as a list of one's own."""
        return [handed_out(item) for item in self._items]

    @replicated
    def append(self, item: T) -> int:
        """Add an item at the end; its position."""
        check_room(len(self._items) + 1, self._max_items, self.name)
        self._items.append(item)
        return len(self._items) - 1

    @replicated
    def extend(self, items: list[T]) -> None:
        """Add many at the end, nothing between them."""
        check_room(len(self._items) + len(items), self._max_items, self.name)
        self._items.extend(items)

    @replicated
    def insert(self, position: int, item: T) -> None:
        """Put an item before a position; beyond either end it goes to that end."""
        check_room(len(self._items) + 1, self._max_items, self.name)
        self._items.insert(position, item)

    @replicated
    def set(self, position: int, item: T) -> None:
        """Replace an item.

        Raises:
            IndexError: There is none at that position.
        """
        self._items[position] = item

    @replicated
    def compare_and_set(self, position: int, expected: T, item: T) -> bool:
        """Replace an item if it is the expected one; whether it was.

        Raises:
            IndexError: There is none at that position.
        """
        if self._items[position] != expected:
            return False
        self._items[position] = item
        return True

    @replicated
    def delete(self, position: int) -> None:
        """Remove the item at a position.

        Raises:
            IndexError: There is none.
        """
        del self._items[position]

    @replicated
    def pop(self, position: int = -1) -> T:
        """Remove the item at a position and answer it; the last one unless told otherwise.

        Raises:
            IndexError: There is none.
        """
        return self._items.pop(position)

    @replicated
    def remove(self, item: T) -> None:
        """Remove the first item that equals the given one.

        Raises:
            ValueError: There is none.
        """
        self._items.remove(item)

    @replicated
    def reverse(self) -> None:
        """Turn the order around."""
        self._items.reverse()

    @replicated
    def sort(self, reverse: bool = False) -> None:
        """Put the items in order, as `list.sort`; where they cannot be compared nothing changes.

        Raises:
            TypeError: They cannot be compared.
        """
        items: list[Any] = self._items
        self._items = sorted(items, reverse=reverse)

    @replicated
    def clear(self) -> None:
        """Remove everything."""
        self._items.clear()

    def snapshot(self) -> object:
        """All items."""
        return self._items

    def restore(self, image: Value) -> None:
        """Take over all items."""
        self._items = list(image)
