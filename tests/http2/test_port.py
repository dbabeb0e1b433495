"""One port: protocols told apart, TLS and ALPN, limits on connections, other implementations as clients."""

import asyncio
import contextlib
import re
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import pytest
from tests.support.etcdctl import etcdctl
from tests.support.front_door import (
    HELLO,
    REQUEST_FIELDS,
    data_frame,
    echo_server,
    fields,
    grpc_message,
    headers_frame,
    request_bytes,
    serving,
    split_frames,
    until,
)
from tests.support.system_programs import require
from tests.transport.certificates import Authority

import grpc
from oarlock.etcd.grpc import GrpcServer
from oarlock.etcd.http1 import HttpLimits, HttpResponse, Router
from oarlock.etcd.http2 import PREFACE, Limits, frames
from oarlock.etcd.port import PortServer, server_tls_context


def plain_router():
    router = Router()
    router.add("/version", lambda request: HttpResponse(200, b"v1 for " + (request.peer_common_name or "-").encode()))
    router.add("/body", lambda request: HttpResponse(200, request.body), methods=("POST",))

    async def later(request):
        await asyncio.sleep(0)
        return HttpResponse(200, b"later")

    async def crash(request):
        raise RuntimeError("a secret")

    def stream(request):
        async def pieces():
            for _ in range(100):
                yield bytes(10_000)

        return HttpResponse(200, pieces())

    router.add("/later", later)
    router.add("/crash", crash)
    router.add("/stream", stream)
    return router


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def server(request):
    with serving(request.param, router=plain_router(), http_limits=HttpLimits(max_body_bytes=300_000)) as thread:
        yield thread


class H2Client:
    """The `h2` library on a blocking socket."""

    def __init__(self, sock):
        self.sock = sock
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.flush()

    def flush(self):
        self.sock.sendall(self.h2.data_to_send())

    def ask(self, pairs, body=b""):
        """A request; returns its fields, body and trailers."""
        stream_id = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream_id, pairs, end_stream=not body)
        while body:
            room = min(self.h2.local_flow_control_window(stream_id), self.h2.max_outbound_frame_size, len(body))
            if room:
                self.h2.send_data(stream_id, body[:room], end_stream=room == len(body))
                body = body[room:]
                self.flush()
            else:
                self.events()
        self.flush()
        head, received, trailers = {}, b"", {}
        while True:
            for event in self.events():
                if isinstance(event, h2.events.ResponseReceived):
                    head = dict(event.headers)
                elif isinstance(event, h2.events.DataReceived):
                    received += event.data
                    self.h2.acknowledge_received_data(event.flow_controlled_length, stream_id)
                    self.flush()
                elif isinstance(event, h2.events.TrailersReceived):
                    trailers = dict(event.headers)
                elif isinstance(event, h2.events.StreamEnded):
                    return head, received, trailers
                elif isinstance(event, h2.events.StreamReset | h2.events.ConnectionTerminated):
                    raise ConnectionError(event)

    def events(self):
        data = self.sock.recv(65_536)
        if not data:
            raise ConnectionError("closed")
        found = self.h2.receive_data(data)
        self.flush()
        return found


def plain(method, path, *more):
    return [(":method", method), (":scheme", "http"), (":path", path), (":authority", "here"), *more]


@contextlib.contextmanager
def connected(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as sock:
        yield sock


def read_until_closed(sock):
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := sock.recv(65_536):
            data += piece
    return data


def test_h2_as_a_client(server):
    """The `h2` library, which checks what it is sent, makes gRPC calls: small, large, refused."""
    with connected(server) as sock:
        client = H2Client(sock)
        for body in (b"hello", bytes(1_500_000)):
            head, received, trailers = client.ask(REQUEST_FIELDS, grpc_message(body))
            assert head == {":status": "200", "content-type": "application/grpc"}
            assert received == grpc_message(body)
            assert trailers == {"grpc-status": "0"}
        head, _, _ = client.ask(fields(p_path="/a/b"), grpc_message(b""))
        assert (head["grpc-status"], head["grpc-message"]) == ("12", "unknown service a")


def test_plain_requests_over_http_2(server):
    """What is not gRPC goes to the router, which answers as over HTTP/1.1."""
    with connected(server) as sock:
        client = H2Client(sock)
        head, body, _ = client.ask(plain("GET", "/version"))
        assert (head[":status"], head["content-length"], body) == ("200", "8", b"v1 for -")
        assert client.ask(plain("HEAD", "/version"))[:2] == (head, b"")
        assert client.ask(plain("POST", "/body"), b"x" * 200_000)[1] == b"x" * 200_000
        assert client.ask(plain("POST", "/body"), b"x" * 300_001)[0][":status"] == "413"
        assert client.ask(plain("GET", "/nothing"))[0][":status"] == "404"
        assert client.ask(plain("GET", "/later"))[1] == b"later"
        assert client.ask(plain("GET", "/crash"))[0][":status"] == "500"
        assert client.ask(plain("GET", "/stream"))[1] == bytes(1_000_000)
        assert client.ask(plain("GET", "/?" + "a=1&" * 200))[0][":status"] == "400"


def test_http_1_1_on_the_same_port(server):
    """The first bytes tell; they may come one by one."""
    with connected(server) as sock:
        for byte in b"PRI /version HTTP/1.1\r\nHost: h\r\n\r\n":
            sock.sendall(bytes([byte]))
        assert sock.recv(1000).startswith(b"HTTP/1.1 405")
    with connected(server) as sock:
        sock.sendall(b"GET /version HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        assert read_until_closed(sock).endswith(b"v1 for -")
    with connected(server) as sock:
        for byte in HELLO + request_bytes(1):
            sock.sendall(bytes([byte]))
        data = b""
        while grpc_message(b"hello") not in data:
            data += sock.recv(65_536)


def test_a_bad_frame_ends_its_connection_alone(server):
    """GOAWAY and the end for one, nothing for the others."""
    with connected(server) as good, connected(server) as bad:
        client = H2Client(good)
        client.ask(REQUEST_FIELDS, grpc_message(b"x"))
        bad.sendall(HELLO + data_frame(0, b"x"))
        seen, rest = split_frames(read_until_closed(bad))
        assert seen[-1].kind == frames.GOAWAY
        assert rest == b""
        assert client.ask(REQUEST_FIELDS, grpc_message(b"y"))[1] == grpc_message(b"y")


def test_a_peer_that_does_not_read_stops_being_read(server):
    """With full socket buffers no more is made for it: nothing grows without bound, and all comes when it reads."""
    with connected(server) as sock:
        sock.sendall(PREFACE + frames.settings([(4, 0x7FFFFFFF)]) + frames.window_update(0, 0x7FFFFFFF - 65_535))
        sock.sendall(request_bytes(1, b"1000000 50", p_path="/test.Echo/Download"))
        deadline = server.loop.time() + 10
        paused = []
        while not paused:
            assert server.loop.time() < deadline
            connections = server.call(lambda: list(server.server._connections))
            paused = [each for each in connections if getattr(each, "connection", None) and each.connection.paused]
        (connection,) = paused
        assert not server.call(connection.transport.is_reading)
        assert server.call(connection.transport.get_write_buffer_size) < 1_000_000
        assert server.call(lambda: connection.connection.pending_bytes) < 1_100_000
        received, rest = 0, b""
        ended = False
        while not ended:
            seen, rest = split_frames(rest + sock.recv(1 << 20))
            received += sum(len(frame.payload) for frame in seen if frame.kind == frames.DATA)
            ended = any(frame.ends_stream for frame in seen)
        assert received == 50 * 1_000_005


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
class TestTls:
    """One handshake; ALPN decides, or the first bytes where a client does not use it."""

    def tls(self, authority, **options):
        issued = authority.issue("server")
        return server_tls_context(Path(issued.cert_file), Path(issued.key_file), **options)

    def client(self, authority, *protocols):
        context = ssl.create_default_context(cafile=authority.file)
        if protocols:
            context.set_alpn_protocols(list(protocols))
        return context

    def test_alpn(self, kind, authority):
        """h2 and http/1.1 are chosen as the client prefers what we offer; without ALPN the bytes decide."""
        with serving(kind, router=plain_router(), tls=self.tls(authority)) as thread:
            for protocols, chosen in ((["h2", "http/1.1"], "h2"), (["http/1.1"], "http/1.1"), ([], None)):
                context = self.client(authority, *protocols)
                with connected(thread) as raw, context.wrap_socket(raw, server_hostname="127.0.0.1") as sock:
                    assert sock.selected_alpn_protocol() == chosen
                    if chosen == "h2":
                        assert H2Client(sock).ask(plain("GET", "/version"))[1] == b"v1 for -"
                    else:
                        sock.sendall(b"GET /version HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
                        assert read_until_closed(sock).endswith(b"v1 for -")
            context = self.client(authority)
            with connected(thread) as raw, context.wrap_socket(raw, server_hostname="127.0.0.1") as sock:
                assert H2Client(sock).ask(REQUEST_FIELDS, grpc_message(b"x"))[1] == grpc_message(b"x")

    def test_grpcio_over_tls(self, kind, authority):
        """Grpcio insists on ALPN, and large messages pass."""
        credentials = grpc.ssl_channel_credentials(authority.file.read_bytes())
        with (
            serving(kind, tls=self.tls(authority)) as thread,
            grpc.secure_channel(thread.address, credentials) as channel,
        ):
            call = channel.unary_unary("/test.Echo/Unary")
            assert call(bytes(2_000_000), timeout=20) == bytes(2_000_000)

    def test_client_certificates(self, kind, authority):
        """Demanded and verified where authorities are named; the common name reaches the handlers."""
        tls = self.tls(authority, trusted_ca_file=authority.file, client_cert_auth=True)
        issued = authority.issue("alice")
        names = []

        def build(loop):
            server = echo_server(loop)
            server.add_unary("/test.Echo/Who", lambda message, context: names.append(context.peer_common_name) or b"")
            return server

        with serving(kind, build, router=plain_router(), tls=tls) as thread:
            context = self.client(authority, "http/1.1")
            context.load_cert_chain(issued.cert_file, issued.key_file)
            with connected(thread) as raw, context.wrap_socket(raw, server_hostname="127.0.0.1") as sock:
                sock.sendall(b"GET /version HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
                assert read_until_closed(sock).endswith(b"v1 for alice")
            credentials = grpc.ssl_channel_credentials(
                authority.file.read_bytes(), Path(issued.key_file).read_bytes(), Path(issued.cert_file).read_bytes()
            )
            with grpc.secure_channel(thread.address, credentials) as channel:
                channel.unary_unary("/test.Echo/Who")(b"", timeout=10)
            assert names == ["alice"]
            context = self.client(authority, "h2")
            with (
                connected(thread) as raw,
                pytest.raises((ssl.SSLError, ConnectionError)),
                context.wrap_socket(raw, server_hostname="127.0.0.1") as sock,
            ):
                H2Client(sock).events()

    def test_failed_handshakes_are_logged(self, kind, authority, caplog):
        """With the peer and the reason, one line a second: the others are counted in the next line."""
        tls = self.tls(authority, trusted_ca_file=authority.file, client_cert_auth=True)
        with serving(kind, router=plain_router(), tls=tls) as thread, caplog.at_level("WARNING"):
            handshakes = thread.server._handshakes

            def fail(data, next_line_at):
                thread.call(lambda: setattr(handshakes, "_next_line_at", next_line_at))
                with connected(thread) as sock:
                    if data is None:
                        with contextlib.suppress(ssl.SSLError, ConnectionError):
                            context = self.client(authority)
                            with context.wrap_socket(sock, server_hostname="127.0.0.1") as secure:
                                assert not read_until_closed(secure)
                    else:
                        sock.sendall(data)
                        assert not read_until_closed(sock).startswith(b"HTTP")
                    deadline = thread.loop.time() + 10
                    while thread.call(lambda: len(handshakes)):
                        assert thread.loop.time() < deadline

            fail(b"GET / HTTP/1.1\r\n\r\n", 0.0)
            for _ in range(2):
                fail(b"nonsense " * 10, float("inf"))
            fail(None, 0.0)
            first, second = (each.getMessage() for each in caplog.records if each.name == "oarlock.etcd.handshakes")
            assert re.fullmatch(r"TLS handshake with 127\.0\.0\.1:\d+ failed: http request", first)
            assert second.endswith("failed: peer did not return a certificate (2 more failed since the last such line)")
            assert thread.server.connections == 0

    def test_handshakes_have_their_place(self, kind, authority):
        """One that does not go on counts as a connection, and the end of the server ends it."""
        with (
            serving(kind, tls=self.tls(authority), max_connections=2) as thread,
            connected(thread) as first,
            connected(thread) as second,
        ):
            deadline = thread.loop.time() + 10
            while thread.call(lambda: len(thread.server._handshakes)) < 2:
                assert thread.loop.time() < deadline
            with connected(thread) as third:
                assert read_until_closed(third) == b""
            assert thread.server.rejected == 1
            thread.run(thread.server.close())
            assert read_until_closed(first) == read_until_closed(second) == b""


async def make(limits=None, **options):
    loop = asyncio.get_running_loop()
    return PortServer(loop, echo_server(loop), limits=limits, **options)


async def test_listen_urls():
    """URLs as etcd writes them, names included; anything else is one clear error."""
    server = await make()
    ((host, port),) = await server.start_url("http://127.0.0.1:0")
    assert host == "127.0.0.1"
    assert port > 0
    for url, text in (
        ("unix:///x", "is not http"),
        ("127.0.0.1:2379", "is not http"),
        ("http://127.0.0.1", "has no port"),
        ("http://127.0.0.1:1/x", "is not http"),
        ("https://127.0.0.1:0", "needs a certificate"),
    ):
        with pytest.raises(ValueError, match=text):
            await server.start_url(url)
    await server.close()


async def test_connections_above_the_limit_are_closed():
    """The limit holds, and room that is given back is used."""
    server = await make(max_connections=2)
    address = (await server.start("127.0.0.1", 0))[0]
    clients = [await asyncio.open_connection(*address) for _ in range(3)]
    with contextlib.suppress(ConnectionResetError):
        assert await clients[2][0].read() == b""
    assert (server.accepted, server.rejected, server.connections) == (2, 1, 2)
    clients[0][1].close()
    await until(lambda: server.connections == 1)
    clients.append(await asyncio.open_connection(*address))
    await until(lambda: server.accepted == 3)
    for _, writer in clients:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    await server.close()


class TestTimes:
    """What should happen and does not, on a clock that the test moves."""

    @pytest.fixture
    async def opened(self):
        """A server, a client's socket, and a function that looks at its connection later."""
        server = await make(Limits(idle_timeout_s=500, keepalive_interval_s=100, stall_timeout_s=50))
        reader, writer = await asyncio.open_connection(*(await server.start("127.0.0.1", 0))[0])
        now = asyncio.get_running_loop().time()

        def check(later):
            for connection in list(server._connections):
                connection.check(now + later)

        await until(lambda: server.connections)
        yield server, reader, writer, check
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        await server.close()

    async def ready(self, server, writer, data=HELLO):
        writer.write(data)
        await until(
            lambda: any(getattr(each, "connection", None) and each.connection.is_ready for each in server._connections)
        )
        return next(iter(server._connections))

    async def ping(self, reader):
        rest = b""
        while True:
            found, rest = split_frames(rest + await reader.read(1000))
            for frame in found:
                if frame.kind == frames.PING:
                    return frame.payload

    async def test_a_client_that_says_nothing(self, opened):
        """Before the first byte, and within the preface."""
        server, _, _, check = opened
        check(9)
        assert server.connections
        check(11)
        await until(lambda: not server.connections)

    async def test_a_preface_without_settings(self, opened):
        """The preface alone does not keep a connection."""
        server, reader, writer, check = opened
        writer.write(PREFACE)
        await reader.readexactly(9)
        check(11)
        await until(lambda: not server.connections)

    async def test_a_frame_that_is_not_finished(self, opened):
        """Half a frame, or a field section that never ends."""
        server, reader, writer, check = opened
        connection = await self.ready(server, writer, HELLO + frames.frame(frames.HEADERS, 0, 1, b"x"))
        await until(lambda: connection.connection.is_mid_frame)
        check(20)
        assert server.connections
        check(35)
        await until(lambda: not server.connections)
        assert split_frames(await reader.read())[0][-1].kind == frames.GOAWAY

    async def test_a_client_is_asked_whether_it_is_there(self, opened):
        """Silence is answered with a ping, silence after that with the end."""
        server, reader, writer, check = opened
        await self.ready(server, writer, HELLO + headers_frame(1))
        check(99)
        check(101)
        await self.ping(reader)
        check(115)
        assert server.connections
        check(125)
        await until(lambda: not server.connections)

    async def test_an_idle_connection_is_drained(self, opened):
        """Without streams for long, the client is told to go."""
        server, reader, writer, check = opened
        await self.ready(server, writer)
        check(501)
        writer.write(frames.frame(frames.PING, frames.ACK, 0, await self.ping(reader)))
        await until(lambda: not server.connections)

    async def test_a_client_that_takes_nothing(self, opened):
        """A response that waits for a window in vain does not wait for ever."""
        server, _, writer, check = opened
        data = PREFACE + frames.settings([(4, 0)]) + request_bytes(1)
        connection = await self.ready(server, writer, data)
        await until(lambda: connection.connection.pending_bytes)
        check(45)
        assert server.connections
        check(60)
        await until(lambda: not server.connections)


PUT_RESPONSE = b"\x0a\x09\x08\x01\x10\x02\x18\xe7\x07\x20\x03"


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
async def test_etcdctl(kind):
    """grpc-go, as etcdctl brings it: a put is answered with a constant."""
    program = require("etcdctl", package="etcd-client")
    asked = []

    def build(loop):
        server = GrpcServer(loop)
        server.add_unary("/etcdserverpb.KV/Put", lambda message, context: asked.append(message) or PUT_RESPONSE)
        return server

    with serving(kind, build) as thread:
        ran = await etcdctl([program], thread.address, "put", "key", "value")
        assert (ran.status, ran.output) == (0, "OK\n")
        assert asked == [b"\x0a\x03key\x12\x05value"]
        ran = await etcdctl([program], thread.address, "get", "key")
        assert ran.status != 0
        assert "unknown method Range for service etcdserverpb.KV" in ran.complaint


def test_the_benchmark_runs():
    """`benchmarks/front_door.py serve` answers, and reports what a call costs."""
    script = Path(__file__).parents[2] / "benchmarks" / "front_door.py"
    command = [sys.executable, str(script), "serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            port = int(process.stdout.readline())
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                assert channel.unary_unary("/etcdserverpb.KV/Put")(b"", timeout=20)
        finally:
            process.terminate()
        assert "1 calls, " in process.stdout.read()
