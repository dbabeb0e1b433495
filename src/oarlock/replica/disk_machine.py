"""The machine of a library node whose state is a table on disk."""

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final

from oarlock.machine.interface import Job, SnapshotView
from oarlock.raft.types import Index, ServerId
from oarlock.replica.hosting import HostedMachine
from oarlock.replica.image import read_head, write_head
from oarlock.replica.machine import Events, ReplicaMachine
from oarlock.replica.statemachine import DiskStateMachine
from oarlock.replica.table import Table, TableFlush, TableView

_INDEX: Final = b"index"
_BESIDE: Final = b"beside"


class DiskReplicaMachine(ReplicaMachine):
    """See `ReplicaMachine`; what is kept beside the state is kept in the table, and flushed with it."""

    def __init__(
        self,
        server_id: ServerId,
        machine: DiskStateMachine,
        directory: Path,
        clock: Callable[[], float],
        slow_s: float,
        vote_every: int,
        events: Events,
        open_table: Callable[[Path], Table] = Table,
    ) -> None:
        hosted = HostedMachine(machine.version, machine.apply, lambda: None, _unused, lambda: self.context)
        super().__init__(server_id, [hosted], clock, slow_s, vote_every, events)
        self._user_machine = machine
        self._directory = directory
        self._open_table = open_table
        self._durable: Index = 0
        self._opened: Table | None = None

    def open(self) -> None:
        """Open the table, once the data directory is locked."""
        self._opened = self._table = self._user_machine.table = self._open_table(self._directory)
        self._durable = self._index = int.from_bytes(self._table.meta(_INDEX))
        if self._index:
            self.load_beside(self._table.meta(_BESIDE))

    def close(self) -> None:
        """Close the table."""
        if self._opened is not None:
            self._opened.close()

    def durable_index(self) -> Index:
        """See `StateMachine.durable_index`."""
        return self._durable

    def begin_flush(self) -> Job | None:
        """See `StateMachine.begin_flush`."""
        if self._index == self._durable:
            return None
        flush = self._table.begin_flush(self._meta(self._index, self.beside()))
        return None if flush is None else _Flush(self, flush, self._index)

    @staticmethod
    def _meta(index: Index, beside: bytes) -> dict[bytes, bytes]:
        return {_INDEX: index.to_bytes(8), _BESIDE: beside}

    def flushed(self, index: Index) -> None:
        """For the job: so far the state is durable."""
        self._durable = index

    def begin_snapshot(self) -> SnapshotView:
        """See `StateMachine.begin_snapshot`."""
        return _View(self._index, self.beside(), self._table.view())

    def begin_restore(self, source: BinaryIO, index: Index) -> Job:
        """See `StateMachine.begin_restore`."""
        return _Restore(self, source, index)

    def build(self, source: BinaryIO, index: Index) -> bytes:
        """For the job, in a thread: build the new state; what is kept beside it."""
        beside = read_head(source, index)
        self._table.build(source, self._meta(index, beside))
        return beside

    def restored(self, index: Index, beside: bytes) -> None:
        """For the job: use the new state."""
        self._table.switch()
        self.load_beside(beside)
        self._index = self._durable = index


def _unused(_image: object) -> None:
    """A table is restored as a whole."""


class _Flush:
    def __init__(self, machine: DiskReplicaMachine, flush: TableFlush, index: Index) -> None:
        self._machine = machine
        self._flush = flush
        self._index = index
        self.run = flush.run
        self.abandon = flush.abandon

    def finish(self) -> None:
        self._flush.finish()
        self._machine.flushed(self._index)


class _View:
    def __init__(self, index: Index, beside: bytes, view: TableView) -> None:
        self._index = index
        self._beside = beside
        self._view = view
        self.close = view.close

    @property
    def index(self) -> Index:
        return self._index

    def write(self, out: BinaryIO) -> None:
        write_head(out, self.index, self._beside)
        self._view.write(out)


class _Restore:
    def __init__(self, machine: DiskReplicaMachine, source: BinaryIO, index: Index) -> None:
        self._machine = machine
        self._source = source
        self._index = index
        self._beside = b""

    def run(self) -> None:
        self._beside = self._machine.build(self._source, self._index)

    def finish(self) -> None:
        self._machine.restored(self._index, self._beside)

    def abandon(self) -> None:
        """The state is as it was."""
