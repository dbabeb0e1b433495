"""The group-commit writer: what waits while one sync runs goes to disk together with the next.

Batches are written in the order of their `Ready`s, by one thread, never on the loop, a few megabytes at a time. When a
write is durable the messages that waited for it leave at once, and the owner learns how far the disk has come.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from typing import Any, Final

import msgspec

from oarlock.node.status import Counters
from oarlock.raft.ready import Outgoing, Ready
from oarlock.storage.batches import Batch
from oarlock.storage.errors import DiskFull
from oarlock.storage.wal import WriteAheadLog
from oarlock.trace.recorder import Recorder

logger = logging.getLogger(__name__)

_FULL_RETRY_S: Final = 1.0
"""How often a write that found the disk full is tried again."""
_SEAL_AFTER_S: Final = 1.0
"""How long the log must have been idle before it is sealed, so that no proposal waits behind that."""
_WRITE_BYTES: Final = 4 << 20
"""Entry bytes of one write: large values must not make one last an election timeout, which would cost a leadership."""


class WriterEvents(msgspec.Struct, frozen=True):
    """Whom the writer tells, on the loop."""

    on_persisted: Callable[[int], None]
    """Every `Ready` up to this number is durable."""
    send: Callable[[list[Outgoing]], None]
    """These messages may leave."""
    on_disk_full: Callable[[DiskFull | None], None]
    """The disk is full; None when it no longer is."""
    on_failure: Callable[[BaseException], None]
    """A write failed. What is on disk is unknown: the server must end."""
    on_ended: Callable[[], None]
    """A write has ended, in whatever way; told after all else about it."""


class Writer:
    """Makes `Ready`s durable, in order."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        executor: Executor,
        spare_executor: Executor,
        wal: WriteAheadLog,
        counters: Counters,
        events: WriterEvents,
        slow_write_s: float,
        trace: Recorder | None = None,
    ) -> None:
        """Start idle.

        Args:
            loop: The loop.
            executor: One thread, the log's own.
            spare_executor: Another, where the log's next file is made ahead of need.
            wal: The log.
            counters: Running totals.
            events: Whom to tell.
            slow_write_s: A write that takes longer is logged.
            trace: This life's recorder, if there is one.
        """
        self._loop = loop
        self._executor = executor
        self._spare_executor = spare_executor
        self._wal = wal
        self._counters = counters
        self._events = events
        self._slow_write_s = slow_write_s
        self._trace = trace
        self._waiting: list[Ready] = []
        self._failed: list[Ready] = []
        """What found the disk full; it comes before everything that waits."""
        self._busy = False
        self.is_writing = False
        """Whether a write is under way, of whose end `on_ended` will tell."""
        self._full = False
        self._stopped = False
        self._retry: asyncio.TimerHandle | None = None
        self._seal_timer: asyncio.TimerHandle | None = None
        self._last_write = 0.0
        self._spare_under_way: asyncio.Future[bool] | None = None
        self._no_spare_until = 0.0
        self._idle: list[asyncio.Future[None]] = []

    @property
    def is_busy(self) -> bool:
        """Whether anything is under way or waits: what must leave in order has to queue."""
        return self._busy or self._full

    def submit(self, ready: Ready) -> None:
        """Take over a batch; it is written now if the disk is idle, else with whatever else waits when it is."""
        if self._full and not ready.must_persist:
            return  # its messages would be stale when space returns; Raft repeats what it still needs
        self._waiting.append(ready)
        if self.is_busy:
            return
        if ready.messages:
            # Let them leave first: the way to the followers' disks is longer than that to ours, and once the thread
            # runs it competes for the interpreter.
            self._busy = True
            self._loop.call_soon(self._begin)
        else:
            self._begin()

    def _begin(self) -> None:
        self._busy = False
        if self._stopped:
            self._tell_idle()
            return
        waiting = self._failed + self._waiting
        count = _fitting(waiting)
        batch = waiting[:count]
        self._failed, self._waiting = [], waiting[count:]
        writes = [_disk_part(ready) for ready in batch if ready.must_persist]
        if not writes:
            self._finish(batch)
            return
        self._busy = self.is_writing = True
        began = self._loop.time()
        future = self._loop.run_in_executor(self._executor, self._wal.append_many, writes)
        future.add_done_callback(partial(self._written, batch, began))

    def _written(self, batch: list[Ready], began: float, future: asyncio.Future[None]) -> None:
        self._busy = self.is_writing = False
        error = _error_of(future)
        if isinstance(error, DiskFull):
            self._on_full(batch, error)
        elif error is not None:
            self._stopped = True
            self._events.on_failure(error)
        else:
            now = self._loop.time()
            self._last_write = now
            self._count(batch, now - began)
            if self._full:
                self._full = False
                logger.warning("disk has space again, writing goes on", extra={"disk_full": False})
                self._events.on_disk_full(None)
            self._finish(batch)
            self._go_on()
        self._events.on_ended()
        self._tell_idle()

    def _go_on(self) -> None:
        """Write what came in meanwhile; with nothing to write, see to the log's upkeep."""
        if self._stopped:
            return
        if self._waiting:
            self._begin()
        elif self._seal_timer is None:
            self._seal_timer = self._loop.call_later(_SEAL_AFTER_S, self._seal_if_idle)
        if self._wal.wants_spare and self._spare_under_way is None and self._last_write >= self._no_spare_until:
            self._spare_under_way = self._loop.run_in_executor(self._spare_executor, self._wal.prepare)
            self._spare_under_way.add_done_callback(self._spare_made)

    def _spare_made(self, future: asyncio.Future[bool]) -> None:
        self._spare_under_way = None
        error = _error_of(future)
        if error is not None:
            self._stopped = True
            self._events.on_failure(error)
        elif not future.result():
            self._no_spare_until = self._loop.time() + _FULL_RETRY_S

    def _seal_if_idle(self) -> None:
        """Mark the end of an idle log, so that later damage to its last record is told from a torn write."""
        self._seal_timer = None
        if self._stopped or self.is_busy:
            return
        idle_until = self._last_write + _SEAL_AFTER_S
        if self._loop.time() < idle_until:
            self._seal_timer = self._loop.call_at(idle_until, self._seal_if_idle)
            return
        self._busy = True
        future = self._loop.run_in_executor(self._executor, self._wal.seal)
        future.add_done_callback(self._sealed)

    def _sealed(self, future: asyncio.Future[None]) -> None:
        self._busy = False
        error = _error_of(future)
        if error is not None and not isinstance(error, DiskFull):
            self._stopped = True
            self._events.on_failure(error)
        elif self._waiting and not self._stopped:
            self._begin()
        self._tell_idle()

    def _tell_idle(self) -> None:
        if not self._busy:
            for waiter in self._idle:
                if not waiter.done():  # a stop can be cancelled while it waits
                    waiter.set_result(None)
            self._idle.clear()

    def _finish(self, batch: list[Ready]) -> None:
        if self._trace is not None:
            self._trace.durable(batch[-1].number)
        send = self._events.send
        for ready in batch:
            if ready.messages_after_persist:
                send(ready.messages_after_persist)
        self._events.on_persisted(batch[-1].number)

    def _count(self, batch: list[Ready], seconds: float) -> None:
        counters = self._counters
        counters.wal_writes += 1
        counters.wal_seconds += seconds
        counters.wal_entries += sum(len(ready.entries) for ready in batch)
        if seconds > self._slow_write_s:
            counters.slow_writes += 1
            fields = {"duration_ms": seconds * 1000}
            logger.warning("slow disk: writing the log took %.0f ms", seconds * 1000, extra=fields)

    # -- a full disk ---------------------------------------------------------------------------------------------

    def _on_full(self, batch: list[Ready], error: DiskFull) -> None:
        """Nothing was written: keep the batch, say so, try again later."""
        self._failed = _fold(batch + self._waiting)
        self._waiting = []
        if not self._full:
            self._full = True
            fields = {"reason": str(error), "disk_full": True}
            logger.error("%s; writes are refused until space returns", error, extra=fields)
            self._events.on_disk_full(error)
        if not self._stopped:
            self._retry = self._loop.call_later(_FULL_RETRY_S, self._begin)

    # -- the end -------------------------------------------------------------------------------------------------

    async def stop(self) -> None:
        """Begin nothing new, and wait for the write under way."""
        self._stopped = True
        self._waiting.clear()
        for timer in (self._retry, self._seal_timer):
            if timer is not None:
                timer.cancel()
        if self._spare_under_way is not None:
            await asyncio.wait([self._spare_under_way])
        if self._busy:
            waiter = self._loop.create_future()
            self._idle.append(waiter)
            await waiter


def _error_of(future: asyncio.Future[Any]) -> BaseException | None:
    return asyncio.CancelledError() if future.cancelled() else future.exception()


def _fitting(waiting: list[Ready]) -> int:
    """How many, from the first on, one write takes: at least all up to the first that brings entries."""
    if len(waiting) == 1:
        return 1
    size = 0
    for count, ready in enumerate(waiting):
        more = sum(len(entry.data) for entry in ready.entries)
        if size and size + more > _WRITE_BYTES:
            return count
        size += more
    return len(waiting)


def _disk_part(ready: Ready) -> Batch:
    return Batch(
        hard_state=ready.hard_state,
        entries=ready.entries,
        base=ready.snapshot or ready.compact_to,
        discard_log=ready.discard_log,
    )


def _fold(batch: list[Ready]) -> list[Ready]:
    """What a full disk must keep: no messages, and of terms and votes only the last of each run."""
    kept: list[Ready] = []
    for ready in batch:
        if not ready.must_persist:
            continue
        ready.messages_after_persist = []
        if kept and _is_hard_state_only(kept[-1]) and _is_hard_state_only(ready):
            kept.pop()
        kept.append(ready)
    return kept


def _is_hard_state_only(ready: Ready) -> bool:
    return not ready.entries and ready.snapshot is None and ready.compact_to is None
