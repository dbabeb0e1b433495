"""The client's side of HTTP/2 and gRPC, as small as a run needs it: calls on one connection, and how each ended.

It keeps to the RFC, and so must the server: bytes between the two are delayed, held back and cut off, but never
changed. A frame that a server must not send is a violation.
"""

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple, cast
from urllib.parse import unquote

from hpack import Decoder, Encoder

from oarlock.check.verdict import Violation
from oarlock.etcd.grpc import Status
from oarlock.etcd.grpc.messages import PREFIX, PREFIX_BYTES
from oarlock.etcd.http2 import PREFACE, ErrorCode, frames
from oarlock.etcd.http2.settings import DEFAULT_FRAME_SIZE, DEFAULT_WINDOW, ENABLE_PUSH, INITIAL_WINDOW_SIZE
from oarlock.etcd.http2.settings import HEADER_TABLE_SIZE as TABLE_SIZE
from oarlock.sim.connection import SimTransport
from oarlock.sim.observer import PropertyBroken
from oarlock.sim.strikes import Strikes

_PING: Final = b"anybody?"

_PARTING: Final = (ErrorCode.NO_ERROR, ErrorCode.SETTINGS_TIMEOUT, ErrorCode.ENHANCE_YOUR_CALM)
"""Codes with which a server may end a connection whose client has done nothing wrong: it heard too little of it."""

_STATUS_OF: Final = {
    ErrorCode.REFUSED_STREAM: Status.UNAVAILABLE,
    ErrorCode.CANCEL: Status.CANCELLED,
    ErrorCode.ENHANCE_YOUR_CALM: Status.RESOURCE_EXHAUSTED,
}
"""What RST_STREAM means to a call (gRPC, PROTOCOL-HTTP2.md); other codes, that somebody broke the RFC."""


class Ending(NamedTuple):
    """How a call ended."""

    status: Status
    message: str = ""
    messages: tuple[bytes, ...] = ()
    is_answer: bool = False
    """Whether the server said so; else it is what the client makes of a stream or a connection that ended."""
    is_untouched: bool = False
    """Whether the server has certainly done nothing: it says that it has not looked at the stream."""


class _Stream:
    """A call under way."""

    __slots__ = ("body", "on_end", "window")

    def __init__(self, on_end: Callable[[Ending], None], window: int) -> None:
        self.on_end = on_end
        self.window = window
        self.body = b""


class Http2Client(asyncio.Protocol):
    """One connection to a server.

    Args:
        loop: Of the client's machine.
        window_bytes: What a server may send on a stream before it is told to go on.
        keepalive_s: Of silence, while a call is under way, before the server is pinged; and for its answer.
        strikes: Where to count.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, window_bytes: int, keepalive_s: float, strikes: Strikes
    ) -> None:
        self._loop = loop
        self._window_bytes = window_bytes
        self._keepalive_s = keepalive_s
        self._strikes = strikes
        self._encoder = Encoder()
        self._decoder = Decoder()
        self._streams: dict[int, _Stream] = {}
        self._next_id = 1
        self._buffer = b""
        self._window = DEFAULT_WINDOW
        self._is_going = False
        self._is_lost = False
        self._was_heard = self._was_pinged = False
        self._timer: asyncio.TimerHandle | None = None
        self.transport: SimTransport

    # -- what the transport calls --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say hello."""
        self.transport = cast("SimTransport", transport)
        hello = frames.settings([(ENABLE_PUSH, 0), (INITIAL_WINDOW_SIZE, self._window_bytes)])
        self.transport.write(PREFACE + hello)

    def data_received(self, data: bytes) -> None:
        """Act on every whole frame.

        Raises:
            PropertyBroken: The server does what it must not.
        """
        self._was_heard, self._was_pinged = True, False
        data = self._buffer + data
        at = 0
        while len(data) - at >= frames.HEADER_BYTES:
            high, low, kind, flags, stream_id = frames.FRAME_HEADER.unpack_from(data, at)
            length = high << 8 | low
            start = at + frames.HEADER_BYTES
            self._require(length <= DEFAULT_FRAME_SIZE, f"a frame of {length} bytes")
            if start + length > len(data):
                break
            at = start + length
            self._frame(kind, flags, stream_id, data[start:at])
        self._buffer = data[at:]

    def eof_received(self) -> bool:
        """The server ends the connection."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody will say what became of the calls under way."""
        self._is_lost = True
        if self._buffer:
            self._strikes.hit("http2.broken_off_in_a_frame")
        for stream_id in list(self._streams):
            self._strikes.hit("http2.connection_lost")
            self._end(stream_id, Ending(Status.UNAVAILABLE, f"connection lost: {exc or 'closed by the server'}"))

    # -- calls ---------------------------------------------------------------------------------------------------------

    @property
    def is_usable(self) -> bool:
        """Whether a call can begin."""
        return not self._is_going and not self._is_lost and not self.transport.is_closing()

    @property
    def is_hopeless(self) -> bool:
        """Whether the other side knows nothing of this connection any more."""
        return self._is_lost or self.transport.outgoing.target.is_gone

    @property
    def address(self) -> str:
        """Its own, as the server sees it."""
        host, port = self.transport.outgoing.target.get_extra_info("peername")
        return f"{host}:{port}"

    def call(self, path: str, message: bytes, timeout_s: float, on_end: Callable[[Ending], None]) -> int:
        """Begin a call, with its only message; gives its stream."""
        stream_id = self._next_id
        self._next_id += 2
        self._streams[stream_id] = _Stream(on_end, self._window_bytes)
        block = self._encoder.encode(
            [
                (":method", "POST"),
                (":scheme", "http"),
                (":path", path),
                (":authority", self.transport.peer_host_name),
                ("te", "trailers"),
                ("content-type", "application/grpc"),
                ("grpc-timeout", f"{max(1, int(timeout_s * 1000))}m"),
            ]
        )
        head = frames.frame(frames.HEADERS, frames.END_HEADERS, stream_id, block)
        body = PREFIX.pack(0, len(message)) + message
        # A run's requests are far smaller than what a server lets come on one stream.
        self.transport.write(head + frames.frame(frames.DATA, frames.END_STREAM, stream_id, body))
        self._watch()
        return stream_id

    def cancel(self, stream_id: int) -> None:
        """Want no answer any more."""
        if self._streams.pop(stream_id, None) is not None:
            self._strikes.hit("http2.cancelled")
            self.transport.write(frames.rst_stream(stream_id, ErrorCode.CANCEL))
            self._leave()

    def _end(self, stream_id: int, ending: Ending) -> None:
        self._streams.pop(stream_id).on_end(ending)
        self._leave()

    def _leave(self) -> None:
        """Go, once the server wants to and the last call is over."""
        if self._is_going and not self._streams:
            self.transport.close()

    # -- silence -------------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        if self._timer is None:
            self._was_heard = False
            self._timer = self._loop.call_later(self._keepalive_s, self._look)

    def _look(self) -> None:
        """While calls are under way something must be heard, if only the answer to a ping."""
        self._timer = None
        if not self._streams or self._is_lost:
            return
        if self._was_pinged:
            self._strikes.hit("http2.silent")
            self.transport.abort()
            return
        if not self._was_heard:
            self._was_pinged = True
            self.transport.write(frames.frame(frames.PING, 0, 0, _PING))
        self._watch()

    # -- frames --------------------------------------------------------------------------------------------------------

    def _frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        self._require(stream_id < self._next_id, f"a frame of kind {kind} on stream {stream_id}, which is idle")
        match kind:
            case frames.HEADERS:
                self._on_headers(flags, stream_id, payload)
            case frames.DATA:
                self._on_data(flags, stream_id, payload)
            case frames.RST_STREAM:
                self._on_reset(stream_id, frames.parse_long(payload))
            case frames.GOAWAY:
                last_id, code = (frames.parse_long(payload[at : at + 4]) for at in (0, 4))
                self._on_goaway(last_id, code, payload[8:])
            case frames.SETTINGS if not flags & frames.ACK:
                table_size = dict(frames.parse_settings(payload)).get(TABLE_SIZE)
                if table_size is not None:
                    self._encoder.header_table_size = table_size
                self.transport.write(frames.frame(frames.SETTINGS, frames.ACK, 0))
            case frames.PING if not flags & frames.ACK:
                self.transport.write(frames.frame(frames.PING, frames.ACK, 0, payload))
            case frames.SETTINGS | frames.PING | frames.WINDOW_UPDATE:
                pass
            case _:
                self._require(False, f"a frame of kind {kind}")

    def _on_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        """An answer's head, or its end."""
        self._require(bool(flags & frames.END_HEADERS), "a head in several frames, which it is too short for")
        fields = dict(self._decoder.decode(payload, raw=True))  # always: the next one may build upon it
        stream = self._streams.get(stream_id)
        if stream is None or not flags & frames.END_STREAM:
            return
        status = Status(int(fields[b"grpc-status"]))
        message = unquote(fields.get(b"grpc-message", b"").decode())
        self._end(stream_id, Ending(status, message, _messages(stream.body), is_answer=True))

    def _on_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        length = len(payload)
        self._window -= length
        self._require(self._window >= 0, "more than the connection's window")
        if self._window * 2 < DEFAULT_WINDOW:
            self.transport.write(frames.window_update(0, DEFAULT_WINDOW - self._window))
            self._window = DEFAULT_WINDOW
        self._require(not flags & frames.END_STREAM, "an answer without trailers")
        stream = self._streams.get(stream_id)
        if stream is None:
            return
        stream.window -= length
        self._require(stream.window >= 0, "more than the stream's window")
        stream.body += payload
        if stream.window * 2 < self._window_bytes:
            self._strikes.hit("http2.window_opened")
            self.transport.write(frames.window_update(stream_id, self._window_bytes - stream.window))
            stream.window = self._window_bytes

    def _on_reset(self, stream_id: int, code: int) -> None:
        if stream_id not in self._streams:
            return
        error = ErrorCode(code)
        status = _STATUS_OF.get(error)
        self._require(status is not None, f"{error.name} on a stream on which all went well")
        self._strikes.hit("http2.reset_by_server")
        assert status is not None  # noqa: S101 - required above
        untouched = error is ErrorCode.REFUSED_STREAM
        self._end(stream_id, Ending(status, f"stream ended with {error.name}", is_untouched=untouched))

    def _on_goaway(self, last_id: int, code: int, debug: bytes) -> None:
        """Begin nothing more here; what is above the last stream the server will not look at."""
        self._require(code in _PARTING, f"GOAWAY with {ErrorCode(code).name}: {debug.decode('utf-8', 'replace')}")
        self._strikes.hit("http2.goaway")
        self._is_going = True
        for stream_id in [each for each in self._streams if each > last_id]:
            self._strikes.hit("http2.not_looked_at")
            self._end(stream_id, Ending(Status.UNAVAILABLE, "the server is going", is_untouched=True))
        self._leave()

    def _require(self, holds: bool, what: str) -> None:
        if not holds:
            sentence = f"{self.transport.peer_host_name}, to a client that keeps to the RFC: {what}"
            raise PropertyBroken(Violation("speaks HTTP/2", sentence))


def _messages(body: bytes) -> tuple[bytes, ...]:
    found = []
    at = 0
    while at < len(body):
        length = PREFIX.unpack_from(body, at)[1]
        at += PREFIX_BYTES
        found.append(body[at : at + length])
        at += length
    return tuple(found)
