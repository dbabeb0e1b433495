"""The snapshots of a server: made here or received in chunks, aside, and in place only when whole and durable."""

import contextlib
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NamedTuple

from oarlock.raft.types import Index, SnapshotMetadata
from oarlock.storage.disk import Disk, File, make_directory, remove_quietly, sync_directory, sync_file
from oarlock.storage.errors import (
    CorruptSnapshot,
    OutOfOrderChunk,
    ReadFailed,
    SnapshotNotFound,
    StorageError,
    write_error,
)
from oarlock.storage.partial import PARTIAL_SUFFIX, PROGRESS_SUFFIX, Partial
from oarlock.storage.snapshot_file import file_size, open_payload, read, read_header, verify, write_file

_NAME = re.compile(r"([0-9]{20})-([0-9]{20})\.snap")

_logger = logging.getLogger(__name__)


class StoredSnapshot(NamedTuple):
    """A snapshot in place."""

    metadata: SnapshotMetadata
    path: Path


def snapshot_name(metadata: SnapshotMetadata) -> str:
    """The file's name: `<index>-<term>.snap`, in decimal, so that names sort as snapshots do."""
    return f"{metadata.last_included_index:020d}-{metadata.last_included_term:020d}.snap"


class SnapshotStore:
    """A directory of snapshots.

    `create` may run in a thread beside the rest. Receiving (`next_offset`, `write_chunk`, `finish`) is for one thread
    at a time, and one snapshot at a time: another one's first chunk drops what there was.
    """

    def __init__(self, disk: Disk, directory: Path, *, log: logging.Logger | None = None) -> None:
        """Open the store in `directory`, made if missing; leftovers go, except a sound part of a received snapshot.

        Args:
            disk: where the directory is.
            directory: of this store alone.
            log: told about what is resumed and what is passed over.

        Raises:
            DiskFull, WriteFailed, ReadFailed: the disk refuses.
        """
        self._disk = disk
        self._directory = directory
        self._log = log or _logger
        self._partial: Partial | None = None
        try:
            make_directory(disk, directory)
        except OSError as error:
            raise write_error(error, directory) from error
        sync_directory(disk, directory)
        self._clean()

    def create(self, metadata: SnapshotMetadata, write: Callable[[BinaryIO], object]) -> Path:
        """Make a snapshot here. Durable, whole and in place when it returns; otherwise there is none. Blocks.

        Args:
            metadata: what it stands for.
            write: called once with a stream, writes the payload.

        Raises:
            DiskFull: may be tried again once space returns.
            WriteFailed: the disk fails. What `write` raises passes through.
        """
        path = self._directory / snapshot_name(metadata)
        aside = path.with_name(f"{path.name}.tmp")
        try:
            file = self._create_file(aside)
            try:
                write_file(file, aside, metadata, write)
                sync_file(file, aside)
            finally:
                file.close()
        except Exception:
            remove_quietly(self._disk, aside)
            raise
        self._put_in_place(aside, path)
        return path

    def next_offset(self, metadata: SnapshotMetadata) -> int:
        """Up to which offset this snapshot has been received: where its next chunk must start."""
        if self._partial is None or self._partial.metadata != metadata:
            return 0
        return self._partial.length

    def write_chunk(self, metadata: SnapshotMetadata, offset: int, data: bytes) -> None:
        """Keep a chunk of a snapshot file. One at offset 0 starts anew (IS-2); bytes already here count once (IS-3).

        Raises:
            OutOfOrderChunk: it does not follow what was received; ask from `expected`.
            DiskFull: what was received is dropped, to give its space back.
            WriteFailed: the disk fails.
        """
        if offset == 0:
            self._drop_partial()
            path = self._directory / f"{snapshot_name(metadata)}{PARTIAL_SUFFIX}"
            self._partial = Partial(self._disk, path, metadata, self._create_file(path))
        partial = self._partial
        if partial is None or partial.metadata != metadata:
            raise OutOfOrderChunk(offset, 0)
        if offset > partial.length:
            raise OutOfOrderChunk(offset, partial.length)
        try:
            partial.append(data[partial.length - offset :])
        except StorageError:
            self._drop_partial()
            raise

    def finish(self, metadata: SnapshotMetadata) -> Path:
        """The last chunk is written: check the file as it lies on the disk, and put it in place, durable. Blocks.

        Raises:
            CorruptSnapshot: it is not what the sender wrote; it is dropped, ask from offset 0.
            WriteFailed, ReadFailed: the disk fails.
        """
        partial = self._partial
        if partial is None or partial.metadata != metadata:
            raise SnapshotNotFound(f"nothing was received of snapshot {snapshot_name(metadata)}")
        path = self._directory / snapshot_name(metadata)
        try:
            sync_file(partial.file, partial.path)
            with contextlib.suppress(OSError):
                partial.file.drop_cache()
            verify(partial.file, partial.path, metadata)
        except StorageError:
            self._drop_partial()
            raise
        self._partial = None
        partial.file.close()
        self._put_in_place(partial.path, path)
        remove_quietly(self._disk, partial.progress_path)
        return path

    def snapshots(self) -> list[StoredSnapshot]:
        """The snapshots in place whose headers are sound, oldest first; others are logged and left alone."""
        found = []
        for name in self._list():
            if _NAME.fullmatch(name):
                path = self._directory / name
                try:
                    with contextlib.closing(self._open_file(path)) as file:
                        metadata, _ = read_header(file, path)
                except (CorruptSnapshot, SnapshotNotFound) as error:
                    self._log.error("snapshot passed over: %s", error)
                    continue
                found.append(StoredSnapshot(metadata, path))
        return found

    def latest(self) -> StoredSnapshot | None:
        """The snapshot with the highest index, if there is any."""
        found = self.snapshots()
        return found[-1] if found else None

    def open(self, metadata: SnapshotMetadata) -> BinaryIO:
        """Check a snapshot from end to end and open its payload for reading. Blocks.

        Raises:
            CorruptSnapshot: it is not what was written.
            SnapshotNotFound: it is not here.
            ReadFailed: the disk fails.
        """
        path = self._directory / snapshot_name(metadata)
        file = self._open_file(path)
        try:
            start, end = verify(file, path, metadata)
        except BaseException:
            file.close()
            raise
        return open_payload(file, path, start, end)

    def check(self, metadata: SnapshotMetadata) -> None:
        """Read a snapshot from end to end. Blocks.

        Raises:
            CorruptSnapshot, SnapshotNotFound, ReadFailed: see `open`.
        """
        self.open(metadata).close()

    def read_chunk(self, metadata: SnapshotMetadata, offset: int, length: int) -> tuple[bytes, bool]:
        """Part of a snapshot *file*, for a follower, and whether it is the last.

        Args:
            metadata: which snapshot.
            offset: in the file, header included.
            length: the most to return.

        Raises:
            SnapshotNotFound: it is not here, or no longer.
            ReadFailed: the disk fails.
        """
        path = self._directory / snapshot_name(metadata)
        with contextlib.closing(self._open_file(path)) as file:
            data = read(file, path, offset, length)
            return data, offset + len(data) >= file_size(file, path)

    def remove_older(self, than: Index) -> None:
        """Remove snapshots below an index. The log's base, durable, must be there or above, or the machine's own state.

        Raises:
            WriteFailed: the disk fails.
        """
        obsolete = [name for name in self._list() if (match := _NAME.fullmatch(name)) and int(match[1]) < than]
        for name in obsolete:
            try:
                self._disk.remove(self._directory / name)
            except OSError as error:
                raise write_error(error, self._directory / name) from error
        if obsolete:
            sync_directory(self._disk, self._directory)

    def close(self) -> None:
        """Give the open file back; what was received so far stays for the next start as far as it is noted."""
        if self._partial is not None:
            self._partial.file.close()
            self._partial = None

    def _put_in_place(self, aside: Path, path: Path) -> None:
        """Give a whole and synced file its name, durably."""
        try:
            self._disk.rename(aside, path)
        except OSError as error:
            remove_quietly(self._disk, aside)
            raise write_error(error, path) from error
        sync_directory(self._disk, self._directory)

    def _create_file(self, path: Path) -> File:
        """An empty file."""
        try:
            file = self._disk.open(path, create=True)
        except OSError as error:
            raise write_error(error, path) from error
        try:
            file.truncate(0)
        except OSError as error:
            file.close()
            remove_quietly(self._disk, path)
            raise write_error(error, path) from error
        return file

    def _open_file(self, path: Path) -> File:
        """A file that must be there."""
        try:
            return self._disk.open(path)
        except FileNotFoundError as error:
            raise SnapshotNotFound(f"{path} is not, or no longer, there") from error
        except OSError as error:
            raise ReadFailed(path, 0, error) from error

    def _list(self) -> list[str]:
        """The directory's names."""
        try:
            return self._disk.listdir(self._directory)
        except OSError as error:
            raise ReadFailed(self._directory, 0, error) from error

    def _drop_partial(self) -> None:
        """Forget what was received."""
        if self._partial is not None:
            self._partial.remove()
            self._partial = None

    def _clean(self) -> None:
        """Remove what a crash left, except the newest sound part of a received snapshot."""
        leftovers = [n for n in self._list() if n.endswith((".tmp", PARTIAL_SUFFIX, PROGRESS_SUFFIX))]
        for name in reversed(leftovers):
            if self._partial is None and name.endswith(PARTIAL_SUFFIX):
                self._partial = Partial.resume(self._disk, self._directory / name)
                if self._partial is not None:
                    self._log.info("can resume snapshot %s at byte %d", name, self._partial.length)
        kept = () if self._partial is None else (self._partial.path, self._partial.progress_path)
        for name in leftovers:
            if self._directory / name not in kept:
                remove_quietly(self._disk, self._directory / name)
