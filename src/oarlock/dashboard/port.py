"""The dashboard's own port: HTTP/1.1 and nothing else, for few connections."""

import asyncio
from typing import Final

from oarlock.dashboard.guard import SAFETY_HEADERS
from oarlock.dashboard.hub import Hub, HubFull
from oarlock.dashboard.sse import CONTENT_TYPE
from oarlock.etcd.http1 import Http1Protocol, HttpLimits, HttpResponse, Router

_LIMITS: Final = HttpLimits(
    max_header_bytes=16 << 10,
    max_body_bytes=256 << 10,
    request_timeout_s=10.0,
    idle_timeout_s=60.0,
    stall_timeout_s=30.0,
)
_CHECK_S: Final = 1.0
MAX_CONNECTIONS: Final = 64


class DashboardPort:
    """Listens at one address."""

    def __init__(self, loop: asyncio.AbstractEventLoop, router: Router) -> None:
        self._loop = loop
        self._router = router
        self._server: asyncio.Server | None = None
        self._connections: dict[Http1Protocol, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._all_closed = asyncio.Event()

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Listen.

        Returns:
            Where, with the port that was chosen for 0.

        Raises:
            OSError: The address cannot be listened on.
        """
        self._server = await self._loop.create_server(self._accept, host, port)
        self._timer = self._loop.call_later(_CHECK_S, self._check)
        bound: tuple[str, int] = self._server.sockets[0].getsockname()[:2]
        return bound

    async def close(self) -> None:
        """End all connections."""
        if self._server is None or self._timer is None:
            return
        self._timer.cancel()
        self._server.close()
        for connection in list(self._connections):
            connection.abort()
        if self._connections:
            self._all_closed.clear()
            await self._all_closed.wait()

    def _accept(self) -> asyncio.Protocol:
        if len(self._connections) >= MAX_CONNECTIONS:
            return _TurnedAway()
        connection = Http1Protocol(
            self._loop, self._router, _LIMITS, peer="browser", peer_common_name=None, on_closed=self._closed
        )
        self._connections[connection] = None
        return connection

    def _closed(self, connection: Http1Protocol) -> None:
        self._connections.pop(connection, None)
        if not self._connections:
            self._all_closed.set()

    def _check(self) -> None:
        now = self._loop.time()
        for connection in list(self._connections):
            connection.check(now)
        self._timer = self._loop.call_later(_CHECK_S, self._check)


class _TurnedAway(asyncio.Protocol):
    """One connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


def stream_of(hub: Hub) -> HttpResponse:
    """The answer to who wants to watch."""
    try:
        subscription = hub.subscribe()
    except HubFull as error:
        return HttpResponse(503, f"{error}\n".encode(), SAFETY_HEADERS)
    return HttpResponse(200, subscription, SAFETY_HEADERS, content_type=CONTENT_TYPE)
