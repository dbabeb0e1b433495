"""Blocking work on a store in three steps: begun on the loop, run in an executor, ended on the loop.

`run` may go on beside reads and writes of the store (a restore: beside reads only of what it was before). After it has
returned, `finish`; after it has raised, `abandon`.
"""

from typing import TYPE_CHECKING, BinaryIO

from oarlock.mvcc.backend import Backend, Batch
from oarlock.mvcc.errors import MvccError
from oarlock.mvcc.loading import Loaded, load
from oarlock.mvcc.snapshot import read_snapshot

if TYPE_CHECKING:
    from oarlock.mvcc.store import Store


class Commit:
    """One batch on its way into the database; begun by `Store.begin_commit`."""

    __slots__ = ("_backend", "_store", "applied_index", "batch", "finished_compaction")

    def __init__(
        self, store: "Store", backend: Backend, batch: Batch, applied_index: int, finished_compaction: int
    ) -> None:
        self._store = store
        self._backend = backend
        self.batch = batch
        self.applied_index = applied_index
        self.finished_compaction = finished_compaction

    def run(self) -> None:
        """Write the batch; blocking, durable on return.

        Raises:
            StorageFullError, StorageBusyError: nothing was written; commit again later.
            StorageFailedError, CorruptStoreError: the database is beyond use.
        """
        self._backend.write(self.batch)

    def finish(self) -> None:
        """Forget the batch and read from the database from now on."""
        self._store.end_commit(self, written=True)

    def abandon(self) -> None:
        """Nothing was written: the batch waits for the next commit."""
        self._store.end_commit(self, written=False)


class Restore:
    """A snapshot on its way into the place of everything there is; begun by `Store.begin_restore`."""

    __slots__ = ("_backend", "_loaded", "_source", "_store")

    def __init__(self, store: "Store", backend: Backend, source: BinaryIO) -> None:
        self._store = store
        self._backend = backend
        self._source = source
        self._loaded: Loaded | None = None

    def run(self) -> None:
        """Replace the database and read it into memory; blocking, durable on return.

        A crash leaves the old content or the new one, whole.

        Raises:
            CorruptSnapshotError: nothing was replaced.
            StorageFullError: nothing was replaced.
            StorageFailedError: the database is beyond use.
        """
        meta, records = read_snapshot(self._source)
        self._backend.replace(records, meta)
        self._loaded = load(self._backend)

    def finish(self) -> None:
        """Take the new content into use."""
        if self._loaded is None:
            raise MvccError("a restore that has not run cannot finish")
        self._store.end_restore(self._loaded)

    def abandon(self) -> None:
        """Go on with the old content."""
        self._store.end_restore(None)
