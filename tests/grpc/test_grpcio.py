"""Every kind of call, by grpcio, on both loops."""

import concurrent.futures
import itertools
import threading
import time

import pytest
from tests.support.front_door import echo_server, serving

import grpc
from oarlock.etcd.grpc import RpcError, Status


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def server(request):
    with serving(request.param) as thread:
        yield thread


@pytest.fixture(scope="module")
def channel(server):
    # A client that probes for bandwidth may grow its window beyond all that a test sends.
    options = [
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1),
        ("grpc.http2.bdp_probe", 0),
    ]
    with grpc.insecure_channel(server.address, options=options) as channel:
        yield channel


def wait_until(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.002)


def statistics(server, method, service="test.Echo"):
    """Started, and handled by code."""
    stats = next(each for each in server.server.grpc.statistics() if (each.service, each.method) == (service, method))
    return stats.started, {Status(code).name: count for code, count in enumerate(stats.handled) if count}


@pytest.mark.parametrize("method", ["Unary", "Later", "Coroutine"])
def test_unary(channel, method):
    """A handler may answer at once, with a future, or as a coroutine."""
    call = channel.unary_unary(f"/test.Echo/{method}")
    for message in (b"", b"hello", bytes(1000)):
        assert call(message, timeout=10) == message


def test_many_at_once(channel):
    """Calls on one connection do not wait for each other, and each gets its own answer."""
    call = channel.unary_unary("/test.Echo/Later")
    futures = [call.future(b"%d" % number, timeout=20) for number in range(500)]
    assert [future.result() for future in futures] == [b"%d" % number for number in range(500)]


def test_metadata(server, channel):
    """What the client sends reaches the handler; what the handler sets reaches the client, binary too."""
    call = channel.unary_unary("/test.Echo/Metadata")
    answer, done = call.with_call(
        b"", timeout=10, metadata=[("token", "abc"), ("x-bin", b"\x00\xfe"), ("two", "1"), ("two", "2")]
    )
    lines = answer.decode().splitlines()
    assert lines[0] == "/test.Echo/Metadata"
    assert {"token='abc'", "x-bin=b'\\x00\\xfe'", "two='1'"} <= set(lines)
    assert not any(line.startswith(("te=", "content-type=", "grpc-timeout=")) for line in lines)
    assert ("x-initial", "first") in done.initial_metadata()
    trailing = dict(done.trailing_metadata())
    assert trailing["x-trailing-bin"] == b"\x00\xff"
    assert trailing["x-peer"].startswith("127.0.0.1:")


@pytest.mark.parametrize("text", ["etcdserver: key not found", "100% étcd\nline two ✓", ""])
def test_errors_carry_their_text(channel, text):
    """A handler's RpcError arrives word for word, whatever characters it holds."""
    with pytest.raises(grpc.RpcError) as raised:
        channel.unary_unary("/test.Echo/Fails")(text.encode(), timeout=10)
    assert (raised.value.code(), raised.value.details()) == (grpc.StatusCode.FAILED_PRECONDITION, text)


def test_a_crash_tells_nothing(channel, caplog):
    """An unexpected exception is logged, and the client learns only that there was one."""
    with pytest.raises(grpc.RpcError) as raised:
        channel.unary_unary("/test.Echo/Crashes")(b"", timeout=10)
    assert (raised.value.code(), raised.value.details()) == (grpc.StatusCode.INTERNAL, "internal server error")
    assert "a secret" in caplog.text


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/test.Echo/Nothing", "unknown method Nothing for service test.Echo"),
        ("/no.Service/Unary", "unknown service no.Service"),
        ("/nothing", 'malformed method name: "/nothing"'),
    ],
)
def test_unknown_methods(channel, path, text):
    """In grpc-go's words."""
    with pytest.raises(grpc.RpcError) as raised:
        channel.unary_unary(path)(b"", timeout=10)
    assert (raised.value.code(), raised.value.details()) == (grpc.StatusCode.UNIMPLEMENTED, text)


def test_server_streaming(channel):
    """Messages arrive in order and whole."""
    messages = list(channel.unary_stream("/test.Echo/Download")(b"100 1000", timeout=10))
    assert [int.from_bytes(message[:4], "big") for message in messages] == list(range(1000))
    assert {len(message) for message in messages} == {100}


def test_client_streaming(channel):
    """All of a client's messages are counted, however many and large."""
    call = channel.stream_unary("/test.Echo/Upload")
    assert call(iter([bytes(50)] * 2000), timeout=20) == b"2000 100000"
    assert call(iter([bytes(1_500_000)] * 5), timeout=20) == b"5 7500000"
    assert call(iter([]), timeout=10) == b"0 0"


def test_bidirectional_streaming(channel):
    """An answer comes before the next question is asked."""
    questions = iter([b"one", b"two", b"three"])
    answered = threading.Semaphore(1)

    def ask():
        for question in questions:
            assert answered.acquire(timeout=10)
            yield question

    received = []
    for answer in channel.stream_stream("/test.Echo/Bidi")(ask(), timeout=10):
        received.append(answer)
        answered.release()
    assert received == [b"one", b"two", b"three"]


def test_a_stream_that_fails_halfway(channel):
    """The messages before the failure arrive, then its status."""
    stream = channel.stream_stream("/test.Echo/Bidi")(iter([b"one", b"fail", b"two"]), timeout=10)
    received = []
    with pytest.raises(grpc.RpcError) as raised:
        received += iter(stream)
    assert (raised.value.code(), raised.value.details()) == (grpc.StatusCode.ABORTED, "asked to")


@pytest.mark.parametrize("size", [16_384, 65_535, 1_000_000, 2_000_000])
def test_large_messages_both_ways(channel, size):
    """Requests and answers larger than any window go through, byte for byte."""
    message = bytes(range(256)) * (size // 256) + bytes(size % 256)
    assert channel.unary_unary("/test.Echo/Unary")(message, timeout=20) == message


def test_ten_megabytes_down(channel):
    """Answers have no limit but the client's."""
    (message,) = channel.unary_stream("/test.Echo/Download")(b"10000000 1", timeout=20)
    assert len(message) == 10_000_000


def test_many_large_requests_at_once(channel):
    """More large messages at once than the connection's budget holds: all come through, one after another."""
    call = channel.unary_unary("/test.Echo/Unary")
    futures = [call.future(bytes([number]) * 1_900_000, timeout=30) for number in range(24)]
    assert [future.result() == bytes([number]) * 1_900_000 for number, future in enumerate(futures)] == [True] * 24


def test_too_large_a_message(channel):
    """As grpc-go says it."""
    with pytest.raises(grpc.RpcError) as raised:
        channel.unary_unary("/test.Echo/Unary")(bytes(2_097_153), timeout=10)
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert raised.value.details() == "grpc: received message larger than max (2097153 vs. 2097152)"
    with pytest.raises(grpc.RpcError) as raised:
        channel.stream_stream("/test.Echo/Bidi")(iter([bytes(3_000_000)]), timeout=10).__next__()
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_gzip_requests(channel):
    """A compressed request is taken; its answer comes uncompressed."""
    call = channel.unary_unary("/test.Echo/Unary")
    assert call(bytes(100_000), timeout=10, compression=grpc.Compression.Gzip) == bytes(100_000)
    bidi = channel.stream_stream("/test.Echo/Bidi")(iter([b"x" * 5000]), timeout=10, compression=grpc.Compression.Gzip)
    assert list(bidi) == [b"x" * 5000]
    with pytest.raises(grpc.RpcError) as raised:
        call(bytes(5_000_000), timeout=10, compression=grpc.Compression.Gzip)
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_unknown_compression(channel):
    """UNIMPLEMENTED, naming it."""
    with pytest.raises(grpc.RpcError) as raised:
        channel.unary_unary("/test.Echo/Unary")(bytes(1000), timeout=10, compression=grpc.Compression.Deflate)
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert raised.value.details() == 'grpc: Decompressor is not installed for grpc-encoding "deflate"'


def test_backpressure_of_a_download(server, channel):
    """A client that does not read stops the handler: what is made ahead is bounded, and all arrives in the end."""
    sent = next(each for each in server.server.grpc.statistics() if each.method == "Download")
    before = sent.sent
    stream = channel.unary_stream("/test.Echo/Download")(b"10000 5000", timeout=60)
    first = next(stream)
    counts = []

    def is_steady():
        counts.append(sent.sent)
        return len(counts) > 20 and counts[-20] == counts[-1]

    wait_until(is_steady)
    assert sent.sent - before < 5000
    assert 1 + sum(1 for _ in stream) == 5000
    assert len(first) == 10_000


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def waiting_server(request):
    seen = []

    def build(loop):
        grpc_server = echo_server(loop)

        def future(message, context):
            waiting = loop.create_future()
            waiting.add_done_callback(lambda done: seen.append(("future", done.cancelled(), context.cancelled())))
            return waiting

        async def coroutine(message, context):
            try:
                await loop.create_future()
            finally:
                seen.append(("coroutine", True, context.cancelled()))

        async def stream(requests, context):
            try:
                yield b"started"
                await loop.create_future()
            finally:
                seen.append(("stream", True, context.cancelled()))

        grpc_server.add_unary("/test.Wait/Future", future)
        grpc_server.add_unary("/test.Wait/Coroutine", coroutine)
        grpc_server.add_stream("/test.Wait/Stream", stream)
        return grpc_server

    with serving(request.param, build) as thread:
        thread.waiting = seen
        yield thread


class TestEarlyEnds:
    """Deadlines and cancellation reach the handlers."""

    @pytest.fixture
    def server(self, waiting_server):
        return waiting_server

    @pytest.fixture
    def waiting(self, server):
        """Handlers that wait for ever, and what happened to them."""
        return server.waiting

    @pytest.fixture
    def channel(self, server):
        with grpc.insecure_channel(server.address) as channel:
            yield channel

    @pytest.mark.parametrize("kind", ["Future", "Coroutine"])
    def test_deadline(self, server, channel, waiting, kind):
        """The server ends the call itself, and cancels what the handler waits for."""
        before = len(waiting)
        with pytest.raises(grpc.RpcError) as raised:
            channel.unary_unary(f"/test.Wait/{kind}")(b"", timeout=0.05)
        assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        wait_until(lambda: len(waiting) > before)
        assert waiting[-1] == (kind.lower(), True, True)
        assert not server.call(lambda: any(server.server.grpc.deadlines._slots.values()))

    @pytest.mark.parametrize("kind", ["Future", "Coroutine"])
    def test_cancellation(self, server, channel, waiting, kind):
        """RST_STREAM cancels what the handler waits for; the call counts as CANCELLED."""
        before, (started, handled) = len(waiting), statistics(server, kind, "test.Wait")
        future = channel.unary_unary(f"/test.Wait/{kind}").future(b"", timeout=60)
        wait_until(lambda: statistics(server, kind, "test.Wait")[0] > started)
        future.cancel()
        wait_until(lambda: len(waiting) > before)
        assert waiting[-1] == (kind.lower(), True, True)
        assert statistics(server, kind, "test.Wait")[1].get("CANCELLED", 0) == handled.get("CANCELLED", 0) + 1

    def test_a_stream_is_cancelled(self, server, channel, waiting):
        """A streaming handler's task is cancelled when the client gives up."""
        before = len(waiting)
        stream = channel.stream_stream("/test.Wait/Stream")(iter([]), timeout=60)
        assert next(stream) == b"started"
        stream.cancel()
        wait_until(lambda: len(waiting) > before)
        assert waiting[-1] == ("stream", True, True)

    def test_a_stream_meets_its_deadline(self, channel, waiting):
        """So it is when the deadline passes."""
        before = len(waiting)
        stream = channel.stream_stream("/test.Wait/Stream")(iter([]), timeout=0.1)
        with pytest.raises(grpc.RpcError) as raised:
            list(stream)
        assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        wait_until(lambda: len(waiting) > before)

    def test_a_lost_connection_cancels_its_calls(self, server, waiting):
        """Every handler of a connection hears of its end."""
        before = len(waiting)
        with grpc.insecure_channel(server.address) as channel:
            stream = channel.stream_stream("/test.Wait/Stream")(iter([]))
            assert next(stream) == b"started"
            server.call(lambda: [each.abort() for each in list(server.server._connections)])
            with pytest.raises(grpc.RpcError) as raised:
                next(stream)
            assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
        wait_until(lambda: len(waiting) > before)

    def test_nothing_is_left(self, server, waiting):
        """After all that, no task and no deadline is kept."""
        wait_until(lambda: not server.server.grpc._tasks)
        wait_until(lambda: server.server.connections == 0)
        assert all(cancelled for _, _, cancelled in waiting)


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_draining_lets_calls_finish(kind):
    """A call in progress gets its answer while the server drains; new ones find nobody."""
    release = threading.Event()

    def build(loop):
        server = echo_server(loop)

        async def slow(message, context):
            await loop.run_in_executor(None, release.wait, 10)
            return b"done"

        server.add_unary("/test.Wait/Slow", slow)
        return server

    with serving(kind, build) as thread, grpc.insecure_channel(thread.address) as channel:
        future = channel.unary_unary("/test.Wait/Slow").future(b"", timeout=20)
        wait_until(lambda: statistics(thread, "Slow", "test.Wait")[0] == 1)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            draining = pool.submit(lambda: thread.run(thread.server.drain(10)))
            wait_until(lambda: thread.server._is_draining)
            release.set()
            assert future.result() == b"done"
            draining.result(10)
        assert thread.server.connections == 0


def test_draining_ends_what_does_not_end():
    """After the grace period streams are broken off."""
    with serving("uvloop") as thread, grpc.insecure_channel(thread.address) as channel:
        hold = threading.Event()
        stream = channel.stream_stream("/test.Echo/Bidi")(
            itertools.chain([b"x"], iter(lambda: hold.wait(10) or b"", b""))
        )
        assert next(stream) == b"x"
        thread.run(thread.server.drain(0.1))
        with pytest.raises(grpc.RpcError) as raised:
            next(stream)
        assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
        hold.set()


def test_counters(server, channel):
    """Started, handled by code, messages and bytes, as the metrics will show them."""
    traffic = server.server.grpc.traffic
    started, handled = statistics(server, "Unary")
    received, sent = traffic.received_bytes, traffic.sent_bytes
    channel.unary_unary("/test.Echo/Unary")(bytes(1000), timeout=10)
    now_started, now_handled = statistics(server, "Unary")
    assert now_started == started + 1
    assert now_handled["OK"] == handled["OK"] + 1
    assert (traffic.received_bytes, traffic.sent_bytes) == (received + 1000, sent + 1000)


def test_registration_is_checked():
    """A path of the wrong form, or served already, is a mistake of ours."""

    def build(loop):
        server = echo_server(loop)
        for path in ("/test.Echo/Unary", "no/slash", "/one", ""):
            with pytest.raises(ValueError, match=r"served already|not of the form"):
                server.add_unary(path, lambda message, context: message)
        return server

    with serving("asyncio", build):
        assert str(RpcError(Status.ABORTED, "x")) == "ABORTED: x"
