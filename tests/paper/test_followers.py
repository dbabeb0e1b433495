"""Figure 2, Rules for Servers, followers: F-1 and F-2."""

import pytest
from tests.support.raft_server import append_entries, server, success

from oarlock.raft.messages import PreVote, RequestVote, RequestVoteReply


def test_leaders_and_candidates_are_answered() -> None:
    """F-1: a follower answers what it is asked, and asks nothing itself."""
    follower = server(term=1)
    assert follower.step(append_entries(1)) == [success(1, 0)]
    assert follower.step(RequestVote(3, 1, 8, 0, 0)) == [(3, RequestVoteReply(1, 1, 8, vote_granted=True))]
    assert [operands for rule, operands in follower.fired if rule == "F-1"] == [(2,), (3,)]


@pytest.mark.parametrize("pre_vote", [False, True])
def test_an_election_timeout_starts_a_campaign(pre_vote: bool) -> None:
    """F-2: nothing before the deadline, a campaign (or the question before it) at the deadline."""
    follower = server(term=1, pre_vote=pre_vote)
    deadline = follower.raft.election_deadline()
    assert follower.tick(deadline - 0.001) == []
    assert "F-2" not in follower.rules()
    assert [(to, type(message).__name__) for to, message in follower.tick(deadline)] == [
        (peer, "PreVote" if pre_vote else "RequestVote") for peer in (2, 3)
    ]
    assert "F-2" in follower.rules()
    assert "C-4" not in follower.rules()


def test_the_current_leader_puts_the_election_off() -> None:
    """F-2: AppendEntries of the current term, empty or even mismatching, restarts the timer."""
    follower = server(term=1)
    for now, prev in [(0.5, (0, 0)), (1.0, (9, 1))]:
        follower.step(append_entries(1, prev), now)
        assert follower.state.last_contact == now
        assert now + 1 <= follower.raft.election_deadline() < now + 2


def test_a_granted_vote_puts_the_election_off() -> None:
    """F-2: who votes for a candidate gives it the time to win."""
    follower = server(term=1)
    follower.step(RequestVote(2, 1, 7, 0, 0), 0.5)
    assert follower.state.last_contact == 0.5


@pytest.mark.parametrize(
    "message",
    [
        RequestVote(2, 2, 7, 1, 1),
        RequestVote(2, 5, 7, 1, 1),
        PreVote(2, 5, 7, 9, 9),
        append_entries(1, (2, 2)),
    ],
    ids=["refused vote", "refused vote of a newer term", "pre-vote", "deposed leader"],
)
def test_nothing_else_puts_the_election_off(message) -> None:
    """F-2, G1, G2: neither a refused candidate nor a deposed leader keeps an up-to-date server from campaigning."""
    follower = server(term=2, vote=3, log=[2, 2])
    deadline = follower.raft.election_deadline()
    follower.step(message, 0.5)
    assert follower.raft.election_deadline() == deadline


def test_waits_are_random() -> None:
    """F-2, B2: each wait is drawn anew, between one and two election timeouts, and differs between servers."""
    follower = server(term=1)
    waits = []
    for _ in range(50):
        follower.step(append_entries(1), 0.0)
        waits.append(follower.raft.election_deadline())
    assert len(set(waits)) == 50
    assert all(1.0 <= wait < 2.0 for wait in waits)
    assert max(waits) - min(waits) > 0.5
    assert server(server_id=2).raft.election_deadline() != server(server_id=3).raft.election_deadline()


def test_who_has_no_vote_does_not_campaign() -> None:
    """F-2: a learner, or a server that is in no configuration yet, waits to be told."""
    stranger = server([2, 3])
    for _ in range(3):
        assert stranger.time_out() == []
    assert stranger.state.role.value == "follower"
    assert not {"F-2", "C-1", "PV-1"} & stranger.rules()
