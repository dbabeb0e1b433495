"""A link: keeps one outgoing connection to one server on one channel, for as long as the server is a peer."""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from oarlock.raft.types import ServerId
from oarlock.transport.connection import Connection
from oarlock.transport.handshake import HandshakeRefused, Hello
from oarlock.transport.interface import Address
from oarlock.transport.log import logger
from oarlock.transport.outgoing import OutgoingConnection, OutgoingLimits
from oarlock.transport.stats import LinkStats
from oarlock.transport.tls import TlsContexts, TlsError


class Backoff:
    """Waits that double from `initial_s` to `maximum_s`, each cut by up to half at random.

    The randomness keeps servers that lost the same peer from returning to it in step.
    """

    def __init__(self, initial_s: float, maximum_s: float, rng: random.Random) -> None:
        self._initial_s = initial_s
        self._maximum_s = maximum_s
        self._rng = rng
        self._next_s = initial_s

    def next_s(self) -> float:
        """Give the next wait, in seconds."""
        wait_s = self._next_s
        self._next_s = min(wait_s * 2, self._maximum_s)
        return wait_s * (1.0 - self._rng.random() / 2)

    def reset(self) -> None:
        """Begin anew with the shortest wait."""
        self._next_s = self._initial_s


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkTimes:
    """Timeouts of a link, in seconds; see `TransportOptions`."""

    connect_s: float
    handshake_s: float
    backoff_initial_s: float
    backoff_max_s: float


class Link:
    """Connects, reconnects after a jittered wait, and tells when an established connection was lost."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        hello: Hello,
        addresses: Sequence[Address],
        *,
        limits: OutgoingLimits,
        times: LinkTimes,
        rng: random.Random,
        tls: TlsContexts | None,
        stats: LinkStats,
        on_lost: Callable[[ServerId], None],
    ) -> None:
        self._loop = loop
        self._hello = hello
        self._peer = hello.expected_server_id
        self._addresses = list(addresses)
        self._limits = limits
        self._times = times
        self._backoff = Backoff(times.backoff_initial_s, times.backoff_max_s, rng)
        self._tls = tls
        self._stats = stats
        self._on_lost = on_lost
        self._connection: OutgoingConnection | None = None
        self._peer_epoch: int | None = None
        self._address: Address | None = None
        self._attempt: OutgoingConnection | None = None
        self._dialling: asyncio.Timeout | None = None
        """The limit of an attempt that has no connection yet."""
        self._is_hurried = False
        """Whether it is given up for the next one."""
        self._next_address = 0
        self._waiting: asyncio.Future[None] | None = None
        self._reported: dict[Address, str] = {}
        self._name = f"link to server {self._peer:x} ({hello.channel.name.lower()})"
        self._task = loop.create_task(self._run(), name=f"oarlock {self._name}")

    def send(self, payload: bytes) -> bool:
        """Hand over a message; False when it was dropped."""
        connection = self._connection
        if connection is None:
            self._stats.dropped_disconnected += 1
            return False
        return connection.send(payload)

    @property
    def queued_bytes(self) -> int:
        """Bytes waiting in our own queue."""
        return self._connection.queued_bytes if self._connection is not None else 0

    def set_addresses(self, addresses: Sequence[Address]) -> None:
        """Look for the server here from now on; a connection to an address no longer listed is closed."""
        self._addresses = list(addresses)
        self._reported.clear()
        if self._connection is not None and self._address not in self._addresses:
            self._connection.fail("the peer's addresses were changed")
        self._backoff.reset()
        self._wake()

    def peer_seen(self, epoch: int) -> None:
        """The server has just introduced itself to us from the start of its process named `epoch`.

        So it is up: no use in waiting longer, nor in a connection to its earlier life, nor in an attempt that may have
        begun while its machine was not there, and would only time out.
        """
        if self._connection is not None and self._peer_epoch != epoch:
            self._connection.fail("the peer was restarted")
            self._backoff.reset()
        if self._dialling is not None and not self._dialling.expired():
            self._is_hurried = True
            self._dialling.reschedule(self._loop.time())
        self._wake()

    def close(self) -> list[Connection]:
        """Stop; what is queued still leaves if the peer takes it. Gives the connections whose end to wait for."""
        self._task.cancel()
        connection = self._connection
        self._connection = None
        self._stats.connected = False
        if connection is not None:
            connection.finish("the link was closed")
        return [each for each in (connection, self._attempt) if each is not None]

    async def wait_closed(self) -> None:
        """Wait for the end of the link's task, after `close`."""
        await asyncio.wait([self._task])

    async def _run(self) -> None:
        while True:
            connection = await self._connect()
            if connection is not None:
                established_at = self._loop.time()
                await connection.wait_ended()
                self._lost(connection)
                if self._loop.time() - established_at >= self._times.backoff_max_s:
                    # Only then: a peer that accepts and drops us at once must not be hammered.
                    self._backoff.reset()
            if self._is_hurried:
                self._is_hurried = False
            else:
                await self._wait(self._backoff.next_s())

    async def _connect(self) -> OutgoingConnection | None:
        """Make one attempt at the next address; the failure, if new, is logged."""
        if not self._addresses:
            return None
        address = self._addresses[self._next_address % len(self._addresses)]
        connection = self._attempt = OutgoingConnection(self._loop, self._hello, self._limits, self._stats)
        try:
            theirs = await self._establish(connection, address)
        except HandshakeRefused as refused:
            self._stats.handshake_failures += 1
            side = "the peer refused" if refused.by_peer else "we refused"
            self._report(f"{side} the handshake: {refused}", address)
            await connection.wait_ended()
        except TimeoutError:
            if not self._is_hurried:
                self._stats.connect_failures += 1
                self._report("timed out", address)
        except (OSError, TlsError, ValueError) as error:  # ValueError: a host name that cannot be one
            self._stats.connect_failures += 1
            self._report(str(error) or type(error).__name__, address)
        else:
            self._established(connection, address, theirs)
            return connection
        finally:
            if self._connection is not connection and not connection.ended.done():
                connection.fail("the attempt was given up")
        self._next_address += 1  # only now: after a loss, the address that worked comes first
        return None

    async def _establish(self, connection: OutgoingConnection, address: Address) -> Hello:
        context = self._tls.client() if self._tls is not None else None
        server_hostname = address[0] if context is not None else None
        try:
            async with asyncio.timeout(self._times.connect_s) as self._dialling:
                await self._loop.create_connection(
                    lambda: connection, *address, ssl=context, server_hostname=server_hostname
                )
        finally:
            self._dialling = None
        async with asyncio.timeout(self._times.handshake_s):
            return await connection.agreed

    def _established(self, connection: OutgoingConnection, address: Address, theirs: Hello) -> None:
        self._connection = connection
        self._address = address
        self._peer_epoch = theirs.epoch
        self._is_hurried = False
        self._stats.connects += 1
        self._stats.connected = True
        self._reported.clear()
        logger.info("server %x: %s established at %s", self._hello.server_id, self._name, connection.remote)
        if address not in self._addresses:
            connection.fail("the peer's addresses were changed")

    def _lost(self, connection: OutgoingConnection) -> None:
        self._connection = None
        self._stats.connected = False
        self._stats.losses += 1
        logger.warning("server %x: %s lost: %s", self._hello.server_id, self._name, connection.end_reason)
        try:
            self._on_lost(self._peer)
        except Exception:  # noqa: BLE001 - the runtime's mistake must not end this link for ever
            logger.exception("server %x: on_unreachable failed", self._hello.server_id)

    def _report(self, failure: str, address: Address) -> None:
        """Log a failure; one that only repeats the last is kept for debugging."""
        log = logger.debug if self._reported.get(address) == failure else logger.warning
        self._reported[address] = failure
        log("server %x: %s not established at %s:%d: %s", self._hello.server_id, self._name, *address, failure)

    async def _wait(self, wait_s: float) -> None:
        self._waiting = self._loop.create_future()
        timer = self._loop.call_later(wait_s, self._wake)
        try:
            await self._waiting
        finally:
            timer.cancel()
            self._waiting = None

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
