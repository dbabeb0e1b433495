"""One port for everything: HTTP/2 with gRPC, and HTTP/1.1, told apart by ALPN or by the first bytes."""

import asyncio
import logging
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, cast
from urllib.parse import urlsplit

from oarlock.etcd.grpc import GrpcConnection, GrpcServer, PeerInfo
from oarlock.etcd.handshakes import Handshakes, address_of
from oarlock.etcd.http1 import Http1Protocol, HttpLimits, Router
from oarlock.etcd.http2 import PREFACE, Backlog, Http2Protocol, Limits, RequestHead, Stream
from oarlock.etcd.plain import PlainCall

_logger = logging.getLogger(__name__)

CHECK_INTERVAL_S = 1.0
"""How often connections are looked at for what they should have done."""

_BACKLOG = 1024


def server_tls_context(
    cert_file: Path, key_file: Path, *, trusted_ca_file: Path | None = None, client_cert_auth: bool = False
) -> ssl.SSLContext:
    """A context for serving HTTP/2 and HTTP/1.1 over TLS 1.2 or later.

    Args:
        cert_file: The server's certificate chain, PEM.
        key_file: Its key, PEM.
        trusted_ca_file: Authorities of client certificates, PEM. As in etcd, naming them demands
            certificates.
        client_cert_auth: Demand certificates, checked against `trusted_ca_file` or the system's authorities.

    Raises:
        OSError, ssl.SSLError: A file cannot be read, or does not hold what it should.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2", "http/1.1"])
    context.load_cert_chain(cert_file, key_file)
    if trusted_ca_file is not None:
        context.load_verify_locations(trusted_ca_file)
    elif client_cert_auth:
        context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
    if trusted_ca_file is not None or client_cert_auth:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


class Served(Protocol):
    """A connection, whatever it speaks."""

    def check(self, now: float) -> None:
        """Look for what should have happened and has not."""

    def drain(self) -> None:
        """End when what is going on has been finished."""

    def abort(self) -> None:
        """End at once."""


class PortServer:
    """Listens, tells protocols apart, limits and drains connections.

    Args:
        loop: The running loop.
        grpc: Answers gRPC.
        http: Answers everything else, over HTTP/1.1 and HTTP/2.
        limits: For HTTP/2 connections.
        http_limits: For HTTP/1.1 connections and plain requests.
        max_connections: More are closed as soon as they are accepted.
        backlog: Bounds what waits for all clients together.

    Attributes:
        accepted: Connections accepted so far.
        rejected: Connections closed because there were too many.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        grpc: GrpcServer,
        http: Router | None = None,
        *,
        limits: Limits | None = None,
        http_limits: HttpLimits | None = None,
        max_connections: int = 10_000,
        backlog: Backlog | None = None,
    ) -> None:
        self.loop = loop
        self.grpc = grpc
        self.http = http or Router()
        self.limits = limits or Limits()
        self.http_limits = http_limits or HttpLimits()
        self.max_connections = max_connections
        self.backlog = backlog or Backlog()
        self.accepted = 0
        self.rejected = 0
        self._servers: list[asyncio.Server] = []
        self._connections: dict[Served, None] = {}
        self._handshakes = Handshakes(loop, self.limits.preface_timeout_s, self._has_room)
        self._is_draining = False
        self._all_closed = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    async def start(
        self, host: str | Sequence[str] | None, port: int, *, tls: ssl.SSLContext | None = None
    ) -> list[tuple[str, int]]:
        """Listen on one more address; a name may stand for several.

        Returns:
            The addresses, with the ports that were chosen if `port` is 0.

        Raises:
            OSError: The address cannot be listened on.
        """

        def accepted() -> asyncio.Protocol:
            return _Sniffer(self) if tls is None else self._handshakes.gate(tls, lambda: _Sniffer(self))

        server = await self.loop.create_server(accepted, host, port, backlog=_BACKLOG)
        self._servers.append(server)
        if self._timer is None:
            self._timer = self.loop.call_later(CHECK_INTERVAL_S, self._check)
        return [socket.getsockname()[:2] for socket in server.sockets]

    async def start_url(self, url: str, *, tls: ssl.SSLContext | None = None) -> list[tuple[str, int]]:
        """Listen on a URL as etcd writes them: `http://127.0.0.1:2379`, `https://localhost:2379`.

        Raises:
            ValueError: The URL is something else, or `https` without `tls`.
        """
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path not in {"", "/"}:
            raise ValueError(f"listen URL {url!r} is not http://host:port or https://host:port")
        if parts.port is None:
            raise ValueError(f"listen URL {url!r} has no port")
        if parts.scheme == "https" and tls is None:
            raise ValueError(f"listen URL {url!r} needs a certificate and a key")
        return await self.start(parts.hostname, parts.port, tls=tls if parts.scheme == "https" else None)

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._connections)

    async def drain(self, grace_s: float) -> None:
        """Stop listening, let what is going on finish for so long, then end every connection and handler."""
        self._is_draining = True
        for server in self._servers:
            server.close()
        for connection in list(self._connections):
            connection.drain()
        try:
            async with asyncio.timeout(grace_s):
                while self._connections:
                    self._all_closed.clear()
                    await self._all_closed.wait()
        except TimeoutError:
            _logger.info("%d connections are still open after %g s; closing them", len(self._connections), grace_s)
        await self.close()

    async def close(self) -> None:
        """End every connection and handler at once."""
        self._is_draining = True
        for server in self._servers:
            server.close()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        await self._handshakes.close()
        while self._connections:
            for connection in list(self._connections):
                connection.abort()
            self._all_closed.clear()
            await self._all_closed.wait()
        await self.grpc.close()

    def _check(self) -> None:
        now = self.loop.time()
        for connection in list(self._connections):
            connection.check(now)
        self._timer = self.loop.call_later(CHECK_INTERVAL_S, self._check)

    def opened(self, connection: "_Sniffer", *, is_counted: bool) -> bool:
        """A connection can be used; False when it must go. `is_counted`: it had its place during its handshake."""
        if self._is_draining or not (is_counted or self._has_room()):
            return False
        self.accepted += 1
        self._connections[connection] = None
        return True

    def _has_room(self) -> bool:
        """Whether one more connection may be; counts those that may not."""
        if self._is_draining or len(self._connections) + len(self._handshakes) >= self.max_connections:
            self.rejected += 1
            return False
        return True

    def replaced(self, before: Served, after: Served) -> None:
        """A connection's protocol is known."""
        del self._connections[before]
        self._connections[after] = None
        if self._is_draining:
            after.drain()

    def closed(self, connection: Served) -> None:
        """A connection is gone."""
        self._connections.pop(connection, None)
        if not self._connections:
            self._all_closed.set()


class _Sniffer(asyncio.Protocol):
    """A connection of which nothing is known yet."""

    def __init__(self, server: PortServer) -> None:
        self._server = server
        self._transport: asyncio.Transport
        self._data = b""
        self._opened_at = server.loop.time()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        tls = transport.get_extra_info("ssl_object")
        if not self._server.opened(self, is_counted=tls is not None):
            self._transport.abort()
            return
        chosen = tls.selected_alpn_protocol() if tls is not None else None
        if chosen == "h2":
            self._become(self._http2())
        elif chosen == "http/1.1":
            self._become(self._http1())

    def data_received(self, data: bytes) -> None:
        self._data += data
        if self._data.startswith(PREFACE[:16]):
            self._become(self._http2())
        elif not PREFACE.startswith(self._data[:16]):
            self._become(self._http1())

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._server.closed(self)

    def check(self, now: float) -> None:
        if now - self._opened_at > self._server.limits.preface_timeout_s:
            self._transport.abort()

    def drain(self) -> None:
        self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    def _peer(self) -> PeerInfo:
        return PeerInfo(address_of(self._transport), _common_name(self._transport))

    def _http1(self) -> Http1Protocol:
        peer, server = self._peer(), self._server
        return Http1Protocol(
            server.loop,
            server.http,
            server.http_limits,
            peer=peer.address,
            peer_common_name=peer.common_name,
            on_closed=server.closed,
        )

    def _http2(self) -> Http2Protocol:
        peer, server = self._peer(), self._server
        return Http2Protocol(
            server.loop,
            _PortApplication(server, peer),
            server.limits,
            server.grpc.heads,
            server.backlog,
            server.closed,
            peer=peer.address,
        )

    def _become(self, protocol: Http1Protocol | Http2Protocol) -> None:
        data, self._data = self._data, b""
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        self._server.replaced(self, protocol)
        if data:
            protocol.data_received(data)


class _PortApplication(GrpcConnection):
    """Serves plain requests beside gRPC on an HTTP/2 connection."""

    def __init__(self, server: PortServer, peer: PeerInfo) -> None:
        super().__init__(server.grpc, peer, server.limits.stream_window_bytes)
        self._router = server.http
        self._max_body_bytes = server.http_limits.max_body_bytes

    def plain(self, stream: Stream, head: RequestHead, ended: bool) -> None:
        """Begin a plain request."""
        PlainCall(self, self._router, stream, head, self._max_body_bytes, ended=ended)


def _common_name(transport: asyncio.Transport) -> str | None:
    tls = transport.get_extra_info("ssl_object")
    certificate = tls.getpeercert() if tls is not None else None
    for relative_name in (certificate or {}).get("subject", ()):
        for name, value in relative_name:
            if name == "commonName":
                return str(value)
    return None
