"""gRPC's rules on raw HTTP/2, where a client library would not let a test go."""

import asyncio
import gzip

import pytest
from tests.support.front_door import (
    Wire,
    data_frame,
    echo_server,
    fields,
    grpc_message,
    headers_frame,
    request_bytes,
    until,
)

from oarlock.etcd.grpc import GrpcConnection, PeerInfo, RequestStream, RpcContext
from oarlock.etcd.grpc.assembly import AssemblyBudget
from oarlock.etcd.http2 import PREFACE, ErrorCode, frames


class GrpcWire(Wire):
    """A `Wire` whose requests are gRPC calls."""

    def __init__(self, server, **options):
        self.grpc = GrpcConnection(server, PeerInfo("127.0.0.1:1", None), 64 * 1024)
        self.request = self.grpc.request
        super().__init__(cache=server.heads, **options)
        self.grpc.http2 = self.http2

    def send(self, *parts):
        self.now = self.grpc.loop.time()
        return super().send(*parts)

    def fields_of(self, stream_id):
        """The stream's fields, head and trailers, in one mapping."""
        found = {}
        for seen in self.kinds(frames.HEADERS):
            if seen.stream_id == stream_id:
                found |= {str(name): str(value) for name, value in self.decoder.decode(seen.payload)}
        return found

    def ended(self, stream_id):
        return any(seen.ends_stream for seen in self.seen if seen.stream_id == stream_id)

    async def until_ended(self, *stream_ids):
        await until(lambda: (self.read(), all(map(self.ended, stream_ids)))[1])


@pytest.fixture
async def server():
    server = echo_server(asyncio.get_running_loop(), max_receive_bytes=3_000_000)
    yield server
    await server.close()


@pytest.fixture
def wire(server):
    return GrpcWire(server)


def test_a_unary_call_at_once(wire):
    """Three frames, ending the stream."""
    wire.send(request_bytes(1, b"hello"))
    assert wire.body(1) == grpc_message(b"hello")
    assert wire.fields_of(1) == {":status": "200", "content-type": "application/grpc", "grpc-status": "0"}
    assert wire.ended(1)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"content_type": "application/json"},
            {
                ":status": "415",
                "grpc-status": "13",
                "grpc-message": 'invalid gRPC request content-type "application/json"',
            },
        ),
        ({"content_type": None}, {":status": "415", "grpc-status": "13"}),
        ({"p_method": "GET"}, {":status": "405", "grpc-status": "13"}),
        ({"grpc_timeout": "5"}, {":status": "400", "grpc-status": "13", "grpc-message": "malformed grpc-timeout: '5'"}),
        (
            {"grpc_encoding": "snappy"},
            {
                ":status": "200",
                "grpc-status": "12",
                "grpc-message": 'grpc: Decompressor is not installed for grpc-encoding "snappy"',
                "grpc-accept-encoding": "gzip,identity",
            },
        ),
        ({"x_bin": "*"}, {":status": "200", "grpc-status": "13"}),
        ({"p_path": "/x"}, {":status": "200", "grpc-status": "12", "grpc-message": 'malformed method name: "/x"'}),
    ],
)
def test_requests_that_are_refused_by_their_head(wire, changes, expected):
    """Answered with one HEADERS frame; the body that still comes does no harm, nor to the next call."""
    wire.send(headers_frame(1, fields(**changes)))
    answered = wire.fields_of(1)
    assert {name: answered[name] for name in expected} == expected
    assert wire.ended(1)
    wire.send(data_frame(1, grpc_message(b"x"), end_stream=True), request_bytes(3))
    assert wire.fields_of(3)["grpc-status"] == "0"
    assert wire.reset_code(1) == ErrorCode.NO_ERROR
    assert wire.goaway_code is None


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "grpc: a unary call without a message"),
        (grpc_message(b"a") + grpc_message(b"b"), "grpc: more than one message in a unary call"),
        (grpc_message(b"abc")[:-1], "grpc: the request ended within a message"),
    ],
)
def test_a_unary_call_takes_one_message(wire, body, text):
    """None, two, or a part of one are INTERNAL."""
    wire.send(headers_frame(1), data_frame(1, body, end_stream=True))
    assert wire.fields_of(1)["grpc-status"] == "13"
    assert wire.fields_of(1)["grpc-message"] == text


def test_a_unary_call_without_a_body(wire):
    """END_STREAM on HEADERS."""
    wire.send(headers_frame(1, end_stream=True))
    assert wire.fields_of(1)["grpc-message"] == "grpc: a unary call without a message"


@pytest.mark.parametrize("size", [0, 1, 5, 6, 1000])
def test_a_message_in_pieces(wire, size):
    """The prefix may be cut, the end may come in a frame of its own, or with trailers."""
    message = grpc_message(b"m" * 995)
    wire.send(
        headers_frame(1),
        data_frame(1, message[:size]),
        data_frame(1, message[size:]),
        data_frame(1, b"", end_stream=True),
    )
    assert wire.body(1) == message
    wire.send(headers_frame(3), data_frame(3, message), headers_frame(3, [("x", "y")], end_stream=True))
    assert wire.body(3) == message


def test_gzip_as_grpc_go_sends_it(wire):
    """`grpc-encoding: gzip` and a set flag; a message of such a call may still be uncompressed."""
    for stream_id, message in (
        (1, grpc_message(gzip.compress(b"hello"), compressed=True)),
        (3, grpc_message(b"hello")),
    ):
        wire.send(
            headers_frame(stream_id, fields(grpc_encoding="gzip")), data_frame(stream_id, message, end_stream=True)
        )
        assert wire.body(stream_id) == grpc_message(b"hello")


def test_a_large_message_is_let_in_at_once(wire):
    """The whole length is allowed when the prefix has come, so that it does not cost a round trip for each window."""
    message = grpc_message(bytes(2_500_000))
    wire.send(headers_frame(1), data_frame(1, message[:16_384]))
    (update,) = [seen for seen in wire.kinds(frames.WINDOW_UPDATE) if seen.stream_id == 1]
    assert int.from_bytes(update.payload, "big") == len(message) - 64 * 1024
    wire.send(*(data_frame(1, message[at : at + 16_384]) for at in range(16_384, len(message), 16_384)))
    wire.send(
        data_frame(1, b"", end_stream=True), frames.settings([(4, 0x7FFFFFF)]), frames.window_update(0, 0x7FFFFFF)
    )
    assert wire.body(1) == message


def test_large_messages_wait_for_the_budget(wire):
    """No more is let in than the budget and one message; the rest waits its turn, and all come in."""
    message = grpc_message(bytes(2_900_000))
    streams = range(1, 31, 2)
    wire.send(frames.settings([(4, 0x7FFFFFF)]), frames.window_update(0, 0x7FFFFFF))
    left = dict.fromkeys(streams, message)
    windows = dict.fromkeys(streams, 64 * 1024)
    wire.send(*map(headers_frame, streams))
    most = 0
    while left:
        moved = False
        for stream_id, rest in list(left.items()):
            piece = rest[: min(16_384, windows[stream_id])]
            if piece:
                moved = True
                windows[stream_id] -= len(piece)
                left[stream_id] = rest[len(piece) :]
                for seen in wire.send(data_frame(stream_id, piece, end_stream=len(piece) == len(rest))):
                    if seen.kind == frames.WINDOW_UPDATE and seen.stream_id:
                        windows[seen.stream_id] += int.from_bytes(seen.payload, "big")
                if not left[stream_id]:
                    del left[stream_id]
        most = max(most, sum(len(message) - len(rest) for rest in left.values()))
        assert moved, "nobody may send, and nobody is done"
    assert most < 25_000_000
    assert all(wire.body(stream_id) == message for stream_id in streams)


async def test_a_streaming_handler_that_does_not_read_stops_its_client(server):
    """Bytes beyond the stream's window are not allowed before the handler takes what has come."""
    taken = []
    go_on = asyncio.Event()

    async def lazy(requests: RequestStream, context: RpcContext):
        await go_on.wait()
        taken.extend([len(message) async for message in requests])
        yield b"done"

    server.add_stream("/test.Echo/Lazy", lazy)
    wire = GrpcWire(server)

    message = grpc_message(bytes(995))
    wire.send(headers_frame(1, fields(p_path="/test.Echo/Lazy")), *[data_frame(1, message)] * 65)
    await asyncio.sleep(0)
    wire.read()
    assert [seen for seen in wire.kinds(frames.WINDOW_UPDATE) if seen.stream_id == 1] == []
    go_on.set()
    await until(lambda: wire.read() or wire.kinds(frames.WINDOW_UPDATE)[1:])
    wire.read()
    (update,) = [seen for seen in wire.kinds(frames.WINDOW_UPDATE) if seen.stream_id == 1]
    assert int.from_bytes(update.payload, "big") == 65_000
    wire.send(data_frame(1, message, end_stream=True))
    await wire.until_ended(1)
    assert wire.body(1) == grpc_message(b"done")


async def test_a_reset_before_the_handler_ran(wire, server):
    """HEADERS and RST_STREAM in one read: the handler's task is cancelled, nothing else happens."""
    wire.send(
        headers_frame(1, fields(p_path="/test.Echo/Bidi")), data_frame(1, grpc_message(b"x")), frames.rst_stream(1, 8)
    )
    await server.close()
    assert not wire.kinds(frames.HEADERS)
    assert next(each for each in server.statistics() if each.method == "Bidi").handled[1] == 1


async def test_metadata_before_the_first_message_and_in_an_error(server):
    """Initial metadata goes with the head; of a response that is only an error, everything goes in one frame."""

    async def stream(requests, context):
        context.set_initial_metadata([("x-a", "1")])
        context.set_trailing_metadata([("x-b", "2")])
        if (await anext(requests)) == b"fail":
            raise RuntimeError
        yield b"answer"

    server.add_stream("/test.Echo/Stream", stream)
    wire = GrpcWire(server)
    for stream_id, message in ((1, b"go"), (3, b"fail")):
        wire.send(request_bytes(stream_id, message, p_path="/test.Echo/Stream"))
        await wire.until_ended(stream_id)
        assert {"x-a", "x-b"} <= set(wire.fields_of(stream_id))
    heads = [seen.stream_id for seen in wire.kinds(frames.HEADERS)]
    assert heads == [1, 1, 3]


async def test_a_deadline_passes_within_its_slot(wire, server):
    """Never early, and the slots are kept no longer than needed."""
    loop = asyncio.get_running_loop()
    server.add_unary("/test.Echo/Never", lambda message, context: loop.create_future())
    began = loop.time()
    wire.send(request_bytes(3, p_path="/test.Echo/Never", grpc_timeout="1H"))
    wire.send(request_bytes(5, p_path="/test.Echo/Never", grpc_timeout="30m"))
    await wire.until_ended(5)
    assert loop.time() - began >= 0.03
    assert wire.fields_of(5)["grpc-status"] == "4"
    assert wire.fields_of(5)["grpc-message"] == "context deadline exceeded"
    wire.send(frames.rst_stream(3, 8))
    assert [len(slot) for slot in server.deadlines._slots.values()] == [0]


async def test_an_answered_call_has_no_deadline(wire, server):
    """It is forgotten at once, not when it would have passed."""
    loop = asyncio.get_running_loop()

    def soon(message, context):
        future = loop.create_future()
        loop.call_soon(future.set_result, b"x")
        return future

    server.add_unary("/test.Echo/Soon", soon)
    wire.send(request_bytes(1, p_path="/test.Echo/Soon", grpc_timeout="1H"))
    assert [len(slot) for slot in server.deadlines._slots.values()] == [1]
    await wire.until_ended(1)
    assert [len(slot) for slot in server.deadlines._slots.values()] == [0]


async def test_a_stream_gives_its_budget_back_with_each_message(wire):
    """What was reserved for a large message is free when it is whole, while the stream goes on."""
    message = grpc_message(bytes(200_000))
    wire.send(headers_frame(1, fields(p_path="/test.Echo/Bidi")), data_frame(1, message[:16_384]))
    assert wire.grpc.assembly._used == len(message)
    wire.send(*(data_frame(1, message[at : at + 16_384]) for at in range(16_384, len(message), 16_384)))
    assert wire.grpc.assembly._used == 0
    wire.send(data_frame(1, message[:16_384]), frames.rst_stream(1, 8))
    assert wire.grpc.assembly._used == 0


async def test_a_deadline_that_has_passed_already(wire, server):
    """A timeout of nothing ends a call that does not answer at once."""
    server.add_unary("/test.Echo/Never", lambda message, context: asyncio.get_running_loop().create_future())
    wire.send(request_bytes(1, p_path="/test.Echo/Never", grpc_timeout="0n"))
    await wire.until_ended(1)
    assert wire.fields_of(1)["grpc-status"] == "4"


async def test_futures_that_end_in_other_ways(wire, server):
    """A done future, a failed one, a cancelled one."""
    loop = asyncio.get_running_loop()

    def done(message, context):
        future = loop.create_future()
        future.set_result(b"at once")
        return future

    def cancelled(message, context):
        future = loop.create_future()
        loop.call_soon(future.cancel)
        return future

    def failed(message, context):
        future = loop.create_future()
        loop.call_soon(future.set_exception, ValueError("a secret"))
        return future

    for stream_id, handler, status in ((1, done, "0"), (3, cancelled, "1"), (5, failed, "13")):
        server.add_unary(f"/test.Echo/F{stream_id}", handler)
        wire.send(request_bytes(stream_id, p_path=f"/test.Echo/F{stream_id}"))
        await wire.until_ended(stream_id)
        assert wire.fields_of(stream_id)["grpc-status"] == status
        assert "secret" not in str(wire.fields_of(stream_id))


async def test_all_output_of_a_turn_is_one_write(server):
    """Answers of several calls that become ready together wake the socket once."""
    wakes = []
    wire = GrpcWire(server)

    def wake():
        wakes.append(True)
        wire.http2.corked = True

    wire.http2._wake = wake
    future = asyncio.get_running_loop().create_future()
    server.add_unary("/test.Echo/Shared", lambda message, context: asyncio.shield(future))
    wire.send(*(request_bytes(number, p_path="/test.Echo/Shared") for number in (1, 3, 5)))
    wakes.clear()
    wire.http2.corked = False
    future.set_result(b"x")
    await wire.until_ended(1, 3, 5)
    assert wakes == [True]


def test_the_budget_lets_one_through_whatever_its_size():
    """There is always progress, in order, and never more than one above the limit."""
    budget = AssemblyBudget(limit=100)
    order = []
    assert budget.reserve(1, 60, lambda: order.append(1))
    assert budget.reserve(3, 500, lambda: order.append(3))
    assert not budget.reserve(5, 60, lambda: order.append(5))
    assert not budget.reserve(7, 10, lambda: order.append(7))
    assert not budget.reserve(5, 60, lambda: order.append(5))
    budget.release(1)
    assert order == []
    budget.release(3)
    assert order == [5, 7]
    budget.release(5)
    budget.release(7)
    budget.release(9)
    assert budget._used == 0


async def test_windows_of_nothing_do_not_hang_a_call(server):
    """A client whose windows are closed gets its answer when it opens them, and its deadline without."""
    wire = GrpcWire(server, hello=PREFACE + frames.settings([(4, 0)]))
    wire.send(request_bytes(1), request_bytes(3, b"10 1", p_path="/test.Echo/Download", grpc_timeout="20m"))
    assert not wire.ended(1)
    wire.send(frames.settings([(4, 100)]))
    assert wire.body(1) == grpc_message(b"hello")
    await wire.until_ended(3)
