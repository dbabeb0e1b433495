"""Changes of members and of leadership as an operator makes them, by etcd's API or by the node's own."""

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from oarlock.etcd import errors
from oarlock.etcd.grpc import RpcError, Status
from oarlock.etcd.proto.rpc_pb2 import (
    Member,
    MemberAddRequest,
    MemberAddResponse,
    MemberListRequest,
    MemberListResponse,
    MemberPromoteRequest,
    MemberRemoveRequest,
    MoveLeaderRequest,
)
from oarlock.etcd.services.cluster import added_member_id
from oarlock.node.errors import ChangeRefused, NodeError
from oarlock.node.members import Change, ChangeKind
from oarlock.raft.types import ServerId
from oarlock.sim.calls import FAILED, OK, UNKNOWN, Answer
from oarlock.sim.fleet import peer_url
from oarlock.sim.operator import Operator, Part, Step, Task
from oarlock.sim.process import EPOCH_S, Process

if TYPE_CHECKING:
    from oarlock.sim.cluster import Simulation

_TRIES: Final = 8
_PAUSE_S: Final = 0.4

_REFUSALS: Final = (errors.UNHEALTHY.message, errors.MEMBER_NOT_ENOUGH_STARTED.message)
"""Of what could cost the cluster its majority."""


class Membership:
    """The tasks.

    Args:
        simulation: The run.
        rng: For this task alone.
    """

    def __init__(self, simulation: "Simulation", rng: random.Random) -> None:
        self._simulation = simulation
        self._operator: Operator = simulation.operator
        self._strikes = simulation.strikes
        self._rng = rng

    # -- by etcd's API -----------------------------------------------------------------------------------------------

    def add(self, number: int | None, *, learner: bool, delay_s: float, promote: bool = False) -> Task:
        """Have a server added, and start it a while later.

        Args:
            number: Of its machine; None does nothing.
            learner: Whether it is to have no vote.
            delay_s: How long the new member is missing.
            promote: Whether a learner is given a vote, as soon as it may have one.
        """
        if number is None:
            return
        url = peer_url(number)
        request = MemberAddRequest(peerURLs=[url], isLearner=learner)
        answer = yield from self._ask_until_taken("/etcdserverpb.Cluster/MemberAdd", request.SerializeToString())
        if answer.outcome == OK:
            server_id: ServerId | None = MemberAddResponse.FromString(answer.data).member.ID
        elif answer.outcome == UNKNOWN and not _is_refusal(answer):
            server_id = yield from self._id_of(url)
        else:
            server_id = None
        if server_id is None:
            self._strikes.hit("members.not_added")
            return
        self._strikes.hit("members.add_learner" if learner else "members.add_voter")
        yield delay_s
        self._simulation.add_server(server_id, number)
        if learner and promote:
            yield from self.promote(server_id)

    def remove(self, server_id: ServerId) -> Part[bool]:
        """Have a server removed; gives whether it is gone for certain."""
        atlas = self._simulation.atlas
        is_leader = self._leads(server_id)
        if not atlas.may_leave([server_id]):
            return False
        data = MemberRemoveRequest(ID=server_id).SerializeToString()
        answer = yield from self._ask_until_taken("/etcdserverpb.Cluster/MemberRemove", data)
        is_gone = answer.outcome == OK
        if answer.outcome == UNKNOWN and not _is_refusal(answer):
            members = yield from self._members()
            is_gone = members is not None and all(server_id != member.ID for member in members)
            if not is_gone:
                return False  # it may still come about
        atlas.left([server_id])
        if is_gone:
            self._strikes.hit("members.remove_leader" if is_leader else "members.remove")
        else:
            self._strikes.hit("members.not_removed")
        return is_gone

    def remove_task(self, server_id: ServerId) -> Task:
        """The same, for itself."""
        yield from self.remove(server_id)

    def replace(self, server_id: ServerId, *, delay_s: float, same_machine: bool) -> Task:
        """Have a server removed, and another one added for it, with an id of its own.

        Args:
            server_id: The old one.
            delay_s: How long the new member is missing.
            same_machine: Whether the new one runs in the old one's place, at the same address.
        """
        if not (yield from self.remove(server_id)):
            return
        fleet = self._simulation.fleet
        number = self._simulation.servers[server_id].number if same_machine else fleet.reserve()
        self._strikes.hit("members.replace")
        yield from self.add(number, learner=self._rng.random() < 0.5, delay_s=delay_s, promote=True)

    def promote(self, server_id: ServerId | None) -> Task:
        """Give a learner a vote, as soon as the cluster lets it have one.

        Args:
            server_id: The learner; None for the first there is.
        """
        atlas = self._simulation.atlas
        for _ in range(_TRIES):
            found = self._learner() if server_id is None else server_id
            if found is None or self._operator.is_resting or not atlas.may_gain(found):
                return
            answer = yield self._ask(
                "/etcdserverpb.Cluster/MemberPromote", MemberPromoteRequest(ID=found).SerializeToString()
            )
            if answer.outcome != UNKNOWN or _is_refusal(answer):
                atlas.gained(found)
            if answer.outcome == OK:
                self._strikes.hit("members.promote")
                return
            if errors.LEARNER_NOT_READY.message in answer.error:
                self._strikes.hit("members.promoted_too_early")
            yield _PAUSE_S

    def transfer(self, to: ServerId) -> Task:
        """Have another server lead, whoever that is: a laggard, one that cannot be reached, a learner, a stranger."""
        data = MoveLeaderRequest(targetID=to).SerializeToString()
        for _ in range(_TRIES):
            leader = self._simulation.leader()
            asked = leader.server_id if leader is not None else self._operator.somebody(self._rng)
            answer = yield self._operator.ask(asked, "/etcdserverpb.Maintenance/MoveLeader", data)
            if answer.outcome == OK:
                self._strikes.hit("leader.transferred" if asked != to else "leader.kept")
                return
            self._strikes.hit("leader.not_transferred")
            if errors.NOT_LEADER.message not in answer.error or self._operator.is_resting:
                return
            yield _PAUSE_S

    # -- by the node's own -------------------------------------------------------------------------------------------

    def demote(self, server_id: ServerId, *, back_after_s: float | None) -> Task:
        """Have a voter become a learner.

        Args:
            server_id: The voter.
            back_after_s: When to ask for its vote again; None for never.
        """
        simulation = self._simulation
        if not simulation.atlas.may_leave([server_id]):
            return
        was_leader = self._leads(server_id)
        changes = [Change(ChangeKind.DEMOTE, server_id)]
        answer = yield self._operator.somebody(self._rng), lambda process: self._change(process, changes)
        is_demoted = answer.outcome == OK
        if answer.outcome == UNKNOWN:
            members = yield from self._members()
            is_demoted = members is not None and any(server_id == each.ID and each.isLearner for each in members)
            if not is_demoted:
                return  # it may still come about
        simulation.atlas.left([server_id])
        if not is_demoted:
            self._strikes.hit("members.not_demoted")
            return
        self._strikes.hit("members.demote_leader" if was_leader else "members.demote")
        if back_after_s is not None:
            yield back_after_s
            yield from self.promote(server_id)

    def change(self, leaving: Sequence[ServerId], adding: int, *, delay_s: float) -> Task:
        """Change several members at once, through joint consensus.

        Args:
            leaving: Voters to be removed.
            adding: Voters to be added.
            delay_s: How long these are missing.
        """
        simulation = self._simulation
        reserved = [number for _ in range(adding) if (number := simulation.fleet.reserve()) is not None]
        now_s = int(EPOCH_S + simulation.scheduler.now)
        fresh = {added_member_id([peer_url(number)], now_s): number for number in reserved}
        changes = [Change(ChangeKind.REMOVE, server_id) for server_id in leaving]
        changes += [Change(ChangeKind.ADD_VOTER, each, (peer_url(number),)) for each, number in fresh.items()]
        if not simulation.atlas.may_leave(leaving):
            return
        answer = yield self._operator.somebody(self._rng), lambda process: self._change(process, changes)
        members = None if answer.outcome == FAILED else (yield from self._members())
        if members is None:
            if answer.outcome == FAILED:
                simulation.atlas.left(leaving)
                self._strikes.hit("members.not_changed")
            return
        present = {member.ID for member in members}
        if answer.outcome == OK or not present & set(leaving):
            simulation.atlas.left(leaving)
            self._strikes.hit("members.joint_change" if len(changes) > 1 else "members.change")
        yield delay_s
        for server_id, number in fresh.items():
            if server_id in present:
                simulation.add_server(server_id, number)

    async def _change(self, process: Process, changes: Sequence[Change]) -> bytes:
        try:
            await process.node.change_membership(changes, strict=True)
        except ChangeRefused as error:
            raise RpcError(Status.FAILED_PRECONDITION, str(error)) from error
        except NodeError as error:
            raise RpcError(Status.UNAVAILABLE, str(error)) from error
        return b""

    # -- what an operator looks up -----------------------------------------------------------------------------------

    def _ask(self, path: str, data: bytes) -> Step:
        return self._operator.ask(self._operator.somebody(self._rng), path, data)

    def _ask_until_taken(self, path: str, data: bytes) -> Part[Answer]:
        """Ask somebody, and again a little later while the cluster is not well enough for it."""
        answer = yield self._ask(path, data)
        for _ in range(_TRIES):
            if answer.outcome == OK or not _is_refusal(answer) or self._operator.is_resting:
                break
            self._strikes.hit("members.refused")
            yield _PAUSE_S
            answer = yield self._ask(path, data)
        return answer

    def _members(self) -> Part[list[Member] | None]:
        """The members, by a linearizable answer; None if there is none."""
        data = MemberListRequest(linearizable=True).SerializeToString()
        for _ in range(_TRIES):
            answer = yield self._ask("/etcdserverpb.Cluster/MemberList", data)
            if answer.outcome == OK:
                return list(MemberListResponse.FromString(answer.data).members)
            yield _PAUSE_S
        return None

    def _id_of(self, url: str) -> Part[ServerId | None]:
        """The member at a peer URL."""
        members = yield from self._members()
        return next((member.ID for member in members or () if url in member.peerURLs), None)

    def _learner(self) -> ServerId | None:
        leader = self._simulation.leader()
        learners = leader.process.node.configuration.learners if leader and leader.process else ()
        return min(learners, default=None)

    def _leads(self, server_id: ServerId) -> bool:
        leader = self._simulation.leader()
        return leader is not None and leader.server_id == server_id


def _is_refusal(answer: Answer) -> bool:
    """Whether the cluster was not well enough for what was asked."""
    return any(message in answer.error for message in _REFUSALS)
