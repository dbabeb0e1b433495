"""The log as its users see it."""

from pathlib import Path

import pytest
from tests.storage.log_model import (
    DIRECTORY,
    SCRIPT,
    SEGMENT_BYTES,
    entries,
    entry,
    image,
    images,
    new_disk,
    open_log,
    snapshot_at,
)

from oarlock.raft.types import HardState, SnapshotMetadata
from oarlock.storage import Batch, WriteAheadLog, WriteFailed
from oarlock.storage.records import MAX_BODY_BYTES, RecordType, encode_record
from oarlock.storage.segments import SealedSegments


def test_new_log_is_empty() -> None:
    """A directory without a log begins one, with Figure 2's initial state."""
    disk = new_disk()
    log, recovered = open_log(disk)
    assert image(recovered) == (HardState(), SnapshotMetadata(), [])
    log.close()
    assert image(open_log(disk)[1]) == (HardState(), SnapshotMetadata(), [])


def test_script_is_recovered_after_every_append() -> None:
    """After each kind of append, the log opened again holds what the model holds."""
    disk = new_disk()
    held = images(SCRIPT)
    log, _ = open_log(disk)
    for position, batches in enumerate(SCRIPT):
        log.append_many(batches)
        assert log.base == held[position + 1][1]
        assert image(open_log(disk.copy())[1]) == held[position + 1]


def test_log_continues_over_lives() -> None:
    """Opening, appending and closing in turns loses and invents nothing."""
    disk = new_disk()
    held = images(SCRIPT)
    for position, batches in enumerate(SCRIPT):
        log, recovered = open_log(disk)
        assert image(recovered) == held[position]
        log.append_many(batches)
        log.close()


def test_one_write_and_one_sync_per_append() -> None:
    """An append, of however many batches, is one write and one sync."""
    disk = new_disk()
    log, _ = open_log(disk)
    disk.operations.clear()
    log.append_many([Batch(HardState(1, 2), entries(1, 2)), Batch(None, entries(3, 2)), Batch(HardState(2, None))])
    assert [name for name, _ in disk.operations] == ["pwrite", "fdatasync"]


def test_new_segment_is_durable_before_its_records_count() -> None:
    """A new segment is written aside with its first append, synced, renamed, and its directory synced."""
    disk = new_disk()
    log, _ = open_log(disk)
    log.append(entries=entries(1, 1, size=3000))
    disk.operations.clear()
    log.append(entries=entries(2, 1, size=3000))
    names = [name for name, _ in disk.operations]
    assert names == ["open", "truncate", "allocate", "allocate", "pwrite", "fdatasync", "rename", "fsync_directory"]


def test_prepared_segment_is_used() -> None:
    """A segment made ahead spares the append its making."""
    disk = new_disk()
    log, _ = open_log(disk)
    assert not log.wants_spare
    log.append(entries=entries(1, 1, size=3000))
    assert log.wants_spare
    disk.operations.clear()
    assert log.prepare()
    assert not log.wants_spare
    assert log.prepare()
    assert [name for name, _ in disk.operations] == ["open", "truncate", "allocate", "fdatasync"]
    disk.operations.clear()
    log.append(entries=entries(2, 1, size=3000))
    assert [name for name, _ in disk.operations] == ["allocate", "pwrite", "fdatasync", "rename", "fsync_directory"]
    log.prepare()
    log.close()
    assert not any(path.suffix == ".tmp" for path in disk.files())
    assert len(open_log(disk)[1].entries) == 2
    assert disk.open_files == 1


def test_append_larger_than_a_segment() -> None:
    """An append is never split: a segment is made to its size, with and without one made ahead."""
    disk = new_disk()
    log, _ = open_log(disk)
    log.append(entries=entries(1, 1, size=10 * SEGMENT_BYTES))
    log.prepare()
    log.append(entries=entries(2, 1, size=20 * SEGMENT_BYTES))
    log.append(entries=entries(3, 1))
    assert [len(e.data) for e in open_log(disk.copy())[1].entries] == [10 * SEGMENT_BYTES, 20 * SEGMENT_BYTES, 20]


def test_only_segments_wholly_below_the_base_are_removed() -> None:
    """Compaction removes whole files whose entries are all at or below the base, and no other."""
    disk = new_disk()
    log, _ = open_log(disk)
    for index in range(1, 6):
        log.append(entries=entries(2 * index - 1, 2, size=1700))
    assert len(disk.files()) == 5
    log.append(base=snapshot_at(5))
    assert [path.name for path in disk.files()] == [f"{number:016x}.wal" for number in (3, 4, 5)]
    assert [e.index for e in open_log(disk.copy())[1].entries] == [6, 7, 8, 9, 10]
    log.append(base=snapshot_at(10))
    assert [path.name for path in disk.files()] == [f"{6:016x}.wal"]


def test_discarded_log_is_removed() -> None:
    """A divergent log that a snapshot replaced does not keep its files, however high its indices were."""
    disk = new_disk()
    log, _ = open_log(disk)
    for index in range(101):
        log.append(entries=entries(index * 10 + 1, 10, size=300))
    log.append(base=snapshot_at(50, 3), discard_log=True)
    assert len(disk.files()) == 1
    log.append(entries=entries(51, 1, 3))
    assert [e.index for e in open_log(disk.copy())[1].entries] == [51]


def test_overwritten_entries_do_not_keep_segments() -> None:
    """What a file is needed for falls when its entries are overwritten."""
    segments = SealedSegments()
    segments.seal(1, 10)
    segments.seal(2, 20)
    segments.overwritten_by([Batch(None, entries(6, 1))])
    assert segments.pop_obsolete(4) is None
    assert segments.pop_obsolete(5) == 1
    assert segments.pop_obsolete(5) == 2
    assert len(segments) == 0


def test_segments_left_by_a_crash_are_removed_at_open() -> None:
    """Files that a base move had made needless go at the next start."""
    disk = new_disk()
    log, _ = open_log(disk)
    log.append(entries=entries(1, 1, size=3000))
    log.append(entries=entries(2, 1, size=3000))
    kept = bytes(disk.content(DIRECTORY / f"{1:016x}.wal"))
    log.append(base=snapshot_at(2))
    log.close()
    file = disk.open(DIRECTORY / f"{1:016x}.wal", create=True)
    file.pwrite(kept, 0)
    log, recovered = open_log(disk)
    assert recovered.base == snapshot_at(2)
    assert len(disk.files()) == 1


def test_seal_is_written_once() -> None:
    """An idle log needs one seal, however often it is opened, closed and sealed."""
    disk = new_disk()
    log, _ = open_log(disk)
    log.append(entries=entries(1, 1))
    disk.operations.clear()
    log.seal()
    log.seal()
    log.close()
    log.close()
    log, _ = open_log(disk)
    log.close()
    assert [name for name, _ in disk.operations].count("pwrite") == 1


def test_closed_log_refuses() -> None:
    """Nothing can be appended after close."""
    disk = new_disk()
    log, _ = open_log(disk)
    log.close()
    with pytest.raises(WriteFailed, match="refused since: the log is closed"):
        log.append(entries=entries(1, 1))


REFUSED = [
    (Batch(None, entries(7, 1)), "entries from 7 do not follow a log of 4..5"),
    (Batch(None, entries(3, 1)), "entries from 3 do not follow a log of 4..5"),
    (Batch(None, [entry(6), entry(8)]), "2 entries cannot run from 6 to 8"),
    (Batch(HardState(2, 1)), "the term may not go back from 3 to 2"),
    (Batch(HardState(3, 2)), "the vote of term 3 may not change from 1"),
    (Batch(HardState(3, None)), "the vote of term 3 may not change from 1"),
    (Batch(None, [], snapshot_at(2)), "the log's base may not go back from 3 to 2"),
    (Batch(None, [], None, discard_log=True), "discard_log needs a base"),
]


@pytest.mark.parametrize(("batch", "message"), REFUSED)
def test_impossible_batches_are_refused(batch: Batch, message: str) -> None:
    """What no correct core emits (a gap, a lower term, a second vote) is refused before anything is written."""
    disk = new_disk()
    log, _ = open_log(disk)
    log.append(hard_state=HardState(2, 2), entries=entries(1, 5))
    log.append(base=snapshot_at(3))
    disk.operations.clear()
    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        log.append_many([Batch(HardState(3, 1)), batch])
    assert disk.operations == []
    log.append(entries=entries(6, 1))
    _, recovered = open_log(disk.copy())
    assert recovered.hard_state == HardState(2, 2)
    assert [e.index for e in recovered.entries] == [4, 5, 6]


def test_limits() -> None:
    """Segments have a least size, and an append a largest."""
    with pytest.raises(ValueError, match="segment_bytes is 100, the least is 4096"):
        WriteAheadLog.open(new_disk(), DIRECTORY, segment_bytes=100)

    class Huge(bytes):
        def __len__(self) -> int:
            return MAX_BODY_BYTES + 1

    with pytest.raises(ValueError, match="larger than the limit"):
        encode_record(RecordType.APPEND, Huge(), sequence=1, segment=1, offset=0, previous=0)


def test_directories_are_made() -> None:
    """Missing parents of the log's directory are made, durably."""
    disk = new_disk()
    directory = Path("/data/a/b/wal")
    log, _ = WriteAheadLog.open(disk, directory, segment_bytes=SEGMENT_BYTES)
    log.append(entries=entries(1, 1))
    survivor = disk.after_power_loss(lambda options: 0)
    _, recovered = WriteAheadLog.open(survivor, directory, segment_bytes=SEGMENT_BYTES)
    assert recovered.entries == entries(1, 1)


def test_leftover_spare_is_removed_at_open() -> None:
    """A segment that a crash left half made gives its space back at the next start."""
    disk = new_disk()
    log, _ = open_log(disk)
    assert log.prepare()
    restarted = disk.killed()
    assert any(path.name == "spare.tmp" for path in restarted.files())
    open_log(restarted)
    assert not any(path.name == "spare.tmp" for path in restarted.files())


def test_discarded_suffix_stays_gone() -> None:
    """With `discard_log` nothing above the new base comes back; without it the suffix stays (IS-6, IS-7)."""
    for discard, kept in ((True, []), (False, [4, 5])):
        disk = new_disk()
        log, _ = open_log(disk)
        log.append(entries=entries(1, 5))
        log.append(base=snapshot_at(3), discard_log=discard)
        assert log.last_index == (3 if discard else 5)
        assert [e.index for e in open_log(disk.copy())[1].entries] == kept


def test_nothing_to_append_costs_nothing() -> None:
    """A turn without a disk part neither writes nor waits for a sync, and unseals nothing."""
    disk = new_disk()
    log, _ = open_log(disk)
    log.append(entries=entries(1, 1))
    disk.operations.clear()
    log.append_many([])
    assert disk.operations == []
    log.close()
    with pytest.raises(WriteFailed, match="refused since: the log is closed"):
        log.append_many([])


@pytest.mark.parametrize(("asked", "made"), [(4096, 4096), (4097, 4608), (5000, 5120)])
def test_segments_are_whole_sectors(asked: int, made: int) -> None:
    """Of the size asked for, or of the next whole sector; the least size is one."""
    disk = new_disk()
    WriteAheadLog.open(disk, DIRECTORY, segment_bytes=asked)
    assert len(disk.content(DIRECTORY / f"{1:016x}.wal")) == made
    with pytest.raises(ValueError, match="segment_bytes is 4095, the least is 4096"):
        WriteAheadLog.open(new_disk(), DIRECTORY, segment_bytes=4095)


def test_a_segment_is_filled_to_its_last_byte() -> None:
    """An append that just fits begins no other; the next does."""
    disk = new_disk()
    log, _ = open_log(disk)
    for index in range(1, 8):
        log.append(entries=entries(index, 1, size=400))
        assert len(disk.files()) == 1
    log.append(entries=entries(8, 1))
    assert len(disk.files()) == 2


def test_a_segment_is_no_larger_than_its_first_append_needs() -> None:
    """One sector more at most: a full disk may have room for no more."""
    disk = new_disk()
    log, _ = open_log(disk)
    log.append(entries=entries(1, 1, size=10_000))
    size = len(disk.content(DIRECTORY / f"{2:016x}.wal"))
    assert size % 512 == 0
    assert 512 + 10_240 <= size <= 512 + 10_752 + 512


def test_the_next_segment_is_wanted_when_this_one_is_more_than_half_full() -> None:
    """Not before: most logs are compacted long before they fill one."""
    disk = new_disk()
    log, _ = open_log(disk)
    for index in range(1, 4):
        log.append(entries=entries(index, 1))
        assert not log.wants_spare
    log.append(entries=entries(4, 1))
    assert log.wants_spare


def test_a_seal_stands_behind_what_was_appended() -> None:
    """An append that began a segment is sealed as any other; a log without one needs no seal."""
    disk = new_disk()
    log, _ = open_log(disk)
    disk.operations.clear()
    log.close()
    assert "pwrite" not in [name for name, _ in disk.operations]
    log, _ = open_log(disk)
    log.append(entries=entries(1, 1, size=3500))
    log.append(entries=entries(2, 1, size=3500))
    disk.operations.clear()
    log.seal()
    assert [name for name, _ in disk.operations] == ["pwrite", "fdatasync"]
    disk.operations.clear()
    log.close()
    assert disk.operations == []
    assert disk.open_files == 0


def test_a_segment_begun_by_a_seal_is_sealed() -> None:
    """A seal that finds its segment full begins the next, and is not written again there."""
    disk = new_disk()
    log, _ = open_log(disk)
    for index in range(1, 8):
        log.append(entries=entries(index, 1, size=400))
    log.seal()
    assert len(disk.files()) == 2
    disk.operations.clear()
    log.close()
    log, recovered = open_log(disk)
    assert "pwrite" not in [name for name, _ in disk.operations]
    assert recovered.entries[-1].index == 7


def test_files_are_given_back() -> None:
    """Of all its segments a log keeps one open, and none when it is closed, made-ahead ones included."""
    disk = new_disk()
    log, _ = open_log(disk)
    for index in range(1, 6):
        log.append(entries=entries(index, 1, size=3500))
        assert disk.open_files == 1
    log.prepare()
    assert disk.open_files == 2
    log.append(base=snapshot_at(4))
    log.close()
    assert disk.open_files == 0
    assert not any(path.suffix == ".tmp" for path in disk.files())


def test_a_name_that_was_not_durable_is_made_so_at_the_start() -> None:
    """A process killed between a segment's rename and the directory's sync: what the next one reports, it keeps."""
    disk = new_disk()
    log, _ = open_log(disk)
    log.append(entries=entries(1, 1, size=3500))
    disk.faults = lambda operation, path: OSError(5, "broken") if operation == "fsync_directory" else None
    with pytest.raises(WriteFailed):
        log.append(entries=entries(2, 1, size=3500))
    restarted = disk.killed()
    _, recovered = open_log(restarted)
    assert len(recovered.entries) == 2
    assert image(open_log(restarted.after_power_loss(lambda options: 0))[1]) == image(recovered)


def test_the_log_knows_its_ends() -> None:
    """Where it starts and ends, through every kind of append."""
    disk = new_disk()
    log, _ = open_log(disk)
    for batches, (_, base, held) in zip(SCRIPT, images(SCRIPT)[1:], strict=True):
        log.append_many(batches)
        assert (log.base, log.last_index) == (base, base.last_included_index + len(held))
