"""A data directory serves one server of one cluster, in a format that this version knows."""

import contextlib
import errno
import json
from pathlib import Path

import google_crc32c
import pytest
from tests.storage.crashing_disk import Crash, CrashingDisk

from oarlock.storage import (
    CorruptIdentity,
    DirectoryLocked,
    DiskFull,
    Identity,
    NewerFormat,
    ReadFailed,
    StorageError,
    WriteFailed,
    WrongIdentity,
    load_identity,
    load_or_create_identity,
)
from oarlock.storage import identity as identity_module
from oarlock.storage.identity import write_identity

DIRECTORY = Path("/data/node")
FILE = DIRECTORY / "identity"


def new_disk() -> CrashingDisk:
    disk = CrashingDisk()
    disk.mkdir(Path("/data"))
    disk.settle()
    return disk


def test_identity_is_created_once() -> None:
    """A new directory takes the identity it is given, durably, and keeps it."""
    disk = new_disk()
    assert load_identity(disk, DIRECTORY) is None
    assert load_or_create_identity(disk, DIRECTORY, 0xAB, 7) == Identity(0xAB, 7, 2)
    survivor = disk.after_power_loss(lambda options: 0)
    assert load_identity(survivor, DIRECTORY) == Identity(0xAB, 7, 2)
    survivor.operations.clear()
    assert load_or_create_identity(survivor, DIRECTORY, 0xAB, 7) == Identity(0xAB, 7, 2)
    assert [name for name, _ in survivor.operations] == ["open"]


def test_wrong_cluster_and_wrong_server_are_refused() -> None:
    """Another cluster's or server's directory is refused, with both ids."""
    disk = new_disk()
    load_or_create_identity(disk, DIRECTORY, 0xAB, 7)
    with pytest.raises(WrongIdentity, match="/data/node belongs to cluster ab, but this server is of cluster ac"):
        load_or_create_identity(disk, DIRECTORY, 0xAC, 7)
    with pytest.raises(WrongIdentity, match="/data/node belongs to server 7, but this is server 8"):
        load_or_create_identity(disk, DIRECTORY, 0xAB, 8)


def test_newer_format_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory of a later format is not touched."""
    disk = new_disk()
    load_or_create_identity(disk, DIRECTORY, 0xAB, 7)
    monkeypatch.setattr(identity_module, "FORMAT_VERSION", 0)
    with pytest.raises(NewerFormat, match="/data/node has format 2; this version knows up to 0"):
        load_or_create_identity(disk, DIRECTORY, 0xAB, 7)


def test_every_byte_matters() -> None:
    """A damaged identity is never another identity."""
    disk = new_disk()
    load_or_create_identity(disk, DIRECTORY, 0xAB, 7)
    for position in range(len(disk.content(FILE))):
        for bits in (1, 0x20, 0xFF):
            rotten = disk.copy()
            rotten.content(FILE)[position] ^= bits
            try:
                assert load_identity(rotten, DIRECTORY) == Identity(0xAB, 7)
            except (CorruptIdentity, NewerFormat):
                continue
    del disk.content(FILE)[20:]
    with pytest.raises(CorruptIdentity, match="/data/node/identity is damaged"):
        load_identity(disk, DIRECTORY)


def test_file_is_readable() -> None:
    """An operator can read the file."""
    disk = new_disk()
    load_or_create_identity(disk, DIRECTORY, 0xAB, 7)
    content = json.loads(bytes(disk.content(FILE)))
    assert content["cluster_id"] == "00000000000000ab"
    assert content["server_id"] == "0000000000000007"
    assert content["format_version"] == 2


def test_crash_at_every_operation() -> None:
    """Cut at any instant, the directory has the identity or none, and can be given it."""
    crash_at = 0
    while True:
        disk = new_disk()
        disk.crash_at = len(disk.operations) + crash_at
        with contextlib.suppress(Crash):
            load_or_create_identity(disk, DIRECTORY, 0xAB, 7)
            return
        for keep in (lambda options: 0, lambda options: options - 1):
            survivor = disk.after_power_loss(keep, garbage=True)
            assert load_identity(survivor, DIRECTORY) in (None, Identity(0xAB, 7))
            assert load_or_create_identity(survivor, DIRECTORY, 0xAB, 7) == Identity(0xAB, 7)
        crash_at += 1


@pytest.mark.parametrize("operation", ["open", "pwrite", "fdatasync", "rename", "fsync_directory"])
def test_disk_errors(operation: str) -> None:
    """Each step's failure is reported; only a lack of space may be tried again."""
    for code in (errno.ENOSPC, errno.EIO):
        disk = new_disk()
        disk.mkdir(DIRECTORY)
        disk.faults = lambda name, path, code=code: OSError(code, "broken") if name == operation else None
        may_retry = code == errno.ENOSPC and operation in ("open", "pwrite", "rename")
        with pytest.raises(StorageError) as caught:
            load_or_create_identity(disk, DIRECTORY, 1, 2)
        if "sync" not in operation or code == errno.EIO:
            assert type(caught.value) is (DiskFull if may_retry else WriteFailed)


def test_unreadable_identity() -> None:
    """A read that the disk refuses is not taken for a missing identity."""
    disk = new_disk()
    load_or_create_identity(disk, DIRECTORY, 1, 2)
    disk.faults = lambda name, path: OSError(errno.EIO, "broken") if name == "pread" else None
    with pytest.raises(ReadFailed):
        load_or_create_identity(disk, DIRECTORY, 1, 2)


def test_lock_in_memory() -> None:
    """The simulated disk keeps the lock's promise too."""
    disk = new_disk()
    lock = disk.lock_directory(DIRECTORY)
    with pytest.raises(DirectoryLocked, match="data directory /data/node is in use by another process"):
        disk.lock_directory(DIRECTORY)
    lock.release()
    disk.lock_directory(DIRECTORY).release()


def test_a_directory_of_the_first_format_is_taken_over() -> None:
    """NS-1: it gets the disk id that is offered, durably, and keeps it; without an offer it stays as it is."""
    disk = new_disk()
    write_identity(disk, DIRECTORY, Identity(0xAB, 7, 1))
    assert load_identity(disk, DIRECTORY) == Identity(0xAB, 7, 1, 0)
    assert load_or_create_identity(disk, DIRECTORY, 0xAB, 7) == Identity(0xAB, 7, 1, 0)
    assert load_or_create_identity(disk, DIRECTORY, 0xAB, 7, 0xD15C) == Identity(0xAB, 7, 2, 0xD15C)
    survivor = disk.after_power_loss(lambda options: 0)
    assert load_identity(survivor, DIRECTORY) == Identity(0xAB, 7, 2, 0xD15C)
    assert load_or_create_identity(survivor, DIRECTORY, 0xAB, 7, 0xBAD) == Identity(0xAB, 7, 2, 0xD15C)


def test_a_new_directory_gets_its_disk_id() -> None:
    """NS-1: with its identity, in one write; every byte of it counts."""
    disk = new_disk()
    assert load_or_create_identity(disk, DIRECTORY, 0xAB, 7, 0xD15C).disk_id == 0xD15C
    content = json.loads(bytes(disk.content(FILE)))
    assert content["disk_id"] == "000000000000d15c"
    assert content["crc32c"] == f"{google_crc32c.value(b'2 00000000000000ab 0000000000000007 000000000000d15c'):08x}"
    assert disk.files() == [FILE]
    assert disk.open_files == 0


def test_a_directory_without_a_disk_id_says_none() -> None:
    """NS-1: its file is the one that the first format had, with that one's checksum."""
    disk = new_disk()
    write_identity(disk, DIRECTORY, Identity(0xAB, 7, 1))
    content = json.loads(bytes(disk.content(FILE)))
    assert content["disk_id"] == ""
    assert content["crc32c"] == f"{google_crc32c.value(b'1 00000000000000ab 0000000000000007'):08x}"


def test_a_refused_directory_is_not_touched() -> None:
    """Another's identity is not even given a disk id."""
    disk = new_disk()
    write_identity(disk, DIRECTORY, Identity(0xAB, 7, 1))
    disk.operations.clear()
    for cluster_id, server_id in ((0xAC, 7), (0xAB, 8)):
        with pytest.raises(WrongIdentity):
            load_or_create_identity(disk, DIRECTORY, cluster_id, server_id, 0xD15C)
    assert {name for name, _ in disk.operations} == {"open"}
    assert disk.open_files == 0
