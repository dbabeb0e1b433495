"""Damage to acknowledged bytes is reported with file and offset, or does not matter; it is never read as something else."""

import random
import struct
from pathlib import Path

import google_crc32c
import msgspec
import pytest
from tests.storage.crashing_disk import CrashingDisk
from tests.storage.log_model import DIRECTORY, entries, image, images, new_disk, open_log, snapshot_at

from oarlock.raft.types import HardState
from oarlock.storage import Batch, CorruptLog, LogMissing, NewerFormat, ReadFailed
from oarlock.storage.records import (
    SECTOR,
    RecordType,
    decode_header,
    decode_start,
    encode_batches,
    encode_record,
    encode_start,
)

APPENDS: list[list[Batch]] = [
    [Batch(HardState(1, 2), entries(1, 2))],
    [Batch(None, entries(3, 1, size=1200))],
    [Batch(None, entries(4, 1))],
    [Batch(None, [], snapshot_at(1))],
    [Batch(None, entries(5, 2, size=600))],
    [Batch(HardState(2, None), entries(6, 1, 2))],
    [Batch(None, entries(7, 1, 2, size=700))],
]
"""Two segments, the second half full."""

HELD = images(APPENDS)


def written(*, seal: bool) -> CrashingDisk:
    """A disk with that log."""
    disk = new_disk()
    log, _ = open_log(disk)
    for batches in APPENDS:
        log.append_many(batches)
    if seal:
        log.close()
    disk.settle()
    assert len(disk.files()) == 2
    return disk


def outcome(disk: CrashingDisk) -> object:
    """What the log holds, or the report."""
    try:
        return image(open_log(disk)[1])
    except CorruptLog as report:
        return report


def segment(number: int) -> Path:
    return DIRECTORY / f"{number:016x}.wal"


def record_offsets(disk: CrashingDisk, path: Path) -> list[int]:
    content = bytes(disk.content(path))
    return [o for o in range(0, len(content), SECTOR) if decode_header(content[o : o + SECTOR]) is not None]


@pytest.mark.parametrize(("seal", "bits"), [(True, 0xFF), (False, 0x01)], ids=["sealed", "open"])
def test_every_byte_rotten(seal: bool, bits: int) -> None:
    """Any one byte changed: the log is the same, or the damage reported. Only the very last append may be cut, if unsealed."""
    disk = written(seal=seal)
    last = record_offsets(disk, segment(2))[-1]
    reported = cut = 0
    for path in disk.files():
        for position in range(len(disk.content(path))):
            around = disk.content(path)[max(0, position - 32) : position + 32]
            if position % 8 and (not any(around) or (path == segment(1) and not seal)):
                continue  # zeros among zeros, and what the sealed case goes through: a sample will do
            rotten = disk.copy()
            rotten.content(path)[position] ^= bits
            rotten.settle()
            found = outcome(rotten)
            if isinstance(found, CorruptLog):
                reported += 1
                assert found.file == path
                assert str(found).startswith(f"corrupt log: {path} at byte {found.offset}: ")
                assert found.offset // SECTOR <= position // SECTOR
            elif found != HELD[-1]:
                cut += 1
                assert not seal
                assert path == segment(2)
                assert position >= last
                assert found == HELD[-2]
    assert reported > (3000 if seal else 1000)
    assert (cut > 0) is not seal


def test_every_sector_lost_stale_or_misplaced() -> None:
    """A sector that reads as zeros, as another sector of the log, or as one of another log's, is never believed."""
    disk = written(seal=True)
    other = new_disk()
    log, _ = open_log(other)
    for index in range(1, 15):
        log.append(hard_state=HardState(index, 3), entries=entries(index, 1, 7))
    log.close()
    sources = [bytes(SECTOR)]
    for source in (disk, other):
        for path in source.files():
            content = bytes(source.content(path))
            sources += [content[o : o + SECTOR] for o in range(0, len(content), SECTOR)]
    for path in disk.files():
        for offset in range(0, len(disk.content(path)), SECTOR):
            for sector in sources:
                hit = disk.copy()
                hit.content(path)[offset : offset + SECTOR] = sector
                hit.settle()
                found = outcome(hit)
                assert isinstance(found, CorruptLog) or found == HELD[-1]


def test_lost_write_is_reported() -> None:
    """An acknowledged append that never reached the disk, though later ones did, is a hole in the chain, not the end."""
    disk = written(seal=False)
    offsets = record_offsets(disk, segment(2))
    disk.content(segment(2))[offsets[-2] : offsets[-1]] = bytes(offsets[-1] - offsets[-2])
    disk.settle()
    with pytest.raises(
        CorruptLog, match=r"no sound record header, and record \d+ at byte \d+ proves that it was durable"
    ) as caught:
        open_log(disk)
    assert (caught.value.file, caught.value.offset) == (segment(2), offsets[-2])


def test_rot_before_a_torn_append_is_reported() -> None:
    """The header of a torn append proves that the append before it, now rotten, was durable."""
    disk = written(seal=False)
    *_, before, last = record_offsets(disk, segment(2))
    content = disk.content(segment(2))
    content[before + 60] ^= 1
    content[last + SECTOR : last + 2 * SECTOR] = bytes(SECTOR)
    disk.settle()
    with pytest.raises(CorruptLog, match="the checksum of record"):
        open_log(disk)


def test_first_append_of_a_segment_is_never_torn() -> None:
    """A segment gets its name when its first append is durable, so damage there is corruption even with nothing behind."""
    disk = new_disk()
    log, _ = open_log(disk)
    log.append(entries=entries(1, 3, size=900))
    log.append(entries=entries(4, 3, size=900))
    assert len(disk.files()) == 2
    disk.content(segment(2))[2 * SECTOR] ^= 1
    disk.settle()
    with pytest.raises(CorruptLog, match="durable before the segment got its name"):
        open_log(disk)


def test_stale_log_end_under_new_records() -> None:
    """A record of a past life in the right place, but not continuing the chain, is refused."""
    disk = written(seal=False)
    *_, before, last = record_offsets(disk, segment(2))
    content = disk.content(segment(2))
    header = decode_header(bytes(content[before : before + SECTOR]))
    assert header is not None
    body = encode_batches([Batch(HardState(9, 9))])
    forged, _ = encode_record(
        RecordType.APPEND, body, sequence=header.sequence, segment=2, offset=before, previous=header.previous ^ 1
    )
    content[before:last] = forged.ljust(last - before, b"\0")
    disk.settle()
    with pytest.raises(CorruptLog, match="does not continue the one before it"):
        open_log(disk)
    forged, _ = encode_record(
        RecordType.APPEND, body, sequence=header.sequence - 2, segment=2, offset=before, previous=header.previous
    )
    content[before:last] = forged.ljust(last - before, b"\0")
    disk.settle()
    with pytest.raises(CorruptLog, match="lies where record"):
        open_log(disk)


@pytest.mark.parametrize("number", [1, 2])
def test_every_truncation_is_reported(number: int) -> None:
    """A file cut to any length is not taken for a torn tail: its size was durable before it had its name."""
    disk = written(seal=False)
    whole = len(disk.content(segment(number)))
    for size in [*range(0, whole, 97), whole - 1]:
        cut = disk.copy()
        del cut.content(segment(number))[size:]
        cut.settle()
        assert isinstance(outcome(cut), CorruptLog)
    grown = disk.copy()
    grown.content(segment(number)).extend(bytes(SECTOR))
    grown.settle()
    assert isinstance(outcome(grown), CorruptLog)


def test_missing_segments_are_reported() -> None:
    """A file missing in the middle, or at the start while its entries are needed, stops the server."""
    disk = new_disk()
    log, _ = open_log(disk)
    for index in range(1, 8):
        log.append(entries=entries(index, 1, size=2500))
    log.close()
    assert len(disk.files()) >= 4
    middle = disk.copy()
    middle.remove(segment(2))
    with pytest.raises(CorruptLog, match=r"0000000000000002\.wal at byte 0: this segment is missing"):
        open_log(middle)
    oldest = disk.copy()
    oldest.remove(segment(1))
    with pytest.raises(CorruptLog, match="entries 1 to 1 are missing: they were in an older segment"):
        open_log(oldest)


def test_missing_segments_that_are_not_needed() -> None:
    """The entries of a missing oldest segment need not be there when the base has passed them."""
    disk = new_disk()
    log, _ = open_log(disk)
    for index in range(1, 4):
        log.append(entries=entries(index, 1, size=2500))
    log.append(base=snapshot_at(2))
    assert segment(1) not in disk.files()
    _, recovered = open_log(disk.copy())
    assert recovered.base == snapshot_at(2)
    assert [e.index for e in recovered.entries] == [3]


def test_swapped_segment_files() -> None:
    """Two files of one log with each other's names are recognised."""
    disk = written(seal=True)
    first, second = bytes(disk.content(segment(1))), bytes(disk.content(segment(2)))
    disk.content(segment(1))[:] = second
    disk.content(segment(2))[:] = first
    disk.settle()
    with pytest.raises(CorruptLog, match="belongs to segment"):
        open_log(disk)


def test_log_of_another_server() -> None:
    """A log that was made for another server is refused, sound as it is."""
    disk = new_disk()
    log, _ = open_log(disk, log_id=0xABC)
    log.close()
    with pytest.raises(CorruptLog, match="part of log abc, not of def"):
        open_log(disk, log_id=0xDEF)


def test_lost_log() -> None:
    """A server that has had a log does not begin an empty one: it could vote twice in a term."""
    with pytest.raises(LogMissing, match="/data/wal holds no log"):
        open_log(new_disk(), must_exist=True)


def test_newer_format_is_refused() -> None:
    """A log of a later format is not misread."""
    disk = new_disk()
    log, _ = open_log(disk)
    log.close()
    content = disk.content(segment(1))
    header = decode_header(bytes(content[:SECTOR]))
    assert header is not None
    body = bytearray(content[48 : 48 + header.length])
    assert body[1] == 1
    body[1] = 2
    forged, _ = encode_record(RecordType.SEGMENT, bytes(body), sequence=1, segment=1, offset=0, previous=0)
    content[:SECTOR] = forged
    disk.settle()
    with pytest.raises(NewerFormat, match="has format 2; this version knows up to 1"):
        open_log(disk)


def test_unreadable_sector() -> None:
    """A read that the disk refuses is reported as such, not taken for the end of the log."""
    disk = written(seal=True)
    disk.faults = lambda operation, path: OSError(5, "Input/output error") if operation == "pread" else None
    with pytest.raises(ReadFailed, match=r"0000000000000001\.wal at byte 0: Input/output error"):
        open_log(disk)


def test_random_bytes_are_never_a_log() -> None:
    """A file of noise is refused, and so is noise with a magic number."""
    rng = random.Random(5)
    for _ in range(50):
        disk = written(seal=True)
        noise = rng.randbytes(4096)
        disk.content(segment(2))[:] = (b"OAR1" + noise)[:4096]
        disk.settle()
        assert isinstance(outcome(disk), CorruptLog)


def test_sound_checksum_with_impossible_content() -> None:
    """A record that leaves a gap in the log, or is no batch at all, is refused though its checksum holds."""
    for body in (
        encode_batches([Batch(None, entries(9, 1))]),
        b"\xc1",
        encode_batches([Batch(None, [*entries(1, 1), *entries(5, 1), *entries(3, 1)])]),
    ):
        disk = new_disk()
        open_log(disk)
        content = disk.content(segment(1))
        start = decode_header(bytes(content[:SECTOR]))
        assert start is not None
        forged, _ = encode_record(RecordType.APPEND, body, sequence=2, segment=1, offset=SECTOR, previous=start.crc)
        content[SECTOR : SECTOR + len(forged)] = forged
        disk.settle()
        with pytest.raises(CorruptLog, match="its content is not"):
            open_log(disk)


def test_header_layout() -> None:
    """The documented layout is the one written."""
    record, crc = encode_record(RecordType.APPEND, b"body", sequence=7, segment=3, offset=1024, previous=0xDEAD)
    assert len(record) == SECTOR
    fields = struct.unpack_from("<4sIIIQQQII", record)
    assert fields == (b"OAR1", 2, 4, google_crc32c.value(b"body"), 7, 3, 1024, 0xDEAD, crc)
    assert record[48:52] == b"body"
    assert not any(record[52:])


def test_segment_start_that_disagrees() -> None:
    """A segment that says something else about the log than the segments before is refused, though all checksums hold."""
    disk = new_disk()
    log, _ = open_log(disk)
    log.append(hard_state=HardState(5, 1), entries=entries(1, 1, size=3000))
    log.append(entries=entries(2, 1, size=3000))
    content = disk.content(segment(2))
    header = decode_header(bytes(content[:SECTOR]))
    assert header is not None
    start = decode_start(bytes(content[48 : 48 + header.length]))
    bounds = msgspec.structs.replace(start.bounds, hard_state=HardState(4, 1))
    forged, _ = encode_record(
        RecordType.SEGMENT,
        encode_start(msgspec.structs.replace(start, bounds=bounds, carried_bytes=0)),
        sequence=header.sequence,
        segment=2,
        offset=0,
        previous=header.previous,
    )
    content[:] = forged.ljust(len(content), b"\0")
    disk.settle()
    with pytest.raises(CorruptLog, match="disagrees with the segments before"):
        open_log(disk)
