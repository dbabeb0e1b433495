"""The simulated disk: what survives a power loss, and each of its faults."""

import errno
import random
from pathlib import Path

import pytest

from oarlock.mvcc.backend import Batch
from oarlock.mvcc.errors import StorageFailedError, StorageFullError
from oarlock.sim.backend import SimBackend
from oarlock.sim.disk import ReadFault, SimDisk, WriteFault
from oarlock.sim.files import PowerLoss
from oarlock.sim.inode import SECTOR
from oarlock.sim.strikes import Strikes
from oarlock.storage.disk import make_directory
from oarlock.storage.errors import DirectoryLocked

DATA = Path("/data")


def _disk(seed: int = 1) -> SimDisk:
    disk = SimDisk(random.Random(seed), Strikes())
    make_directory(disk, DATA)
    return disk


def _written(disk: SimDisk, data: bytes, *, synced: bool = True, named: bool = True) -> Path:
    path = DATA / "file"
    file = disk.open(path, create=True)
    file.pwrite(data, 0)
    if synced:
        file.fdatasync()
    if named:
        disk.fsync_directory(DATA)
    return path


def _read(disk: SimDisk, path: Path) -> bytes:
    return disk.open(path).pread(1 << 20, 0)


def test_what_is_synced_survives() -> None:
    """Bytes, sizes and names that were synced are there after any power loss."""
    for seed in range(20):
        disk = _disk(seed)
        path = _written(disk, b"a" * 3000)
        disk.lose_power()
        assert _read(disk, path) == b"a" * 3000


def test_unsynced_sectors_are_kept_lost_or_torn_in_any_combination() -> None:
    """Over many power losses every outcome of three sectors is seen, and none that was never written."""
    outcomes = set()
    torn = 0
    for seed in range(300):
        disk = _disk(seed)
        path = _written(disk, bytes(3 * SECTOR))
        disk.open(path).pwrite(b"n" * (3 * SECTOR), 0)
        disk.lose_power()
        data = _read(disk, path)
        assert len(data) == 3 * SECTOR
        sectors = [data[at : at + SECTOR] for at in range(0, len(data), SECTOR)]
        whole = [sector in (b"n" * SECTOR, bytes(SECTOR)) for sector in sectors]
        torn += not all(whole)
        if all(whole):
            outcomes.add(tuple(sector[0] == ord("n") for sector in sectors))
    assert len(outcomes) == 8
    assert torn > 20


def test_every_tear_is_seen() -> None:
    """A torn sector begins with new bytes, ends with them, or is garbage behind them; each is counted."""
    strikes = Strikes()
    prefixes, suffixes = 0, 0
    for seed in range(300):
        disk = SimDisk(random.Random(seed), strikes)
        make_directory(disk, DATA)
        path = _written(disk, b"o" * SECTOR)
        disk.open(path).pwrite(b"n" * SECTOR, 0)
        disk.lose_power()
        data = _read(disk, path)
        if len(set(data)) == 2:
            prefixes += data.lstrip(b"n").strip(b"o") == b""
            suffixes += data.lstrip(b"o").strip(b"n") == b""
    assert prefixes > 5
    assert suffixes > 1
    assert all(strikes[f"disk.torn_{how}"] > 1 for how in ("prefix", "suffix", "garbage"))


def test_writes_to_one_sector_may_be_lost_in_any_order() -> None:
    """Of two writes to a sector since the last sync none may be on the device, the first, or the second."""
    seen = set()
    for seed in range(60):
        disk = _disk(seed)
        path = _written(disk, b"0" * SECTOR)
        file = disk.open(path)
        file.pwrite(b"1" * SECTOR, 0)
        file.pwrite(b"2" * SECTOR, 0)
        disk.lose_power()
        seen |= {data[0:1] for data in [_read(disk, path)] if len(set(data)) == 1}
    assert seen == {b"0", b"1", b"2"}


def test_truncation_may_be_lost() -> None:
    """A file that was cut and filled anew may be as it was, cut, or as it should be; after a sync it is that."""
    strikes = Strikes()
    sizes = set()
    for seed in range(60):
        disk = SimDisk(random.Random(seed), strikes)
        make_directory(disk, DATA)
        path = _written(disk, b"o" * 2 * SECTOR)
        file = disk.open(path)
        file.truncate(0)
        file.allocate(3 * SECTOR)
        disk.lose_power()
        data = _read(disk, path)
        sizes.add((len(data) // SECTOR, data[:1]))
    assert sizes == {(2, b"o"), (0, b""), (3, b"\0")}
    assert strikes["disk.truncate_lost"] > 5
    assert strikes["disk.growth_lost"] > 1
    disk = _disk()
    path = _written(disk, b"o" * 2 * SECTOR)
    file = disk.open(path)
    file.truncate(0)
    file.allocate(2 * SECTOR)
    file.fdatasync()
    disk.lose_power()
    assert _read(disk, path) == bytes(2 * SECTOR)


def test_unsynced_names_are_kept_or_lost() -> None:
    """A new name, a rename and a removal may each be undone by a power loss, and only then."""
    kept = set()
    strikes = Strikes()
    for seed in range(60):
        disk = SimDisk(random.Random(seed), strikes)
        make_directory(disk, DATA)
        path = _written(disk, b"old")
        disk.rename(path, DATA / "renamed")
        disk.open(DATA / "new", create=True)
        disk.lose_power()
        kept.add(tuple(disk.listdir(DATA)))
    assert kept == {("file",), ("renamed",), ("file", "new"), ("new", "renamed")}
    assert strikes["disk.rename_lost"] > 5
    assert strikes["disk.creation_lost"] > 5


def test_killed_process_loses_nothing_but_its_files_and_locks() -> None:
    """Without a power loss the cache stays; open files of the dead process are void, its lock is free."""
    disk = _disk()
    path = _written(disk, b"unsynced", synced=False, named=False)
    file = disk.open(path)
    disk.lock_directory(DATA)
    with pytest.raises(DirectoryLocked):
        disk.lock_directory(DATA)
    disk.end_process()
    disk.lock_directory(DATA).release()
    assert _read(disk, path) == b"unsynced"
    with pytest.raises(PowerLoss):
        file.pwrite(b"x", 0)


def test_failed_sync_marks_pages_clean() -> None:
    """After EIO from a sync the next sync succeeds, and the bytes are nowhere: only dropping the cache shows it."""
    disk = _disk()
    path = _written(disk, b"before")
    file = disk.open(path)
    file.pwrite(b"after!", 0)
    disk.sync_errors = 1
    with pytest.raises(OSError, match=r"error|space") as failure:
        file.fdatasync()
    assert failure.value.errno == errno.EIO
    file.fdatasync()
    assert file.pread(10, 0) == b"after!"
    file.drop_cache()
    assert file.pread(10, 0) == b"before"
    assert disk.strikes["disk.sync_error"] == 1


def test_failed_write_leaves_any_part() -> None:
    """EIO from a write may come after some of it was done."""
    lengths = set()
    for seed in range(30):
        disk = _disk(seed)
        path = _written(disk, bytes(100))
        disk.write_errors = 1
        with pytest.raises(OSError, match="error"):
            disk.open(path).pwrite(b"w" * 100, 0)
        lengths.add(_read(disk, path).count(b"w"))
    assert len(lengths) > 10


def test_read_error() -> None:
    """EIO from a read, once."""
    disk = _disk()
    path = _written(disk, b"data")
    disk.read_fault = "error"
    with pytest.raises(OSError, match="error"):
        _read(disk, path)
    assert _read(disk, path) == b"data"


def test_short_reads_and_writes_are_completed() -> None:
    """A call that stops half-way is gone on with by the production code's loops; each is a step of its own."""
    disk = _disk()
    data = bytes(range(256)) * 20
    path = DATA / "file"
    file = disk.open(path, create=True)
    disk.short_transfers = 10
    before = disk.steps
    file.pwrite(data, 0)
    assert disk.steps > before + 1
    disk.short_transfers = 10
    assert file.pread(1 << 20, 0) == data
    assert disk.strikes["disk.short_write"] > 1
    assert disk.strikes["disk.short_read"] > 1


@pytest.mark.parametrize("fault", ["misdirected", "stale"])
def test_read_gives_wrong_bytes_once(fault: ReadFault) -> None:
    """One read gives a sector of another place, or as it was before it was written; the next one the truth."""
    differing = 0
    for seed in range(20):
        disk = _disk(seed)
        path = _written(disk, b"a" * SECTOR + b"b" * SECTOR)
        disk.read_fault, disk.reads_before = fault, 1
        assert _read(disk, path) == b"a" * SECTOR + b"b" * SECTOR
        wrong = _read(disk, path)
        assert len(wrong) == 2 * SECTOR
        differing += wrong != _read(disk, path) == b"a" * SECTOR + b"b" * SECTOR
        assert disk.strikes.as_dict().get(f"disk.read_{fault}", 0) == (not disk.read_fault)
    assert differing > 5


@pytest.mark.parametrize("fault", ["misdirected", "lost"])
def test_write_that_went_elsewhere_stays_if_something_follows(fault: WriteFault) -> None:
    """The device claims to have written a sector, and has not; if nothing comes behind it, it has after all."""
    for seed in range(10):
        disk = _disk(seed)
        path = DATA / "1.wal"
        file = disk.open(path, create=True)
        file.allocate(8 * SECTOR)
        file.fdatasync()
        disk.fsync_directory(DATA)
        for follows in (False, True):
            disk.write_fault = fault
            file = disk.open(path)
            file.pwrite(b"w" * SECTOR, SECTOR)
            file.fdatasync()
            if follows:
                file.pwrite(b"x" * SECTOR, 2 * SECTOR)
                file.fdatasync()
            disk.lose_power()
            data = _read(disk, path)
            if not follows:
                assert data == bytes(SECTOR) + b"w" * SECTOR + bytes(6 * SECTOR)
                file = disk.open(path)
                file.pwrite(bytes(SECTOR), SECTOR)
                file.fdatasync()
            else:
                assert data[SECTOR : 2 * SECTOR] == bytes(SECTOR)
                assert (b"w" * SECTOR in data.replace(b"x" * SECTOR, b"")) is (fault == "misdirected") or seed
                assert disk.strikes[f"disk.write_{fault}"] == 1


def test_misplaced_write_may_be_forbidden() -> None:
    """Where another disk is damaged already, the write goes where it belongs."""
    disk = _disk()
    path = _written(disk, bytes(4 * SECTOR)).with_name("1.wal")
    disk.rename(DATA / "file", path)
    disk.fsync_directory(DATA)
    disk.write_fault, disk.may_misplace = "lost", lambda: False
    file = disk.open(path)
    for sector in (1, 2):
        file.pwrite(b"w" * SECTOR, sector * SECTOR)
        file.fdatasync()
    disk.lose_power()
    assert _read(disk, path) == bytes(SECTOR) + b"w" * 2 * SECTOR + bytes(SECTOR)


def test_full_disk() -> None:
    """Nothing may grow, no file be made; what is there may be overwritten."""
    disk = _disk()
    path = _written(disk, bytes(4096))
    file = disk.open(path)
    disk.full = True
    assert disk.free_bytes(DATA) == 0
    for grow in (
        lambda: file.pwrite(b"x", 4096),
        lambda: file.allocate(5000),
        lambda: disk.open(DATA / "n", create=True),
    ):
        with pytest.raises(OSError, match=r"error|space") as failure:
            grow()
        assert failure.value.errno == errno.ENOSPC
    file.pwrite(b"x", 50)
    with pytest.raises(StorageFullError):
        SimBackend(disk).write(Batch({}, [], {}))


def test_lying_sync_loses_what_it_promised() -> None:
    """A sync that returned without having done anything is found out by a power loss, in files and in the database."""
    lost = 0
    for seed in range(10):
        disk = _disk(seed)
        path = _written(disk, b"truth")
        backend = SimBackend(disk)
        backend.write(Batch({b"k": b"1"}, [], {}))
        disk.lies = True
        file = disk.open(path)
        file.pwrite(b"lie!!", 0)
        file.fdatasync()
        backend.write(Batch({b"l": b"2"}, [], {}))
        disk.lose_power()
        lost += _read(disk, path) == b"truth"
        backend = backend.after_power_loss()
        assert (backend.get(b"k"), backend.get(b"l")) == (b"1", None)
    assert lost


def test_power_is_lost_in_the_middle() -> None:
    """After the given number of operations every further one ends the process."""
    disk = _disk()
    path = _written(disk, bytes(10))
    file = disk.open(path)
    ends: list[str] = []
    disk.on_power_loss = lambda: ends.append("now")
    disk.fail_after = 1
    file.pwrite(b"one", 0)
    for _ in range(2):
        with pytest.raises(PowerLoss):
            file.fdatasync()
    assert ends


def test_wiped_and_old_disks() -> None:
    """A disk may be emptied, or hold again what it held before."""
    disk = _disk()
    path = _written(disk, b"then")
    copy = disk.copy()
    disk.open(path).pwrite(b"now!", 0)
    disk.open(path).fdatasync()
    disk.put_back(copy)
    assert _read(disk, path) == b"then"
    disk.wipe()
    assert not disk.exists(path)


def test_database_fails_with_its_disk() -> None:
    """An error of the disk is an error of the database, which then holds what it held before."""
    disk = _disk()
    backend = SimBackend(disk)
    disk.sync_errors = 1
    with pytest.raises(StorageFailedError):
        backend.write(Batch({b"k": b"1"}, [], {}))
    assert backend.get(b"k") is None
