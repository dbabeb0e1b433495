"""Figure 2, State: what must be on disk before anything is said (P-1), and what starts anew (V-1)."""

import pytest
from tests.support.raft_server import append_entries, leader, log_of, mismatch, server, success

from oarlock.raft.messages import AppendEntries, AppendEntriesReply, RequestVote, RequestVoteReply
from oarlock.raft.raft import Raft
from oarlock.raft.types import HardState


def held_back(asynchronous) -> None:
    """Nothing has left, something is being written."""
    asynchronous.run()
    assert asynchronous.outbox == []
    assert asynchronous.writing


def test_a_vote_is_on_disk_before_it_is_given() -> None:
    """P-1, B1: the vote leaves when it is durable; a crash before that leaves the server free to vote, and unheard."""
    voter = server(term=2, asynchronous=True)
    voter.raft.step(RequestVote(2, 2, 7, 0, 0), 0.0)
    held_back(voter)
    assert "P-1" in voter.rules()
    voter.start(0.0)
    assert voter.state.voted_for is None
    voter.raft.step(RequestVote(3, 2, 8, 0, 0), 0.0)
    held_back(voter)
    voter.complete_write()
    assert voter.disk.hard_state == HardState(2, 3)
    assert voter.outbox == [(3, RequestVoteReply(1, 2, 8, vote_granted=True))]
    voter.start(0.0)
    assert voter.step(RequestVote(2, 2, 9, 0, 0)) == [(2, RequestVoteReply(1, 2, 9, vote_granted=False))]


def test_a_vote_being_written_is_not_given_either() -> None:
    """P-1, B1: asked again while the vote is on its way to the disk, the server does not answer yet; nor with its term."""
    voter = server(term=1, asynchronous=True)
    voter.raft.step(RequestVote(2, 2, 7, 0, 0), 0.0)
    held_back(voter)
    voter.raft.step(RequestVote(2, 2, 8, 0, 0), 0.0)
    voter.raft.step(append_entries(1, source=3), 0.0)
    held_back(voter)
    voter.settle()
    assert voter.disk.hard_state == HardState(2, 2)


def test_a_candidate_asks_when_its_own_vote_is_on_disk() -> None:
    """P-1, C-1b: else it could vote for itself, crash, and vote for another in the same term."""
    candidate = server(pre_vote=False, asynchronous=True)
    candidate.raft.tick(candidate.raft.election_deadline())
    held_back(candidate)
    candidate.complete_write()
    assert candidate.disk.hard_state == HardState(1, 1)
    assert [to for to, _ in candidate.outbox] == [2, 3]


def test_a_new_term_is_on_disk_before_a_refusal_names_it() -> None:
    """P-1: a reply, a refusal too, is of a term that a restart will remember."""
    follower = server(term=2, asynchronous=True)
    follower.raft.step(append_entries(4, (1, 4)), 0.0)
    held_back(follower)
    follower.complete_write()
    assert follower.disk.hard_state == HardState(4, None)
    assert follower.outbox == [mismatch(4, 1, (0, 1))]


def test_entries_are_on_disk_before_they_are_acknowledged() -> None:
    """P-1: success is answered when all of the entries it claims are durable, not when they are appended."""
    follower = server(term=2, asynchronous=True)
    follower.raft.step(append_entries(2, (0, 0), [1, 2]), 0.0)
    held_back(follower)
    assert follower.disk.entries == []
    follower.complete_write()
    assert follower.disk.entries == log_of(1, 2)
    assert follower.outbox == [success(2, 2)]


def test_what_is_on_disk_already_is_said_at_once() -> None:
    """P-1: a heartbeat that claims no more than the disk holds is answered while a write goes on."""
    follower = server(term=2, log=[1], asynchronous=True)
    follower.raft.step(append_entries(2, (1, 1), [2]), 0.0)
    held_back(follower)
    follower.forget_rules()
    follower.raft.step(append_entries(2, (1, 1), request_id=8), 0.0)
    follower.run()
    assert follower.outbox == [success(2, 1, request_id=8)]
    assert "P-1" not in follower.rules()
    follower.raft.step(append_entries(2, (2, 2), request_id=9), 0.0)
    follower.run()
    assert follower.outbox == [success(2, 1, request_id=8)]
    follower.complete_write()
    follower.complete_write()
    assert follower.outbox[1:] == [success(2, 2), success(2, 2, request_id=9)]


def test_a_write_of_entries_since_replaced_acknowledges_nothing() -> None:
    """P-1, AE-3: what a write under way brings to disk does not count once the log has something else there."""
    follower = server(term=2, asynchronous=True)
    follower.raft.step(append_entries(2, (0, 0), [2, 2, 2]), 0.0)
    held_back(follower)
    follower.raft.step(append_entries(3, (1, 2), [3], source=3, request_id=8), 0.0)
    follower.run()
    follower.complete_write()
    follower.run()
    assert follower.outbox == [success(2, 3)], "true when it was said, in term 2"
    follower.raft.step(append_entries(3, (2, 3), source=3, request_id=9), 0.0)
    follower.run()
    assert len(follower.outbox) == 1
    follower.settle()
    assert follower.disk.entries == [*log_of(2), *log_of(3, base=1)]


def test_entries_that_return_wait_for_their_own_write() -> None:
    """P-1: entries deleted and appended again, same index and term, are not durable by their first write."""
    follower = server(term=2, asynchronous=True)
    follower.raft.step(append_entries(2, (0, 0), [2, 2]), 0.0)
    follower.run()
    follower.raft.step(append_entries(3, (1, 2), [3], source=3, request_id=8), 0.0)
    follower.run()
    follower.raft.step(append_entries(4, (1, 2), [2], source=2, request_id=9), 0.0)
    follower.run()
    assert follower.outbox == []
    follower.complete_write()
    assert follower.state.log.durable_index == 1
    follower.complete_write()
    assert follower.disk.entries == [*log_of(2), *log_of(3, base=1)]
    assert follower.state.log.durable_index == 1
    follower.run()
    assert success(4, 2, request_id=9) not in follower.outbox
    follower.complete_write()
    assert follower.outbox[-1] == success(4, 2, request_id=9)
    assert follower.disk.entries == log_of(2, 2)


def test_a_leader_writes_while_it_sends() -> None:
    """P-1, L-3: the leader's own entries leave before its disk has them; it counts itself when it does."""
    sender = leader(asynchronous=True)
    sender.raft.propose([b"x"])
    sender.run()
    assert sender.writing
    assert [len(message.entries) for _, message in sender.outbox if isinstance(message, AppendEntries)] == []
    reply = AppendEntriesReply(2, 1, sender.state.request_counter, success=True, match_index=1)
    sender.raft.step(reply, 0.0)
    sender.run()
    assert [message.entries[-1].data for to, message in sender.outbox if to == 2] == [b"x"]
    reply = AppendEntriesReply(2, 1, sender.state.request_counter, success=True, match_index=2)
    sender.raft.step(reply, 0.0)
    assert sender.state.commit_index == 1
    sender.settle()
    assert sender.state.commit_index == 2


def test_one_voter_alone_commits_what_its_disk_holds() -> None:
    """P-1, L-4 (etcd issue 14370): a majority of one is that one's disk; nothing is applied before."""
    alone = leader([1], asynchronous=True)
    alone.raft.propose([b"x"])
    alone.run()
    assert alone.writing
    assert alone.state.commit_index == 1
    assert len(alone.machine) == 1
    alone.settle()
    assert alone.machine[1:] == [b"1:1:x"]


def test_what_others_committed_is_applied_when_the_own_disk_has_it() -> None:
    """P-1, ALL-1: else a crash could leave the state machine ahead of its log."""
    follower = server(term=2, asynchronous=True)
    follower.raft.step(append_entries(2, (0, 0), [2], commit=1), 0.0)
    follower.run()
    assert follower.state.commit_index == 1
    assert not follower.to_apply
    follower.complete_write()
    follower.run()
    assert [entry.index for entry in follower.to_apply] == [1]


def test_indices_start_at_zero_or_at_the_snapshot() -> None:
    """V-1, B8: commit_index and last_applied start at 0, or at the snapshot, or where the machine's own disk is."""
    for state, index in [
        ({}, 0),
        ({"log": [1, 1]}, 0),
        ({"base": (4, 1), "log": [1]}, 4),
        ({"log": [1, 1], "applied": 2}, 2),
    ]:
        fresh = server(**state)
        assert (fresh.state.commit_index, fresh.state.last_applied) == (index, index)
        assert "V-1" in fresh.rules()
        assert not fresh.to_apply


def test_indices_do_not_fall() -> None:
    """V-1: whatever arrives late, commit_index and last_applied stay (the invariants check every step)."""
    follower = server(term=2, log=[1, 1, 1], applied=2)
    follower.step(append_entries(2, (3, 1), commit=3))
    for late in (append_entries(2, commit=1), append_entries(2, (1, 1), [1], commit=2), append_entries(3, (3, 1))):
        follower.step(late)
        assert (follower.state.commit_index, follower.state.last_applied) == (3, 3)


@pytest.mark.parametrize(("applied", "base"), [(3, (0, 0)), (1, (2, 1))], ids=["ahead of the log", "behind its base"])
def test_a_machine_that_does_not_fit_the_log_is_refused(applied: int, base: tuple[int, int]) -> None:
    """V-1: a machine ahead of its log, or behind the log's base, is another server's."""
    sound = server(base=base, log=[] if base[0] else [1, 1])
    with pytest.raises(ValueError, match=f"the state machine stands at index {applied}"):
        Raft(
            sound.config,
            rng=sound.rng,
            now=0.0,
            hard_state=HardState(),
            log=sound.state.log,
            applied_index=applied,
        )
