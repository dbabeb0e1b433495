"""What must hold in one server at all times, and between any two moments: run in debug and in every simulation."""

from dataclasses import dataclass

from oarlock.raft.state import InvariantViolation, RaftState, Role
from oarlock.raft.types import Index, ServerId, Term


@dataclass(frozen=True, slots=True)
class Moment:
    """What a later state is compared with."""

    current_term: Term
    voted_for: ServerId | None
    commit_index: Index
    last_applied: Index
    role: Role
    last_index: Index
    match_index: tuple[tuple[ServerId, Index], ...]


def moment(state: RaftState) -> Moment:
    """The present, for a comparison to come."""
    peers = state.leader.peers.items() if state.leader else ()
    return Moment(
        state.current_term,
        state.voted_for,
        state.commit_index,
        state.last_applied,
        state.role,
        state.log.last_index,
        tuple((peer, progress.match_index) for peer, progress in peers),
    )


def check(state: RaftState, before: Moment | None = None) -> None:
    """Check the state, and the step from `before` to it.

    Raises:
        InvariantViolation: Names the server and what does not hold.
    """
    for holds, claim in _state_claims(state):
        _require(state, holds, claim)
    if before is not None:
        for holds, claim in _step_claims(state, before):
            _require(state, holds, claim)


def _require(state: RaftState, holds: bool, claim: str) -> None:
    if not holds:
        raise InvariantViolation(f"server {state.server_id} in term {state.current_term}: not true that {claim}")


def _state_claims(state: RaftState) -> list[tuple[bool, str]]:
    log = state.log
    claims = [
        (log.base_index <= state.commit_index <= log.last_index, "base_index <= commit_index <= last_index"),
        (
            state.last_applied <= state.handed_to_apply <= state.commit_index,
            "last_applied <= handed <= commit_index",
        ),
        (log.durable_index <= log.last_index, "durable_index <= last_index"),
        (log.last_term <= state.current_term, "no entry is of a term to come"),
        ((state.leader is not None) is (state.role is Role.LEADER), "leader state exists only while leader"),
        (
            (state.candidate is not None) is (state.role in (Role.CANDIDATE, Role.PRE_CANDIDATE)),
            "candidate state exists only while candidate",
        ),
        (
            state.role not in (Role.CANDIDATE, Role.LEADER) or state.voted_for == state.server_id,
            "a candidate or leader voted for itself",
        ),
    ]
    if state.leader is not None:
        for progress in state.leader.peers.values():
            claims.append((progress.match_index < progress.next_index, "match_index < next_index"))
            claims.append((progress.match_index <= log.last_index, "match_index <= last_index"))
    return claims


def _step_claims(state: RaftState, before: Moment) -> list[tuple[bool, str]]:
    same_term = state.current_term == before.current_term
    stayed_leader = same_term and state.role is Role.LEADER and before.role is Role.LEADER
    claims = [
        (state.current_term >= before.current_term, "current_term never falls"),
        (
            not same_term or before.voted_for is None or state.voted_for == before.voted_for,
            "a vote is never changed within its term",
        ),
        (state.commit_index >= before.commit_index, "commit_index never falls"),
        (state.last_applied >= before.last_applied, "last_applied never falls"),
        (not stayed_leader or state.log.last_index >= before.last_index, "a leader only appends to its log"),
        (
            not (same_term and before.role is Role.LEADER and state.role is Role.CANDIDATE),
            "a leader does not campaign",
        ),
    ]
    if stayed_leader and state.leader is not None:
        for peer, match_index in before.match_index:
            progress = state.leader.peers.get(peer)
            fell = progress is not None and progress.match_index < match_index
            claims.append((not fell or peer in state.lost_data, "match_index never falls, unless data were lost"))
    return claims
