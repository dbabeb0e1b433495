"""The sending half of a connection: responses under the peer's windows, in turns, no faster than the socket takes them.

Small responses go straight to `out`. What the windows or the socket do not take now waits at its stream, and
`pump` sends it later, one frame of each stream in turn.
"""

import struct
from collections import deque
from collections.abc import Callable
from typing import Protocol

from oarlock.etcd.http2 import frames
from oarlock.etcd.http2.backlog import Backlog
from oarlock.etcd.http2.errors import ErrorCode
from oarlock.etcd.http2.frames import CONTINUATION, DATA, END_HEADERS, END_STREAM, FRAME_HEADER, HEADERS
from oarlock.etcd.http2.guard import Allowance
from oarlock.etcd.http2.headers import HeaderBlock
from oarlock.etcd.http2.settings import DEFAULT_WINDOW, Limits, PeerSettings
from oarlock.etcd.http2.streams import NOBODY, Stream

OUTPUT_BATCH_BYTES = 256 * 1024
"""What is made ready for the socket at once."""

_NOTHING = memoryview(b"")

LARGEST_DATA_FRAME = 64 * 1024
"""Even if the peer takes larger ones: turns should be short."""

PENDING_LOW_BYTES = 64 * 1024
"""A stream whose queue is below this is writable."""

SMALL_ANSWER_BYTES = 64 * 1024
"""Answers up to this size are made even while much waits: the limit on streams bounds how many there are."""

_DATA_HEADER = struct.Struct(">HBHL")
"""Length, then type DATA and no flags, then the stream."""


class PutOff(Protocol):
    """A call whose answer is made when there is room for it."""

    def resume(self) -> None:
        """There is room now."""


class Sender:
    """What is sent, when, and how much of it.

    Attributes:
        limits: Ours.
        peer: The peer's settings.
        streams: The open streams by id.
        blocked: Those with pending data, in the order of their turns.
        out: Bytes for the socket, to be taken with `take`.
        out_bytes: Of DATA in `out`.
        send_window: What the peer lets us send on the connection.
        paused: The socket takes nothing now.
        corked: Whoever drives the connection will look at `out` soon, and need not be woken.
        draining: GOAWAY was sent; new streams are still served.
        refusing: The last stream was named; the connection ends with its last stream.
        finished: It has ended: close the socket when `out` is written.
        closed: It is broken: close the socket when `out` is written.
        fault: What the peer did, if that ended it.
        pending_bytes: Of all streams, and of answers made that are on their way to them.
        taken_bytes: How much of what waited has gone out.
        backlog: What waits on all connections of the server.
        put_off: Calls that wait for room, in order.
        control: For frames that bring nothing forward; what is sent pays for those that belong to it.
        resets: For streams that the peer opens and resets; each complete response pays for one.
    """

    def __init__(self, limits: Limits, backlog: Backlog, *, now: float, wake: Callable[[], None]) -> None:
        self.limits = limits
        self.peer = PeerSettings()
        self.streams: dict[int, Stream] = {}
        self.blocked: dict[int, Stream] = {}
        self.out: list[bytes | memoryview] = []
        self.out_bytes = 0
        self.send_window = DEFAULT_WINDOW
        self.paused = False
        self.corked = False
        self.draining = False
        self.refusing = False
        self.finished = False
        self.closed = False
        self.fault: str | None = None
        self.pending_bytes = 0
        self.taken_bytes = 0
        self.backlog = backlog
        self.put_off: dict[PutOff, None] = {}
        self.control = Allowance(limits.control_burst, limits.control_per_second, now)
        self.resets = Allowance(limits.reset_burst, limits.reset_per_second, now)
        self._wake = wake

    def write_reset(self, stream_id: int, code: ErrorCode) -> None:
        """RST_STREAM; see `Connection`."""
        raise NotImplementedError

    @property
    def is_overfull(self) -> bool:
        """Whether more waits for the peer than it may make us keep."""
        return self.pending_bytes > self.limits.max_pending_bytes

    @property
    def has_room(self) -> bool:
        """Whether one more large answer may be kept."""
        return self.pending_bytes <= self.limits.put_off_bytes and not self.backlog.is_over

    def hold(self, length: int) -> None:
        """Count an answer that was made, until `release` when it is handed over, or is not needed."""
        self.pending_bytes += length
        self.backlog.kept_bytes += length

    def release(self, length: int) -> None:
        """So much no longer waits."""
        self.pending_bytes -= length
        self.backlog.release(length)

    def resume_put_off(self) -> None:
        """Let calls that were put off make their answers, in order, while there is room for them."""
        while self.put_off and not self.closed and self.has_room:
            call = next(iter(self.put_off))
            del self.put_off[call]
            call.resume()
        if self.put_off and self.backlog.is_over:
            self.backlog.wait(self)

    def wake_up(self) -> None:
        """Have `out` looked at."""
        if not self.corked:
            self._wake()

    def take(self) -> bytes:
        """The bytes for the socket, all of them; more may follow at once if `blocked` is not empty."""
        data = b"".join(self.out)
        self.out.clear()
        self.out_bytes = 0
        return data

    def respond(self, stream: Stream, headers: HeaderBlock, prefix: bytes, body: bytes, trailers: HeaderBlock) -> None:
        """A whole response: headers, the two parts of its body, trailers. The path of every unary call."""
        length = len(prefix) + len(body)
        if (
            length > self.send_window
            or length > stream.send_window
            or length > self.peer.max_frame_size
            or self.out_bytes > OUTPUT_BATCH_BYTES
            or self.paused
            or headers.is_large
            or trailers.is_large
        ):
            self.send_headers(stream, headers)
            self.send_data(stream, prefix + body)
            self.send_trailers(stream, trailers)
            return
        self.send_window -= length
        self.out_bytes += length
        stream_id = stream.id_bytes
        self.out += (
            headers.start,
            stream_id,
            headers.block,
            _DATA_HEADER.pack(length >> 8, length & 0xFF, 0, stream.id),
            prefix,
            body,
            trailers.end,
            stream_id,
            trailers.block,
        )
        self._end(stream)

    def send_headers(self, stream: Stream, headers: HeaderBlock, *, end_stream: bool = False) -> None:
        """The response's head, or with `end_stream` all of it."""
        stream.responded = True
        self._write_block(stream.id, headers, END_STREAM if end_stream else 0)
        if end_stream:
            self._end(stream)
        else:
            self.wake_up()

    def send_data(self, stream: Stream, data: bytes, *, end_stream: bool = False) -> None:
        """Part of the response's body; it waits if it must: see `Stream.pending_bytes`."""
        if stream.pending is None:
            stream.pending = deque()
        if data:
            # A view, so that cutting a long message into frames copies each byte once.
            stream.pending.append(memoryview(data))
            stream.pending_bytes += len(data)
            self.hold(len(data))
        stream.end_data = end_stream
        self.blocked[stream.id] = stream
        self.pump()
        self.wake_up()

    def send_trailers(self, stream: Stream, trailers: HeaderBlock) -> None:
        """The end of the response, after everything that waits."""
        if stream.pending:
            stream.trailers = trailers
            self.blocked[stream.id] = stream
        else:
            self._write_block(stream.id, trailers, END_STREAM)
            self._end(stream)

    def answer_unopened(self, stream_id: int, headers: HeaderBlock, *, ended: bool) -> None:
        """A response without a body, to a request for which no stream was opened."""
        self._write_block(stream_id, headers, END_STREAM)
        if not ended:
            self.write_reset(stream_id, ErrorCode.NO_ERROR)
        self.wake_up()

    def _write_block(self, stream_id: int, headers: HeaderBlock, flags: int) -> None:
        block = headers.block
        largest = self.peer.max_frame_size
        kind = HEADERS
        while len(block) > largest:
            self.out.append(frames.frame(kind, flags, stream_id, block[:largest]))
            block = block[largest:]
            kind, flags = CONTINUATION, 0
        self.out.append(frames.frame(kind, flags | END_HEADERS, stream_id, block))

    def pump(self) -> None:
        """Send what waits as far as windows and socket allow, one frame of each stream in turn."""
        progress = True
        while progress and self.blocked:
            progress = False
            for stream in list(self.blocked.values()):
                if self.paused or self.out_bytes >= OUTPUT_BATCH_BYTES:
                    return
                if self._send_frame(stream):
                    progress = True

    def _send_frame(self, stream: Stream) -> bool:
        """One frame of what waits at a stream; False when its windows are closed."""
        pending = stream.pending
        room = min(stream.send_window, self.send_window, self.peer.max_frame_size, LARGEST_DATA_FRAME)
        if pending:
            if room <= 0:
                return False
            chunk = pending.popleft()
            if len(chunk) > room:
                pending.appendleft(chunk[room:])
                chunk = chunk[:room]
            length = len(chunk)
            stream.pending_bytes -= length
            self.release(length)
            self.taken_bytes += length
            stream.send_window -= length
            self.send_window -= length
            self.out_bytes += length
            self.control.left += 3.0
        else:
            chunk = _NOTHING
            length = 0
        ends = stream.end_data and not pending
        if chunk or ends:
            flags = END_STREAM if ends else 0
            self.out += (FRAME_HEADER.pack(length >> 8, length & 0xFF, DATA, flags, stream.id), chunk)
        if not pending:
            self.blocked.pop(stream.id, None)
            if stream.trailers is not None:
                self._write_block(stream.id, stream.trailers, END_STREAM)
                ends = True
            if ends:
                self._end(stream)
        if stream.wants_writable and stream.pending_bytes < PENDING_LOW_BYTES:
            stream.wants_writable = False
            stream.receiver.writable()
        self.wake_up()
        return True

    def _end(self, stream: Stream) -> None:
        """The response is complete, and so is the stream: the rest of the request is not needed (section 8.1)."""
        del self.streams[stream.id]
        stream.receiver = NOBODY
        if stream.receiving:
            stream.receiving = False
            self.write_reset(stream.id, ErrorCode.NO_ERROR)
        self.control.left += 4.0
        self.resets.left += 1.0
        if self.refusing:
            self.stream_ended()
        if not self.corked:
            self._wake()

    def discard_pending(self, stream: Stream) -> None:
        """A stream was reset: nothing of it will be sent."""
        self.blocked.pop(stream.id, None)
        self.release(stream.pending_bytes)
        stream.pending_bytes = 0
        stream.pending = None

    def stream_ended(self) -> None:
        """A stream is over; after the last one of a connection that is being drained, so is the connection."""
        if self.refusing and not self.streams:
            self.finished = True
            self.wake_up()
