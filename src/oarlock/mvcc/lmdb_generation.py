"""One LMDB environment file: opening it, writing a batch, filling a new one, and errors by our names."""

import contextlib
import errno
import os
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import cast

import lmdb

from oarlock.mvcc.backend import Batch
from oarlock.mvcc.checksums import TOTALS_NAME, Totals, seal
from oarlock.mvcc.errors import CorruptStoreError, StorageFailedError, StorageFullError
from oarlock.mvcc.revision import key_of

_PAGE_BYTES = 4096
_META_PAGES = 2
"""Every file begins with them, and has them from its first moment on."""
_MINIMUM_MAP_BYTES = 64 << 20
_FILL_RECORDS = 4096
"""Records per transaction while a new file is filled; bounds the dirty pages in memory."""
_RESERVED_PAGES = 256
"""Room for the tree's own pages that a small batch copies."""
_RESERVE_BYTES = 1 << 20
"""The file grows in steps of this size."""

_NO_ROOM_CODES = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_ROOM = tuple(os.strerror(code) for code in _NO_ROOM_CODES)
"""How the texts of LMDB's errors end when the disk, a quota or a limit on file sizes is exhausted."""


class Generation:
    """An open environment with the databases `key` and `meta`; the caller keeps threads apart."""

    def __init__(self, path: Path, map_bytes: int, *, sync: bool = True) -> None:
        """Open the file, creating it where it does not exist.

        Args:
            path: the file; its lock file stands beside it.
            map_bytes: address space to reserve; less is taken where the process may not have so much.
            sync: whether each transaction is durable when it ends.

        Raises:
            CorruptStoreError: the file is cut short, or holds no database.
            StorageFullError, StorageFailedError: it cannot be opened.
        """
        self.path = path
        self.views = 0
        """Views that still read it."""
        self.retired = False
        """Whether another generation has taken its place."""
        if path.exists():
            _require_bytes(path, _META_PAGES * _PAGE_BYTES)  # LMDB would take an empty file for a new one
        self.env = _open(path, map_bytes, sync=sync)
        try:
            # A page of the map behind the file's end cannot be read: touching it kills the process.
            _require_bytes(path, self.size())
            with translated_errors(path):
                self.keys = self.env.open_db(b"key")
                self.meta = self.env.open_db(b"meta")
        except BaseException:
            self.env.close()
            raise

    def size(self) -> int:
        """Bytes of the file up to the last page in use."""
        return (self.env.info()["last_pgno"] + 1) * self.env.stat()["psize"]

    def size_in_use(self) -> int:
        """Bytes of pages that hold data or the tree over it."""
        with self.env.begin() as transaction:
            stats = [transaction.stat(database) for database in (self.keys, self.meta)]
        stats.append(self.env.stat())
        pages = _META_PAGES + sum(stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"] for stat in stats)
        return pages * stats[0]["psize"]

    def write(self, batch: Batch) -> None:
        """Apply a batch in one transaction.

        Raises:
            lmdb.MapFullError: nothing was written; the map must grow first.
            StorageFullError, StorageFailedError, CorruptStoreError: nothing was written.
        """
        with translated_errors(self.path), self.env.begin(write=True) as transaction:
            totals = Totals.decode(transaction.get(TOTALS_NAME, db=self.meta))
            with transaction.cursor(self.keys) as cursor:
                self._append(cursor, totals.seal(batch.records.items()))
                for revision in batch.deletions:
                    if cursor.set_key(key_of(revision)):
                        totals.remove_record(cursor.value())
                        cursor.delete()
            self._put_meta(transaction, batch.meta, totals)

    def reserve(self, batch: Batch) -> None:
        """Make the file large enough for a batch before anything of it is written.

        LMDB reports a write that was cut short by a full disk as an I/O error, which it may also be; so room is
        asked for first, where the answer is clear.

        Raises:
            StorageFullError: there is no room.
        """
        used = self.size()
        record_bytes = sum(len(key) + len(value) for key, value in batch.records.items())
        meta_bytes = sum(map(len, batch.meta.values()))
        tree_bytes = (_RESERVED_PAGES + 2 * len(batch.deletions)) * _PAGE_BYTES
        needed = used + 2 * record_bytes + meta_bytes + min(tree_bytes, used)
        with translated_errors(self.path):
            there = self.path.stat().st_size
            if there >= needed:
                return
            descriptor = os.open(self.path, os.O_RDWR)
            try:
                steps = -(-(needed - there) // _RESERVE_BYTES)
                os.posix_fallocate(descriptor, there, steps * _RESERVE_BYTES)
            finally:
                os.close(descriptor)

    def fill(self, records: Iterable[tuple[bytes, bytes]], meta: dict[str, bytes]) -> None:
        """Write the content of a new file, in many transactions; records must ascend."""
        source = iter(records)
        totals = Totals()
        while chunk := list(islice(source, _FILL_RECORDS)):
            sealed = totals.seal(chunk)
            while True:
                try:
                    with self.env.begin(write=True) as transaction, transaction.cursor(self.keys) as cursor:
                        self._append(cursor, sealed)
                except lmdb.MapFullError:
                    self.grow()
                else:
                    break
        with self.env.begin(write=True) as transaction:
            self._put_meta(transaction, meta, totals)

    def grow(self) -> int:
        """Double the map; no transaction may be open. Gives the new size in bytes."""
        map_bytes = self.env.info()["map_size"] * 2
        with translated_errors(self.path):
            self.env.set_mapsize(map_bytes)
        return map_bytes

    def release(self) -> None:
        """Close and delete a file that was replaced, unless a view still reads it."""
        if self.retired and not self.views:
            self.env.close()
            unlink(self.path)

    @staticmethod
    def _append(cursor: lmdb.Cursor, sealed: list[tuple[bytes, bytes]]) -> None:
        """Add records behind all others."""
        consumed, added = cursor.putmulti(sealed, append=True)
        if added != consumed:
            raise CorruptStoreError("revisions that are to be added are there already, or out of order")

    def _put_meta(self, transaction: lmdb.Transaction, meta: dict[str, bytes], totals: Totals) -> None:
        """Set names in `meta`, and what vouches for all."""
        for name, value in meta.items():
            key = name.encode()
            stored = seal(key, value)
            totals.set_meta(cast("bytes | None", transaction.get(key, db=self.meta)), stored)
            transaction.put(key, stored, db=self.meta)
        transaction.put(TOTALS_NAME, totals.encode(), db=self.meta)


@contextlib.contextmanager
def translated_errors(path: Path) -> Iterator[None]:
    """Turn LMDB's and the system's errors into ours, with the file's name."""
    try:
        yield
    except lmdb.MapFullError:
        raise
    except OSError as error:
        if error.errno in _NO_ROOM_CODES:
            raise StorageFullError(f"{path}: no room on the disk: {_reason(error, path)}") from error
        raise StorageFailedError(f"{path}: {_reason(error, path)}") from error
    except (lmdb.CorruptedError, lmdb.InvalidError, lmdb.PageNotFoundError, lmdb.VersionMismatchError) as error:
        raise CorruptStoreError(f"{path}: {_reason(error, path)}") from error
    except lmdb.Error as error:
        if isinstance(error, lmdb.DiskError) or str(error).endswith(_NO_ROOM) or _is_full(path):
            raise StorageFullError(f"{path}: no room on the disk: {_reason(error, path)}") from error
        raise StorageFailedError(f"{path}: {_reason(error, path)}") from error


def _reason(error: Exception, path: Path) -> str:
    """What went wrong, without the file's name, which both LMDB and the system may add."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).removeprefix(f"{path}: ")


def _require_bytes(path: Path, expected: int) -> None:
    """Refuse a file that is shorter than what it says it holds."""
    with translated_errors(path):
        size = path.stat().st_size
    if size < expected:
        raise CorruptStoreError(f"{path}: the file has {size} bytes of at least {expected}: it was cut short")


def unlink(path: Path) -> None:
    """Delete an environment's file and its lock file."""
    path.unlink(missing_ok=True)
    path.with_name(path.name + "-lock").unlink(missing_ok=True)


def _open(path: Path, map_bytes: int, *, sync: bool) -> lmdb.Environment:
    with translated_errors(path):
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


def _is_full(path: Path) -> bool:
    """Whether so little room is left that an I/O error was most likely a write cut short."""
    state = os.statvfs(path.parent)
    return state.f_bavail * state.f_frsize < _RESERVE_BYTES
