"""One outgoing connection: hello, bounded queue, coalesced writes, signs of life."""

import asyncio
import struct
from collections import deque
from dataclasses import dataclass
from typing import Final

from oarlock.transport.connection import Connection
from oarlock.transport.framing import (
    HEADER_BYTES,
    MESSAGE,
    PING,
    PONG,
    REFUSAL,
    FrameError,
    encode_frame,
    encode_header,
)
from oarlock.transport.handshake import HandshakeRefused, Hello, conclude, read_refusal
from oarlock.transport.stats import LinkStats

BATCH_BYTES: Final = 256 << 10
"""One write takes at most so many bytes (or one message), so that the loop's buffer stays bounded."""

_PING_NUMBER: Final = struct.Struct("<Q")


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingLimits:
    """The bounds of one channel; see `TransportOptions` for their meaning."""

    max_message_bytes: int
    queue_messages: int
    queue_bytes: int
    write_buffer_bytes: int
    ping_interval_s: float
    silent_pings: int


class OutgoingConnection(Connection):
    """Carries messages to one server on one channel, from its hello until it is lost.

    `agreed` gives the other side's hello, or raises HandshakeRefused or ConnectionError.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, hello: Hello, limits: OutgoingLimits, stats: LinkStats) -> None:
        super().__init__(loop)
        self._hello = hello
        self._limits = limits
        self._stats = stats
        self.agreed: asyncio.Future[Hello] = loop.create_future()
        self._open = False
        self._queue: deque[bytes] = deque()
        """Header and payload of each waiting message, in turns."""
        self._queued_bytes = 0
        self._flush_scheduled = False
        self._paused = False
        self._silent_intervals = 0
        self._ping_number = 0
        self._ping_sent_at = 0.0
        self._unwritten_bytes = 0

    @property
    def queued_bytes(self) -> int:
        """Bytes in our own queue; the loop's write buffer comes on top."""
        return self._queued_bytes

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Introduce ourselves."""
        super().connection_made(transport)
        self._transport.set_write_buffer_limits(high=self._limits.write_buffer_bytes)
        self._transport.write(self._hello.encode())

    def connection_lost(self, exc: Exception | None) -> None:
        """Give up what is queued; the runtime is told by the link."""
        super().connection_lost(exc)
        self._stats.dropped_lost += len(self._queue) // 2
        self._queue.clear()
        self._queued_bytes = 0
        if not self.agreed.done():
            self.agreed.set_exception(ConnectionError(f"lost before the hello was answered: {self.end_reason}"))
            # Read the exception, lest the loop complain when the dialling task was cancelled meanwhile.
            self.agreed.exception()

    def send(self, payload: bytes) -> bool:
        """Queue a message; the writes of one turn of the loop leave together. False: dropped."""
        if not self._open:
            self._stats.dropped_disconnected += 1
            return False
        length = len(payload)
        if length > self._limits.max_message_bytes:
            self._stats.dropped_too_large += 1
            return False
        queue = self._queue
        queued_bytes = self._queued_bytes + length + HEADER_BYTES
        if queue and (queued_bytes > self._limits.queue_bytes or len(queue) >= 2 * self._limits.queue_messages):
            self._stats.dropped_queue_full += 1
            return False
        queue.append(encode_header(MESSAGE, payload))
        queue.append(payload)
        self._queued_bytes = queued_bytes
        if not self._flush_scheduled and not self._paused:
            self._flush_scheduled = True
            self._loop.call_soon(self._flush)
        return True

    def finish(self, reason: str) -> None:
        """Close after what is queued, as far as the other side takes it in time."""
        self._flush()
        super().finish(reason)

    def pause_writing(self) -> None:
        """The loop's buffer is full: keep further messages in our bounded queue."""
        self._paused = True

    def resume_writing(self) -> None:
        """The loop's buffer has drained: the other side lives, and there is room to go on."""
        self._paused = False
        self._silent_intervals = 0
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Take the answer to our hello, and later only signs of life."""
        if self.is_closing:
            return
        try:
            for kind, payload in self._decoder.feed(data):
                self._silent_intervals = 0
                self._frame_received(kind, payload)
                if self._closing:
                    return
        except FrameError as error:
            self.fail(f"bad frame: {error}")
        except HandshakeRefused as refused:
            self._refused(refused)

    def _frame_received(self, kind: int, payload: bytes) -> None:
        if not self._open:
            theirs = conclude(self._hello, kind, payload)
            self._open = True
            if not self.agreed.done():
                self.agreed.set_result(theirs)
            self._timer = self._loop.call_later(self._limits.ping_interval_s, self._ping)
        elif kind == PONG and len(payload) == _PING_NUMBER.size:
            if _PING_NUMBER.unpack(payload)[0] == self._ping_number:
                self._stats.round_trip_s = self._loop.time() - self._ping_sent_at
        elif kind == REFUSAL:
            self.fail(f"closed by the other side: {read_refusal(payload)}")
        else:
            raise FrameError(f"a frame of kind {kind} and {len(payload)} bytes does not belong here")

    def _refused(self, refused: HandshakeRefused) -> None:
        if not self.agreed.done():
            self.agreed.set_exception(refused)
            self.agreed.exception()
        if not refused.by_peer:
            self._transport.write(refused.refusal_frame())
        super().finish(str(refused))

    def _note_end(self, reason: str) -> None:
        super()._note_end(reason)
        self._open = False

    def _flush(self) -> None:
        self._flush_scheduled = False
        queue = self._queue
        while queue and not self._paused and self._open:
            if self._queued_bytes <= BATCH_BYTES:
                batch = b"".join(queue)
                messages = len(queue) // 2
                queue.clear()
            else:
                batch, messages = self._take_batch()
            size = len(batch)
            self._queued_bytes -= size
            self._stats.sent_messages += messages
            self._stats.sent_bytes += size
            self._transport.write(batch)

    def _take_batch(self) -> tuple[bytes, int]:
        queue = self._queue
        parts = [queue.popleft(), queue.popleft()]
        size = len(parts[0]) + len(parts[1])
        while queue and size + HEADER_BYTES + len(queue[1]) <= BATCH_BYTES:
            size += HEADER_BYTES + len(queue[1])
            parts += (queue.popleft(), queue.popleft())
        return b"".join(parts), len(parts) // 2

    def _ping(self) -> None:
        """Once an interval: count it as silent, end a dead connection, ask again.

        Intervals are counted, not seconds, so that a pause of our own process condemns nobody.
        """
        unwritten = self._transport.get_write_buffer_size()
        if self._paused and unwritten < self._unwritten_bytes:
            self._silent_intervals = 0  # it takes our bytes, though slowly; a ping would wait behind them
        self._unwritten_bytes = unwritten
        if self._silent_intervals >= self._limits.silent_pings:
            self.fail(f"no sign of life for {self._silent_intervals * self._limits.ping_interval_s:g} s")
            return
        self._silent_intervals += 1
        if not self._paused:
            self._ping_number += 1
            self._ping_sent_at = self._loop.time()
            self._transport.write(encode_frame(PING, _PING_NUMBER.pack(self._ping_number)))
        self._timer = self._loop.call_later(self._limits.ping_interval_s, self._ping)
