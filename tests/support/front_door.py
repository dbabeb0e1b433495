"""The front door for tests: without sockets, with a server of its own thread, and raw HTTP/2 sessions."""

import asyncio
import contextlib
import ssl
import struct
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import hpack
import uvloop

from oarlock.etcd.grpc import GrpcServer, RequestStream, RpcContext, RpcError, Status
from oarlock.etcd.http1 import Router
from oarlock.etcd.http2 import PREFACE, Backlog, Connection, HeadCache, HeaderBlock, Limits, RequestHead, Stream, frames
from oarlock.etcd.port import PortServer

REQUEST_FIELDS = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/test.Echo/Unary"),
    (":authority", "localhost"),
    ("content-type", "application/grpc"),
    ("te", "trailers"),
]


def fields(**changes: str | None) -> list[tuple[str, str]]:
    """The fields of a usual request with some changed or, by None, left out; `_` stands for `-`, `p_` for `:`."""
    changed = {name.replace("p_", ":").replace("_", "-"): value for name, value in changes.items()}
    result = [(name, changed.pop(name, value)) for name, value in REQUEST_FIELDS]
    result += changed.items()
    result.sort(key=lambda pair: not pair[0].startswith(":"))
    return [(name, value) for name, value in result if value is not None]


def block(pairs: list[tuple[str, str]]) -> bytes:
    """A field section as literals, independent of any state."""
    return HeaderBlock([(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs]).block


def grpc_message(data: bytes, *, compressed: bool = False) -> bytes:
    """A message with its prefix."""
    return struct.pack(">BL", compressed, len(data)) + data


def headers_frame(stream_id: int, pairs: list[tuple[str, str]] | None = None, *, end_stream: bool = False) -> bytes:
    """HEADERS of a request."""
    flags = frames.END_HEADERS | (frames.END_STREAM if end_stream else 0)
    return frames.frame(frames.HEADERS, flags, stream_id, block(REQUEST_FIELDS if pairs is None else pairs))


def data_frame(stream_id: int, data: bytes, *, end_stream: bool = False) -> bytes:
    """DATA."""
    return frames.frame(frames.DATA, frames.END_STREAM if end_stream else 0, stream_id, data)


def request_bytes(stream_id: int, data: bytes = b"hello", **changes: str | None) -> bytes:
    """A whole unary request."""
    return headers_frame(stream_id, fields(**changes)) + data_frame(stream_id, grpc_message(data), end_stream=True)


HELLO = PREFACE + frames.settings([])


@dataclass
class Frame:
    """A frame that the server sent."""

    kind: int
    flags: int
    stream_id: int
    payload: bytes

    @property
    def ends_stream(self) -> bool:
        return self.kind in {frames.DATA, frames.HEADERS} and bool(self.flags & frames.END_STREAM)


def split_frames(data: bytes) -> tuple[list[Frame], bytes]:
    """Whole frames, and what is left."""
    found = []
    while len(data) >= 9:
        high, low, kind, flags, stream_id = struct.unpack_from(">HBBBL", data)
        length = high << 8 | low
        if len(data) < 9 + length:
            break
        found.append(Frame(kind, flags, stream_id, data[9 : 9 + length]))
        data = data[9 + length :]
    return found, data


@dataclass
class Recorder:
    """A receiver that writes down what it is told, and allows more when asked to."""

    stream: Stream
    head: RequestHead
    volatile: str | None
    received: bytearray = field(default_factory=bytearray)
    ended: bool = False
    resets: list[int | None] = field(default_factory=list)
    writable_calls: int = 0
    on_data: Callable[["Recorder"], None] = lambda recorder: None

    def data(self, payload: bytes, ended: bool) -> None:
        assert not self.ended
        assert not self.resets
        self.received += payload
        self.ended = ended
        self.on_data(self)

    @property
    def body(self) -> bytes:
        return bytes(self.received)

    def reset(self, code: int | None) -> None:
        self.resets.append(code)

    def writable(self) -> None:
        self.writable_calls += 1


HEAD_200 = HeaderBlock([(b":status", b"200")])
TRAILERS = HeaderBlock([(b"grpc-status", b"0")])


class Wire:
    """A connection without sockets: what a client sends goes in, what it would see comes out."""

    def __init__(self, limits: Limits | None = None, *, hello: bytes = HELLO, cache: HeadCache | None = None) -> None:
        self.requests: list[Recorder] = []
        self.now = 100.0
        self.answers_at_end = False
        self.http2: Connection = Connection(
            self, limits or Limits(), cache or HeadCache(), Backlog(), now=self.now, wake=lambda: None
        )
        self.seen: list[Frame] = []
        self._rest = b""
        self.decoder = hpack.Decoder()
        if hello:
            self.send(hello)

    def request(self, stream: Stream, head: RequestHead, volatile: str | None, ended: bool) -> None:
        recorder = Recorder(stream, head, volatile, ended=ended, on_data=self._on_data)
        stream.receiver = recorder
        self.requests.append(recorder)
        if ended:
            self._on_data(recorder)

    def _on_data(self, recorder: Recorder) -> None:
        if self.answers_at_end and recorder.ended:
            self.http2.respond(recorder.stream, HEAD_200, b"", recorder.body, TRAILERS)

    def send(self, *parts: bytes) -> list[Frame]:
        """Bytes from the client; returns the frames that answer them."""
        for part in parts:
            self.http2.receive(part, self.now)
        return self.read()

    def read(self) -> list[Frame]:
        """The frames since the last look."""
        data = self._rest
        while self.http2.out:
            data += self.http2.take()
            if self.http2.blocked and not self.http2.paused:
                self.http2.pump()
        found, self._rest = split_frames(data)
        self.seen += found
        return found

    def kinds(self, kind: int) -> list[Frame]:
        """Every frame of a kind so far."""
        return [frame for frame in self.seen if frame.kind == kind]

    @property
    def goaway_code(self) -> int | None:
        """The code of the last GOAWAY."""
        sent = self.kinds(frames.GOAWAY)
        return int.from_bytes(sent[-1].payload[4:8], "big") if sent else None

    def reset_code(self, stream_id: int) -> int | None:
        """The code of the stream's RST_STREAM."""
        for frame in self.kinds(frames.RST_STREAM):
            if frame.stream_id == stream_id:
                return int.from_bytes(frame.payload, "big")
        return None

    def body(self, stream_id: int) -> bytes:
        """The stream's DATA so far."""
        return b"".join(frame.payload for frame in self.kinds(frames.DATA) if frame.stream_id == stream_id)

    def is_alive(self) -> bool:
        """Whether the connection still answers a ping."""
        return any(
            frame.kind == frames.PING and frame.payload == b"areuthre"
            for frame in self.send(frames.frame(frames.PING, 0, 0, b"areuthre"))
        )


def echo_server(loop: asyncio.AbstractEventLoop, **options: Any) -> GrpcServer:
    """test.Echo: every kind of method, and handlers that misbehave."""
    server = GrpcServer(loop, **options)

    def unary(message: bytes, context: RpcContext) -> bytes:
        return message

    def later(message: bytes, context: RpcContext) -> asyncio.Future[bytes]:
        future: asyncio.Future[bytes] = loop.create_future()
        loop.call_later(0.005, lambda: future.done() or future.set_result(message))
        return future

    async def coroutine(message: bytes, context: RpcContext) -> bytes:
        await asyncio.sleep(0)
        return message

    def metadata(message: bytes, context: RpcContext) -> bytes:
        context.set_initial_metadata([("x-initial", "first")])
        context.set_trailing_metadata([("x-trailing-bin", b"\x00\xff"), ("x-peer", context.peer)])
        lines = [f"{name}={value!r}" for name, value in sorted(context.metadata.items())]
        return "\n".join([context.method, *lines]).encode()

    def fails(message: bytes, context: RpcContext) -> bytes:
        raise RpcError(Status.FAILED_PRECONDITION, message.decode())

    def crashes(message: bytes, context: RpcContext) -> bytes:
        raise RuntimeError("a secret")

    async def download(requests: RequestStream, context: RpcContext) -> AsyncIterator[bytes]:
        size, count = map(int, (await anext(requests)).split())
        for number in range(count):
            yield number.to_bytes(4, "big") + bytes(size - 4)

    async def upload(requests: RequestStream, context: RpcContext) -> AsyncIterator[bytes]:
        count = total = 0
        async for message in requests:
            count += 1
            total += len(message)
        yield f"{count} {total}".encode()

    async def bidi(requests: RequestStream, context: RpcContext) -> AsyncIterator[bytes]:
        async for message in requests:
            if message == b"fail":
                raise RpcError(Status.ABORTED, "asked to")
            yield message

    server.add_unary("/test.Echo/Unary", unary)
    server.add_unary("/test.Echo/Later", later)
    server.add_unary("/test.Echo/Coroutine", coroutine)
    server.add_unary("/test.Echo/Metadata", metadata)
    server.add_unary("/test.Echo/Fails", fails)
    server.add_unary("/test.Echo/Crashes", crashes)
    server.add_stream("/test.Echo/Download", download, kind="server_stream")
    server.add_stream("/test.Echo/Upload", upload, kind="client_stream")
    server.add_stream("/test.Echo/Bidi", bidi)
    return server


class ServerThread:
    """A server on a loop and in a thread of its own, so that blocking clients can use it."""

    def __init__(
        self,
        kind: str,
        build: Callable[[asyncio.AbstractEventLoop], GrpcServer] = echo_server,
        *,
        router: Router | None = None,
        tls: ssl.SSLContext | None = None,
        **options: Any,
    ) -> None:
        self.loop = uvloop.new_event_loop() if kind == "uvloop" else asyncio.new_event_loop()
        self.server: PortServer
        self.errors: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self.loop.run_forever, name=f"front door on {kind}")
        self._thread.start()
        self.loop.call_soon_threadsafe(
            self.loop.set_exception_handler, lambda _loop, context: self.errors.append(context)
        )

        async def start() -> int:
            self.server = PortServer(self.loop, build(self.loop), router, **options)
            return (await self.server.start("127.0.0.1", 0, tls=tls))[0][1]

        self.port: int = self.run(start())
        self.address = f"127.0.0.1:{self.port}"

    def run(self, work: Any) -> Any:
        """Run a coroutine on the server's loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def call(self, function: Callable[[], Any]) -> Any:
        """Call a function on the server's loop and wait for it."""

        async def run() -> Any:
            return function()

        return self.run(run())

    def stop(self) -> None:
        self.run(self.server.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()
        assert not self.errors, self.errors


@contextlib.contextmanager
def serving(kind: str, *arguments: Any, **options: Any) -> Iterator[ServerThread]:
    """A `ServerThread` that is stopped afterwards."""
    thread = ServerThread(kind, *arguments, **options)
    try:
        yield thread
    finally:
        thread.stop()


async def until(condition: Callable[[], Any], timeout_s: float = 10.0) -> None:
    """Let the loop run until a condition holds."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.0005)
