"""What a server says about itself in the log: which versions it knows, and what it has come to."""

import asyncio
import logging
from typing import Final

from oarlock.node.members import Change, ChangeKind
from oarlock.raft.types import Index, ServerId
from oarlock.replica import commands
from oarlock.replica.agreement import Vote
from oarlock.replica.core import Core
from oarlock.replica.demotion import Demotion
from oarlock.replica.errors import Diverged, NotUnderstood, OarlockError
from oarlock.replica.machine import ReplicaMachine
from oarlock.replica.members import address_of
from oarlock.replica.proposing import Proposer

logger = logging.getLogger(__name__)

_LOOK_AGAIN_S: Final = 1.0
"""How soon a change of members is noticed."""
_RETRY_S: Final = 0.2
_RECENT_VOTES: Final = 4
"""Votes on older entries, of which there are many while a server catches up, would be compared with nothing."""


class Upkeep:
    """Announces, puts in force, votes, and ends a server that is outvoted.

    Args:
        core: The node.
        server_id: This server.
        vote_every: See `Settings.agreement_interval`.
        votes: Whether this server is to have a vote once it has caught up.
        demotion: Tells whether its vote was taken.
    """

    def __init__(self, server_id: ServerId, vote_every: int, *, votes: bool, demotion: Demotion) -> None:
        self.slow_commands = 0
        """Commands that took long."""
        self._server_id = server_id
        self._vote_every = vote_every
        self._votes = votes
        self._demotion = demotion
        self._kick = asyncio.Event()
        self._usable: dict[str, int] = {}
        self._core: Core | None = None

    def connect(self, core: Core, proposer: Proposer, machine: ReplicaMachine) -> None:
        """Set what it works with; the node has started."""
        self._machine = machine
        self._proposer = proposer
        self._core = core

    # -- what the machine tells ------------------------------------------------------------------------------------

    def applied_slowly(self, what: str, seconds: float) -> None:
        """See `Events.applied_slowly`."""
        self.slow_commands += 1
        logger.warning(
            "the command %s took %.0f ms; nothing else was applied meanwhile",
            what,
            seconds * 1000,
            extra={"server_id": self._server_id, "command": what, "duration_ms": seconds * 1000},
        )

    def versions_changed(self) -> None:
        """See `Events.versions_changed`."""
        self._usable.clear()
        self._kick.set()

    def vote_due(self, index: Index, vote: Vote) -> None:
        """See `Events.vote_due`."""
        core = self._core
        if core is not None and core.commit_index - index <= _RECENT_VOTES * self._vote_every:
            stamp_ms = self._proposer.now_ms()
            self._proposer.propose_unattended(commands.vote(stamp_ms, self._server_id, index, vote))

    def voted(self, index: Index) -> None:
        """See `Events.voted`."""
        if self._core is None:
            return
        why = self._machine.agreement.outvoted(index, self._core.configuration.voters)
        if why is not None:
            logger.error(
                "this server's state is not that of the others at index %d: %s",
                index,
                why,
                extra={"server_id": self._server_id, "index": index, "reason": "diverged"},
            )
            self._core.fail(
                Diverged(
                    f"this server's state is not that of the others at index {index}: {why}. A command is not "
                    f"deterministic, or memory is bad; remove the data directory of this server to copy theirs"
                )
            )

    # -- versions --------------------------------------------------------------------------------------------------

    def usable_version(self, name: str) -> int:
        """The version in which an object's commands can be proposed; 0 while some server does not know the object."""
        version = self._usable.get(name)
        if version is None:
            versions = self._machine.versions
            version = self._usable[name] = 0 if versions.lacking(name, 1, self._members()) else versions.in_force(name)
        return version

    def lacking(self, name: str, version: int) -> list[ServerId]:
        """The members that do not know a version of an object."""
        return self._machine.versions.lacking(name, version, self._members())

    def why_not(self, name: str, version: int) -> NotUnderstood:
        """The error for a version that cannot be used yet: it says who does not know it."""
        assert self._core is not None  # noqa: S101 - set before anything is proposed
        configuration = self._core.configuration
        servers = tuple(address_of(configuration, server_id) for server_id in self.lacking(name, version))
        who = ", ".join(servers) or "all do by now, which is being put in force"
        return NotUnderstood(f"version {version} of {name} is not understood by every server yet: {who}", servers)

    def _members(self) -> list[ServerId]:
        assert self._core is not None  # noqa: S101 - set before anything is proposed
        return sorted(self._core.configuration.members)

    async def run(self) -> None:
        """Announce and put in force, whenever there is cause to, until cancelled."""
        while True:
            try:
                await self._look()
                async with asyncio.timeout(_LOOK_AGAIN_S):
                    await self._kick.wait()
                self._kick.clear()
            except TimeoutError:
                self._usable.clear()
            except OarlockError as error:
                logger.debug("could not say which versions this server knows: %s", error)
                await asyncio.sleep(_RETRY_S)

    async def _look(self) -> None:
        await self._promote()
        versions, known = self._machine.versions, self._machine.known_versions
        if versions.announced.get(self._server_id) != known:
            await self._proposer.propose(commands.announce(self._proposer.now_ms(), self._server_id, known))
        if self._core is not None and self._core.is_leader:
            members = self._members()
            due = versions.due(members)
            if due:
                logger.info("all servers know these versions, now in force: %s", due)
                await self._proposer.propose(commands.put_in_force(self._proposer.now_ms(), due, members))

    async def _promote(self) -> None:
        """Ask for this server's vote, as long as it has none, is to have one, and was not demoted."""
        core = self._core
        if core is None or await self._demotion.look(core, self._server_id):
            return
        if not self._votes or self._server_id not in core.configuration.learners:
            return
        await core.change_membership([Change(ChangeKind.PROMOTE, self._server_id)])
        logger.info("this server has caught up, and has a vote", extra={"server_id": self._server_id})
