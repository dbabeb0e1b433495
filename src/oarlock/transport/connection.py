"""What both directions of a TCP connection share: its socket options, its frames, its one end."""

import asyncio
import socket
from collections.abc import Sequence
from typing import Final, cast

from oarlock.transport.framing import FrameDecoder
from oarlock.transport.handshake import HELLO_LIMIT_BYTES
from oarlock.transport.log import logger

LINGER_S: Final = 1.0
"""How long a connection being closed may take to hand over its last bytes, in seconds."""

_KEEPALIVE_OPTIONS: Final = (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))


class Connection(asyncio.Protocol):
    """A connection that ends exactly once, whichever side or timer ends it.

    `ended` is set when the loop has let go of the socket; `end_reason` then says why in words.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: asyncio.Transport
        self._has_transport = False
        self._peername: object = None
        self._decoder = FrameDecoder(HELLO_LIMIT_BYTES)
        self._timer: asyncio.TimerHandle | None = None
        self._closing = False
        self.ended: asyncio.Future[None] = loop.create_future()
        self.end_reason = ""

    @property
    def is_closing(self) -> bool:
        """Whether the connection has ended or is about to."""
        return self._closing

    @property
    def holds_socket(self) -> bool:
        """Whether the loop has a socket for this connection that is not closed yet."""
        return self._has_transport and not self.ended.done()

    @property
    def remote(self) -> str:
        """The other end's address, for log lines."""
        return f"{self._peername[0]}:{self._peername[1]}" if isinstance(self._peername, tuple) else "?"

    async def wait_ended(self) -> None:
        """Wait until the loop has let go of the socket; unlike awaiting `ended`, cancelling this leaves that alone."""
        await asyncio.wait([self.ended])

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport that the loop has connected."""
        self._transport = cast("asyncio.Transport", transport)
        self._has_transport = True
        self._peername = transport.get_extra_info("peername")
        tune_socket(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Finish: no timer, callback or message of this connection comes after this."""
        if exc is None:
            self._note_end("closed by the other side")
        else:
            self._note_end(str(exc) or type(exc).__name__)
        if not self.ended.done():
            self.ended.set_result(None)

    def fail(self, reason: str) -> None:
        """End the connection at once, dropping what is still to be written."""
        self._note_end(reason)
        if self._has_transport:
            self._transport.abort()

    def finish(self, reason: str) -> None:
        """End the connection after what is already written, within `LINGER_S`."""
        self._note_end(reason)
        if self._has_transport:
            self._transport.close()
            self._timer = self._loop.call_later(LINGER_S, self._transport.abort)

    def _note_end(self, reason: str) -> None:
        """Stop every activity of a living connection; the first reason stands."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._closing:
            self._closing = True
            self.end_reason = reason


def tune_socket(transport: asyncio.BaseTransport) -> None:
    """Send small messages at once, and let the kernel find a vanished peer too.

    A transport without a socket of the system's (an embedding loop's, a simulated one) is left as it is.
    """
    peer_socket = transport.get_extra_info("socket")
    if peer_socket is None or peer_socket.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    try:
        peer_socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer_socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE_OPTIONS:
            if hasattr(socket, name):
                peer_socket.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    except OSError as error:
        # The other side may be gone already; the connection then ends by itself.
        logger.debug("socket options not set: %s", error)


async def wait_all_ended(connections: Sequence[Connection]) -> None:
    """Wait until the loop has let go of every socket; `finish` and `fail` have been called, so this is bounded."""
    pending = [connection.ended for connection in connections if connection.holds_socket]
    if pending:
        await asyncio.wait(pending, timeout=2 * LINGER_S)
