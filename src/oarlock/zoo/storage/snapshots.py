"""Snapshots under faults: made on one disk, received on another in chunks, and there whole or not at all."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from oarlock.raft.types import Configuration, Index, SnapshotMetadata
from oarlock.sim.disk import SimDisk
from oarlock.sim.files import PowerLoss
from oarlock.sim.rot import rot
from oarlock.sim.strikes import Strikes
from oarlock.storage import partial
from oarlock.storage.errors import (
    CorruptSnapshot,
    DiskFull,
    NewerFormat,
    OutOfOrderChunk,
    ReadFailed,
    SnapshotNotFound,
    StorageError,
    WriteFailed,
)
from oarlock.storage.snapshots import SnapshotStore
from oarlock.zoo.core.broken import Broken, require
from oarlock.zoo.storage.troubles import calm, disturb

DIRECTORY: Final = Path("/data/snapshots")
_STEPS: Final = 40
_STARTS: Final = 20
_NOTE_EVERY_BYTES: Final = 700
_VOTERS: Final = Configuration(voters=frozenset({1, 2, 3}))


class _Refuses(Exception):
    """A damaged store is not opened any more: all it can do."""


Held = dict[SnapshotMetadata, bytes]
"""Snapshots with their payloads."""


class SnapshotRun:
    """A store that makes snapshots, and one that receives them.

    Args:
        rng: All chance.
    """

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.sender = _Store(rng)
        self.receiver = _Store(rng)
        self.index: Index = 0

    def run(self) -> None:
        """Snapshots are made, travel, and are removed; disks fail.

        Raises:
            Broken: One is not there, or not what it was.
        """
        with _frequent_notes(), suppress(_Refuses):
            self._make()
            for _ in range(_STEPS):
                self._step()
            for store in (self.sender, self.receiver):
                store.restart(power=True)
                store.check()

    def _step(self) -> None:
        action = self.rng.random()
        store = self.rng.choice((self.sender, self.receiver, self.receiver))
        store.trouble()
        if action < 0.25:
            self._make()
        elif action < 0.75:
            self._send()
        elif action < 0.8:
            self._remove()
        elif action < 0.81:
            store.damage()
        elif action < 0.88:
            store.finish_nothing()
        else:
            store.restart(power=self.rng.random() < 0.6)
        for each in (self.sender, self.receiver):
            each.end_trouble()
            each.check()

    def _make(self) -> None:
        self.index += self.rng.randint(1, 9)
        metadata = SnapshotMetadata(self.index, self.rng.randint(1, 3), _VOTERS)
        size = self.rng.choice((0, 1, 400, 3000, 3000, 6000)) if self.rng.random() < 0.995 else (2 << 20) + 5
        payload = self.rng.randbytes(1) * size
        self.sender.make(metadata, payload)

    def _remove(self) -> None:
        store = self.rng.choice((self.sender, self.receiver))
        store.remove_older(self.rng.randint(max(0, self.index - 20), self.index))

    def _send(self) -> None:
        """The newest travels, in order or not, up to its end or not."""
        if not self.sender.held:
            return
        metadata = max(self.sender.held, key=lambda held: held.last_included_index)
        size = self.rng.choice((256, 700, 1024, 4096)) if len(self.sender.held[metadata]) < 10_000 else 1 << 20
        for _ in range(self.rng.choice((1, 3, 40))):
            offset = self.receiver.next_offset(metadata)
            if offset and self.rng.random() < 0.1:
                offset = self.rng.randrange(offset)  # comes a second time
            read = self.sender.read_chunk(metadata, offset, size)
            if read is None:
                return
            data, done = read
            is_wrong = self.rng.random() < 0.02
            if is_wrong:
                data = bytes(len(data))
            is_wrong = is_wrong or self.sender.damaged
            if not self.receiver.write_chunk(metadata, offset, data, is_wrong=is_wrong):
                return
            if done:
                self.receiver.finish(metadata, self.sender.held[metadata])
                return


class _Store:
    """A store, and what must be in it."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.disk = SimDisk(rng, Strikes())
        self.held: Held = {}
        self.unsure: Held = {}
        """What was being put in place, or removed, when something went wrong."""
        self.damaged = False
        self.receiving: SnapshotMetadata | None = None
        self.length = 0
        """How much was received of it."""
        self.wrong: set[SnapshotMetadata] = set()
        """Snapshots of which something came that was not sent; after a power loss it may be back, though dropped."""
        self.store = self._open()

    # -- what happens to the disk ----------------------------------------------------------------------------------

    def trouble(self) -> None:
        """Perhaps something will go wrong soon."""
        kind = self.rng.random()
        if kind < 0.15:
            self.disk.fail_after = self.rng.randint(0, 16)
        elif kind < 0.3:
            disturb(self.rng, self.disk)
        elif kind < 0.36:
            self.disk.full = True

    @property
    def is_troubled(self) -> bool:
        """Whether something will go wrong soon."""
        disk = self.disk
        return (
            disk.fail_after is not None
            or disk.full
            or disk.read_fault != ""
            or disk.write_errors + disk.sync_errors > 0
        )

    def end_trouble(self) -> None:
        """Everything works."""
        self.disk.fail_after, self.disk.full = None, False
        calm(self.disk)

    def damage(self) -> None:
        """A bit of a file turns."""
        self._end(power=False)
        self.damaged = rot(self.disk, "snapshot") or self.damaged
        self.store = self._open()

    def restart(self, *, power: bool) -> None:
        """End and start the process; what was noted of a snapshot under way must still be there."""
        least = self.length - _NOTE_EVERY_BYTES
        is_well = not (self.is_troubled or self.damaged or self.receiving in self.wrong)
        self._end(power=power)
        self.store = self._open()
        if self.receiving is not None and is_well and least > 0:
            resumed = self.store.next_offset(self.receiving)
            require(resumed > least, "what was noted is resumed", f"from byte {resumed}, not behind {least}")

    def _end(self, *, power: bool) -> None:
        self.length = 0
        if self.rng.random() < 0.4:
            self.store.close()
        if power:
            self.disk.lose_power()
        else:
            self.disk.end_process()

    def _open(self) -> SnapshotStore:
        for _ in range(_STARTS):
            try:
                return SnapshotStore(self.disk, DIRECTORY)
            except PowerLoss:
                self.disk.lose_power()
            except (DiskFull, WriteFailed, ReadFailed) as error:
                self._excuse(error)
                self.end_trouble()
                self.disk.end_process()
        raise Broken("recovers", f"no start in {_STARTS} succeeds")

    def _do(self, action: Callable[[], object]) -> bool:
        """Whether an action succeeds; a failed write or sync ends the process, as in a server."""
        try:
            action()
        except PowerLoss:
            self.length = 0
            self.disk.lose_power()
            self.store = self._open()
        except (DiskFull, ReadFailed) as error:
            self._excuse(error)
        except WriteFailed as error:
            self._excuse(error)
            self.end_trouble()
            self.length = 0
            self.restart(power=self.rng.random() < 0.5)
        else:
            return True
        return False

    def _excuse(self, error: StorageError) -> None:
        hits = self.disk.strikes
        caused = sum(hits[f"disk.{name}"] for name in ("full", "write_error", "sync_error", "read_error"))
        require(caused, "fails only with its disk", str(error))

    # -- what is done ----------------------------------------------------------------------------------------------

    def make(self, metadata: SnapshotMetadata, payload: bytes) -> None:
        """Make a snapshot here."""

        def write(out: BinaryIO) -> None:
            half = len(payload) // 2
            out.write(payload[:half])
            out.write(payload[half:])

        self.unsure[metadata] = payload
        if self._do(lambda: self.store.create(metadata, write)):
            self.held[metadata] = self.unsure.pop(metadata)

    def next_offset(self, metadata: SnapshotMetadata) -> int:
        """Where the next chunk begins."""
        offset = self.store.next_offset(metadata)
        if metadata == self.receiving:
            require(offset >= self.length, "bytes count once", f"{self.length} were here, now {offset}")
        return offset

    def read_chunk(self, metadata: SnapshotMetadata, offset: int, size: int) -> tuple[bytes, bool] | None:
        """Part of a snapshot file; None where the disk fails."""
        read: list[tuple[bytes, bool]] = []
        if self._do(lambda: read.append(self.store.read_chunk(metadata, offset, size))):
            require(len(read[0][0]) == size or read[0][1], "a chunk is full, or the last", f"{len(read[0][0])} bytes")
            return read[0]
        return None

    def write_chunk(self, metadata: SnapshotMetadata, offset: int, data: bytes, *, is_wrong: bool) -> bool:
        """Receive a chunk, and now and then one that leaves a gap; whether it is there."""
        before = self.store.next_offset(metadata)
        try:
            self.store.write_chunk(metadata, before + 1, data)
        except OutOfOrderChunk as error:
            require(error.expected == before, "a gap is noticed", f"{error.expected} is wanted, not {before}")
        except PowerLoss:
            self.length = 0
            self.disk.lose_power()
            self.store = self._open()
            return False
        else:
            raise Broken("a gap is noticed", f"a chunk at {before + 1} was taken behind {before} bytes")
        if is_wrong:
            self.wrong.add(metadata)
        self.receiving = metadata
        if not self._do(lambda: self.store.write_chunk(metadata, offset, data)):
            self.length = self.store.next_offset(metadata)
            return False
        self.length = self.store.next_offset(metadata)
        expected = max(before if offset else 0, offset + len(data))
        require(self.length == expected, "bytes count once", f"{self.length} are here, not {expected}")
        return True

    def finish(self, metadata: SnapshotMetadata, payload: bytes) -> None:
        """All of a snapshot has come."""
        self.unsure[metadata] = payload
        try:
            is_done = self._do(lambda: self.store.finish(metadata))
        except CorruptSnapshot as error:
            name = "what was sent is what arrives"
            require(metadata in self.wrong or self.damaged, name, f"a snapshot is refused: {error}")
            require(not self.store.next_offset(metadata), name, "what is wrong is kept")
            del self.unsure[metadata]
            is_done = False
        self.length = 0
        if is_done:
            self.held[metadata] = self.unsure.pop(metadata)

    def finish_nothing(self) -> None:
        """Of a snapshot that never came nothing is made."""
        try:
            self.store.finish(SnapshotMetadata(1 << 40, 1))
        except SnapshotNotFound:
            return
        raise Broken("nothing comes of nothing", "a snapshot was finished that was never received")

    def remove_older(self, index: Index) -> None:
        """Remove what is older than an index."""
        older = {held: payload for held, payload in self.held.items() if held.last_included_index < index}
        for metadata in older:
            self.unsure[metadata] = self.held.pop(metadata)
        if self._do(lambda: self.store.remove_older(index)):
            self.unsure = {held: each for held, each in self.unsure.items() if held.last_included_index >= index}

    # -- what must hold --------------------------------------------------------------------------------------------

    def check(self) -> None:
        """All that must be here is, byte by byte, and nothing else."""
        try:
            found = {stored.metadata for stored in self.store.snapshots()}
        except NewerFormat as error:  # so says a file whose version has a bit turned
            require(self.damaged, "recovers", str(error))
            raise _Refuses from error
        for metadata in sorted(self.unsure, key=lambda each: each.last_included_index):
            payload = self.unsure.pop(metadata)
            if metadata in found:
                self.held[metadata] = payload
        for metadata in sorted(self.held, key=lambda each: each.last_included_index):
            name = f"{metadata.last_included_index:020d}-{metadata.last_included_term:020d}.snap"
            try:
                with self.store.open(metadata) as stream:
                    content = stream.read()
            except (CorruptSnapshot, SnapshotNotFound) as error:
                require(self.damaged, "a snapshot stays as it is", str(error))
                if self.disk.holds(DIRECTORY / name):
                    self.disk.remove(DIRECTORY / name)
                    self.disk.fsync_directory(DIRECTORY)
                del self.held[metadata]
            else:
                require(content == self.held[metadata], "a snapshot stays as it is", f"{name} differs")
        self._check_names(found)

    def _check_names(self, found: set[SnapshotMetadata]) -> None:
        if not self.damaged:
            strange = sorted(each.last_included_index for each in found - self.held.keys())
            require(not strange, "nothing comes of nothing", f"snapshots {strange} were never made, or were removed")
            latest = self.store.latest()
            newest = max(self.held, key=lambda each: each.last_included_index, default=None)
            told = latest.metadata if latest is not None else None
            require(told == newest, "the latest is the newest", f"{told}, not {newest}")
        others = [name for name in self.disk.listdir(DIRECTORY) if not name.endswith(".snap")]
        require(len(others) <= 2, "room is given back", f"left over: {others}")


@contextmanager
def _frequent_notes() -> Iterator[None]:
    """Received bytes are noted so often that small snapshots have notes too."""
    before = partial.NOTE_EVERY_BYTES
    partial.NOTE_EVERY_BYTES = _NOTE_EVERY_BYTES
    try:
        yield
    finally:
        partial.NOTE_EVERY_BYTES = before
