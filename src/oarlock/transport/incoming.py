"""Incoming connections: who may open one, how many there may be, and what is done with their frames."""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import cast

from oarlock.raft.types import ServerId
from oarlock.transport.connection import Connection
from oarlock.transport.framing import (
    ANSWER,
    HEADER_BYTES,
    MESSAGE,
    PING,
    PONG,
    QUESTION,
    REFUSAL,
    FrameError,
    encode_frame,
)
from oarlock.transport.handshake import HandshakeRefused, Hello, answer, read_refusal
from oarlock.transport.interface import Channel, OnMessage
from oarlock.transport.log import LogValve, logger
from oarlock.transport.stats import IncomingStats, LinkStats
from oarlock.transport.tls import TlsContexts

_PING_LIMIT_BYTES = 8
"""A ping's payload is echoed, so it must be small."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IncomingLimits:
    """Bounds of the accepting side; see `TransportOptions` for their meaning."""

    max_message_bytes: int
    handshake_s: float
    idle_s: float
    max_half_open: int
    max_incoming: int


class Acceptor:
    """Every incoming connection of one server: the newest one of each peer and channel lives.

    Args:
        own: Our hello.
        on_message: Gets every payload.
        on_hello: Called with server id and epoch of everyone who has introduced itself.
        find_stats: Where to count what a server sends on a channel.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        own: Hello,
        *,
        limits: IncomingLimits,
        tls: TlsContexts | None,
        on_message: OnMessage,
        on_hello: Callable[[ServerId, int], None],
        find_stats: Callable[[ServerId, Channel], LinkStats],
    ) -> None:
        self.loop = loop
        self.own = own
        self.limits = limits
        self.tls = tls
        self.on_message = on_message
        self.describe: Callable[[], bytes] | None = None
        """Tells those who are no peers yet what the cluster is; None tells nothing."""
        self.consider: Callable[[bytes], Coroutine[None, None, bytes]] | None = None
        """Answers what those who are no peers yet ask with a payload; None answers nothing."""
        self.stats = IncomingStats()
        self.log = LogValve(loop)
        self._on_hello = on_hello
        self._find_stats = find_stats
        self._half_open: dict[IncomingConnection, None] = {}
        self._established: dict[tuple[ServerId, Channel], IncomingConnection] = {}
        self._ending: dict[IncomingConnection, None] = {}
        self._closed = False

    def new_connection(self) -> asyncio.Protocol:
        """Give the protocol for one accepted socket; `create_server` calls this."""
        return IncomingConnection(self) if self.tls is None else TlsGate(self)

    def admit(self, connection: "IncomingConnection") -> bool:
        """Count a connection that was just accepted. False: it is to be turned away."""
        total = len(self._half_open) + len(self._established) + len(self._ending)
        if self._closed or total >= self.limits.max_incoming:
            self.stats.over_limit += 1
            self.log.warning(
                "server %x: turned away a connection from %s: %d incoming connections are open",
                self.own.server_id,
                connection.remote,
                total,
            )
            return False
        if len(self._half_open) >= self.limits.max_half_open:
            # The oldest goes, not the newest: a real peer needs but a round trip, so a flood of mute
            # connections cannot keep it out.
            self.stats.half_open_evicted += 1
            next(iter(self._half_open)).fail("too many connections without a hello")
        self._half_open[connection] = None
        return True

    def establish(self, connection: "IncomingConnection", theirs: Hello) -> LinkStats:
        """Take note that a connection belongs to a peer; an older one of the same peer and channel ends."""
        del self._half_open[connection]
        key = (theirs.server_id, theirs.channel)
        former = self._established.get(key)
        if former is not None:
            former.fail("the peer has connected anew")
        self._established[key] = connection
        self.stats.established += 1
        logger.info(
            "server %x: server %x connected from %s (%s)",
            self.own.server_id,
            theirs.server_id,
            connection.remote,
            theirs.channel.name.lower(),
        )
        self._on_hello(theirs.server_id, theirs.epoch)
        return self._find_stats(*key)

    def ending(self, connection: "IncomingConnection", theirs: Hello | None) -> None:
        """Take note that a connection is being closed; it counts until its socket is gone."""
        self._half_open.pop(connection, None)
        if theirs is not None:
            key = (theirs.server_id, theirs.channel)
            if self._established.get(key) is connection:
                del self._established[key]
        self._ending[connection] = None

    def ended(self, connection: "IncomingConnection") -> None:
        """Forget a connection whose socket is gone."""
        self._ending.pop(connection, None)

    def refused(self, refused: HandshakeRefused) -> None:
        """Count a refused hello by its reason."""
        name = refused.reason.name.lower()
        self.stats.refused[name] = self.stats.refused.get(name, 0) + 1

    def recount(self, server_id: ServerId) -> None:
        """Look up anew where to count what a server sends: it has become a peer, or is one no more."""
        for channel in Channel:
            connection = self._established.get((server_id, channel))
            if connection is not None:
                connection.count_into(self._find_stats(server_id, channel))

    def close(self) -> list[Connection]:
        """End every connection and admit no more; gives those whose end to wait for."""
        self._closed = True
        connections = [*self._half_open, *self._established.values(), *self._ending]
        for connection in connections:
            connection.fail("this server is stopping")
        return list(connections)


class TlsGate(asyncio.Protocol):
    """Takes an accepted socket from the loop's server and hands it over to be secured.

    The loop's server could do TLS itself, but it tells nobody of handshakes that are not finished, so they could
    be neither counted nor ended. The descriptor is duplicated, and the clear connection dropped before a byte is
    read from it.
    """

    def __init__(self, acceptor: Acceptor) -> None:
        self._acceptor = acceptor

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hand the socket over."""
        peername = transport.get_extra_info("peername")
        try:
            accepted: socket.socket = transport.get_extra_info("socket").dup()
        except OSError as error:
            self._acceptor.log.warning("no descriptor for an incoming connection: %s", error)
        else:
            IncomingConnection(self._acceptor).secure(accepted, peername)
        cast("asyncio.Transport", transport).abort()


class IncomingConnection(Connection):
    """One accepted connection: TLS if asked for, the other side's hello, then its messages."""

    def __init__(self, acceptor: Acceptor) -> None:
        super().__init__(acceptor.loop)
        self._acceptor = acceptor
        self._admitted = False
        self._theirs: Hello | None = None
        self._stats = LinkStats()
        self._paused = False
        self._received_since_check = False
        self._securing: asyncio.Task[object] | None = None
        self._considering: asyncio.Task[None] | None = None

    @property
    def holds_socket(self) -> bool:
        """Whether a socket of this connection is not closed yet, be its TLS handshake finished or not."""
        return (self._has_transport or self._securing is not None) and not self.ended.done()

    def secure(self, accepted: socket.socket, peername: object) -> None:
        """Run the TLS handshake on an accepted socket; `connection_made` follows if it succeeds."""
        self._peername = peername
        if self._acceptor.tls is None or not self._admit():
            accepted.close()
            return
        context = self._acceptor.tls.server()
        upgrade = self._loop.connect_accepted_socket(lambda: self, accepted, ssl=context)
        self._securing = self._loop.create_task(upgrade, name="oarlock incoming TLS")
        self._securing.add_done_callback(lambda task: self._secured(task, accepted))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the other side's hello, for which there is one timeout together with TLS."""
        super().connection_made(transport)
        if not self._admitted and not self._admit():
            self.fail("too many incoming connections")
        elif self._closing:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Free this connection's place."""
        was_closing = self._closing
        super().connection_lost(exc)
        if not was_closing and self._theirs is not None:
            logger.info(
                "server %x: connection of server %x (%s) ended: %s",
                self._acceptor.own.server_id,
                self._theirs.server_id,
                self._theirs.channel.name.lower(),
                self.end_reason,
            )
        self._acceptor.ended(self)

    def count_into(self, stats: LinkStats) -> None:
        """Count received messages here from now on."""
        self._stats = stats

    def pause_writing(self) -> None:
        """The other side does not read our answers: give none until it does."""
        self._paused = True

    def resume_writing(self) -> None:
        """Answer pings again."""
        self._paused = False

    def data_received(self, data: bytes) -> None:
        """Hand every message to the runtime; anything wrong ends this connection and nothing else."""
        if self.is_closing:
            return
        self._received_since_check = True
        stats = self._stats
        try:
            for kind, payload in self._decoder.feed(data):
                if kind == MESSAGE and self._theirs is not None:
                    stats.received_messages += 1
                    stats.received_bytes += len(payload) + HEADER_BYTES
                    self._acceptor.on_message(self._theirs.server_id, payload)
                else:
                    self._other_frame(kind, payload)
                    stats = self._stats
                if self._closing:
                    return
        except FrameError as error:
            self._acceptor.stats.bad_frames += 1
            self._complain(f"bad frame: {error}")
        except HandshakeRefused as refused:
            self._refused(refused)
        except Exception:  # noqa: BLE001
            # Whatever the runtime makes of a payload, the other connections must not suffer from it.
            self._acceptor.stats.handler_failures += 1
            logger.exception(
                "server %x: a message from %s could not be handled", self._acceptor.own.server_id, self._who()
            )
            self.fail("a message could not be handled")

    def _admit(self) -> bool:
        self._admitted = self._acceptor.admit(self)
        if self._admitted:
            self._timer = self._loop.call_later(self._acceptor.limits.handshake_s, self._handshake_timed_out)
        return self._admitted

    def _secured(self, task: asyncio.Task[object], accepted: socket.socket) -> None:
        self._securing = None
        error = None if task.cancelled() else task.exception()
        if self._has_transport:
            return
        accepted.close()
        if not self._closing:
            self._acceptor.stats.tls_failures += 1
            self._complain(f"TLS handshake failed: {str(error) or type(error).__name__}")
        self.connection_lost(None)

    def _other_frame(self, kind: int, payload: bytes) -> None:
        if self._theirs is None and kind == QUESTION and payload and self._acceptor.consider is not None:
            if self._considering is None:
                self._considering = self._loop.create_task(self._consider(self._acceptor.consider(payload)))
        elif self._theirs is None and kind == QUESTION and self._acceptor.describe is not None:
            self._transport.write(encode_frame(ANSWER, self._acceptor.describe()))
            self.finish("the question was answered")
        elif self._theirs is None:
            theirs, reply = answer(self._acceptor.own, kind, payload)
            self._transport.write(reply)
            self._established(theirs)
        elif kind == PING and len(payload) <= _PING_LIMIT_BYTES:
            if not self._paused:
                self._transport.write(encode_frame(PONG, payload))
        elif kind == REFUSAL:
            refused = read_refusal(payload)
            self._acceptor.refused(refused)
            self._complain(f"the dialling side refused the handshake: {refused}")
        else:
            raise FrameError(f"a frame of kind {kind} and {len(payload)} bytes does not belong here")

    async def _consider(self, answering: Coroutine[None, None, bytes]) -> None:
        """Answer when the answer is there; the time for a handshake is the time for that."""
        try:
            answer_bytes = await answering
        except Exception:  # noqa: BLE001 - as with messages
            self._acceptor.stats.handler_failures += 1
            logger.exception("server %x: a question of %s failed", self._acceptor.own.server_id, self._who())
            self.fail("a question could not be answered")
        else:
            if not self.is_closing:
                self._transport.write(encode_frame(ANSWER, answer_bytes))
                self.finish("the question was answered")

    def _established(self, theirs: Hello) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._theirs = theirs
        self._decoder.max_payload_bytes = self._acceptor.limits.max_message_bytes
        self._timer = self._loop.call_later(self._acceptor.limits.idle_s, self._check_idle)
        self._stats = self._acceptor.establish(self, theirs)

    def _refused(self, refused: HandshakeRefused) -> None:
        self._acceptor.refused(refused)
        self._acceptor.log.warning(
            "server %x: refused the handshake of %s: %s", self._acceptor.own.server_id, self._who(), refused
        )
        self._transport.write(refused.refusal_frame())
        self.finish(str(refused))

    def _handshake_timed_out(self) -> None:
        self._acceptor.stats.handshake_timeouts += 1
        self._complain("no hello in time")

    def _check_idle(self) -> None:
        if not self._received_since_check:
            self._complain(f"nothing heard for {self._acceptor.limits.idle_s:g} s")
            return
        self._received_since_check = False
        self._timer = self._loop.call_later(self._acceptor.limits.idle_s, self._check_idle)

    def _complain(self, reason: str) -> None:
        self._acceptor.log.warning(
            "server %x: closed the connection of %s: %s", self._acceptor.own.server_id, self._who(), reason
        )
        self.fail(reason)

    def _who(self) -> str:
        return self.remote if self._theirs is None else f"server {self._theirs.server_id:x} at {self.remote}"

    def _note_end(self, reason: str) -> None:
        if not self._closing and self._admitted:
            self._acceptor.ending(self, self._theirs)
        super()._note_end(reason)
        if self._securing is not None:
            self._securing.cancel()
        if self._considering is not None and self._considering is not asyncio.current_task():
            self._considering.cancel()
