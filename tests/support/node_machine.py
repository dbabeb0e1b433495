"""A small replicated log of words, in memory or on disk, to run nodes with."""

from pathlib import Path
from typing import BinaryIO

import msgspec

from oarlock.machine.exactly_once import ExactlyOnce
from oarlock.raft.types import Index


class Broken(Exception):
    """What a machine raises when told to."""


class _Image(msgspec.Struct):
    index: Index
    words: list[bytes]
    table: list[tuple[int, int, int, int, list[int]]]


class WordsMachine:
    """Appends every command to a list, once; the result is the list's new length.

    With a `file` its state survives up to the last flush, as a database's would; without, it is in memory alone.
    """

    def __init__(self, server_id: int, file: Path | None = None) -> None:
        self.file = file
        self._once = ExactlyOnce(server_id)
        self.words: list[bytes] = []
        self.index = 0
        self.durable = 0
        self.flushes = 0
        self.break_at: bytes | None = None
        if file is not None and file.exists():
            self._load(msgspec.msgpack.decode(file.read_bytes(), type=_Image))
            self.durable = self.index

    def _load(self, image: _Image) -> None:
        self.words, self.index = image.words, image.index
        self._once.load(image.table)

    def image(self) -> bytes:
        """All of it, as bytes; the same on every server that applied the same entries."""
        return msgspec.msgpack.encode(_Image(self.index, self.words, self._once.dump()))

    def apply(self, index: Index, command: bytes) -> object:
        self.index = index
        return self._once.apply(index, command, self._execute)

    def _execute(self, command: bytes, wanted: bool) -> object:
        if command == self.break_at:
            raise Broken(command.decode())
        self.words.append(command)
        return len(self.words)

    def applied_index(self) -> Index:
        return self.index

    def durable_index(self) -> Index:
        return self.durable

    def begin_flush(self) -> "_Flush | None":
        return None if self.file is None or self.durable == self.index else _Flush(self)

    def begin_snapshot(self) -> "_View":
        return _View(self.index, self.image())

    def begin_restore(self, source: BinaryIO, index: Index) -> "_Restore":
        return _Restore(self, source, index)


class _Flush:
    def __init__(self, machine: WordsMachine) -> None:
        self._machine = machine
        self._index = machine.index
        self._image = machine.image()

    def run(self) -> None:
        assert self._machine.file is not None
        aside = self._machine.file.with_suffix(".partial")
        aside.write_bytes(self._image)
        aside.replace(self._machine.file)

    def finish(self) -> None:
        self._machine.durable = self._index
        self._machine.flushes += 1

    def abandon(self) -> None:
        pass


class _View:
    def __init__(self, index: Index, image: bytes) -> None:
        self.index = index
        self._image = image

    def write(self, out: BinaryIO) -> None:
        out.writelines(self._image[start : start + 4096] for start in range(0, len(self._image), 4096))

    def close(self) -> None:
        pass


class _Restore:
    def __init__(self, machine: WordsMachine, source: BinaryIO, index: Index) -> None:
        self._machine = machine
        self._source = source
        self._index = index
        self._data = b""

    def run(self) -> None:
        self._data = self._source.read()
        if self._machine.file is not None:
            aside = self._machine.file.with_suffix(".partial")
            aside.write_bytes(self._data)
            aside.replace(self._machine.file)

    def finish(self) -> None:
        image = msgspec.msgpack.decode(self._data, type=_Image)
        assert image.index == self._index
        self._machine._load(image)
        if self._machine.file is not None:
            self._machine.durable = self._machine.index

    def abandon(self) -> None:
        pass
