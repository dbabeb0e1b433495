"""A backend in memory: what a simulated server's disk holds, and quick stores for tests.

It keeps exactly what was committed. A crash is the loss of the `Store` over it: a new Store on the same backend starts
from the last batch, as one on LMDB would.
"""

from collections.abc import Iterable, Iterator

from oarlock.mvcc.backend import Batch
from oarlock.mvcc.revision import key_of

_RECORD_OVERHEAD_BYTES = 16
"""Added per record to the size figures, about what a B+tree page spends on one."""


class MemoryView:
    """A copy of the committed records and meta."""

    def __init__(self, records: dict[bytes, bytes], meta: dict[str, bytes]) -> None:
        self._records = records
        self._meta = meta

    def records(self) -> Iterator[tuple[bytes, bytes]]:
        """Every revision key with its KeyValue, ascending."""
        return iter(self._records.items())

    def last_key(self) -> bytes:
        """The greatest revision key, empty when there is none."""
        return next(reversed(self._records), b"")

    def meta(self) -> dict[str, bytes]:
        """The whole `meta` database."""
        return dict(self._meta)

    def close(self) -> None:
        """Nothing is pinned."""


class MemoryBackend:
    """Committed records in a dictionary; its order is the order of revisions, for batches only append."""

    def __init__(self) -> None:
        self._records: dict[bytes, bytes] = {}
        self._meta: dict[str, bytes] = {}
        self._size_bytes = 0
        self._high_water_bytes = 0

    def get(self, key: bytes) -> bytes | None:
        """The KeyValue under a revision key."""
        return self._records.get(key)

    def refresh(self) -> None:
        """`get` always sees the latest commit."""

    def write(self, batch: Batch) -> None:
        """Apply a batch at once."""
        self._records.update(batch.records)
        self._size_bytes += _size_of(batch.records.items())
        for key in map(key_of, batch.deletions):
            value = self._records.pop(key, None)
            if value is not None:
                self._size_bytes -= _size_of([(key, value)])
        self._meta.update(batch.meta)
        self._high_water_bytes = max(self._high_water_bytes, self._size_bytes)

    def begin_view(self) -> MemoryView:
        """A shallow copy: a view must not see what is committed after it."""
        return MemoryView(dict(self._records), dict(self._meta))

    def replace(self, records: Iterable[tuple[bytes, bytes]], meta: dict[str, bytes]) -> None:
        """Take a new content; the old one stays if reading the new one fails."""
        fresh = dict(records)
        self._records, self._meta = fresh, dict(meta)
        self._size_bytes = self._high_water_bytes = _size_of(fresh.items())

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


def _size_of(records: Iterable[tuple[bytes, bytes]]) -> int:
    return sum(len(key) + len(value) + _RECORD_OVERHEAD_BYTES for key, value in records)
