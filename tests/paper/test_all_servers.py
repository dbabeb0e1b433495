"""Figure 2, Rules for Servers, all servers: ALL-1 and ALL-2."""

import pytest
from tests.support.raft_server import append_entries, leader, server, success

from oarlock.raft.messages import (
    AppendEntriesReply,
    InstallSnapshot,
    InstallSnapshotReply,
    PreVote,
    PreVoteReply,
    ReadIndex,
    ReadIndexReply,
    RequestVote,
    RequestVoteReply,
)
from oarlock.raft.types import HardState, SnapshotMetadata

NEWER = {
    "AppendEntries": append_entries(9, (5, 5)),
    "AppendEntriesReply": AppendEntriesReply(2, 9, 7, success=True, match_index=5),
    "RequestVote": RequestVote(2, 9, 7, 0, 0),
    "RequestVoteReply": RequestVoteReply(2, 9, 7, vote_granted=True),
    "PreVoteReply, refused": PreVoteReply(2, 9, 7, vote_granted=False),
    "InstallSnapshot": InstallSnapshot(2, 9, 7, SnapshotMetadata(1, 1), 64, b"", done=False),
    "InstallSnapshotReply": InstallSnapshotReply(2, 9, 7, 5, 0, done=True),
    "ReadIndex": ReadIndex(2, 9, 7, 1),
    "ReadIndexReply": ReadIndexReply(2, 9, 7, 1, 5),
}
"""Every kind of message, of a newer term."""


def test_committed_entries_are_applied_in_order() -> None:
    """ALL-1, G12, T3: all that is committed is applied, each index once, in order, and nothing else."""
    follower = server(term=1, log=[1, 1, 1, 1])
    follower.step(append_entries(1, (4, 1), commit=2))
    assert follower.machine == [b"1:1:1@1", b"1:1:2@1"]
    assert follower.state.last_applied == 2
    follower.step(append_entries(1, (4, 1), commit=4))
    assert follower.machine == [b"1:1:1@1", b"1:1:2@1", b"1:1:3@1", b"1:1:4@1"]
    assert [operands for rule, operands in follower.fired if rule == "ALL-1"] == [(1, 2), (3, 4)]


def test_nothing_is_applied_without_news_of_commitment() -> None:
    """ALL-1: entries that are in the log but not committed stay there."""
    follower = server(term=1, log=[1, 1])
    follower.step(append_entries(1, (2, 1), [1]))
    assert follower.machine == []
    assert "ALL-1" not in follower.rules()


def test_commitment_is_applied_without_another_message() -> None:
    """ALL-1, G13, T4: a leader applies in the very step in which the deciding reply came."""
    sender = leader()
    request_id = sender.state.request_counter
    sender.step(AppendEntriesReply(2, 1, request_id, success=True, match_index=1))
    assert sender.machine == [b"1:0:"]


@pytest.mark.parametrize("message", NEWER.values(), ids=NEWER.keys())
@pytest.mark.parametrize("role", ["follower", "pre_candidate", "candidate", "leader"])
def test_a_newer_term_is_adopted(role: str, message) -> None:
    """ALL-2, K2: in any role, from any message; the vote is cleared, and term and role change as one."""
    one = server(pre_vote=role == "pre_candidate", check_quorum=False)
    if role == "leader":
        one = leader(check_quorum=False)
    elif role != "follower":
        one.time_out()
    assert one.state.role.value == role
    one.step(message)
    assert "ALL-2" in one.rules()
    state = one.state
    assert (state.current_term, state.role.value) == (9, "follower")
    assert state.voted_for == (2 if isinstance(message, RequestVote) and role != "leader" else None)
    assert one.disk.hard_state == HardState(9, state.voted_for)
    assert state.leader is None
    assert state.candidate is None


def test_a_request_of_a_newer_term_is_handled_in_that_term() -> None:
    """ALL-2, G4: voted in term 3, a candidate of term 4 is not refused for that vote."""
    voter = server(term=3, vote=3)
    assert voter.step(RequestVote(2, 4, 7, 0, 0)) == [(2, RequestVoteReply(1, 4, 7, vote_granted=True))]
    assert voter.step(append_entries(5, (0, 0), [5])) == [success(5, 1)]


@pytest.mark.parametrize(
    "message",
    [PreVote(2, 9, 7, 0, 0), PreVoteReply(2, 9, 7, vote_granted=True)],
    ids=["question", "grant"],
)
def test_a_pre_votes_term_is_only_a_question(message) -> None:
    """ALL-2, PV-1: the term of a pre-vote, and of its grant, is not yet anybody's."""
    one = server(term=2)
    before = one.facts()
    one.step(message)
    assert one.changes(before) == {}
    assert "ALL-2" not in one.rules()


def test_the_same_term_keeps_the_vote() -> None:
    """ALL-2 (CCF issue 8094): stepping down within a term clears nothing: the vote stands."""
    candidate = server(pre_vote=False)
    candidate.time_out()
    candidate.step(append_entries(1))
    assert (candidate.state.role.value, candidate.state.voted_for) == ("follower", 1)
    assert candidate.step(RequestVote(3, 1, 8, 9, 1)) == [(3, RequestVoteReply(1, 1, 8, vote_granted=False))]
    assert "ALL-2" not in candidate.rules()


def test_a_stale_reply_changes_nothing() -> None:
    """RS-1, G14, G18: a reply of an older term, or to no request of this leader, or from nobody, is dropped."""
    sender = leader(term=4, log=[4, 4])
    sender.beat()
    before = sender.facts()
    newest, first = sender.state.request_counter, sender.state.leader.first_request_id
    stale = [
        AppendEntriesReply(2, 4, newest, success=True, match_index=3),
        AppendEntriesReply(2, 4, newest, success=False, prev_log_index=2, conflict_index=1),
        AppendEntriesReply(2, 5, newest + 1, success=True, match_index=3),
        AppendEntriesReply(2, 5, first, success=True, match_index=3),
        AppendEntriesReply(2, 5, newest, success=True, match_index=99),
        AppendEntriesReply(9, 5, newest, success=True, match_index=3),
        AppendEntriesReply(1, 5, newest, success=True, match_index=3),
        InstallSnapshotReply(2, 5, newest, 3, 0, done=True),
        RequestVoteReply(2, 5, newest, vote_granted=True),
        ReadIndexReply(2, 5, newest, 1, 3),
    ]
    for message in stale:
        sender.forget_rules()
        assert sender.step(message) == []
        assert sender.changes(before) == {}
        assert sender.rules() == {"RS-1"}, message


def test_nobody_hears_itself() -> None:
    """RS-1: a message that claims to come from this very server, looped back or from an impostor, changes nothing."""
    sender = leader()
    before = sender.facts()
    sender.forget_rules()
    for echo in (append_entries(1, (0, 0), [1], source=1), RequestVote(1, 9, 7, 9, 9), ReadIndex(1, 1, 7, 1)):
        assert sender.step(echo) == []
    assert sender.changes(before) == {}
    assert sender.rules() == {"RS-1"}
