"""Roles: the table of legal changes holds, and nothing of an old role is left in a new one."""

import itertools

import pytest
from tests.support.raft_server import append_entries, leader, server

from oarlock.raft import invariants
from oarlock.raft.messages import TimeoutNow
from oarlock.raft.roles import TRANSITIONS, become_candidate, become_follower, become_leader, become_pre_candidate
from oarlock.raft.state import InvariantViolation, Role


def in_role(role: Role):
    """A server in this role."""
    if role is Role.LEADER:
        return leader()
    one = server(pre_vote=role is Role.PRE_CANDIDATE)
    if role is not Role.FOLLOWER:
        one.time_out()
    assert one.state.role is role
    return one


def become(state, role: Role) -> None:
    """Try to change."""
    match role:
        case Role.FOLLOWER:
            become_follower(state, state.current_term + 1, None)
        case Role.PRE_CANDIDATE:
            become_pre_candidate(state)
        case Role.CANDIDATE:
            become_candidate(state)
        case Role.LEADER:
            become_leader(state)


@pytest.mark.parametrize(("old", "new"), list(itertools.product(Role, Role)))
def test_only_listed_changes_happen(old: Role, new: Role) -> None:
    """C-2, F-2: a follower cannot lead unelected, a leader does not campaign; the rest as TRANSITIONS says."""
    state = in_role(old).state
    if (old, new) not in TRANSITIONS:
        with pytest.raises(InvariantViolation, match=f"cannot turn from {old.value} to {new.value}"):
            become(state, new)
    else:
        become(state, new)
        assert state.role is new
        assert (state.leader is not None) is (new is Role.LEADER)
        assert (state.candidate is not None) is (new in (Role.CANDIDATE, Role.PRE_CANDIDATE))
        invariants.check(state)


def test_the_term_does_not_fall() -> None:
    """ALL-2, K3: following in an older term is impossible."""
    with pytest.raises(InvariantViolation, match="term would fall from 3 to 2"):
        become_follower(server(term=3).state, 2, None)


def broken(**changes: object):
    """A sound state, and one with something changed."""
    one = leader(log=[1, 1], term=1, applied=1)
    before = invariants.moment(one.state)
    for name, value in changes.items():
        setattr(one.state, name, value)
    return one.state, before


@pytest.mark.parametrize(
    ("changes", "claim"),
    [
        ({"commit_index": 9}, "base_index <= commit_index <= last_index"),
        ({"last_applied": 2}, "last_applied <= handed <= commit_index"),
        ({"current_term": 1}, "no entry is of a term to come"),
        ({"leader": None}, "leader state exists only while leader"),
        ({"role": Role.CANDIDATE}, "leader state exists only while leader"),
        ({"voted_for": 3}, "a candidate or leader voted for itself"),
        (
            {"current_term": 3, "voted_for": 1, "commit_index": 0, "handed_to_apply": 0, "last_applied": 0},
            "commit_index never falls",
        ),
    ],
)
def test_an_impossible_state_is_seen(changes: dict[str, object], claim: str) -> None:
    """V-1, SP-2, C-1b: the invariants name what does not hold, and the server."""
    state, before = broken(**changes)
    with pytest.raises(InvariantViolation, match=f"server 1 in term .: not true that {claim}"):
        invariants.check(state, before)


def test_an_impossible_step_is_seen() -> None:
    """P-1, L-3a, SP-2: the vote of a term is not changed, match_index and a leader's log do not shrink."""
    one = server(term=2, vote=3)
    before = invariants.moment(one.state)
    one.state.voted_for = 2
    with pytest.raises(InvariantViolation, match="a vote is never changed within its term"):
        invariants.check(one.state, before)
    one = leader(log=[1], term=1)
    one.state.leader.peers[2].match_index = 1
    before = invariants.moment(one.state)
    one.state.leader.peers[2].match_index = 0
    with pytest.raises(InvariantViolation, match="match_index never falls"):
        invariants.check(one.state, before)
    one.state.leader.peers[2].match_index = 1
    one.state.log.truncate_from(2)
    with pytest.raises(InvariantViolation, match="a leader only appends to its log"):
        invariants.check(one.state, before)


def test_nothing_is_committed_past_the_log() -> None:
    """L-4, AE-5: such a commit_index would be an error elsewhere; it stops the server."""
    with pytest.raises(InvariantViolation, match="would commit 3 past its log's 2"):
        server(log=[1, 1]).state.commit_to(3)


def test_a_candidate_knows_no_leader_even_where_the_leader_asked_for_the_campaign() -> None:
    """C-1: who campaigns at once, without a pre-vote, sends nobody to the leader that it is about to replace."""
    successor = server(term=1)
    successor.step(append_entries(1))
    assert successor.state.leader_id == 2
    successor.step(TimeoutNow(2, 1, 50))
    assert successor.state.role is Role.CANDIDATE
    assert successor.state.leader_id is None
