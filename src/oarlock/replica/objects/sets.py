"""A set."""

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from typing import TypeVar

from oarlock.replica.codec import Value
from oarlock.replica.object import ReplicatedObject, replicated
from oarlock.replica.objects.values import MAX_ITEMS, as_key, check_room

T = TypeVar("T")


class ReplicatedSet(ReplicatedObject, AbstractSet[T]):
    """A set that every server has a copy of.

    Reading is as with any set, from this server's copy: `x in s`, `len(s)`, `s & other`. Whatever changes it is
    awaited. Elements are what a set takes and msgpack can carry; a list counts as a tuple. Iteration goes in the order
    in which elements were added, on every server: the order of Python's own sets differs from process to process.
    """

    def __init__(self, name: str, *, max_items: int = MAX_ITEMS) -> None:
        """Start empty.

        Args:
            name: The object's name, alike on all servers.
            max_items: How many elements there may be; alike on all servers. `TooManyItems` is raised beyond.
        """
        super().__init__(name)
        self._elements: dict[T, None] = {}
        self._max_items = max_items

    @classmethod
    def _from_iterable(cls, it: Iterable[object]) -> set[object]:  # type: ignore[override]
        """What `&`, `|` and the like make: plain sets."""
        return set(it)

    def __contains__(self, element: object) -> bool:
        return as_key(element) in self._elements

    def __iter__(self) -> Iterator[T]:
        return iter(list(self._elements))

    def __len__(self) -> int:
        return len(self._elements)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}: {list(self._elements)!r}>"

    def contains(self, element: T) -> bool:
        """Whether an element is in the set; for `read`."""
        return element in self

    def elements(self) -> list[T]:
        """All elements in the order in which they were added; for `read`."""
        return list(self._elements)

    @replicated
    def add(self, element: T) -> bool:
        """Add an element; whether it was not there before."""
        element = as_key(element)
        if element in self._elements:
            return False
        check_room(len(self._elements) + 1, self._max_items, self.name)
        self._elements[element] = None
        return True

    @replicated
    def update(self, elements: list[T]) -> int:
        """Add many at once; how many were not there before."""
        new = dict.fromkeys(as_key(element) for element in elements)
        added = [element for element in new if element not in self._elements]
        check_room(len(self._elements) + len(added), self._max_items, self.name)
        self._elements.update(dict.fromkeys(added))
        return len(added)

    @replicated
    def remove(self, element: T) -> None:
        """Remove an element.

        Raises:
            KeyError: It is not there.
        """
        del self._elements[as_key(element)]

    @replicated
    def discard(self, element: T) -> bool:
        """Remove an element if it is there; whether it was."""
        element = as_key(element)
        if element not in self._elements:
            return False
        del self._elements[element]
        return True

    @replicated
    def pop(self) -> T:
        """Remove the element that has been there for longest, and answer it.

        Raises:
            KeyError: The set is empty.
        """
        if not self._elements:
            raise KeyError("pop from an empty set")
        element = next(iter(self._elements))
        del self._elements[element]
        return element

    @replicated
    def clear(self) -> None:
        """Remove everything."""
        self._elements.clear()

    def snapshot(self) -> object:
        """All elements, in order."""
        return list(self._elements)

    def restore(self, image: Value) -> None:
        """Take over all elements."""
        self._elements = dict.fromkeys(as_key(element) for element in image)
