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
