"""Snapshots are in place only when whole and durable, and damage to them is noticed."""

import errno
import random
from pathlib import Path
from typing import BinaryIO

import pytest
from tests.storage.crashing_disk import Crash, CrashingDisk
from tests.storage.log_model import snapshot_at

from oarlock.raft.types import SnapshotMetadata
from oarlock.storage import (
    CorruptSnapshot,
    DiskFull,
    NewerFormat,
    OutOfOrderChunk,
    ReadFailed,
    SnapshotNotFound,
    SnapshotStore,
    WriteFailed,
)
from oarlock.storage import partial as partial_module
from oarlock.storage import snapshot_file as snapshot_file_module
from oarlock.storage.snapshot_file import MAX_METADATA_BYTES, PIECE_BYTES

DIRECTORY = Path("/data/snapshots")
CHUNK = 700


def new_disk() -> CrashingDisk:
    disk = CrashingDisk()
    disk.mkdir(DIRECTORY.parent)
    disk.settle()
    disk.operations.clear()
    return disk


def open_store(disk: CrashingDisk) -> SnapshotStore:
    return SnapshotStore(disk, DIRECTORY)


def payload(index: int, size: int = 3000) -> bytes:
    return random.Random(index).randbytes(size)


def create(store: SnapshotStore, index: int, size: int = 3000) -> SnapshotMetadata:
    metadata = snapshot_at(index)
    store.create(metadata, lambda out: out.write(payload(index, size)))
    return metadata


def content(store: SnapshotStore, metadata: SnapshotMetadata) -> bytes:
    with store.open(metadata) as stream:
        return stream.read()


def chunks(index: int, size: int = 3000) -> list[tuple[int, bytes]]:
    """What a sender sends of a snapshot."""
    store = open_store(new_disk())
    metadata = create(store, index, size)
    found, offset, done = [], 0, False
    while not done:
        data, done = store.read_chunk(metadata, offset, CHUNK)
        found.append((offset, data))
        offset += len(data)
    return found


def receive(store: SnapshotStore, index: int, size: int = 3000) -> None:
    metadata = snapshot_at(index)
    for offset, data in chunks(index, size):
        store.write_chunk(metadata, offset, data)
    store.finish(metadata)


def test_created_snapshot_is_read_back() -> None:
    """What was written is read, whatever the sizes of the writes, and its name says what it stands for."""
    store = open_store(new_disk())
    metadata = snapshot_at(42, 7)
    pieces = [b"a" * 10, b"b" * (PIECE_BYTES + 1), b"", b"c" * PIECE_BYTES]

    def write(out: BinaryIO) -> None:
        for piece in pieces:
            assert out.write(memoryview(piece)) == len(piece)

    path = store.create(metadata, write)
    assert path.name == "00000000000000000042-00000000000000000007.snap"
    assert content(store, metadata) == b"".join(pieces)
    latest = store.latest()
    assert latest == (metadata, path)


def test_empty_payload() -> None:
    """A machine may have nothing to say."""
    store = open_store(new_disk())
    metadata = create(store, 1, 0)
    assert content(store, metadata) == b""


def test_latest_is_by_index() -> None:
    """The latest snapshot is the one with the highest index."""
    store = open_store(new_disk())
    assert store.latest() is None
    for index in (9, 100, 20):
        create(store, index)
    assert [s.metadata.last_included_index for s in store.snapshots()] == [9, 20, 100]
    latest = store.latest()
    assert latest is not None
    assert latest.metadata == snapshot_at(100)
    store.remove_older(100)
    assert [s.metadata.last_included_index for s in store.snapshots()] == [100]
    store.remove_older(5)
    assert len(store.snapshots()) == 1


def test_received_snapshot_is_the_same() -> None:
    """A snapshot received in chunks is byte for byte the sender's, and leaves nothing else behind."""
    disk = new_disk()
    store = open_store(disk)
    receive(store, 5)
    assert content(store, snapshot_at(5)) == payload(5)
    assert [path.name for path in disk.files()] == ["00000000000000000005-00000000000000000001.snap"]
    assert disk.open_files == 0


def test_chunks_repeated_and_overlapping() -> None:
    """Bytes that are here already count once; a gap is refused with the offset wanted; offset 0 starts anew (IS-2, IS-3)."""
    store = open_store(new_disk())
    metadata = snapshot_at(5)
    parts = chunks(5)
    whole = b"".join(data for _, data in parts)
    assert store.next_offset(metadata) == 0
    store.write_chunk(metadata, 0, whole[:1000])
    store.write_chunk(metadata, 500, whole[500:900])
    assert store.next_offset(metadata) == 1000
    store.write_chunk(metadata, 500, whole[500:1500])
    assert store.next_offset(metadata) == 1500
    with pytest.raises(OutOfOrderChunk) as caught:
        store.write_chunk(metadata, 1501, b"x")
    assert caught.value.expected == 1500
    with pytest.raises(OutOfOrderChunk) as caught:
        store.write_chunk(snapshot_at(6), 1500, b"x")
    assert caught.value.expected == 0
    store.write_chunk(metadata, 0, whole[:10])
    assert store.next_offset(metadata) == 10
    store.write_chunk(metadata, 10, whole[10:])
    store.finish(metadata)
    assert content(store, metadata) == payload(5)


def test_another_snapshot_drops_what_was_received() -> None:
    """One snapshot is received at a time; the first chunk of another one ends it and its file."""
    disk = new_disk()
    store = open_store(disk)
    store.write_chunk(snapshot_at(5), 0, b"x" * 100)
    store.write_chunk(snapshot_at(6), 0, b"y" * 100)
    assert store.next_offset(snapshot_at(5)) == 0
    assert [path.name for path in disk.files()] == ["00000000000000000006-00000000000000000001.snap.partial"]
    with pytest.raises(SnapshotNotFound):
        store.finish(snapshot_at(5))
    store.close()
    store.close()


def test_every_byte_of_a_received_snapshot_matters() -> None:
    """A byte changed on the way, or a chunk missing at the end, is found at the finish, and nothing is put in place."""
    whole = b"".join(data for _, data in chunks(5, 400))
    metadata = snapshot_at(5)
    damaged = [bytes([*whole[:i], whole[i] ^ 1, *whole[i + 1 :]]) for i in range(len(whole))]
    for data in [*damaged, whole[:-1], whole[:40], whole + b"x", b""]:
        disk = new_disk()
        store = open_store(disk)
        store.write_chunk(metadata, 0, data)
        with pytest.raises((CorruptSnapshot, NewerFormat)):
            store.finish(metadata)
        assert disk.files() == []
        assert store.latest() is None
        assert store.next_offset(metadata) == 0


def test_every_byte_of_a_stored_snapshot_matters() -> None:
    """A byte that rots on the disk is found when the snapshot is opened, before a machine is given any of it."""
    disk = new_disk()
    store = open_store(disk)
    metadata = create(store, 5, 400)
    (path,) = disk.files()
    for position in range(len(disk.content(path))):
        rotten = disk.copy()
        rotten.content(path)[position] ^= 0x10
        with pytest.raises((CorruptSnapshot, NewerFormat)) as caught:
            open_store(rotten).open(metadata)
        assert str(path) in str(caught.value)
        assert rotten.open_files == 0


def test_wrong_metadata_is_found() -> None:
    """A snapshot that stands for something else than it is taken for is refused."""
    store = open_store(new_disk())
    for offset, data in chunks(6):
        store.write_chunk(snapshot_at(5), offset, data)
    with pytest.raises(CorruptSnapshot, match="it stands for"):
        store.finish(snapshot_at(5))


def test_damaged_header_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    """A snapshot whose header cannot be read is not offered; an older one is."""
    disk = new_disk()
    store = open_store(disk)
    create(store, 5)
    create(store, 6)
    disk.content(disk.files()[1])[20] ^= 1
    latest = store.latest()
    assert latest is not None
    assert latest.metadata == snapshot_at(5)
    assert "snapshot passed over: corrupt snapshot: /data/snapshots/00000000000000000006" in caplog.text


def test_newer_format_and_absurd_sizes_are_refused() -> None:
    """A later format is named as such; a length that cannot be is not believed."""
    disk = new_disk()
    store = open_store(disk)
    metadata = create(store, 5)
    (path,) = disk.files()
    disk.content(path)[7:8] = b"2"
    with pytest.raises(NewerFormat, match="this version does not know"):
        store.open(metadata)
    disk.content(path)[7:8] = b"1"
    disk.content(path)[8:12] = (MAX_METADATA_BYTES + 1).to_bytes(4, "little")
    with pytest.raises(CorruptSnapshot, match="over the limit"):
        store.open(metadata)


def test_missing_snapshot() -> None:
    """A snapshot removed meanwhile is reported as missing, not as a failing disk."""
    store = open_store(new_disk())
    with pytest.raises(SnapshotNotFound):
        store.open(snapshot_at(5))
    with pytest.raises(SnapshotNotFound):
        store.read_chunk(snapshot_at(5), 0, 10)


def test_power_loss_while_creating() -> None:
    """At every operation and for any survivors: the snapshot is there whole or not at all, an older one stays, no leftovers."""
    rng = random.Random(1)
    crash_at = 0
    while True:
        disk = new_disk()
        store = open_store(disk)
        create(store, 5)
        disk.crash_at = len(disk.operations) + crash_at
        finished = True
        try:
            create(store, 9, 2000)
        except Crash:
            finished = False
        for survivor in disk.power_losses(rng, most=60, garbage=True):
            after = open_store(survivor)
            found = [s.metadata.last_included_index for s in after.snapshots()]
            assert found == [5, 9] or (found == [5] and not finished)
            for index in found:
                assert content(after, snapshot_at(index)) == payload(index, 3000 if index == 5 else 2000)
            assert all(path.suffix == ".snap" for path in survivor.files())
        if finished:
            return
        crash_at += 1


def test_power_loss_while_receiving(monkeypatch: pytest.MonkeyPatch) -> None:
    """At every operation: what is resumed is a true prefix, and the snapshot can be completed from there."""
    monkeypatch.setattr(partial_module, "NOTE_EVERY_BYTES", 1000)
    rng = random.Random(2)
    parts = chunks(5)
    whole = b"".join(data for _, data in parts)
    metadata = snapshot_at(5)
    resumed = set()
    crash_at = 0
    while True:
        disk = new_disk()
        finished = True
        try:
            store = open_store(disk)
            disk.crash_at = len(disk.operations) + crash_at
            for offset, data in parts:
                store.write_chunk(metadata, offset, data)
            store.finish(metadata)
        except Crash:
            finished = False
        for survivor in [disk.killed(), *disk.power_losses(rng, most=24, garbage=True)]:
            after = open_store(survivor)
            if after.latest() is None:
                assert not finished
                offset = after.next_offset(metadata)
                resumed.add(offset)
                after.write_chunk(metadata, offset, whole[offset:])
                after.finish(metadata)
            assert content(after, metadata) == payload(5)
            assert all(path.suffix == ".snap" for path in survivor.files())
        if finished:
            assert {0, 1400, 2800} <= resumed
            return
        crash_at += 1


def test_only_a_sound_part_is_resumed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part whose noted bytes changed, whose note is damaged or missing, or which is too short, is removed."""
    monkeypatch.setattr(partial_module, "NOTE_EVERY_BYTES", 1000)
    disk = new_disk()
    store = open_store(disk)
    metadata = snapshot_at(5)
    parts = chunks(5)
    for offset, data in parts[:3]:
        store.write_chunk(metadata, offset, data)
    disk.settle()
    part, note = disk.files()
    assert (part.suffix, note.suffix) == (".partial", ".progress")
    assert open_store(disk.copy()).next_offset(metadata) == 1400
    for path, end in ((part, 1400), (note, len(disk.content(note)))):
        for position in range(0, end, 7 if path == part else 1):
            rotten = disk.copy()
            rotten.content(path)[position] ^= 1
            assert open_store(rotten).next_offset(metadata) == 0
            assert rotten.files() == []
            assert rotten.open_files == 0
    for path in (part, note):
        short = disk.copy()
        del short.content(path)[10:]
        assert open_store(short).next_offset(metadata) == 0
        missing = disk.copy()
        missing.remove(path)
        assert open_store(missing).next_offset(metadata) == 0
        assert missing.files() == []


def test_noted_part_outlives_a_power_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was noted is resumed even when nothing unsynced survives, and what lies behind it does no harm."""
    monkeypatch.setattr(partial_module, "NOTE_EVERY_BYTES", 1000)
    disk = new_disk()
    store = open_store(disk)
    metadata = snapshot_at(5)
    parts = chunks(5)
    for offset, data in parts[:3]:
        store.write_chunk(metadata, offset, data)
    survivor = disk.after_power_loss(lambda options: 0)
    part, _ = survivor.files()
    survivor.content(part)[1400:] = b"?" * 9000
    store = open_store(survivor)
    assert store.next_offset(metadata) == 1400
    for offset, data in parts[2:]:
        store.write_chunk(metadata, offset, data)
    store.finish(metadata)
    assert content(store, metadata) == payload(5)


def test_full_disk_gives_the_space_back() -> None:
    """A snapshot that finds no space leaves nothing, whether made here or received, and can be tried again."""
    disk = new_disk()
    store = open_store(disk)
    disk.capacity = 1000
    with pytest.raises(DiskFull, match="disk full: /data/snapshots/"):
        create(store, 5)
    assert disk.files() == []
    with pytest.raises(DiskFull):
        receive(store, 5)
    assert disk.files() == []
    disk.capacity = None
    receive(store, 5)
    create(store, 6)
    assert len(store.snapshots()) == 2


@pytest.mark.parametrize("operation", ["open", "truncate", "pwrite", "fdatasync", "rename", "fsync_directory"])
def test_failing_disk(operation: str) -> None:
    """EIO in any step of making or receiving is reported as fatal, and no file of that name is offered."""
    for make in (create, receive):
        disk = new_disk()
        store = open_store(disk)
        disk.faults = lambda name, path: OSError(errno.EIO, "broken") if name == operation else None
        with pytest.raises(WriteFailed, match="broken"):
            make(store, 5)
        disk.faults = lambda name, path: None
        if operation != "fsync_directory":
            assert open_store(disk.copy()).latest() is None
            assert disk.files() == []


def test_failing_reads() -> None:
    """A read that the disk refuses is reported with file and offset."""
    disk = new_disk()
    store = open_store(disk)
    metadata = create(store, 5)
    disk.faults = lambda name, path: OSError(errno.EIO, "broken") if name == "pread" else None
    for call in (lambda: store.open(metadata), lambda: store.read_chunk(metadata, 0, 10), store.latest):
        with pytest.raises(ReadFailed, match=r"\.snap at byte 0: broken"):
            call()


def test_writer_that_fails() -> None:
    """What the machine raises while it writes passes through, and nothing stays."""
    disk = new_disk()
    store = open_store(disk)

    def write(out: BinaryIO) -> None:
        out.write(b"x" * (2 * PIECE_BYTES))
        raise ArithmeticError("no")

    with pytest.raises(ArithmeticError, match=r"^no$"):
        store.create(snapshot_at(5), write)
    assert disk.files() == []


def test_metadata_bytes_are_the_same_on_every_run() -> None:
    """Sets of servers are written in one order, so equal snapshots are equal files."""
    from oarlock.raft.types import Configuration
    from oarlock.storage.snapshot_file import encode_header

    one = SnapshotMetadata(1, 1, Configuration(frozenset([3, 1, 2**40, 2])))
    two = SnapshotMetadata(1, 1, Configuration(frozenset([2**40, 2, 1, 3])))
    assert encode_header(one) == encode_header(two)
    with pytest.raises(ValueError, match="over the limit"):
        encode_header(SnapshotMetadata(1, 1, Configuration(frozenset(range(2**32, 2**32 + 120_000)))))


def test_a_name_that_was_not_durable_is_made_so_at_the_start() -> None:
    """A process killed between a snapshot's rename and the directory's sync: what the next one offers, it keeps."""
    disk = new_disk()
    store = open_store(disk)
    disk.faults = lambda name, path: OSError(errno.EIO, "broken") if name == "fsync_directory" else None
    with pytest.raises(WriteFailed):
        create(store, 5)
    restarted = disk.killed()
    assert open_store(restarted).latest() is not None
    assert open_store(restarted.after_power_loss(lambda options: 0)).latest() is not None


@pytest.mark.parametrize("operation", ["mkdir", "fsync_directory"])
def test_a_store_that_cannot_be_opened_says_why(operation: str) -> None:
    """EIO at the start is reported; so is a directory that cannot be read."""
    disk = new_disk()
    disk.faults = lambda name, path: OSError(errno.EIO, "broken") if name == operation else None
    with pytest.raises(WriteFailed, match="broken"):
        open_store(disk)
    disk = new_disk()

    def broken(directory: Path) -> list[str]:
        raise OSError(errno.EIO, "broken")

    disk.listdir = broken  # type: ignore[method-assign]
    with pytest.raises(ReadFailed, match="/data/snapshots at byte 0: broken"):
        open_store(disk)


def test_a_check_reads_all_of_it() -> None:
    """A sound snapshot passes, a damaged one is reported, and no file stays open."""
    disk = new_disk()
    store = open_store(disk)
    metadata = create(store, 5)
    store.check(metadata)
    (path,) = disk.files()
    disk.content(path)[-40] ^= 1
    with pytest.raises(CorruptSnapshot, match="its SHA-256 does not match"):
        store.check(metadata)
    assert disk.open_files == 0


def test_a_snapshot_of_several_pieces_is_checked_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are written, hashed and read a piece at a time; a byte changed in any piece is found, and none is skipped."""
    monkeypatch.setattr(snapshot_file_module, "PIECE_BYTES", 256)
    for size in (0, 1, 150, 255, 256, 257, 512, 1000):
        disk = new_disk()
        store = open_store(disk)
        metadata = create(store, 5, size)
        assert content(store, metadata) == payload(5, size)
        (path,) = disk.files()
        for position in range(0, len(disk.content(path)), 61):
            rotten = disk.copy()
            rotten.content(path)[position] ^= 1
            with pytest.raises((CorruptSnapshot, NewerFormat)):
                open_store(rotten).open(metadata)


def test_a_part_of_several_pieces_is_resumed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is noted is read a piece at a time; a byte changed in any piece ends it."""
    monkeypatch.setattr(partial_module, "NOTE_EVERY_BYTES", 1000)
    monkeypatch.setattr(partial_module, "PIECE_BYTES", 256)
    disk = new_disk()
    store = open_store(disk)
    metadata = snapshot_at(5)
    whole = b"".join(data for _, data in chunks(5))
    store.write_chunk(metadata, 0, whole[:999])
    disk.settle()
    assert open_store(disk.copy()).next_offset(metadata) == 0
    store.write_chunk(metadata, 999, whole[999:1000])
    store.write_chunk(metadata, 1000, whole[1000:1700])
    disk.settle()
    resumed = disk.copy()
    after = open_store(resumed)
    assert after.next_offset(metadata) == 1000
    after.write_chunk(metadata, 1000, whole[1000:1999])
    assert open_store(resumed.copy()).next_offset(metadata) == 1000
    after.write_chunk(metadata, 1999, whole[1999:])
    assert open_store(resumed.copy()).next_offset(metadata) == len(whole)
    after.finish(metadata)
    assert content(after, metadata) == payload(5)
    part = disk.files()[0]
    for position in (200, 300, 600, 999):
        rotten = disk.copy()
        rotten.content(part)[position] ^= 1
        assert open_store(rotten).next_offset(metadata) == 0
        assert rotten.open_files == 0


def test_only_one_file_is_open_while_receiving() -> None:
    """Starting anew gives the first file back; so do another snapshot, a finish, a refusal and the end."""
    disk = new_disk()
    store = open_store(disk)
    metadata = snapshot_at(5)
    for _ in range(3):
        store.write_chunk(metadata, 0, b"x" * 100)
        assert disk.open_files == 1
    store.write_chunk(snapshot_at(6), 0, b"x" * 100)
    assert disk.open_files == 1
    with pytest.raises(CorruptSnapshot):
        store.finish(snapshot_at(6))
    assert disk.open_files == 0
    receive(store, 7)
    assert disk.open_files == 0
    store.write_chunk(metadata, 0, b"x" * 100)
    store.close()
    assert disk.open_files == 0
    assert store.next_offset(metadata) == 0


def test_only_whole_sent_chunks_are_the_last() -> None:
    """A chunk is the last when the file ends with it, however it is cut."""
    store = open_store(new_disk())
    metadata = create(store, 5, 500)
    whole, done = store.read_chunk(metadata, 0, 1 << 20)
    assert done
    size = len(whole)
    for offset, length, last in [(0, size, True), (0, size - 1, False), (size - 1, 1, True), (size - 2, 1, False)]:
        assert store.read_chunk(metadata, offset, length) == (whole[offset : offset + length], last)
    assert store.read_chunk(metadata, size, 10) == (b"", True)


def test_older_snapshots_are_removed_durably() -> None:
    """Those below the index and no other; where there is none, the disk is left alone; a failure is fatal."""
    disk = new_disk()
    store = open_store(disk)
    for index in (4, 5, 6):
        create(store, index)
    disk.operations.clear()
    store.remove_older(4)
    assert disk.operations == []
    store.remove_older(5)
    assert [name for name, _ in disk.operations] == ["remove", "fsync_directory"]
    survivor = open_store(disk.after_power_loss(lambda options: 0))
    assert [stored.metadata for stored in survivor.snapshots()] == [snapshot_at(5), snapshot_at(6)]
    disk.faults = lambda name, path: OSError(errno.EIO, "broken") if name == "remove" else None
    with pytest.raises(WriteFailed, match=r"0000000005-00000000000000000001\.snap: broken"):
        store.remove_older(6)


def test_a_payload_is_a_stream() -> None:
    """It is read as a file is, in pieces of any size, and gives its file back when it is closed, once."""
    disk = new_disk()
    store = open_store(disk)
    metadata = create(store, 5, 1000)
    stream = store.open(metadata)
    assert stream.readable()
    assert [stream.read(1), stream.read(600), stream.read(600), stream.read(1)] == [
        payload(5, 1000)[:1],
        payload(5, 1000)[1:601],
        payload(5, 1000)[601:],
        b"",
    ]
    assert disk.open_files == 1
    stream.close()
    stream.close()
    assert disk.open_files == 0


def test_the_newest_part_is_resumed(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Of parts of two snapshots, which a crash may leave, the one of the higher index; the other goes."""
    monkeypatch.setattr(partial_module, "NOTE_EVERY_BYTES", 100)
    disk = new_disk()
    names = []
    for index in (5, 6):
        one = new_disk()
        open_store(one).write_chunk(snapshot_at(index), 0, chunks(index)[0][1])
        one.settle()
        for path in one.files():
            names.append(path.name)
            disk.names.setdefault(DIRECTORY, None)
            disk.open(path, create=True).pwrite(bytes(one.content(path)), 0)
    disk.settle()
    assert len(names) == 4
    with caplog.at_level("INFO"):
        store = open_store(disk)
    assert (store.next_offset(snapshot_at(5)), store.next_offset(snapshot_at(6))) == (0, CHUNK)
    assert "can resume snapshot 00000000000000000006" in caplog.text
    assert [path.name for path in disk.files()] == sorted(names)[2:]
