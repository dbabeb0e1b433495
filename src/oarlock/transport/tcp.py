"""The TCP transport: a control and a snapshot connection to every peer, and the same from every peer."""

import asyncio
import random
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field

from oarlock.raft.types import ServerId
from oarlock.transport.connection import Connection, wait_all_ended
from oarlock.transport.handshake import Hello
from oarlock.transport.incoming import Acceptor, IncomingLimits
from oarlock.transport.interface import Address, Channel, OnMessage, OnUnreachable
from oarlock.transport.links import Link, LinkTimes
from oarlock.transport.options import TransportOptions
from oarlock.transport.outgoing import OutgoingLimits
from oarlock.transport.stats import IncomingStats, LinkStats, PeerStats
from oarlock.transport.tls import PeerTls, TlsContexts


@dataclass(slots=True)
class _Peer:
    control: Link
    bulk: Link
    stats: PeerStats = field(default_factory=PeerStats)


class TcpTransport:
    """Carries payloads between the servers of one cluster over TCP, with mutual TLS when given `tls`.

    Messages leave over connections that we dial and come in over connections that the peers dial, so no two
    servers ever have to agree which of two crossing connections to keep. `on_unreachable` is called when either
    of the two established links to a peer is lost, never from inside `send`.

    Args:
        loop: The event loop that does all of it.
        cluster_id: A peer of another cluster is refused.
        server_id: This server; 1 to 2**64 - 1.
        rng: For the jitter of reconnects and, if no `epoch` is given, for that.
        tls: Where the TLS files are; None for cleartext.
        on_message: Gets sender and payload of every message, of both channels, also from servers that are not
            peers (yet).
        on_unreachable: Told which peer's link was lost.
        options: Limits and timeouts.
        epoch: Names this start of the process, 64 bits; peers drop connections to an earlier one.

    Raises:
        TlsError: A TLS file is missing or unusable.
        ValueError: An id is out of range.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        cluster_id: int,
        server_id: ServerId,
        rng: random.Random,
        tls: PeerTls | None,
        on_message: OnMessage,
        on_unreachable: OnUnreachable,
        *,
        options: TransportOptions | None = None,
        epoch: int | None = None,
    ) -> None:
        if server_id == 0:
            raise ValueError("server_id must not be 0")
        self._loop = loop
        self._rng = rng
        self._options = options = options or TransportOptions()
        self._tls = TlsContexts(tls) if tls is not None else None
        self._on_unreachable = on_unreachable
        self.epoch = rng.getrandbits(64) if epoch is None else epoch
        self._own = Hello(cluster_id, server_id, self.epoch, 0, Channel.CONTROL)
        self._peers: dict[ServerId, _Peer] = {}
        self._servers: list[asyncio.Server] = []
        self._strangers = PeerStats()
        self._retired: list[Connection] = []
        """Connections of removed peers that may still be writing their last bytes."""
        self._closed = False
        self._acceptor = Acceptor(
            loop,
            self._own,
            limits=IncomingLimits(
                max_message_bytes=options.max_message_bytes,
                handshake_s=options.handshake_timeout_ms / 1000,
                idle_s=options.idle_timeout_ms / 1000,
                max_half_open=options.max_half_open,
                max_incoming=options.max_incoming,
            ),
            tls=self._tls,
            on_message=on_message,
            on_hello=self._peer_seen,
            find_stats=self._find_stats,
        )

    @property
    def stats(self) -> dict[ServerId, PeerStats]:
        """Counters by peer; a removed peer's are gone."""
        return {server_id: peer.stats for server_id, peer in self._peers.items()}

    @property
    def incoming_stats(self) -> IncomingStats:
        """Counters of incoming connections."""
        return self._acceptor.stats

    @property
    def listening(self) -> list[Address]:
        """The addresses bound by `start`, with the real port where 0 was asked for."""
        return [bound.getsockname()[:2] for server in self._servers for bound in server.sockets]

    def describe_by(self, describe: Callable[[], bytes]) -> None:
        """Answer those who ask what this cluster is (`oarlock.transport.discovery`) with what `describe` gives."""
        self._acceptor.describe = describe

    def consider_by(self, consider: Callable[[bytes], Coroutine[None, None, bytes]]) -> None:
        """Answer those who ask something else, before they are anyone here; they are not believed to be anybody."""
        self._acceptor.consider = consider

    def is_connected(self, server_id: ServerId) -> bool:
        """Whether the control link to this peer is established."""
        peer = self._peers.get(server_id)
        return peer is not None and peer.stats.control.connected

    async def start(self, listen: Sequence[Address]) -> None:
        """Accept connections at these addresses.

        Raises:
            OSError: An address cannot be bound; the message names it. Nothing stays bound.
        """
        try:
            for host, port in listen:
                self._servers.append(await self._loop.create_server(self._acceptor.new_connection, host, port))
        except OSError:
            self._stop_listening()
            raise

    def send(self, to: ServerId, payload: bytes) -> bool:
        """See `Transport.send`."""
        peer = self._peers.get(to)
        return peer is not None and peer.control.send(payload)

    def send_bulk(self, to: ServerId, payload: bytes) -> bool:
        """See `Transport.send_bulk`."""
        peer = self._peers.get(to)
        return peer is not None and peer.bulk.send(payload)

    def add_peer(self, server_id: ServerId, addresses: Sequence[Address]) -> None:
        """See `Transport.add_peer`; needs the loop to be running.

        Raises:
            ValueError: `server_id` is our own or out of range, or an address has no host or an impossible port.
        """
        for host, port in addresses:
            if not host or not 0 < port < 1 << 16:
                raise ValueError(f"server {server_id:x} cannot be at host {host!r}, port {port}")
        if server_id in {0, self._own.server_id}:
            raise ValueError(f"server {server_id:x} cannot be a peer of server {self._own.server_id:x}")
        if self._closed:
            return
        peer = self._peers.get(server_id)
        if peer is not None:
            peer.control.set_addresses(addresses)
            peer.bulk.set_addresses(addresses)
            return
        stats = PeerStats()
        self._peers[server_id] = _Peer(
            control=self._new_link(server_id, Channel.CONTROL, addresses, stats.control),
            bulk=self._new_link(server_id, Channel.SNAPSHOT, addresses, stats.bulk),
            stats=stats,
        )
        self._acceptor.recount(server_id)

    def remove_peer(self, server_id: ServerId) -> None:
        """See `Transport.remove_peer`; what is queued still leaves if the peer takes it within a second."""
        peer = self._peers.pop(server_id, None)
        if peer is not None:
            self._retired = [connection for connection in self._retired if connection.holds_socket]
            self._retired += peer.control.close() + peer.bulk.close()
            self._acceptor.recount(server_id)

    async def close(self) -> None:
        """Stop listening and close every connection; queued messages leave if the peers take them in a second.

        No callback comes after this has returned.
        """
        self._closed = True
        self._stop_listening()
        links = [link for peer in self._peers.values() for link in (peer.control, peer.bulk)]
        self._peers.clear()
        connections = [connection for link in links for connection in link.close()]
        connections += self._retired + self._acceptor.close()
        for link in links:
            await link.wait_closed()
        await wait_all_ended(connections)

    def _stop_listening(self) -> None:
        for server in self._servers:
            server.close()
        self._servers.clear()

    def _new_link(self, server_id: ServerId, channel: Channel, addresses: Sequence[Address], stats: LinkStats) -> Link:
        options = self._options
        is_bulk = channel is Channel.SNAPSHOT
        return Link(
            self._loop,
            Hello(self._own.cluster_id, self._own.server_id, self.epoch, server_id, channel),
            addresses,
            limits=OutgoingLimits(
                max_message_bytes=options.max_message_bytes,
                queue_messages=options.bulk_queue_messages if is_bulk else options.queue_messages,
                queue_bytes=options.bulk_queue_bytes if is_bulk else options.queue_bytes,
                write_buffer_bytes=options.write_buffer_bytes,
                ping_interval_s=options.ping_interval_ms / 1000,
                silent_pings=options.bulk_silent_pings if is_bulk else options.silent_pings,
            ),
            times=LinkTimes(
                connect_s=options.connect_timeout_ms / 1000,
                handshake_s=options.handshake_timeout_ms / 1000,
                backoff_initial_s=options.backoff_initial_ms / 1000,
                backoff_max_s=options.backoff_max_ms / 1000,
            ),
            rng=self._rng,
            tls=self._tls,
            stats=stats,
            on_lost=self._on_unreachable,
        )

    def _peer_seen(self, server_id: ServerId, epoch: int) -> None:
        peer = self._peers.get(server_id)
        if peer is not None:
            peer.control.peer_seen(epoch)
            peer.bulk.peer_seen(epoch)

    def _find_stats(self, server_id: ServerId, channel: Channel) -> LinkStats:
        peer = self._peers.get(server_id)
        stats = peer.stats if peer is not None else self._strangers
        return stats.bulk if channel is Channel.SNAPSHOT else stats.control
