"""Plain requests over HTTP/2, answered by the router that answers HTTP/1.1: what `curl` sends after ALPN."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from oarlock.etcd.grpc import GrpcConnection
from oarlock.etcd.http1 import HttpRequest, HttpResponse, Router
from oarlock.etcd.http2 import ErrorCode, HeaderBlock, RequestHead, Stream

_PENDING_HIGH_BYTES = 64 * 1024


class PlainCall:
    """One request: collects its body, then answers."""

    def __init__(
        self,
        connection: GrpcConnection,
        router: Router,
        stream: Stream,
        head: RequestHead,
        max_body_bytes: int,
        *,
        ended: bool,
    ) -> None:
        self._connection = connection
        self._router = router
        self._stream = stream
        self._head = head
        self._max_body_bytes = max_body_bytes
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._is_over = False
        self._task: asyncio.Task[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        stream.receiver = self
        if ended:
            self._dispatch()

    def data(self, payload: bytes, ended: bool) -> None:
        """Collect the body."""
        self._body.append(payload)
        self._body_bytes += len(payload)
        if self._body_bytes > self._max_body_bytes:
            text = f"the request's body exceeds {self._max_body_bytes} bytes\n"
            self._send_whole(HttpResponse(413, text.encode()), text.encode())
        elif ended:
            self._dispatch()
        else:
            self._connection.http2.allow(self._stream, self._connection.window_bytes)

    def reset(self, code: int | None) -> None:  # noqa: ARG002
        """The client no longer wants it."""
        self._is_over = True
        if self._task is not None:
            self._task.cancel()

    def writable(self) -> None:
        """The client has taken most of what waited for it."""
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    def _dispatch(self) -> None:
        head, peer = self._head, self._connection.peer
        headers: dict[str, str] = {"host": head.authority}
        for name, value in head.fields:
            headers[name] = f"{headers[name]},{value}" if name in headers and name != "host" else value
        try:
            request = HttpRequest(
                head.method,
                head.path,
                headers,
                b"".join(self._body),
                peer=peer.address,
                peer_common_name=peer.common_name,
            )
        except ValueError as error:
            text = f"{error}\n".encode()
            self._send_whole(HttpResponse(400, text), text)
            return
        self._task = self._connection.start_task(self._serve(request))

    async def _serve(self, request: HttpRequest) -> None:
        response = await self._router.answer(request)
        if self._is_over:
            return
        if isinstance(response.body, bytes):
            self._send_whole(response, response.body)
        else:
            await self._send_stream(response, response.body)

    def _send_whole(self, response: HttpResponse, body: bytes) -> None:
        self._is_over = True
        http2 = self._connection.http2
        head = _head(response.status, [*response.headers, ("content-length", str(len(body)))])
        if body and self._head.method != "HEAD":
            http2.send_headers(self._stream, head)
            http2.send_data(self._stream, body, end_stream=True)
        else:
            http2.send_headers(self._stream, head, end_stream=True)

    async def _send_stream(self, response: HttpResponse, body: AsyncIterator[bytes]) -> None:
        http2 = self._connection.http2
        try:
            http2.send_headers(self._stream, _head(response.status, response.headers))
            async for piece in body:
                http2.send_data(self._stream, piece)
                if self._stream.pending_bytes >= _PENDING_HIGH_BYTES:
                    self._drained = self._connection.loop.create_future()
                    self._stream.wants_writable = True
                    await self._drained
            http2.send_data(self._stream, b"", end_stream=True)
            self._is_over = True
        finally:
            if not self._is_over:
                http2.reset(self._stream.id, ErrorCode.INTERNAL_ERROR)
            close = getattr(body, "aclose", None)
            if close is not None:
                await close()


def _head(status: int, headers: Sequence[tuple[str, str]]) -> HeaderBlock:
    fields = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    return HeaderBlock([(b":status", b"%d" % status), *fields])
