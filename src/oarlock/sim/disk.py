"""A simulated disk: what is written, what of it is synced, and what goes wrong while a process uses it.

Nothing is on the device before the sync that covers it: a file's bytes and size before `fdatasync`, a directory's names
before `fsync_directory`. A power loss keeps of what was not synced any subset of 512-byte sectors and of changed names,
some of the sectors torn.
"""

import errno
import random
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

from oarlock.sim.files import PowerLoss, SimFile, sectors_of
from oarlock.sim.inode import SECTOR, Directory, Inode
from oarlock.sim.strikes import Strikes
from oarlock.storage.errors import DirectoryLocked

Content = dict[str, dict[str, bytes]]
"""What a device holds, by directory and name."""

ReadFault = Literal["", "error", "misdirected", "stale"]
"""EIO; another sector's bytes; a sector as it was before it was written."""

WriteFault = Literal["", "misdirected", "lost"]
"""Of a sync of the log that claims success: a sector went elsewhere, or nowhere."""

_LOG: Final = ".wal"


class DiskListener:
    """Told what really is on the device; see `oarlock.sim.durable`."""

    def written(self, path: str, inode: Inode, offset: int, data: bytes) -> None:
        """Bytes went into the cache."""

    def synced(self, inode: Inode) -> None:
        """A file is on the device."""

    def names_synced(self, directory: str) -> None:
        """A directory's names are on the device."""


class SimDisk:
    """One server's disk; outlives its processes.

    Args:
        rng: Decides what a power loss keeps, and where damage goes.
        strikes: Where to count.
        listener: Told of writes and syncs.
    """

    def __init__(self, rng: random.Random, strikes: Strikes, listener: DiskListener | None = None) -> None:
        self.rng = rng
        self.strikes = strikes
        self._listener = listener or DiskListener()
        self._root: dict[str, Directory] = {"/": Directory()}
        self._locked: set[str] = set()
        self.life = 0
        """Which process uses it; open files of an earlier one are void."""
        self.steps = 0
        """How many operations there were."""
        self.fail_after: int | None = None
        """After so many operations the power is lost; None for never."""
        self.on_power_loss: Callable[[], None] = lambda: None
        """Told when that happens."""
        self.full = False
        self.sync_errors = 0
        """How many of the next syncs fail, with the pages marked clean."""
        self.write_errors = 0
        self.short_transfers = 0
        """How many of the next reads and writes stop half-way."""
        self.read_fault: ReadFault = ""
        """What is wrong with one of the next reads."""
        self.reads_before = 0
        """How many reads are well before that."""
        self.was_misread = False
        """Whether a read of the last process failed, or answered with the wrong bytes."""
        self.write_fault: WriteFault = ""
        """What is wrong with the next sync of the log."""
        self.may_misplace: Callable[[], bool] = lambda: True
        """Asked when that would come to stay."""
        self.lies = False
        """Whether syncs return without having done anything."""
        self.has_lied = False
        self.capacity_bytes = 1 << 40
        self._misplaced: _Misplaced | None = None
        self._was_misread = False

    # -- Disk --------------------------------------------------------------------------------------------------------

    def open(self, path: Path, *, create: bool = False) -> "SimFile":
        """See `Disk.open`."""
        self.step()
        directory, name = self._parent(path)
        found = directory.names.get(name)
        if found is None:
            if not create:
                raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(path))
            self.need_room()
            found = Inode()
            directory.change(None, name, found)
        if not isinstance(found, Inode):
            raise IsADirectoryError(errno.EISDIR, "Is a directory", str(path))
        return SimFile(self, str(path), found)

    def exists(self, path: Path) -> bool:
        """See `Disk.exists`."""
        self.step()
        return self.holds(path)

    def holds(self, path: Path) -> bool:
        """Whether there is such a file or directory, without its counting as an operation."""
        if str(path) in self._root:
            return True
        parent = self._root.get(str(path.parent))
        return parent is not None and path.name in parent.names

    def listdir(self, directory: Path) -> list[str]:
        """See `Disk.listdir`."""
        self.step()
        return sorted(self._directory(directory).names)

    def rename(self, source: Path, target: Path) -> None:
        """See `Disk.rename`."""
        self.step()
        directory, name = self._parent(source)
        what = directory.names.get(name)
        if what is None or source.parent != target.parent:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(source))
        directory.change(name, target.name, what)

    def remove(self, path: Path) -> None:
        """See `Disk.remove`."""
        self.step()
        directory, name = self._parent(path)
        what = directory.names.get(name)
        if what is None:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(path))
        directory.change(name, None, what)

    def mkdir(self, directory: Path) -> None:
        """See `Disk.mkdir`."""
        self.step()
        parent, name = self._parent(directory)
        if name in parent.names:
            raise FileExistsError(errno.EEXIST, "File exists", str(directory))
        made = self._root[str(directory)] = Directory()
        parent.change(None, name, made)

    def fsync_directory(self, directory: Path) -> None:
        """See `Disk.fsync_directory`."""
        self.step()
        held = self._directory(directory)
        if self.sync_errors:
            self.sync_errors -= 1
            self.strikes.hit("disk.sync_error")
            raise self.io_error()
        if self.lies:
            self._lie()
        else:
            held.sync()
        self._listener.names_synced(str(directory))

    def free_bytes(self, directory: Path) -> int:  # noqa: ARG002
        """See `Disk.free_bytes`."""
        return 0 if self.full else self.capacity_bytes

    def volume_bytes(self, directory: Path) -> int:  # noqa: ARG002
        """See `Disk.volume_bytes`."""
        return self.capacity_bytes

    def lock_directory(self, directory: Path) -> "SimLock":
        """See `Disk.lock_directory`."""
        self.step()
        self._directory(directory)
        if str(directory) in self._locked:
            raise DirectoryLocked(directory, None)
        self._locked.add(str(directory))
        return SimLock(self, str(directory))

    # -- for files and locks -----------------------------------------------------------------------------------------

    def step(self) -> None:
        """Count an operation; the power may be lost before it."""
        self.steps += 1
        if self.fail_after is not None:
            if self.fail_after <= 0:
                self.on_power_loss()
                raise PowerLoss
            self.fail_after -= 1

    @property
    def is_locked(self) -> bool:
        """Whether a process holds a lock on it."""
        return bool(self._locked)

    def release(self, directory: str) -> None:
        """Give up a lock."""
        self._locked.discard(directory)

    def wrote(self, path: str, inode: Inode, offset: int, data: bytes) -> None:
        """Tell the listener."""
        self._listener.written(path, inode, offset, data)

    def sync(self, path: str, inode: Inode) -> None:
        """Sync a file, or not."""
        if self.sync_errors:
            self.sync_errors -= 1
            self.strikes.hit("disk.sync_error")
            inode.clean()  # as Linux does: the next sync succeeds, and the bytes are nowhere
            raise self.io_error()
        if self.lies:
            self._lie()
        elif self._misplaced is not None and self._misplaced.inode is inode and inode.dirty:
            self._settle_misplaced(self._misplaced)
            inode.sync()
        elif self.write_fault and self._misplaced is None and inode.dirty and self._is_log(path, inode):
            self._misplace(inode)
        else:
            inode.sync()
        self._listener.synced(inode)  # who lies has claimed it, too

    def _lie(self) -> None:
        self.has_lied = True
        self.strikes.hit("disk.sync_lie")

    def io_error(self) -> OSError:
        """EIO."""
        return OSError(errno.EIO, "Input/output error")

    def need_room(self) -> None:
        """For more bytes.

        Raises:
            OSError: ENOSPC.
        """
        if self.full:
            self.strikes.hit("disk.full")
            raise OSError(errno.ENOSPC, "No space left on device")

    def shorten(self, length: int, what: Literal["read", "write"]) -> int:
        """How much of a read or write is done at once."""
        self.short_transfers -= 1
        self.strikes.hit(f"disk.short_{what}")
        return self.rng.randrange(1, length)

    def misread(self, data: bytes, offset: int) -> bytes:
        """What a read gives instead of the right bytes, if it is its turn.

        Raises:
            OSError: EIO.
        """
        if self.reads_before > 0:
            self.reads_before -= 1
            return data
        if self.read_fault == "error":
            self._strike_read("disk.read_error")
            raise self.io_error()
        sectors = sectors_of(data, offset)
        if not sectors:
            return data  # there is nothing that it could get wrong
        start, end = self.rng.choice(sectors)
        if self.read_fault == "misdirected" and self.rng.random() < 0.5:
            start, end = 0, len(data)
        wrong = self._elsewhere(end - start) if self.read_fault == "misdirected" else bytes(end - start)
        if wrong != data[start:end]:
            self._strike_read(f"disk.read_{self.read_fault}")
        return data[:start] + wrong + data[end:]

    def _strike_read(self, name: str) -> None:
        self.strikes.hit(name)
        self.read_fault = ""
        self._was_misread = True

    def _elsewhere(self, length: int) -> bytes:
        """What lies somewhere else on the device."""
        inode = self.rng.choice(self.inodes())
        at = self.rng.randrange(max(1, len(inode.device) // SECTOR)) * SECTOR
        return bytes(inode.device[at : at + length]).ljust(length, b"\0")

    def _is_log(self, path: str, inode: Inode) -> bool:
        """Whether a file, opened by that path, is by now a part of the log."""
        names = self._directory(Path(path).parent).device
        return any(what is inode and name.endswith(_LOG) for name, what in names.items())

    def _misplace(self, inode: Inode) -> None:
        """Let one sector of a sync go elsewhere in the file, or nowhere."""
        sector = self.rng.choice(list(inode.dirty))
        start = sector * SECTOR
        data = bytes(inode.cache[start : start + SECTOR])
        target = None
        free = [other for other in range(len(inode.device) // SECTOR) if other not in inode.dirty]
        if self.write_fault == "misdirected" and free:
            target = self.rng.choice(free) * SECTOR
        overwritten = b"" if target is None else bytes(inode.device[target : target + SECTOR])
        self._misplaced = _Misplaced(inode, start, data, target, overwritten, self.write_fault)
        inode.sync(lost=sector)
        if target is not None:
            inode.device[target : target + SECTOR] = data
        self.write_fault = ""

    def looks_at_device(self, inode: Inode) -> None:
        """A process is about to see what the device holds of a file."""
        if self._misplaced is not None and self._misplaced.inode is inode:
            self._settle_misplaced(self._misplaced)

    def _settle_misplaced(self, misplaced: "_Misplaced") -> None:
        """Something is written behind it, or it is looked at: from now on the damage shows, and stays."""
        if self.may_misplace():
            self._misplaced = None
            self.strikes.hit(f"disk.write_{misplaced.how}")
        else:
            self._undo_misplaced()

    def _undo_misplaced(self) -> None:
        """Nothing was written behind it: nobody could tell it from a torn write. So it was not, after all."""
        misplaced, self._misplaced = self._misplaced, None
        if misplaced is not None:
            device = misplaced.inode.device
            if misplaced.target is not None:
                device[misplaced.target : misplaced.target + SECTOR] = misplaced.overwritten
            device[misplaced.start : misplaced.start + SECTOR] = misplaced.data

    # -- what happens to it --------------------------------------------------------------------------------------------

    def end_process(self) -> None:
        """The process that used it is gone: its files and locks are void, its cache stays."""
        self.life += 1
        self.fail_after = None
        self._locked.clear()
        self._undo_misplaced()
        self.was_misread, self._was_misread = self._was_misread, False

    def lose_power(self) -> None:
        """Lose what was not synced, or parts of it."""
        self.end_process()
        for inode in self.inodes():
            inode.lose_power(self.rng, self.strikes)
        for directory in self._root.values():
            directory.lose_power(self.rng, self.strikes)
        self._find_directories()

    def wipe(self) -> None:
        """Lose everything."""
        self.end_process()
        self._root = {"/": Directory()}

    def copy(self) -> Content:
        """What the device holds, by directory and name; for putting an old disk back."""
        return {
            path: {name: bytes(what.device) for name, what in directory.device.items() if isinstance(what, Inode)}
            for path, directory in self._root.items()
        }

    def put_back(self, copy: Content) -> None:
        """Hold what a copy does."""
        self.wipe()
        for path, files in copy.items():
            directory = self._root.setdefault(path, Directory())
            for name, data in files.items():
                inode = Inode()
                inode.device = bytearray(data)
                inode.forget_cache()
                directory.names[name] = inode
        for path, directory in self._root.items():
            if path != "/":
                self._root[str(Path(path).parent)].names[Path(path).name] = directory
        for directory in self._root.values():
            directory.sync()

    def files(self) -> list[tuple[str, Inode]]:
        """Every file that the device holds, by its path, in order."""
        return [
            (f"{path}/{name}", what)
            for path, directory in sorted(self._root.items())
            for name, what in sorted(directory.device.items(), key=lambda item: item[0])
            if isinstance(what, Inode)
        ]

    def inodes(self) -> list[Inode]:
        """Every file, its name known or not yet."""
        found: dict[int, Inode] = {}
        for directory in self._root.values():
            changed = [what for _, _, what in directory.changes]
            for what in (*directory.names.values(), *directory.device.values(), *changed):
                if isinstance(what, Inode):
                    found[id(what)] = what
        return list(found.values())

    def _find_directories(self) -> None:
        """Forget the directories whose names were lost."""
        known = {"/": self._root["/"]}
        for path in sorted(self._root):
            parent, _, name = path.rpartition("/")
            if path != "/" and (above := known.get(parent or "/")) is not None and name in above.names:
                known[path] = self._root[path]
        self._root = known

    def _directory(self, path: Path) -> Directory:
        found = self._root.get(str(path))
        if found is None:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(path))
        return found

    def _parent(self, path: Path) -> tuple[Directory, str]:
        return self._directory(path.parent), path.name


class _Misplaced:
    """A sector that the device did not put where it belongs."""

    def __init__(
        self, inode: Inode, start: int, data: bytes, target: int | None, overwritten: bytes, how: WriteFault
    ) -> None:
        self.inode = inode
        self.start = start
        self.data = data
        self.target = target
        self.overwritten = overwritten
        self.how = how


class SimLock:
    """A held lock; it ends with the process."""

    def __init__(self, disk: SimDisk, directory: str) -> None:
        self._disk = disk
        self._directory = directory
        self._life = disk.life

    def release(self) -> None:
        """See `DirectoryLock.release`."""
        if self._life == self._disk.life:
            self._disk.release(self._directory)
