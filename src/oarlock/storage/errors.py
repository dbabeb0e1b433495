"""What storage reports: each error names the file, and says whether the server may go on."""

import errno
from pathlib import Path


class StorageError(Exception):
    """Any report of this room."""


class DiskFull(StorageError):
    """No space (ENOSPC, EDQUOT). Nothing changed; the same call may be repeated once space returns."""

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(f"disk full: {path}: {error.strerror or error}")
        self.path = path


class WriteFailed(StorageError):
    """A write or a sync failed. Fatal: the disk's content is unknown, and asking again could vouch for it falsely."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"write failed: {path}: {reason}")
        self.path = path


class ReadFailed(StorageError):
    """The disk could not return bytes that it holds."""

    def __init__(self, path: Path, offset: int, error: OSError) -> None:
        super().__init__(f"read failed: {path} at byte {offset}: {error.strerror or error}")
        self.path = path
        self.offset = offset


class CorruptLog(StorageError):
    """Acknowledged bytes of the log are damaged or gone. The server must not start: it may have promised them."""

    def __init__(self, file: Path, offset: int, reason: str) -> None:
        super().__init__(f"corrupt log: {file} at byte {offset}: {reason}")
        self.file = file
        self.offset = offset
        self.reason = reason


class LogMissing(StorageError):
    """A directory that must hold a log holds none."""


class CorruptSnapshot(StorageError):
    """A snapshot file is not what was written."""

    def __init__(self, file: Path, reason: str) -> None:
        super().__init__(f"corrupt snapshot: {file}: {reason}")
        self.file = file
        self.reason = reason


class SnapshotNotFound(StorageError):
    """The named snapshot is not, or no longer, in the store."""


class OutOfOrderChunk(StorageError):
    """A chunk leaves a gap behind the bytes received so far. `expected` is the offset wanted next."""

    def __init__(self, offset: int, expected: int) -> None:
        super().__init__(f"snapshot chunk at offset {offset}, but the next wanted is {expected}")
        self.offset = offset
        self.expected = expected


class CorruptIdentity(StorageError):
    """The identity file cannot be read."""


class WrongIdentity(StorageError):
    """The directory belongs to another cluster or another server."""


class NewerFormat(StorageError):
    """The directory was written by a later version, in a format that this one does not know."""


class DirectoryLocked(StorageError):
    """Another process uses the directory. `pid` is that process where it is known."""

    def __init__(self, directory: Path, pid: int | None) -> None:
        holder = f"process {pid}" if pid is not None else "another process"
        super().__init__(f"data directory {directory} is in use by {holder}")
        self.directory = directory
        self.pid = pid


def write_error(error: OSError, path: Path) -> DiskFull | WriteFailed:
    """What a failed write, allocation, creation or rename means; a failed *sync* is always `WriteFailed`.

    Args:
        error: as the disk raised it.
        path: the file concerned.
    """
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(path, error)
    return WriteFailed(path, error.strerror or str(error))
