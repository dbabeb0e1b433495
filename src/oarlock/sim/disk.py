"""A simulated disk: what is written, what of it is synced, and everything that can go wrong with it.

Nothing is on the device before the sync that covers it: a file's bytes and size before `fdatasync`, a directory's names
before `fsync_directory`. A power loss keeps of what was not synced any subset of 512-byte sectors and of changed names,
some of the sectors torn.
"""

import errno
import random
from collections.abc import Callable
from pathlib import Path

from oarlock.sim.inode import SECTOR, Directory, Inode
from oarlock.sim.strikes import Strikes
from oarlock.storage.errors import DirectoryLocked
from oarlock.storage.records import MAGIC


class PowerLoss(BaseException):
    """The machine stopped in the middle of a disk operation: whatever the process was doing ends here."""


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
        self.read_errors = 0
        self.lies = False
        """Whether syncs return without having done anything."""
        self.has_lied = False
        self.capacity_bytes = 1 << 40

    # -- Disk --------------------------------------------------------------------------------------------------------

    def open(self, path: Path, *, create: bool = False) -> "SimFile":
        """See `Disk.open`."""
        self.step()
        directory, name = self._parent(path)
        found = directory.names.get(name)
        if found is None:
            if not create:
                raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(path))
            self._need_room()
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
            raise OSError(errno.EIO, "Input/output error")
        if self.lies:
            self._lie()
            return
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

    def release(self, directory: str) -> None:
        """Give up a lock."""
        self._locked.discard(directory)

    def wrote(self, path: str, inode: Inode, offset: int, data: bytes) -> None:
        """Tell the listener."""
        self._listener.written(path, inode, offset, data)

    def sync(self, inode: Inode) -> None:
        """Sync a file, or not."""
        if self.sync_errors:
            self.sync_errors -= 1
            self.strikes.hit("disk.sync_error")
            inode.clean()  # as Linux does: the next sync succeeds, and the bytes are nowhere
            raise OSError(errno.EIO, "Input/output error")
        if self.lies:
            self._lie()
            return
        inode.sync()
        self._listener.synced(inode)

    def _lie(self) -> None:
        self.has_lied = True
        self.strikes.hit("disk.sync_lie")

    def need_room(self) -> None:
        """For more bytes.

        Raises:
            OSError: ENOSPC.
        """
        self._need_room()

    def _need_room(self) -> None:
        if self.full:
            self.strikes.hit("disk.full")
            raise OSError(errno.ENOSPC, "No space left on device")

    # -- what happens to it --------------------------------------------------------------------------------------------

    def end_process(self) -> None:
        """The process that used it is gone: its files and locks are void, its cache stays."""
        self.life += 1
        self.fail_after = None
        self._locked.clear()

    def lose_power(self) -> None:
        """Lose what was not synced, or parts of it."""
        self.end_process()
        for inode in self._inodes():
            inode.lose_power(self.rng, self.strikes)
        for directory in self._root.values():
            directory.lose_power(self.rng, self.strikes)
        self._find_directories()

    def wipe(self) -> None:
        """Lose everything."""
        self.end_process()
        self._root = {"/": Directory()}

    def copy(self) -> "dict[str, dict[str, bytes]]":
        """What the device holds, by directory and name; for putting an old disk back."""
        return {
            path: {name: bytes(what.device) for name, what in directory.device.items() if isinstance(what, Inode)}
            for path, directory in self._root.items()
        }

    def put_back(self, copy: "dict[str, dict[str, bytes]]") -> None:
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

    def rot(self, word: str) -> str | None:
        """Flip a bit of a file whose path has `word` in it, where there is something; gives its path."""
        files = [
            (f"{path}/{name}", what)
            for path, directory in sorted(self._root.items())
            for name, what in sorted(directory.device.items(), key=lambda item: item[0])
            if isinstance(what, Inode) and word in f"{path}/{name}" and what.device.strip(b"\0")
        ]
        if not files:
            return None
        path, inode = files[self.rng.randrange(len(files))]
        places = _written_sectors(inode)
        if not places:
            return None
        start = places[self.rng.randrange(len(places))]
        written = len(inode.device[start : start + SECTOR].rstrip(b"\0"))
        at = start + self.rng.randrange(written)
        inode.device[at] ^= 1 << self.rng.randrange(8)
        if not inode.dirty:
            inode.cache = bytearray(inode.device)
        self.strikes.hit("disk.rot")
        return path

    def _inodes(self) -> list[Inode]:
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


def _written_sectors(inode: Inode) -> list[int]:
    """Offsets of the sectors that hold something; of a log only those before its last record.

    Damage to the last record of all cannot be told from a torn write (see the storage's notes), so it is no fault that
    anybody could be asked to notice.
    """
    places = [at for at in range(0, len(inode.device), SECTOR) if inode.device[at : at + SECTOR].strip(b"\0")]
    records = [at for at in places if inode.device.startswith(MAGIC, at)]
    return [at for at in places if at < records[-1]] if records else places


class SimFile:
    """An open file of one process."""

    __slots__ = ("_disk", "_inode", "_life", "_path")

    def __init__(self, disk: SimDisk, path: str, inode: Inode) -> None:
        self._disk = disk
        self._path = path
        self._inode = inode
        self._life = disk.life

    def _step(self) -> None:
        if self._life != self._disk.life:
            raise PowerLoss
        self._disk.step()

    def pread(self, length: int, offset: int) -> bytes:
        """See `File.pread`."""
        self._step()
        if self._disk.read_errors:
            self._disk.read_errors -= 1
            self._disk.strikes.hit("disk.read_error")
            raise OSError(errno.EIO, "Input/output error")
        return bytes(self._inode.cache[offset : offset + length])

    def pwrite(self, data: bytes, offset: int) -> None:
        """See `File.pwrite`."""
        self._step()
        disk, inode = self._disk, self._inode
        if offset + len(data) > len(inode.cache):
            disk.need_room()
        if disk.write_errors:
            disk.write_errors -= 1
            disk.strikes.hit("disk.write_error")
            inode.write(data[: disk.rng.randrange(len(data) + 1)], offset)
            raise OSError(errno.EIO, "Input/output error")
        inode.write(data, offset)
        disk.wrote(self._path, inode, offset, data)

    def fdatasync(self) -> None:
        """See `File.fdatasync`."""
        self._step()
        self._disk.sync(self._inode)

    def allocate(self, size: int) -> None:
        """See `File.allocate`."""
        self._step()
        if size > len(self._inode.cache):
            self._disk.need_room()
            self._inode.resize(size)

    def truncate(self, size: int) -> None:
        """See `File.truncate`."""
        self._step()
        self._inode.resize(size)

    def size(self) -> int:
        """See `File.size`."""
        self._step()
        return len(self._inode.cache)

    def drop_cache(self) -> None:
        """See `File.drop_cache`: clean pages only."""
        self._step()
        if not self._inode.dirty and not self._inode.size_changed:
            self._inode.forget_cache()

    def close(self) -> None:
        """See `File.close`."""


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
