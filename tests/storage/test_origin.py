"""The note of how a directory got its cluster's id: it is found again as written, or reported."""

import errno
import json
from pathlib import Path

import pytest
from tests.storage.crashing_disk import Crash, CrashingDisk

from oarlock.storage.errors import CorruptIdentity, DiskFull, ReadFailed, WriteFailed
from oarlock.storage.origin import GivenUp, Recovered, Restored, load_origin, write_origin

DIRECTORY = Path("/data/node")
FILE = DIRECTORY / "origin-00000000000000ab"
RECOVERED = Recovered(
    cluster_id=0xAB,
    previous_cluster_id=0xAA,
    server_id=7,
    at="2026-01-02T03:04:05Z",
    index=12,
    term=3,
    committed_index=10,
    given_up=(GivenUp(8, True, ("http://a:1",)), GivenUp(9, False, ())),
)
RESTORED = Restored(cluster_id=0xAB, server_id=7, at="2026-01-02T03:04:05Z", source="a.db", sha256="00ff", revision=41)


def new_disk() -> CrashingDisk:
    disk = CrashingDisk()
    disk.mkdir(DIRECTORY.parent)
    disk.mkdir(DIRECTORY)
    disk.settle()
    return disk


@pytest.mark.parametrize("origin", [RECOVERED, RESTORED], ids=["recovered", "restored"])
def test_a_note_is_found_again(origin: Recovered | Restored) -> None:
    """Durable once written, under the id that it explains; of any other id, and before, nothing is noted."""
    disk = new_disk()
    assert load_origin(disk, DIRECTORY, 0xAB) is None
    write_origin(disk, DIRECTORY, origin)
    survivor = disk.after_power_loss(lambda options: 0)
    assert load_origin(survivor, DIRECTORY, 0xAB) == origin
    assert load_origin(survivor, DIRECTORY, 0xAA) is None
    assert survivor.files() == [FILE]
    assert survivor.open_files == 0


def test_a_note_is_readable() -> None:
    """An operator can read it, and tell which of the two it was."""
    disk = new_disk()
    write_origin(disk, DIRECTORY, RECOVERED)
    content = bytes(disk.content(FILE))
    assert content.endswith(b"}\n")
    assert json.loads(content)["origin"]["by"] == "recovered"
    assert json.loads(content)["origin"]["committed_index"] == 10


def test_every_byte_of_a_note_matters() -> None:
    """A note with a bit turned is reported with its name, or says what it said."""
    disk = new_disk()
    write_origin(disk, DIRECTORY, RECOVERED)
    reports = []
    for position in range(len(disk.content(FILE))):
        rotten = disk.copy()
        rotten.content(FILE)[position] ^= 1
        try:
            assert load_origin(rotten, DIRECTORY, 0xAB) == RECOVERED
        except CorruptIdentity as error:
            reports.append(str(error))
    assert all(report.startswith(f"{FILE} is damaged: ") for report in reports)
    assert len(reports) > len(disk.content(FILE)) // 2


def test_a_note_about_another_cluster_is_damage() -> None:
    """Sound as it is, a note that lies under another's name explains nothing."""
    disk = new_disk()
    write_origin(disk, DIRECTORY, RESTORED)
    disk.rename(FILE, DIRECTORY / "origin-00000000000000ac")
    with pytest.raises(CorruptIdentity, match="origin-00000000000000ac is damaged"):
        load_origin(disk, DIRECTORY, 0xAC)


def test_a_note_is_whole_or_as_before() -> None:
    """Cut at any instant, the directory has the old note or the new one."""
    crash_at = 0
    while True:
        disk = new_disk()
        write_origin(disk, DIRECTORY, RESTORED)
        disk.crash_at = len(disk.operations) + crash_at
        try:
            write_origin(disk, DIRECTORY, RECOVERED)
        except Crash:
            for keep in (lambda options: 0, lambda options: options - 1):
                survivor = disk.after_power_loss(keep, garbage=True)
                assert load_origin(survivor, DIRECTORY, 0xAB) in (RESTORED, RECOVERED)
            crash_at += 1
        else:
            assert crash_at > 5
            return


def test_a_disk_that_refuses() -> None:
    """An unreadable note is not taken for none; a full disk may be tried again, a failing one not."""
    disk = new_disk()
    write_origin(disk, DIRECTORY, RESTORED)
    disk.faults = lambda name, path: OSError(errno.EIO, "broken") if name == "pread" else None
    with pytest.raises(ReadFailed, match=f"{FILE} at byte 0: broken"):
        load_origin(disk, DIRECTORY, 0xAB)
    for code, kind in ((errno.ENOSPC, DiskFull), (errno.EDQUOT, DiskFull), (errno.EIO, WriteFailed)):
        disk.faults = lambda name, path, code=code: OSError(code, "broken") if name == "pwrite" else None
        with pytest.raises(kind, match="broken"):
            write_origin(disk, DIRECTORY, RECOVERED)
    disk.faults = lambda name, path: None
    assert load_origin(disk, DIRECTORY, 0xAB) == RESTORED
    assert disk.open_files == 0
