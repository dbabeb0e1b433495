"""What the observer of simulated runs is shown of one process of a library's server, for Raft's invariants."""

import zlib
from typing import BinaryIO

from oarlock.check.observed import Promise
from oarlock.machine.exactly_once import AlreadyApplied
from oarlock.machine.interface import Job, SnapshotView, StateMachine
from oarlock.node.node import Node
from oarlock.raft.types import Index
from oarlock.replica.machine import ReplicaMachine
from oarlock.sim.machine import HASH_EVERY, RecordingTransport
from oarlock.sim.strikes import Strikes
from oarlock.sim.versions import Version


class NotingMachine:
    """Stands between a node and its machine, and remembers what that was given until it is looked at.

    See `oarlock.sim.watched.WatchedMachine`.
    """

    def __init__(self, machine: StateMachine) -> None:
        self.applied: list[tuple[Index, bytes]] = []
        self.hashes: list[tuple[Index, int]] = []
        self.refused: list[Index] = []
        self.repeated = 0
        self._machine = machine

    def apply(self, index: Index, command: bytes) -> object:
        """See `StateMachine.apply`."""
        machine = self._machine
        result = machine.apply(index, command)
        self.applied.append((index, command))
        if type(result) is AlreadyApplied:
            self.repeated += 1
        if not index % HASH_EVERY and isinstance(machine, ReplicaMachine):
            state = machine.comparable_state()
            if state is not None:
                self.hashes.append((index, zlib.crc32(state)))
        return result

    def applied_index(self) -> Index:
        """See `StateMachine.applied_index`."""
        return self._machine.applied_index()

    def durable_index(self) -> Index:
        """See `StateMachine.durable_index`."""
        return self._machine.durable_index()

    def begin_flush(self) -> Job | None:
        """See `StateMachine.begin_flush`."""
        return self._machine.begin_flush()

    def begin_snapshot(self) -> SnapshotView:
        """See `StateMachine.begin_snapshot`."""
        return self._machine.begin_snapshot()

    def begin_restore(self, source: BinaryIO, index: Index) -> Job:
        """See `StateMachine.begin_restore`."""
        return self._machine.begin_restore(source, index)


class Watched:
    """One process as the observer sees it; see `oarlock.sim.watched.WatchedProcess`.

    Args:
        strikes: Where its transport is to count.

    Attributes:
        node: Below the library's; set when there is one.
        machine: What it applies to; the same.
        promises: What its messages claimed since it was last looked at.
    """

    node: Node
    machine: NotingMachine

    def __init__(self, strikes: Strikes) -> None:
        self.promises: list[Promise] = []
        self._strikes = strikes

    def watch_machine(self, machine: StateMachine) -> StateMachine:
        """See `Environment.watch_machine`."""
        self.machine = NotingMachine(machine)
        return self.machine

    def transport(self) -> type[RecordingTransport]:
        """The class of its transport."""
        claimed, counted = self.promises, self._strikes

        class NotingTransport(RecordingTransport):
            """See `RecordingTransport`."""

            promises = claimed
            version = Version.CURRENT
            strikes = counted

        return NotingTransport
