"""A real disk that can be made to stall, fill up and fail, for files whose path contains a word."""

import errno
import threading
from pathlib import Path

from oarlock.storage.disk import File, PosixDisk


class FaultyDisk(PosixDisk):
    """PosixDisk with switches; all may be thrown from another thread."""

    def __init__(self, where: str = "/wal/") -> None:
        self.where = where
        self.open_gate = threading.Event()
        """Clear it, and every sync of a file concerned waits until it is set again."""
        self.open_gate.set()
        self.stalled = threading.Event()
        """Set while a sync waits at the gate."""
        self.full = False
        self.fail_sync = False
        self.free: int | None = None
        self.volume: int | None = None
        self.syncs = 0
        self.sync_threads: set[int] = set()

    def concerns(self, path: Path) -> bool:
        return self.where in str(path)

    def open(self, path: Path, *, create: bool = False) -> File:
        file = super().open(path, create=create)
        return _FaultyFile(self, file) if self.concerns(path) else file

    def free_bytes(self, directory: Path) -> int:
        return super().free_bytes(directory) if self.free is None else self.free

    def volume_bytes(self, directory: Path) -> int:
        return super().volume_bytes(directory) if self.volume is None else self.volume


class _FaultyFile:
    def __init__(self, disk: FaultyDisk, file: File) -> None:
        self._disk = disk
        self._file = file

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)

    def pwrite(self, data: bytes, offset: int) -> None:
        if self._disk.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        self._file.pwrite(data, offset)

    def allocate(self, size: int) -> None:
        if self._disk.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        self._file.allocate(size)

    def fdatasync(self) -> None:
        disk = self._disk
        disk.syncs += 1
        disk.sync_threads.add(threading.get_ident())
        if not disk.open_gate.is_set():
            disk.stalled.set()
            disk.open_gate.wait()
            disk.stalled.clear()
        if disk.fail_sync:
            raise OSError(errno.EIO, "Input/output error")
        self._file.fdatasync()
