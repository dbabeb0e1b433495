"""What the observer needs to see of a server, whichever simulation it is of."""

from typing import Protocol

from oarlock.check.observed import Promise
from oarlock.node.node import Node
from oarlock.raft.types import Index, ServerId
from oarlock.sim.clock import Clock
from oarlock.sim.disk import SimDisk
from oarlock.sim.durable import DurableLog


class WatchedMachine(Protocol):
    """A state machine that remembers what it did until that is looked at."""

    applied: list[tuple[Index, bytes]]
    """What it was given."""
    hashes: list[tuple[Index, int]]
    """Of its state, at some indices."""
    refused: list[Index]
    """Where it refused a command."""
    repeated: int
    """Commands that it had applied before."""

    def durable_index(self) -> Index:
        """See `StateMachine.durable_index`."""


class WatchedProcess(Protocol):
    """One life of a server."""

    @property
    def node(self) -> Node:
        """Its node."""

    @property
    def machine(self) -> WatchedMachine:
        """Its machine; looked at once the node has recovered."""

    @property
    def promises(self) -> list[Promise]:
        """What messages claimed since it was last looked at."""


class WatchedServer(Protocol):
    """A server, with what outlives its processes."""

    @property
    def server_id(self) -> ServerId:
        """Of its node."""

    @property
    def incarnation(self) -> int:
        """Which life this is."""

    @property
    def process(self) -> WatchedProcess | None:
        """The one that runs; None while there is none."""

    @property
    def is_disk_intact(self) -> bool:
        """False once the disk was damaged on purpose, in a way that may make it forget."""

    @property
    def disk(self) -> SimDisk:
        """Its disk."""

    @property
    def durable(self) -> DurableLog:
        """Follows the disk."""

    @property
    def clock(self) -> Clock:
        """Its clock."""
