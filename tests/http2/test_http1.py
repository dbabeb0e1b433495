"""HTTP/1.1 on the shared port: requests in pieces, keep-alive, streams, limits, bad requests."""

import asyncio
import contextlib
import json

import pytest
from tests.support.front_door import echo_server, until

from oarlock.etcd.http1 import HttpLimits, HttpRequest, HttpResponse, Router
from oarlock.etcd.port import PortServer


def build_router(streams):
    router = Router()

    def echo(request):
        facts = {
            "method": request.method,
            "path": request.path,
            "query": request.query,
            "header": request.headers.get("x-test"),
            "body": request.body.decode("latin-1"),
        }
        return HttpResponse(200, json.dumps(facts).encode(), content_type="application/json")

    async def later(request):
        await asyncio.sleep(0)
        return HttpResponse(200, b"later")

    async def crash(request):
        raise RuntimeError("a secret")

    def crash_at_once(request):
        raise RuntimeError("a secret")

    def stream(request):
        async def pieces():
            try:
                padding = bytes(int(request.query.get("padding", ["0"])[0]))
                for number in range(int(request.query["count"][0])):
                    yield b"piece %d\n" % number + padding
                if "wait" in request.query:
                    await asyncio.Event().wait()
                if "fail" in request.query:
                    raise RuntimeError("a secret")
            finally:
                streams.append("closed")

        return HttpResponse(200, pieces())

    router.add("/echo", echo, methods=("GET", "POST"))
    router.add("/below/*", echo)
    go_on = router.go_on = asyncio.Event()

    async def wait(request):
        await go_on.wait()
        return HttpResponse(200, b"waited")

    router.add("/wait", wait)
    router.add("/big", lambda request: HttpResponse(200, bytes(1_000_000)))
    router.add("/later", later)
    router.add("/crash", crash)
    router.add("/crash_at_once", crash_at_once)
    router.add("/stream", stream, methods=("GET", "POST"))
    return router


class Client:
    """A socket, and what comes out of it."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    async def send(self, data):
        self.writer.write(data)
        await self.writer.drain()

    async def response(self):
        """Status, headers and whole body of the next response."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:-2])
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(await self.reader.readline(), 16):
                body += await self.reader.readexactly(size)
                await self.reader.readline()
            await self.reader.readline()
        else:
            body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return int(head[0].split()[1]), headers, body

    async def ask(self, method, target, body=b"", *lines):
        head = [f"{method} {target} HTTP/1.1", "Host: here", f"Content-Length: {len(body)}", *lines, "", ""]
        await self.send("\r\n".join(head).encode() + body)
        return await self.response()

    async def close(self):
        self.writer.transport.abort()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()

    async def is_closed(self):
        return await asyncio.wait_for(self.reader.read(), 10) == b""


@pytest.fixture
def streams():
    """What happened to the streams."""
    return []


@pytest.fixture
async def server(streams):
    loop = asyncio.get_running_loop()
    limits = HttpLimits(max_header_bytes=4096, max_body_bytes=10_000)
    server = PortServer(loop, echo_server(loop), build_router(streams), http_limits=limits)
    server.address = (await server.start("127.0.0.1", 0))[0]
    yield server
    await server.close()


@pytest.fixture
async def client(server):
    reader, writer = await asyncio.open_connection(*server.address)
    client = Client(reader, writer)
    yield client
    await client.close()


async def test_a_request_and_its_query(client):
    """Method, decoded path, query, fields and body reach the handler."""
    status, headers, body = await client.ask("POST", "/echo?a=1&b=&a=%32", b"body", "X-Test: yes")
    assert status == 200
    assert headers["content-type"] == "application/json"
    assert json.loads(body) == {
        "method": "POST",
        "path": "/echo",
        "query": {"a": ["1", "2"], "b": [""]},
        "header": "yes",
        "body": "body",
    }


async def test_keep_alive_and_pieces(client):
    """One connection serves many requests; their bytes may come one by one, or several requests at once."""
    request = b"POST /echo HTTP/1.1\r\nHost: here\r\nContent-Length: 4\r\n\r\nbody"
    for byte in request:
        await client.send(bytes([byte]))
    assert (await client.response())[0] == 200
    await client.send(request * 3 + b"GET /later HTTP/1.1\r\nHost: here\r\n\r\n" + request)
    statuses = [await client.response() for _ in range(5)]
    assert [status for status, _, _ in statuses] == [200] * 5
    assert statuses[3][2] == b"later"


async def test_head(client):
    """GET's head, without its body."""
    await client.send(b"HEAD /echo HTTP/1.1\r\nHost: here\r\n\r\n")
    head = await client.reader.readuntil(b"\r\n\r\n")
    assert b"content-length: " in head.lower()
    assert (await client.ask("GET", "/later"))[2] == b"later"


async def test_routes(client):
    """404, 405 with what is allowed, and paths below a prefix."""
    assert (await client.ask("GET", "/nothing"))[0] == 404
    status, headers, _ = await client.ask("DELETE", "/echo")
    assert (status, headers["allow"]) == (405, "get, post")
    assert json.loads((await client.ask("GET", "/below/a/b"))[2])["path"] == "/below/a/b"


@pytest.mark.parametrize("path", ["/crash", "/crash_at_once"])
async def test_a_crash_tells_nothing(client, path, caplog):
    """500 without the reason, which is logged; the connection goes on."""
    status, _, body = await client.ask("GET", path)
    assert (status, body) == (500, b"internal server error\n")
    assert "a secret" in caplog.text
    assert (await client.ask("GET", "/later"))[0] == 200


async def test_a_stream_is_chunked(client, streams):
    """Pieces come as they are made, the connection goes on after the last."""
    status, headers, body = await client.ask("GET", "/stream?count=3")
    assert (status, headers["transfer-encoding"]) == (200, "chunked")
    assert body == b"piece 0\npiece 1\npiece 2\n"
    assert streams == ["closed"]
    assert (await client.ask("GET", "/later"))[0] == 200


async def test_a_stream_to_http_1_0_ends_with_the_connection(client):
    """HTTP/1.0 knows no chunks."""
    await client.send(b"GET /stream?count=2 HTTP/1.0\r\n\r\n")
    answer = await asyncio.wait_for(client.reader.read(), 10)
    assert answer.endswith(b"\r\n\r\npiece 0\npiece 1\n")


@pytest.mark.parametrize("how", ["close", "write_eof"])
async def test_a_client_that_leaves_ends_its_stream(client, streams, how):
    """By closing, or by shutting down its side, as Patroni ends a watch."""
    await client.send(b"GET /stream?count=1&wait HTTP/1.1\r\nHost: here\r\n\r\n")
    await client.reader.readuntil(b"piece 0\n")
    getattr(client.writer, how)()
    await until(lambda: streams)


async def test_a_client_that_has_said_everything_still_gets_its_answer(client):
    """Shutting down its side after a request is no cancellation of a whole response."""
    await client.send(b"GET /later HTTP/1.1\r\nHost: here\r\n\r\n")
    client.writer.write_eof()
    assert (await client.response())[2] == b"later"
    assert await client.is_closed()


async def test_a_broken_stream_is_broken_off(client, streams):
    """A handler that fails halfway: the body must not look complete."""
    await client.send(b"GET /stream?count=1&fail HTTP/1.1\r\nHost: here\r\n\r\n")
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := await asyncio.wait_for(client.reader.read(1000), 10):
            data += piece
    assert not data.endswith(b"0\r\n\r\n")
    assert streams == ["closed"]


async def test_a_slow_reader_stops_the_stream(client, server):
    """What is made ahead of a client that does not read is bounded by the socket's buffers."""
    await client.send(b"GET /stream?count=3000&padding=10000 HTTP/1.1\r\nHost: here\r\n\r\n")
    await client.reader.readuntil(b"piece 0\n")
    (connection,) = server._connections
    await until(lambda: connection._is_paused)
    assert connection._transport.get_write_buffer_size() < 1_000_000


async def test_a_slow_reader_is_not_answered_further(client, server):
    """Requests that wait behind a response that nobody reads are not answered ahead; when it is read, they are."""
    await client.send(b"GET /big HTTP/1.1\r\nHost: here\r\n\r\n" * 40)
    await until(lambda: any(getattr(each, "_is_paused", False) for each in server._connections))
    (connection,) = server._connections
    for _ in range(20):
        await asyncio.sleep(0)
    assert connection._transport.get_write_buffer_size() < 2_000_000
    assert not connection._transport.is_reading()
    for _ in range(40):
        assert len((await client.response())[2]) == 1_000_000


async def test_requests_that_come_early_wait_in_the_socket(client, server):
    """While a request is being answered, only so much of the next ones is read; all are answered in the end."""
    await client.send(b"GET /wait HTTP/1.1\r\nHost: here\r\n\r\n")
    await until(lambda: any(getattr(each, "_task", None) for each in server._connections))
    (connection,) = server._connections
    body = bytes(9000)
    request = b"POST /echo HTTP/1.1\r\nHost: here\r\nContent-Length: 9000\r\n\r\n" + body
    client.writer.write(request * 100)
    await until(lambda: not connection._transport.is_reading())
    server.http.go_on.set()
    assert (await client.response())[2] == b"waited"
    for _ in range(100):
        assert (await client.response())[0] == 200


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET /\x01 HTTP/1.1\r\nHost: here\r\n\r\n", 400),
        (b"GET http://[ HTTP/1.1\r\nHost: here\r\n\r\n", 400),
        (b"POST /echo HTTP/1.1\r\nHost: here\r\nContent-Length: x\r\n\r\n", 400),
        (b"POST /echo HTTP/1.1\r\nHost: here\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"POST /echo HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: odd\r\n\r\n", 501),
        (b"POST /echo HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"GET /?" + b"a=1&" * 150 + b" HTTP/1.1\r\nHost: here\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: here\r\nX: " + b"x" * 5000, 431),
        (b"POST /echo HTTP/1.1\r\nHost: here\r\nContent-Length: 10001\r\n\r\n" + bytes(10_001), 413),
        (b"POST /echo HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n2711\r\n" + bytes(10_001), 413),
    ],
)
async def test_bad_requests_are_answered_and_end_the_connection(client, data, status):
    """Each gets one clear status and the end of the connection."""
    await client.send(data)
    answer = await client.response()
    assert answer[0] == status
    assert answer[1]["connection"] == "close"
    assert await client.is_closed()


async def test_expect_continue(client):
    """A client that waits for permission to send its body gets it."""
    await client.send(b"POST /echo HTTP/1.1\r\nHost: here\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
    assert (await client.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
    await client.send(b"body")
    assert (await client.response())[0] == 200


async def test_draining(client, server):
    """An idle connection ends at once, one in use after its response."""
    idle = Client(*await asyncio.open_connection(*server.address))
    assert (await idle.ask("GET", "/later"))[0] == 200
    await client.send(b"POST /echo HTTP/1.1\r\nHost: here\r\nContent-Length: 4\r\n\r\n")
    await until(lambda: any(getattr(each, "_is_idle", None) is False for each in server._connections))
    draining = asyncio.get_running_loop().create_task(server.drain(10))
    assert await idle.is_closed()
    await client.send(b"body")
    status, headers, _ = await client.response()
    assert (status, headers["connection"]) == (200, "close")
    await draining
    await idle.close()


async def test_times_that_run_out(client, server):
    """An unfinished request, an idle connection and a stalled stream each have their time."""
    await client.send(b"GET /later HTTP/1.1\r\n")
    await until(lambda: any(hasattr(each, "_http") for each in server._connections))
    (connection,) = server._connections
    now = asyncio.get_running_loop().time()
    connection.check(now + 59)
    assert not connection._transport.is_closing()
    connection.check(now + 61)
    assert await client.is_closed()
    await until(lambda: not server.connections)


def test_a_target_with_two_slashes_is_a_path():
    """`//x` is not taken for a host."""
    assert HttpRequest("GET", "//x/y?q=1", {}, b"").path == "/x/y"


def test_a_route_is_served_once():
    """A second handler for the same is a mistake of ours."""
    router = build_router([])
    with pytest.raises(ValueError, match="served already"):
        router.add("/echo", lambda request: HttpResponse(200))
