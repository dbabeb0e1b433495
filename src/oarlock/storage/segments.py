"""The files of the log: their names, reading records from one, and which of them are still needed."""

import re
from collections.abc import Iterable
from pathlib import Path

import msgspec

from oarlock.raft.types import Index
from oarlock.storage.batches import Batch
from oarlock.storage.disk import Disk, File
from oarlock.storage.errors import CorruptLog, NewerFormat, ReadFailed
from oarlock.storage.records import (
    FORMAT_VERSION,
    HEADER_BYTES,
    SECTOR,
    RecordHeader,
    RecordType,
    SegmentStart,
    body_matches,
    decode_header,
    decode_start,
)

SPARE_NAME = "spare.tmp"
"""The next segment while it is being made; it is renamed when it is whole and durable."""

_NAME = re.compile(r"([0-9a-f]{16})\.wal")
START_WINDOW_BYTES = 8 * SECTOR
"""Enough for the start of a segment."""

_WINDOW_BYTES = 1 << 20
_ZERO_WINDOW = bytes(_WINDOW_BYTES)
_ZERO_SECTOR = bytes(SECTOR)


def segment_path(directory: Path, number: int) -> Path:
    """The file of segment `number`; the first is 1."""
    return directory / f"{number:016x}.wal"


def list_segments(disk: Disk, directory: Path) -> list[int]:
    """The numbers of the segments in a directory, rising."""
    matches = (_NAME.fullmatch(name) for name in disk.listdir(directory))
    return sorted(int(match[1], 16) for match in matches if match)


class TailEvidence(msgspec.Struct, frozen=True):
    """What lies behind a damaged record."""

    later: RecordHeader | None
    """A sound header that belongs where it lies."""
    end: int
    """Offset behind the last sector that is not all zeros."""


class SegmentReader:
    """Reads one segment; bytes come in windows, so that many small records cost few calls."""

    def __init__(self, file: File, path: Path, number: int, window_bytes: int = _WINDOW_BYTES) -> None:
        self.path = path
        self.number = number
        self._file = file
        self._window_bytes = window_bytes
        self._window = b""
        self._window_offset = 0

    def read_start(self) -> tuple[RecordHeader, SegmentStart]:
        """The first record. It was durable before the file had its name: damage is never a torn write.

        Raises:
            CorruptLog: it is damaged, or the file does not have the size that it says.
            NewerFormat: a later version wrote it.
        """
        record = self.read_record(0)
        if isinstance(record, str):
            raise self.corrupt(0, record)
        header, body = record
        if header.type != RecordType.SEGMENT:
            raise self.corrupt(0, f"it starts with a record of type {header.type}")
        start = self._decode_start(body)
        size = self._file_size()
        if size != start.capacity:
            raise self.corrupt(
                min(size, start.capacity), f"the file has {size} bytes, but was made with {start.capacity}"
            )
        return header, start

    def read_record(self, offset: int) -> tuple[RecordHeader, bytes] | str:
        """The record at `offset` with its body, or what is wrong with it.

        Raises:
            CorruptLog: a sound record lies there that belongs elsewhere; no torn write looks like that.
        """
        header = decode_header(self._read(offset, HEADER_BYTES))
        if header is None:
            return "no sound record header"
        if not header.belongs_at(self.number, offset):
            raise self.corrupt(
                offset,
                f"a record lies here that belongs to segment {header.segment} at byte {header.offset}",
            )
        body = self._read(offset + HEADER_BYTES, header.length)
        if not body_matches(header, body):
            return f"the checksum of record {header.sequence} does not match"
        return header, body

    def evidence_behind(self, offset: int) -> TailEvidence:
        """Look at everything behind the sector at `offset`, which itself counts for `TailEvidence.end` only."""
        size = self._file_size()
        end = offset if self._read(offset, SECTOR).strip(b"\0") == b"" else offset + SECTOR
        position = offset + SECTOR
        while position < size:
            window = self._read(position, min(_WINDOW_BYTES, size - position))
            if window != _ZERO_WINDOW[: len(window)]:
                for start in range(0, len(window), SECTOR):
                    sector = window[start : start + SECTOR]
                    if sector == _ZERO_SECTOR:
                        continue
                    end = position + start + len(sector)
                    header = decode_header(sector)
                    if header is not None and header.belongs_at(self.number, position + start):
                        return TailEvidence(header, end)
            position += len(window)
        return TailEvidence(None, end)

    def corrupt(self, offset: int, reason: str) -> CorruptLog:
        """A report about this file."""
        return CorruptLog(self.path, offset, reason)

    def _decode_start(self, body: bytes) -> SegmentStart:
        """The start, once its version is known to be ours."""
        try:
            version = msgspec.msgpack.decode(body)[0]
            if version > FORMAT_VERSION:
                raise NewerFormat(f"{self.path} has format {version}; this version knows up to {FORMAT_VERSION}")
            return decode_start(body)
        except (msgspec.MsgspecError, TypeError, IndexError) as error:
            raise self.corrupt(0, f"the segment's start cannot be decoded: {error}") from error

    def _read(self, offset: int, length: int) -> bytes:
        """Bytes of the file; fewer where it ends."""
        start = offset - self._window_offset
        if start < 0 or start + length > len(self._window):
            try:
                self._window = self._file.pread(max(length, self._window_bytes), offset)
            except OSError as error:
                raise ReadFailed(self.path, offset, error) from error
            self._window_offset = offset
            start = 0
        return self._window[start : start + length]

    def _file_size(self) -> int:
        """The file's size now."""
        try:
            return self._file.size()
        except OSError as error:
            raise ReadFailed(self.path, 0, error) from error


class SealedSegments:
    """The full segments behind the current one, and the highest index that each may still be needed for.

    These indices never fall from one segment to the next, since whatever is overwritten is so in all earlier ones.
    """

    def __init__(self) -> None:
        self._segments: list[tuple[int, Index]] = []

    def seal(self, number: int, last_index: Index) -> None:
        """Segment `number` is full; the log then ended at `last_index`."""
        self._segments.append((number, last_index))

    def overwritten_by(self, batches: Iterable[Batch]) -> None:
        """Later batches overwrite or discard entries: earlier segments are no longer needed for them."""
        for batch in batches:
            if batch.discard_log:
                self._lower(0)
            if batch.entries:
                self._lower(batch.entries[0].index - 1)

    def pop_obsolete(self, base_index: Index) -> int | None:
        """Forget and return the oldest segment if nothing above the log's base is in it."""
        if self._segments and self._segments[0][1] <= base_index:
            return self._segments.pop(0)[0]
        return None

    def __len__(self) -> int:
        return len(self._segments)

    def _lower(self, limit: Index) -> None:
        for position in range(len(self._segments) - 1, -1, -1):
            number, last_index = self._segments[position]
            if last_index <= limit:
                return
            self._segments[position] = (number, limit)
