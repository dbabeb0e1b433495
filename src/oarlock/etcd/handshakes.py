"""TLS handshakes on a client port: each can be counted, ended and, if it fails, told of in the log."""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from typing import cast

_logger = logging.getLogger(__name__)

_LOG_INTERVAL_S = 1.0


class Handshakes:
    """Secures accepted connections.

    The loop's server could do that itself, but it tells nobody of a handshake that fails.

    Args:
        loop: The running loop.
        timeout_s: How long a handshake may take.
        may_begin: Whether there is room for one more connection; whoever says no counts it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, timeout_s: float, may_begin: Callable[[], bool]) -> None:
        self._loop = loop
        self._timeout_s = timeout_s
        self._may_begin = may_begin
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._next_line_at = loop.time()
        self._unlogged = 0

    def __len__(self) -> int:
        """How many are under way."""
        return len(self._tasks)

    def gate(self, context: ssl.SSLContext, make: Callable[[], asyncio.Protocol]) -> asyncio.Protocol:
        """A protocol for one accepted socket: `make` gives the one that follows when the connection is secure."""
        return _Gate(self, context, make)

    def begin(
        self, transport: asyncio.Transport, context: ssl.SSLContext, make: Callable[[], asyncio.Protocol]
    ) -> None:
        """Secure the connection behind a transport that has read nothing yet."""
        peer = address_of(transport)
        if not self._may_begin():
            return
        try:
            accepted: socket.socket = transport.get_extra_info("socket").dup()
        except OSError as error:
            self._log(peer, error)
            return
        task = self._loop.create_task(self._secure(accepted, context, make, peer))
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)

    async def close(self) -> None:
        """End those under way."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _secure(
        self, accepted: socket.socket, context: ssl.SSLContext, make: Callable[[], asyncio.Protocol], peer: str
    ) -> None:
        try:
            await self._loop.connect_accepted_socket(make, accepted, ssl=context, ssl_handshake_timeout=self._timeout_s)
        except OSError as error:  # ssl.SSLError is one, and so are what a lost connection and a timeout raise
            self._log(peer, error)
            accepted.close()
        except asyncio.CancelledError:
            accepted.close()
            raise

    def _log(self, peer: str, error: OSError) -> None:
        now = self._loop.time()
        if now < self._next_line_at:
            self._unlogged += 1
            return
        more = f" ({self._unlogged} more failed since the last such line)" if self._unlogged else ""
        _logger.warning("TLS handshake with %s failed: %s%s", peer, _reason(error), more)
        self._next_line_at = now + _LOG_INTERVAL_S
        self._unlogged = 0


class _Gate(asyncio.Protocol):
    """Hands an accepted socket over, and drops its clear connection before a byte is read from it."""

    def __init__(self, handshakes: Handshakes, context: ssl.SSLContext, make: Callable[[], asyncio.Protocol]) -> None:
        self._handshakes = handshakes
        self._context = context
        self._make = make

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        clear = cast("asyncio.Transport", transport)
        self._handshakes.begin(clear, self._context, self._make)
        clear.abort()


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the client's certificate is not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.lower().replace("_", " ")
    return error.strerror or str(error) or type(error).__name__


def address_of(transport: asyncio.BaseTransport) -> str:
    """The other side as `host:port`."""
    address = transport.get_extra_info("peername")
    if isinstance(address, tuple) and len(address) >= 2:
        host = f"[{address[0]}]" if ":" in str(address[0]) else address[0]
        return f"{host}:{address[1]}"
    return str(address or "unknown")
