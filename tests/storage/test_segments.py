"""Reading a segment: few calls for many records, and looking behind the last one; and which segments are needed."""

from pathlib import Path

import pytest
from tests.storage.crashing_disk import CrashingDisk, CrashingFile
from tests.storage.log_model import entries

from oarlock.storage import Batch
from oarlock.storage import segments as segments_module
from oarlock.storage.records import HEADER_BYTES, SECTOR, RecordType, encode_record
from oarlock.storage.segments import SealedSegments, SegmentReader, TailEvidence, list_segments, segment_path

PATH = Path("/data/0000000000000003.wal")
SEGMENT = 3


def file_with(content: bytes) -> tuple[CrashingDisk, CrashingFile]:
    """A file of a disk whose reads can be counted."""
    disk = CrashingDisk()
    disk.mkdir(PATH.parent)
    file = disk.open(PATH, create=True)
    file.pwrite(content, 0)
    return disk, file


def record(offset: int, body: bytes = b"body", segment: int = SEGMENT) -> bytes:
    """A sound record for a place."""
    return encode_record(RecordType.APPEND, body, sequence=5, segment=segment, offset=offset, previous=1)[0]


def reads_of(disk: CrashingDisk) -> list[Path]:
    """Note each read from here on."""
    reads: list[Path] = []

    def note(operation: str, path: Path) -> None:
        if operation == "pread":
            reads.append(path)

    disk.faults = note  # type: ignore[assignment]
    return reads


def test_many_records_cost_few_reads() -> None:
    """A window is read at a time; going back, or past its end, takes another, and gives the right bytes."""
    count = 32
    disk, file = file_with(b"".join(record(at * SECTOR, b"%d" % at) for at in range(count)))
    reader = SegmentReader(file, PATH, SEGMENT, window_bytes=8 * SECTOR)  # type: ignore[arg-type]
    reads = reads_of(disk)
    for at in (*range(count), 3, 2, 17, 31, 0):
        found = reader.read_record(at * SECTOR)
        assert not isinstance(found, str)
        assert found[1] == b"%d" % at
    assert len(reads) <= count // 8 + 1 + 5


def test_a_record_larger_than_the_window_is_read_whole() -> None:
    """However large an append was."""
    body = bytes(range(256)) * 40
    _, file = file_with(record(0, body) + record(len(record(0, body))))
    reader = SegmentReader(file, PATH, SEGMENT, window_bytes=SECTOR)  # type: ignore[arg-type]
    found = reader.read_record(0)
    assert not isinstance(found, str)
    assert found[1] == body
    assert not isinstance(reader.read_record(len(record(0, body))), str)


@pytest.mark.parametrize("window", [SECTOR, 4 * SECTOR, 1 << 20])
@pytest.mark.parametrize(
    ("behind", "later", "end"),
    [
        ({}, None, 1024),
        ({2: b"torn"}, None, 1536),
        ({5: b"torn"}, None, 3072),
        ({4: b"\0\0torn", 6: b"more"}, None, 3584),
        ({5: record(5 * SECTOR)}, 5 * SECTOR, 3072),
        ({3: b"torn", 5: record(5 * SECTOR), 7: b"not looked at"}, 5 * SECTOR, 3072),
        ({5: record(6 * SECTOR)}, None, 3072),
        ({5: record(5 * SECTOR, segment=SEGMENT + 1)}, None, 3072),
    ],
)
def test_what_lies_behind_a_place(
    monkeypatch: pytest.MonkeyPatch, window: int, behind: dict[int, bytes], later: int | None, end: int
) -> None:
    """The first sound record that belongs where it lies, or the end of what is not zeros; in windows of any size."""
    monkeypatch.setattr(segments_module, "_WINDOW_BYTES", window)
    monkeypatch.setattr(segments_module, "_ZERO_WINDOW", bytes(window))
    content = bytearray(8 * SECTOR)
    for sector, data in behind.items():
        content[sector * SECTOR : sector * SECTOR + len(data)] = data
    _, file = file_with(bytes(content))
    found = SegmentReader(file, PATH, SEGMENT).evidence_behind(2 * SECTOR)  # type: ignore[arg-type]
    assert isinstance(found, TailEvidence)
    assert found.end == end
    assert (found.later.offset if found.later is not None else None) == later


def test_what_is_wrong_is_said() -> None:
    """No header, a body that is not its own, or a record of another place: each by its name."""
    sound = record(0)
    _, file = file_with(b"\0" * SECTOR + record(SECTOR)[:HEADER_BYTES] + b"bodY".ljust(SECTOR - HEADER_BYTES, b"\0"))
    reader = SegmentReader(file, PATH, SEGMENT)  # type: ignore[arg-type]
    assert reader.read_record(0) == "no sound record header"
    assert reader.read_record(SECTOR) == "the checksum of record 5 does not match"
    assert len(sound) == SECTOR


def test_segments_are_listed_in_their_order() -> None:
    """By number, which is hexadecimal; what is named otherwise is none."""
    disk = CrashingDisk()
    disk.mkdir(PATH.parent)
    for number in (0x1F, 2, 0x10):
        disk.open(segment_path(PATH.parent, number), create=True)
    for name in ("spare.tmp", "2.wal", "000000000000000g.wal", "0000000000000003.wal.tmp"):
        disk.open(PATH.parent / name, create=True)
    assert list_segments(disk, PATH.parent) == [2, 0x10, 0x1F]  # type: ignore[arg-type]


def test_a_discarded_log_needs_no_segment() -> None:
    """IS-7: whatever their indices were; what is appended then is needed again."""
    segments = SealedSegments()
    segments.seal(1, 10)
    segments.seal(2, 20)
    segments.overwritten_by([Batch(None, [], None, discard_log=True)])
    segments.seal(3, 7)
    assert [segments.pop_obsolete(0), segments.pop_obsolete(0), segments.pop_obsolete(6)] == [1, 2, None]
    assert len(segments) == 1


def test_only_what_was_overwritten_is_needed_no_more() -> None:
    """Entries behind a segment's last leave it as it was; those at it or before move its end down."""
    segments = SealedSegments()
    segments.seal(1, 10)
    segments.seal(2, 20)
    segments.overwritten_by([Batch(None, entries(21, 2)), Batch(None, entries(20, 1))])
    assert segments.pop_obsolete(9) is None
    assert segments.pop_obsolete(10) == 1
    assert segments.pop_obsolete(18) is None
    assert segments.pop_obsolete(19) == 2
