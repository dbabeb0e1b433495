"""The write-ahead log: hard state, entries and base, durable when `append` returns."""

import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import msgspec

from oarlock.raft.types import Entry, HardState, Index, SnapshotMetadata
from oarlock.storage.batches import Batch, LogBounds
from oarlock.storage.disk import Disk, File, make_directory, remove_quietly, sync_directory, sync_file
from oarlock.storage.errors import DiskFull, LogMissing, ReadFailed, StorageError, WriteFailed, write_error
from oarlock.storage.records import (
    FORMAT_VERSION,
    SECTOR,
    RecordType,
    SegmentStart,
    encode_batches,
    encode_record,
    encode_start,
    record_bytes,
)
from oarlock.storage.recovery import LogTail, RecoveredLog, recover
from oarlock.storage.segments import SPARE_NAME, SealedSegments, segment_path

DEFAULT_SEGMENT_BYTES = 16 << 20
MIN_SEGMENT_BYTES = 8 * SECTOR

_logger = logging.getLogger(__name__)


class Recovered(msgspec.Struct, frozen=True):
    """What the log held when it was opened."""

    hard_state: HardState
    base: SnapshotMetadata
    entries: list[Entry]
    """Contiguous from `base.last_included_index + 1`."""
    torn_bytes: int = 0
    """Of a last write that never was acknowledged; cut."""


class WriteAheadLog:
    """The log on disk. One thread at a time may append; `prepare` may run beside it.

    An append is one write and one sync, and is found again whole or not at all. After `WriteFailed` the log refuses
    all further use; after `DiskFull` it stands as before the call.
    """

    def __init__(
        self, disk: Disk, directory: Path, segment_bytes: int, log_id: int, log: logging.Logger, bounds: LogBounds
    ) -> None:
        self._disk = disk
        self._directory = directory
        self._segment_bytes = segment_bytes
        self._log_id = log_id
        self._log = log
        self._bounds = bounds
        self._segments = SealedSegments()
        self._tail = LogTail(segment=0, capacity=0, offset=0, sequence=1, previous=0, sealed=False)
        self._file: File | None = None
        self._path = directory  # of the current segment
        self._dirty_end = 0  # bytes of a failed append may lie between the tail and here
        self._spare: File | None = None
        self._spare_lock = threading.Lock()
        self._refusal: str | None = None

    @classmethod
    def open(
        cls,
        disk: Disk,
        directory: Path,
        *,
        segment_bytes: int = DEFAULT_SEGMENT_BYTES,
        log_id: int = 0,
        must_exist: bool = False,
        log: logging.Logger | None = None,
    ) -> tuple[Self, Recovered]:
        """Open the log in `directory`, or begin one where there is none.

        Args:
            disk: where the directory is.
            directory: of this log alone; made if missing.
            segment_bytes: size of a file; one whose first append is larger is larger.
            log_id: whose log this is, kept in every file; another's is refused.
            must_exist: refuse to begin a new log, because this server has had one.
            log: told about cuts, refusals and new segments.

        Raises:
            CorruptLog: acknowledged bytes are damaged or gone; the server must not start.
            LogMissing: `must_exist`, and there is none.
            NewerFormat: a later version wrote it.
            ReadFailed, WriteFailed, DiskFull: the disk refuses.
        """
        if segment_bytes < MIN_SEGMENT_BYTES:
            raise ValueError(f"segment_bytes is {segment_bytes}, the least is {MIN_SEGMENT_BYTES}")
        log = log or _logger
        try:
            make_directory(disk, directory)
            remove_quietly(disk, directory / SPARE_NAME)
        except OSError as error:
            raise write_error(error, directory) from error
        sync_directory(disk, directory)  # a rename of the last life may not be durable yet
        found = recover(disk, directory, log_id)
        if found is None and must_exist:
            raise LogMissing(f"{directory} holds no log, though this server has had one")
        bounds = found.bounds if found else LogBounds()
        wal = cls(disk, directory, -(-segment_bytes // SECTOR) * SECTOR, log_id, log, bounds)
        if found is None:
            wal._begin_segment(None)
            return wal, Recovered(bounds.hard_state, bounds.base, [])
        wal._continue(found)
        return wal, Recovered(bounds.hard_state, bounds.base, found.entries, found.torn_bytes)

    def append(
        self,
        *,
        hard_state: HardState | None = None,
        entries: Sequence[Entry] = (),
        base: SnapshotMetadata | None = None,
        discard_log: bool = False,
    ) -> None:
        """Make one batch durable; see `append_many`."""
        self.append_many((Batch(hard_state, entries, base, discard_log),))

    def append_many(self, batches: Sequence[Batch]) -> None:
        """Make batches durable, in order, all or none: one write, one sync. Blocks; files no longer needed are removed.

        Raises:
            DiskFull: nothing changed; may be repeated.
            WriteFailed: the log is of no more use.
            ValueError: a batch does not follow from what the log holds; nothing changed.
        """
        self._check_usable()
        if not batches:
            return
        bounds = self._bounds
        for batch in batches:
            bounds = bounds.after(batch)
        self._write(RecordType.APPEND, encode_batches(batches))
        self._bounds = bounds
        self._segments.overwritten_by(batches)
        if any(batch.base is not None for batch in batches):
            self._remove_obsolete()

    def seal(self) -> None:
        """Write a record that proves the last append was durable, unless one is there.

        Until something follows it, the last append is the only one whose later damage would look like a torn write;
        worth calling when the log has been idle for a while.

        Raises:
            DiskFull: no room; the log is as good as before.
            WriteFailed: the log is of no more use.
        """
        self._check_usable()
        if not self._tail.sealed:
            self._write(RecordType.SEAL, b"")

    @property
    def wants_spare(self) -> bool:
        """Whether the current segment is half full and the next is not yet made: time for `prepare`."""
        return self._spare is None and 2 * self._tail.offset > self._tail.capacity

    def prepare(self) -> bool:
        """Make the next segment ahead of need. Blocks; may run in any thread, beside `append`.

        Returns:
            Whether it is there; False when the disk has no room for it.

        Raises:
            WriteFailed: the log is of no more use.
            ReadFailed: the disk does not say how much room it has.
        """
        with self._spare_lock:
            self._check_usable()
            if self._spare is None:
                if not self._has_room():
                    return False
                try:
                    spare = self._make_spare(self._segment_bytes)
                    sync_file(spare, self._directory / SPARE_NAME)
                    self._spare = spare
                except DiskFull as error:
                    self._log.warning("no room for the log's next segment: %s", error)
                    return False
                except WriteFailed as error:
                    self._refusal = str(error)
                    raise
        return True

    @property
    def base(self) -> SnapshotMetadata:
        """Where the log starts."""
        return self._bounds.base

    @property
    def last_index(self) -> Index:
        """Of the last durable entry, or of the base."""
        return self._bounds.last_index

    def close(self) -> None:
        """Seal the log and give its files back. Idempotent; nothing can be appended any more."""
        if self._refusal is None:
            try:
                self.seal()
            except StorageError as error:
                self._log.warning("the log could not be sealed: %s", error)
        with self._spare_lock:
            if self._spare is not None:
                self._drop_spare(self._spare)
                self._spare = None
            self._refusal = self._refusal or "the log is closed"
        if self._file is not None:
            self._file.close()
            self._file = None

    def _check_usable(self) -> None:
        if self._refusal is not None:
            raise WriteFailed(self._directory, f"refused since: {self._refusal}")

    def _continue(self, found: RecoveredLog) -> None:
        """Go on behind what was recovered."""
        self._segments = found.segments
        self._tail = found.tail
        self._path = path = segment_path(self._directory, found.tail.segment)
        if found.torn_bytes:
            self._log.warning(
                "cut %d bytes of a torn write at the log's end: %s at byte %d",
                found.torn_bytes,
                path,
                found.tail.offset,
            )
        try:
            self._file = self._disk.open(path)
        except OSError as error:
            raise write_error(error, path) from error
        try:
            self.seal()
        except DiskFull as error:
            self._log.warning("the log could not be sealed: %s", error)
        self._remove_obsolete()

    def _write(self, record_type: RecordType, body: bytes) -> None:
        """Add one record, in this segment or a new one; durable when it returns."""
        try:
            if self._tail.offset + record_bytes(len(body)) > self._tail.capacity:
                self._begin_segment((record_type, body))
            else:
                self._write_in_place(record_type, body)
        except (DiskFull, ValueError):
            raise
        except BaseException as error:
            # Whatever interrupts a write leaves us not knowing what is on the disk.
            self._refusal = str(error) or type(error).__name__
            raise

    def _write_in_place(self, record_type: RecordType, body: bytes) -> None:
        """Add a record to the current segment."""
        tail, file = self._tail, self._file
        assert file is not None  # noqa: S101 - open until closed, and then we refuse
        record, crc = encode_record(
            record_type,
            body,
            sequence=tail.sequence,
            segment=tail.segment,
            offset=tail.offset,
            previous=tail.previous,
        )
        end = tail.offset + len(record)
        if end < self._dirty_end:
            record += bytes(self._dirty_end - end)
        try:
            file.pwrite(record, tail.offset)
        except OSError as error:
            self._dirty_end = tail.offset + len(record)
            raise write_error(error, self._path) from error
        sync_file(file, self._path)
        self._dirty_end = 0
        tail.offset = end
        tail.sequence += 1
        tail.previous = crc
        tail.sealed = record_type == RecordType.SEAL

    def _begin_segment(self, carried: tuple[RecordType, bytes] | None) -> None:
        """Begin the next segment, `carried` its first record; it gets its name when all that is durable."""
        tail = self._tail
        number = tail.segment + 1
        carried_bytes = record_bytes(len(carried[1])) if carried else 0
        start = SegmentStart(FORMAT_VERSION, self._log_id, self._segment_bytes, carried_bytes, self._bounds)
        # One sector more than needed: a larger capacity may take a few more bytes to write down.
        needed = record_bytes(len(encode_start(start))) + SECTOR + carried_bytes
        capacity = max(self._segment_bytes, needed)
        body = encode_start(msgspec.structs.replace(start, capacity=capacity))
        data, crc = encode_record(
            RecordType.SEGMENT, body, sequence=tail.sequence, segment=number, offset=0, previous=tail.previous
        )
        sequence = tail.sequence + 1
        if carried:
            record, crc = encode_record(
                carried[0], carried[1], sequence=sequence, segment=number, offset=len(data), previous=crc
            )
            data += record
            sequence += 1
        path = segment_path(self._directory, number)
        file = self._publish_segment(path, capacity, data)
        if self._file is not None:
            self._segments.seal(tail.segment, self._bounds.last_index)
            self._file.close()
        self._file, self._path = file, path
        self._dirty_end = 0
        sealed = carried is None or carried[0] == RecordType.SEAL
        self._tail = LogTail(number, capacity, len(data), sequence, crc, sealed)
        self._log.debug("began log segment %d of %d bytes", number, capacity)

    def _publish_segment(self, path: Path, capacity: int, data: bytes) -> File:
        """Write `data` to the spare, sync it, and only then give it its place in the log."""
        spare_path = self._directory / SPARE_NAME
        with self._spare_lock:  # until the rename: the next spare will have the same name
            file, self._spare = self._spare, None
            if file is None:
                file = self._make_spare(capacity)
            try:
                file.allocate(capacity)
                file.pwrite(data, 0)
            except OSError as error:
                self._drop_spare(file)
                raise write_error(error, spare_path) from error
            sync_file(file, spare_path)
            try:
                self._disk.rename(spare_path, path)
            except OSError as error:
                self._drop_spare(file)
                raise write_error(error, path) from error
        sync_directory(self._disk, self._directory)
        return file

    def _make_spare(self, capacity: int) -> File:
        """An allocated file of zeros."""
        path = self._directory / SPARE_NAME
        try:
            file = self._disk.open(path, create=True)
        except OSError as error:
            raise write_error(error, path) from error
        try:
            file.truncate(0)
            file.allocate(capacity)
        except OSError as error:
            self._drop_spare(file)
            raise write_error(error, path) from error
        return file

    def _has_room(self) -> bool:
        """Whether a segment may fit; asked again and again while the disk is full, so that this must cost little."""
        try:
            return self._disk.free_bytes(self._directory) >= self._segment_bytes
        except OSError as error:
            raise ReadFailed(self._directory, 0, error) from error

    def _drop_spare(self, file: File) -> None:
        file.close()
        remove_quietly(self._disk, self._directory / SPARE_NAME)

    def _remove_obsolete(self) -> None:
        """Remove segments wholly below the base, oldest first, so that a crash leaves no gap."""
        while (number := self._segments.pop_obsolete(self._bounds.base.last_included_index)) is not None:
            path = segment_path(self._directory, number)
            try:
                self._disk.remove(path)
                self._disk.fsync_directory(self._directory)
            except OSError as error:
                failure = WriteFailed(path, f"remove: {error.strerror or error}")
                self._refusal = str(failure)
                raise failure from error
            self._log.debug("removed log segment %d", number)
