"""What a server does for want of space: as leader it has another lead, and appends nothing more until there is room.

A server low on space still votes, follows and forwards what others propose to a leader that has room. One whose log is
full does not: it applies nothing it cannot keep, so it would never learn the result of what it forwards.
"""

import asyncio
import logging
from typing import Final

from oarlock.node.alarm import Kick
from oarlock.node.errors import DiskFull
from oarlock.node.handover import Handover
from oarlock.node.owner import Owner
from oarlock.node.proposals import Proposals
from oarlock.raft.types import ServerId
from oarlock.storage.errors import DiskFull as StorageFull

logger = logging.getLogger(__name__)

_LONGEST_PAUSE: Final = 8
"""In election timeouts. Where nobody has room, leadership must not go round all the time."""


class Space:
    """Whether there is room, and what follows from that.

    Args:
        loop: The loop.
        owner: Of the Raft; refuses to append.
        proposals: Of this server.
        handover: Has another lead.
        election_timeout_s: The pause after the first handover; doubled after each.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        owner: Owner,
        proposals: Proposals,
        handover: Handover,
        election_timeout_s: float,
    ) -> None:
        self._owner = owner
        self._proposals = proposals
        self._handover = handover
        self._election_timeout_s = election_timeout_s
        self._log_full: str | None = None
        self._low: str | None = None
        self._kick = Kick(loop)
        self._is_making_way = False

    @property
    def is_full(self) -> bool:
        """Whether this server would append nothing as leader."""
        return self._log_full is not None or self._low is not None

    def log_is_full(self, error: StorageFull | None) -> None:
        """The log could not be written for want of space; None when it can be again."""
        self._log_full = str(error) if error is not None else None
        self._proposals.refuse(DiskFull(self._log_full) if self._log_full is not None else None)
        self._follow()

    def is_low(self, problem: str | None) -> None:
        """There is little space left, and why that is thought; None when there is enough."""
        if (problem is None) != (self._low is None):
            if problem is not None:
                fields = {"reason": problem, "disk_full": True}
                logger.error("writes are refused while this server leads: %s", problem, extra=fields)
            else:
                logger.warning("there is space again, writes are accepted", extra={"disk_full": False})
        self._low = problem
        self._follow()

    def _follow(self) -> None:
        if not self.is_full:
            self._owner.refusal = None
            return
        if self._owner.refusal is None and not self._is_making_way and self._leads and self._handover.successors():
            self._kick.set()  # what is proposed until another leads waits for that one
        else:
            self._refuse()
            self._kick.set()

    @property
    def _leads(self) -> bool:
        return self._owner.raft.state.leader is not None

    def _refuse(self) -> None:
        self._owner.refusal = DiskFull(self._log_full or self._low or "")

    async def run(self) -> None:
        """Whenever this server leads without room, have another lead; until cancelled."""
        while True:
            await self._kick.wait()
            self._is_making_way = True
            await self._make_way()
            self._is_making_way = False

    async def _make_way(self) -> None:
        pause, longest = self._election_timeout_s, _LONGEST_PAUSE * self._election_timeout_s
        asked: set[ServerId] = set()
        while self.is_full:
            if self._leads and (successor := self._successor(asked)) is not None:
                asked.add(successor)
                await self._handover.make_way_for(successor)
                pause = min(2 * pause, longest)
            if self.is_full:
                self._refuse()
                await asyncio.sleep(pause)

    def _successor(self, asked: set[ServerId]) -> ServerId | None:
        """The furthest that was not asked yet, since who was may have no room either; then all over again."""
        successors = self._handover.successors()
        if asked.issuperset(successors):
            asked.clear()
        return next((server_id for server_id in successors if server_id not in asked), None)
