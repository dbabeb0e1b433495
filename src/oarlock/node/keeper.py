"""Keeps the machine's storage close behind the applies, the log short, and an eye on the disk's free space."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path
from typing import Final

from oarlock.machine.interface import FlushPostponed, MachineApart, StateMachine, carry_out
from oarlock.node.alarm import Kick
from oarlock.node.config import NodeConfig
from oarlock.node.owner import Owner
from oarlock.node.snapshots import Snapshots
from oarlock.raft.types import Index
from oarlock.storage.disk import Disk

logger = logging.getLogger(__name__)

_SPACE_CHECK_S: Final = 1.0
_RESERVE_SHARE: Final = 20
_LONGEST_TAIL: Final = 4
"""A log this many times longer than asked for is compacted even while a peer is still being sent a snapshot."""


class Keeper:
    """Flushes and compacts in the background, one thing at a time."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        executor: Executor,
        config: NodeConfig,
        disk: Disk,
        machine: StateMachine,
        snapshots: Snapshots,
        owner: Owner,
        on_space: Callable[[str | None], None],
    ) -> None:
        """Prepare; `run` and `watch_space` are the tasks.

        Args:
            loop: The loop.
            executor: One thread, for flushing the machine.
            config: Settings.
            disk: Whose free space is watched.
            machine: What to flush.
            snapshots: Takes them for machines that are in memory alone.
            owner: Has the core compact.
            on_space: Told why writes must be refused for want of space; None when there is room again.
        """
        self._loop = loop
        self._executor = executor
        self._config = config
        self._disk = disk
        self._machine = machine
        self._snapshots = snapshots
        self._owner = owner
        self._on_space = on_space
        self._kick = Kick(loop)
        self._full_batch = Kick(loop)
        self._applied: Index = machine.applied_index()
        self._flushed: Index = self._applied
        self._in_memory = False
        self._low_space: str | None = None
        self._postponed: str | None = None

    def applied(self, index: Index) -> None:
        """The applier has come so far."""
        self._applied = index
        self._kick.set()
        if index - self._flushed >= self._config.flush_entries:
            self._full_batch.set()

    async def run(self) -> None:
        """Flush when something was applied, at the latest after the interval; compact when the log is long."""
        while True:
            await self._kick.wait()
            await self._pause(self._config.flush_interval_ms / 1000)
            try:
                await self.flush()
            except FlushPostponed as error:
                self._postponed = f"the machine's storage is full: {error}"
                self._kick.set()  # what was not flushed stays at hand, and is tried again
            else:
                self._postponed = None
                await self._compact_if_long()
            self._tell_space()

    async def _pause(self, seconds: float) -> None:
        timer = self._loop.call_later(seconds, self._full_batch.set)
        try:
            await self._full_batch.wait()
        finally:
            timer.cancel()

    async def flush(self) -> None:
        """Make what is applied durable in the machine's own storage.

        Raises:
            FlushPostponed: There was no room; nothing was lost.
        """
        async with self._snapshots.machine_lock:
            self._flushed = self._applied
            machine = self._machine
            applied = machine.applied_index()
            if isinstance(machine, MachineApart):
                job = await machine.begin_flush_apart()
            else:
                job = machine.begin_flush()
            if job is not None:
                await carry_out(job, self._loop, self._executor)
            self._in_memory = machine.durable_index() < applied

    # -- compaction ----------------------------------------------------------------------------------------------

    async def _compact_if_long(self) -> None:
        config = self._config
        log = self._owner.raft.state.log
        length = self._applied - log.base_index
        if length <= config.snapshot_count + config.snapshot_tail:
            return
        if self._snapshots.being_sent() and length <= _LONGEST_TAIL * (config.snapshot_count + config.snapshot_tail):
            return  # the peer will need what follows its snapshot
        if self._in_memory:
            metadata = await self._snapshots.taken()
            covered = metadata.last_included_index if metadata is not None else 0
        else:
            covered = self._machine.durable_index()
        index = min(covered, self._owner.raft.state.last_applied) - config.snapshot_tail
        if index > log.base_index:
            logger.info("compacting the log from %d to %d", log.base_index, index)
            raft = self._owner.raft
            self._owner.call(lambda: raft.compact(index))

    # -- space ---------------------------------------------------------------------------------------------------

    async def watch_space(self) -> None:
        """Tell before the disk is full: better than a log that cannot even record a vote."""
        directory = Path(self._config.data_dir)
        while True:
            try:
                free, reserve = await self._loop.run_in_executor(self._executor, self._free_and_reserve, directory)
            except OSError as error:
                logger.warning("cannot tell the free space of %s: %s", directory, error)
            else:
                if free < reserve:
                    self._low_space = f"{directory} has only {free} bytes left"
                elif free >= reserve + reserve // 4:
                    self._low_space = None
                self._tell_space()
            await asyncio.sleep(_SPACE_CHECK_S)

    def _free_and_reserve(self, directory: Path) -> tuple[int, int]:
        """In bytes; blocking. The reserve is no more than a twentieth of a small volume."""
        reserve = min(self._config.disk_reserve_bytes, self._disk.volume_bytes(directory) // _RESERVE_SHARE)
        return self._disk.free_bytes(directory), reserve

    def _tell_space(self) -> None:
        self._on_space(self._low_space or self._postponed)
