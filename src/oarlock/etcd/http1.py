"""HTTP/1.1 on `h11`, and the router of the plain endpoints, which HTTP/2 serves too (RFC 9110, RFC 9112)."""

import asyncio
import http
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import cast
from urllib.parse import parse_qs, unquote, urlsplit

import h11
import msgspec

_logger = logging.getLogger(__name__)

_EARLY_BYTES = 64 * 1024
_MAX_QUERY_FIELDS = 100
_CLOSE_TIMEOUT_S = 20.0


class HttpLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a client of plain HTTP may make grow.

    Attributes:
        max_header_bytes: Request line and fields together.
        max_body_bytes: Of a request; more is answered with status 413.
        request_timeout_s: From a request's first byte to its last.
        idle_timeout_s: Between requests.
        stall_timeout_s: How long a client may take nothing of a response.
    """

    max_header_bytes: int = 64 * 1024
    max_body_bytes: int = 4 * 1024 * 1024
    request_timeout_s: float = 60.0
    idle_timeout_s: float = 600.0
    stall_timeout_s: float = 300.0


class HttpRequest:
    """A request, whole.

    Attributes:
        method: In capitals.
        path: Decoded, without the query.
        query: The query's fields, each with its values in order.
        headers: Names in lower case; repeated fields are joined with commas.
        body: All of it.
        peer: The client's address as `host:port`.
        peer_common_name: The common name in the client's verified certificate, or None.
    """

    __slots__ = ("body", "headers", "method", "path", "peer", "peer_common_name", "query")

    def __init__(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes,
        *,
        peer: str = "unknown",
        peer_common_name: str | None = None,
    ) -> None:
        """Take a request's target apart.

        Raises:
            ValueError: The target is not a URL, or has too many fields.
        """
        parts = urlsplit(target if not target.startswith("//") else "/" + target.lstrip("/"))
        self.method = method
        self.path = unquote(parts.path)
        self.query = parse_qs(parts.query, keep_blank_values=True, max_num_fields=_MAX_QUERY_FIELDS)
        self.headers = headers
        self.body = body
        self.peer = peer
        self.peer_common_name = peer_common_name


class HttpResponse:
    """A response: its body is bytes, or an asynchronous iterator that is sent piece by piece as it comes."""

    __slots__ = ("body", "headers", "status")

    def __init__(
        self,
        status: int,
        body: bytes | AsyncIterator[bytes] = b"",
        headers: Sequence[tuple[str, str]] = (),
        *,
        content_type: str = "text/plain; charset=utf-8",
    ) -> None:
        self.status = status
        self.body = body
        self.headers = [("content-type", content_type), *headers]


HttpHandler = Callable[[HttpRequest], HttpResponse | Awaitable[HttpResponse]]


class Router:
    """Handlers by path and method; HEAD is answered by GET's handler without the body."""

    def __init__(self) -> None:
        self._exact: dict[str, dict[str, HttpHandler]] = {}
        self._prefixes: dict[str, dict[str, HttpHandler]] = {}

    def add(self, path: str, handler: HttpHandler, *, methods: Sequence[str] = ("GET",)) -> None:
        """Serve a path; one that ends in `/*` serves everything below it that is not served itself."""
        table, key = (self._prefixes, path[:-1]) if path.endswith("/*") else (self._exact, path)
        by_method = table.setdefault(key, {})
        for method in methods:
            if method in by_method:
                raise ValueError(f"{method} {path} is served already")
            by_method[method] = handler

    def find(self, method: str, path: str) -> HttpHandler | HttpResponse:
        """The handler of a request, or the 404 or 405 that answers it."""
        by_method = self._exact.get(path)
        if by_method is None:
            below = [prefix for prefix in self._prefixes if path.startswith(prefix)]
            if not below:
                return HttpResponse(404, b"404 page not found\n")
            by_method = self._prefixes[max(below, key=len)]
        handler = by_method.get("GET" if method == "HEAD" else method)
        if handler is None:
            return HttpResponse(405, b"Method Not Allowed\n", [("allow", ", ".join(sorted(by_method)))])
        return handler

    async def answer(self, request: HttpRequest) -> HttpResponse:
        """The response to a request; a handler that fails is logged, and answered with status 500."""
        handler = self.find(request.method, request.path)
        if isinstance(handler, HttpResponse):
            return handler
        try:
            answer = handler(request)
            return answer if isinstance(answer, HttpResponse) else await answer
        except Exception:
            _logger.exception("handler of %s %s failed", request.method, request.path)
            return HttpResponse(500, b"internal server error\n")


class Http1Protocol(asyncio.Protocol):
    """One HTTP/1.1 connection, one request at a time.

    Args:
        loop: The running loop.
        router: Who answers.
        limits: What the client may make grow.
        peer: The client's address.
        peer_common_name: From its certificate.
        on_closed: Called when the connection is gone.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        router: Router,
        limits: HttpLimits,
        *,
        peer: str,
        peer_common_name: str | None,
        on_closed: Callable[["Http1Protocol"], None],
    ) -> None:
        self._loop = loop
        self._router = router
        self._limits = limits
        self._peer = peer
        self._peer_common_name = peer_common_name
        self._on_closed = on_closed
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=limits.max_header_bytes)
        self._transport: asyncio.Transport
        self._request: h11.Request | None = None
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._early_bytes = 0
        self._task: asyncio.Task[None] | None = None
        self._is_streaming = False
        self._ends_after_response = False
        self._is_closed = False
        self._drained: asyncio.Future[None] | None = None
        self._is_paused = False
        self._since = loop.time()
        self._is_idle = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The transport is ours."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Take in bytes; answer when a request is whole."""
        if self._is_closed:
            return
        if self._task is not None:
            # The next request comes before this one is answered: let it wait in the socket.
            self._early_bytes += len(data)
            if self._early_bytes > _EARLY_BYTES:
                self._transport.pause_reading()
        self._feed(data)

    def eof_received(self) -> bool:
        """The client says no more: it may still wait for its answer, but a stream is ended by this."""
        if self._is_closed:
            return False
        self._feed(b"")
        if self._task is None or self._is_streaming or self._transport.get_extra_info("ssl_object") is not None:
            return False
        self._ends_after_response = True
        return True

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Stop the handler."""
        self._is_closed = True
        if self._task is not None:
            self._task.cancel()
        self._on_closed(self)

    def pause_writing(self) -> None:
        """The client reads slowly: a streaming handler waits, and so does the next request."""
        self._is_paused = True
        self._since = self._loop.time()
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """The client reads again."""
        self._is_paused = False
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        if not self._is_closed:
            self._transport.resume_reading()
            self._feed_pending()

    def check(self, now: float) -> None:
        """Look for what should have happened and has not; called about once a second."""
        limits = self._limits
        if self._is_closed:
            timeout = _CLOSE_TIMEOUT_S
        elif self._is_paused:
            timeout = limits.stall_timeout_s
        elif self._task is not None:
            return
        else:
            timeout = limits.idle_timeout_s if self._is_idle else limits.request_timeout_s
        if now - self._since > timeout:
            self.abort()

    def drain(self) -> None:
        """End after the response in progress."""
        self._ends_after_response = True
        if self._task is None and self._is_idle:
            self._close()

    def abort(self) -> None:
        """End at once."""
        self._transport.abort()

    def _feed(self, data: bytes) -> None:
        if data and self._is_idle:
            self._is_idle = False
            self._since = self._loop.time()
        try:
            self._http.receive_data(data)
            self._advance()
        except (h11.RemoteProtocolError, ValueError) as error:
            status = error.error_status_hint if isinstance(error, h11.RemoteProtocolError) else 400
            self._refuse(status or 400, str(error))

    def _advance(self) -> None:
        """Act on what has come, up to the end of one request."""
        while self._task is None and not self._is_closed and not self._is_paused:
            event = self._http.next_event()
            if event is h11.NEED_DATA or event is h11.PAUSED:
                return
            if isinstance(event, h11.Request):
                self._begin(event)
            elif isinstance(event, h11.Data):
                self._body.append(bytes(event.data))
                self._body_bytes += len(event.data)
                if self._body_bytes > self._limits.max_body_bytes:
                    self._refuse(413, f"the request's body exceeds {self._limits.max_body_bytes} bytes")
            elif isinstance(event, h11.EndOfMessage):
                self._dispatch()
            elif isinstance(event, h11.ConnectionClosed):
                self._close()

    def _begin(self, request: h11.Request) -> None:
        self._request = request
        self._body = []
        self._body_bytes = 0
        if self._http.they_are_waiting_for_100_continue:
            self._write(self._http.send(h11.InformationalResponse(status_code=100, headers=[])))

    def _dispatch(self) -> None:
        event = self._request
        assert event is not None  # noqa: S101 - h11 gives a request before its end
        headers: dict[str, str] = {}
        for raw_name, raw_value in event.headers:
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]},{value}" if name in headers else value
        request = HttpRequest(
            event.method.decode("ascii"),
            event.target.decode("latin-1"),
            headers,
            b"".join(self._body),
            peer=self._peer,
            peer_common_name=self._peer_common_name,
        )
        self._body = []
        self._task = self._loop.create_task(self._serve(request))
        self._task.add_done_callback(self._served)

    async def _serve(self, request: HttpRequest) -> None:
        response = await self._router.answer(request)
        if isinstance(response.body, bytes):
            self._send_whole(request, response, response.body)
        else:
            await self._send_stream(request, response, response.body)

    def _served(self, task: asyncio.Task[None]) -> None:
        self._task = None
        self._is_streaming = False
        if self._is_closed or task.cancelled():
            return
        error = task.exception()
        if error is not None:
            # The response has begun: breaking it off is the only way to say that it is not whole.
            _logger.error("response broken off", exc_info=error)
            self.abort()
            return
        self._response_done()
        if not self._is_closed:
            self._early_bytes = 0
            if not self._is_paused:
                self._transport.resume_reading()
            self._feed_pending()

    def _feed_pending(self) -> None:
        try:
            self._advance()
        except (h11.RemoteProtocolError, ValueError) as error:
            self._refuse(400, str(error))

    def _send_whole(self, request: HttpRequest, response: HttpResponse, body: bytes) -> None:
        headers = [*response.headers, ("content-length", str(len(body)))]
        parts = [self._head(response.status, headers)]
        if request.method != "HEAD" and body:
            parts.append(self._http.send(h11.Data(data=body)))
        parts.append(self._http.send(h11.EndOfMessage()))
        self._write(b"".join(part for part in parts if part))

    async def _send_stream(self, request: HttpRequest, response: HttpResponse, body: AsyncIterator[bytes]) -> None:
        self._is_streaming = True
        try:
            self._write(self._head(response.status, response.headers))
            if request.method != "HEAD":
                async for piece in body:
                    self._write(self._http.send(h11.Data(data=piece)))
                    if self._is_paused:
                        self._drained = self._loop.create_future()
                        await self._drained
            self._write(self._http.send(h11.EndOfMessage()))
        finally:
            close = getattr(body, "aclose", None)
            if close is not None:
                await close()

    def _head(self, status: int, headers: Sequence[tuple[str, str]]) -> bytes | None:
        fields = [(name.encode(), value.encode("latin-1")) for name, value in headers]
        if self._ends_after_response:
            fields.append((b"connection", b"close"))
        reason = http.HTTPStatus(status).phrase.encode()
        return self._http.send(h11.Response(status_code=status, headers=fields, reason=reason))

    def _write(self, data: bytes | None) -> None:
        if data and not self._is_closed:
            self._transport.write(data)

    def _response_done(self) -> None:
        """Begin the next request, or end."""
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE and not self._ends_after_response:
            self._http.start_next_cycle()
            self._request = None
            self._since = self._loop.time()
            self._is_idle = not self._http.trailing_data[0]
        else:
            self._close()

    def _refuse(self, status: int, reason: str) -> None:
        """Answer what cannot be a request, and close: what follows on the connection cannot be understood."""
        if self._task is None and self._http.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            body = reason.encode("utf-8", "replace") + b"\n"
            self._ends_after_response = True
            headers = [("content-type", "text/plain; charset=utf-8"), ("content-length", str(len(body)))]
            head = self._head(status, headers) or b""
            self._write(head + (self._http.send(h11.Data(data=body)) or b""))
        self._close()

    def _close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._since = self._loop.time()
            self._transport.close()
