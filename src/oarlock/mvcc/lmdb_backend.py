"""The backend on LMDB: one environment file per generation, and a small file that names the current one.

A generation is a whole database. Replacing everything (a snapshot received, a defragmentation) builds the next
generation aside, syncs it, and then renames a new `CURRENT` over the old; a crash at any point leaves the old or the
new one, whole. Views opened before keep their generation's file open until they are closed.

Threads. LMDB wants a write transaction used wholly in one thread and no transaction open while the map is resized.
Writes happen under `_write_lock` in whatever thread calls; reads of the owner's thread go through one transaction that
is renewed after each commit, guarded by `_read_lock` because a writer that meets a full map grows it.
"""

import os
import re
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import cast

import lmdb

from oarlock.mvcc.backend import Batch
from oarlock.mvcc.checksums import TOTALS_NAME, Totals, checked_meta, checked_records, unseal
from oarlock.mvcc.errors import (
    CorruptStoreError,
    StorageBusyError,
    StorageFailedError,
    StoreClosedError,
)
from oarlock.mvcc.lmdb_generation import Generation, translated_errors, unlink

DEFAULT_MAP_BYTES = 16 << 30
"""Address space reserved for the map, twice etcd's greatest advised database. Only what is written takes disk."""

_CURRENT = "CURRENT"
_NEXT = "CURRENT.next"
_EMPTY_BYTES = 1 << 16
"""A database file without data is smaller."""
_GENERATION_NAME = re.compile(r"store-(\d{6,})\.mdb\Z")


class LmdbView:
    """A read transaction pinned at one commit."""

    def __init__(self, backend: "LmdbBackend", generation: Generation) -> None:
        self._backend = backend
        self._generation = generation
        with translated_errors(generation.path):
            self._transaction: lmdb.Transaction | None = generation.env.begin(db=generation.keys)

    def records(self) -> Iterator[tuple[bytes, bytes]]:
        """Every revision key with its KeyValue, ascending; see `BackendView.records`."""
        return self._records(self._open_transaction())

    def _records(self, transaction: lmdb.Transaction) -> Iterator[tuple[bytes, bytes]]:
        with translated_errors(self._generation.path):
            yield from checked_records(
                cast("Iterator[tuple[bytes, bytes]]", iter(transaction.cursor())), self._totals(transaction)
            )

    def last_key(self) -> bytes:
        """The greatest revision key, empty when there is none."""
        with translated_errors(self._generation.path), self._open_transaction().cursor() as cursor:
            return cast("bytes", cursor.key()) if cursor.last() else b""

    def meta(self) -> dict[str, bytes]:
        """The whole `meta` database."""
        transaction = self._open_transaction()
        with translated_errors(self._generation.path), transaction.cursor(self._generation.meta) as cursor:
            return checked_meta(cast("Iterator[tuple[bytes, bytes]]", iter(cursor)), self._totals(transaction))

    def _totals(self, transaction: lmdb.Transaction) -> Totals:
        return Totals.decode(cast("bytes | None", transaction.get(TOTALS_NAME, db=self._generation.meta)))

    def close(self) -> None:
        """End the transaction; the pages it pinned can be used again."""
        transaction, self._transaction = self._transaction, None
        if transaction is not None:
            self._backend.end_view(self._generation, transaction)

    def _open_transaction(self) -> lmdb.Transaction:
        if self._transaction is None:
            raise StoreClosedError("a view of the store was used after it was closed")
        return self._transaction


class LmdbBackend:
    """A durable database of revisions in a directory of its own."""

    def __init__(self, directory: Path, *, map_bytes: int = DEFAULT_MAP_BYTES) -> None:
        """Open the database in `directory`, creating both where they do not exist.

        Raises:
            CorruptStoreError: `CURRENT` names no database, or the file is none.
            StorageFailedError: the files cannot be opened.
        """
        self._directory = directory
        self._map_bytes = map_bytes
        self._write_lock = threading.Lock()
        self._read_lock = threading.Lock()
        self._reader: lmdb.Transaction | None = None
        self._closed = False
        directory.mkdir(parents=True, exist_ok=True)
        self._generation = self._open_current()
        self._size_bytes = self._generation.size()

    def get(self, key: bytes) -> bytes | None:
        """The KeyValue under a revision key, as of the last `refresh`."""
        with self._read_lock:
            reader = self._reader
            if reader is None:
                reader = self._begin_reader()
            stored = cast("bytes | None", reader.get(key))
        return None if stored is None else unseal(key, stored)

    def refresh(self) -> None:
        """Drop the read transaction; the next `get` begins one at the latest commit."""
        with self._read_lock:
            self._end_reader()

    def write(self, batch: Batch) -> None:
        """Apply a batch in one synced transaction, growing the map if it is full."""
        with self._write_lock:
            if self._closed:
                raise StoreClosedError(f"{self._directory}: the store is closed")
            self._generation.reserve(batch)
            while True:
                try:
                    self._generation.write(batch)
                except lmdb.MapFullError:
                    self._grow()
                else:
                    # Quotas ask for every write, so the figure is kept at hand.
                    self._size_bytes = self._generation.size()
                    return

    def begin_view(self) -> LmdbView:
        """Pin the latest commit."""
        with self._read_lock:
            if self._closed:
                raise StoreClosedError(f"{self._directory}: the store is closed")
            view = LmdbView(self, self._generation)
            self._generation.views += 1
            return view

    def end_view(self, generation: Generation, transaction: lmdb.Transaction) -> None:
        """Called by a view that closes."""
        with self._read_lock:
            # After close() the environment has already ended its transactions.
            if not self._closed:
                transaction.abort()
                generation.views -= 1
                generation.release()

    def replace(self, records: Iterable[tuple[bytes, bytes]], meta: dict[str, bytes]) -> None:
        """Build the next generation from `records`, ascending, and make it the current one."""
        with self._write_lock:
            self._replace(records, meta)

    def defragment(self) -> None:
        """Rewrite the database into the next generation, page after page full."""
        # Held from the copy to the switch, or a commit in between would be lost.
        with self._write_lock:
            view = self.begin_view()
            try:
                self._replace(view.records(), view.meta())
            finally:
                view.close()

    def size(self) -> int:
        """Bytes of all pages ever used, free ones included; what the file takes on disk."""
        return self._size_bytes

    def size_in_use(self) -> int:
        """Bytes of pages that hold data or the tree over it."""
        with self._read_lock:
            return self._generation.size_in_use()

    def close(self) -> None:
        """Close the environment; everything committed is on disk."""
        with self._write_lock:
            self._close()

    def _close(self) -> None:
        with self._read_lock:
            if not self._closed:
                self._end_reader()
                self._closed = True
                self._generation.env.close()

    def _open_current(self) -> Generation:
        pointer = self._directory / _CURRENT
        if not pointer.exists():
            self._require_no_data()
            self._remove_others(None)
            generation = self._create(1)
            self._prepare_pointer(generation)
            self._switch_pointer()
            return generation
        name = pointer.read_text().strip()
        path = self._directory / name
        if not _GENERATION_NAME.match(name) or not path.is_file():
            raise CorruptStoreError(f"{pointer} names {name!r}, which is no database file in that directory")
        self._remove_others(name)
        return Generation(path, self._map_bytes)

    def _require_no_data(self) -> None:
        """Without `CURRENT` there may be what a start left that never came to write it, but no data."""
        for path in sorted(self._directory.iterdir()):
            if _GENERATION_NAME.match(path.name) and path.stat().st_size > _EMPTY_BYTES:
                raise CorruptStoreError(f"{self._directory} holds the database {path.name} but no {_CURRENT}")

    def _create(self, number: int, *, sync: bool = True) -> Generation:
        return Generation(self._directory / f"store-{number:06d}.mdb", self._map_bytes, sync=sync)

    def _remove_others(self, current: str | None) -> None:
        """Delete what an interrupted replacement, or the one before the last crash, left behind."""
        for path in sorted(self._directory.iterdir()):
            match = _GENERATION_NAME.match(path.name.removesuffix("-lock"))
            if match and match.string != current:
                path.unlink()

    def _prepare_pointer(self, generation: Generation) -> None:
        """Write the next `CURRENT` aside; the old one still counts."""
        with (self._directory / _NEXT).open("w") as file:
            file.write(generation.path.name + "\n")
            file.flush()
            os.fsync(file.fileno())
        _fsync_directory(self._directory)

    def _switch_pointer(self) -> None:
        """Let the next `CURRENT` count; until this returns, either may after a crash."""
        (self._directory / _NEXT).replace(self._directory / _CURRENT)
        _fsync_directory(self._directory)

    def _begin_reader(self) -> lmdb.Transaction:
        if self._closed:
            raise StoreClosedError(f"{self._directory}: the store is closed")
        reader = self._reader = self._generation.env.begin(db=self._generation.keys)
        return reader

    def _end_reader(self) -> None:
        if self._reader is not None:
            self._reader.abort()
            self._reader = None

    def _grow(self) -> None:
        with self._read_lock:
            if self._generation.views:
                raise StorageBusyError(f"{self._generation.path}: its map is full and cannot grow while a view is open")
            self._end_reader()
            self._map_bytes = self._generation.grow()

    def _replace(self, records: Iterable[tuple[bytes, bytes]], meta: dict[str, bytes]) -> None:
        old = self._generation
        match = _GENERATION_NAME.match(old.path.name)
        number = int(match[1]) + 1 if match else 1
        new = self._create(number, sync=False)
        try:
            with translated_errors(new.path):
                new.fill(records, meta)
                new.env.sync(True)
                new.env.close()
                new = self._create(number)
                self._prepare_pointer(new)
        except BaseException:
            new.env.close()
            unlink(new.path)
            raise
        try:
            self._switch_pointer()
        except OSError as error:
            # Which of the two a restart would find is not known, so nothing more may be written to either.
            self._close()
            raise StorageFailedError(f"{self._directory / _CURRENT}: {error}") from error
        with self._read_lock:
            self._end_reader()
            self._generation = new
            self._size_bytes = new.size()
            old.retired = True
            old.release()


def _fsync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
