"""What must hold in one server at all times, and between any two moments: run in debug and in every simulation."""

from typing import NamedTuple

from oarlock.raft.state import InvariantViolation, RaftState, Role
from oarlock.raft.types import DiskId, Index, ServerId, Term


class Moment(NamedTuple):
    """What a later state is compared with."""

    current_term: Term
    voted_for: ServerId | None
    commit_index: Index
    last_applied: Index
    role: Role
    last_index: Index
    match_index: list[tuple[ServerId, DiskId, Index]]


def moment(state: RaftState) -> Moment:
    """The present, for a comparison to come."""
    leader = state.leader
    return Moment(
        state.current_term,
        state.voted_for,
        state.commit_index,
        state.last_applied,
        state.role,
        state.log.last_index,
        [(peer, each.disk_id, each.match_index) for peer, each in leader.peers.items()] if leader is not None else [],
    )


def check(state: RaftState, before: Moment | None = None) -> None:
    """Check the state, and the step from `before` to it.

    Raises:
        InvariantViolation: Names the server and what does not hold.
    """
    claim = _broken_by_state(state)
    if claim is None and before is not None:
        claim = _broken_by_step(state, before)
    if claim is not None:
        raise InvariantViolation(f"server {state.server_id} in term {state.current_term}: not true that {claim}")


def _broken_by_state(state: RaftState) -> str | None:
    log, role, leader = state.log, state.role, state.leader
    last_index, commit_index = log.last_index, state.commit_index
    if not log.base_index <= commit_index <= last_index:
        return "base_index <= commit_index <= last_index"
    if not state.last_applied <= state.handed_to_apply <= commit_index:
        return "last_applied <= handed <= commit_index"
    if log.durable_index > last_index:
        return "durable_index <= last_index"
    if log.last_term > state.current_term:
        return "no entry is of a term to come"
    if (leader is not None) is not (role is Role.LEADER):
        return "leader state exists only while leader"
    if (state.candidate is not None) is not (role in (Role.CANDIDATE, Role.PRE_CANDIDATE)):
        return "candidate state exists only while candidate"
    if role in (Role.CANDIDATE, Role.LEADER) and state.voted_for != state.server_id:
        return "a candidate or leader voted for itself"
    if leader is not None:
        for progress in leader.peers.values():
            if progress.match_index >= progress.next_index:
                return "match_index < next_index"
            if progress.match_index > last_index:
                return "match_index <= last_index"
    return None


def _broken_by_step(state: RaftState, before: Moment) -> str | None:
    same_term = state.current_term == before.current_term
    stayed_leader = same_term and state.role is Role.LEADER and before.role is Role.LEADER
    if state.current_term < before.current_term:
        return "current_term never falls"
    if same_term and before.voted_for is not None and state.voted_for != before.voted_for:
        return "a vote is never changed within its term"
    if state.commit_index < before.commit_index:
        return "commit_index never falls"
    if state.last_applied < before.last_applied:
        return "last_applied never falls"
    if stayed_leader and state.log.last_index < before.last_index:
        return "a leader only appends to its log"
    if same_term and before.role is Role.LEADER and state.role is Role.CANDIDATE:
        return "a leader does not campaign"
    if stayed_leader and state.leader is not None:
        for peer, disk_id, match_index in before.match_index:
            progress = state.leader.peers.get(peer)
            fell = progress is not None and progress.match_index < match_index and progress.disk_id == disk_id
            if fell and peer not in state.lost_data:
                return "match_index never falls, unless data were lost or the disk is another"
    return None
