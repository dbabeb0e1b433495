"""What the library asks of the node that it embeds, on whatever loop that runs."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, TypeAlias

from oarlock.node.members import Change
from oarlock.node.node import Node as CoreNode
from oarlock.node.status import Counters, NodeStatus
from oarlock.raft.types import Configuration, Index, ServerId
from oarlock.replica.caller import Callers, Nobody
from oarlock.transport.stats import PeerStats

Settle: TypeAlias = Callable[[object, BaseException | None], None]
"""Told once, on the program's loop: the result, or the error."""


class Core(Protocol):
    """A node; see `oarlock.node.node.Node`. All of it is for the program's loop."""

    @property
    def counters(self) -> Counters:
        """Running totals."""

    @property
    def leader_id(self) -> ServerId | None:
        """The leader, as far as this server knows."""

    @property
    def is_leader(self) -> bool:
        """Whether this server leads."""

    @property
    def configuration(self) -> Configuration:
        """The members in force."""

    @property
    def recovered_configuration(self) -> Configuration:
        """Who the members were when this life began, as far as the machine had applied."""

    @property
    def commit_index(self) -> Index:
        """Up to which entry the log is committed, as far as this server knows."""

    async def start(self) -> None:
        """Recover and take part."""

    async def stop(self) -> None:
        """Hand over and end."""

    def fail(self, error: BaseException) -> None:
        """End at once."""

    def propose(self, command: bytes, timeout_s: float | None, waiter: Callers | Nobody) -> None:
        """Have a command applied; the waiter is told on the program's loop."""

    def at_the_end(self, function: Callable[[], None]) -> None:
        """Have something called when this iteration of the program's loop is over."""

    def read_barrier(self, timeout_s: float | None, settle: Settle, *, may_use_lease: bool) -> None:
        """Wait until reading is linearizable."""

    async def change_membership(self, changes: Sequence[Change], timeout_s: float | None = None) -> Configuration:
        """Change the members."""

    async def transfer_leadership(self, to: ServerId, timeout_s: float | None = None) -> None:
        """Have another lead."""

    def peer_traffic(self) -> Mapping[ServerId, PeerStats]:
        """Bytes exchanged."""

    def status(self) -> NodeStatus:
        """A consistent picture."""


def told(settle: Settle, future: "asyncio.Future[Any]") -> None:
    """Tell what became of a future."""
    if future.cancelled():
        settle(None, asyncio.CancelledError())
        return
    error = future.exception()
    settle(None if error is not None else future.result(), error)


class SeenCore:
    """What may be read of a node on any loop: single fields, as they are just now."""

    _core: CoreNode

    @property
    def counters(self) -> Counters:
        """See `Core.counters`."""
        return self._core.counters

    @property
    def leader_id(self) -> ServerId | None:
        """See `Core.leader_id`."""
        return self._core.leader_id

    @property
    def is_leader(self) -> bool:
        """See `Core.is_leader`."""
        return self._core.is_leader

    @property
    def configuration(self) -> Configuration:
        """See `Core.configuration`."""
        return self._core.configuration

    @property
    def recovered_configuration(self) -> Configuration:
        """See `Core.recovered_configuration`."""
        return self._core.recovered_configuration

    @property
    def commit_index(self) -> Index:
        """See `Core.commit_index`."""
        return self._core.commit_index


class SameLoopCore(SeenCore):
    """A node on the program's own loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, core: CoreNode) -> None:
        self._loop = loop
        self._core = core
        self.propose = core.propose_to
        self.start = core.start
        self.stop = core.stop
        self.fail = core.fail
        self.transfer_leadership = core.transfer_leadership
        self.peer_traffic = core.peer_traffic
        self.status = core.status

    def at_the_end(self, function: Callable[[], None]) -> None:
        """See `Core.at_the_end`."""
        self._loop.call_soon(function)

    def read_barrier(self, timeout_s: float | None, settle: Settle, *, may_use_lease: bool) -> None:
        """See `Core.read_barrier`."""
        barrier = self._core.read_barrier(timeout_s, may_use_lease=may_use_lease)
        barrier.add_done_callback(partial(told, settle))

    async def change_membership(self, changes: Sequence[Change], timeout_s: float | None = None) -> Configuration:
        """See `Core.change_membership`."""
        return await self._core.change_membership(changes, timeout_s)
