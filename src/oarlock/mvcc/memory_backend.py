"""A backend in memory: what a simulated server's disk holds, and quick stores for tests.

It keeps exactly what was committed. A crash is the loss of the `Store` over it: a new Store on the same backend starts
from the last batch, as one on LMDB would.
"""

from collections.abc import Iterable, Iterator

from oarlock.mvcc.backend import Batch
from oarlock.mvcc.checksums import Totals, checked_meta, checked_records, seal, unseal
from oarlock.mvcc.revision import key_of

_RECORD_OVERHEAD_BYTES = 16
"""Added per record to the size figures, about what a B+tree page spends on one."""


class MemoryView:
    """A copy of the committed records and meta."""

    def __init__(self, records: dict[bytes, bytes], meta: dict[bytes, bytes], totals: bytes) -> None:
        self._records = records
        self._meta = meta
        self._totals = totals

    def records(self) -> Iterator[tuple[bytes, bytes]]:
        """Every revision key with its KeyValue, ascending; see `BackendView.records`."""
        return checked_records(self._records.items(), Totals.decode(self._totals))

    def last_key(self) -> bytes:
        """The greatest revision key, empty when there is none."""
        return next(reversed(self._records), b"")

    def meta(self) -> dict[str, bytes]:
        """The whole `meta` database."""
        return checked_meta(self._meta.items(), Totals.decode(self._totals))

    def close(self) -> None:
        """Nothing is pinned."""


class MemoryBackend:
    """Committed records in a dictionary; its order is the order of revisions, for batches only append.

    They are kept with the checksums that they have on disk, so that damage done to them shows as it does there.
    """

    stored: dict[bytes, bytes]
    """Records by revision key, with their checksums."""
    stored_meta: dict[bytes, bytes]
    """The same of `meta`, by name."""
    stored_totals: bytes
    _size_bytes: int
    _high_water_bytes: int

    def __init__(self) -> None:
        self._clear()

    def get(self, key: bytes) -> bytes | None:
        """The KeyValue under a revision key."""
        stored = self.stored.get(key)
        return None if stored is None else unseal(key, stored)

    def refresh(self) -> None:
        """`get` always sees the latest commit."""

    def write(self, batch: Batch) -> None:
        """Apply a batch at once."""
        totals = Totals.decode(self.stored_totals)
        self._put(batch.records.items(), batch.meta, totals)
        for key in map(key_of, batch.deletions):
            stored = self.stored.pop(key, None)
            if stored is not None:
                totals.remove_record(stored)
                self._size_bytes -= _size_of(key, stored)
        self.stored_totals = totals.encode()
        self._high_water_bytes = max(self._high_water_bytes, self._size_bytes)

    def begin_view(self) -> MemoryView:
        """A shallow copy: a view must not see what is committed after it."""
        return MemoryView(dict(self.stored), dict(self.stored_meta), self.stored_totals)

    def replace(self, records: Iterable[tuple[bytes, bytes]], meta: dict[str, bytes]) -> None:
        """Take a new content; the old one stays if reading the new one fails."""
        fresh = dict(records)
        self._clear()
        totals = Totals()
        self._put(fresh.items(), meta, totals)
        self.stored_totals = totals.encode()
        self._high_water_bytes = self._size_bytes

    def defragment(self) -> None:
        """Let the size figure fall to what is in use."""
        self._high_water_bytes = self._size_bytes

    def size(self) -> int:
        """The most the records ever took since the last defragmentation."""
        return self._high_water_bytes

    def size_in_use(self) -> int:
        """What the records take."""
        return self._size_bytes

    def close(self) -> None:
        """Nothing to release: the content outlives a Store, as a disk's does."""

    def _clear(self) -> None:
        self.stored, self.stored_meta = {}, {}
        self.stored_totals = Totals().encode()
        self._size_bytes = self._high_water_bytes = 0

    def _put(self, records: Iterable[tuple[bytes, bytes]], meta: dict[str, bytes], totals: Totals) -> None:
        for key, stored in totals.seal(records):
            self.stored[key] = stored
            self._size_bytes += _size_of(key, stored)
        for name, value in meta.items():
            key = name.encode()
            stored = seal(key, value)
            totals.set_meta(self.stored_meta.get(key), stored)
            self.stored_meta[key] = stored


def _size_of(key: bytes, stored: bytes) -> int:
    return len(key) + len(stored) + _RECORD_OVERHEAD_BYTES
