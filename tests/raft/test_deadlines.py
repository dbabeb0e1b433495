"""Deadlines: a tick at the very moment that the core named does what that moment was named for."""

import random

import pytest
from tests.support.raft_server import Server, accepted, append_entries, leader, refused, server

from oarlock.raft.messages import AppendEntries, AppendEntriesReply, InstallSnapshot, PreVote
from oarlock.raft.ready import Outgoing
from oarlock.raft.types import NO_DISK, Configuration


def test_a_tick_at_the_stall_deadline_finds_the_disk_stalled() -> None:
    """CQ-4, B4: else a clock that jumps from deadline to deadline would tick at one moment for ever."""
    rng = random.Random(0)
    for _ in range(200):
        stalled = leader(check_quorum=False, election_timeout_ms=rng.randint(500, 3000), asynchronous=True)
        stalled.raft.tick(rng.uniform(0, 100))
        stalled.raft.propose([b"x"])
        stalled.run()
        assert stalled.writing
        while stalled.state.leader is not None:
            before = stalled.raft.election_deadline()
            stalled.raft.tick(before)
            assert stalled.state.leader is None or stalled.raft.election_deadline() > before
        assert "CQ-4" in stalled.rules()


def test_a_disk_that_works_through_a_queue_is_not_stalled() -> None:
    """CQ-4: what counts is the last write done, not the oldest one waiting: a deep queue costs no leadership."""
    busy = leader(check_quorum=False, asynchronous=True)
    start = busy.state.now
    for _ in range(4):
        busy.raft.propose([b"x"])
        busy.run()
    for done in (1, 2, 3):
        busy.raft.tick(start + 0.9 * done)
        assert busy.state.leader is not None
        busy.complete_write()
        busy.run()
    assert len(busy.writing) == 1
    assert busy.raft.election_deadline() == start + 0.9 * 3 + 1.0
    busy.raft.tick(start + 0.9 * 3 + 1.0)
    assert busy.state.leader is None


# -- exact moments ---------------------------------------------------------------------------------------------------

START = 16.0
"""A moment from which sums of these tests' times are exact."""


def settled(peers: tuple[int, ...] = (2, 3), **settings: object) -> Server:
    """A leader that has committed its no-op; heartbeats left at `START`, and these followers answered then."""
    one = leader(heartbeat_interval_ms=125, **settings)
    for peer in (2, 3):
        one.step(accepted(one, peer, 1), START - 0.5)
    one.tick(START)
    for peer in peers:
        one.step(accepted(one, peer, 1), START)
    one.forget_rules()
    return one


def entries_to(sent: list[Outgoing], peer: int) -> list[AppendEntries]:
    """AppendEntries for one follower."""
    return [message for to, message in sent if to == peer and isinstance(message, AppendEntries)]


def test_an_election_begins_at_its_deadline() -> None:
    """F-2, B2: not before, be it a moment; the wait is one to two election timeouts."""
    follower = server(term=1)
    follower.step(append_entries(1), START)
    deadline = follower.raft.election_deadline()
    assert 1.0 <= deadline - START < 2.0
    assert follower.tick(deadline - 1e-9) == []
    assert len(follower.tick(deadline)) == 2


def test_a_heartbeat_leaves_at_its_deadline() -> None:
    """L-1: each interval once."""
    one = settled()
    assert one.raft.heartbeat_deadline() == START + 0.125
    assert one.tick(START + 0.124) == []
    assert len(one.tick(START + 0.125)) == 2
    assert one.tick(START + 0.125) == []


def test_news_of_commitment_leaves_at_its_deadline() -> None:
    """FC-5: the first of several commitments sets it, a later one does not put it off; heartbeats do not end it."""
    one = settled(commit_news_delay_ms=62.5)
    for index in (2, 3):
        one.propose(b"x")
        for peer in (2, 3):
            one.step(accepted(one, peer, index), START + 0.03125 * (index - 2))
    assert one.raft.heartbeat_deadline() == START + 0.0625
    assert one.tick(START + 0.0624) == []
    assert [(to, message.leader_commit) for to, message in one.tick(START + 0.0625)] == [(2, 3), (3, 3)]
    assert one.raft.heartbeat_deadline() == START + 0.125


def test_a_majority_is_looked_after_once_in_an_election_timeout() -> None:
    """CQ-1: who answered just an election timeout ago is counted; a moment later, not."""
    for late, stays in ((0.0, True), (0.125, False)):
        one = settled(peers=(2,))
        assert one.raft.election_deadline() == START + 1
        one.tick(START + 0.999)
        assert one.state.leader is not None
        assert one.state.leader.last_quorum_check == START
        one.tick(START + 1 + late)
        assert (one.state.leader is not None) is stays
        if stays:
            assert one.raft.election_deadline() == START + 2


def test_a_probe_counts_as_lost_after_a_heartbeat_interval() -> None:
    """L-3: a follower that answers, but not the probe, is probed again then, not at each answer before."""
    for waited, repeated in ((0.0625, False), (0.125, True)):
        one = leader(log=[1, 1], term=1, heartbeat_interval_ms=125, check_quorum=False)
        one.tick(START)
        one.raft.peer_unreachable(2)
        assert [message.prev_log_index for message in entries_to(one.settle(), 2)] == [2]
        sent = one.step(accepted(one, 2, 0), START + waited)
        assert [message.prev_log_index for message in entries_to(sent, 2)] == ([2] if repeated else [])


def test_entries_count_as_lost_after_half_an_election_timeout() -> None:
    """L-3: what was sent longer ago, while the follower goes on answering, is sent again."""
    for waited, again in ((0.5, False), (0.5625, True)):
        one = settled(check_quorum=False)
        one.propose(b"x")
        sent = one.step(accepted(one, 2, 1), START + waited)
        assert [message.prev_log_index for message in entries_to(sent, 2)] == ([1] if again else [])


def test_a_transfer_is_given_up_at_its_deadline() -> None:
    """LT-4: an election timeout after it began."""
    one = settled(check_quorum=False)
    one.propose(b"x")
    one.raft.transfer_leadership(2, START + 0.5)
    one.settle()
    one.tick(START + 1.4375)
    assert one.state.leader.transfer_to == 2
    one.tick(START + 1.5)
    assert one.state.leader.transfer_to is None
    assert "LT-4" in one.rules()


def test_a_removed_follower_is_served_for_two_election_timeouts() -> None:
    """MC-9: so long it may be away and still learn that it is removed."""
    one = settled(check_quorum=False)
    one.raft.change_membership(Configuration(voters=frozenset({1, 2})))
    one.settle()
    one.step(accepted(one, 2, 2))
    one.tick(START + 2)
    assert sorted(one.state.leader.peers) == [2, 3]
    one.tick(START + 2.125)
    assert sorted(one.state.leader.peers) == [2]


def test_a_chunk_is_asked_for_again_after_its_time() -> None:
    """IS-0: with the first heartbeat that leaves snapshot_retry_ms after it."""
    one = leader(
        log=[1, 1], base=(5, 1), applied=6, heartbeat_interval_ms=125, snapshot_retry_ms=500, check_quorum=False
    )
    one.tick(START)
    ((_, first),) = one.step(refused(one, 2, 7, 0, 3))
    assert isinstance(first, InstallSnapshot)
    for at in (0.125, 0.375):
        assert not [message for _, message in one.tick(START + at) if isinstance(message, InstallSnapshot)]
    (again,) = [message for _, message in one.tick(START + 0.5) if isinstance(message, InstallSnapshot)]
    assert (again.offset, again.request_id > first.request_id) == (first.offset, True)
    assert not [message for _, message in one.tick(START + 0.75) if isinstance(message, InstallSnapshot)]


def test_a_promise_ends_with_an_election_timeout() -> None:
    """LS-1, CQ-2: of a life before, and of a leader heard; at that moment others may ask."""
    follower = server(term=2, lease_reads=True)
    follower.start(START)
    for at, granted in ((START + 0.999, False), (START + 1, True)):
        ((_, answer),) = follower.step(PreVote(3, 3, 7, 9, 9), at)
        assert answer.vote_granted is granted  # type: ignore[union-attr]
    follower.step(append_entries(2), START + 4)
    for at, granted in ((START + 4.999, False), (START + 5, True)):
        ((_, answer),) = follower.step(PreVote(3, 3, 7, 9, 9), at)
        assert answer.vote_granted is granted  # type: ignore[union-attr]


def test_a_lease_counts_from_when_its_round_left() -> None:
    """LS-1: of rounds that a quorum has answered, the last; an answer to the round before renews nothing."""
    one = settled(peers=(), lease_reads=True, max_clock_drift=0.25)
    assert one.state.leader.lease_until <= START
    first = one.state.request_counter
    one.tick(START + 0.125)
    one.step(AppendEntriesReply(2, 1, first, success=True, match_index=1), START + 0.25)
    assert one.state.leader.lease_until == START + 0.75
    one.step(accepted(one, 2, 1), START + 0.375)
    assert one.state.leader.lease_until == START + 0.875
    assert not one.state.leader.lease_rounds
    one.raft.read_index(1, START + 0.8125)
    assert one.settle() == []
    one.raft.read_index(2, START + 0.875)
    assert len(one.settle()) == 2


def test_a_new_disk_is_reported_again_after_ten_election_timeouts() -> None:
    """NS-1: the log says once in a while that two disks take turns."""
    one = settled(check_quorum=False)
    reported = []
    for disk_id, at in ((200, 0), (201, 1), (200, 2), (201, 11), (200, 11.0625)):
        one.raft.step(accepted(one, 2, 1, disk_id=disk_id), START + at)
        reported.append(one.raft.ready().other_disks)
    assert reported == [[], [2], [], [], [2]]


@pytest.mark.parametrize(
    ("since", "heard", "is_replaced"),
    [(1.0, 0.0, True), (0.9375, 0.0, False), (1.0, 0.9375, True), (1.0, 1.0, False)],
)
def test_a_disk_is_replaced_when_it_has_been_there_for_long_and_still_is(
    since: float, heard: float, is_replaced: bool
) -> None:
    """NS-3: an election timeout of nothing but its word, the last of it less than one ago."""
    admitted = Configuration(voters=frozenset({1, 2, 3}), disks=((1, 0), (2, 200), (3, 0)))
    one = settled(check_quorum=False, configuration=admitted)
    progress = one.state.leader.peers[2]
    one.step(accepted(one, 2, 1, disk_id=1), START)
    assert not progress.counts
    progress.disk_since = START + 2 - since
    progress.last_heard = START + 2 - heard
    one.tick(START + 2)
    assert (one.state.configuration.disk_of(2) == NO_DISK) is is_replaced
