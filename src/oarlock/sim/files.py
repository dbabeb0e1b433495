"""An open file on a simulated disk: system calls that may fail, stop half-way, or answer with the wrong bytes."""

from typing import TYPE_CHECKING, Final

from oarlock.sim.inode import SECTOR, Inode
from oarlock.storage.disk import read_on, write_on

if TYPE_CHECKING:
    from oarlock.sim.disk import SimDisk

BLOCK: Final = 4096
"""What the file system gives to a file at once."""


class PowerLoss(BaseException):
    """The machine stopped in the middle of a disk operation: whatever the process was doing ends here."""


class SimFile:
    """An open file of one process."""

    __slots__ = ("_disk", "_inode", "_life", "_path")

    def __init__(self, disk: "SimDisk", path: str, inode: Inode) -> None:
        self._disk = disk
        self._path = path
        self._inode = inode
        self._life = disk.life

    def _step(self) -> None:
        if self._life != self._disk.life:
            raise PowerLoss
        self._disk.step()

    def pread(self, length: int, offset: int) -> bytes:
        """See `File.pread`; what a short read leaves out the production code's own loop asks for."""
        data = self._read_some(length, offset)
        if data and len(data) < length:
            data = read_on(self._read_some, data, length, offset)
        return data

    def _read_some(self, length: int, offset: int) -> bytes:
        """One system call."""
        self._step()
        disk = self._disk
        if disk.short_transfers and (there := min(length, len(self._inode.cache) - offset)) > 1:
            length = disk.shorten(there, "read")
        data = bytes(self._inode.cache[offset : offset + length])
        return disk.misread(data, offset) if disk.read_fault else data

    def pwrite(self, data: bytes, offset: int) -> None:
        """See `File.pwrite`; what a short write leaves the production code's own loop writes."""
        written = self._write_some(data, offset)
        if written < len(data):
            write_on(self._write_some, data, written, offset)
        self._disk.wrote(self._path, self._inode, offset, data)

    def _write_some(self, data: bytes | memoryview, offset: int) -> int:
        """One system call; gives how many bytes it took."""
        self._step()
        disk, inode = self._disk, self._inode
        length = len(data)
        room = -(-len(inode.cache) // BLOCK) * BLOCK - offset
        if disk.full and length > room:
            # What fits into the file's last block is written: the call is short, and the next one fails.
            if room <= 0:
                disk.need_room()  # raises
            disk.strikes.hit("disk.short_write")
            length = room
        elif disk.short_transfers and length > 1:
            length = disk.shorten(length, "write")
        if disk.write_errors:
            disk.write_errors -= 1
            disk.strikes.hit("disk.write_error")
            inode.write(data[: disk.rng.randrange(length + 1)], offset)
            raise disk.io_error()
        inode.write(data[:length], offset)
        return length

    def fdatasync(self) -> None:
        """See `File.fdatasync`."""
        self._step()
        self._disk.sync(self._path, self._inode)

    def allocate(self, size: int) -> None:
        """See `File.allocate`."""
        self._step()
        if size > len(self._inode.cache):
            self._disk.need_room()
            self._inode.resize(size)

    def truncate(self, size: int) -> None:
        """See `File.truncate`."""
        self._step()
        if size != len(self._inode.cache):
            self._inode.resize(size)

    def size(self) -> int:
        """See `File.size`."""
        self._step()
        return len(self._inode.cache)

    def drop_cache(self) -> None:
        """See `File.drop_cache`: clean pages only."""
        self._step()
        if self._inode.is_clean:
            self._disk.looks_at_device(self._inode)
            self._inode.forget_cache()

    def close(self) -> None:
        """See `File.close`."""


def sectors_of(data: bytes, offset: int) -> list[tuple[int, int]]:
    """Where in some bytes of a file its sectors begin and end, as far as anything is written in them."""
    starts = [0, *range(-offset % SECTOR or SECTOR, len(data), SECTOR)]
    return [(start, end) for start, end in zip(starts, [*starts[1:], len(data)], strict=True) if any(data[start:end])]
