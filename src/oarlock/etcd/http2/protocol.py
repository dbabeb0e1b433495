"""HTTP/2 on asyncio: bytes between a transport and a `Connection`, and the passing of time."""

import asyncio
import logging
from collections.abc import Callable
from typing import cast

from oarlock.etcd.http2.backlog import Backlog
from oarlock.etcd.http2.connection import Application, Connection
from oarlock.etcd.http2.errors import ErrorCode
from oarlock.etcd.http2.headers import HeadCache
from oarlock.etcd.http2.sender import PENDING_LOW_BYTES
from oarlock.etcd.http2.settings import Limits

_logger = logging.getLogger(__name__)

DRAIN_PING_TIMEOUT_S = 1.0
"""How long a client that is told to go may take to acknowledge that."""


class Http2Protocol(asyncio.Protocol):
    """One connection. All output of one turn of the loop goes into one `transport.write`.

    Args:
        loop: The running loop.
        application: Answers requests; it is given the `Connection`.
        peer: The client's address, for the log.
        limits: How much the client may make grow.
        cache: Field sections seen before.
        backlog: What waits for the server's clients.
        on_closed: Called when the connection is gone.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        application: Application,
        limits: Limits,
        cache: HeadCache,
        backlog: Backlog,
        on_closed: Callable[["Http2Protocol"], None],
        *,
        peer: str,
    ) -> None:
        self._loop = loop
        self._peer = peer
        self._application = application
        self._limits = limits
        self._cache = cache
        self._backlog = backlog
        self._buffered_bytes = 0
        self._on_closed = on_closed
        self._opened_at = self._received_at = self._written_at = loop.time()
        self._idle_since = self._progress_at = self._opened_at
        self._taken_bytes = 0
        self._pinged_at: float | None = None
        self._closing_since: float | None = None
        self.transport: asyncio.Transport
        self.connection: Connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The transport is ours: send SETTINGS."""
        self.transport = cast("asyncio.Transport", transport)
        self.connection = Connection(
            self._application, self._limits, self._cache, self._backlog, now=self._loop.time(), wake=self._wake
        )
        self._application.http2 = self.connection
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Let the connection act on bytes, and send what it says."""
        connection = self.connection
        self._received_at = now = self._loop.time()
        connection.corked = True
        try:
            connection.receive(data, now)
        except Exception:
            _logger.exception("internal error on an HTTP/2 connection; it is closed")
            connection.fail(ErrorCode.INTERNAL_ERROR, "internal error")
        self._flush()

    def eof_received(self) -> bool:
        """The client will send no more, so nothing can be asked of it: close."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Tell the open streams."""
        self._count_buffer(0)
        self.connection.lose()
        self._on_closed(self)

    def pause_writing(self) -> None:
        """The socket's buffer is full: make no more, and take no more requests from this client."""
        self.connection.paused = True
        self._count_buffer(self.transport.get_write_buffer_size())
        if not self.transport.is_closing():
            self.transport.pause_reading()

    def resume_writing(self) -> None:
        """The socket's buffer has room again."""
        self._written_at = self._loop.time()
        self._count_buffer(0)
        self.connection.paused = False
        if not self.transport.is_closing():
            self.transport.resume_reading()
        self.connection.pump()
        self._flush()

    def _count_buffer(self, length: int) -> None:
        """What waits in the transport belongs to the backlog while it is much."""
        before, self._buffered_bytes = self._buffered_bytes, length
        self._backlog.kept_bytes += length
        self._backlog.release(before)

    def _wake(self) -> None:
        self.connection.corked = True
        self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        connection = self.connection
        if self.transport.is_closing():
            connection.take()
        elif connection.put_off:
            connection.resume_put_off()
        while connection.out:
            self._written_at = self._loop.time()
            self.transport.write(connection.take())
            if connection.blocked and not connection.paused:
                connection.pump()
            if connection.put_off and not connection.out:
                connection.resume_put_off()
        connection.corked = False
        if (connection.closed or connection.finished) and self._closing_since is None:
            self._close()

    def _close(self) -> None:
        if self.connection.fault is not None:
            _logger.info("closing connection from %s: %s", self._peer, self.connection.fault)
        self._closing_since = self._loop.time()
        self.transport.close()

    def drain(self) -> None:
        """Begin a graceful end."""
        if not self.connection.draining:
            self.connection.drain()
            self._loop.call_later(DRAIN_PING_TIMEOUT_S, self.connection.finish_drain)

    def abort(self) -> None:
        """End at once."""
        self.transport.abort()

    def check(self, now: float) -> None:
        """Look for what should have happened and has not; called about once a second."""
        connection, limits = self.connection, self._limits
        wastes_room = self._wastes_room(now)
        if self._closing_since is not None:
            if now - self._closing_since > limits.keepalive_timeout_s:
                self.transport.abort()
            return
        waiting = connection.paused or connection.pending_bytes > 0
        if connection.streams or waiting:
            self._idle_since = now
        if not connection.is_ready:
            if now - self._opened_at > limits.preface_timeout_s:
                connection.fail(ErrorCode.SETTINGS_TIMEOUT, "no SETTINGS from the client")
        elif connection.is_mid_frame and now - connection.partial_since > limits.frame_timeout_s:
            connection.fail(ErrorCode.ENHANCE_YOUR_CALM, "a frame was begun and not finished")
        elif waiting and (now - self._written_at > limits.stall_timeout_s or wastes_room):
            _logger.info("closing connection from %s: it takes nothing of what waits for it", self._peer)
            self.transport.abort()
        elif now - self._idle_since > limits.idle_timeout_s:
            self.drain()
        elif self._received_at > (self._pinged_at or 0.0):
            if now - self._received_at > limits.keepalive_interval_s:
                self._pinged_at = now
                connection.ping()
        elif now - (self._pinged_at or now) > limits.keepalive_timeout_s:
            _logger.info("closing connection from %s: no answer to a keep-alive ping", self._peer)
            self.transport.abort()

    def _wastes_room(self, now: float) -> bool:
        """Whether the client takes next to nothing of much, while all of them leave more than the server may keep."""
        connection = self.connection
        kept_bytes = connection.pending_bytes + self._buffered_bytes
        taken_bytes = connection.taken_bytes
        if (
            not self._backlog.is_over
            or kept_bytes < PENDING_LOW_BYTES
            or taken_bytes - self._taken_bytes >= PENDING_LOW_BYTES
        ):
            self._progress_at = now
            self._taken_bytes = taken_bytes
        return now - self._progress_at > self._limits.pressed_stall_timeout_s
