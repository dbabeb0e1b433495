"""Reads: limits, leaks, and answers that must not be mistaken."""

from tests.support.raft_server import server

from oarlock.raft.messages import AppendEntries, ReadIndex
from oarlock.raft.ready import ReadState


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
