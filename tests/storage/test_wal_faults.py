"""A full disk refuses and recovers; a failing one ends the log's use at once."""

import errno
import os
import random
from functools import partial
from pathlib import Path

import pytest
from tests.storage.crashing_disk import Crash, CrashingDisk
from tests.storage.log_model import DIRECTORY, SCRIPT, entries, image, images, new_disk, open_log, snapshot_at

from oarlock.raft.types import HardState
from oarlock.storage import Batch, DiskFull, ReadFailed, WriteAheadLog, WriteFailed

HELD = images(SCRIPT)


class OneFault:
    """The n-th operation that changes something fails, once."""

    def __init__(self, number: int, code: int) -> None:
        self.left = number
        self.code = code
        self.failed: str | None = None

    def __call__(self, operation: str, path: Path) -> OSError | None:
        if operation == "pread":
            return None
        self.left -= 1
        if self.left == 0:
            self.failed = operation
            return OSError(self.code, os.strerror(self.code))
        return None


def run_with(disk: CrashingDisk, fault: OneFault) -> tuple[WriteAheadLog | None, int, Exception | None]:
    """Append the script until an error; returns the log, the appends done, and the error."""
    disk.faults = fault
    log, done = None, 0
    try:
        log, _ = open_log(disk)
        for batches in SCRIPT:
            log.append_many(batches)
            done += 1
    except (DiskFull, WriteFailed) as error:
        return log, done, error
    return log, done, None


def every_fault(code: int):
    """One run for each operation that can fail."""
    number = 1
    while True:
        disk, fault = new_disk(), OneFault(number, code)
        log, done, error = run_with(disk, fault)
        if fault.failed is None:
            assert number > 30
            return
        yield disk, fault, log, done, error
        number += 1


def test_no_space_at_every_operation() -> None:
    """ENOSPC anywhere but in a sync changes nothing: the same append succeeds once there is space, with no stale bytes."""
    rng = random.Random(1)
    full = 0
    for disk, fault, log, done, error in every_fault(errno.ENOSPC):
        if error is None or log is None:
            continue  # a file that could stay was not removed, or the log could not be opened
        for survivor in disk.power_losses(rng, most=12, garbage=True):
            assert image(open_log(survivor)[1]) in HELD[done : done + 2]
        if fault.failed in ("fdatasync", "fsync_directory", "remove"):
            assert isinstance(error, WriteFailed)
            continue
        assert isinstance(error, DiskFull)
        full += 1
        for batches in SCRIPT[done:]:
            log.append_many(batches)
        log.close()
        survivor = disk.copy()
        _, recovered = open_log(survivor)
        assert image(recovered) == HELD[-1]
        assert recovered.torn_bytes == 0
        assert not any(path.suffix == ".tmp" for path in survivor.files())
    assert full > 12


def test_no_space_then_another_append_then_power_loss() -> None:
    """After a partly written append, a shorter one in its place leaves nothing of it to be read later."""
    rng = random.Random(2)
    disk = new_disk()
    log, _ = open_log(disk)
    log.append(hard_state=HardState(1, 1))
    for size in (1500, 2200, 700):
        disk.faults = lambda operation, path: OSError(errno.ENOSPC, "full") if operation == "pwrite" else None
        with pytest.raises(DiskFull, match=r"disk full: /data/wal/0000000000000001\.wal"):
            log.append(entries=entries(1, 1, 7, size=size))
        disk.faults = lambda operation, path: None
    expected = [HardState(1, 1), HardState(2, 1)]
    disk.crash_at = len(disk.operations) + 1
    with pytest.raises(Crash):
        log.append(hard_state=HardState(2, 1))
    for survivor in disk.power_losses(rng, most=200, garbage=True):
        log_after, recovered = open_log(survivor)
        assert recovered.hard_state in expected
        assert recovered.entries == []
        log_after.append(entries=entries(1, 1))
        assert open_log(survivor.copy())[1].entries == entries(1, 1)


def test_short_append_covers_the_rest_of_a_failed_one() -> None:
    """The bytes of a failed append behind its shorter successor are zeroed by the successor's own write."""
    disk = new_disk()
    log, _ = open_log(disk)
    disk.faults = lambda operation, path: OSError(errno.ENOSPC, "full") if operation == "pwrite" else None
    with pytest.raises(DiskFull):
        log.append(entries=entries(1, 1, size=2500))
    disk.faults = lambda operation, path: None
    assert any(disk.content(DIRECTORY / f"{1:016x}.wal")[1024:])
    log.append(entries=entries(1, 1))
    assert not any(disk.content(DIRECTORY / f"{1:016x}.wal")[1024:])


def test_full_disk_leaves_allocated_room_usable() -> None:
    """With no space for another segment, what fits in the current one is accepted, and the log opens."""
    disk = new_disk()
    log, _ = open_log(disk)
    disk.capacity = 4096
    log.append(entries=entries(1, 1, size=1500))
    assert not log.prepare()
    with pytest.raises(DiskFull):
        log.append(entries=entries(2, 1, size=3000))
    log.append(entries=entries(2, 1, size=100))
    with pytest.raises(DiskFull):
        log.append(entries=entries(3, 1, size=3000))
    log.close()
    log, recovered = open_log(disk)
    assert len(recovered.entries) == 2
    disk.capacity = 1 << 20
    log.append(entries=entries(3, 1, size=3000))
    assert len(open_log(disk.copy())[1].entries) == 3


def test_full_disk_and_full_segment_still_open() -> None:
    """A log whose segment is full to the last byte opens on a full disk, and takes appends when space returns."""
    disk = new_disk()
    log, _ = open_log(disk)
    for index in range(1, 8):
        log.append(entries=entries(index, 1, size=400))
    disk.capacity = 4096
    log.close()
    log, recovered = open_log(disk)
    assert len(recovered.entries) == 7
    with pytest.raises(DiskFull):
        log.append(entries=entries(8, 1))
    disk.capacity = 1 << 20
    log.append(entries=entries(8, 1))
    assert len(open_log(disk.copy())[1].entries) == 8


def test_io_error_at_every_operation_is_the_end() -> None:
    """EIO in any write, sync, creation, rename or removal ends the log: no later call does anything, and nothing acked is lost."""
    rng = random.Random(3)
    for disk, _fault, log, done, error in every_fault(errno.EIO):
        if error is None or log is None:
            continue
        assert isinstance(error, WriteFailed)
        operations = len(disk.operations)
        for call in (partial(log.append_many, SCRIPT[0]), log.seal, log.prepare):
            with pytest.raises(WriteFailed, match="refused since"):
                call()
        log.close()
        writes = [name for name, _ in disk.operations[operations:]]
        assert "pwrite" not in writes
        assert "fdatasync" not in writes
        for survivor in disk.power_losses(rng, most=12, garbage=True):
            assert image(open_log(survivor)[1]) in HELD[done : done + 2]


def test_restart_after_a_failed_sync_reads_the_device() -> None:
    """After a failed sync the cache may show an append that the device never got: a restarted server must not see it."""
    for disk, fault, log, done, error in every_fault(errno.EIO):
        if error is None or log is None or fault.failed != "fdatasync":
            continue
        restarted = disk.killed()
        _, recovered = open_log(restarted)
        found = image(recovered)
        assert found in HELD[done : done + 2]
        assert image(open_log(restarted.after_power_loss(lambda options: 0))[1]) == found


def test_failed_sync_is_not_repeated() -> None:
    """A sync is asked for once: a second one would succeed, and vouch for pages that the first one dropped."""
    disk = new_disk()
    log, _ = open_log(disk)
    disk.operations.clear()
    disk.faults = OneFault(2, errno.EIO)
    with pytest.raises(WriteFailed, match=r"write failed: /data/wal/0000000000000001\.wal: sync: "):
        log.append(entries=entries(1, 1))
    with pytest.raises(WriteFailed, match="refused since"):
        log.append(entries=entries(1, 1))
    log.close()
    assert [name for name, _ in disk.operations] == ["pwrite", "fdatasync"]


def test_interrupted_write_is_the_end() -> None:
    """Anything that breaks out of a write, not an OSError alone, leaves the log unusable."""
    disk = new_disk()
    log, _ = open_log(disk)

    def interrupt(operation: str, path: Path) -> None:
        raise KeyboardInterrupt

    disk.faults = interrupt
    with pytest.raises(KeyboardInterrupt):
        log.append(entries=entries(1, 1))
    disk.faults = lambda operation, path: None
    with pytest.raises(WriteFailed, match="refused since: KeyboardInterrupt"):
        log.append(entries=entries(1, 1))


def test_removal_that_fails_is_the_end() -> None:
    """A segment that cannot be removed is a failing disk; the append that made it needless is durable."""
    disk = new_disk()
    log, _ = open_log(disk)
    log.append_many([Batch(None, entries(1, 1, size=3000))])
    log.append_many([Batch(None, entries(2, 1, size=3000))])
    disk.faults = lambda operation, path: OSError(errno.EIO, "broken") if operation == "remove" else None
    with pytest.raises(WriteFailed, match="remove: broken"):
        log.append(base=snapshot_at(2))
    assert open_log(disk.copy())[1].base == snapshot_at(2)


def test_no_segment_is_begun_for_which_there_is_no_room() -> None:
    """It is asked for again and again while the disk is full: nothing is touched, until there is just enough room."""
    disk = new_disk()
    log, _ = open_log(disk)
    disk.capacity = 2 * 4096 - 1
    disk.operations.clear()
    assert not log.prepare()
    assert disk.operations == []
    assert log.wants_spare is False
    disk.capacity = 2 * 4096
    assert log.prepare()
    assert disk.operations


@pytest.mark.parametrize("operation", ["open", "truncate", "allocate"])
def test_a_segment_that_finds_no_room_is_made_later(operation: str, caplog: pytest.LogCaptureFixture) -> None:
    """A disk that fills up meanwhile is no failure: the log goes on, gives back what it took, and tries again."""
    disk = new_disk()
    log, _ = open_log(disk)
    disk.faults = lambda name, path: OSError(errno.ENOSPC, "full") if name == operation else None
    assert not log.prepare()
    assert "no room for the log's next segment" in caplog.text
    disk.faults = lambda name, path: None
    assert (disk.open_files, len(disk.files())) == (1, 1)
    log.append(entries=entries(1, 1))
    assert log.prepare()


@pytest.mark.parametrize("operation", ["open", "truncate", "allocate", "fdatasync"])
def test_a_segment_that_cannot_be_made_is_the_end(operation: str) -> None:
    """EIO ends the log, as in an append; so does a sync that finds no room: what it dropped is unknown."""
    for code in (errno.EIO, errno.ENOSPC):
        if code == errno.ENOSPC and operation != "fdatasync":
            continue
        disk = new_disk()
        log, _ = open_log(disk)
        disk.faults = lambda name, path, code=code: OSError(code, "broken") if name == operation else None
        with pytest.raises(WriteFailed, match="broken"):
            log.prepare()
        disk.faults = lambda name, path: None
        with pytest.raises(WriteFailed, match="refused since: write failed: "):
            log.append(entries=entries(1, 1))


def test_a_disk_that_does_not_say_how_much_room_it_has() -> None:
    """That is a failed read of the directory, and no reason to refuse appends."""
    disk = new_disk()
    log, _ = open_log(disk)

    def broken(directory: Path) -> int:
        raise OSError(errno.EIO, "broken")

    sound, disk.free_bytes = disk.free_bytes, broken  # type: ignore[method-assign]
    with pytest.raises(ReadFailed, match="/data/wal at byte 0: broken"):
        log.prepare()
    disk.free_bytes = sound  # type: ignore[method-assign]
    log.append(entries=entries(1, 1))


def test_a_full_disk_does_not_keep_a_log_from_closing(caplog: pytest.LogCaptureFixture) -> None:
    """Without its seal it is as good as before; that it lacks it is told."""
    disk = new_disk()
    log, _ = open_log(disk)
    log.append(entries=entries(1, 1))
    disk.faults = lambda name, path: OSError(errno.ENOSPC, "full") if name == "pwrite" else None
    log.close()
    assert "the log could not be sealed" in caplog.text
    assert disk.open_files == 0
    caplog.clear()
    _, recovered = open_log(disk)
    assert "the log could not be sealed" in caplog.text
    assert recovered.entries == entries(1, 1)


@pytest.mark.parametrize("operation", ["mkdir", "fsync_directory", "open", "fdatasync", "pread", "remove"])
def test_a_log_that_cannot_be_opened_says_why(operation: str) -> None:
    """EIO at the start is reported as what it is, and leaves no file open."""
    disk = new_disk()
    if operation != "mkdir":
        log, _ = open_log(disk)
        log.append(entries=entries(1, 1))
        log.prepare()
        disk = disk.killed()
    disk.faults = lambda name, path: OSError(errno.EIO, "broken") if name == operation else None
    if operation == "remove":
        open_log(disk)  # a leftover that stays is none of our data
        return
    with pytest.raises((WriteFailed, ReadFailed), match="broken"):
        open_log(disk)
    assert disk.open_files == 0


def test_a_torn_write_that_cannot_be_cut_keeps_the_log_shut() -> None:
    """Its bytes would lie behind later records; on a full disk it can be tried again."""
    for code, kind in ((errno.EIO, WriteFailed), (errno.ENOSPC, DiskFull)):
        disk = new_disk()
        log, _ = open_log(disk)
        log.append(entries=entries(1, 1))
        log.append(entries=entries(2, 3, size=600))
        disk.content(DIRECTORY / f"{1:016x}.wal")[1024 + 512] ^= 1
        disk.settle()
        disk = disk.killed()
        disk.faults = lambda name, path, code=code: OSError(code, "broken") if name == "pwrite" else None
        with pytest.raises(kind, match="broken"):
            open_log(disk)
        assert disk.open_files == 0
        disk.faults = lambda name, path: None
        _, recovered = open_log(disk)
        assert recovered.entries == entries(1, 1)
        assert recovered.torn_bytes == 2048
