"""The multi-version store's database on a simulated disk: whole batches, durable when their write returns.

It stands for LMDB, whose own crash safety is not what is tested here: a batch under way when the power is lost is there
or not, whole. What lies in it may be damaged all the same.
"""

from collections.abc import Iterable
from typing import Final

from oarlock.mvcc.backend import Batch
from oarlock.mvcc.checksums import Totals
from oarlock.mvcc.errors import StorageFailedError, StorageFullError
from oarlock.mvcc.memory_backend import MemoryBackend
from oarlock.sim.disk import SimDisk
from oarlock.sim.rot import flip_bit

Copy = tuple[dict[bytes, bytes], dict[bytes, bytes], bytes]
"""Records, meta and totals, as they are stored."""
NOTHING: Final[Copy] = ({}, {}, Totals().encode())


class SimBackend(MemoryBackend):
    """A `MemoryBackend` whose writes are steps of a simulated disk, with that disk's faults."""

    def __init__(self, disk: SimDisk, copy: Copy | None = None) -> None:
        super().__init__()
        self.disk = disk
        self._life = disk.life
        self._told: Copy | None = None
        """What the device really holds since the disk began to lie."""
        if copy is not None:
            records, meta, self.stored_totals = copy
            self.stored, self.stored_meta = dict(records), dict(meta)

    def write(self, batch: Batch) -> None:
        """Apply a batch, or fail as LMDB does."""
        self._step()
        super().write(batch)

    def replace(self, records: Iterable[tuple[bytes, bytes]], meta: dict[str, bytes]) -> None:
        """Take a new content; the old one stays if reading the new one fails."""
        fresh = dict(records)
        self._step()
        super().replace(fresh.items(), meta)

    def copy(self) -> Copy:
        """What it holds, damage included."""
        return dict(self.stored), dict(self.stored_meta), self.stored_totals

    def after_power_loss(self) -> "SimBackend":
        """What the next process finds."""
        return SimBackend(self.disk, self._told or self.copy())

    def rot(self) -> bool:
        """Flip a bit of a record, or of a name's value; whether there was anything."""
        rng = self.disk.rng
        table = self.stored if self.stored and rng.random() < 0.8 else self.stored_meta
        if not table:
            return False
        key = rng.choice(list(table))
        value = bytearray(table[key])
        flip_bit(value, rng.randrange(len(value)), rng)
        table[key] = bytes(value)
        self.disk.strikes.hit("rot.database")
        return True

    def lose_page(self) -> bool:
        """Lose a few records that lie together, as if their page were an older one; whether there was anything."""
        keys = list(self.stored)
        if not keys:
            return False
        first = self.disk.rng.randrange(len(keys))
        for key in keys[first : first + self.disk.rng.randint(1, 4)]:
            del self.stored[key]
        self.disk.strikes.hit("rot.database_page")
        return True

    def _step(self) -> None:
        disk = self.disk
        disk.step()
        if disk.full:
            disk.strikes.hit("disk.full")
            raise StorageFullError("the simulated disk is full")
        if disk.write_errors or disk.sync_errors:
            if disk.sync_errors:
                disk.sync_errors -= 1
            else:
                disk.write_errors -= 1
            disk.strikes.hit("disk.database_error")
            raise StorageFailedError("the simulated disk failed")
        if not disk.lies:
            self._told = None
        elif self._told is None:
            self._told = self.copy()
