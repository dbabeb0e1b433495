"""A proxy in front of each local server's peer port, so that a partition can be made and healed.

A connection's first frame says who dials (`transport/handshake.py`); so each is known by both its ends. While its
link is cut nothing passes in either direction and nothing is closed, as with a cable that was pulled: what was
written waits, and the servers find out by themselves.
"""

import asyncio
from typing import Final, cast

from oarlock.raft.types import ServerId
from oarlock.transport.framing import FrameDecoder, FrameError
from oarlock.transport.handshake import HELLO_LIMIT_BYTES, HandshakeRefused, Hello, answer
from oarlock.transport.interface import Channel

MAX_CONNECTIONS: Final = 256
"""Of one server."""

Link = tuple[ServerId, ServerId]


class Cuts:
    """Which links are cut, and who must know."""

    def __init__(self) -> None:
        self.links: set[Link] = set()
        """Each from a server to another; what is cut is cut both ways here."""
        self._pipes: dict[_Dialled, None] = {}

    def separates(self, one: ServerId | None, other: ServerId) -> bool:
        """Whether nothing may pass between two servers."""
        return one is not None and (one, other) in self.links

    def cut(self, some: list[ServerId], rest: list[ServerId]) -> list[Link]:
        """Cut every link between the servers of two groups; gives those that were not cut before."""
        links = [link for one in some for other in rest for link in ((one, other), (other, one))]
        new = [link for link in links if link not in self.links]
        self.links.update(new)
        self._changed()
        return new

    def heal(self) -> None:
        """Let everything pass again."""
        self.links.clear()
        self._changed()

    def opened(self, pipe: "_Dialled") -> None:
        """A connection that a cut may concern. One that waits for a healing gives way to a newer one of its kind."""
        for other in [each for each in self._pipes if each.key == pipe.key and each.is_held and pipe.is_held]:
            other.abort()
        self._pipes[pipe] = None

    def closed(self, pipe: "_Dialled") -> None:
        """It is gone."""
        self._pipes.pop(pipe, None)

    def _changed(self) -> None:
        for pipe in list(self._pipes):
            pipe.cut_changed()


class PeerProxy:
    """Stands where the others look for one server."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, cuts: Cuts, cluster_id: int, server_id: ServerId, upstream_port: int
    ) -> None:
        """Prepare.

        Args:
            loop: The running loop.
            cuts: Shared by all.
            cluster_id: For understanding the first frame.
            server_id: The server behind it.
            upstream_port: Where that listens, on 127.0.0.1.
        """
        self.loop = loop
        self.cuts = cuts
        self.hello = Hello(cluster_id, server_id, 0, 0, Channel.CONTROL)
        self.upstream_port = upstream_port
        self.connections: dict[_Dialled, None] = {}
        self._server: asyncio.Server | None = None

    async def start(self, port: int) -> None:
        """Listen on a port of 127.0.0.1.

        Raises:
            OSError: It cannot be listened on.
        """
        self._server = await self.loop.create_server(lambda: _Dialled(self), "127.0.0.1", port)

    def close(self) -> None:
        """End every connection."""
        if self._server is not None:
            self._server.close()
        for connection in list(self.connections):
            connection.abort()


class _End(asyncio.Protocol):
    """One of the two sockets of a pipe."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.other: _End | None = None
        self.is_held = False
        """Whether a cut keeps it from being read."""
        self.is_full = False
        """Whether the other side takes no more."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.write(data)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()

    def pause_writing(self) -> None:
        if self.other is not None:
            self.other.is_full = True
            self.other.settle()

    def resume_writing(self) -> None:
        if self.other is not None:
            self.other.is_full = False
            self.other.settle()

    def settle(self) -> None:
        """Read, or do not."""
        if self.transport is None or self.transport.is_closing():
            return
        if self.is_held or self.is_full:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()


class _Dialled(_End):
    """The side of who dials: tells by its first frame who that is, and then has the server dialled."""

    def __init__(self, proxy: PeerProxy) -> None:
        super().__init__()
        self._proxy = proxy
        self._decoder = FrameDecoder(HELLO_LIMIT_BYTES)
        self._first = b""
        self._source: ServerId | None = None
        self._is_known = False
        self._dialling: asyncio.Task[None] | None = None
        self.key: tuple[object, ...] = ()
        """Who dials whom, on which channel."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if len(self._proxy.connections) >= MAX_CONNECTIONS:
            self.abort()
            return
        self._proxy.connections[self] = None

    def data_received(self, data: bytes) -> None:
        if self.other is not None:
            super().data_received(data)
            return
        self._first += data
        if self._is_known:
            return
        try:
            for kind, payload in self._decoder.feed(data):
                self._introduced(kind, payload)
                break
        except FrameError:
            self.abort()

    def _introduced(self, kind: int, payload: bytes) -> None:
        self._is_known = True
        try:
            theirs, _ = answer(self._proxy.hello, kind, payload)
        except HandshakeRefused:
            theirs = None  # a question, or what the server itself will refuse
        if theirs is not None:
            self._source = theirs.server_id
            self.key = (theirs.server_id, self._proxy.hello.server_id, theirs.channel)
        self.is_held = self._is_cut()
        self._proxy.cuts.opened(self)
        self.cut_changed()

    def _is_cut(self) -> bool:
        return self._proxy.cuts.separates(self._source, self._proxy.hello.server_id)

    def cut_changed(self) -> None:
        """Let pass, or hold."""
        self.is_held = self._is_cut()
        if self.other is None:
            # Nothing more is read before the server is reached, so that what came keeps its order.
            if self.transport is not None and not self.transport.is_closing():
                self.transport.pause_reading()
            if not self.is_held and self._dialling is None:
                self._dialling = self._proxy.loop.create_task(self._dial())
            return
        self.other.is_held = self.is_held
        self.settle()
        self.other.settle()

    async def _dial(self) -> None:
        other = _End()
        other.other = self
        try:
            await self._proxy.loop.create_connection(lambda: other, "127.0.0.1", self._proxy.upstream_port)
        except OSError:
            self.abort()
            return
        assert other.transport is not None  # noqa: S101 - it is connected
        if self.transport is None or self.transport.is_closing():
            other.transport.abort()
            return
        other.transport.write(self._first)
        self._first = b""
        self.other = other
        self.cut_changed()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._proxy.connections.pop(self, None)
        self._proxy.cuts.closed(self)

    def abort(self) -> None:
        """End it."""
        if self.transport is not None:
            self.transport.abort()
