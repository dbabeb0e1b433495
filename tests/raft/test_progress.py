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


def test_of_a_new_follower_nothing_is_taken_for_granted() -> None:
    """VL-1, FC-5, NS-1, MC-9: it has, was told, awaits and has said nothing, from no disk; its word counts."""
    new = Progress(5, Inflight(3, 100), 7.5)
    nothing = (
        new.match_index,
        new.known_at_request_id,
        new.acknowledged_request_id,
        new.sent_commit,
        new.awaited_index,
        new.disk_id,
        new.disk_goal,
        new.snapshot_offset,
        new.chunk_request_id,
    )
    assert nothing == (0,) * len(nothing)
    assert (new.counts, new.probe_outstanding, new.snapshot, new.leaving_since) == (True, False, None, None)
    assert (new.probe_sent_at, new.last_heard, new.disk_since, new.chunk_sent_at) == (7.5,) * 4
    assert new.reported_at == float("-inf")
    assert new.inflight.bytes == 0


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
    new.next_index = 11
    new.snapshot = SnapshotMetadata(9, 1)
    new.probe_outstanding = True
    new.become_replicate()
    assert (new.next_index, new.snapshot, new.probe_outstanding) == (8, None, False)
    assert new.is_due(99, 0)
    assert new.is_due(8, 0)
    assert not new.is_due(7, 0)


def test_probing_counts_on_nothing_sent() -> None:
    """L-3, L-3b: back to the last index known to agree, the news of commitment included."""
    one = progress()
    one.raise_match(4, 0)
    one.become_replicate()
    one.next_index = 9
    one.sent_commit = 7
    one.inflight.add(8, 1, 0.0)
    one.probe_outstanding = True
    one.become_probe()
    assert (one.mode, one.next_index, one.match_index, one.sent_commit) == (Mode.PROBE, 5, 4, 4)
    assert (len(one.inflight), one.probe_outstanding) == (0, False)
    one.sent_commit = 2
    one.become_probe()
    assert one.sent_commit == 2


def test_a_snapshot_pauses_entries() -> None:
    """IS-0: while one is sent, from its start, nothing else is."""
    one = progress()
    one.become_replicate()
    one.inflight.add(5, 1, 0.0)
    one.snapshot_offset = 99
    one.become_snapshot(SnapshotMetadata(9, 1))
    assert (one.mode, one.is_due(99, 99), one.snapshot_offset, len(one.inflight)) == (Mode.SNAPSHOT, False, 0, 0)
    assert one.snapshot == SnapshotMetadata(9, 1)
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
    one.sent_commit = 3
    assert not one.is_due(4, 4)
    assert one.is_due(4, 9, all_news=True)
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


def test_what_arrived_is_awaited_no_more() -> None:
    """L-3a, FC-2, DL-1: news of a match frees the window up to it, and is dated by the newest request; no news does not."""
    one = progress()
    one.become_replicate()
    one.inflight.add(6, 10, 1.0)
    one.inflight.add(8, 20, 2.0)
    one.raise_match(6, 41)
    assert (one.known_at_request_id, len(one.inflight), one.inflight.bytes) == (41, 1, 20)
    one.raise_match(6, 99)
    assert one.known_at_request_id == 41


def test_a_follower_that_lost_its_data_begins_anew() -> None:
    """DL-1: probed from the last index it had acknowledged down, with nothing sent or acknowledged counted on."""
    one = progress()
    one.raise_match(6, 0)
    one.become_replicate()
    one.sent_commit = 5
    one.inflight.add(7, 10, 1.0)
    one.probe_outstanding = True
    one.snapshot = SnapshotMetadata(9, 1)
    one.acknowledged_request_id = 33
    one.forget_match()
    assert (one.mode, one.next_index, one.match_index, one.sent_commit) == (Mode.PROBE, 6, 0, 0)
    assert (one.probe_outstanding, len(one.inflight), one.snapshot) == (False, 0, None)
    assert one.acknowledged_request_id == 33


def test_a_follower_on_another_disk_begins_anew() -> None:
    """NS-1: nor does it follow this leader by an older word; where nothing was acknowledged, it is probed as before."""
    one = progress(next_index=9)
    one.acknowledged_request_id = 33
    one.forget_all()
    assert (one.next_index, one.match_index, one.acknowledged_request_id) == (9, 0, 0)
    one.raise_match(6, 0)
    one.become_replicate()
    one.forget_all()
    assert (one.mode, one.next_index, one.match_index) == (Mode.PROBE, 6, 0)


def test_next_index_is_not_lowered_to_match_index() -> None:
    """BT-2, G20: whatever a refusal names."""
    one = progress(next_index=9)
    one.raise_match(4, 0)
    one.become_replicate()
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
