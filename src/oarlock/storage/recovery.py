"""Reading the log at start: what a crash may leave is cut, anything else that is wrong stops the server.

Only one append is ever under way, and the next begins when its sync has returned. So a sound record header proves
that every record before it was durable. Damage can therefore be a torn write only if it is in the last segment,
behind what was durable when that file got its name, and no sound header lies behind it.
"""

import errno
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from oarlock.raft.types import Entry
from oarlock.storage.batches import Batch, LogBounds
from oarlock.storage.disk import Disk, File, sync_file
from oarlock.storage.errors import CorruptLog, ReadFailed, write_error
from oarlock.storage.records import (
    RecordHeader,
    RecordType,
    SegmentStart,
    decode_batches,
)
from oarlock.storage.segments import (
    START_WINDOW_BYTES,
    SealedSegments,
    SegmentReader,
    TailEvidence,
    list_segments,
    segment_path,
)


class LogTail(msgspec.Struct):
    """Where the next record goes."""

    segment: int
    capacity: int
    offset: int
    sequence: int
    previous: int
    sealed: bool
    """The last record is a `SEAL`."""


class RecoveredLog(msgspec.Struct):
    """All that the log holds."""

    bounds: LogBounds
    entries: list[Entry]
    segments: SealedSegments
    tail: LogTail
    torn_bytes: int
    """Of a write that was never acknowledged; cut."""


class _Segment(msgspec.Struct):
    """A segment, and what its first record says."""

    path: Path
    number: int
    header: RecordHeader
    start: SegmentStart


def recover(disk: Disk, directory: Path, log_id: int) -> RecoveredLog | None:
    """Read the log in `directory`; None where there is none.

    When it returns, everything that it reports is durable, and reads show only zeros behind the last record.

    Args:
        disk: where the directory is.
        directory: holds the segments.
        log_id: whose log it must be.

    Raises:
        CorruptLog: acknowledged bytes are damaged or gone.
        NewerFormat: a later version wrote the log.
        ReadFailed, WriteFailed, DiskFull: the disk refuses.
    """
    numbers = list_segments(disk, directory)
    if not numbers:
        return None
    for before, number in itertools.pairwise(numbers):
        if number != before + 1:
            raise CorruptLog(segment_path(directory, before + 1), 0, "this segment is missing")
    with _opened(disk, segment_path(directory, numbers[-1])) as file:
        _settle(file, segment_path(directory, numbers[-1]))
    segments = [_read_start(disk, directory, number) for number in numbers]
    for segment in segments:
        if segment.start.log_id != log_id:
            raise CorruptLog(segment.path, 0, f"the segment is part of log {segment.start.log_id:x}, not of {log_id:x}")
    return _replay(disk, segments)


@contextmanager
def _opened(disk: Disk, path: Path) -> Iterator[File]:
    """A file of the log, closed in the end."""
    try:
        file = disk.open(path)
    except OSError as error:
        raise ReadFailed(path, 0, error) from error
    try:
        yield file
    finally:
        file.close()


def _settle(file: File, path: Path) -> None:
    """Make what we are about to read the truth.

    A killed process leaves bytes that are not synced yet; reporting them would promise them. And one that ended on
    a failed sync leaves bytes in the cache, marked clean, that the device never got: those we must not see.
    """
    sync_file(file, path)
    try:
        file.drop_cache()
    except OSError as error:
        raise ReadFailed(path, 0, error) from error


def _read_start(disk: Disk, directory: Path, number: int) -> _Segment:
    """What a segment's first record says."""
    path = segment_path(directory, number)
    with _opened(disk, path) as file:
        header, start = SegmentReader(file, path, number, START_WINDOW_BYTES).read_start()
    return _Segment(path, number, header, start)


def _replay(disk: Disk, opened: list[_Segment]) -> RecoveredLog:
    """Go through all records in order."""
    replay = _Replay(opened[0].start.bounds)
    sealed = SealedSegments()
    previous = opened[0].header.previous
    sequence = opened[0].header.sequence
    torn_bytes = 0
    for segment, following in itertools.zip_longest(opened, opened[1:]):
        with _opened(disk, segment.path) as file:
            reader = SegmentReader(file, segment.path, segment.number)
            _check_chain(reader, 0, segment.header, sequence, previous)
            if segment.start.bounds != replay.bounds:
                raise reader.corrupt(0, "the segment's start disagrees with the segments before")
            tail = LogTail(
                segment=segment.number,
                capacity=segment.start.capacity,
                offset=segment.header.record_bytes,
                sequence=sequence + 1,
                previous=segment.header.crc,
                sealed=True,
            )
            if following is not None:
                _replay_segment(reader, replay, sealed, tail, following.header.sequence)
                sealed.seal(segment.number, replay.bounds.last_index)
            else:
                fault = _replay_segment(reader, replay, sealed, tail, None)
                durable_end = segment.header.record_bytes + segment.start.carried_bytes
                torn_bytes = _cut(file, reader, tail.offset, durable_end, fault)
        sequence, previous = tail.sequence, tail.previous
    entries = replay.finish(opened[0].path)
    return RecoveredLog(replay.bounds, entries, sealed, tail, torn_bytes)


def _replay_segment(
    reader: SegmentReader, replay: "_Replay", sealed: SealedSegments, tail: LogTail, end_sequence: int | None
) -> str | None:
    """Go through the records behind a segment's start, moving `tail` along.

    Args:
        reader: of the segment.
        replay: takes the batches.
        sealed: the segments before this one.
        tail: stands behind the start; moved to where the records end.
        end_sequence: what the next segment starts with. The records end there, and what lies behind does not count.

    Returns:
        In the last segment, what is wrong at the tail; None where the file is full.
    """
    while tail.sequence != end_sequence and tail.offset < tail.capacity:
        record = reader.read_record(tail.offset)
        if isinstance(record, str):
            if end_sequence is not None:
                raise reader.corrupt(tail.offset, f"{record}, and the next segment proves that it was durable")
            return record
        header, body = record
        _check_chain(reader, tail.offset, header, tail.sequence, tail.previous)
        if header.type == RecordType.APPEND:
            sealed.overwritten_by(replay.apply(reader, tail.offset, body))
        elif header.type != RecordType.SEAL:
            raise reader.corrupt(tail.offset, f"a record of unknown type {header.type}")
        tail.sealed = header.type == RecordType.SEAL
        tail.offset += header.record_bytes
        tail.sequence += 1
        tail.previous = header.crc
    return None


def _check_chain(reader: SegmentReader, offset: int, header: RecordHeader, sequence: int, previous: int) -> None:
    """A sound record must also be the next one; a stale one is not."""
    if header.sequence != sequence:
        raise reader.corrupt(offset, f"record {header.sequence} lies where record {sequence} belongs")
    if header.previous != previous:
        raise reader.corrupt(offset, f"record {header.sequence} does not continue the one before it")


def _cut(file: File, reader: SegmentReader, offset: int, durable_end: int, fault: str | None) -> int:
    """The last segment's records end at `offset`: at its clean end, before a torn write, or before corruption?

    Args:
        file: the segment's.
        reader: of the segment.
        offset: where no sound record lies.
        durable_end: up to where everything was durable when the file got its name.
        fault: what is wrong with the bytes at `offset`; None where the file ends there.

    Returns:
        The bytes cut, 0 at a clean end.
    """
    if fault is None:
        return 0
    if offset < durable_end:
        raise reader.corrupt(offset, f"{fault}, and it was durable before the segment got its name")
    evidence = _look_twice(file, reader, offset)
    if evidence.later is not None:
        later = evidence.later
        raise reader.corrupt(
            offset, f"{fault}, and record {later.sequence} at byte {later.offset} proves that it was durable"
        )
    length = evidence.end - offset
    if length:
        # In place, so that they do not come to lie behind a later record; its sync covers this.
        try:
            file.pwrite(bytes(length), offset)
        except OSError as error:
            raise write_error(error, reader.path) from error
    return length


def _look_twice(file: File, reader: SegmentReader, offset: int) -> TailEvidence:
    """What lies at the log's end, by two readings from the device.

    Every record that was read before is vouched for by its checksum; that there is no further one is not. A device that
    once answers with another sector, or with an earlier state of this one, must not have us forget what we promised.

    Raises:
        ReadFailed: the readings differ.
    """
    first = reader.evidence_behind(offset)
    try:
        file.drop_cache()
    except OSError as error:
        raise ReadFailed(reader.path, offset, error) from error
    again = SegmentReader(file, reader.path, reader.number)
    if not isinstance(again.read_record(offset), str) or again.evidence_behind(offset) != first:
        changed = OSError(errno.EIO, "two reads of the log's end gave different bytes")
        raise ReadFailed(reader.path, offset, changed)
    return first


class _Replay:
    """The log as the records build it up."""

    def __init__(self, bounds: LogBounds) -> None:
        self.bounds = bounds
        self._first_index = bounds.last_index + 1
        self._entries: list[Entry] = []

    def apply(self, reader: SegmentReader, offset: int, body: bytes) -> list[Batch]:
        """One append."""
        try:
            batches = decode_batches(body)
            for batch in batches:
                self.bounds = self.bounds.after(batch)
                self._apply(batch)
        except (msgspec.MsgspecError, ValueError) as error:
            raise reader.corrupt(offset, f"the record's checksum is right, its content is not: {error}") from error
        return batches

    def _apply(self, batch: Batch) -> None:
        if batch.base is not None:
            base_index = batch.base.last_included_index
            if batch.discard_log or base_index >= self._first_index + len(self._entries):
                self._entries.clear()
                self._first_index = base_index + 1
        if not batch.entries:
            return
        first = batch.entries[0].index
        for index, entry in enumerate(batch.entries, first):
            if entry.index != index:
                raise ValueError(f"entry {entry.index} lies where {index} belongs")
        if first < self._first_index:
            self._entries.clear()
            self._first_index = first
        del self._entries[first - self._first_index :]
        self._entries.extend(batch.entries)

    def finish(self, oldest: Path) -> list[Entry]:
        """The entries behind the base.

        Raises:
            CorruptLog: some of them were in a segment that is gone.
        """
        base_index = self.bounds.base.last_included_index
        if self._first_index > base_index + 1 and self.bounds.last_index > base_index:
            raise CorruptLog(
                oldest,
                0,
                f"entries {base_index + 1} to {self._first_index - 1} are missing: they were in an older segment",
            )
        del self._entries[: max(0, base_index + 1 - self._first_index)]
        return self._entries
