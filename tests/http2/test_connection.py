"""RFC 9113 on a connection without sockets: the course of streams, and what a fault ends."""

import pytest
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
)

from oarlock.etcd.http2 import PREFACE, ErrorCode, HeaderBlock, Limits, frames
from oarlock.etcd.http2.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PRIORITY,
    PRIORITY_FLAG,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    frame,
)
from oarlock.etcd.http2.sender import OUTPUT_BATCH_BYTES


def long(value):
    return value.to_bytes(4, "big")


def test_the_server_speaks_first_and_acknowledges():
    """RFC 9113, 3.4 and 6.5: our SETTINGS come at once, the client's are acknowledged."""
    wire = Wire(hello=b"")
    assert [seen.kind for seen in wire.read()] == [SETTINGS, WINDOW_UPDATE]
    answers = wire.send(HELLO)
    assert [(seen.kind, seen.flags) for seen in answers] == [(SETTINGS, ACK)]


def test_a_request_is_answered():
    """HEADERS and DATA in, HEADERS, DATA and trailers out, and nothing is left of the stream."""
    wire = Wire()
    wire.answers_at_end = True
    answers = wire.send(request_bytes(1))
    assert wire.requests[0].body == grpc_message(b"hello")
    assert [(seen.kind, seen.stream_id, seen.ends_stream) for seen in answers] == [
        (HEADERS, 1, False),
        (DATA, 1, False),
        (HEADERS, 1, True),
    ]
    assert wire.decoder.decode(answers[0].payload) == [(":status", "200")]
    assert wire.decoder.decode(answers[2].payload) == [("grpc-status", "0")]
    assert not wire.http2.streams


def test_bytes_may_be_cut_anywhere():
    """A session fed byte by byte gives what it gives in one piece."""
    session = HELLO + request_bytes(1) + frame(PING, 0, 0, b"12345678") + request_bytes(3, b"x" * 300)
    whole = Wire(hello=b"")
    pieces = Wire(hello=b"")
    whole.answers_at_end = pieces.answers_at_end = True
    whole.send(session)
    pieces.send(*(session[at : at + 1] for at in range(len(session))))
    assert whole.seen == pieces.seen


def test_the_age_of_an_unfinished_frame():
    """It counts from the read in which the frame began, not from the last bytes, nor from an earlier read."""
    wire = Wire()
    ping = frame(PING, 0, 0, bytes(8))
    for begun_with in (b"", ping):
        wire.now += 50
        began = wire.now
        wire.send(begun_with + ping[:3])
        wire.now += 5
        wire.send(ping[3:10])
        assert (wire.http2.is_mid_frame, wire.http2.partial_since) == (True, began)
        wire.send(ping[10:])
        assert not wire.http2.is_mid_frame
    wire.now += 50
    wire.send(frame(HEADERS, 0, 1, b"\x82"))
    assert (wire.http2.is_mid_frame, wire.http2.partial_since) == (True, wire.now)


def test_continuation_priority_and_padding_are_understood():
    """One field section over three frames, with padding and a priority that is ignored; padded DATA."""
    wire = Wire()
    section = block(fields())
    first = bytes([4]) + long(0) + b"\x10" + section[:5] + bytes(4)
    wire.send(
        frame(HEADERS, PADDED | PRIORITY_FLAG, 1, first),
        frame(CONTINUATION, 0, 1, section[5:9]),
        frame(CONTINUATION, END_HEADERS, 1, section[9:]),
        frame(PRIORITY, 0, 7, long(1) + b"\x10"),
        frame(DATA, PADDED | END_STREAM, 1, b"\x03bodyPAD"),
    )
    assert wire.requests[0].body == b"body"
    assert wire.requests[0].ended
    assert wire.goaway_code is None


def test_trailers_end_a_request():
    """RFC 9113, 8.1: a second field section with END_STREAM ends the body."""
    wire = Wire()
    wire.send(headers_frame(1), data_frame(1, b"body"), headers_frame(1, [("x", "y")], end_stream=True))
    assert wire.requests[0].ended
    assert wire.requests[0].body == b"body"


CONNECTION_ERRORS = {
    "garbage": (b"GET / HTTP/1.1\r\n\r\n", ErrorCode.PROTOCOL_ERROR),
    "no settings first": (PREFACE + frame(PING, 0, 0, bytes(8)), ErrorCode.PROTOCOL_ERROR),
    "an acknowledgement first": (PREFACE + frame(SETTINGS, ACK, 0), ErrorCode.PROTOCOL_ERROR),
    "a frame too long": (HELLO + frame(DATA, 0, 1, bytes(16_385))[:9], ErrorCode.FRAME_SIZE_ERROR),
    "an even stream": (HELLO + headers_frame(2), ErrorCode.PROTOCOL_ERROR),
    "an even stream, in parts": (HELLO + frame(HEADERS, 0, 2, b""), ErrorCode.PROTOCOL_ERROR),
    "HEADERS on stream 0": (HELLO + headers_frame(0), ErrorCode.PROTOCOL_ERROR),
    "a closed stream's HEADERS": (HELLO + headers_frame(5) + headers_frame(3), ErrorCode.STREAM_CLOSED),
    "DATA on stream 0": (HELLO + data_frame(0, b"x"), ErrorCode.PROTOCOL_ERROR),
    "DATA on an idle stream": (HELLO + data_frame(1, b"x"), ErrorCode.PROTOCOL_ERROR),
    "RST_STREAM on an idle stream": (HELLO + frames.rst_stream(1, 8), ErrorCode.PROTOCOL_ERROR),
    "RST_STREAM on stream 0": (HELLO + frames.rst_stream(0, 8), ErrorCode.PROTOCOL_ERROR),
    "RST_STREAM of 3 bytes": (HELLO + headers_frame(1) + frame(RST_STREAM, 0, 1, b"abc"), ErrorCode.FRAME_SIZE_ERROR),
    "WINDOW_UPDATE on an idle stream": (HELLO + frames.window_update(1, 8), ErrorCode.PROTOCOL_ERROR),
    "WINDOW_UPDATE of 3 bytes": (HELLO + frame(WINDOW_UPDATE, 0, 0, b"abc"), ErrorCode.FRAME_SIZE_ERROR),
    "WINDOW_UPDATE by 0": (HELLO + frames.window_update(0, 0), ErrorCode.PROTOCOL_ERROR),
    "WINDOW_UPDATE above 2^31-1": (HELLO + frames.window_update(0, 0x7FFFFFFF), ErrorCode.FLOW_CONTROL_ERROR),
    "SETTINGS on a stream": (HELLO + frame(SETTINGS, 0, 1), ErrorCode.PROTOCOL_ERROR),
    "SETTINGS of 5 bytes": (HELLO + frame(SETTINGS, 0, 0, bytes(5)), ErrorCode.FRAME_SIZE_ERROR),
    "SETTINGS, acknowledged with a payload": (HELLO + frame(SETTINGS, ACK, 0, bytes(6)), ErrorCode.FRAME_SIZE_ERROR),
    "PING on a stream": (HELLO + frame(PING, 0, 1, bytes(8)), ErrorCode.PROTOCOL_ERROR),
    "PING of 7 bytes": (HELLO + frame(PING, 0, 0, bytes(7)), ErrorCode.FRAME_SIZE_ERROR),
    "GOAWAY on a stream": (HELLO + frame(GOAWAY, 0, 1, bytes(8)), ErrorCode.PROTOCOL_ERROR),
    "GOAWAY of 7 bytes": (HELLO + frame(GOAWAY, 0, 0, bytes(7)), ErrorCode.FRAME_SIZE_ERROR),
    "PUSH_PROMISE": (HELLO + frame(PUSH_PROMISE, END_HEADERS, 1, bytes(8)), ErrorCode.PROTOCOL_ERROR),
    "PRIORITY on stream 0": (HELLO + frame(PRIORITY, 0, 0, bytes(5)), ErrorCode.PROTOCOL_ERROR),
    "PRIORITY of 4 bytes": (HELLO + frame(PRIORITY, 0, 1, bytes(4)), ErrorCode.FRAME_SIZE_ERROR),
    "HEADERS too short for a priority": (
        HELLO + frame(HEADERS, END_HEADERS | PRIORITY_FLAG, 1, b"abc"),
        ErrorCode.FRAME_SIZE_ERROR,
    ),
    "CONTINUATION alone": (HELLO + frame(CONTINUATION, END_HEADERS, 1, b""), ErrorCode.PROTOCOL_ERROR),
    "CONTINUATION of another stream": (
        HELLO + frame(HEADERS, 0, 1, b"") + frame(CONTINUATION, END_HEADERS, 3, b""),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "an interrupted field section": (
        HELLO + frame(HEADERS, 0, 1, b"") + frame(PING, 0, 0, bytes(8)),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "a frame of unknown kind within a field section": (
        HELLO + frame(HEADERS, 0, 1, b"") + frame(0xBE, 0, 1),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "a broken field section": (HELLO + frame(HEADERS, END_HEADERS, 1, b"\xbf"), ErrorCode.COMPRESSION_ERROR),
    "a window setting above 2^31-1": (HELLO + frames.settings([(4, 1 << 31)]), ErrorCode.FLOW_CONTROL_ERROR),
    "a window setting that overflows a stream": (
        HELLO + headers_frame(1) + frames.window_update(1, 0x7FFFFFFF - 65_535) + frames.settings([(4, 65_536)]),
        ErrorCode.FLOW_CONTROL_ERROR,
    ),
}


@pytest.mark.parametrize("name", CONNECTION_ERRORS)
def test_connection_errors(name):
    """Each breach that RFC 9113 calls a connection error ends the connection with that code, and only then."""
    session, code = CONNECTION_ERRORS[name]
    wire = Wire(hello=b"")
    wire.send(session)
    assert wire.goaway_code == code
    assert wire.http2.closed
    assert all(request.resets == [None] for request in wire.requests)
    assert wire.send(frame(PING, 0, 0, bytes(8))) == []


STREAM_ERRORS = {
    "a malformed request": (headers_frame(1, fields(p_path=None)), ErrorCode.PROTOCOL_ERROR),
    "malformed, in parts": (
        frame(HEADERS, 0, 1, block(fields(p_path=None))) + frame(CONTINUATION, END_HEADERS, 1, b""),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "more than the content-length": (
        headers_frame(1, fields(content_length="3")) + data_frame(1, b"four"),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "less than the content-length": (
        headers_frame(1, fields(content_length="5")) + data_frame(1, b"four", end_stream=True),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "no body for a content-length": (
        headers_frame(1, fields(content_length="5"), end_stream=True),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "DATA after the end": (request_bytes(1) + data_frame(1, b"x"), ErrorCode.STREAM_CLOSED),
    "HEADERS after the end": (request_bytes(1) + headers_frame(1, [("x", "y")]), ErrorCode.STREAM_CLOSED),
    "trailers that end nothing": (headers_frame(1) + headers_frame(1, [("x", "y")]), ErrorCode.PROTOCOL_ERROR),
    "pseudo-fields in trailers": (
        headers_frame(1) + headers_frame(1, [(":path", "/")], end_stream=True),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "WINDOW_UPDATE by 0": (headers_frame(1) + frames.window_update(1, 0), ErrorCode.PROTOCOL_ERROR),
    "WINDOW_UPDATE above 2^31-1": (
        headers_frame(1) + frames.window_update(1, 0x7FFFFFFF),
        ErrorCode.FLOW_CONTROL_ERROR,
    ),
    "more than the stream's window, at its end": (
        headers_frame(1) + data_frame(1, bytes(16_384)) * 4 + data_frame(1, b"x", end_stream=True),
        ErrorCode.FLOW_CONTROL_ERROR,
    ),
    "more than the stream's window": (
        headers_frame(1) + data_frame(1, bytes(16_384)) * 5,
        ErrorCode.FLOW_CONTROL_ERROR,
    ),
}


@pytest.mark.parametrize("name", STREAM_ERRORS)
def test_stream_errors(name):
    """Each breach that RFC 9113 calls a stream error resets that stream, and leaves the connection and others be."""
    session, code = STREAM_ERRORS[name]
    wire = Wire()
    wire.send(session)
    assert wire.reset_code(1) == code
    assert wire.goaway_code is None
    assert all(request.resets == [code] for request in wire.requests)
    assert not wire.http2.streams
    wire.answers_at_end = True
    wire.send(request_bytes(3))
    assert wire.body(3) == grpc_message(b"hello")


def test_more_than_the_connections_window_ends_the_connection():
    """RFC 9113, 6.9.1: the connection's own window is a connection error."""
    wire = Wire()
    wire.http2._window.size, wire.http2._window.available = 0, 40_000
    wire.send(headers_frame(1), *[data_frame(1, bytes(16_000))] * 2)
    assert wire.goaway_code is None
    wire.send(data_frame(1, bytes(16_000)))
    assert wire.goaway_code == ErrorCode.FLOW_CONTROL_ERROR


def test_the_connections_window_is_replenished_and_the_streams_when_allowed():
    """Uploads go on for ever over the connection, and over a stream as far as its receiver allows."""
    wire = Wire()
    wire.send(headers_frame(1))
    recorder = wire.requests[0]
    recorder.on_data = lambda it: wire.http2.allow(it.stream, 64 * 1024)
    for _ in range(2000):
        wire.send(data_frame(1, bytes(10_000)))
    assert len(recorder.body) == 20_000_000
    granted = sum(int.from_bytes(seen.payload, "big") for seen in wire.kinds(WINDOW_UPDATE) if seen.stream_id == 1)
    assert 0 <= granted + 64 * 1024 - 20_000_000 <= 64 * 1024


def test_padding_counts_in_flow_control():
    """RFC 9113, 6.1: the pad length and the padding are part of what the window bounds."""
    wire = Wire(Limits(stream_window_bytes=1000))
    wire.send(headers_frame(1), frame(DATA, PADDED, 1, b"\xff" + b"x" + bytes(255)))
    assert wire.requests[0].stream.window.available == 1000 - 257


class TestResponses:
    """Sending under the peer's windows and settings."""

    def test_a_body_waits_for_the_windows(self):
        """No more than the smaller window is sent; updates of either let the rest follow, trailers last."""
        wire = Wire(hello=PREFACE + frames.settings([(4, 10)]))
        wire.send(request_bytes(1))
        wire.http2.respond(wire.requests[0].stream, HEAD_200, b"", b"0123456789abcdef", TRAILERS)
        wire.read()
        assert wire.body(1) == b"0123456789"
        assert not wire.seen[-1].ends_stream
        answers = wire.send(frames.window_update(1, 4))
        assert [seen.payload for seen in answers] == [b"abcd"]
        answers = wire.send(frames.window_update(1, 100))
        assert [(seen.kind, seen.ends_stream) for seen in answers] == [(DATA, False), (HEADERS, True)]
        assert wire.body(1) == b"0123456789abcdef"
        assert not wire.http2.streams
        assert wire.http2.pending_bytes == 0

    def test_the_connections_window_is_shared(self):
        """Two bodies together never exceed the connection's window, and take turns when it opens."""
        wire = Wire(hello=PREFACE + frames.settings([(4, 1 << 20)]))
        wire.send(request_bytes(1), request_bytes(3))
        for request in wire.requests:
            wire.http2.respond(request.stream, HEAD_200, b"", bytes(100_000), TRAILERS)
        wire.read()
        assert len(wire.body(1)) + len(wire.body(3)) == 65_535
        wire.send(frames.window_update(0, 100_000))
        assert len(wire.body(1)) + len(wire.body(3)) == 165_535
        assert abs(len(wire.body(1)) - len(wire.body(3))) < 70_000
        wire.send(frames.window_update(0, 100_000))
        assert wire.body(1) == wire.body(3) == bytes(100_000)

    def test_small_answers_use_up_the_connections_window(self):
        """The short way to send keeps to the connection's window as well; what is left waits for more of it."""
        wire = Wire()
        wire.answers_at_end = True
        numbers = range(1, 201, 2)
        wire.send(*(request_bytes(number, bytes(995)) for number in numbers))
        assert sum(len(wire.body(number)) for number in numbers) == 65_535
        wire.send(frames.window_update(0, 100_000))
        assert sum(len(wire.body(number)) for number in numbers) == 100_000

    def test_a_window_may_become_negative(self):
        """RFC 9113, 6.9.2: a smaller initial window shrinks open ones below zero; sending waits until it is above."""
        wire = Wire(hello=PREFACE + frames.settings([(4, 100)]))
        wire.send(request_bytes(1))
        stream = wire.requests[0].stream
        wire.http2.respond(stream, HEAD_200, b"", bytes(150), TRAILERS)
        wire.send(frames.settings([(4, 20)]))
        assert stream.send_window == -80
        wire.send(frames.window_update(1, 80))
        assert len(wire.body(1)) == 100
        wire.http2.receive(frames.settings([(4, 60)]), wire.now)
        assert len(wire.http2.take()) == 9 + 9 + 40
        wire.send(frames.settings([(4, 1000)]))
        assert wire.body(1) == bytes(110)

    def test_frames_are_no_larger_than_the_peer_takes(self):
        """RFC 9113, 4.2: DATA, and field sections by CONTINUATION, keep to SETTINGS_MAX_FRAME_SIZE."""
        wire = Wire(hello=PREFACE + frames.settings([(4, 1 << 20), (5, 20_000)]))
        wire.send(frames.window_update(0, 1 << 20), request_bytes(1))
        large = HeaderBlock([(b"grpc-status", b"2"), (b"grpc-message", b"x" * 50_000)])
        wire.http2.respond(wire.requests[0].stream, HEAD_200, b"", bytes(45_000), large)
        wire.read()
        answers = [(seen.kind, len(seen.payload)) for seen in wire.seen if seen.stream_id == 1]
        assert answers[:4] == [(HEADERS, 1), (DATA, 20_000), (DATA, 20_000), (DATA, 5000)]
        assert [kind for kind, _ in answers[4:]] == [HEADERS, CONTINUATION, CONTINUATION]
        assert max(length for _, length in answers) == 20_000
        section = b"".join(seen.payload for seen in wire.seen[-3:])
        assert wire.decoder.decode(section)[1] == ("grpc-message", "x" * 50_000)
        assert wire.seen[-3].ends_stream
        assert [seen.flags & END_HEADERS for seen in wire.seen[-3:]] == [0, 0, END_HEADERS]
        wire.send(request_bytes(3))
        wire.http2.respond(wire.requests[1].stream, HEAD_200, b"", b"small", large)
        assert [seen.kind for seen in wire.read()] == [HEADERS, DATA, HEADERS, CONTINUATION, CONTINUATION]

    def test_a_response_before_the_requests_end_stops_the_request(self):
        """RFC 9113, 8.1: RST_STREAM(NO_ERROR) after a complete response; what still comes is no fault."""
        wire = Wire()
        wire.send(headers_frame(1), data_frame(1, b"part"))
        wire.http2.send_headers(wire.requests[0].stream, HEAD_200, end_stream=True)
        wire.read()
        assert wire.reset_code(1) == ErrorCode.NO_ERROR
        wire.send(data_frame(1, b"more"), headers_frame(1, [("x", "y")], end_stream=True), frames.rst_stream(1, 8))
        assert wire.goaway_code is None
        assert len(wire.kinds(RST_STREAM)) == 1

    def test_the_socket_stops_production(self):
        """While the socket takes nothing, bodies wait; the receiver is told when it may go on."""
        wire = Wire(hello=PREFACE + frames.settings([(4, 1 << 20)]))
        wire.send(request_bytes(1))
        recorder = wire.requests[0]
        wire.http2.paused = True
        wire.http2.send_headers(recorder.stream, HEAD_200)
        wire.http2.send_data(recorder.stream, bytes(60_000))
        recorder.stream.wants_writable = True
        wire.send(request_bytes(3))
        wire.http2.respond(wire.requests[1].stream, HEAD_200, b"", b"small", TRAILERS)
        wire.read()
        assert wire.body(1) == wire.body(3) == b""
        assert recorder.writable_calls == 0
        wire.http2.paused = False
        wire.http2.pump()
        wire.read()
        assert wire.body(1) == bytes(60_000)
        assert wire.body(3) == b"small"
        assert recorder.writable_calls == 1

    def test_no_more_than_a_batch_is_made_ready_at_once(self):
        """A peer with huge windows still makes us hold one batch for the socket, not its whole response."""
        wire = Wire(hello=PREFACE + frames.settings([(4, 0x7FFFFFFF)]))
        wire.send(frames.window_update(0, 0x7FFFFFFF - 65_535), request_bytes(1))
        wire.http2.respond(wire.requests[0].stream, HEAD_200, b"", bytes(5_000_000), TRAILERS)
        assert 256 * 1024 <= len(wire.http2.take()) < 400_000
        assert wire.http2.blocked

    def test_a_reset_discards_what_waits(self):
        """The client's RST_STREAM tells the receiver, and frees what was queued."""
        wire = Wire(hello=PREFACE + frames.settings([(4, 0)]))
        wire.send(request_bytes(1))
        wire.http2.respond(wire.requests[0].stream, HEAD_200, b"", bytes(1000), TRAILERS)
        wire.send(frames.rst_stream(1, 8))
        assert wire.requests[0].resets == [8]
        assert wire.http2.pending_bytes == 0
        assert not wire.http2.streams
        assert not wire.http2.blocked
        wire.send(frames.window_update(0, 10_000))
        assert wire.body(1) == b""


class TestDrain:
    """GOAWAY, RFC 9113, 6.8."""

    def test_streams_finish_and_the_connection_ends(self):
        """First GOAWAY names no stream, the second the last; requests in between are served; then it is finished."""
        wire = Wire()
        wire.answers_at_end = True
        wire.send(headers_frame(1))
        wire.http2.drain()
        first, ping = wire.read()
        assert (first.kind, first.payload[:8]) == (GOAWAY, long(0x7FFFFFFF) + long(0))
        wire.send(request_bytes(3))
        assert wire.body(3)
        (second,) = wire.send(frame(PING, ACK, 0, ping.payload))
        assert (second.kind, second.payload) == (GOAWAY, long(3) + long(0))
        assert not wire.http2.finished
        assert wire.send(request_bytes(5)) == []
        assert wire.goaway_code == ErrorCode.NO_ERROR
        wire.send(data_frame(1, b"x", end_stream=True))
        assert wire.body(1) == b"x"
        assert wire.http2.finished

    def test_a_fault_after_the_last_goaway_does_not_raise_the_last_stream(self):
        """RFC 9113, 6.8: the last stream's number must not increase."""
        wire = Wire()
        wire.send(headers_frame(1))
        wire.http2.drain()
        wire.http2.finish_drain()
        wire.send(request_bytes(5), data_frame(0, b"x"))
        assert [seen.payload[:4] for seen in wire.kinds(GOAWAY)] == [long(0x7FFFFFFF), long(1), long(1)]

    def test_an_idle_connection_ends_at_once(self):
        """With no stream open, the second GOAWAY is the end."""
        wire = Wire()
        wire.http2.drain()
        wire.http2.finish_drain()
        assert wire.http2.finished


class TestLimits:
    """What a client may make grow, and what happens when it tries."""

    def test_concurrent_streams(self):
        """RFC 9113, 5.1.2: a stream above the limit is refused, to be retried; the others go on."""
        wire = Wire(Limits(max_concurrent_streams=2))
        wire.send(headers_frame(1), headers_frame(3), request_bytes(5))
        assert wire.reset_code(5) == ErrorCode.REFUSED_STREAM
        assert len(wire.requests) == 2
        wire.send(frames.rst_stream(1, 8), headers_frame(7))
        assert len(wire.requests) == 3

    def test_no_more_is_made_ready_than_a_batch(self):
        """However wide the peer opens its windows, what is for the socket at once stays small, and the rest counts."""
        wide = frames.settings([(4, 0x7FFFFFFF), (5, (1 << 24) - 1)]) + frames.window_update(0, 0x7FFFFFFF - 65_535)
        wire = Wire(hello=PREFACE + wide)
        for stream_id in range(1, 21, 2):
            wire.http2.receive(request_bytes(stream_id), wire.now)
        for recorder in wire.requests:
            wire.http2.respond(recorder.stream, HEAD_200, b"", bytes(100_000), TRAILERS)
        assert sum(map(len, wire.http2.out)) < OUTPUT_BATCH_BYTES + 110_000
        assert wire.http2.pending_bytes == wire.http2.backlog.kept_bytes > 600_000
        wire.read()
        assert all(len(wire.body(stream_id)) == 100_000 for stream_id in range(1, 21, 2))
        assert wire.http2.pending_bytes == wire.http2.backlog.kept_bytes == 0

    def test_streams_are_refused_while_too_much_waits(self):
        """A client that opens no window cannot make us keep responses without end."""
        wire = Wire(Limits(max_pending_bytes=1000), hello=PREFACE + frames.settings([(4, 0)]))
        wire.answers_at_end = True
        wire.send(*(request_bytes(number, bytes(400)) for number in (1, 3, 5, 7)))
        assert [wire.reset_code(number) for number in (1, 3, 5, 7)] == [None, None, None, ErrorCode.REFUSED_STREAM]

    @pytest.mark.parametrize(
        ("name", "flood"),
        [
            ("pings", frame(PING, 0, 0, bytes(8))),
            ("settings", frames.settings([])),
            ("acknowledgements", frame(SETTINGS, ACK, 0)),
            ("priorities", frame(PRIORITY, 0, 9, bytes(5))),
            ("window updates", frames.window_update(0, 1)),
            ("empty data", data_frame(1, b"")),
            ("padding", frame(DATA, PADDED, 1, b"\x05" + bytes(5))),
            ("unknown frames", frame(0xFA, 0, 0, b"x")),
            ("goaways", frame(GOAWAY, 0, 0, bytes(8))),
        ],
    )
    def test_floods(self, name, flood):
        """Frames that bring nothing forward are accepted in a burst, then end the connection."""
        wire = Wire(Limits(control_burst=100))
        wire.send(headers_frame(1))
        if name == "padding":
            wire.requests[0].on_data = lambda it: wire.http2.allow(it.stream, 64 * 1024)
        wire.send(flood * 90)
        assert wire.goaway_code is None
        wire.send(flood * 20)
        assert wire.goaway_code == ErrorCode.ENHANCE_YOUR_CALM

    def test_a_busy_client_may_ping_without_end(self):
        """A Go client that measures its bandwidth pings with each response: work pays for that."""
        wire = Wire(Limits(control_burst=100))
        wire.answers_at_end = True
        for number in range(1, 4001, 2):
            wire.send(request_bytes(number), frame(PING, 0, 0, bytes(8)), frames.window_update(0, 100))
        assert wire.goaway_code is None

    def test_an_idle_client_may_ping_for_ever(self):
        """A ping every few seconds keeps a connection alive, however long."""
        wire = Wire(Limits(control_burst=100))
        for _ in range(1000):
            wire.now += 5
            wire.send(frame(PING, 0, 0, bytes(8)))
        assert wire.goaway_code is None

    def test_rapid_reset(self):
        """CVE-2023-44487: opening streams only to reset them ends the connection."""
        wire = Wire(Limits(reset_burst=50))
        for number in range(1, 201, 2):
            wire.send(headers_frame(number), frames.rst_stream(number, 8))
        assert wire.goaway_code == ErrorCode.ENHANCE_YOUR_CALM
        assert len(wire.requests) == 51

    def test_cancelling_answered_streams_is_no_attack(self):
        """A client may give up any number of streams, such as watches, that have been answered."""
        wire = Wire(Limits(reset_burst=50))
        for number in range(1, 401, 2):
            wire.send(headers_frame(number))
            wire.http2.send_headers(wire.requests[-1].stream, HEAD_200)
            wire.send(frames.rst_stream(number, 8))
        assert wire.goaway_code is None

    def test_continuation_flood(self):
        """CVE-2024-27316: CONTINUATION frames without end, empty or not, end the connection."""
        for payload in (b"", b"\x82"):
            wire = Wire()
            wire.send(frame(HEADERS, 0, 1, b"\x82"), *[frame(CONTINUATION, 0, 1, payload)] * 40)
            assert wire.goaway_code == ErrorCode.ENHANCE_YOUR_CALM

    def test_a_field_section_in_large_parts(self):
        """The encoded size is bounded before anything is decoded."""
        wire = Wire()
        wire.send(frame(HEADERS, 0, 1, bytes(16_000)), *[frame(CONTINUATION, 0, 1, bytes(16_000))] * 5)
        assert wire.goaway_code == ErrorCode.ENHANCE_YOUR_CALM

    def test_too_large_a_field_section_is_answered(self):
        """Above the advertised limit a request is answered with status 431; the connection goes on."""
        wire = Wire(Limits(max_header_list_bytes=1000))
        wire.send(headers_frame(1, fields(big="x" * 2000)))
        answer = next(seen for seen in wire.seen if seen.kind == HEADERS)
        assert wire.decoder.decode(answer.payload) == [(":status", "431")]
        assert answer.ends_stream
        assert wire.is_alive()
        wire.send(headers_frame(3))
        assert len(wire.requests) == 1

    def test_malformed_requests_without_end(self):
        """Requests that only produce resets count as a flood."""
        wire = Wire(Limits(control_burst=50))
        for number in range(1, 401, 2):
            wire.send(headers_frame(number, fields(p_path=None)))
        assert wire.goaway_code == ErrorCode.ENHANCE_YOUR_CALM

    def test_losing_the_connection_tells_every_stream(self):
        """Each open stream's receiver hears of it once."""
        wire = Wire()
        wire.send(headers_frame(1), headers_frame(3))
        wire.http2.lose()
        wire.http2.lose()
        assert [request.resets for request in wire.requests] == [[None], [None]]
