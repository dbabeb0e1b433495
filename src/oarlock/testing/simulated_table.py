"""The table of a `DiskStateMachine` on a simulated disk: what is flushed lasts, whole; the rest goes with the process.

It stands for LMDB, which does its input and output in C, through a mapping of memory that no simulator can come
between. So LMDB's own safety in crashes is not tested by it, but all that is built on that is: what is flushed with
what, from where the log is applied again, and how a content is streamed, built aside and taken into use.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from oarlock.replica.image import read_part, write_part
from oarlock.replica.table import Layer, Table, TableView
from oarlock.sim.disk import SimDisk

Records = dict[bytes, bytes]


class Content:
    """One content of a table, as it is on the disk."""

    def __init__(self) -> None:
        self.records: Records = {}
        self.meta: Records = {}


class Stored:
    """What a disk holds of a table, whichever process comes.

    Attributes:
        current: What the next process finds.
    """

    def __init__(self) -> None:
        self.current = Content()

    def open(self, disk: SimDisk, _directory: Path) -> "SimulatedTable":
        """Open it; of a process."""
        return SimulatedTable(self, disk)


class SimulatedTable(Table):
    """See `Table`; what was not flushed is in layers as there.

    Args:
        stored: What the disk holds.
        disk: Counts steps.
    """

    def __init__(self, stored: Stored, disk: SimDisk) -> None:
        self._stored = stored
        self._disk = disk
        self._content = stored.current
        self._layer: Layer = {}
        self._flushing: Layer = {}

    def get(self, key: bytes) -> bytes | None:
        """See `Table.get`."""
        for layer in (self._layer, self._flushing):
            if key in layer:
                return layer[key]
        return self._content.records.get(key)

    def items(self, start: bytes = b"", stop: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        """See `Table.items`."""
        for key, value in self._all():
            if key >= start and (stop is None or key < stop):
                yield key, value

    def meta(self, name: bytes) -> bytes:
        """See `Table.meta`."""
        return self._content.meta.get(name, b"")

    def view(self) -> TableView:
        """See `Table.view`."""
        return _View(self._all())

    def _all(self) -> list[tuple[bytes, bytes]]:
        merged: dict[bytes, bytes | None] = {**self._content.records, **self._flushing, **self._layer}
        return sorted((key, value) for key, value in merged.items() if value is not None)

    def write(self, meta: Mapping[bytes, bytes]) -> None:
        """See `Table.write`: in one transaction."""
        self._disk.step()
        records = self._content.records
        for key, value in self._flushing.items():
            if value is None:
                records.pop(key, None)
            else:
                records[key] = value
        self._content.meta.update(meta)

    def build(self, source: BinaryIO, meta: Mapping[bytes, bytes]) -> None:
        """See `Table.build`."""
        content = Content()
        while key := read_part(source):
            content.records[key] = read_part(source)
        content.meta.update(meta)
        self._disk.step()
        self._stored.current = content

    def switch(self) -> None:
        """See `Table.switch`."""
        self._content = self._stored.current
        self._layer, self._flushing = {}, {}

    def close(self) -> None:
        """See `Table.close`."""


class _View(TableView):
    """See `TableView`."""

    def __init__(self, records: list[tuple[bytes, bytes]]) -> None:
        self._records = records

    def write(self, out: BinaryIO) -> None:
        """See `TableView.write`."""
        for key, value in self._records:
            write_part(out, key)
            write_part(out, value)
        write_part(out, b"")

    def close(self) -> None:
        """See `TableView.close`."""
