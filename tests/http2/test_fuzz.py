"""Whatever comes in, the connection answers by the rules: nothing is raised, nothing hangs, no window is exceeded."""

import socket
from contextlib import ExitStack, suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.front_door import (
    HEAD_200,
    HELLO,
    TRAILERS,
    Wire,
    block,
    data_frame,
    fields,
    grpc_message,
    headers_frame,
    request_bytes,
    serving,
    split_frames,
)

from oarlock.etcd.http2 import PREFACE, HeadCache, frames

STREAM_IDS = st.sampled_from([0, 1, 1, 3, 3, 5, 7, 9, 2, 0x7FFFFFFF])
PAYLOADS = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [
            block(fields()),
            block(fields(grpc_timeout="1S")),
            block(fields(content_length="3")),
            block([("x", "y")]),
            b"",
            bytes(4),
            bytes(5),
            bytes(6),
            bytes(8),
            (100_000).to_bytes(4, "big"),
            b"\x00\x04\x00\x00\x00\x00",
            b"\x00\x04\x00\x01\x00\x00",
            b"\x00\x04\x7f\xff\xff\xff",
            b"\x00\x05\x00\x00\x40\x00",
            bytes(16_384),
        ]
    ),
)
ANY_FRAMES = st.builds(frames.frame, st.integers(0, 11), st.integers(0, 0x2F), STREAM_IDS, PAYLOADS)
GOOD_FRAMES = st.one_of(
    st.builds(request_bytes, STREAM_IDS),
    st.builds(headers_frame, STREAM_IDS),
    st.builds(lambda stream_id, end: data_frame(stream_id, b"abc", end_stream=end), STREAM_IDS, st.booleans()),
    st.builds(frames.window_update, STREAM_IDS, st.integers(1, 100_000)),
    st.builds(lambda size: frames.settings([(4, size)]), st.integers(0, 100_000)),
    st.builds(frames.rst_stream, STREAM_IDS, st.just(8)),
)
SIZES = st.sampled_from([0, 10, 1000, 20_000, 70_000])


def check(wire):
    """What must hold at any time, by what has been sent and by what is kept."""
    http2 = wire.http2
    assert http2.pending_bytes == sum(stream.pending_bytes for stream in http2.streams.values())
    assert set(http2.blocked) <= set(http2.streams)
    ended = set()
    for seen in wire.seen:
        assert len(seen.payload) <= max(16_384, http2.peer.max_frame_size)
        if seen.stream_id in ended:
            assert seen.kind == frames.RST_STREAM
        if seen.ends_stream or seen.kind == frames.RST_STREAM:
            ended.add(seen.stream_id)
    assert not ended & set(http2.streams)
    if http2.closed:
        assert wire.goaway_code
        assert not http2.streams
    for request in wire.requests:
        assert len(request.resets) <= 1


def answer(wire, size):
    """Answer every whole request with a body of that size."""
    for request in wire.requests:
        stream = request.stream
        if request.ended and stream.id in wire.http2.streams and not stream.responded and stream.pending is None:
            wire.http2.respond(stream, HEAD_200, b"", bytes(size), TRAILERS)


@given(st.binary(max_size=400), st.booleans())
def test_any_bytes(data, greeted):
    """Random bytes, before or after a preface."""
    wire = Wire(hello=HELLO if greeted else b"")
    wire.send(data)
    check(wire)


@given(st.lists(st.one_of(ANY_FRAMES, GOOD_FRAMES), max_size=25), SIZES)
def test_any_frames(sequence, size):
    """Frames of every kind, right and wrong, with answers in between."""
    wire = Wire(cache=CACHE)
    for frame in sequence:
        wire.send(frame)
        answer(wire, size)
        wire.read()
    check(wire)


CACHE = HeadCache()


@given(
    st.lists(GOOD_FRAMES, min_size=1, max_size=15),
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=3),
    st.lists(st.integers(1, 200), max_size=30),
)
def test_mutated_sessions_in_any_pieces(sequence, mutations, cuts):
    """A session that was valid, with bytes changed, cut anywhere: as whole, and by the rules."""
    session = bytearray(HELLO + b"".join(sequence))
    for at, value in mutations:
        session[at % len(session)] = value
    data = bytes(session)
    whole, pieces = Wire(hello=b""), Wire(hello=b"")
    whole.send(data)
    rest = data
    for length in cuts:
        pieces.send(rest[:length])
        rest = rest[length:]
    pieces.send(rest)
    check(whole)
    assert pieces.goaway_code == whole.goaway_code
    assert [request.body for request in pieces.requests] == [request.body for request in whole.requests]


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("window"), st.sampled_from([0, 1, 3, 5]), st.integers(1, 50_000)),
            st.tuples(st.just("initial"), st.just(0), st.integers(0, 100_000)),
            st.tuples(st.just("pause"), st.just(0), st.integers(0, 1)),
        ),
        max_size=40,
    ),
    SIZES,
)
def test_windows_are_kept_and_everything_arrives(moves, size):
    """However the peer moves its windows, no more than they allow is sent; when they open, all of it is."""
    wire = Wire(hello=PREFACE + frames.settings([(4, 1000)]))
    granted = {0: 65_535, 1: 1000, 3: 1000, 5: 1000}
    initial = 1000
    wire.send(*map(request_bytes, (1, 3, 5)))
    answer(wire, size)
    for kind, stream_id, value in moves:
        if kind == "window":
            granted[stream_id] += value
            wire.send(frames.window_update(stream_id, value))
        elif kind == "initial":
            for each in (1, 3, 5):
                granted[each] += value - initial
            initial = value
            wire.send(frames.settings([(4, value)]))
        else:
            wire.http2.paused = bool(value)
            wire.http2.pump()
            wire.read()
        sent = {stream_id: len(wire.body(stream_id)) for stream_id in (1, 3, 5)}
        assert sum(sent.values()) <= granted[0]
        check(wire)
    wire.http2.paused = False
    wire.send(frames.settings([(4, 1 << 24)]), frames.window_update(0, 1 << 24))
    assert [wire.body(stream_id) for stream_id in (1, 3, 5)] == [bytes(size)] * 3
    assert not wire.http2.streams


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_through_sockets(kind):
    """Broken sessions end, and end alone: a good connection beside them goes on, and the server forgets them."""
    with serving(kind) as server, ExitStack() as stack:

        def connect():
            return stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=10))

        good = connect()
        good.sendall(HELLO)
        number = 1

        @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(
            st.one_of(st.binary(min_size=1, max_size=200), st.lists(ANY_FRAMES, max_size=8).map(b"".join)),
            st.booleans(),
        )
        def run(data, greeted):
            nonlocal number
            bad = connect()
            with suppress(ConnectionError):
                bad.sendall((HELLO if greeted else b"") + data)
                bad.shutdown(socket.SHUT_WR)
                while bad.recv(65_536):
                    pass
            bad.close()
            good.sendall(request_bytes(number, b"still here"))
            rest, seen = b"", []
            while not any(frame.stream_id == number and frame.ends_stream for frame in seen):
                found, rest = split_frames(rest + good.recv(65_536))
                seen += found
            assert any(frame.payload == grpc_message(b"still here") for frame in seen)
            number += 2

        run()
        assert server.server.connections <= 2
