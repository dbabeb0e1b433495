"""TCP over the simulated network: streams of bytes in order, which end, break, or are forgotten by one side."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final, cast

from oarlock.sim.loop import SimLoop
from oarlock.sim.network import Host, Link, Network

KERNEL_BUFFER_BYTES: Final = 128 << 10
"""What the kernels on both sides take before the writer's own buffer fills."""
_SYN_RETRIES_S: Final = (1.0, 3.0, 7.0, 15.0)


class Pipe:
    """One direction of a connection: what was put in comes out in order, each when it is due and the link is open."""

    __slots__ = ("_last_due", "_link", "_mail", "_network", "_queue", "_source", "_token", "target", "unread_bytes")

    def __init__(self, network: Network, link: Link, source: "SimTransport") -> None:
        self._network = network
        self._link = link
        self._mail = link.mail
        self._source = source
        self.target: SimTransport
        self._queue: deque[tuple[float, int, Callable[..., None], tuple[object, ...]]] = deque()
        """When each is due, its size, and what comes out."""
        self._last_due = 0.0
        self._token = 0
        self.unread_bytes = 0
        """Sent, and not yet read by the other side."""

    def send(self, data: bytes) -> None:
        """Bytes, after all sent before."""
        travelling = self._mail.written(self, data) if self._mail is not None else data
        if not travelling:
            self._link.draw_for(data)
            return
        if self._link.severing and self._link.rng.random() < max(self._link.severing):
            self._sever(travelling)
            return
        for piece in self._link.pieces(travelling):
            self.unread_bytes += len(piece)
            self._put(len(piece), self._arrive, piece)

    def _sever(self, data: bytes) -> None:
        """Only the first bytes arrive, and then the connection's end, by a reset or as if in order."""
        link = self._link
        link.strikes.hit("client.cut_short")
        first = data[: link.rng.randrange(len(data))]
        if first:
            self.unread_bytes += len(first)
            self._put(len(first), self._arrive, first)
        self._put(1, self._arrive_reset if link.rng.random() < 0.5 else self._arrive_end)
        self._source.lose(ConnectionResetError(104, "Connection reset by peer"))

    def send_alone(self, frame: bytes) -> None:
        """A frame that was held back, after all sent since; it draws no chance."""
        self.unread_bytes += len(frame)
        self._put_at(self._network.scheduler.now, len(frame), self._arrive, frame)

    def finish(self) -> None:
        """The stream's end, after all sent before."""
        self._put(1, self._arrive_end)

    def reset(self) -> None:
        """Tell the other side that the connection is no more; it overtakes nothing."""
        self._put(1, self._arrive_reset)

    def resume(self) -> None:
        """The link is open again: after a while TCP notices."""
        if self._queue:
            self._token += 1
            self._network.scheduler.after(self._link.rng.random() * 0.2, self._deliver, self._token)

    def hurry(self) -> None:
        """Whatever is under way is due now."""
        now = self._network.scheduler.now
        self._queue = deque((min(due, now), size, callback, args) for due, size, callback, args in self._queue)
        self._last_due = now
        self.resume()

    def _put(self, size: int, callback: Callable[..., None], *args: object) -> None:
        self._put_at(self._network.scheduler.now + self._link.delay(), size, callback, *args)

    def _put_at(self, due: float, size: int, callback: Callable[..., None], *args: object) -> None:
        self._last_due = max(self._last_due, due)
        self._queue.append((self._last_due, size, callback, args))
        if len(self._queue) == 1:
            self._link.busy[self] = None
            self._schedule()

    def _schedule(self) -> None:
        due, size, _, _ = self._queue[0]
        self._token += 1
        self._network.scheduler.at(max(due, self._link.transmit(size)), self._deliver, self._token)

    def _deliver(self, token: int) -> None:
        if token != self._token:
            return
        link = self._link
        if not link.is_open:
            link.strikes.hit("link.held")
            return  # it resumes with the link
        _, _, callback, args = self._queue.popleft()
        callback(*args)
        if self._queue:
            self._schedule()
        else:
            link.busy.pop(self, None)

    def _arrive(self, data: bytes) -> None:
        target = self.target
        if target.is_gone:
            self._nobody_there()
        else:
            target.loop.call_soon(target.received, data)

    def _arrive_end(self) -> None:
        target = self.target
        if target.is_gone:
            self._nobody_there()
        else:
            target.loop.call_soon(target.ended)

    def _arrive_reset(self) -> None:
        if not self.target.is_gone:
            self.target.lose(ConnectionResetError(104, "Connection reset by peer"))

    def lose(self) -> None:
        """Nobody will read what is in it."""
        link, source = self._link, self._source
        if self._mail is None:
            return
        if link.is_blocked:
            cause = "partition"
        elif self.target.host.loop is None:
            cause = "dst_down"
        else:
            cause = "reset" if source.host.loop is source.loop else "stale_epoch"
        self._mail.broken(self, cause)

    def _nobody_there(self) -> None:
        """The other side has no such connection: its kernel says so, if it has power."""
        self.lose()
        if self.target.host.is_powered and not self._source.is_gone:
            self.target.refuse()


class SimTransport(asyncio.Transport):
    """One side of a connection."""

    def __init__(self, network: Network, host: Host, loop: SimLoop, peer: tuple[str, int]) -> None:
        super().__init__({"peername": peer})
        self._network = network
        self.host = host
        self.loop = loop
        self.peer_host_name = peer[0]
        self._protocol: asyncio.Protocol
        self._pipe = self.outgoing = Pipe(network, network.link(host.name, peer[0]), self)
        self.incoming: Pipe
        self._high = 64 << 10
        self._is_paused = False
        self._is_reading = True
        self._unread: deque[bytes] = deque()
        """What has come while nothing was read."""
        self._end_waits = False
        """Whether the end has come behind it."""
        self._is_closing = False
        self.is_gone = False
        """Whether this side knows nothing of the connection any more."""

    # -- asyncio.Transport -------------------------------------------------------------------------------------------

    def write(self, data: "bytes | bytearray | memoryview[Any]") -> None:
        """Send bytes; after the end they go nowhere."""
        if self._is_closing or self.is_gone or not data:
            return
        self._pipe.send(bytes(data))
        if not self._is_paused and self.get_write_buffer_size() > self._high:
            self._is_paused = True
            self._network.strikes.hit("connection.write_paused")
            self._protocol.pause_writing()

    def close(self) -> None:
        """End after what was written."""
        if not self._is_closing and not self.is_gone:
            self._is_closing = True
            self._pipe.finish()
            if not self.get_write_buffer_size():
                self.lose(None)

    def abort(self) -> None:
        """End at once."""
        if not self.is_gone:
            self._is_closing = True
            self._pipe.reset()
            self.lose(None)

    def is_closing(self) -> bool:
        """Whether it is ending or has ended."""
        return self._is_closing or self.is_gone

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:  # noqa: ARG002
        """When to tell the protocol to pause."""
        self._high = 64 << 10 if high is None else high

    def get_write_buffer_size(self) -> int:
        """Bytes that the kernel has not taken."""
        return max(0, self._pipe.unread_bytes - KERNEL_BUFFER_BYTES)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """The protocol it serves."""
        return self._protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Serve another protocol."""
        self._protocol = cast("asyncio.Protocol", protocol)

    # -- the other side, and the network -------------------------------------------------------------------------------

    def open(self, protocol: asyncio.Protocol, peer: "SimTransport") -> None:
        """Begin to serve a protocol."""
        self._pipe.target = peer
        self.incoming = peer.outgoing
        self._protocol = protocol
        self.host.transports[self] = None

    def pause_reading(self) -> None:
        """Leave what comes where it is."""
        self._is_reading = False

    def resume_reading(self) -> None:
        """Read again, first what has come meanwhile."""
        self._is_reading = True
        self.loop.call_soon(self._read_on)

    def _read_on(self) -> None:
        while self._is_reading and self._unread:
            self._read(self._unread.popleft())
        if self._is_reading and self._end_waits:
            self._end_waits = False
            self.ended()

    def received(self, data: bytes) -> None:
        """Bytes have come."""
        if self._unread or not self._is_reading:
            self._unread.append(data)
        else:
            self._read(data)

    def _read(self, data: bytes) -> None:
        if not self.is_gone:
            self._pipe.target.was_read(len(data))
            self._protocol.data_received(data)

    def was_read(self, size: int) -> None:
        """The other side has taken bytes."""
        self._pipe.unread_bytes -= size
        if self.is_gone:
            return
        if self._is_paused and self._pipe.unread_bytes <= KERNEL_BUFFER_BYTES + self._high // 4:
            self._is_paused = False
            self.loop.call_soon(self._resume)
        if self._is_closing and not self.get_write_buffer_size():
            self.lose(None)

    def _resume(self) -> None:
        if not self.is_closing():
            self._protocol.resume_writing()

    def ended(self) -> None:
        """The other side will send nothing more."""
        if self._unread or not self._is_reading:
            self._end_waits = True
        elif not self.is_gone and not self._protocol.eof_received():
            self.close()

    def lose(self, error: Exception | None) -> None:
        """It is over on this side; the protocol is told."""
        if not self.is_gone:
            self.is_gone = True
            self.incoming.lose()
            self.host.transports.pop(self, None)
            self.loop.call_soon(self._protocol.connection_lost, error)

    def refuse(self) -> None:
        """A kernel answers bytes of a connection that it does not know."""
        self._network.strikes.hit("connection.refused_bytes")
        self._pipe.reset()

    def break_off(self, *, midframe: bool) -> None:
        """The network breaks the connection, perhaps behind the first bytes of a frame."""
        if self.is_gone:
            return
        peer = self._pipe.target
        if midframe and not peer.is_gone:
            link = self._network.link(self.host.name, self.peer_host_name)
            peer.loop.call_soon(peer.cut_off, bytes(link.rng.randrange(1, 12)))
        else:
            peer.lose(ConnectionResetError(104, "Connection reset by peer"))
        self.lose(ConnectionResetError(104, "Connection reset by peer"))

    def cut_off(self, data: bytes) -> None:
        """The last bytes before a break: the beginning of something."""
        if not self.is_gone:
            self._protocol.data_received(data)
            self.lose(ConnectionResetError(104, "Connection reset by peer"))

    def forget(self) -> None:
        """This side loses the connection without the other being told."""
        self.lose(ConnectionAbortedError(103, "Software caused connection abort"))

    def vanish(self, *, silent: bool) -> None:
        """The process is gone; unless the machine is too, its kernel ends the connection."""
        self.is_gone = True
        self.incoming.lose()
        if not silent:
            self._pipe.reset()


class SimServer:
    """A listening socket."""

    def __init__(self, host: Host, port: int) -> None:
        self._host = host
        self._port = port
        self.sockets: tuple[Any, ...] = ()

    def close(self) -> None:
        """Accept nothing more."""
        self._host.listeners.pop(self._port, None)

    async def wait_closed(self) -> None:
        """It is closed at once."""


def listen(host: Host, factory: Callable[[], asyncio.Protocol], port: int) -> SimServer:
    """Accept connections at a port.

    Raises:
        OSError: The port is taken.
    """
    if port in host.listeners:
        raise OSError(98, f"error while attempting to bind on address ({host.name!r}, {port}): address already in use")
    host.listeners[port] = factory
    return SimServer(host, port)


async def connect(
    network: Network, host: Host, loop: SimLoop, factory: Callable[[], asyncio.Protocol], target: tuple[str, int]
) -> tuple[SimTransport, asyncio.Protocol]:
    """Connect from a host to an address; hangs while nothing gets through, until the caller gives up.

    Raises:
        ConnectionRefusedError: Nobody listens there.
    """
    attempt = _Attempt(network, host, loop, factory, target)
    attempt.send_syn(0)
    return await attempt.opened


class _Attempt:
    """One connection that is being opened."""

    def __init__(
        self,
        network: Network,
        host: Host,
        loop: SimLoop,
        factory: Callable[[], asyncio.Protocol],
        target: tuple[str, int],
    ) -> None:
        self._network = network
        self._host = host
        self._loop = loop
        self._factory = factory
        self._target = target
        self.opened: asyncio.Future[tuple[SimTransport, asyncio.Protocol]] = loop.create_future()

    def send_syn(self, attempt: int) -> None:
        """Ask; what gets lost is sent again, ever more seldom."""
        if self.opened.done():
            return
        link = self._network.link(self._host.name, self._target[0])
        scheduler = self._network.scheduler
        scheduler.after(link.delay(), self._syn_arrives, link)
        if attempt < len(_SYN_RETRIES_S):
            scheduler.after(_SYN_RETRIES_S[attempt], self.send_syn, attempt + 1)

    def _syn_arrives(self, link: Link) -> None:
        target = self._network.hosts.get(self._target[0])
        back = self._network.link(self._target[0], self._host.name)
        if self.opened.done() or not link.is_open or not back.is_open or target is None or not target.is_powered:
            return  # it is lost, or its answer is
        accept = target.listeners.get(self._target[1])
        answer_s = back.delay()
        if accept is None or target.loop is None:
            self._network.scheduler.after(answer_s, self._refused)
            return
        near = SimTransport(self._network, self._host, self._loop, self._target)
        far = SimTransport(self._network, target, target.loop, self._network.own_address(self._host))
        near.open(self._factory(), far)
        far.open(accept(), near)
        self.opened.add_done_callback(lambda opened: self._answered(opened, near))
        target.loop.call_soon(far.get_protocol().connection_made, far)
        self._network.scheduler.after(answer_s, self._accepted, near)

    def _refused(self) -> None:
        if not self.opened.done():
            self.opened.set_exception(ConnectionRefusedError(111, f"Connect call failed {self._target}"))

    def _accepted(self, near: SimTransport) -> None:
        if self.opened.done():
            return
        if near.is_gone:
            self.opened.set_exception(ConnectionResetError(104, "Connection reset by peer"))
            return
        protocol = cast("asyncio.Protocol", near.get_protocol())
        self._loop.call_soon(protocol.connection_made, near)
        self.opened.set_result((near, protocol))

    def _answered(self, opened: "asyncio.Future[Any]", near: SimTransport) -> None:
        """Given up meanwhile: the other side must not be left with a connection to nobody."""
        if opened.cancelled():
            near.is_gone = True
            near.host.transports.pop(near, None)
            near.refuse()
