"""Figure 13, InstallSnapshot RPC: IS-0 to IS-8, and compaction (LC-1)."""

import pytest
from tests.support.raft_server import (
    accepted,
    append_entries,
    encode,
    leader,
    log_of,
    mismatch,
    refused,
    server,
    slot,
    success,
)

from oarlock.raft.messages import AppendEntries, InstallSnapshot, InstallSnapshotReply
from oarlock.raft.types import Configuration, SnapshotMetadata

CONFIGURATION = Configuration(voters=frozenset({1, 2, 3}))
ENTRIES = log_of(1, 1, 2)
"""What the snapshot of these tests holds."""
IMAGE = encode(map(slot, ENTRIES))
METADATA = SnapshotMetadata(3, 2, CONFIGURATION)


def chunk(
    term: int = 2,
    offset: int = 0,
    end: int | None = None,
    *,
    metadata: SnapshotMetadata = METADATA,
    request_id: int = 7,
) -> InstallSnapshot:
    """Part of the snapshot."""
    data = IMAGE[offset:end]
    return InstallSnapshot(2, term, request_id, metadata, offset, data, offset + len(data) == len(IMAGE))


def reply(next_offset: int, *, done: bool, term: int = 2, request_id: int = 7):
    """What server 1 answers."""
    return 2, InstallSnapshotReply(1, term, request_id, 3, next_offset, done)


# -- the receiver ------------------------------------------------------------------------------------------------


def test_an_older_term_is_refused() -> None:
    """IS-1: an older term is answered with the newer one; not a byte is kept, and the timer runs on."""
    follower = server(term=3)
    before = follower.facts()
    deadline = follower.raft.election_deadline()
    assert follower.step(chunk(2), 0.5) == [reply(0, done=False, term=3)]
    assert follower.changes(before) == {}
    assert follower.raft.election_deadline() == deadline
    assert follower.partial == {}
    assert "IS-1" in follower.rules()
    assert not {"IS-2", "IS-3", "F-1"} & follower.rules()


def test_chunks_are_written_at_their_offsets() -> None:
    """IS-2, IS-3, IS-4, F-2: offset 0 begins a file, each chunk goes to its place, each is answered with the next."""
    follower = server(term=2)
    before = follower.facts()
    assert follower.step(chunk(end=5), 0.5) == [reply(5, done=False)]
    assert follower.partial == {METADATA: IMAGE[:5]}
    assert {"IS-2", "IS-3", "IS-4"} <= follower.rules()
    follower.forget_rules()
    assert follower.step(chunk(offset=5, end=9, request_id=8), 0.6) == [reply(9, done=False, request_id=8)]
    assert follower.partial == {METADATA: IMAGE[:9]}
    assert "IS-2" not in follower.rules()
    assert follower.changes(before) == {"leader_id": 2}
    assert follower.state.last_contact == 0.6
    assert not {"IS-5", "IS-8"} & follower.rules()


def test_offset_zero_begins_anew() -> None:
    """IS-2: a transfer that starts again replaces what an earlier one had brought."""
    follower = server(term=2)
    follower.step(chunk(end=9))
    follower.step(chunk(end=5))
    assert follower.partial == {METADATA: IMAGE[:5]}


def test_a_gap_is_asked_for() -> None:
    """IS-4: a chunk beyond what is there is not kept; the answer names the offset wanted."""
    follower = server(term=2)
    follower.step(chunk(end=5))
    assert follower.step(chunk(offset=9, request_id=8)) == [reply(5, done=False, request_id=8)]
    assert follower.partial == {METADATA: IMAGE[:5]}


def test_the_whole_snapshot_replaces_a_shorter_log() -> None:
    """IS-5, IS-7, IS-8, V-1: a log that ends before the snapshot is discarded; machine and indices start from it."""
    follower = server(term=2, log=[1, 1], applied=1)
    before = follower.facts()
    assert follower.step(chunk()) == [reply(len(IMAGE), done=True)]
    assert follower.changes(before) == {
        "leader_id": 2,
        "log": [],
        "base_index": 3,
        "commit_index": 3,
        "last_applied": 3,
    }
    assert follower.machine == [slot(entry) for entry in ENTRIES]
    assert (follower.disk.base, follower.disk.entries) == (METADATA, [])
    assert {"IS-5", "IS-7", "IS-8"} <= follower.rules()
    assert "IS-6" not in follower.rules()


def test_older_snapshots_are_discarded() -> None:
    """IS-5: with the new snapshot in place, the older ones go."""
    follower = server(term=2, base=(2, 1))
    assert len(follower.disk.snapshots) == 1
    follower.step(chunk())
    assert list(follower.disk.snapshots) == [METADATA]


def test_a_matching_suffix_is_kept() -> None:
    """IS-6, IS-8: a log that has the snapshot's last entry keeps what follows it, on disk too."""
    follower = server(term=2, log=[1, 1, 2, 2, 2], applied=1)
    before = follower.facts()
    assert follower.step(chunk()) == [reply(len(IMAGE), done=True)]
    assert follower.changes(before) == {
        "leader_id": 2,
        "log": [(4, 2), (5, 2)],
        "base_index": 3,
        "commit_index": 3,
        "last_applied": 3,
    }
    assert follower.disk.entries == log_of(2, 2, base=3)
    assert {"IS-5", "IS-6", "IS-8"} <= follower.rules()
    assert "IS-7" not in follower.rules()
    assert follower.step(append_entries(2, (5, 2), request_id=8)) == [success(2, 5, request_id=8)]


def test_a_conflict_at_the_snapshots_index_discards_the_log() -> None:
    """IS-7 (hashicorp/raft issue 697): with another term at the snapshot's index nothing of the log is kept."""
    follower = server(term=2, log=[1, 1, 1, 1, 1])
    assert follower.step(chunk()) == [reply(len(IMAGE), done=True)]
    assert follower.facts()["log"] == []
    assert follower.disk.entries == []
    assert "IS-7" in follower.rules()
    assert follower.step(append_entries(2, (3, 2), [2], request_id=8)) == [success(2, 4, request_id=8)]


def test_a_snapshot_restarts_with_its_term_and_index() -> None:
    """IS-7, IS-8, B6, B7: after a restart the log still begins at the snapshot, and votes are compared with it."""
    follower = server(term=2, log=[1])
    follower.step(chunk())
    follower.start(1.0)
    assert follower.facts()["base_index"] == 3
    assert follower.machine == [slot(entry) for entry in ENTRIES]
    assert (follower.state.log.last_index, follower.state.log.last_term) == (3, 2)
    assert follower.step(append_entries(2, (4, 2))) == [mismatch(2, 4, (0, 4))]


def test_the_configuration_comes_with_the_snapshot() -> None:
    """IS-8, MC-1 (raft-rs issue 472): also one that the receiver is not part of; then it waits and does not campaign."""
    others = Configuration(voters=frozenset({2, 3, 4}))
    follower = server([1, 2, 3], term=2)
    follower.step(chunk(metadata=SnapshotMetadata(3, 2, others)))
    assert follower.state.configuration == others
    assert follower.time_out() == []
    joined = Configuration(voters=frozenset({1, 2, 3}))
    newcomer = server([], term=2)
    newcomer.step(chunk(metadata=SnapshotMetadata(3, 2, joined)))
    assert newcomer.state.configuration == joined
    assert newcomer.time_out()


@pytest.mark.parametrize("offset", [0, 5])
def test_a_late_snapshot_rolls_nothing_back(offset: int) -> None:
    """IS-5, B5: a snapshot of no more than what is committed is answered as done, and dropped."""
    follower = server(term=2, log=[1, 1, 2, 2], applied=3)
    before = follower.facts()
    assert follower.step(chunk(offset=offset)) == [reply(0, done=True)]
    assert follower.changes(before) == {"leader_id": 2}
    assert follower.partial == {}
    assert "IS-5" in follower.rules()
    assert not {"IS-3", "IS-8"} & follower.rules()


def test_a_snapshot_overtaken_by_entries_is_not_installed() -> None:
    """IS-5, B5: what was committed while the file was written stays; the leader hears that all is there."""
    follower = server(term=2, asynchronous=True)
    follower.raft.step(chunk(), 0.0)
    follower.run()
    held = follower.chunks.popleft()
    follower.step(append_entries(2, (0, 0), [1, 1, 2, 2], commit=4, request_id=8))
    before = follower.facts()
    follower.chunks.append(held)
    assert follower.settle() == [reply(len(IMAGE), done=True)]
    assert follower.changes(before) == {}
    assert "IS-8" not in follower.rules()


def test_a_chunk_of_an_older_term_installs_nothing() -> None:
    """IS-1, RS-1: a chunk on its way to the disk when the term changed is not answered, and nothing is installed."""
    follower = server(term=2, asynchronous=True)
    follower.raft.step(chunk(end=5), 0.0)
    follower.raft.step(chunk(offset=5, request_id=8), 0.0)
    follower.run()
    held = list(follower.chunks)
    follower.chunks.clear()
    follower.step(append_entries(3, source=3, request_id=9))
    follower.forget_rules()
    before = follower.facts()
    follower.chunks.extend(held)
    assert follower.settle() == []
    assert follower.changes(before) == {}
    assert follower.rules() == {"RS-1"}


def test_a_candidate_follows_the_sender() -> None:
    """C-3, IS-3: InstallSnapshot of the same term comes from its leader."""
    candidate = server(term=1, pre_vote=False)
    candidate.time_out()
    candidate.step(chunk(end=5))
    assert (candidate.state.role.value, candidate.state.leader_id) == ("follower", 2)
    assert "C-3" in candidate.rules()


def test_a_snapshot_on_its_way_in_holds_the_campaign() -> None:
    """IS-8, F-2: between deciding on a snapshot and handing it on the log is not one to campaign with."""
    follower = server(term=2, asynchronous=True)
    follower.raft.step(chunk(), 0.0)
    follower.run()
    follower.write_chunk()
    follower.raft.tick(follower.raft.election_deadline())
    assert follower.state.role.value == "follower"
    assert "F-2" not in follower.rules()


# -- the sender --------------------------------------------------------------------------------------------------


def sending(**settings: object):
    """A leader whose log begins at 6, its snapshot two chunks long, and the first chunk it sent to 2."""
    sender = leader(log=[1, 1], base=(5, 1), applied=6, **settings)
    sender.disk.snapshots = dict.fromkeys(sender.disk.snapshots, (b"x" * 20,) * 5)
    sender.forget_rules()
    ((to, first),) = sender.step(refused(sender, 2, 7, 0, 3))
    assert to == 2
    return sender, first


def test_what_is_compacted_is_sent_as_a_snapshot() -> None:
    """IS-0: next_index leads below the log's base, so the follower gets the snapshot from its start."""
    sender, first = sending()
    assert (first.metadata, first.offset, first.done) == (SnapshotMetadata(5, 1, CONFIGURATION), 0, False)
    assert (first.source, first.term, first.request_id) == (1, 2, sender.state.leader.peers[2].chunk_request_id)
    assert "IS-0" in sender.rules()


def test_what_is_in_the_log_is_not() -> None:
    """IS-0: a follower that lacks just what the log holds gets entries."""
    sender = leader(log=[1, 1], base=(5, 1), applied=6)
    sent = sender.step(refused(sender, 2, 7, 0, 6))
    assert [type(message) for _, message in sent] == [AppendEntries]
    assert "IS-0" not in sender.rules()


def test_a_snapshot_is_made_when_none_is_at_hand() -> None:
    """IS-0: without a snapshot that reaches the log's base one is asked for, and sent when it is there."""
    sender = leader(log=[1, 1], base=(5, 1), applied=6)
    sender.flush()
    older = SnapshotMetadata(4, 1, CONFIGURATION)
    sender.disk.snapshots = {older: tuple(sender.machine[:4])}
    sender.raft.snapshot_taken(older)
    ((_, first),) = sender.step(refused(sender, 2, 7, 0, 3))
    assert first.metadata == SnapshotMetadata(6, 1, CONFIGURATION)


def test_chunks_follow_replies() -> None:
    """IS-0, IS-4: each answer brings the chunk it asks for, under a new id; the last is marked."""
    sender, first = sending()
    ((_, second),) = sender.step(InstallSnapshotReply(2, 2, first.request_id, 5, 64, done=False))
    assert (second.offset, second.done) == (64, True)
    assert second.request_id > first.request_id
    assert first.data + second.data == encode((b"x" * 20,) * 5)


def test_a_follower_can_resume_elsewhere() -> None:
    """IS-4: the follower says where to go on, be it at the start again."""
    sender, first = sending()
    ((_, second),) = sender.step(InstallSnapshotReply(2, 2, first.request_id, 5, 64, done=False))
    ((_, third),) = sender.step(InstallSnapshotReply(2, 2, second.request_id, 5, 0, done=False))
    assert third.offset == 0


def test_a_finished_snapshot_counts_as_replicated() -> None:
    """IS-0, L-3a: with the snapshot in place match_index is its index, and entries follow."""
    sender, first = sending()
    sent = sender.step(InstallSnapshotReply(2, 2, first.request_id, 5, 64, done=True))
    assert sender.facts()["match_index"][2] == 5
    assert [(message.prev_log_index, len(message.entries)) for _, message in sent] == [(5, 3)]


def test_stale_snapshot_replies_change_nothing() -> None:
    """RS-1: only the answer to the newest chunk counts, and only while a snapshot is being sent."""
    sender, first = sending()
    sender.step(InstallSnapshotReply(2, 2, first.request_id, 5, 64, done=False))
    before = sender.facts()
    sender.forget_rules()
    for late in (
        InstallSnapshotReply(2, 2, first.request_id, 5, 64, done=False),
        InstallSnapshotReply(2, 2, first.request_id, 5, 99, done=True),
        InstallSnapshotReply(3, 2, first.request_id, 5, 99, done=True),
    ):
        assert sender.step(late) == []
    assert sender.changes(before) == {}
    assert sender.rules() == {"RS-1"}
    assert sender.state.leader.peers[2].snapshot_offset == 64


def test_heartbeats_go_on_beside_a_snapshot() -> None:
    """IS-0, L-1: a follower that is being sent a snapshot hears its leader, gets no entries, and confirms it leads."""
    sender, _ = sending()
    sender.propose(b"x")
    heartbeats = [message for to, message in sender.beat() if to == 2]
    assert [(type(message), message.prev_log_index, message.entries) for message in heartbeats] == [
        (AppendEntries, 0, ())
    ]
    before = sender.facts()
    sender.step(accepted(sender, 2, 0))
    for prev in (2, 6):
        assert not [to for to, _ in sender.step(refused(sender, 2, prev, 0, 1)) if to == 2]
    assert sender.changes(before) == {}


def test_an_unanswered_chunk_is_sent_again() -> None:
    """IS-0: after snapshot_retry_ms the same offset is asked for under a new id."""
    sender, first = sending(snapshot_retry_ms=500, check_quorum=False)
    assert not [message for _, message in sender.tick(0.3 + sender.state.now) if isinstance(message, InstallSnapshot)]
    again = [message for _, message in sender.tick(0.3 + sender.state.now) if isinstance(message, InstallSnapshot)]
    assert [(message.offset, message.data) for message in again] == [(0, first.data)]
    assert again[0].request_id > first.request_id


# -- compaction --------------------------------------------------------------------------------------------------


def test_the_log_is_compacted_up_to_an_applied_index() -> None:
    """LC-1, B10: entries up to there go, from memory and disk; term, index and configuration of the last stay."""
    follower = server(term=2, log=[1, 1, 2, 2], applied=3)
    follower.flush()
    follower.forget_rules()
    before = follower.facts()
    follower.raft.compact(2)
    assert follower.settle() == []
    assert follower.changes(before) == {"base_index": 2, "log": [(3, 2), (4, 2)]}
    assert follower.disk.base == SnapshotMetadata(2, 1, CONFIGURATION)
    assert follower.disk.entries == log_of(2, 2, base=2)
    assert follower.rules() == {"LC-1"}
    assert follower.step(append_entries(2, (2, 1))) == [success(2, 2)]
    follower.start(1.0)
    assert follower.facts()["log"] == [(3, 2), (4, 2)]


def test_what_is_not_applied_is_not_compacted() -> None:
    """LC-1: an index beyond last_applied is refused, and nothing changes."""
    follower = server(term=2, log=[1, 1, 2], applied=2)
    before = follower.facts()
    with pytest.raises(ValueError, match="cannot compact the log to 3: applied only up to 2"):
        follower.raft.compact(3)
    assert follower.changes(before) == {}
    assert "LC-1" not in follower.rules()


def test_the_base_does_not_move_back() -> None:
    """LC-1: compacting to the base or below does nothing."""
    follower = server(term=2, log=[2], base=(3, 1))
    for index in (2, 3):
        follower.raft.compact(index)
    follower.settle()
    assert follower.disk.base.last_included_index == 3
    assert "LC-1" not in follower.rules()
