"""Handing over leadership: asked for by an operator, before an orderly stop, and for want of space (LT)."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from oarlock.node.errors import BadTransferee, NodeError, NotLeader, TransferTimeout
from oarlock.node.owner import Owner
from oarlock.raft.state import RaftError
from oarlock.raft.types import ServerId

logger = logging.getLogger(__name__)

_POLL_S: Final = 0.01


class Handover:
    """Has another server lead.

    Args:
        loop: The loop.
        owner: Of the Raft.
        is_connected: Whether there is a link to a server.
        election_timeout_s: For which the core tries.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        owner: Owner,
        is_connected: Callable[[ServerId], bool],
        election_timeout_s: float,
    ) -> None:
        self._loop = loop
        self._owner = owner
        self._is_connected = is_connected
        self._election_timeout_s = election_timeout_s
        self._ended: NodeError | None = None

    def fail_all(self, error: NodeError) -> None:
        """The node ends: nobody is waited for any more."""
        self._ended = error

    async def hand_over(self, to: ServerId, timeout_s: float) -> None:
        """Have `to` lead; done when it does, as far as this server knows.

        Raises:
            NotLeader: This server does not lead.
            BadTransferee: `to` is not a voter.
            TransferTimeout: It did not take over; the core tries for an election timeout, and leads on.
            Stopped: This server ends.
        """
        state = self._owner.raft.state
        if state.leader is None:
            raise NotLeader("this server does not lead")
        if to not in state.configuration.voters:
            raise BadTransferee(f"server {to:x} is not a voter of this cluster")
        if to == state.server_id:
            return
        logger.info("handing over leadership to server %x", to)
        begun: asyncio.Future[NodeError | None] = self._loop.create_future()
        self._owner.call(lambda: self._begin(to, begun))
        give_up_at = self._loop.time() + timeout_s
        while state.leader_id != to:
            if self._ended is not None:
                raise self._ended
            if begun.done() and (error := begun.result()) is not None:
                raise error
            given_up = begun.done() and self._leads_on(to)
            if given_up or self._loop.time() >= give_up_at or state.leader_id not in (None, state.server_id):
                raise TransferTimeout(f"server {to:x} did not take over leadership in time")
            if not self._is_connected(to):
                raise TransferTimeout(f"there is no link to server {to:x}, which was to take over leadership")
            await asyncio.sleep(_POLL_S)

    def _leads_on(self, to: ServerId) -> bool:
        leader = self._owner.raft.state.leader
        return leader is not None and leader.transfer_to != to

    def _begin(self, to: ServerId, begun: asyncio.Future[NodeError | None]) -> None:
        error: NodeError | None = None
        try:
            self._owner.raft.transfer_leadership(to, self._loop.time())
        except RaftError:  # it has lost its office meanwhile
            error = NotLeader("this server does not lead any more")
        except ValueError:
            error = BadTransferee(f"server {to:x} is not a voter of this cluster")
        begun.set_result(error)

    async def before_stop(self) -> None:
        """Have the voter that is furthest lead from now on, so that writes need not wait for an election."""
        successors = self.successors()
        if successors:
            await self.make_way_for(successors[0])

    def successors(self) -> list[ServerId]:
        """The other voters there is a link to, the one whose log is furthest first; none where this is no leader."""
        state = self._owner.raft.state
        if state.leader is None:
            return []
        ready = [
            (progress.match_index, server_id)
            for server_id, progress in state.leader.peers.items()
            if server_id in state.configuration.voters and progress.counts and self._is_connected(server_id)
        ]
        return [server_id for _, server_id in sorted(ready, reverse=True)]

    async def make_way_for(self, successor: ServerId) -> None:
        """Have `successor` lead, as well as that can be done."""
        try:
            await self.hand_over(successor, self._election_timeout_s)
        except NodeError as error:
            logger.warning("could not hand over leadership: %s", error)
