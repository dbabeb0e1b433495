"""Clients that ask for much and read nothing: memory stays bounded, and the others are served."""

import asyncio
import socket
from pathlib import Path

from tests.support.front_door import PREFACE, frames, request_bytes, split_frames, until
from tests.support.grpc_client import EtcdClient
from tests.support.local_server import LocalServer
from tests.support.pair import get, put

from oarlock.etcd.http2 import Backlog, Limits
from oarlock.etcd.http2.settings import MAX_CONCURRENT_STREAMS
from oarlock.etcd.proto import rpc_pb2 as rpc

VALUE_BYTES = 500_000
KEYS = 4
ANSWER_BYTES = KEYS * VALUE_BYTES
REQUESTS = 30
BUDGET_BYTES = 10_000_000
PUT_OFF_BYTES = 3_000_000
BUFFER_BYTES = 1_000_000
"""What a connection may have made ready for its socket beside what waits."""
WIDE_OPEN = PREFACE + frames.settings([(4, 0x7FFFFFFF)]) + frames.window_update(0, 0x7FFFFFFF - 65_535)
EVERYTHING = rpc.RangeRequest(key=b"\0", range_end=b"\0")


class Watched(Backlog):
    """A backlog that remembers its peak."""

    peak = 0
    _bytes = 0

    @property
    def kept_bytes(self) -> int:  # type: ignore[override]
        return self._bytes

    @kept_bytes.setter
    def kept_bytes(self, value: int) -> None:
        self._bytes = value
        self.peak = max(self.peak, value)


def ask_for_everything(endpoint: str, *, serializable: bool) -> socket.socket:
    """A connection with many ranges asked for at once, and windows that let all answers come."""
    host, port = endpoint.rsplit(":", 1)
    client = socket.create_connection((host, int(port)))
    request = rpc.RangeRequest(key=b"\0", range_end=b"\0", serializable=serializable).SerializeToString()
    path = "/etcdserverpb.KV/Range"
    client.sendall(WIDE_OPEN + b"".join(request_bytes(2 * n + 1, request, p_path=path) for n in range(REQUESTS)))
    return client


async def filled(server: LocalServer, client: EtcdClient) -> Watched:
    """Put the values, and set the limits for connections to come."""
    for number in range(KEYS):
        await client.call(*put(b"%d" % number, bytes(VALUE_BYTES)))
    port = server.server._port
    assert port is not None
    port.limits = Limits(put_off_bytes=PUT_OFF_BYTES)
    port.backlog = watched = Watched(BUDGET_BYTES)
    return watched


async def test_clients_that_do_not_read(tmp_path: Path) -> None:
    """Twelve of them keep no more than the budget; gets go on at once, a range when they have been cut off."""
    async with LocalServer(tmp_path) as server, EtcdClient(server.endpoint) as setter:
        watched = await filled(server, setter)
        port = server.server._port
        assert port is not None
        idle = [ask_for_everything(server.endpoint, serializable=number % 2 == 0) for number in range(12)]

        def put_off() -> int:
            connections = [each.connection for each in port._connections if hasattr(each, "connection")]
            return sum(len(connection.put_off) for connection in connections)

        await until(lambda: watched.is_over)
        async with EtcdClient(server.endpoint) as client:
            assert (await client.call(*get(b"none"))).count == 0
            assert (await client.call(*put(b"small", b"x"))).header.revision
            everything = asyncio.ensure_future(client.call("KV.Range", EVERYTHING))
            await until(lambda: put_off() > 12 * (REQUESTS - 4))
            assert not everything.done()
            now = asyncio.get_running_loop().time()
            for later in (0, 6):
                for connection in list(port._connections):
                    connection.check(now + later)
            assert (await everything).count == KEYS + 1
        assert watched.peak <= BUDGET_BYTES + ANSWER_BYTES + 13 * BUFFER_BYTES
        for sock in idle:
            sock.close()
        await until(lambda: watched.kept_bytes == 0)


async def test_a_client_that_reads_gets_all(tmp_path: Path) -> None:
    """What is put off is answered in full as the client reads, and never much of it is kept."""
    async with LocalServer(tmp_path) as server, EtcdClient(server.endpoint) as setter:
        watched = await filled(server, setter)
        client = ask_for_everything(server.endpoint, serializable=False)
        client.setblocking(False)
        received: dict[int, int] = {}
        ended = set()
        rest = b""
        loop = asyncio.get_running_loop()
        while len(ended) < REQUESTS:
            found, rest = split_frames(rest + await asyncio.wait_for(loop.sock_recv(client, 1 << 18), 10))
            for frame in found:
                if frame.kind == frames.DATA:
                    received[frame.stream_id] = received.get(frame.stream_id, 0) + len(frame.payload)
                if frame.ends_stream:
                    ended.add(frame.stream_id)
        client.close()
        assert len(set(received.values())) == 1
        assert min(received.values()) > ANSWER_BYTES
        assert watched.peak < PUT_OFF_BYTES + ANSWER_BYTES + BUFFER_BYTES
        assert watched.kept_bytes == 0


async def test_the_number_of_streams_is_the_configurations(tmp_path: Path) -> None:
    """Clients are told how many requests they may have open."""
    async with LocalServer(tmp_path, max_concurrent_streams=7) as server:
        host, port = server.endpoint.rsplit(":", 1)
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(WIDE_OPEN)
        head = await reader.readexactly(9)
        payload = await reader.readexactly(int.from_bytes(head[:3], "big"))
        assert (MAX_CONCURRENT_STREAMS, 7) in frames.parse_settings(payload)
        writer.close()
        await writer.wait_closed()
