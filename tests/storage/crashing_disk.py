"""A disk in memory that keeps what is synced apart from what is not, fails on demand, and can lose power.

At a crash every 512-byte sector written since the last sync is kept, lost, or (on request) turned to garbage,
each on its own; so is every change of a file's size; and of the changes to a directory since its last sync any
subset is kept, a rename being one change. `power_losses` goes through these outcomes.
"""

import errno
import itertools
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

from oarlock.storage.errors import DirectoryLocked

SECTOR = 512
GARBAGE = bytes(range(256)) * 2

Choose = Callable[[int], int]
"""Given a number of possible outcomes, which of them."""


class Crash(BaseException):
    """The machine stopped; nothing may catch this and go on."""


class _Inode:
    """A file's bytes: the durable ones, what reads show, and what came in between."""

    def __init__(self) -> None:
        self.durable = b""
        self.current = bytearray()
        self.writes: dict[int, list[bytes]] = {}
        self.sizes: list[int] = []

    def sync(self) -> None:
        """What waits to be written gets to the device; pages that a failed sync marked clean do not."""
        self.durable = self.merged(len(self.sizes), {sector: images[-1] for sector, images in self.writes.items()})
        self.forget()

    def settle(self) -> None:
        """The device has what reads show, whatever happened."""
        self.durable = bytes(self.current)
        self.forget()

    def forget(self) -> None:
        self.writes.clear()
        self.sizes.clear()

    def merged(self, resizes: int, images: dict[int, bytes]) -> bytes:
        """The durable bytes, after so many of the changes of size, with some sectors replaced."""
        content = bytearray(self.durable)
        for size in self.sizes[:resizes]:
            content = content[:size].ljust(size, b"\0")
        for sector, image in images.items():
            start, end = sector * SECTOR, min(len(content), (sector + 1) * SECTOR)
            if start < end:
                content[start:end] = image[: end - start]
        return bytes(content)

    def note(self, offset: int, length: int) -> None:
        """Remember the sectors of a write as they now are."""
        for sector in range(offset // SECTOR, -(-(offset + length) // SECTOR)):
            image = bytes(self.current[sector * SECTOR : (sector + 1) * SECTOR]).ljust(SECTOR, b"\0")
            self.writes.setdefault(sector, []).append(image)

    def resize(self, size: int) -> None:
        if size < len(self.current):
            del self.current[size:]
            self.writes = {s: images for s, images in self.writes.items() if s * SECTOR < size}
        else:
            self.current.extend(bytes(size - len(self.current)))
        self.sizes.append(size)

    def after_power_loss(self, choose: Choose, *, garbage: bool) -> bytes:
        resizes = choose(1 + len(self.sizes)) if self.sizes else 0
        kept = {}
        for sector, images in sorted(self.writes.items()):
            outcome = choose(1 + len(images) + garbage)
            if outcome:
                kept[sector] = images[outcome - 1] if outcome <= len(images) else GARBAGE
        return self.merged(resizes, kept)


_Names = dict[Path, "_Inode | None"]
"""What each name stands for; None is a directory."""


class _Change:
    """A change to one directory."""

    def __init__(self, directory: Path, apply: Callable[[_Names], None]) -> None:
        self.directory = directory
        self.apply = apply


class CrashingDisk:
    """See the module. `faults` is asked before each operation (its name, its path) and may return an error to raise."""

    def __init__(self, *, capacity: int | None = None) -> None:
        self.names: _Names = {Path("/"): None}
        self.durable_names: _Names = dict(self.names)
        self.changes: list[_Change] = []
        self.operations: list[tuple[str, Path]] = []
        self.crash_at: int | None = None
        self.faults: Callable[[str, Path], OSError | None] = lambda operation, path: None
        self.capacity = capacity
        self.locked: set[Path] = set()
        self.open_files = 0

    # --- what the tests do with it

    def killed(self) -> "CrashingDisk":
        """The disk as a new process finds it after this one was killed: nothing lost, nothing more synced."""
        other = CrashingDisk(capacity=self.capacity)
        other.names, other.durable_names, other.changes = self.names, self.durable_names, self.changes
        return other

    def after_power_loss(self, choose: Choose, *, garbage: bool = False) -> "CrashingDisk":
        """One outcome of losing power now."""
        names = dict(self.durable_names)
        for change in self.changes:
            if choose(2):
                change.apply(names)
        other = CrashingDisk(capacity=self.capacity)
        images: dict[_Inode, _Inode] = {}
        for path, inode in sorted(names.items()):
            if path.parent not in other.names:
                continue  # its directory was lost
            if inode is None:
                other.names[path] = None
                continue
            if inode not in images:
                images[inode] = _Inode()
                images[inode].current = bytearray(inode.after_power_loss(choose, garbage=garbage))
                images[inode].settle()
            other.names[path] = images[inode]
        other.durable_names = dict(other.names)
        return other

    def power_losses(self, rng: random.Random, *, most: int = 64, garbage: bool = False) -> Iterator["CrashingDisk"]:
        """Every outcome of losing power now where there are at most `most`; otherwise the extremes and a sample."""
        outcomes: list[int] = []

        def count(options: int) -> int:
            outcomes.append(options)
            return options - 1

        self.after_power_loss(count, garbage=garbage)
        total = 1
        for options in outcomes:
            total *= options
        if total <= most:
            # Dropped directory changes hide files, so fewer choices may be asked for than were counted.
            for picks in itertools.product(*map(range, outcomes)):
                yield self.after_power_loss(_script(picks), garbage=garbage)
            return
        yield self.after_power_loss(lambda options: 0, garbage=garbage)
        yield self.after_power_loss(lambda options: options - 1, garbage=garbage)
        for _ in range(most - 2):
            keep = rng.choice((0.1, 0.5, 0.9))
            yield self.after_power_loss(
                lambda options, keep=keep: rng.randrange(1, options) if rng.random() < keep else 0, garbage=garbage
            )

    def content(self, path: Path) -> bytearray:
        """A file's bytes, for the test to read or to damage (then call `settle`)."""
        inode = self.names[path]
        assert inode is not None
        return inode.current

    def settle(self) -> None:
        """Make everything durable as it is now."""
        for inode in self.names.values():
            if inode is not None:
                inode.settle()
        self.durable_names = dict(self.names)
        self.changes.clear()

    def copy(self) -> "CrashingDisk":
        """Another disk with the same content, all durable."""
        return self.after_power_loss(lambda options: options - 1)

    def files(self) -> list[Path]:
        """All files."""
        return sorted(path for path, inode in self.names.items() if inode is not None)

    # --- the protocol

    def open(self, path: Path, *, create: bool = False) -> "CrashingFile":
        self.step("open", path)
        inode = self.names.get(path)
        if inode is None:
            if path in self.names:
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            if not create:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            inode = _Inode()
            self.change(path.parent, lambda names, inode=inode: names.update({path: inode}))
        self.open_files += 1
        return CrashingFile(self, path, inode)

    def exists(self, path: Path) -> bool:
        return path in self.names

    def listdir(self, directory: Path) -> list[str]:
        return sorted(path.name for path in self.names if path.parent == directory and path != directory)

    def rename(self, source: Path, target: Path) -> None:
        self.step("rename", target)
        inode = self.names[source]

        def apply(names: _Names) -> None:
            if names.get(source) is inode:
                names.pop(source, None)
            names[target] = inode

        self.change(target.parent, apply)

    def remove(self, path: Path) -> None:
        self.step("remove", path)
        assert self.names[path] is not None
        self.change(path.parent, lambda names: names.pop(path, None))

    def mkdir(self, directory: Path) -> None:
        self.step("mkdir", directory)
        assert directory not in self.names
        assert directory.parent in self.names
        self.change(directory.parent, lambda names: names.update({directory: None}))

    def fsync_directory(self, directory: Path) -> None:
        self.step("fsync_directory", directory)
        for change in self.changes:
            if change.directory == directory:
                change.apply(self.durable_names)
        self.changes = [change for change in self.changes if change.directory != directory]

    def free_bytes(self, directory: Path) -> int:
        used = sum(len(inode.current) for inode in self.names.values() if inode is not None)
        return self.volume_bytes(directory) - used

    def volume_bytes(self, directory: Path) -> int:
        return self.capacity if self.capacity is not None else 1 << 40

    def lock_directory(self, directory: Path) -> "CrashingLock":
        if directory in self.locked:
            raise DirectoryLocked(directory, None)
        self.locked.add(directory)
        return CrashingLock(self, directory)

    # --- inside

    def step(self, operation: str, path: Path) -> None:
        if self.crash_at is not None and len(self.operations) >= self.crash_at:
            raise Crash
        self.operations.append((operation, path))
        error = self.faults(operation, path)
        if error is not None:
            raise error

    def change(self, directory: Path, apply: Callable[[_Names], None]) -> None:
        assert directory in self.names, f"no directory {directory}"
        apply(self.names)
        self.changes.append(_Change(directory, apply))

    def need_space(self, inode: _Inode, size: int) -> None:
        if size - len(inode.current) > max(0, self.free_bytes(Path("/"))):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class CrashingLock:
    """A held lock."""

    def __init__(self, disk: CrashingDisk, directory: Path) -> None:
        self.disk = disk
        self.directory = directory

    def release(self) -> None:
        self.disk.locked.discard(self.directory)


class CrashingFile:
    """One open file of a `CrashingDisk`."""

    def __init__(self, disk: CrashingDisk, path: Path, inode: _Inode) -> None:
        self.disk = disk
        self.path = path
        self.inode = inode

    def pread(self, length: int, offset: int) -> bytes:
        error = self.disk.faults("pread", self.path)
        if error is not None:
            raise error
        return bytes(self.inode.current[offset : offset + length])

    def pwrite(self, data: bytes, offset: int) -> None:
        try:
            self.disk.step("pwrite", self.path)
        except OSError:
            self.put(data[: len(data) // 2 // SECTOR * SECTOR], offset)  # a failed write may have written a part
            raise
        self.disk.need_space(self.inode, offset + len(data))
        self.put(data, offset)

    def put(self, data: bytes, offset: int) -> None:
        if offset + len(data) > len(self.inode.current):
            self.inode.resize(offset + len(data))
        self.inode.current[offset : offset + len(data)] = data
        self.inode.note(offset, len(data))

    def fdatasync(self) -> None:
        try:
            self.disk.step("fdatasync", self.path)
        except OSError:
            self.inode.forget()  # the pages count as clean now, though the device never got them
            raise
        self.inode.sync()

    def allocate(self, size: int) -> None:
        self.disk.step("allocate", self.path)
        self.disk.need_space(self.inode, size)
        if size > len(self.inode.current):
            self.inode.resize(size)

    def truncate(self, size: int) -> None:
        self.disk.step("truncate", self.path)
        if size != len(self.inode.current):
            self.inode.resize(size)

    def size(self) -> int:
        return len(self.inode.current)

    def drop_cache(self) -> None:
        """Clean pages go; what is waiting to be written stays."""
        self.inode.current[:] = self.inode.durable
        assert not self.inode.writes, "the room syncs before it drops"

    def close(self) -> None:
        self.disk.open_files -= 1


def _script(picks: tuple[int, ...]) -> Choose:
    remaining = iter(picks)

    def choose(options: int) -> int:
        return min(next(remaining, 0), options - 1)

    return choose
