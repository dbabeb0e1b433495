"""Snapshots that cross with entries, writes and failures on their way: found by reviewing the core."""

from tests.support.raft_server import encode, leader, log_of, refused, server, slot

from oarlock.raft.messages import (
    AppendEntries,
    InstallSnapshot,
    InstallSnapshotReply,
)
from oarlock.raft.types import Configuration, SnapshotMetadata

CONFIGURATION = Configuration(voters=frozenset({1, 2, 3}))


def snapshot_message(entries, *, term: int, request_id: int = 7) -> InstallSnapshot:
    """A snapshot of these entries, in one chunk."""
    metadata = SnapshotMetadata(entries[-1].index, entries[-1].term, CONFIGURATION)
    return InstallSnapshot(2, term, request_id, metadata, 0, encode(map(slot, entries)), done=True)


def test_a_snapshot_over_unsaved_entries_replaces_the_stale_tail_on_disk() -> None:
    """IS-6, B7: entries that replaced a longer stale tail, unsaved when a snapshot covers them, leave no tail behind."""
    follower = server(term=1, log=[1, 1, 1, 1], asynchronous=True)
    new = log_of(1, 2)
    follower.raft.step(snapshot_message(new, term=2), 0.0)
    follower.run()
    follower.raft.step(AppendEntries(2, 2, 8, 1, 1, 0, (new[1],)), 0.0)
    follower.write_chunk()
    follower.settle()
    assert "IS-6" in follower.rules()
    follower.start(0.0)
    assert follower.facts()["log"] == []
    assert follower.facts()["base_index"] == 2
    assert follower.state.log.last_term == 2


def test_the_suffix_behind_a_snapshot_over_unsaved_entries_is_saved() -> None:
    """IS-6: what follows the snapshot's last entry is kept, on disk too, when entries before it were unsaved."""
    follower = server(term=1, log=[1, 1, 1, 1, 1], asynchronous=True)
    new = log_of(1, 2, 2)
    follower.raft.step(snapshot_message(new[:2], term=2), 0.0)
    follower.run()
    follower.raft.step(AppendEntries(2, 2, 8, 1, 1, 0, tuple(new[1:])), 0.0)
    follower.write_chunk()
    follower.settle()
    assert "IS-6" in follower.rules()
    follower.start(0.0)
    assert follower.facts()["log"] == [(3, 2)]


def test_a_snapshot_is_claimed_only_when_the_log_starts_there_on_disk() -> None:
    """P-1, IS-6: until the log's base is durable a crash takes the server back, so nothing up to there is claimed."""
    follower = server(term=2, asynchronous=True)
    follower.raft.step(AppendEntries(2, 2, 8, 0, 0, 0, tuple(log_of(2, 2))), 0.0)
    follower.run()
    follower.raft.step(snapshot_message(log_of(2), term=2), 0.0)
    follower.run()
    follower.write_chunk()
    follower.run()
    assert "IS-6" in follower.rules()
    assert follower.outbox == []
    follower.start(0.0)
    assert follower.state.log.last_index == 0


def test_a_failed_chunk_installs_nothing() -> None:
    """IS-4, IS-5: a last chunk that could not be kept is asked for again, even one without bytes."""
    follower = server(term=2, log=[1], asynchronous=True)
    metadata = SnapshotMetadata(3, 2, CONFIGURATION)
    follower.raft.step(InstallSnapshot(2, 2, 7, metadata, 0, b"", done=True), 0.0)
    follower.run()
    follower.raft.snapshot_chunk_failed(follower.chunks.popleft())
    assert follower.settle() == [(2, InstallSnapshotReply(1, 2, 7, 3, 0, done=False))]
    assert follower.state.log.base_index == 0
    assert "IS-5" not in follower.rules()


def test_an_unreadable_snapshot_is_made_anew() -> None:
    """IS-0: when the newest snapshot's file cannot be read, another is made; the same is not asked for for ever."""
    sender = leader(log=[1, 1], base=(3, 1), applied=5)
    (unreadable,) = sender.disk.snapshots
    sender.disk.snapshots.clear()
    request = sender.step(refused(sender, 2, 5, 0, 1))
    assert "IS-0" in sender.rules()
    ((to, chunk),) = request
    assert (to, chunk.metadata) == (2, SnapshotMetadata(5, 1, CONFIGURATION))
    assert chunk.metadata != unreadable
