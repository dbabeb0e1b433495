"""A dictionary."""

from collections.abc import ItemsView, Iterator, KeysView, Mapping, ValuesView
from typing import TypeVar

from oarlock.replica.codec import Value
from oarlock.replica.object import ReplicatedObject, replicated
from oarlock.replica.objects.values import MAX_ITEMS, as_key, check_room, handed_out

K = TypeVar("K")
V = TypeVar("V")


class ReplicatedDict(ReplicatedObject, Mapping[K, V]):
    """A dictionary that every server has a copy of.

    Reading is as with any mapping: `d[key]`, `key in d`, `len(d)`, `d.items()`; it answers at once, from this server's
    copy, which may be behind. For the newest state read through `read`: `await d.read("get", key)`. Whatever changes
    the dictionary is awaited: `await d.set(key, value)`.

    Keys are what a dictionary takes and msgpack can carry; values anything that msgpack can carry. The order is that
    of insertion, on every server.
    """

    def __init__(self, name: str, *, max_items: int = MAX_ITEMS) -> None:
        """Start empty.

        Args:
            name: The object's name, alike on all servers.
            max_items: How many keys there may be; alike on all servers. `TooManyItems` is raised beyond.
        """
        super().__init__(name)
        self._items: dict[K, V] = {}
        self._max_items = max_items

    # -- reading this server's copy --------------------------------------------------------------------------------

    def __getitem__(self, key: K) -> V:
        return handed_out(self._items[key])

    def __contains__(self, key: object) -> bool:
        return key in self._items

    def __iter__(self) -> Iterator[K]:
        return iter(list(self._items))

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}: {self._items!r}>"

    def get(self, key: Value, default: Value = None) -> Value:
        """The value of a key, or the default."""
        return handed_out(self._items.get(as_key(key), default))

    # Views of what was there when they were asked for: whoever awaits while iterating may find keys gone.

    def keys(self) -> KeysView[K]:
        """All keys."""
        return dict.fromkeys(self._items).keys()

    def values(self) -> ValuesView[V]:
        """All values."""
        return self.copy().values()

    def items(self) -> ItemsView[K, V]:
        """All pairs."""
        return self.copy().items()

    def copy(self) -> dict[K, V]:
        """All of it, as a dictionary of one's own."""
        return {key: handed_out(value) for key, value in self._items.items()}

    # -- commands --------------------------------------------------------------------------------------------------

    @replicated
    def set(self, key: K, value: V) -> None:
        """Set a key."""
        self._put(as_key(key), value)

    @replicated
    def setdefault(self, key: K, default: V) -> V:
        """Set a key unless it is set; its value afterwards."""
        key = as_key(key)
        if key not in self._items:
            self._put(key, default)
        return handed_out(self._items[key])

    @replicated
    def update(self, items: dict[K, V] | list[tuple[K, V]]) -> None:
        """Set many keys at once: nobody sees some of them without the others.

        Args:
            items: A mapping, or a list of pairs.
        """
        new = {as_key(key): value for key, value in (items.items() if isinstance(items, dict) else items)}
        check_room(len(self._items.keys() | new.keys()), self._max_items, self.name)
        self._items.update(new)

    @replicated
    def delete(self, key: K) -> None:
        """Remove a key.

        Raises:
            KeyError: It is not there.
        """
        del self._items[as_key(key)]

    @replicated
    def pop(self, key: K, *default: V) -> V:
        """Remove a key; its value, or the default where it is not there.

        Raises:
            KeyError: It is not there, and no default is given.
        """
        if len(default) > 1:
            raise TypeError(f"pop takes one default, not {len(default)}")
        key = as_key(key)
        if default and key not in self._items:
            return default[0]
        return self._items.pop(key)

    @replicated
    def popitem(self) -> list[K | V]:
        """Remove the key that was added last; the key and its value.

        Raises:
            KeyError: The dictionary is empty.
        """
        if not self._items:
            raise KeyError("popitem(): dictionary is empty")
        return list(self._items.popitem())

    @replicated
    def compare_and_set(self, key: K, expected: V, value: V) -> bool:
        """Set a key if it has the expected value; whether it had."""
        key = as_key(key)
        if key not in self._items or self._items[key] != expected:
            return False
        self._items[key] = value
        return True

    @replicated
    def compare_and_delete(self, key: K, expected: V) -> bool:
        """Remove a key if it has the expected value; whether it had."""
        key = as_key(key)
        if key not in self._items or self._items[key] != expected:
            return False
        del self._items[key]
        return True

    @replicated
    def clear(self) -> None:
        """Remove everything."""
        self._items.clear()

    def _put(self, key: K, value: V) -> None:
        if key not in self._items:
            check_room(len(self._items) + 1, self._max_items, self.name)
        self._items[key] = value

    def snapshot(self) -> object:
        """All pairs, in order."""
        return [list(pair) for pair in self._items.items()]

    def restore(self, image: Value) -> None:
        """Take over all pairs."""
        self._items = {as_key(key): value for key, value in image}
