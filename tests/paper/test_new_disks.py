"""A server whose disk was replaced has forgotten what it promised: NS-1, NS-2."""

import pytest
from tests.support.raft_cluster import Cluster
from tests.support.raft_server import append_entries, server, success

from oarlock.raft.messages import PreVote, RequestVote
from oarlock.raft.state import Role


def test_a_new_disk_votes_for_no_log() -> None:
    """NS-1: whoever has a log may lack what this server once acknowledged; its vote, and its pre-vote, are refused."""
    voter = server(is_new=True)
    for request in (PreVote(2, 3, 7, 5, 2), RequestVote(2, 3, 8, 5, 2)):
        assert [message.vote_granted for _, message in voter.step(request)] == [False]
    assert "NS-1" in voter.rules()
    assert voter.state.voted_for is None


def test_a_new_cluster_elects_its_first_leader() -> None:
    """NS-1: when a cluster begins all logs are empty, and such a log gets every vote."""
    voter = server(is_new=True)
    for request in (PreVote(2, 1, 7, 0, 0), RequestVote(2, 1, 8, 0, 0)):
        assert [message.vote_granted for _, message in voter.step(request)] == [True]
    assert "NS-1" not in voter.rules()


def test_a_new_disk_with_a_part_of_the_log_does_not_campaign() -> None:
    """NS-1: a vote for itself would be one for a log that may lack something."""
    follower = server(is_new=True)
    follower.step(append_entries(1, terms=[1, 1]))
    assert follower.time_out() == []
    assert follower.state.role is Role.FOLLOWER


def test_a_new_disk_counts_again_with_what_a_leader_committed() -> None:
    """NS-2: an entry of the leader's own term, committed, and with it all that was ever committed, is in its log."""
    follower = server(is_new=True)
    follower.step(append_entries(3, terms=[1, 2], commit=2))
    assert follower.state.is_new
    assert follower.step(append_entries(3, (2, 2), [3], commit=2)) == [success(3, 3)]
    assert follower.state.is_new
    follower.step(append_entries(3, (3, 3), commit=3))
    assert not follower.state.is_new
    assert "NS-2" in follower.rules()


def test_a_new_disk_with_a_part_of_what_is_committed_stays_new() -> None:
    """NS-2: what the leader committed in its own term may rest on what was forgotten, so all of that must be there."""
    follower = server(is_new=True)
    follower.step(append_entries(3, terms=[3], commit=3))
    assert follower.state.is_new
    follower.step(append_entries(3, (1, 3), [3, 3], commit=3))
    assert not follower.state.is_new


@pytest.mark.parametrize("candidate", [2, 3])
def test_a_new_disk_that_began_the_log_is_not_new(candidate: int) -> None:
    """NS-2: the disk voted for the leader with whose term the log begins, so it has been there from the start."""
    follower = server(is_new=True)
    follower.step(RequestVote(candidate, 1, 8, 0, 0))
    follower.step(append_entries(1, terms=[1]))
    assert follower.state.is_new is (candidate == 3)


def test_a_new_leader_that_has_committed_is_not_new() -> None:
    """NS-2: the leader is as any other once it has committed; a server alone leads whatever its disk forgot (NS-1)."""
    leader = server([1], is_new=True, log=[1])
    leader.time_out()
    assert leader.state.role is Role.LEADER
    assert not leader.state.is_new


@pytest.mark.parametrize("first_back", [1, 3])
def test_a_replaced_disk_cannot_vote_a_committed_entry_away(first_back: int) -> None:
    """NS-1: committed by servers 1 and 2, and server 2 forgets: it elects nobody alone with one other, whichever."""
    cluster = Cluster(3)
    cluster.campaign(1)
    cluster.converge()
    cluster.crash(3)
    assert cluster.propose()
    cluster.run_until(lambda: cluster[1].state.commit_index == 2)
    for server_id in (1, 2):
        cluster.crash(server_id)
    cluster.down.discard(2)
    cluster[2].wipe(cluster.now)
    cluster.restart(first_back)
    cluster.run_for(20)
    assert cluster.leader is None
    cluster.restart(4 - first_back)
    cluster.elect()
    cluster.converge()
    assert b"c1" in cluster[2].machine[1]
    assert not cluster[2].state.is_new
