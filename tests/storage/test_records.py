"""The record: its size, its limits, and what is taken for one."""

import pytest
from tests.storage.log_model import entries, snapshot_at

from oarlock.raft.types import HardState, SnapshotMetadata
from oarlock.storage import Batch
from oarlock.storage import records as records_module
from oarlock.storage.batches import LogBounds
from oarlock.storage.records import (
    FORMAT_VERSION,
    HEADER_BYTES,
    SECTOR,
    RecordType,
    SegmentStart,
    body_matches,
    decode_batches,
    decode_header,
    decode_start,
    encode_batches,
    encode_record,
    encode_start,
    record_bytes,
)


def record(body: bytes, **place: int) -> bytes:
    """A record in its place."""
    where = {"sequence": 7, "segment": 3, "offset": 1024, "previous": 9, **place}
    return encode_record(RecordType.APPEND, body, **where)[0]


@pytest.mark.parametrize(
    ("body_bytes", "sectors"),
    [(0, 1), (SECTOR - HEADER_BYTES, 1), (SECTOR - HEADER_BYTES + 1, 2), (2 * SECTOR - HEADER_BYTES, 2)],
)
def test_a_record_takes_whole_sectors(body_bytes: int, sectors: int) -> None:
    """So that no later write touches a sector that holds acknowledged bytes; and not one more than needed."""
    data = record(b"x" * body_bytes)
    assert len(data) == record_bytes(body_bytes) == sectors * 512
    header = decode_header(data)
    assert header is not None
    assert (header.length, header.record_bytes) == (body_bytes, sectors * 512)


def test_the_format_is_what_it_was() -> None:
    """Logs that were written stay readable: numbers of types, of the version, and the header's size are theirs."""
    assert {kind.name: kind.value for kind in RecordType} == {"SEGMENT": 1, "APPEND": 2, "SEAL": 3}
    assert (FORMAT_VERSION, HEADER_BYTES, SECTOR) == (1, 48, 512)


def test_only_a_whole_header_is_one() -> None:
    """With its magic, its checksum and all its bytes; what follows it does not count."""
    data = record(b"body")
    assert decode_header(data[:HEADER_BYTES]) == decode_header(data)
    assert decode_header(data[: HEADER_BYTES - 1]) is None
    assert decode_header(b"") is None
    assert decode_header(b"X" + data[1:]) is None
    for position in range(HEADER_BYTES):
        assert decode_header(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]) is None


def test_a_record_belongs_to_one_place() -> None:
    """One that lies elsewhere, in the same file or another, is recognised."""
    header = decode_header(record(b"body"))
    assert header is not None
    assert header.belongs_at(3, 1024)
    assert not header.belongs_at(3, 1536)
    assert not header.belongs_at(4, 1024)
    assert (header.sequence, header.previous) == (7, 9)


def test_a_body_is_the_one_that_was_written() -> None:
    """Neither shorter, nor longer, nor another."""
    header = decode_header(record(b"body"))
    assert header is not None
    assert body_matches(header, b"body")
    for other in (b"bod", b"body ", b"bodY", b""):
        assert not body_matches(header, other)


def test_an_append_of_the_largest_size_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit itself is allowed; a byte more is refused, with both sizes."""
    monkeypatch.setattr(records_module, "MAX_BODY_BYTES", 1000)
    assert record(b"x" * 1000)
    with pytest.raises(ValueError, match="an append of 1001 bytes is larger than the limit of 1000"):
        record(b"x" * 1001)


def test_what_was_encoded_is_decoded() -> None:
    """Batches with all their parts, and a segment's start."""
    batches = [
        Batch(HardState(3, 1), entries(5, 2), snapshot_at(4), discard_log=True),
        Batch(None, entries(7, 1)),
        Batch(HardState(4, None), []),
    ]
    assert decode_batches(encode_batches(batches)) == batches
    start = SegmentStart(1, 0xABC, 4096, 512, LogBounds(HardState(3, 1), snapshot_at(4), 9))
    assert decode_start(encode_start(start)) == start


def test_nothing_is_said_by_what_is_left_out() -> None:
    """An empty batch changes nothing, and a new log has no term, no base and no entries."""
    assert LogBounds() == LogBounds(HardState(0, None), SnapshotMetadata(), 0)
    assert LogBounds().last_index == 0
    bounds = LogBounds(HardState(3, 1), snapshot_at(4), 9)
    assert bounds.after(Batch()) == bounds


@pytest.mark.parametrize(
    ("batch", "last_index"),
    [
        (Batch(None, entries(5, 1)), 5),
        (Batch(None, entries(10, 2)), 11),
        (Batch(None, entries(8, 1)), 8),
        (Batch(None, [], snapshot_at(4)), 9),
        (Batch(None, [], snapshot_at(6)), 9),
        (Batch(None, [], snapshot_at(12)), 12),
        (Batch(None, [], snapshot_at(6), discard_log=True), 6),
        (Batch(None, entries(7, 2), snapshot_at(6), discard_log=True), 8),
        (Batch(HardState(3, 1)), 9),
        (Batch(HardState(4, 2)), 9),
    ],
)
def test_where_a_log_ends_after_a_batch(batch: Batch, last_index: int) -> None:
    """IS-6, IS-7, P-1: entries overwrite all behind them, a base drops what is below, and the rest stays."""
    bounds = LogBounds(HardState(3, 1), snapshot_at(4), 9)
    after = bounds.after(batch)
    assert after == LogBounds(batch.hard_state or HardState(3, 1), batch.base or snapshot_at(4), last_index)


def test_a_vote_may_be_given_once() -> None:
    """P-1: where a term has none yet; and it may be said again."""
    bounds = LogBounds(HardState(3, None))
    voted = bounds.after(Batch(HardState(3, 2)))
    assert voted.after(Batch(HardState(3, 2))) == voted
    with pytest.raises(ValueError, match="the vote of term 3 may not change from 2"):
        voted.after(Batch(HardState(3, None)))
