"""The record: one append, whole, with its place and its predecessor in the chain.

Little-endian, 48 bytes of header, then the body, then zeros up to the next multiple of `SECTOR`:

    magic 4 | type 4 | body length 4 | body CRC32C 4 | sequence 8 | segment 8 | offset 8 | previous 4 | header CRC32C 4

`sequence` counts all records of this log; `segment` and `offset` say where the record belongs, so that one that was
written elsewhere is recognised; `previous` is the header CRC of the record before, which covers that one's body CRC
and its own `previous`: a chain. A record starts a sector of its own, so no later write touches a sector that holds
acknowledged bytes, and its header lies within one sector.
"""

import struct
from collections.abc import Sequence
from enum import IntEnum

import google_crc32c
import msgspec

from oarlock.storage.batches import Batch, LogBounds

SECTOR = 512
"""What a disk writes or tears as one, in bytes."""

MAGIC = b"OAR1"
FORMAT_VERSION = 1
"""Of the log's files; a later one is refused."""

MAX_BODY_BYTES = 1 << 30
"""An append may not be larger."""

_HEADER = struct.Struct("<4sIIIQQQI")
_CRC = struct.Struct("<I")
HEADER_BYTES = _HEADER.size + _CRC.size


class RecordType(IntEnum):
    """What a record's body is."""

    SEGMENT = 1
    """A `SegmentStart`: the first record of each file."""
    APPEND = 2
    """A list of `Batch`."""
    SEAL = 3
    """Nothing: it proves by its presence that the record before was durable."""


class SegmentStart(msgspec.Struct, frozen=True, array_like=True):
    """Opens a segment, and makes it readable without the ones before."""

    format_version: int
    log_id: int
    """Whose log this is; every segment carries the same."""
    capacity: int
    """Bytes in the file, all of them allocated and durable before it had its name."""
    carried_bytes: int
    """Bytes of the record behind this one that were durable before the file had its name."""
    bounds: LogBounds
    """What the log stood at when the segment was begun."""


class RecordHeader(msgspec.Struct, frozen=True, gc=False):
    """A header that its own checksum vouches for."""

    type: int
    length: int
    body_crc: int
    sequence: int
    segment: int
    offset: int
    previous: int
    crc: int
    """Of this header; the `previous` of the next record."""

    @property
    def record_bytes(self) -> int:
        """Bytes that the record takes in the file, padding included."""
        return record_bytes(self.length)

    def belongs_at(self, segment: int, offset: int) -> bool:
        """Whether the record was written for this place."""
        return self.segment == segment and self.offset == offset


def record_bytes(body_bytes: int) -> int:
    """Bytes that a record with such a body takes in the file, padding included."""
    return -(-(HEADER_BYTES + body_bytes) // SECTOR) * SECTOR


def encode_record(
    record_type: RecordType, body: bytes, *, sequence: int, segment: int, offset: int, previous: int
) -> tuple[bytes, int]:
    """A record as it lies in the file, and the `previous` of the next one.

    Raises:
        ValueError: `body` is larger than `MAX_BODY_BYTES`.
    """
    if len(body) > MAX_BODY_BYTES:
        raise ValueError(f"an append of {len(body)} bytes is larger than the limit of {MAX_BODY_BYTES}")
    header = _HEADER.pack(MAGIC, record_type, len(body), google_crc32c.value(body), sequence, segment, offset, previous)
    crc = google_crc32c.value(header)
    padding = bytes(-(HEADER_BYTES + len(body)) % SECTOR)
    return b"".join((header, _CRC.pack(crc), body, padding)), crc


def decode_header(data: bytes) -> RecordHeader | None:
    """The header at the start of `data`, or None where there is none that is sound."""
    if len(data) < HEADER_BYTES or not data.startswith(MAGIC):
        return None
    (crc,) = _CRC.unpack_from(data, _HEADER.size)
    if google_crc32c.value(data[: _HEADER.size]) != crc:
        return None
    _, record_type, length, body_crc, sequence, segment, offset, previous = _HEADER.unpack_from(data)
    return RecordHeader(record_type, length, body_crc, sequence, segment, offset, previous, crc)


def body_matches(header: RecordHeader, body: bytes) -> bool:
    """Whether `body` is what was written with `header`."""
    return len(body) == header.length and google_crc32c.value(body) == header.body_crc


_encoder = msgspec.msgpack.Encoder(order="deterministic")
_batches_decoder = msgspec.msgpack.Decoder(list[Batch])
_start_decoder = msgspec.msgpack.Decoder(SegmentStart)


def encode_batches(batches: Sequence[Batch]) -> bytes:
    """The body of an `APPEND` record."""
    return _encoder.encode(batches)


def decode_batches(body: bytes) -> list[Batch]:
    """The batches of an `APPEND` record.

    Raises:
        msgspec.DecodeError: the body is sound but not of this form.
    """
    return _batches_decoder.decode(body)


def encode_start(start: SegmentStart) -> bytes:
    """The body of a `SEGMENT` record."""
    return _encoder.encode(start)


def decode_start(body: bytes) -> SegmentStart:
    """The start of a `SEGMENT` record; see `decode_batches`."""
    return _start_decoder.decode(body)
