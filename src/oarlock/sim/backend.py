"""The multi-version store's database on a simulated disk: whole batches, durable when their write returns.

It stands for LMDB, whose own crash safety is not what is tested here: a batch under way when the power is lost is there
or not, whole.
"""

from collections.abc import Iterable

from oarlock.mvcc.backend import Batch
from oarlock.mvcc.errors import StorageFailedError, StorageFullError
from oarlock.mvcc.memory_backend import MemoryBackend
from oarlock.sim.disk import SimDisk

Copy = tuple[dict[bytes, bytes], dict[str, bytes]]
"""Records and meta."""


class SimBackend(MemoryBackend):
    """A `MemoryBackend` whose writes are steps of a simulated disk, with that disk's faults."""

    def __init__(self, disk: SimDisk, copy: Copy | None = None) -> None:
        super().__init__()
        self.disk = disk
        self._life = disk.life
        self._told: Copy | None = None
        """What the device really holds since the disk began to lie."""
        if copy is not None:
            super().replace(copy[0].items(), copy[1])

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
        """What it holds."""
        view = self.begin_view()
        return dict(view.records()), view.meta()

    def after_power_loss(self) -> "SimBackend":
        """What the next process finds."""
        return SimBackend(self.disk, self._told or self.copy())

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
        if disk.lies and self._told is None:
            self._told = self.copy()
