"""A server's HTTP/2 connection without I/O: bytes in, calls to an application; its answers in, bytes out (RFC 9113).

The receiving side is here: frames, the state of streams, limits. The sending side is its base class, `sender.py`.
A peer's fault never escapes from `receive`: it ends the stream or the connection with the code that the RFC names.
"""

from collections.abc import Callable
from typing import Protocol

from oarlock.etcd.http2 import frames
from oarlock.etcd.http2.backlog import Backlog
from oarlock.etcd.http2.errors import ConnectionFault, ErrorCode, HeadersTooLarge, StreamFault
from oarlock.etcd.http2.flow import ReceiveWindow
from oarlock.etcd.http2.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    FRAME_HEADER,
    GOAWAY,
    HEADER_BYTES,
    HEADERS,
    MAX_STREAM_ID,
    MAX_WINDOW,
    PADDED,
    PING,
    PREFACE,
    PRIORITY,
    PRIORITY_FLAG,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
)
from oarlock.etcd.http2.headers import HeadCache, HeaderBlock, HeaderDecoder, RequestHead
from oarlock.etcd.http2.sender import Sender
from oarlock.etcd.http2.settings import DEFAULT_FRAME_SIZE, DEFAULT_WINDOW, Limits
from oarlock.etcd.http2.streams import NOBODY, Stream

_DRAIN_PING = b"drained?"
_KEEPALIVE_PING = b"present?"
_CLOSED_STREAMS_REMEMBERED = 256
_TOO_LARGE = HeaderBlock([(b":status", b"431")])


class Application(Protocol):
    """Who answers requests.

    Attributes:
        http2: The connection, set before the first request.
    """

    http2: "Connection"

    def request(self, stream: Stream, head: RequestHead, volatile: str | None, ended: bool) -> None:
        """A request began; sets `stream.receiver`, unless it answers at once. `ended`: it has no body."""


class Connection(Sender):
    """One client's connection.

    Args:
        application: Who answers.
        limits: How much the client may make grow.
        cache: Field sections seen before; shared among a server's connections.
        backlog: What waits for clients; shared too.
        now: The time, in seconds; later times come with `receive`.
        wake: Called when output appears outside of `receive`.

    Attributes:
        last_stream_id: The highest stream that the client has opened, served or not.
        now: The time of the last bytes.
        is_ready: The client's preface and its SETTINGS have come.
        partial_since: When the frame or field section began that is not finished, while `is_mid_frame`.
    """

    def __init__(
        self,
        application: Application,
        limits: Limits,
        cache: HeadCache,
        backlog: Backlog,
        *,
        now: float,
        wake: Callable[[], None],
    ) -> None:
        super().__init__(limits, backlog, now=now, wake=wake)
        self._application = application
        self._decoder = HeaderDecoder(cache, limits.max_header_list_bytes)
        self.now = now
        self._buffer = b""
        self._window = ReceiveWindow(limits.connection_window_bytes)
        self._preface_seen = False
        self._block: list[bytes] = []
        self._block_bytes = 0
        self._block_stream_id = 0
        self._block_ends_stream = False
        self._reset_by_us: dict[int, None] = {}
        self._last_served_id = 0
        self.last_stream_id = 0
        self.is_ready = False
        self.partial_since = now
        self.out.append(frames.settings(limits.announcement()))
        self.out.append(frames.window_update(0, limits.connection_window_bytes - DEFAULT_WINDOW))
        self._handlers: dict[int, Callable[[int, int, bytes], None]] = {
            DATA: self._on_data,
            HEADERS: self._on_headers,
            PRIORITY: self._on_priority,
            RST_STREAM: self._on_rst_stream,
            SETTINGS: self._on_settings,
            PUSH_PROMISE: self._on_push_promise,
            PING: self._on_ping,
            GOAWAY: self._on_goaway,
            WINDOW_UPDATE: self._on_window_update,
            CONTINUATION: self._on_stray_continuation,
        }

    # What the transport calls.

    def receive(self, data: bytes, now: float) -> None:
        """Take in bytes, cut anywhere; every consequence has happened on return, and answers are in `out`."""
        if self.closed:
            return
        self.now = now
        had_partial = bool(self._buffer)
        if had_partial:
            data = self._buffer + data
            self._buffer = b""
        try:
            at = self._receive_frames(data) if self._preface_seen else self._receive_preface(data)
        except ConnectionFault as fault:
            self.fail(fault.code, fault.reason)
        else:
            if at < len(data) and not self.closed:
                self._buffer = data[at:]
                if at or not had_partial:
                    self.partial_since = now

    @property
    def is_mid_frame(self) -> bool:
        """Whether the client owes us the rest of a frame or of a field section."""
        return bool(self._buffer or self._block)

    def allow(self, stream: Stream, length: int) -> None:
        """Let the client send so many bytes of a request from now on, besides what has come."""
        if stream.receiving and stream.window is not None:
            increment = stream.window.raise_to(length)
            if increment:
                self.out.append(frames.window_update(stream.id, increment))
                self.wake_up()

    def ping(self) -> None:
        """Ask the client for a sign of life."""
        self.out.append(frames.frame(PING, 0, 0, _KEEPALIVE_PING))
        self.wake_up()

    def drain(self) -> None:
        """Begin to close: no new streams soon, those that are open finish, then the connection ends.

        The first GOAWAY names the highest possible stream, so that requests on their way are still served; the
        PING after it tells when the client must have seen it, and the real last stream is named (section 6.8).
        """
        if self.closed or self.draining:
            return
        self.draining = True
        self.out.append(frames.goaway(MAX_STREAM_ID, ErrorCode.NO_ERROR, b"graceful_stop"))
        self.out.append(frames.frame(PING, 0, 0, _DRAIN_PING))
        self.wake_up()

    def finish_drain(self) -> None:
        """Name the real last stream: the client has seen the first GOAWAY, or had long enough to."""
        if self.draining and not self.refusing and not self.closed:
            self.refusing = True
            self.out.append(frames.goaway(self._last_served_id, ErrorCode.NO_ERROR))
            self.stream_ended()
            self.wake_up()

    def fail(self, code: ErrorCode, reason: str) -> None:
        """End the connection with GOAWAY; its open streams are lost."""
        if not self.closed:
            self.out.append(frames.goaway(self._last_served_id, code, reason[:256].encode("utf-8", "replace")))
            self.fault = f"{code.name}: {reason}"
            self.lose()
            self.wake_up()

    def lose(self) -> None:
        """The connection is gone, or as good as that: tell every open stream."""
        self.closed = True
        streams = list(self.streams.values())
        self.streams.clear()
        self.put_off.clear()
        self.backlog.forget(self)
        self._block.clear()
        for stream in streams:
            self._abandon(stream, None)

    # Frames.

    def _receive_preface(self, data: bytes) -> int:
        if len(data) < len(PREFACE) and PREFACE.startswith(data):
            return 0
        if not data.startswith(PREFACE):
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "not an HTTP/2 preface")
        self._preface_seen = True
        return self._receive_frames(data, len(PREFACE))

    def _receive_frames(self, data: bytes, at: int = 0) -> int:
        """Handle every whole frame from `at` on; returns where the first unfinished one begins."""
        size = len(data)
        unpack = FRAME_HEADER.unpack_from
        while size - at >= HEADER_BYTES and not self.closed:
            high, low, kind, flags, stream_id = unpack(data, at)
            length = high << 8 | low
            if length > DEFAULT_FRAME_SIZE:
                raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"a frame of {length} bytes")
            start = at + HEADER_BYTES
            end = start + length
            if end > size:
                if not self.is_ready and kind != SETTINGS:
                    raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "SETTINGS must come first")
                break
            at = end
            stream_id &= MAX_STREAM_ID
            if self._block and (kind != CONTINUATION or stream_id != self._block_stream_id):
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a field section was interrupted")
            if not self.is_ready:
                if kind != SETTINGS or flags & ACK:
                    raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "SETTINGS must come first")
                self.is_ready = True
            if self._block:
                self._on_continuation(flags, data[start:end])
                continue
            handler = self._handlers.get(kind)
            if handler is None:
                self._spend_control("frames of unknown kind")
                continue
            try:
                handler(flags, stream_id, data[start:end])
            except StreamFault as fault:
                self.reset(stream_id, fault.code)
        return at

    def _spend_control(self, what: str) -> None:
        if not self.control.spend(self.now):
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, f"too many {what}")

    def _on_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        if flags & PADDED:
            payload = frames.strip_padding(flags, payload)
        if flags & PRIORITY_FLAG:
            if len(payload) < 5:
                raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "HEADERS too short for its priority")
            payload = payload[5:]
        if flags & END_HEADERS:
            self._on_field_section(stream_id, payload, bool(flags & END_STREAM))
        else:
            if not stream_id & 1:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"HEADERS on stream {stream_id}")
            self._block = [payload]
            self._block_bytes = len(payload)
            self._block_stream_id = stream_id
            self._block_ends_stream = bool(flags & END_STREAM)
            self.partial_since = self.now

    def _on_continuation(self, flags: int, payload: bytes) -> None:
        self._block.append(payload)
        self._block_bytes += len(payload)
        if self._block_bytes > self.limits.max_header_block_bytes:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, f"a field section of {self._block_bytes} bytes")
        if len(self._block) > self.limits.max_continuations + 1:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, f"{len(self._block) - 1} CONTINUATION frames")
        if flags & END_HEADERS:
            block = b"".join(self._block)
            self._block = []
            try:
                self._on_field_section(self._block_stream_id, block, self._block_ends_stream)
            except StreamFault as fault:
                self.reset(self._block_stream_id, fault.code)

    def _on_field_section(self, stream_id: int, block: bytes, ended: bool) -> None:
        """A request's head, or its trailers. The block is always decoded: the next one may build upon it."""
        if stream_id <= self.last_stream_id or not stream_id & 1:
            self._on_trailers(stream_id, block, ended)
            return
        self.last_stream_id = stream_id
        try:
            head, volatile = self._decoder.request(block)
        except HeadersTooLarge:
            self._spend_control("requests with too many fields")
            self.answer_unopened(stream_id, _TOO_LARGE, ended=ended)
            return
        except StreamFault:
            self._spend_control("malformed requests")
            raise
        if self.refusing:
            return
        self._last_served_id = stream_id
        if len(self.streams) >= self.limits.max_concurrent_streams or self.is_overfull:
            self._spend_control("streams above the limit")
            raise StreamFault(ErrorCode.REFUSED_STREAM, "too many streams")
        if ended and head.content_length:
            raise StreamFault(ErrorCode.PROTOCOL_ERROR, "a body was announced and did not come")
        stream = Stream(stream_id, head, self.peer.initial_window)
        if ended:
            stream.receiving = False
        self.streams[stream_id] = stream
        self._application.request(stream, head, volatile, ended)

    def _on_trailers(self, stream_id: int, block: bytes, ended: bool) -> None:
        if not stream_id & 1:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"HEADERS on stream {stream_id}")
        stream = self.streams.get(stream_id)
        if stream is None:
            if stream_id not in self._reset_by_us:
                raise ConnectionFault(ErrorCode.STREAM_CLOSED, f"HEADERS on closed stream {stream_id}")
            self._spend_control("frames on closed streams")
            self._decoder.trailers(block)
            return
        self._decoder.trailers(block)
        if not stream.receiving:
            raise StreamFault(ErrorCode.STREAM_CLOSED, "HEADERS after the end of the request")
        if not ended:
            raise StreamFault(ErrorCode.PROTOCOL_ERROR, "trailers that do not end the request")
        self._end_of_request(stream, b"")

    def _on_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        length = len(payload)
        stream = self.streams.get(stream_id)
        if stream is None and (stream_id > self.last_stream_id or not stream_id & 1):
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"DATA on idle stream {stream_id}")
        connection_window = self._window
        connection_window.available -= length
        if connection_window.available < 0:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "more than the connection's window")
        # Never kept back for a slow stream: each stream's own window bounds what it can leave here.
        increment = connection_window.raise_to(connection_window.size)
        if increment:
            self.out.append(frames.window_update(0, increment))
        if flags & PADDED:
            payload = frames.strip_padding(flags, payload)
        if stream is None or not stream.receiving:
            if stream is None and stream_id in self._reset_by_us:
                if not length:
                    self._spend_control("frames on closed streams")
                return
            if stream is None and self.refusing:
                return
            self._spend_control("frames on closed streams")
            raise StreamFault(ErrorCode.STREAM_CLOSED, "DATA after the end of the request")
        if flags & END_STREAM:
            self._end_of_request(stream, payload)
            return
        if not payload:
            self._spend_control("empty DATA frames")
        window = stream.window
        if window is None:
            window = stream.window = ReceiveWindow(self.limits.stream_window_bytes)
        window.available -= length
        if window.available < 0:
            raise StreamFault(ErrorCode.FLOW_CONTROL_ERROR, "more than the stream's window")
        stream.received_bytes += len(payload)
        announced = stream.head.content_length
        if announced is not None and stream.received_bytes > announced:
            raise StreamFault(ErrorCode.PROTOCOL_ERROR, "more than the content-length")
        stream.receiver.data(payload, False)

    def _end_of_request(self, stream: Stream, payload: bytes) -> None:
        stream.receiving = False
        window = stream.window
        if window is not None and len(payload) > window.available:
            raise StreamFault(ErrorCode.FLOW_CONTROL_ERROR, "more than the stream's window")
        announced = stream.head.content_length
        if announced is not None and stream.received_bytes + len(payload) != announced:
            raise StreamFault(ErrorCode.PROTOCOL_ERROR, "other than the content-length")
        stream.receiver.data(payload, True)

    def _on_priority(self, flags: int, stream_id: int, payload: bytes) -> None:  # noqa: ARG002
        if not stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PRIORITY on stream 0")
        self._spend_control("PRIORITY frames")
        if len(payload) != 5:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"PRIORITY of {len(payload)} bytes")

    def _on_rst_stream(self, flags: int, stream_id: int, payload: bytes) -> None:  # noqa: ARG002
        if len(payload) != 4:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"RST_STREAM of {len(payload)} bytes")
        if stream_id > self.last_stream_id or not stream_id & 1:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"RST_STREAM on idle stream {stream_id}")
        stream = self.streams.pop(stream_id, None)
        if stream is None:
            self._spend_control("RST_STREAM frames on closed streams")
            return
        # A stream that got an answer has paid for itself; one that is opened only to be reset is an attack.
        if not stream.responded and not self.resets.spend(self.now):
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "too many streams opened and reset")
        self._abandon(stream, frames.parse_long(payload))
        self.stream_ended()

    def _on_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"SETTINGS on stream {stream_id}")
        if len(payload) % 6 or (flags & ACK and payload):
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"SETTINGS of {len(payload)} bytes")
        self._spend_control("SETTINGS frames")
        if flags & ACK:
            return
        change = self.peer.update(payload)
        self.out.append(frames.frame(SETTINGS, ACK, 0))
        if change:
            for stream in self.streams.values():
                stream.send_window += change
                if stream.send_window > MAX_WINDOW:
                    raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "a stream's window above 2^31-1")
            self.pump()

    def _on_push_promise(self, flags: int, stream_id: int, payload: bytes) -> None:  # noqa: ARG002
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE from a client")

    def _on_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"PING on stream {stream_id}")
        if len(payload) != 8:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"PING of {len(payload)} bytes")
        self._spend_control("PING frames")
        if not flags & ACK:
            self.out.append(frames.frame(PING, ACK, 0, payload))
        elif payload == _DRAIN_PING:
            self.finish_drain()

    def _on_goaway(self, flags: int, stream_id: int, payload: bytes) -> None:  # noqa: ARG002
        if stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"GOAWAY on stream {stream_id}")
        if len(payload) < 8:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"GOAWAY of {len(payload)} bytes")
        self._spend_control("GOAWAY frames")

    def _on_window_update(self, flags: int, stream_id: int, payload: bytes) -> None:  # noqa: ARG002
        if len(payload) != 4:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"WINDOW_UPDATE of {len(payload)} bytes")
        self._spend_control("WINDOW_UPDATE frames")
        increment = frames.parse_long(payload) & MAX_WINDOW
        if not stream_id:
            self.send_window += increment
            if not increment or self.send_window > MAX_WINDOW:
                code = ErrorCode.FLOW_CONTROL_ERROR if increment else ErrorCode.PROTOCOL_ERROR
                raise ConnectionFault(code, f"WINDOW_UPDATE by {increment} on the connection")
        else:
            stream = self.streams.get(stream_id)
            if stream is None:
                if stream_id > self.last_stream_id or not stream_id & 1:
                    raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"WINDOW_UPDATE on idle stream {stream_id}")
                return
            stream.send_window += increment
            if not increment or stream.send_window > MAX_WINDOW:
                code = ErrorCode.FLOW_CONTROL_ERROR if increment else ErrorCode.PROTOCOL_ERROR
                raise StreamFault(code, f"WINDOW_UPDATE by {increment}")
        if self.blocked:
            self.pump()

    def _on_stray_continuation(self, flags: int, stream_id: int, payload: bytes) -> None:  # noqa: ARG002
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "CONTINUATION without HEADERS")

    # What the sending side tells.

    def reset(self, stream_id: int, code: ErrorCode) -> None:
        """End a stream with RST_STREAM, telling its receiver if there is one."""
        stream = self.streams.pop(stream_id, None)
        self.write_reset(stream_id, code)
        if stream is not None:
            self._abandon(stream, code)
            self.stream_ended()

    def _abandon(self, stream: Stream, code: int | None) -> None:
        """A stream is over before its response was: tell its receiver, once."""
        self.discard_pending(stream)
        stream.receiving = False
        receiver, stream.receiver = stream.receiver, NOBODY
        receiver.reset(code)

    def write_reset(self, stream_id: int, code: ErrorCode) -> None:
        """RST_STREAM, remembering that frames already on their way to this stream are no fault."""
        remembered = self._reset_by_us
        remembered[stream_id] = None
        if len(remembered) > _CLOSED_STREAMS_REMEMBERED:
            del remembered[next(iter(remembered))]
        self.out.append(frames.rst_stream(stream_id, code))
        self.wake_up()
