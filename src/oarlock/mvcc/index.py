"""The ordered index in memory: which revision of which key is visible when (etcd's treeIndex).

etcd keeps a list of generations per key. Here a key has its latest revision in plain fields and, only if there are
any, its older revisions in one sorted list; the tombstone bit of a revision marks where a generation ended. So a key
written once, the common case, costs one small object that the garbage collector does not track.

Keys that exist now and keys whose latest revision is a deletion stand in two sorted lists: reads of the current
revision, nearly all reads, count and page through a range without touching deleted keys.
"""

from bisect import bisect_left
from collections.abc import Iterator

import msgspec
from sortedcontainers import SortedList

from oarlock.mvcc.revision import MAIN_SHIFT

FROM_KEY = b"\0"
"""As a range_end: every key from the first one on."""


class KeyEntry(msgspec.Struct, gc=False):
    """What the index knows of one key; revisions are index integers, `created` is a main revision."""

    modified: int
    created: int
    version: int
    """0 when the latest revision is a tombstone."""
    older: list[int] | None = None
    """Earlier revisions that are not yet compacted, ascending."""


class KeyIndex:
    """Every key with its revisions."""

    __slots__ = ("_dead", "_live", "entries", "garbage")

    def __init__(self) -> None:
        self.entries: dict[bytes, KeyEntry] = {}
        self.garbage: dict[bytes, None] = {}
        """Keys that a compaction could take something from, in the order in which they became so."""
        self._live = SortedList()
        self._dead = SortedList()

    @classmethod
    def build(cls, entries: dict[bytes, KeyEntry]) -> "KeyIndex":
        """An index over entries read from a database."""
        index = cls()
        index.entries = entries
        index.garbage = {key: None for key, entry in entries.items() if entry.older is not None or not entry.version}
        index._live = SortedList(key for key, entry in entries.items() if entry.version)
        index._dead = SortedList(key for key, entry in entries.items() if not entry.version)
        return index

    def __len__(self) -> int:
        """How many keys exist now."""
        return len(self._live)

    def put(self, key: bytes, revision: int) -> tuple[int, int]:
        """Note a put.

        Returns:
            The key's create revision and its version, the put counted.
        """
        entry = self.entries.get(key)
        if entry is None:
            main = revision >> MAIN_SHIFT
            self.entries[key] = KeyEntry(revision, main, 1)
            self._live.add(key)
            return main, 1
        if entry.older is None:
            entry.older = [entry.modified]
            self.garbage[key] = None
        else:
            entry.older.append(entry.modified)
        entry.modified = revision
        entry.version += 1
        if entry.version == 1:
            entry.created = revision >> MAIN_SHIFT
            self._dead.remove(key)
            self._live.add(key)
        return entry.created, entry.version

    def delete(self, key: bytes, revision: int) -> None:
        """Note the deletion of a key that exists; `revision` has its tombstone bit set."""
        entry = self.entries[key]
        if entry.older is None:
            entry.older = [entry.modified]
        else:
            entry.older.append(entry.modified)
        self.garbage[key] = None
        entry.modified = revision
        entry.created = entry.version = 0
        self._live.remove(key)
        self._dead.add(key)

    def exists(self, key: bytes) -> bool:
        """Whether a key exists now."""
        entry = self.entries.get(key)
        return entry is not None and entry.version > 0

    def keys(self, key: bytes, range_end: bytes) -> Iterator[bytes]:
        """The keys of a range that exist now, ascending; `range_end` must not be empty."""
        if range_end == FROM_KEY:
            return iter(self._live.irange(key))
        if range_end <= key:
            return iter(())
        return iter(self._live.irange(key, range_end, inclusive=(True, False)))

    def count(self, key: bytes, range_end: bytes) -> int:
        """How many keys of a range exist now."""
        live = self._live
        end = len(live) if range_end == FROM_KEY else live.bisect_left(range_end)
        counted: int = end - live.bisect_left(key)
        return max(0, counted)

    def visible(self, key: bytes, main: int) -> int:
        """The revision of `key` that a reader at `main` sees, 0 if the key does not exist there."""
        entry = self.entries.get(key)
        return 0 if entry is None else _visible(entry, main)

    def visible_range(self, key: bytes, range_end: bytes, main: int) -> list[int]:
        """The revisions that a reader at `main` sees in a range, in key order."""
        if range_end != FROM_KEY and range_end <= key:
            return []
        bounds = (key,) if range_end == FROM_KEY else (key, range_end)
        keys = list(self._live.irange(*bounds, inclusive=(True, False)))
        dead = list(self._dead.irange(*bounds, inclusive=(True, False)))
        if dead:
            keys += dead
            keys.sort()  # two ascending runs: one pass
        revisions: list[int] = []
        entries, bound = self.entries, main + 1 << MAIN_SHIFT
        for found in keys:
            entry = entries[found]
            revision = entry.modified
            if revision >= bound:
                revision = _visible(entry, main)
            # A tombstone's number is odd, and 0 means not there yet.
            if revision and not revision & 1:
                revisions.append(revision)
        return revisions

    def compact(self, key: bytes, main: int, limit: int) -> list[int]:
        """Forget, oldest first, at most `limit` revisions of a key that no reader at or after `main` can see.

        A tombstone at `main` itself stays until the next compaction, as in etcd since 3.5.20: a watch may still
        start there.

        Returns:
            The revisions that the database may drop, ascending; fewer than `limit` when the key is done.
        """
        entry = self.entries.get(key)
        if entry is None:
            return []
        older = entry.older or []
        end = bisect_left(older, main + 1 << MAIN_SHIFT)
        latest_seen = end == len(older) and entry.modified >> MAIN_SHIFT <= main
        if end and not latest_seen:
            seen = older[end - 1]
            if not seen & 1 or seen >> MAIN_SHIFT == main:
                end -= 1
        dropped = older[: min(end, limit)]
        del older[: len(dropped)]
        if not older:
            entry.older = None
            if entry.version:
                self.garbage.pop(key, None)
            elif len(dropped) < limit and entry.modified >> MAIN_SHIFT < main:
                dropped.append(entry.modified)
                del self.entries[key]
                self.garbage.pop(key, None)
                self._dead.remove(key)
        return dropped


def _visible(entry: KeyEntry, main: int) -> int:
    revision = entry.modified
    if revision >> MAIN_SHIFT > main:
        older = entry.older
        if older is None:
            return 0
        position = bisect_left(older, main + 1 << MAIN_SHIFT)
        if not position:
            return 0
        revision = older[position - 1]
    return 0 if revision & 1 else revision
