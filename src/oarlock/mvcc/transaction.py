"""A write transaction: any number of puts and deletions under one new main revision."""

from typing import TYPE_CHECKING

from oarlock.mvcc.keyvalue import encode_key_value, encode_tombstone
from oarlock.mvcc.ranges import DEFAULT_OPTIONS, RangeOptions, RangeResult
from oarlock.mvcc.revision import MAIN_SHIFT, revision_key, tombstone_key

if TYPE_CHECKING:
    from oarlock.mvcc.store import Store


class WriteTransaction:
    """Begun by `Store.begin_write`, over with `end`; nothing else may touch the store in between.

    What it writes is in the store at once; there is no way back, so callers check first and write then.
    """

    __slots__ = ("_events", "_main", "_store", "changes")

    def __init__(self, store: "Store") -> None:
        self._store = store
        self._main = store.current_revision + 1
        self._events: list[tuple[bytes, bytes]] | None = None if store.on_events is None else []
        self.changes = 0
        """How many puts and deletions it has made; the next one's sub revision."""

    @property
    def revision(self) -> int:
        """What a read in it sees: the new main revision once something is written, the old one before."""
        return self._main if self.changes else self._main - 1

    def put(self, key: bytes, value: bytes, lease: int = 0) -> None:
        """Write a new version of `key`; the lease is noted, not checked."""
        store, main, sub = self._store, self._main, self.changes
        created, version = store.index.put(key, main << MAIN_SHIFT | sub << 1)
        data = encode_key_value(key, created, main, version, value, lease)
        record = revision_key(main, sub)
        buffer = store.buffer
        buffer.records[record] = data
        buffer.size_bytes += len(data) + 17
        self.changes = sub + 1
        if self._events is not None:
            self._events.append((record, data))

    def delete_range(self, key: bytes, range_end: bytes = b"") -> int:
        """Delete every key of a range.

        Returns:
            How many keys there were; with none the revision does not move.
        """
        index = self._store.index
        if not range_end and not index.exists(key):
            return 0
        keys = list(index.keys(key, range_end)) if range_end else [key]
        for found in keys:
            self._delete(found)
        return len(keys)

    def get(self, key: bytes) -> bytes | None:
        """The marshalled KeyValue that `key` has now, own writes included."""
        return self._store.get(key)

    def range(self, key: bytes, range_end: bytes = b"", options: RangeOptions = DEFAULT_OPTIONS) -> RangeResult:
        """A range that sees what the transaction has written so far.

        Raises:
            CompactedError, FutureRevisionError: as for `Store.range`.
        """
        return self._store.range_at(key, range_end, options, self.revision)

    def end(self) -> int:
        """Finish; the store moves to the new revision if anything was written.

        Returns:
            The store's revision, for the response's header.
        """
        store = self._store
        if self.changes:
            store.current_revision = self._main
            if self._events and store.on_events is not None:
                store.on_events(self._main, self._events)
        return store.current_revision

    def _delete(self, key: bytes) -> None:
        store, main, sub = self._store, self._main, self.changes
        store.index.delete(key, main << MAIN_SHIFT | sub << 1 | 1)
        data = encode_tombstone(key)
        record = tombstone_key(main, sub)
        store.buffer.records[record] = data
        store.buffer.size_bytes += len(data) + 18
        self.changes = sub + 1
        if self._events is not None:
            self._events.append((record, data))
