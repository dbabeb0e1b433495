"""Answers put off until there is room for them: order, deadlines, cancelling, and the end of who asks for too much."""

import asyncio
import socket
from collections.abc import Iterator
from functools import partial

import pytest
from tests.support.front_door import ServerThread, block, frames, request_bytes, serving, split_frames

from oarlock.etcd.grpc import GrpcServer, RpcContext
from oarlock.etcd.http2 import PREFACE, Backlog, Limits

SIZE = 100_000
CLOSED = PREFACE + frames.settings([(4, 0)]) + frames.window_update(0, 0x7FFFFFFF - 65_535)
"""Windows of streams are closed until the client opens them."""


class Service:
    """Large answers, made at once or with effect."""

    def __init__(self) -> None:
        self.made: list[bytes] = []
        self.release: asyncio.Event

    def build(self, loop: asyncio.AbstractEventLoop) -> GrpcServer:
        """The methods."""
        server = GrpcServer(loop)
        self.release = asyncio.Event()

        def make(message: bytes) -> bytes:
            self.made.append(message)
            return bytes(SIZE if message.startswith(b"large") else 10)

        def read(message: bytes, context: RpcContext) -> bytes:
            cheap = message.endswith(b"cheap")
            return context.make_answer(partial(make, message), lambda later: later(), cheap=cheap)

        def write(message: bytes, context: RpcContext) -> bytes:
            context.require_room(lambda: write(message, context))
            return make(message)

        async def effect(message: bytes, context: RpcContext) -> bytes:
            await self.release.wait()
            return make(message)

        server.add_unary("/test.Room/Read", read)
        server.add_unary("/test.Room/Write", write)
        server.add_unary("/test.Room/Effect", effect)
        return server


class Client:
    """A raw socket that reads frames, and opens windows only when told to."""

    def __init__(self, thread: ServerThread, hello: bytes = CLOSED) -> None:
        self.socket = socket.create_connection(("127.0.0.1", thread.port), timeout=10)
        self.socket.sendall(hello)
        self.rest = b""
        self.frames: list = []

    def ask(self, stream_id: int, message: bytes, method: str = "Read", **more: str) -> None:
        self.socket.sendall(request_bytes(stream_id, message, p_path=f"/test.Room/{method}", **more))

    def open(self, stream_id: int) -> None:
        self.socket.sendall(frames.window_update(stream_id, 1 << 20))

    def read_until(self, condition) -> None:
        while not any(map(condition, self.frames)):
            data = self.socket.recv(1 << 16)
            assert data, "closed"
            found, self.rest = split_frames(self.rest + data)
            self.frames += found

    def end_of(self, stream_id: int) -> bytes:
        """The block that ends a stream."""
        self.read_until(lambda frame: frame.stream_id == stream_id and frame.ends_stream)
        return next(frame.payload for frame in self.frames if frame.stream_id == stream_id and frame.ends_stream)

    def ping(self) -> None:
        """Come back when everything sent before has been handled."""
        self.frames = [frame for frame in self.frames if frame.kind != frames.PING]
        self.socket.sendall(frames.frame(frames.PING, 0, 0, bytes(8)))
        self.read_until(lambda frame: frame.kind == frames.PING)

    def close(self) -> None:
        self.socket.close()


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture(params=["asyncio", "uvloop"])
def thread(request: pytest.FixtureRequest, service: Service) -> Iterator[ServerThread]:
    limits = Limits(put_off_bytes=SIZE // 2, max_pending_bytes=3 * SIZE // 2)
    with serving(request.param, service.build, limits=limits, backlog=Backlog(5 * SIZE // 2)) as thread:
        yield thread
        assert thread.server.backlog.kept_bytes >= 0


@pytest.fixture
def client(thread: ServerThread) -> Iterator[Client]:
    client = Client(thread)
    yield client
    client.close()


OK = block([("grpc-status", "0")])


def test_answers_are_made_when_there_is_room(thread: ServerThread, service: Service, client: Client) -> None:
    """One large answer waits for its window; the next are not made, and come in order once it is taken."""
    for stream_id in (1, 3, 5):
        client.ask(stream_id, b"large %d" % stream_id)
    client.ask(7, b"small", "Write")
    client.ask(9, b"small cheap")
    client.ping()
    assert service.made == [b"large 1", b"small cheap"]
    for stream_id in (1, 3, 5, 7, 9):
        client.open(stream_id)
        assert client.end_of(stream_id) == OK
    assert service.made == [b"large 1", b"small cheap", b"large 3", b"large 5", b"small"]
    assert thread.call(lambda: thread.server.backlog.kept_bytes) == 0


def test_what_proves_large_is_put_off(thread: ServerThread, service: Service, client: Client) -> None:
    """An answer thought to be small is dropped when it is not, and made again when there is room."""
    client.ask(1, b"large")
    client.ask(3, b"large cheap")
    client.ping()
    assert service.made == [b"large", b"large cheap"]
    client.open(1)
    client.open(3)
    assert client.end_of(3) == OK
    assert service.made == [b"large", b"large cheap", b"large cheap"]


def test_a_call_put_off_has_its_deadline(service: Service, client: Client) -> None:
    """It is told when its time is over, and is not made afterwards."""
    client.ask(1, b"large 1")
    client.ask(3, b"large 3", grpc_timeout="50m")
    assert b"context deadline exceeded" in client.end_of(3)
    client.open(1)
    assert client.end_of(1) == OK
    client.ping()
    assert service.made == [b"large 1"]


def test_a_call_put_off_can_be_cancelled(thread: ServerThread, service: Service, client: Client) -> None:
    """It leaves nothing behind."""
    client.ask(1, b"large 1")
    client.ask(3, b"large 3")
    client.socket.sendall(frames.rst_stream(3, 8))
    client.ping()
    (served,) = thread.call(lambda: list(thread.server._connections))
    assert not served.connection.put_off
    client.open(1)
    assert client.end_of(1) == OK
    client.ping()
    assert service.made == [b"large 1"]
    client.socket.sendall(frames.rst_stream(1, 8))
    client.ping()
    assert thread.call(lambda: thread.server.backlog.kept_bytes) == 0


def test_who_lets_too_many_writes_answer_is_cut_off(thread: ServerThread, service: Service, client: Client) -> None:
    """What has been done cannot be put off: its answers are kept up to a limit, and then the connection ends."""
    for stream_id in (1, 3, 5, 7):
        client.ask(stream_id, b"large", "Effect")
    client.ping()
    thread.call(service.release.set)
    client.read_until(lambda frame: frame.kind == frames.GOAWAY)
    assert b"more was asked for than is read" in client.frames[-1].payload
    while client.socket.recv(1 << 16):
        pass
    assert thread.call(lambda: thread.server.backlog.kept_bytes) == 0


def test_room_of_all_connections(thread: ServerThread, service: Service) -> None:
    """Others' backlog puts large answers off, not small ones; their end gives the room back."""
    idle = [Client(thread) for _ in range(3)]
    for client in idle:
        client.ask(1, b"large idle")
        client.ping()
    good = Client(thread)
    good.ask(1, b"large good")
    good.ask(3, b"small cheap")
    good.open(3)
    assert good.end_of(3) == OK
    good.open(1)
    good.ping()
    assert not any(frame.stream_id == 1 for frame in good.frames)
    for client in idle:
        client.close()
    assert good.end_of(1) == OK
    good.close()


def test_small_answers_above_the_budget_need_no_room(thread: ServerThread, service: Service) -> None:
    """A range that turns out small is answered to a client that has taken everything, whatever others leave."""
    idle = [Client(thread) for _ in range(3)]
    for client in idle:
        client.ask(1, b"large idle")
        client.ping()
    good = Client(thread)
    good.ask(1, b"small range")
    good.open(1)
    assert good.end_of(1) == OK
    for client in (*idle, good):
        client.close()


def test_who_takes_nothing_is_cut_off_under_pressure(thread: ServerThread, service: Service) -> None:
    """Over the budget a client may not rest on its backlog for long; below it, it may."""
    idle = [Client(thread) for _ in range(3)]

    def check(later: float) -> int:
        now = thread.loop.time()
        for connection in list(thread.server._connections):
            connection.check(now + later)
        return thread.server.connections

    for client in idle[:2]:
        client.ask(1, b"large idle")
        client.ping()
    idle[2].ping()
    thread.call(lambda: check(0))
    assert thread.call(lambda: check(8)) == 3
    idle[2].ask(1, b"large idle")
    idle[2].ping()
    thread.call(lambda: check(9))
    thread.call(lambda: check(14))
    for client in idle:
        with pytest.raises((AssertionError, ConnectionResetError)):
            client.read_until(lambda frame: False)
        client.close()
