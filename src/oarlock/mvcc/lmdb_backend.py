"""The backend on LMDB: one environment file per generation, and a small file that names the current one.

A generation is a whole database. Replacing everything (a snapshot received, a defragmentation) builds the next
generation aside, syncs it, and then renames a new `CURRENT` over the old; a crash at any point leaves the old or the
new one, whole. Views opened before keep their generation's file open until they are closed.

Threads. LMDB wants a write transaction used wholly in one thread and no transaction open while the map is resized.
Writes happen under `_write_lock` in whatever thread calls; reads of the owner's thread go through one transaction that
is renewed after each commit, guarded by `_read_lock` because a writer that meets a full map grows it.
"""

import contextlib
import errno
import os
import re
import threading
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import cast

import lmdb

from oarlock.mvcc.backend import Batch
from oarlock.mvcc.errors import (
    CorruptStoreError,
    StorageBusyError,
    StorageFailedError,
    StorageFullError,
    StoreClosedError,
)
from oarlock.mvcc.revision import key_of

DEFAULT_MAP_BYTES = 16 << 30
"""Address space reserved for the map, twice etcd's greatest advised database. Only what is written takes disk."""

_NO_ROOM = tuple(os.strerror(code) for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
"""How the texts of LMDB's errors end when the disk, a quota or a limit on file sizes is exhausted."""

_MINIMUM_MAP_BYTES = 64 << 20
_CURRENT = "CURRENT"
_GENERATION_NAME = re.compile(r"store-(\d{6,})\.mdb\Z")
_REPLACE_RECORDS = 4096
"""Records per transaction while a new generation is built; bounds the dirty pages in memory."""


class _Generation:
    """One open environment, closed when its last user lets go of it."""

    def __init__(self, path: Path, map_bytes: int, *, sync: bool = True) -> None:
        self.path = path
        self.views = 0
        self.retired = False
        self.env = _open(path, map_bytes, sync=sync)
        self.keys = self.env.open_db(b"key")
        self.meta = self.env.open_db(b"meta")

    def size(self) -> int:
        """Bytes of the file up to the last page in use."""
        return (self.env.info()["last_pgno"] + 1) * self.env.stat()["psize"]

    def release(self) -> None:
        """Close and delete the files of a generation that was replaced, unless a view still reads it."""
        if self.retired and not self.views:
            self.env.close()
            _unlink(self.path)


class LmdbView:
    """A read transaction pinned at one commit."""

    def __init__(self, backend: "LmdbBackend", generation: _Generation) -> None:
        self._backend = backend
        self._generation = generation
        self._transaction: lmdb.Transaction | None = generation.env.begin(db=generation.keys)

    def records(self) -> Iterator[tuple[bytes, bytes]]:
        """Every revision key with its KeyValue, ascending."""
        return cast("Iterator[tuple[bytes, bytes]]", iter(self._open_transaction().cursor()))

    def last_key(self) -> bytes:
        """The greatest revision key, empty when there is none."""
        with self._open_transaction().cursor() as cursor:
            return cast("bytes", cursor.key()) if cursor.last() else b""

    def meta(self) -> dict[str, bytes]:
        """The whole `meta` database."""
        with self._open_transaction().cursor(self._generation.meta) as cursor:
            return {name.decode(): value for name, value in cast("Iterator[tuple[bytes, bytes]]", iter(cursor))}

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
            return cast("bytes | None", reader.get(key))

    def refresh(self) -> None:
        """Drop the read transaction; the next `get` begins one at the latest commit."""
        with self._read_lock:
            self._end_reader()

    def write(self, batch: Batch) -> None:
        """Apply a batch in one synced transaction, growing the map if it is full."""
        with self._write_lock:
            while True:
                try:
                    self._write_once(batch)
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

    def end_view(self, generation: _Generation, transaction: lmdb.Transaction) -> None:
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
        generation = self._generation
        with generation.env.begin() as transaction:
            stats = [transaction.stat(database) for database in (generation.keys, generation.meta)]
            stats.append(generation.env.stat())
        pages = 2 + sum(stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"] for stat in stats)
        return pages * int(stats[0]["psize"])

    def close(self) -> None:
        """Close the environment; everything committed is on disk."""
        with self._write_lock, self._read_lock:
            if not self._closed:
                self._end_reader()
                self._closed = True
                self._generation.env.close()

    def _open_current(self) -> _Generation:
        pointer = self._directory / _CURRENT
        if not pointer.exists():
            self._remove_others(None)
            generation = self._create(1)
            self._point_to(generation)
            return generation
        name = pointer.read_text().strip()
        path = self._directory / name
        if not _GENERATION_NAME.match(name) or not path.is_file():
            raise CorruptStoreError(f"{pointer} names {name!r}, which is no database file in that directory")
        self._remove_others(name)
        return _Generation(path, self._map_bytes)

    def _create(self, number: int, *, sync: bool = True) -> _Generation:
        return _Generation(self._directory / f"store-{number:06d}.mdb", self._map_bytes, sync=sync)

    def _remove_others(self, current: str | None) -> None:
        """Delete what an interrupted replacement, or the one before the last crash, left behind."""
        for path in sorted(self._directory.iterdir()):
            match = _GENERATION_NAME.match(path.name.removesuffix("-lock"))
            if match and match.string != current:
                path.unlink()

    def _point_to(self, generation: _Generation) -> None:
        aside = self._directory / (_CURRENT + ".new")
        with aside.open("w") as file:
            file.write(generation.path.name + "\n")
            file.flush()
            os.fsync(file.fileno())
        _fsync_directory(self._directory)
        aside.replace(self._directory / _CURRENT)
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

    def _write_once(self, batch: Batch) -> None:
        if self._closed:
            raise StoreClosedError(f"{self._directory}: the store is closed")
        generation = self._generation
        with _translated_errors(generation.path), generation.env.begin(write=True) as transaction:
            with transaction.cursor(generation.keys) as cursor:
                consumed, added = cursor.putmulti(batch.records.items(), append=True)
                if added != consumed:
                    raise CorruptStoreError(f"{generation.path} already holds revisions that a batch adds")
                for revision in batch.deletions:
                    if cursor.set_key(key_of(revision)):
                        cursor.delete()
            for name, value in batch.meta.items():
                transaction.put(name.encode(), value, db=generation.meta)

    def _grow(self) -> None:
        with self._read_lock:
            if self._generation.views:
                raise StorageBusyError(f"{self._generation.path}: its map is full and cannot grow while a view is open")
            self._end_reader()
            self._map_bytes = self._generation.env.info()["map_size"] * 2
            with _translated_errors(self._generation.path):
                self._generation.env.set_mapsize(self._map_bytes)

    def _replace(self, records: Iterable[tuple[bytes, bytes]], meta: dict[str, bytes]) -> None:
        old = self._generation
        match = _GENERATION_NAME.match(old.path.name)
        number = int(match[1]) + 1 if match else 1
        new = self._create(number, sync=False)
        try:
            with _translated_errors(new.path):
                self._fill(new, records, meta)
                new.env.sync(True)
            new.env.close()
            new = self._create(number)
            self._point_to(new)
        except BaseException:
            new.env.close()
            _unlink(new.path)
            raise
        with self._read_lock:
            self._end_reader()
            self._generation = new
            self._size_bytes = new.size()
            old.retired = True
            old.release()

    def _fill(self, generation: _Generation, records: Iterable[tuple[bytes, bytes]], meta: dict[str, bytes]) -> None:
        source = iter(records)
        while chunk := list(islice(source, _REPLACE_RECORDS)):
            while True:
                try:
                    with generation.env.begin(write=True) as transaction:
                        with transaction.cursor(generation.keys) as cursor:
                            consumed, added = cursor.putmulti(chunk, append=True)
                        if added != consumed:
                            raise CorruptStoreError("revisions out of order in what should replace the store")
                except lmdb.MapFullError:
                    self._map_bytes = generation.env.info()["map_size"] * 2
                    generation.env.set_mapsize(self._map_bytes)
                else:
                    break
        with generation.env.begin(write=True, db=generation.meta) as transaction:
            for name, value in meta.items():
                transaction.put(name.encode(), value)


def _open(path: Path, map_bytes: int, *, sync: bool) -> lmdb.Environment:
    """Open an environment, asking for less address space where the process may not have so much."""
    with _translated_errors(path):
        while True:
            try:
                return lmdb.open(
                    str(path),
                    subdir=False,
                    map_size=map_bytes,
                    max_dbs=2,
                    max_spare_txns=4,
                    sync=sync,
                    readahead=False,
                    mode=0o600,
                )
            except (lmdb.MemoryError, MemoryError):
                if map_bytes <= _MINIMUM_MAP_BYTES:
                    raise
                map_bytes //= 2


@contextlib.contextmanager
def _translated_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except lmdb.MapFullError:
        raise
    except (lmdb.CorruptedError, lmdb.InvalidError, lmdb.PageNotFoundError, lmdb.VersionMismatchError) as error:
        raise CorruptStoreError(f"{path}: {error}") from error
    except lmdb.Error as error:
        if isinstance(error, lmdb.DiskError) or str(error).endswith(_NO_ROOM):
            raise StorageFullError(f"{path}: no room on the disk: {error}") from error
        raise StorageFailedError(f"{path}: {error}") from error


def _unlink(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.with_name(path.name + "-lock").unlink(missing_ok=True)


def _fsync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
