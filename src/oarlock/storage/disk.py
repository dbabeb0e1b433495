"""The only seam to the operating system's files: what storage asks of a disk, and the real one.

Methods raise plain `OSError`; the callers say what that means. Nothing is durable before the sync that covers it:
`File.fdatasync` for bytes and size, `Disk.fsync_directory` for names (created, renamed, removed).
"""

import contextlib
import fcntl
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from oarlock.storage.errors import DirectoryLocked, WriteFailed

_ZEROS = bytes(1 << 20)


class File(Protocol):
    """One open file. Offsets and lengths are in bytes."""

    def pread(self, length: int, offset: int) -> bytes:
        """Up to `length` bytes at `offset`; fewer only where the file ends."""
        ...

    def pwrite(self, data: bytes, offset: int) -> None:
        """Write all of `data` at `offset`. On an error any part of it may have been written."""
        ...

    def fdatasync(self) -> None:
        """Make bytes and size durable. After an error the file's content is unknown: never ask again."""
        ...

    def allocate(self, size: int) -> None:
        """Grow to `size` bytes of zeros in blocks of its own, so that later writes need no space and no metadata."""
        ...

    def truncate(self, size: int) -> None:
        """Set the size; growth reads as zeros."""
        ...

    def size(self) -> int:
        """Bytes in the file."""
        ...

    def drop_cache(self) -> None:
        """Forget clean cached pages, so that the next read shows what the device holds."""
        ...

    def close(self) -> None:
        """Give the file back. Does not sync."""
        ...


class DirectoryLock(Protocol):
    """A held lock on a directory; it also ends with the process."""

    def release(self) -> None:
        """Let another process have the directory."""
        ...


class Disk(Protocol):
    """Names and directories."""

    def open(self, path: Path, *, create: bool = False) -> File:
        """Open for reading and writing; `create` makes the file if it does not exist."""
        ...

    def exists(self, path: Path) -> bool:
        """Whether a file or directory has this name."""
        ...

    def listdir(self, directory: Path) -> list[str]:
        """Names in a directory, sorted."""
        ...

    def rename(self, source: Path, target: Path) -> None:
        """Atomically give a file another name, replacing what had it."""
        ...

    def remove(self, path: Path) -> None:
        """Remove a file's name."""
        ...

    def mkdir(self, directory: Path) -> None:
        """Make a directory whose parent exists."""
        ...

    def fsync_directory(self, directory: Path) -> None:
        """Make durable which names the directory holds."""
        ...

    def free_bytes(self, directory: Path) -> int:
        """Space left for this user on the file system of `directory`."""
        ...

    def volume_bytes(self, directory: Path) -> int:
        """Size of the file system of `directory`."""
        ...

    def lock_directory(self, directory: Path) -> DirectoryLock:
        """Take the directory for this process.

        Raises:
            DirectoryLocked: another process has it.
        """
        ...


class PosixFile:
    """A file of the operating system."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def pread(self, length: int, offset: int) -> bytes:
        """See `File.pread`."""
        data = os.pread(self._descriptor, length, offset)
        if len(data) == length or not data:
            return data
        return read_on(partial(os.pread, self._descriptor), data, length, offset)

    def pwrite(self, data: bytes, offset: int) -> None:
        """See `File.pwrite`."""
        written = os.pwrite(self._descriptor, data, offset)
        if written < len(data):
            write_on(partial(os.pwrite, self._descriptor), data, written, offset)

    def fdatasync(self) -> None:
        """See `File.fdatasync`."""
        os.fdatasync(self._descriptor)

    def allocate(self, size: int) -> None:
        """See `File.allocate`.

        Zeros are really written: in blocks that were only reserved, each first write has the file system turn them
        into written ones, and `fdatasync` then waits for its journal too (measured: a third to two thirds slower).
        """
        position = self.size()
        if size <= position:
            return
        os.posix_fallocate(self._descriptor, 0, size)
        while position < size:
            length = min(size - position, len(_ZEROS))
            self.pwrite(_ZEROS if length == len(_ZEROS) else bytes(length), position)
            position += length

    def truncate(self, size: int) -> None:
        """See `File.truncate`."""
        os.ftruncate(self._descriptor, size)

    def size(self) -> int:
        """See `File.size`."""
        return os.fstat(self._descriptor).st_size

    def drop_cache(self) -> None:
        """See `File.drop_cache`."""
        os.posix_fadvise(self._descriptor, 0, 0, os.POSIX_FADV_DONTNEED)

    def close(self) -> None:
        """See `File.close`."""
        os.close(self._descriptor)


class PosixDirectoryLock:
    """An flock(2) on a file `lock`, which names the holder's process id."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def release(self) -> None:
        """See `DirectoryLock.release`; the file stays, since removing it would race with the next holder."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class PosixDisk:
    """The operating system's file system. Files are for the owner alone (0600, directories 0700)."""

    def open(self, path: Path, *, create: bool = False) -> PosixFile:
        """See `Disk.open`."""
        flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0)
        return PosixFile(os.open(path, flags, 0o600))

    def exists(self, path: Path) -> bool:
        """See `Disk.exists`."""
        return path.exists()

    def listdir(self, directory: Path) -> list[str]:
        """See `Disk.listdir`."""
        return sorted(entry.name for entry in directory.iterdir())

    def rename(self, source: Path, target: Path) -> None:
        """See `Disk.rename`."""
        source.replace(target)

    def remove(self, path: Path) -> None:
        """See `Disk.remove`."""
        path.unlink()

    def mkdir(self, directory: Path) -> None:
        """See `Disk.mkdir`."""
        directory.mkdir(mode=0o700)

    def fsync_directory(self, directory: Path) -> None:
        """See `Disk.fsync_directory`."""
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def free_bytes(self, directory: Path) -> int:
        """See `Disk.free_bytes`."""
        status = os.statvfs(directory)
        return status.f_bavail * status.f_frsize

    def volume_bytes(self, directory: Path) -> int:
        """See `Disk.volume_bytes`."""
        status = os.statvfs(directory)
        return status.f_blocks * status.f_frsize

    def lock_directory(self, directory: Path) -> PosixDirectoryLock:
        """See `Disk.lock_directory`."""
        descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Of fixed width, so that no older digits remain; the name is a help only, and a full disk must not stop us.
            with contextlib.suppress(OSError):
                os.pwrite(descriptor, b"%-20d\n" % os.getpid(), 0)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).strip()
            os.close(descriptor)
            raise DirectoryLocked(directory, int(holder) if holder.isdigit() else None) from None
        except BaseException:
            os.close(descriptor)
            raise
        return PosixDirectoryLock(descriptor)


def read_on(read: Callable[[int, int], bytes], data: bytes, length: int, offset: int) -> bytes:
    """Read the rest after a short read: fewer bytes than were asked for are left only where the file ends.

    Args:
        read: reads up to so many bytes at an offset.
        data: what was read so far.
        length: how much was asked for.
        offset: where.
    """
    parts = [data]
    got = len(data)
    while got < length and (data := read(length - got, offset + got)):
        parts.append(data)
        got += len(data)
    return b"".join(parts)


def write_on(write: Callable[[memoryview, int], int], data: bytes, written: int, offset: int) -> None:
    """Write the rest after a short write.

    Args:
        write: writes at an offset, and gives how many bytes it took.
        data: all that is to be written.
        written: how much of it was.
        offset: where all of it goes.
    """
    view = memoryview(data)
    while written < len(data):
        written += write(view[written:], offset + written)


def make_directory(disk: Disk, directory: Path) -> None:
    """Make `directory` and missing parents, durably.

    An existing one's name is synced too: a crash may have come between its making and its sync.
    """
    if disk.exists(directory):
        with contextlib.suppress(PermissionError):  # then the parent is not ours, and neither is its making
            disk.fsync_directory(directory.parent)
        return
    make_directory(disk, directory.parent)
    disk.mkdir(directory)
    disk.fsync_directory(directory.parent)


def remove_quietly(disk: Disk, path: Path) -> None:
    """Remove a file that nothing depends on, if it is there; what stays is removed at the next start."""
    try:
        if disk.exists(path):
            disk.remove(path)
    except OSError:
        return


def sync_file(file: File, path: Path) -> None:
    """Make a file's bytes and size durable.

    Raises:
        WriteFailed: whatever the reason, since a failed sync may have dropped what it did not write.
    """
    try:
        file.fdatasync()
    except OSError as error:
        raise WriteFailed(path, f"sync: {error.strerror or error}") from error


def sync_directory(disk: Disk, directory: Path) -> None:
    """Make a directory's names durable.

    Raises:
        WriteFailed: as for `sync_file`.
    """
    try:
        disk.fsync_directory(directory)
    except OSError as error:
        raise WriteFailed(directory, f"sync: {error.strerror or error}") from error
