"""What goes out: protocol messages at once and pipelined, snapshots by one task a peer.

No request waits for another's reply (pitfall T1): a message is encoded and put into the transport's bounded queue for
its peer, whose connection writes everything of one loop iteration together and drops when full, as Raft repeats what
it still needs. Replies come in by themselves and are handled where they arrive, by the owner.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor

from oarlock.node.alarm import Kick
from oarlock.node.codec import NodeMessage, encode
from oarlock.node.status import Counters
from oarlock.raft.messages import InstallSnapshot
from oarlock.raft.ready import Outgoing, SnapshotChunkRequest
from oarlock.raft.types import ServerId, SnapshotMetadata
from oarlock.storage.errors import StorageError
from oarlock.trace.recorder import Recorder
from oarlock.transport.interface import Transport

logger = logging.getLogger(__name__)

CheckSnapshot = Callable[[SnapshotMetadata], None]
"""Reads a stored snapshot from end to end, and raises `StorageError` if it is not what was written; blocking."""

ReadChunk = Callable[[SnapshotMetadata, int, int], tuple[bytes, bool]]
"""Metadata, offset and length to data and whether it is the last; blocking."""

_BULK_RETRY_S = 0.05
_BULK_RETRIES = 60
"""Together 3 s, less than the core waits before it asks for the chunk again."""


class Sender:
    """Sends the core's messages."""

    __slots__ = ("_counters", "_dropping", "_on_dropped", "_transport")

    def __init__(self, transport: Transport, counters: Counters, on_dropped: Callable[[ServerId], None]) -> None:
        """Prepare.

        Args:
            transport: Carries payloads, never blocks.
            counters: Counts what was dropped.
            on_dropped: Told which peer lost a message, so that the core goes back to probing it.
        """
        self._transport = transport
        self._counters = counters
        self._on_dropped = on_dropped
        self._dropping: set[ServerId] = set()
        """Peers whose last message was dropped: the core was told, telling it again would only make it probe again."""

    def send(self, to: ServerId, message: NodeMessage) -> bool:
        """Send one message; False when it was dropped."""
        if self._put(to, message):
            return True
        self._counters.messages_dropped += 1
        return False

    def _put(self, to: ServerId, message: NodeMessage) -> bool:
        return self._transport.send(to, encode(message))

    def send_all(self, messages: list[Outgoing]) -> None:
        """Send messages in order."""
        put = self._put
        for to, message in messages:
            if put(to, message):
                if self._dropping:
                    self._dropping.discard(to)
            else:
                self._counters.messages_dropped += 1
                if to not in self._dropping:
                    self._dropping.add(to)
                    self._on_dropped(to)


class TracedSender(Sender):
    """Records every message as it leaves, and puts its identity behind it."""

    __slots__ = ("_trace",)

    def __init__(
        self, transport: Transport, counters: Counters, on_dropped: Callable[[ServerId], None], trace: Recorder
    ) -> None:
        """Prepare, as `Sender`, with this life's recorder."""
        super().__init__(transport, counters, on_dropped)
        self._trace = trace

    def _put(self, to: ServerId, message: NodeMessage) -> bool:
        payload, stamp = self._trace.sealed(to, message, encode(message))
        sent = self._transport.send(to, payload)
        if not sent:
            self._trace.dropped(to, stamp, "queue")
        return sent


class SnapshotSender:
    """Sends the chunks of a snapshot to one peer, each when the core asks for it.

    Only the newest request counts: the core asks one at a time, and asks again when it has waited too long.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        executor: Executor,
        transport: Transport,
        server_id: ServerId,
        read_chunk: ReadChunk,
        check: CheckSnapshot,
        chunk_bytes: int,
        on_unreadable: Callable[[ServerId], None],
        trace: Recorder | None = None,
    ) -> None:
        """Prepare; `run` is the task.

        Args:
            loop: The loop.
            executor: Where chunks are read from disk.
            transport: Has a stream of its own for snapshots, so that heartbeats never wait behind one.
            server_id: This server, the messages' source.
            read_chunk: Reads from the snapshot store.
            check: Tells whether a snapshot there is whole; asked when a peer that was sent all of it begins again.
            chunk_bytes: How much to send at once.
            on_unreadable: Told for which peer a snapshot could not be read, so that the core begins again.
            trace: This life's recorder, if there is one.
        """
        self._loop = loop
        self._executor = executor
        self._transport = transport
        self._server_id = server_id
        self._read_chunk = read_chunk
        self._check = check
        self._sent_whole: SnapshotMetadata | None = None
        """The snapshot whose last chunk was sent."""
        self._chunk_bytes = chunk_bytes
        self._on_unreadable = on_unreadable
        self._trace = trace
        self._kick = Kick(loop)
        self._request: SnapshotChunkRequest | None = None
        self.last_requested = float("-inf")
        """When a chunk was last asked for, in loop time."""
        self.sending: SnapshotMetadata | None = None
        """The snapshot last asked for."""

    def request(self, request: SnapshotChunkRequest) -> None:
        """Take over a request of the core."""
        self._request = request
        self.last_requested = self._loop.time()
        self.sending = request.metadata
        self._kick.set()

    async def run(self) -> None:
        """Serve requests until cancelled."""
        while True:
            await self._kick.wait()
            request, self._request = self._request, None
            if request is not None:
                await self._serve(request)

    async def _serve(self, request: SnapshotChunkRequest) -> None:
        try:
            data, done = await self._loop.run_in_executor(self._executor, self._read, request)
        except (StorageError, OSError) as error:
            logger.warning(
                "cannot read snapshot %d at offset %d for server %x: %s",
                request.metadata.last_included_index,
                request.offset,
                request.to,
                error,
            )
            self._on_unreadable(request.to)
            return
        if request.offset == 0:
            index = request.metadata.last_included_index
            fields = {"server_id": self._server_id, "index": index, "to": request.to}
            logger.info("sending snapshot %d to server %x", index, request.to, extra=fields)
        message = InstallSnapshot(
            source=self._server_id,
            term=request.term,
            request_id=request.request_id,
            metadata=request.metadata,
            offset=request.offset,
            data=data,
            done=done,
        )
        if done:
            self._sent_whole = request.metadata
        if self._trace is None:
            await self._put(request.to, encode(message))
            return
        payload, stamp = self._trace.sealed(request.to, message, encode(message))
        if not await self._put(request.to, payload):
            self._trace.dropped(request.to, stamp, "queue")

    def _read(self, request: SnapshotChunkRequest) -> tuple[bytes, bool]:
        """In the thread. A peer that has had all of it and begins again may have found it damaged: so may we."""
        if request.offset == 0 and request.metadata == self._sent_whole:
            self._sent_whole = None
            self._check(request.metadata)
        return self._read_chunk(request.metadata, request.offset, self._chunk_bytes)

    async def _put(self, to: ServerId, payload: bytes) -> bool:
        """Hand it to the transport, unless a newer request comes first; whether that was done."""
        # The bulk connection is often not up yet when the first chunk is due.
        for _ in range(_BULK_RETRIES):
            if self._request is not None:
                return False
            if self._transport.send_bulk(to, payload):
                return True
            await asyncio.sleep(_BULK_RETRY_S)
        return False
