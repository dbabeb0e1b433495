"""Snapshots between the core, the store and the machine: taken, sent, received, installed.

A snapshot's index is that of a view pinned on the loop, so applies may go on while it is written (pitfall G21); a
received one replaces the machine only after the log's base has moved to it on disk (pitfalls G22, B5, B6).
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Final, TypeVar

from oarlock.machine.interface import MachineApart, StateMachine
from oarlock.node.applier import Applier
from oarlock.node.config import NodeConfig
from oarlock.node.errors import error_of
from oarlock.node.owner import Owner
from oarlock.node.recovery import restore_machine
from oarlock.node.sender import SnapshotSender
from oarlock.node.status import Counters
from oarlock.raft.ready import SnapshotChunk, SnapshotChunkRequest
from oarlock.raft.types import Index, ServerId, SnapshotMetadata
from oarlock.storage.errors import CorruptSnapshot, DiskFull, OutOfOrderChunk
from oarlock.storage.snapshots import SnapshotStore
from oarlock.trace.recorder import Recorder
from oarlock.transport.interface import Transport

logger = logging.getLogger(__name__)

_Result = TypeVar("_Result")

_PAUSE_S: Final = 1.0


class Snapshots:
    """Carries out the core's wishes about snapshots, off the loop and in order."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        executor: Executor,
        config: NodeConfig,
        store: SnapshotStore,
        machine: StateMachine,
        counters: Counters,
        on_failure: Callable[[BaseException], None],
    ) -> None:
        """Prepare; what it works with is connected before use.

        Args:
            loop: The loop.
            executor: One thread, for everything about snapshot files.
            config: Settings.
            store: The files.
            machine: Whose state they hold.
            counters: Running totals.
            on_failure: Told what ends the server.
        """
        self._loop = loop
        self._executor = executor
        self._config = config
        self._store = store
        self._machine = machine
        self._counters = counters
        self._on_failure = on_failure
        self._senders: dict[ServerId, tuple[SnapshotSender, asyncio.Task[None]]] = {}
        self._chunks: list[SnapshotChunk] = []
        self._writing_chunks: asyncio.Task[None] | None = None
        self._taking: asyncio.Task[SnapshotMetadata | None] | None = None
        self._durable: dict[int, asyncio.Future[None]] = {}
        self._is_stopping = False
        self.machine_lock = asyncio.Lock()
        """Held while a thread flushes or replaces the machine."""
        self._image_lock = asyncio.Lock()
        """Held while a thread writes an image of the machine or replaces it; taken before `machine_lock`."""

    def connect(self, owner: Owner, applier: Applier, transport: Transport, trace: Recorder | None) -> None:
        """Set whom to tell and what to send with."""
        self._trace = trace
        self._owner = owner
        self._applier = applier
        self._transport = transport

    def _spawn(self, name: str, work: Coroutine[None, None, _Result]) -> "asyncio.Task[_Result]":
        task = self._loop.create_task(work, name=f"oarlock-{name}")
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: "asyncio.Task[_Result]") -> None:
        """Work that somebody else cancels, perhaps before it began, would count as under way for ever."""
        error = error_of(task, is_stopping=self._is_stopping)
        if error is not None:
            self._on_failure(error)

    # -- sending -------------------------------------------------------------------------------------------------

    def send_chunk(self, request: SnapshotChunkRequest) -> None:
        """See `SnapshotEffects.send_chunk`."""
        held = self._senders.get(request.to)
        if held is None:
            sender = SnapshotSender(
                self._loop,
                self._executor,
                self._transport,
                self._config.server_id,
                self._store.read_chunk,
                self._store.check,
                self._config.snapshot_chunk_bytes,
                self._unreadable,
                self._trace,
            )
            held = self._senders[request.to] = sender, self._spawn("snapshot sender", sender.run())
        held[0].request(request)

    def _unreadable(self, server_id: ServerId) -> None:
        raft = self._owner.raft
        self._owner.call(lambda: raft.snapshot_unavailable(server_id))

    def being_sent(self) -> list[SnapshotMetadata]:
        """The snapshots some peer asked for a chunk of lately."""
        since = self._loop.time() - 4 * self._config.raft().snapshot_retry_ms / 1000
        return [
            sender.sending
            for sender, _ in self._senders.values()
            if sender.sending is not None and sender.last_requested >= since
        ]

    # -- receiving -----------------------------------------------------------------------------------------------

    def write_chunk(self, chunk: SnapshotChunk) -> None:
        """See `SnapshotEffects.write_chunk`; beside the log's writer, so votes never wait for it."""
        self._chunks.append(chunk)
        if self._writing_chunks is None:
            self._writing_chunks = self._spawn("snapshot receiver", self._write_chunks())

    async def _write_chunks(self) -> None:
        try:
            while self._chunks:
                chunk = self._chunks.pop(0)
                wanted: int | None = None
                try:
                    await self._loop.run_in_executor(self._executor, self._store_chunk, chunk)
                except OutOfOrderChunk as error:
                    wanted = error.expected
                except (CorruptSnapshot, DiskFull) as error:
                    logger.warning("received snapshot %d: %s", chunk.metadata.last_included_index, error)
                    await asyncio.sleep(_PAUSE_S)  # all of it will be sent again, and may not fit again
                    wanted = 0
                self._report(chunk, wanted)
        finally:
            self._writing_chunks = None

    def _store_chunk(self, chunk: SnapshotChunk) -> None:
        """In the thread: write, and finish after the last."""
        self._store.write_chunk(chunk.metadata, chunk.offset, chunk.data)
        if chunk.done:
            self._store.finish(chunk.metadata)

    def _report(self, chunk: SnapshotChunk, wanted: int | None) -> None:
        raft = self._owner.raft
        if wanted is None:
            self._owner.call(lambda: raft.snapshot_chunk_written(chunk))
        else:
            self._owner.call(lambda: raft.snapshot_chunk_failed(chunk, wanted))

    # -- installing ----------------------------------------------------------------------------------------------

    def install(self, metadata: SnapshotMetadata, number: int) -> None:
        """See `SnapshotEffects.install`."""
        durable = self._durable[number] = self._loop.create_future()

        async def restore() -> Index:
            await durable
            return await self._restore(metadata)

        self._applier.install(restore)

    def persisted(self, number: int) -> None:
        """The disk part of every `Ready` up to `number` is durable: the machine may follow."""
        if self._durable:
            for due in [held for held in self._durable if held <= number]:
                durable = self._durable.pop(due)
                if not durable.done():  # the applier that waits may have been cancelled
                    durable.set_result(None)

    async def _restore(self, metadata: SnapshotMetadata) -> Index:
        index = metadata.last_included_index
        async with self._image_lock, self.machine_lock:
            began = self._loop.time()
            await restore_machine(self._store, self._machine, metadata, self._loop, self._executor)
            self._counters.snapshots_received += 1
            self._log("restored", index, began)
            await self._remove_old(metadata)
        return index

    # -- taking --------------------------------------------------------------------------------------------------

    def take(self) -> None:
        """See `SnapshotEffects.take`."""
        if self._taking is None:
            self._taking = self._spawn("snapshot", self._take())

    async def taken(self) -> SnapshotMetadata | None:
        """Take a snapshot, or wait for the one under way; None when it failed, or a received one makes it needless."""
        self.take()
        return await asyncio.shield(self._taking) if self._taking is not None else None

    def _log(self, what: str, index: Index, began: float) -> None:
        duration_ms = (self._loop.time() - began) * 1000
        fields = {"server_id": self._config.server_id, "index": index, "duration_ms": duration_ms}
        logger.info("%s snapshot %d in %.0f ms", what, index, duration_ms, extra=fields)

    async def _take(self) -> SnapshotMetadata | None:
        try:
            async with self._image_lock:
                return await self._take_locked()
        except DiskFull as error:
            fields = {"server_id": self._config.server_id, "reason": str(error)}
            logger.warning("cannot take a snapshot: %s", error, extra=fields)
            await asyncio.sleep(_PAUSE_S)  # it is wanted again at once
        except Exception as error:  # noqa: BLE001 - a task's failure would go unnoticed
            self._on_failure(error)
        finally:
            self._taking = None
        return None

    async def _take_locked(self) -> SnapshotMetadata | None:
        began = self._loop.time()
        async with self.machine_lock:
            machine = self._machine
            if isinstance(machine, MachineApart):
                view = await machine.begin_snapshot_apart()
            else:
                view = machine.begin_snapshot()
        try:
            if view.index < self._owner.raft.state.log.base_index:
                return None  # a received snapshot is about to replace the machine, and the log begins there already
            metadata = self._owner.raft.metadata_at(view.index)
            writing = self._loop.run_in_executor(self._executor, self._store.create, metadata, view.write)
            try:
                await asyncio.shield(writing)
            finally:
                await asyncio.wait([writing])  # also when cancelled: the thread still reads the view
        finally:
            view.close()
        self._counters.snapshots_taken += 1
        self._log("took", metadata.last_included_index, began)
        raft = self._owner.raft
        self._owner.call(lambda: raft.snapshot_taken(metadata))
        await self._remove_old(metadata)
        return metadata

    async def _remove_old(self, newest: SnapshotMetadata) -> None:
        """Remove the files of older snapshots, unless some peer is still being sent one."""
        oldest = min([newest, *self.being_sent()], key=lambda held: held.last_included_index)
        await self._loop.run_in_executor(self._executor, self._store.remove_older, oldest.last_included_index)

    # -- the end -------------------------------------------------------------------------------------------------

    async def stop(self) -> None:
        """End all tasks; a thread's work under way is waited for."""
        self._is_stopping = True
        tasks = [task for _, task in self._senders.values()]
        for task in tasks:
            task.cancel()
        if self._taking is not None:
            self._taking.cancel()
            tasks.append(self._taking)  # type: ignore[arg-type]
        if self._writing_chunks is not None:
            self._chunks.clear()
            tasks.append(self._writing_chunks)
        await asyncio.gather(*tasks, return_exceptions=True)
        for waiter in self._durable.values():
            waiter.cancel()
        self._durable.clear()
