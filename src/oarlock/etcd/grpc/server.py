"""The gRPC server: methods, and what one connection needs to call them. It listens through `oarlock.etcd.port`."""

import asyncio
import re
from collections.abc import Coroutine
from typing import Any

from oarlock.etcd.grpc import wire
from oarlock.etcd.grpc.assembly import AssemblyBudget
from oarlock.etcd.grpc.context import PeerInfo
from oarlock.etcd.grpc.deadlines import Deadlines
from oarlock.etcd.grpc.route import Method, MethodStats, Route, StreamHandler, UnaryHandler
from oarlock.etcd.grpc.status import RpcError, Status
from oarlock.etcd.grpc.streaming import StreamCall
from oarlock.etcd.grpc.unary import UnaryCall
from oarlock.etcd.http2 import Connection, HeadCache, RequestHead, Stream

DEFAULT_MAX_RECEIVE_BYTES = 2 * 1024 * 1024
"""etcd's: the largest request, 1.5 MiB, and 512 KiB for what surrounds it."""

_PATH = re.compile(r"/[^/]+(?:/[^/]+)*/[^/]+")
_ENCODINGS = frozenset({"identity", "gzip"})
_MAX_TIMEOUTS = 16_384


class Traffic:
    """Bytes of messages, as etcd counts them in etcd_network_client_grpc_{received,sent}_bytes_total."""

    __slots__ = ("received_bytes", "sent_bytes")

    def __init__(self) -> None:
        self.received_bytes = 0
        self.sent_bytes = 0


class GrpcServer:
    """The methods that can be called, and what has been called.

    Args:
        loop: The loop on which everything runs.
        max_receive_bytes: The largest message taken from a client.

    Attributes:
        traffic: Bytes of messages in and out.
        heads: Requests seen before, with their routes.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, *, max_receive_bytes: int = DEFAULT_MAX_RECEIVE_BYTES) -> None:
        self.loop = loop
        self.max_receive_bytes = max_receive_bytes
        self.deadlines = Deadlines(loop)
        self.traffic = Traffic()
        self.heads = HeadCache()
        self._methods: dict[str, Method] = {}
        self._services: set[str] = set()
        self._timeouts: dict[str, float] = {}
        self._tasks: dict[asyncio.Task[None], None] = {}

    def add_unary(self, path: str, handler: UnaryHandler) -> None:
        """Serve a unary method; `path` is `/package.Service/Method`.

        A future that the handler returns is cancelled when the call ends early: shield one that is shared.
        """
        self._add(Method(path, "unary", unary=handler))

    def add_stream(self, path: str, handler: StreamHandler, *, kind: str = "bidi_stream") -> None:
        """Serve a streaming method; `kind` is its name in the metrics."""
        self._add(Method(path, kind, stream=handler))

    def _add(self, method: Method) -> None:
        if not _PATH.fullmatch(method.path):
            raise ValueError(f"method path {method.path!r} is not of the form /package.Service/Method")
        if method.path in self._methods:
            raise ValueError(f"method {method.path} is served already")
        self._methods[method.path] = method
        self._services.add(method.stats.service)
        self.heads.heads.clear()

    def statistics(self) -> list[MethodStats]:
        """The counters of every method, in the order in which they were added."""
        return [method.stats for method in self._methods.values()]

    def route(self, head: RequestHead) -> Route:
        """Where a request of gRPC's content type goes."""
        path = head.path
        if head.method != "POST":
            text = f"http2Server.operateHeaders parsed a :method field: {head.method} which should be POST"
            return Route(path, refusal=(Status.INTERNAL, text, 405))
        method = self._methods.get(path)
        if method is None:
            return Route(path, refusal=(Status.UNIMPLEMENTED, self._unknown(path), 200))
        encoding = head.get("grpc-encoding") or "identity"
        if encoding not in _ENCODINGS:
            text = f'grpc: Decompressor is not installed for grpc-encoding "{encoding}"'
            return Route(path, refusal=(Status.UNIMPLEMENTED, text, 200))
        try:
            metadata = wire.decode_metadata(head.fields)
        except RpcError as error:
            return Route(path, refusal=(error.code, error.message, 200))
        return Route(path, method=method, all_metadata=metadata, encoding=encoding)

    def _unknown(self, path: str) -> str:
        service, slash, name = path[1:].rpartition("/")
        if not slash:
            return f'malformed method name: "{path}"'
        if service in self._services:
            return f"unknown method {name} for service {service}"
        return f"unknown service {service}"

    def timeout_seconds(self, value: str) -> float:
        """What a `grpc-timeout` says; remembered, because clients repeat themselves.

        Raises:
            RpcError: It is malformed.
        """
        seconds = self._timeouts.get(value)
        if seconds is None:
            seconds = wire.parse_timeout(value)
            if len(self._timeouts) >= _MAX_TIMEOUTS:
                self._timeouts.clear()
            self._timeouts[value] = seconds
        return seconds

    def start_task(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a streaming handler."""
        task = self.loop.create_task(work)
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)
        return task

    async def close(self) -> None:
        """Cancel the handlers that still run, and wait for them; the connections are closed before."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.deadlines.close()


def is_grpc(content_type: str) -> bool:
    """Whether a content type is gRPC's: `application/grpc`, alone or with a suffix or parameters."""
    kind = content_type.lower()
    return kind.startswith("application/grpc") and kind[16:17] in {"", "+", ";"}


class GrpcConnection:
    """The calls of one connection: an `Application` for HTTP/2.

    Args:
        server: The methods.
        peer: Who calls them.
        window_bytes: What a client may send on a stream before its call takes it.
    """

    def __init__(self, server: GrpcServer, peer: PeerInfo, window_bytes: int) -> None:
        self._server = server
        self.peer = peer
        self.http2: Connection
        self.loop = server.loop
        self.deadlines = server.deadlines
        self.traffic = server.traffic
        self.max_receive_bytes = server.max_receive_bytes
        self.window_bytes = window_bytes
        self.assembly = AssemblyBudget()
        self.start_task = server.start_task

    def request(self, stream: Stream, head: RequestHead, volatile: str | None, ended: bool) -> None:
        """Begin a call."""
        route = head.route
        if route is None:
            if not is_grpc(head.get("content-type") or ""):
                self.plain(stream, head, ended)
                return
            route = head.route = self._server.route(head)
        assert isinstance(route, Route)  # noqa: S101 - nobody else sets it
        if route.method is None:
            assert route.refusal is not None  # noqa: S101 - one of the two is there
            self._refuse(stream, *route.refusal)
            return
        timeout: float | None = None
        if volatile is not None:
            try:
                timeout = self._server.timeout_seconds(volatile)
            except RpcError as error:
                self._refuse(stream, error.code, error.message, 400)
                return
        method = route.method
        call: UnaryCall | StreamCall
        if method.unary is not None:
            call = UnaryCall(self, stream, route, timeout, method.unary, method.stats)
        else:
            call = StreamCall(self, stream, route, timeout, method)
        stream.receiver = call
        if ended:
            call.data(b"", True)

    def plain(self, stream: Stream, head: RequestHead, ended: bool) -> None:  # noqa: ARG002
        """Answer what is not gRPC; a port that serves plain requests too has another answer."""
        content_type = head.get("content-type") or ""
        self._refuse(stream, Status.INTERNAL, f'invalid gRPC request content-type "{content_type}"', 415)

    def _refuse(self, stream: Stream, code: Status, message: str, http_status: int) -> None:
        block = wire.trailers_only(code, message, http_status=http_status)
        self.http2.send_headers(stream, block, end_stream=True)
