"""The real disk: real files, real syncs, real processes that are really killed."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.storage.crashing_disk import CrashingDisk
from tests.storage.log_model import SCRIPT, entries, image, images, snapshot_at

from oarlock.storage import (
    DirectoryLocked,
    DiskFull,
    PosixDisk,
    SnapshotStore,
    WriteAheadLog,
    WriteFailed,
    load_or_create_identity,
)
from oarlock.storage.disk import (
    PosixFile,
    make_directory,
    read_on,
    remove_quietly,
    sync_directory,
    sync_file,
    write_on,
)
from oarlock.storage.errors import write_error

WRITER = """
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from oarlock.raft.types import Entry, EntryKind
from oarlock.storage import PosixDisk, WriteAheadLog
log, recovered = WriteAheadLog.open(PosixDisk(), Path(sys.argv[1]), segment_bytes=1 << 16)
index = len(recovered.entries)
while True:
    log.append(entries=[Entry(index + i, 1, EntryKind.COMMAND, b"%d" % (index + i)) for i in range(1, 4)])
    index += 3
    print(index, flush=True)
"""

HOLDER = """
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from oarlock.storage import PosixDisk
lock = PosixDisk().lock_directory(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_script_on_real_files(tmp_path: Path) -> None:
    """Every kind of append, over several segments and lives, on a real file system."""
    disk = PosixDisk()
    directory = tmp_path / "a" / "wal"
    held = images(SCRIPT)
    for position, batches in enumerate(SCRIPT):
        log, recovered = WriteAheadLog.open(disk, directory, segment_bytes=4096)
        assert image(recovered) == held[position]
        log.append_many(batches)
        log.prepare()
        log.close()
    _, recovered = WriteAheadLog.open(disk, directory, segment_bytes=4096)
    assert image(recovered) == held[-1]
    assert (directory.stat().st_mode & 0o777, next(directory.iterdir()).stat().st_mode & 0o777) == (0o700, 0o600)


def test_segment_is_allocated(tmp_path: Path) -> None:
    """A segment has all its blocks before its first append, and an append does not change its size."""
    disk = PosixDisk()
    log, _ = WriteAheadLog.open(disk, tmp_path, segment_bytes=1 << 21)
    (path,) = tmp_path.iterdir()
    before = path.stat()
    assert before.st_size == 1 << 21
    assert before.st_blocks * 512 >= 1 << 21
    log.append(entries=entries(1, 64, size=300))
    assert path.stat().st_size == before.st_size
    log.close()


def test_killed_writer_loses_nothing(tmp_path: Path) -> None:
    """A process killed with SIGKILL, again and again in mid-append, leaves every append that it reported."""
    acknowledged = 0
    for round_number in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path / "wal")], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            for _ in range(50 * (round_number + 1)):
                acknowledged = int(process.stdout.readline())
            os.kill(process.pid, signal.SIGKILL)
            rest = process.stdout.read().split("\n")
            acknowledged = max([acknowledged, *[int(line) for line in rest[:-1]]])
        log, recovered = WriteAheadLog.open(PosixDisk(), tmp_path / "wal", segment_bytes=1 << 16)
        log.close()
        assert len(recovered.entries) >= acknowledged
        assert len(recovered.entries) - acknowledged <= 3
        assert [int(e.data) for e in recovered.entries] == list(range(1, len(recovered.entries) + 1))


def test_segments_made_ahead_by_another_thread(tmp_path: Path) -> None:
    """`prepare` may run beside `append`, in any interleaving, and nothing is lost."""
    disk = PosixDisk()
    log, _ = WriteAheadLog.open(disk, tmp_path, segment_bytes=8192)
    with ThreadPoolExecutor(2) as pool:
        prepared = []
        for index in range(1, 301):
            if log.wants_spare:
                prepared.append(pool.submit(log.prepare))
            log.append(entries=entries(index, 1, size=900))
        assert all(future.result() for future in prepared)
    log.close()
    assert len(list(tmp_path.iterdir())) > 30
    _, recovered = WriteAheadLog.open(disk, tmp_path, segment_bytes=8192)
    assert recovered.entries == entries(1, 300, size=900)


def test_torn_tail_on_real_files(tmp_path: Path) -> None:
    """A half-written append at the end of a real segment is cut, and its bytes are gone."""
    disk = PosixDisk()
    log, _ = WriteAheadLog.open(disk, tmp_path, segment_bytes=1 << 16)
    log.append(entries=entries(1, 1))
    log.append(entries=entries(2, 4, size=1000))
    (path,) = tmp_path.iterdir()
    with path.open("r+b") as file:
        file.seek(1024 + 512)
        file.write(bytes(512))
    _, recovered = WriteAheadLog.open(disk, tmp_path, segment_bytes=1 << 16)
    assert recovered.entries == entries(1, 1)
    assert recovered.torn_bytes == 4096
    content = path.read_bytes()
    assert not any(content[2048:])


def test_second_process_is_refused(tmp_path: Path) -> None:
    """A directory in use is refused with its name and the holder's process id, and is free once that process is gone."""
    disk = PosixDisk()
    with disk.lock_directory(tmp_path):
        pass
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        message = f"data directory {tmp_path} is in use by process {process.pid}"
        with pytest.raises(DirectoryLocked, match=f"^{message}$") as caught:
            disk.lock_directory(tmp_path)
        assert caught.value.pid == process.pid
        process.kill()
    lock = disk.lock_directory(tmp_path)
    lock.release()
    lock.release()


def test_identity_and_snapshots_on_real_files(tmp_path: Path) -> None:
    """Identity, a made and a received snapshot on a real file system."""
    disk = PosixDisk()
    load_or_create_identity(disk, tmp_path, 1, 2)
    load_or_create_identity(disk, tmp_path, 1, 2)
    sender = SnapshotStore(disk, tmp_path / "sender")
    receiver = SnapshotStore(disk, tmp_path / "receiver")
    metadata = snapshot_at(5)
    payload = os.urandom(3_000_000)
    sender.create(metadata, lambda out: out.write(payload))
    offset, done = 0, False
    while not done:
        data, done = sender.read_chunk(metadata, offset, 1 << 20)
        receiver.write_chunk(metadata, offset, data)
        offset += len(data)
    receiver.finish(metadata)
    with receiver.open(metadata) as stream:
        assert stream.read() == payload
    receiver.remove_older(6)
    assert receiver.latest() is None
    assert list((tmp_path / "receiver").iterdir()) == []
    assert 0 < disk.free_bytes(tmp_path) < disk.volume_bytes(tmp_path)


def test_file_operations(tmp_path: Path) -> None:
    """Reads end where the file ends, allocation keeps what is there, and a missing file is not made unasked."""
    disk = PosixDisk()
    path = tmp_path / "file"
    with pytest.raises(FileNotFoundError):
        disk.open(path)
    file = disk.open(path, create=True)
    file.pwrite(b"abc", 0)
    file.allocate(5)
    file.allocate(2)
    assert file.size() == 5
    assert file.pread(10, 0) == b"abc\0\0"
    assert file.pread(10, 5) == b""
    file.fdatasync()
    file.drop_cache()
    assert file.pread(2, 1) == b"bc"
    file.truncate(1)
    assert file.size() == 1
    file.close()
    disk.rename(path, tmp_path / "other")
    assert disk.exists(tmp_path / "other")
    assert disk.listdir(tmp_path) == ["other"]
    disk.fsync_directory(tmp_path)


def test_short_writes_and_reads_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system may take or give less than asked for; the rest follows."""
    file = PosixDisk().open(tmp_path / "file", create=True)
    real_write, real_read = os.pwrite, os.pread
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: real_write(fd, data[:3], offset))
    monkeypatch.setattr(os, "pread", lambda fd, length, offset: real_read(fd, min(length, 4), offset))
    file.pwrite(b"0123456789", 2)
    assert file.pread(100, 0) == b"\0\x000123456789"
    assert file.pread(5, 2) == b"01234"
    file.close()


def test_syncs_reach_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An append asks the system for one fdatasync of the segment, and a new segment for an fsync of the directory."""
    log, _ = WriteAheadLog.open(PosixDisk(), tmp_path, segment_bytes=4096)
    synced: list[str] = []
    for name in ("fdatasync", "fsync"):
        real = getattr(os, name)

        def record(fd: int, name: str = name, real: Callable[[int], None] = real) -> None:
            synced.append(f"{name} {Path(f'/proc/self/fd/{fd}').readlink().name}")
            real(fd)

        monkeypatch.setattr(os, name, record)
    log.append(entries=entries(1, 1, size=2500))
    assert synced == ["fdatasync 0000000000000001.wal"]
    log.append(entries=entries(2, 1, size=2500))
    assert synced[1:] == ["fdatasync spare.tmp", f"fsync {tmp_path.name}"]
    log.close()


def test_failing_sync_of_a_real_file_ends_the_log(tmp_path: Path) -> None:
    """A sync that the system refuses makes the log refuse: here because its descriptor is gone."""
    log, _ = WriteAheadLog.open(PosixDisk(), tmp_path, segment_bytes=4096)
    assert isinstance(log._file, PosixFile)
    log._file.close()
    with pytest.raises(WriteFailed, match="Bad file descriptor"):
        log.append(entries=entries(1, 1))
    with pytest.raises(WriteFailed, match="refused since"):
        log.append(entries=entries(1, 1))


def _open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_no_descriptor_is_kept(tmp_path: Path) -> None:
    """Files, directories that were synced, and locks that were released or refused: each gives its descriptor back."""
    disk = PosixDisk()
    before = _open_descriptors()
    file = disk.open(tmp_path / "file", create=True)
    assert _open_descriptors() == before + 1
    file.close()
    disk.fsync_directory(tmp_path)
    with disk.lock_directory(tmp_path) as lock:
        assert _open_descriptors() == before + 1
        with pytest.raises(DirectoryLocked):
            disk.lock_directory(tmp_path)
        assert _open_descriptors() == before + 1
    lock.release()
    assert _open_descriptors() == before


def test_a_lock_names_its_holder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the file, for people; what stands there by mistake is not taken for a process, and what cannot be written is left."""
    disk = PosixDisk()
    with disk.lock_directory(tmp_path):
        assert (tmp_path / "lock").read_text() == f"{os.getpid():<20d}\n"
        (tmp_path / "lock").write_text("nobody")
        with pytest.raises(DirectoryLocked, match="is in use by another process") as caught:
            disk.lock_directory(tmp_path)
        assert caught.value.pid is None

    def full(fd: int, data: bytes, offset: int) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        disk.lock_directory(tmp_path).release()
    assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600


def test_a_large_allocation_is_written(tmp_path: Path) -> None:
    """What is there stays, all blocks behind it are zeros and really there, to the very last byte."""
    file = PosixDisk().open(tmp_path / "file", create=True)
    file.pwrite(b"abc", 0)
    size = (2 << 20) + 12_345
    file.allocate(size)
    assert file.size() == size
    content = (tmp_path / "file").read_bytes()
    assert content == b"abc".ljust(size, b"\0")
    assert (tmp_path / "file").stat().st_blocks * 512 >= size
    file.allocate(size)
    assert file.size() == size
    file.close()


def test_what_is_made_is_for_the_owner(tmp_path: Path) -> None:
    """Directories and files alike; a file that is there is opened as it is, and names come in their order."""
    disk = PosixDisk()
    disk.mkdir(tmp_path / "made")
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o700
    for name in ("c", "a", "b"):
        file = disk.open(tmp_path / "made" / name, create=True)
        file.pwrite(name.encode(), 0)
        file.close()
    assert (tmp_path / "made" / "a").stat().st_mode & 0o777 == 0o600
    file = disk.open(tmp_path / "made" / "a", create=True)
    assert file.pread(10, 0) == b"a"
    file.close()
    assert disk.listdir(tmp_path / "made") == ["a", "b", "c"]
    assert disk.exists(tmp_path / "made")
    assert not disk.exists(tmp_path / "other")
    disk.remove(tmp_path / "made" / "b")
    disk.rename(tmp_path / "made" / "c", tmp_path / "made" / "a")
    assert (tmp_path / "made" / "a").read_bytes() == b"c"


def test_room_is_what_this_user_may_fill(tmp_path: Path) -> None:
    """As the system says it: of the whole volume, without what is kept for the superuser."""
    disk = PosixDisk()
    status = os.statvfs(tmp_path)
    assert disk.volume_bytes(tmp_path) == status.f_blocks * status.f_frsize
    assert disk.free_bytes(tmp_path) == pytest.approx(status.f_bavail * status.f_frsize, rel=0.05)


def test_reading_and_writing_on() -> None:
    """After a short read or write the rest is asked for, from where it stopped, and no more."""
    content = bytes(range(100))
    asked: list[tuple[int, int]] = []

    def read(length: int, offset: int) -> bytes:
        asked.append((length, offset))
        return content[offset : offset + min(length, 30)]

    assert read_on(read, content[10:15], 70, 10) == content[10:80]
    assert asked == [(65, 15), (35, 45), (5, 75)]
    asked.clear()
    assert read_on(read, content[90:95], 70, 90) == content[90:]
    assert asked == [(65, 95), (60, 100)]
    written: list[tuple[bytes, int]] = []

    def write(data: memoryview, offset: int) -> int:
        written.append((bytes(data[:4]), offset))
        return min(len(data), 4)

    write_on(write, b"0123456789", 1, 50)
    assert written == [(b"1234", 51), (b"5678", 55), (b"9", 59)]


def test_directories_are_made_durably_and_once() -> None:
    """Each with its parent synced; one that is there has its name synced, unless its parent is not ours to sync."""
    disk = CrashingDisk()
    make_directory(disk, Path("/a/b/c"))
    assert [(name, str(path)) for name, path in disk.operations] == [
        ("fsync_directory", "/"),
        ("mkdir", "/a"),
        ("fsync_directory", "/"),
        ("mkdir", "/a/b"),
        ("fsync_directory", "/a"),
        ("mkdir", "/a/b/c"),
        ("fsync_directory", "/a/b"),
    ]
    disk.operations.clear()
    make_directory(disk, Path("/a/b"))
    assert [(name, str(path)) for name, path in disk.operations] == [("fsync_directory", "/a")]
    disk.faults = lambda name, path: PermissionError(13, "not ours")
    make_directory(disk, Path("/a/b"))
    disk.faults = lambda name, path: OSError(5, "broken")
    with pytest.raises(OSError, match="broken"):
        make_directory(disk, Path("/a/b"))


def test_what_nothing_depends_on_is_removed_if_that_can_be() -> None:
    """A file that is not there is not looked for, and one that stays is no error."""
    disk = CrashingDisk()
    remove_quietly(disk, Path("/none"))
    assert disk.operations == []
    disk.open(Path("/one"), create=True)
    disk.faults = lambda name, path: OSError(5, "broken")
    remove_quietly(disk, Path("/one"))
    assert disk.exists(Path("/one"))
    disk.faults = lambda name, path: None
    remove_quietly(disk, Path("/one"))
    assert not disk.exists(Path("/one"))


def test_a_failed_sync_is_fatal_whatever_the_reason() -> None:
    """A full disk too: what it did not write it may have dropped."""
    disk = CrashingDisk()
    file = disk.open(Path("/one"), create=True)
    for code in (5, 28):
        disk.faults = lambda name, path, code=code: OSError(code, "broken")
        with pytest.raises(WriteFailed, match="write failed: /one: sync: broken"):
            sync_file(file, Path("/one"))
        with pytest.raises(WriteFailed, match="write failed: /: sync: broken"):
            sync_directory(disk, Path("/"))


def test_what_a_failed_write_means() -> None:
    """No space, or a quota reached: it may be tried again; anything else may not. The system's words are kept."""
    path = Path("/one")
    for code in (errno.ENOSPC, errno.EDQUOT):
        error = write_error(OSError(code, "no room"), path)
        assert isinstance(error, DiskFull)
        assert (str(error), error.path) == ("disk full: /one: no room", path)
    error = write_error(OSError(errno.EIO, "broken"), path)
    assert isinstance(error, WriteFailed)
    assert (str(error), error.path) == ("write failed: /one: broken", path)
    assert str(write_error(OSError("odd"), path)) == "write failed: /one: odd"
