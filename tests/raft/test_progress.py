"""What a leader knows of one follower: the moves between probing, replicating and a snapshot, and the window."""

from oarlock.raft.progress import Inflight, Mode, Progress
from oarlock.raft.types import SnapshotMetadata


def progress(next_index: int = 5) -> Progress:
    """A follower of which nothing is known."""
    return Progress(next_index, Inflight(3, 100), 0.0)


def test_a_new_follower_is_probed() -> None:
    """VL-1: from next_index on, with match_index 0, and one message at a time."""
    new = progress()
    assert (new.mode, new.next_index, new.match_index, new.is_due(5, 0)) == (Mode.PROBE, 5, 0, True)
    new.probe_outstanding = True
    assert not new.is_due(5, 0)


def test_replicating_starts_behind_match_index() -> None:
    """L-3: a window full of messages pauses; going over to it begins with an empty one."""
    new = progress()
    new.raise_match(7, 0)
    new.become_replicate()
    assert (new.mode, new.next_index) == (Mode.REPLICATE, 8)
    for index in (8, 9, 10):
        assert new.is_due(99, 0)
        new.inflight.add(index, 1, 0.0)
    assert not new.is_due(99, 0)
    new.become_replicate()
    assert new.is_due(99, 0)


def test_probing_counts_on_nothing_sent() -> None:
    """L-3, L-3b: back to the last index known to agree, the news of commitment included."""
    one = progress()
    one.raise_match(4, 0)
    one.become_replicate()
    one.next_index = 9
    one.sent_commit = 7
    one.inflight.add(8, 1, 0.0)
    one.become_probe()
    assert (one.mode, one.next_index, one.match_index, one.sent_commit) == (Mode.PROBE, 5, 4, 4)
    assert len(one.inflight) == 0


def test_a_snapshot_pauses_entries() -> None:
    """IS-0: while one is sent, from its start, nothing else is."""
    one = progress()
    one.become_replicate()
    one.inflight.add(5, 1, 0.0)
    one.snapshot_offset = 99
    one.become_snapshot(SnapshotMetadata(9, 1))
    assert (one.mode, one.is_due(99, 99), one.snapshot_offset, len(one.inflight)) == (Mode.SNAPSHOT, False, 0, 0)
    one.become_probe()
    assert one.snapshot is None


def test_news_of_commitment_is_due_as_far_as_the_follower_agrees() -> None:
    """L-3, AE-5: without entries to send, only a commit index above what it can know, and within what it has."""
    one = progress(next_index=5)
    one.raise_match(4, 0)
    assert not one.is_due(4, 0)
    assert one.is_due(4, 2)
    one.become_replicate()
    one.sent_commit = 2
    assert not one.is_due(4, 2, all_news=True)
    assert one.is_due(4, 3, all_news=True)
    assert not one.is_due(4, 3)
    one.awaited_index = 3
    assert one.is_due(4, 3)
    one.sent_commit = 4
    assert not one.is_due(4, 9, all_news=True)


def test_match_index_only_rises() -> None:
    """L-3a, G19: and next_index stays above it, but is not pulled back to it."""
    one = progress(next_index=3)
    assert one.raise_match(6, 0)
    assert (one.match_index, one.next_index) == (6, 7)
    one.next_index = 12
    assert not one.raise_match(6, 0)
    assert not one.raise_match(2, 0)
    assert (one.match_index, one.next_index) == (6, 12)


def test_next_index_is_not_lowered_to_match_index() -> None:
    """BT-2, G20: whatever a refusal names."""
    one = progress(next_index=9)
    one.raise_match(4, 0)
    one.lower_next(7)
    assert (one.mode, one.next_index) == (Mode.PROBE, 7)
    one.lower_next(1)
    assert one.next_index == 5


def test_the_window() -> None:
    """FC-2: full by number or by bytes; an acknowledgement frees all up to its index, in order."""
    window = Inflight(3, 100)
    assert (window.oldest(), window.is_full) == (None, False)
    for index, at in ((5, 1.0), (7, 2.0), (9, 3.0)):
        window.add(index, 10, at)
    assert (window.is_full, window.bytes, window.oldest()) == (True, 30, 1.0)
    window.acknowledge(6)
    assert (window.is_full, window.bytes, window.oldest(), len(window)) == (False, 20, 2.0, 2)
    window.add(11, 80, 4.0)
    assert (window.is_full, window.bytes) == (True, 100)
    window.acknowledge(11)
    assert (window.bytes, len(window)) == (0, 0)
    window.add(12, 100, 5.0)
    assert window.is_full
    window.clear()
    assert (window.is_full, window.bytes) == (False, 0)
