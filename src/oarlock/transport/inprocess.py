"""The transport without a network: servers in one process, for tests and embedding.

It keeps TCP's promises and no more: order per pair and channel, loss only together with the link, bounded queues.
Links can be cut one way and mended, so that a test can part servers.
"""

import asyncio
from collections import deque
from collections.abc import Sequence

from oarlock.raft.types import ServerId
from oarlock.transport.interface import Address, Channel, OnMessage, OnUnreachable
from oarlock.transport.options import TransportOptions
from oarlock.transport.stats import PeerStats


class InProcessNetwork:
    """Where the transports of one process find each other."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, options: TransportOptions | None = None) -> None:
        self.loop = loop
        self.options = options or TransportOptions()
        self._started: dict[ServerId, InProcessTransport] = {}
        self._cuts: dict[tuple[ServerId, ServerId], None] = {}

    def transport(
        self, server_id: ServerId, on_message: OnMessage, on_unreachable: OnUnreachable
    ) -> "InProcessTransport":
        """Give a transport for one server; it takes part from its `start` to its `close`."""
        return InProcessTransport(self, server_id, on_message, on_unreachable)

    def cut(self, source: ServerId, target: ServerId) -> None:
        """Lose the link from `source` to `target`, with what is under way on it."""
        if (source, target) not in self._cuts:
            self._cuts[source, target] = None
            self._lose(source, target)

    def mend(self, source: ServerId, target: ServerId) -> None:
        """Let `source` reach `target` again."""
        self._cuts.pop((source, target), None)

    def find(self, source: ServerId, target: ServerId) -> "InProcessTransport | None":
        """Give the transport that `source` reaches as `target`; None when there is no link."""
        return None if (source, target) in self._cuts else self._started.get(target)

    def join(self, transport: "InProcessTransport") -> None:
        """Make a started transport reachable.

        Raises:
            ValueError: Its server id is already taken.
        """
        if transport.server_id in self._started:
            raise ValueError(f"server {transport.server_id:x} has already joined this network")
        self._started[transport.server_id] = transport

    def leave(self, transport: "InProcessTransport") -> None:
        """Take a transport out; everyone who reached it loses the link."""
        if self._started.get(transport.server_id) is transport:
            del self._started[transport.server_id]
            for source in list(self._started):
                self._lose(source, transport.server_id)

    def _lose(self, source: ServerId, target: ServerId) -> None:
        transport = self._started.get(source)
        if transport is not None:
            transport.link_lost(target)


class InProcessTransport:
    """One server's end of an `InProcessNetwork`; messages arrive one turn of the loop later."""

    def __init__(
        self,
        network: InProcessNetwork,
        server_id: ServerId,
        on_message: OnMessage,
        on_unreachable: OnUnreachable,
    ) -> None:
        self.server_id = server_id
        self._network = network
        self._on_message = on_message
        self._on_unreachable = on_unreachable
        self._peers: dict[ServerId, PeerStats] = {}
        self._queues: dict[tuple[ServerId, Channel], deque[bytes]] = {}
        self._queued_bytes: dict[tuple[ServerId, Channel], int] = {}
        self._delivery_scheduled = False
        self._running = False

    @property
    def stats(self) -> dict[ServerId, PeerStats]:
        """Counters by peer."""
        return dict(self._peers)

    async def start(self, listen: Sequence[Address] = ()) -> None:  # noqa: ARG002 - the TCP transport needs it
        """Join the network; addresses mean nothing here."""
        self._network.join(self)
        self._running = True

    async def close(self) -> None:
        """Leave the network. No callback comes after this."""
        self._running = False
        self._queues.clear()
        self._queued_bytes.clear()
        self._network.leave(self)

    def is_connected(self, server_id: ServerId) -> bool:
        """Whether messages to this peer can arrive now."""
        return server_id in self._peers and self._network.find(self.server_id, server_id) is not None

    def add_peer(self, server_id: ServerId, addresses: Sequence[Address] = ()) -> None:  # noqa: ARG002
        """See `Transport.add_peer`; addresses mean nothing here."""
        if server_id in {0, self.server_id}:
            raise ValueError(f"server {server_id:x} cannot be a peer of server {self.server_id:x}")
        self._peers.setdefault(server_id, PeerStats())

    def remove_peer(self, server_id: ServerId) -> None:
        """See `Transport.remove_peer`."""
        self._peers.pop(server_id, None)
        self._drop_queues(server_id)

    def send(self, to: ServerId, payload: bytes) -> bool:
        """See `Transport.send`."""
        options = self._network.options
        return self._send(to, Channel.CONTROL, payload, options.queue_messages, options.queue_bytes)

    def send_bulk(self, to: ServerId, payload: bytes) -> bool:
        """See `Transport.send_bulk`."""
        options = self._network.options
        return self._send(to, Channel.SNAPSHOT, payload, options.bulk_queue_messages, options.bulk_queue_bytes)

    def link_lost(self, to: ServerId) -> None:
        """Called by the network: what is under way to this peer is gone."""
        self._drop_queues(to)
        if to in self._peers:
            self._network.loop.call_soon(self._tell_unreachable, to)

    def _tell_unreachable(self, to: ServerId) -> None:
        if self._running:
            self._on_unreachable(to)

    def _send(self, to: ServerId, channel: Channel, payload: bytes, limit_messages: int, limit_bytes: int) -> bool:
        peer = self._peers.get(to)
        if peer is None:
            return False
        stats = peer.control if channel is Channel.CONTROL else peer.bulk
        if not self._running or self._network.find(self.server_id, to) is None:
            stats.dropped_disconnected += 1
            return False
        if len(payload) > self._network.options.max_message_bytes:
            stats.dropped_too_large += 1
            return False
        queue = self._queues.setdefault((to, channel), deque())
        queued_bytes = self._queued_bytes.get((to, channel), 0) + len(payload)
        if queue and (len(queue) >= limit_messages or queued_bytes > limit_bytes):
            stats.dropped_queue_full += 1
            return False
        queue.append(payload)
        self._queued_bytes[to, channel] = queued_bytes
        stats.sent_messages += 1
        stats.sent_bytes += len(payload)
        if not self._delivery_scheduled:
            self._delivery_scheduled = True
            self._network.loop.call_soon(self._deliver)
        return True

    def _deliver(self) -> None:
        self._delivery_scheduled = False
        queues = list(self._queues.items())
        self._queues.clear()
        self._queued_bytes.clear()
        for (to, channel), queue in queues:
            for payload in queue:
                # Looked up anew each time: a handler may have closed, removed or cut something.
                target = self._network.find(self.server_id, to) if self._running else None
                if target is not None:
                    target.receive(self.server_id, channel, payload)

    def receive(self, source: ServerId, channel: Channel, payload: bytes) -> None:
        """Called by the sender's end: hand one message to the runtime, whose failure stays its own."""
        peer = self._peers.get(source)
        if peer is not None:
            stats = peer.control if channel is Channel.CONTROL else peer.bulk
            stats.received_messages += 1
            stats.received_bytes += len(payload)
        try:
            self._on_message(source, payload)
        except Exception as error:  # noqa: BLE001 - as with TCP, it must not reach the sender
            self._network.loop.call_exception_handler(
                {"message": f"server {self.server_id:x} could not handle a message", "exception": error}
            )

    def _drop_queues(self, to: ServerId) -> None:
        for channel in Channel:
            self._queues.pop((to, channel), None)
            self._queued_bytes.pop((to, channel), None)
