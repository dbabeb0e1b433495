"""A sorted table on disk that may be larger than memory: LMDB, with what was not yet flushed in front of it.

Changes go to a layer in memory and are seen at once; a flush writes the layer in one transaction, in a thread, while
further changes go to the next layer. A view is both layers as they are, and LMDB's state as of then, which stays
readable for as long as the view is open. A whole new content is built aside, synced, and taken into use by renaming a
small file that names it: a crash leaves the old or the new, whole.
"""

import contextlib
import heapq
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

import lmdb

from oarlock.machine.interface import FlushPostponed
from oarlock.replica.image import read_part, write_part

MAX_KEY_BYTES: Final = 500
DEFAULT_MAP_BYTES: Final = 64 << 30
"""Address space for the table; only what is written takes disk."""

_CURRENT: Final = "CURRENT"
_DATA: Final = b"data"
_META: Final = b"meta"
_BATCH: Final = 10_000
"""Records in one transaction while a new content is built."""

Layer = dict[bytes, bytes | None]
"""Changes by key; None for what was deleted."""


class Table:
    """The table.

    Args:
        directory: Of its own; made when absent.
        map_bytes: The most that it can hold.
    """

    def __init__(self, directory: Path, *, map_bytes: int = DEFAULT_MAP_BYTES) -> None:
        self._directory = directory
        self._map_bytes = map_bytes
        directory.mkdir(parents=True, exist_ok=True)
        self._generation = _read_current(directory)
        self._env = self._open(self._generation)
        self._data = self._env.open_db(_DATA)
        self._meta = self._env.open_db(_META)
        self._layer: Layer = {}
        self._flushing: Layer = {}
        self._views = 0
        self._retired: list[lmdb.Environment] = []
        for path in directory.glob("table-*"):
            if not path.name.startswith(_file_name(self._generation)):
                path.unlink()

    def _open(self, generation: int) -> lmdb.Environment:
        path = self._directory / _file_name(generation)
        return lmdb.open(str(path), subdir=False, max_dbs=2, map_size=self._map_bytes)

    # -- on the loop -------------------------------------------------------------------------------------------------

    def get(self, key: bytes) -> bytes | None:
        """The value of a key; None where there is none."""
        for layer in (self._layer, self._flushing):
            if key in layer:
                return layer[key]
        with self._env.begin(db=self._data) as transaction:
            value: bytes | None = transaction.get(key)
        return value

    def put(self, key: bytes, value: bytes) -> None:
        """Set a key.

        Raises:
            ValueError: The key is empty or too long.
        """
        if not 0 < len(key) <= MAX_KEY_BYTES:
            raise ValueError(f"a key must have 1 to {MAX_KEY_BYTES} bytes, not {len(key)}")
        self._layer[key] = value

    def delete(self, key: bytes) -> None:
        """Remove a key, if it is there."""
        self._layer[key] = None

    def items(self, start: bytes = b"", stop: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values in order of the keys, from one key to before another; the table must not change meanwhile."""
        with self._env.begin(db=self._data) as transaction:
            yield from _merged(transaction, {**self._flushing, **self._layer}, start, stop)

    def meta(self, name: bytes) -> bytes:
        """What the last flush that counts was given; empty if there was none."""
        with self._env.begin(db=self._meta) as transaction:
            value: bytes | None = transaction.get(name)
        return value or b""

    def begin_flush(self, meta: Mapping[bytes, bytes]) -> "TableFlush | None":
        """Begin to make durable what was changed; None while another flush is under way."""
        if self._flushing:
            return None
        self._flushing, self._layer = self._layer, {}
        return TableFlush(self, dict(meta))

    def view(self) -> "TableView":
        """Pin the table as it is."""
        return TableView(self._env.begin(db=self._data), {**self._flushing, **self._layer})

    # -- for flushes -------------------------------------------------------------------------------------------------

    def write(self, meta: Mapping[bytes, bytes]) -> None:
        """In a thread: write the layer that is being flushed.

        Raises:
            FlushPostponed: There is no room.
        """
        try:
            with self._env.begin(write=True) as transaction:
                for key, value in self._flushing.items():
                    if value is None:
                        transaction.delete(key, db=self._data)
                    else:
                        transaction.put(key, value, db=self._data)
                for key, value in meta.items():
                    transaction.put(key, value, db=self._meta)
        except (lmdb.MapFullError, lmdb.DiskError) as error:
            raise FlushPostponed(f"{self._directory}: {error}") from error

    def flushed(self, *, done: bool) -> None:
        """On the loop: the flush has ended."""
        if not done:
            self._layer = {**self._flushing, **self._layer}
        self._flushing = {}

    # -- a whole new content -----------------------------------------------------------------------------------------

    def build(self, source: BinaryIO, meta: Mapping[bytes, bytes]) -> None:
        """In a thread: build what a view has written, aside, and have it count from then on.

        Raises:
            ValueError: It is damaged; the table is as it was.
        """
        generation = self._generation + 1
        _remove(self._directory, generation)
        env = self._open(generation)
        try:
            data, metadata = env.open_db(_DATA), env.open_db(_META)
            while _copy_batch(source, env, data):
                pass
            with env.begin(write=True) as transaction:
                for key, value in meta.items():
                    transaction.put(key, value, db=metadata)
            env.sync(force=True)
        finally:
            env.close()
        _write_current(self._directory, generation)

    def switch(self) -> None:
        """On the loop: use the content that was built."""
        self._retired.append(self._env)  # views may still read it
        former, self._generation = self._generation, self._generation + 1
        self._env = self._open(self._generation)
        self._data = self._env.open_db(_DATA)
        self._meta = self._env.open_db(_META)
        self._layer, self._flushing = {}, {}
        _remove(self._directory, former)

    def close(self) -> None:
        """Give everything back; what was not flushed is lost."""
        for env in (*self._retired, self._env):
            env.close()


class TableFlush:
    """See `Job`."""

    def __init__(self, table: Table, meta: Mapping[bytes, bytes]) -> None:
        self._table = table
        self._meta = meta

    def run(self) -> None:
        """Write, in a thread."""
        self._table.write(self._meta)

    def finish(self) -> None:
        """It is durable."""
        self._table.flushed(done=True)

    def abandon(self) -> None:
        """It is not."""
        self._table.flushed(done=False)


class TableView:
    """The table as it was at one moment."""

    def __init__(self, transaction: "lmdb.Transaction[bytes]", layer: Layer) -> None:
        self._transaction: lmdb.Transaction[bytes] | None = transaction
        self._layer = layer

    def write(self, out: BinaryIO) -> None:
        """Write all records, each with its lengths, and an empty key at the end; in a thread."""
        assert self._transaction is not None  # noqa: S101 - it is open
        for key, value in _merged(self._transaction, self._layer, b"", None):
            write_part(out, key)
            write_part(out, value)
        write_part(out, b"")

    def close(self) -> None:
        """Let go of it."""
        transaction, self._transaction = self._transaction, None
        if transaction is not None:
            transaction.abort()


def _merged(
    transaction: "lmdb.Transaction[bytes]", layer: Layer, start: bytes, stop: bytes | None
) -> Iterator[tuple[bytes, bytes]]:
    """LMDB's records with a layer's in front of them."""
    changed = sorted(key for key in layer if key >= start and (stop is None or key < stop))

    def below() -> Iterator[tuple[bytes, int, bytes]]:
        with transaction.cursor() as cursor:
            if not (cursor.set_range(start) if start else cursor.first()):
                return
            for key, value in cursor:
                if stop is not None and key >= stop:
                    return
                if key not in layer:
                    yield key, 1, value

    above = ((key, 0, value) for key in changed if (value := layer[key]) is not None)
    for key, _, value in heapq.merge(above, below()):
        yield key, value


def _copy_batch(source: BinaryIO, env: lmdb.Environment, data: Any) -> bool:  # noqa: ANN401 - a handle
    """Copy some records; whether there may be more."""
    with env.begin(write=True, db=data) as transaction:
        for _ in range(_BATCH):
            key = read_part(source)
            if not key:
                return False
            transaction.put(key, read_part(source), append=True)
    return True


def _file_name(generation: int) -> str:
    return f"table-{generation:06d}.mdb"


def _remove(directory: Path, generation: int) -> None:
    for name in (_file_name(generation), f"{_file_name(generation)}-lock"):
        (directory / name).unlink(missing_ok=True)


def _read_current(directory: Path) -> int:
    path = directory / _CURRENT
    try:
        return int(path.read_text())
    except FileNotFoundError:
        _write_current(directory, 1)
        return 1
    except ValueError:
        raise ValueError(f"{path} does not name a table: {path.read_text()[:40]!r}") from None


def _write_current(directory: Path, generation: int) -> None:
    aside = directory / f"{_CURRENT}.next"
    with aside.open("w") as file:
        file.write(f"{generation}\n")
        file.flush()
        os.fsync(file.fileno())
    aside.rename(directory / _CURRENT)
    with contextlib.closing(_Directory(directory)) as opened:
        os.fsync(opened.number)


class _Directory:
    def __init__(self, path: Path) -> None:
        self.number = os.open(path, os.O_RDONLY)

    def close(self) -> None:
        os.close(self.number)
