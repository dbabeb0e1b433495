"""Handing over leadership (dissertation 3.10; LT-1 to LT-5), forgetting it (FL-1), reads under a lease (LS-1, LS-2)."""

import pytest
from tests.support.raft_cluster import Cluster
from tests.support.raft_server import accepted, append_entries, leader, server

from oarlock.raft.messages import AppendEntries, PreVote, ReadIndex, ReadIndexReply, RequestVote, TimeoutNow
from oarlock.raft.ready import ReadState
from oarlock.raft.state import NotLeader, Role


def settled_leader(**settings: object):
    """A leader of three that has committed its no-op at index 1."""
    sender = leader((1, 2, 3), **settings)
    for peer in (2, 3):
        sender.step(accepted(sender, peer, 1))
    assert sender.state.commit_index == 1
    sender.forget_rules()
    return sender


def transfer(sender, to: int):
    """Ask for a transfer; gives what was sent."""
    sender.raft.transfer_leadership(to, sender.state.now)
    return sender.settle()


def test_a_leader_that_hands_over_takes_no_commands() -> None:
    """LT-1: they would be lost on the successor's clock; the refusal names the successor."""
    sender = settled_leader()
    sender.raft.propose([b"x"])
    sender.settle()
    transfer(sender, 2)
    with pytest.raises(NotLeader) as refusal:
        sender.raft.propose([b"y"])
    assert refusal.value.leader_id == 2
    assert "LT-1" in sender.rules()
    assert "LT-2" not in sender.rules()


def test_the_successor_campaigns_once_its_log_is_complete() -> None:
    """LT-2: TimeoutNow waits for the successor's match_index to reach the end of the log."""
    sender = settled_leader()
    sender.raft.propose([b"x"])
    sender.settle()
    assert not [message for _, message in transfer(sender, 2) if isinstance(message, TimeoutNow)]
    sent = sender.step(accepted(sender, 2, 2))
    assert [to for to, message in sent if isinstance(message, TimeoutNow)] == [2]
    assert "LT-2" in sender.rules()


def test_timeout_now_starts_a_campaign_that_a_live_leader_does_not_stop() -> None:
    """LT-3: no pre-vote, and a vote from those who have just heard the leader."""
    successor = server(term=1)
    successor.step(append_entries(1))
    sent = successor.step(TimeoutNow(2, 1, 50))
    assert successor.state.role is Role.CANDIDATE
    assert [message.disrupt_leader for _, message in sent if isinstance(message, RequestVote)] == [True, True]
    assert "LT-3" in successor.rules()
    voter = server(term=1)
    voter.step(append_entries(1))
    request = RequestVote(3, 2, 60, 0, 0, disrupt_leader=True)
    assert [message.vote_granted for _, message in voter.step(request)] == [True]


def test_timeout_now_of_an_older_term_is_ignored() -> None:
    """LT-3: only today's leader may ask for a campaign."""
    follower = server(term=3)
    assert follower.step(TimeoutNow(2, 2, 50)) == []
    assert follower.state.role is Role.FOLLOWER
    assert follower.state.current_term == 3


def test_a_transfer_that_takes_too_long_is_given_up() -> None:
    """LT-4: after an election timeout the leader takes commands again."""
    sender = settled_leader()
    transfer(sender, 2)
    for _ in range(30):
        sender.beat()
        sender.step(accepted(sender, 3, 1))
        if "LT-4" in sender.rules():
            break
    assert sender.state.role is Role.LEADER
    sender.raft.propose([b"y"])


def test_only_another_voter_can_succeed() -> None:
    """A transfer to oneself, or to a server without a vote, is refused."""
    sender = settled_leader()
    for to in (1, 9):
        with pytest.raises(ValueError, match="not another voter"):
            transfer(sender, to)


def test_a_transfer_in_a_cluster_takes_no_election_timeout() -> None:
    """LT-1 to LT-3: the asked server leads next, in the next term, after messages alone."""
    cluster = Cluster(3)
    first = cluster.elect()
    term = first.state.current_term
    successor = next(server_id for server_id in cluster.servers if server_id != first.id)
    assert cluster.propose()
    assert cluster.transfer(successor)
    cluster.run_until(lambda: cluster[successor].state.role is Role.LEADER, limit=0.1)
    assert cluster[successor].state.current_term == term + 1


def leased_leader():
    """A leader that reads under leases, and whose lease a quorum has just renewed."""
    sender = settled_leader(lease_reads=True)
    sender.beat()
    sender.step(accepted(sender, 2, 1))
    return sender


def test_a_read_within_the_lease_needs_no_round() -> None:
    """LS-1: answered at once, without a message."""
    sender = leased_leader()
    sender.raft.read_index(5, sender.state.now)
    assert sender.settle() == []
    assert sender.reads == [ReadState(5, 1)]
    assert "LS-1" in sender.rules()


def test_a_reader_may_do_without_the_lease() -> None:
    """LS-1: a read that trusts no clock takes a round within the lease too, here or forwarded by a follower."""
    sender = leased_leader()
    sender.raft.read_index(5, sender.state.now, may_use_lease=False)
    sent = sender.settle()
    assert sender.reads == []
    assert [type(message) for _, message in sent] == [AppendEntries, AppendEntries]
    term = sender.state.current_term
    strict = sender.step(ReadIndex(3, term, 9, 6, may_use_lease=False))
    assert ReadIndexReply not in {type(message) for _, message in strict}
    assert ReadIndexReply in {type(message) for _, message in sender.step(ReadIndex(3, term, 10, 7))}
    answered = sender.step(accepted(sender, 2, 1))
    assert [read.context for read in sender.reads] == [5]
    assert [message.context for _, message in answered if isinstance(message, ReadIndexReply)] == [6]


def test_a_lease_is_shorter_than_an_election_timeout_by_the_drift_and_counts_from_the_sending() -> None:
    """LS-1: past it, the read takes a round."""
    sender = leased_leader()
    config = sender.config
    assert sender.state.leader.lease_until == pytest.approx(
        sender.state.now + config.election_timeout * (1 - config.max_clock_drift)
    )
    sender.raft.read_index(5, sender.state.leader.lease_until)
    sent = sender.settle()
    assert sender.reads == []
    assert [type(message) for _, message in sent] == [AppendEntries, AppendEntries]


def test_a_leader_that_handed_over_has_no_lease() -> None:
    """LS-2: its successor may lead already (etcd issue 12704); not even a transfer given up brings a lease back."""
    sender = leased_leader()
    transfer(sender, 2)
    sender.raft.read_index(5, sender.state.now)
    sender.settle()
    assert sender.reads == []
    sender.beat()
    sender.step(accepted(sender, 3, 1))
    assert sender.state.leader.lease_until < sender.state.now
    assert "LS-2" in sender.rules()


def test_a_follower_that_forgets_its_leader_votes_at_once() -> None:
    """FL-1: else it refuses even to say that it would vote; the leader's next word makes it known again."""
    follower = server(term=1)
    follower.step(append_entries(1))
    assert [message.vote_granted for _, message in follower.step(PreVote(3, 2, 60, 0, 0))] == [False]
    assert follower.step(RequestVote(3, 2, 61, 0, 0)) == []
    timer = follower.raft.election_deadline()
    follower.raft.forget_leader()
    assert follower.state.leader_id is None
    assert (follower.state.current_term, follower.raft.election_deadline()) == (1, timer)
    assert "FL-1" in follower.rules()
    follower.step(append_entries(1))
    assert follower.state.leader_id == 2
    follower.raft.forget_leader()
    assert [message.vote_granted for _, message in follower.step(PreVote(3, 2, 62, 0, 0))] == [True]
    assert [message.vote_granted for _, message in follower.step(RequestVote(3, 2, 63, 0, 0))] == [True]


def test_only_a_follower_that_has_a_leader_forgets_it() -> None:
    """FL-1: to a leader, a candidate, and a follower that knows of no leader it means nothing."""
    sender = settled_leader()
    sender.raft.forget_leader()
    assert (sender.state.role, sender.state.leader_id) == (Role.LEADER, 1)
    candidate = server(term=1)
    candidate.raft.forget_leader()
    candidate.time_out()
    candidate.raft.forget_leader()
    assert candidate.state.role in (Role.PRE_CANDIDATE, Role.CANDIDATE)
    assert not {"FL-1"} & (sender.rules() | candidate.rules())


def test_a_promised_lease_outlives_forgetting() -> None:
    """FL-1, LS-1: the leader may answer reads by what this follower confirmed, so it votes for nobody until then."""
    follower = server(term=1, lease_reads=True)
    follower.step(append_entries(1), 100.0)
    follower.raft.forget_leader()
    assert follower.state.leader_id is None
    end = 100.0 + follower.state.config.election_timeout
    for now, is_free in ((100.0, False), (end - 0.001, False), (end, True)):
        assert [message.vote_granted for _, message in follower.step(PreVote(3, 2, 60, 0, 0), now)] == [is_free]
    assert follower.step(RequestVote(3, 2, 61, 0, 0), end - 0.001) == []
    assert follower.state.current_term == 1
