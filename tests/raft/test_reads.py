"""Reads: limits, leaks, and answers that must not be mistaken."""

import msgspec
from tests.support.raft_server import server

from oarlock.raft.messages import AppendEntries, PreVote, PreVoteReply, ReadIndex, RequestVote, RequestVoteReply
from oarlock.raft.ready import ReadState
from oarlock.raft.types import Configuration, Entry, EntryKind


def follower_of(leader_id: int = 2, **state: object):
    """A follower that has heard its leader."""
    follower = server(term=2, **state)
    follower.step(AppendEntries(leader_id, 2, 1, 0, 0, 0), 0.0)
    return follower


def ask(asker, context: int) -> int:
    """Ask for a read index; gives the id of the request that went to the leader."""
    asker.raft.read_index(context, 0.0)
    ((to, request),) = asker.settle()
    assert to == asker.state.leader_id
    assert request == ReadIndex(1, asker.state.current_term, request.request_id, context)
    return request.request_id


def test_lost_reads_do_not_use_up_the_limit() -> None:
    """FC-4, RI-1: requests or answers that are lost make room for later reads, however long a leader stays."""
    follower = follower_of(max_pending_reads=2)
    for context in (1, 2, 3):
        ask(follower, context)
    assert follower.reads == [ReadState(1, None)]
    assert "FC-4" in follower.rules()
    assert list(follower.state.forwarded_reads) == [2, 3]


def test_a_new_term_of_the_same_leader_ends_forwarded_reads() -> None:
    """RS-1, RI-1: answers of the old term would be dropped, so reads forwarded in it are to be tried anew at once."""
    follower = follower_of()
    ask(follower, 1)
    follower.step(AppendEntries(2, 3, 9, 0, 0, 0))
    assert follower.reads == [ReadState(1, None)]
    assert not follower.state.forwarded_reads


def test_a_restart_does_not_end_the_promise_behind_a_lease() -> None:
    """LS-1, CQ-2: a follower that confirmed a lease, crashed and is back grants no vote before that lease has ended."""
    follower = server(term=2, lease_reads=True)
    follower.step(AppendEntries(2, 2, 1, 0, 0, 0), 10.0)
    follower.start(10.1)
    assert follower.step(PreVote(3, 3, 7, 9, 9), 10.9) == [(3, PreVoteReply(1, 2, 7, vote_granted=False))]
    assert follower.step(RequestVote(3, 3, 8, 9, 9), 11.0) == []
    assert follower.step(PreVote(3, 3, 9, 9, 9), 11.2) == [(3, PreVoteReply(1, 3, 9, vote_granted=True))]
    assert follower.step(RequestVote(3, 3, 10, 9, 9), 11.2) == [(3, RequestVoteReply(1, 3, 10, vote_granted=True))]


def test_a_first_start_promised_nothing() -> None:
    """LS-1: a server that never followed anybody, or runs without leases, votes at once."""
    for new in (server(lease_reads=True), server(term=2)):
        assert new.step(RequestVote(3, 3, 8, 9, 9), 0.1) == [(3, RequestVoteReply(1, 3, 8, vote_granted=True))]


def test_news_of_a_later_term_does_not_end_the_promise_behind_a_lease() -> None:
    """LS-1, CQ-2: a follower that learns of a later term, by whatever message, votes in none before the lease ends."""
    for later in (
        PreVoteReply(3, 3, 5, vote_granted=False),
        RequestVoteReply(3, 3, 5, vote_granted=False),
        ReadIndex(3, 3, 5, 1),
    ):
        follower = server(term=2, lease_reads=True)
        follower.step(AppendEntries(2, 2, 1, 0, 0, 0), 10.0)
        follower.step(later, 10.1)
        assert follower.state.current_term == 3
        assert follower.step(PreVote(3, 4, 7, 9, 9), 10.9) == [(3, PreVoteReply(1, 3, 7, vote_granted=False))]
        assert follower.step(RequestVote(3, 3, 8, 9, 9), 10.9) == [], "of the very term that it learnt of"
        assert follower.step(RequestVote(3, 4, 9, 9, 9), 10.9) == []
        follower.start(10.95)
        assert follower.step(RequestVote(3, 3, 10, 9, 9), 11.5) == [], "a restart changes nothing"
        assert follower.step(RequestVote(3, 3, 11, 9, 9), 12.0) == [(3, RequestVoteReply(1, 3, 11, vote_granted=True))]


def test_a_voter_left_alone_waits_for_the_lease_it_confirmed() -> None:
    """LS-1, MC-1: the last of two voters, restarted before its partner's removal is known to be committed, must wait.

    The partner may be reading under the lease that this server has confirmed.
    """
    alone = Configuration(voters=frozenset({1}))
    entry = Entry(1, 2, EntryKind.CONFIGURATION, msgspec.msgpack.encode(alone))
    for lease_reads, waits in ((True, True), (False, False)):
        follower = server((1, 2), term=2, lease_reads=lease_reads)
        follower.step(AppendEntries(2, 2, 1, 0, 0, 0, (entry,)), 10.0)
        follower.start(10.1)
        follower.tick(10.2)
        assert (follower.state.leader is None) is waits
        follower.tick(10.1 + 2 * follower.state.config.election_timeout)
        assert follower.state.leader is not None
