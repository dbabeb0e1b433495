"""Real transports and hand-made peers for the tests of this room."""

import asyncio
import random
from collections.abc import Callable
from contextlib import asynccontextmanager

from oarlock.transport import PeerTls, TcpTransport, TransportOptions
from oarlock.transport.framing import MESSAGE, PING, PONG, FrameDecoder, encode_frame
from oarlock.transport.handshake import Hello, answer, conclude
from oarlock.transport.interface import Channel

CLUSTER = 0xC1
DEADLINE_S = 20.0

FAST = TransportOptions(backoff_initial_ms=5, backoff_max_ms=20)
"""Quick to reconnect, otherwise as in production."""


async def until(condition: Callable[[], bool]) -> None:
    """Waits until the condition holds; fails after a deadline that only a broken program reaches."""
    loop = asyncio.get_running_loop()
    end = loop.time() + DEADLINE_S
    while not condition():
        assert loop.time() < end, "the condition was not met in time"
        await asyncio.sleep(0.002)


class Server:
    """A transport with a record of what it was told."""

    def __init__(
        self,
        server_id: int,
        *,
        cluster_id: int = CLUSTER,
        options: TransportOptions = FAST,
        tls: PeerTls | None = None,
        epoch: int | None = None,
    ) -> None:
        self.server_id = server_id
        self.messages: list[tuple[int, bytes]] = []
        self.unreachable: list[int] = []
        self.transport = TcpTransport(
            asyncio.get_running_loop(),
            cluster_id,
            server_id,
            random.Random(server_id),
            tls,
            self.on_message,
            self.unreachable.append,
            options=options,
            epoch=epoch,
        )

    def on_message(self, source: int, payload: bytes) -> None:
        self.messages.append((source, payload))

    @property
    def addresses(self) -> list[tuple[str, int]]:
        return self.transport.listening

    def is_linked(self, other: int) -> bool:
        """Whether both channels to `other` are established."""
        stats = self.transport.stats[other]
        return stats.control.connected and stats.bulk.connected


@asynccontextmanager
async def running(*servers: Server, port: int = 0):
    """Starts servers on loopback and closes them in the end."""
    try:
        for server in servers:
            await server.transport.start([("127.0.0.1", port)])
        yield servers
    finally:
        for server in servers:
            await server.transport.close()


async def link(*servers: Server) -> None:
    """Makes all servers peers of each other and waits for every link."""
    for one in servers:
        for other in servers:
            if one is not other:
                one.transport.add_peer(other.server_id, other.addresses)
    await until(lambda: all(one.is_linked(other.server_id) for one in servers for other in servers if one is not other))


class HandMadePeer(asyncio.Protocol):
    """One connection of a peer under the test's control, dialling or answering."""

    def __init__(self, own: Hello, *, dials: bool, answers: bool = True, pongs: bool = True) -> None:
        self.own = own
        self.dials = dials
        self.answers = answers
        self.pongs = pongs
        self.theirs: Hello | None = None
        self.frames: list[tuple[int, bytes]] = []
        self.reads = 0
        self.swallow = None
        """When set, it gets the bytes instead; uvloop keeps `data_received` itself, which cannot be replaced."""
        self.lost = asyncio.get_running_loop().create_future()
        self.decoder = FrameDecoder(1 << 28)

    def connection_made(self, transport):
        self.transport = transport
        if self.dials:
            transport.write(self.own.encode())

    def data_received(self, data):
        self.reads += 1
        if self.swallow is not None:
            self.swallow(data)
            return
        for kind, payload in self.decoder.feed(data):
            if self.theirs is None and self.answers:
                if self.dials:
                    self.theirs = conclude(self.own, kind, payload)
                else:
                    self.theirs, reply = answer(self.own, kind, payload)
                    self.transport.write(reply)
            elif kind == PING:
                if self.pongs:
                    self.transport.write(encode_frame(PONG, payload))
            else:
                self.frames.append((kind, payload))

    def connection_lost(self, exc):
        if not self.lost.done():
            self.lost.set_result(exc)

    @property
    def messages(self) -> list[bytes]:
        return [payload for kind, payload in self.frames if kind == MESSAGE]


class HandMadeServer:
    """Listens, and remembers every connection."""

    def __init__(self, server_id: int, **behaviour) -> None:
        self.own = Hello(CLUSTER, server_id, 1, 0, Channel.CONTROL)
        self.behaviour = behaviour
        self.connections: list[HandMadePeer] = []

    def _new(self) -> HandMadePeer:
        peer = HandMadePeer(self.own, dials=False, **self.behaviour)
        self.connections.append(peer)
        return peer

    def newest(self, channel: Channel) -> HandMadePeer:
        return [peer for peer in self.connections if peer.theirs and peer.theirs.channel is channel][-1]

    async def __aenter__(self):
        self.server = await asyncio.get_running_loop().create_server(self._new, "127.0.0.1", 0)
        self.addresses = [self.server.sockets[0].getsockname()[:2]]
        return self

    async def __aexit__(self, *_):
        self.server.close()
        for peer in self.connections:
            peer.transport.abort()
            await peer.lost


@asynccontextmanager
async def dialled(server: Server, own: Hello | None = None, **behaviour):
    """A hand-made connection to a server, with its hello sent."""
    own = own or Hello(CLUSTER, 99, 1, server.server_id, Channel.CONTROL)
    loop = asyncio.get_running_loop()
    _, peer = await loop.create_connection(lambda: HandMadePeer(own, dials=True, **behaviour), *server.addresses[0])
    try:
        yield peer
    finally:
        peer.transport.abort()
        await peer.lost
