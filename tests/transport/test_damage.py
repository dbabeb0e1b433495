"""A bad connection ends with a line in the log, and nothing else does."""

import asyncio
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.transport.servers import CLUSTER, FAST, HandMadeServer, Server, dialled, link, running, until

from oarlock.transport import TransportOptions
from oarlock.transport.framing import (
    HELLO,
    MESSAGE,
    PING,
    PONG,
    REFUSAL,
    encode_frame,
    encode_header,
)
from oarlock.transport.handshake import Hello, RefusalReason
from oarlock.transport.interface import Channel


def flipped(frame, position):
    damaged = bytearray(frame)
    damaged[position] ^= 0x10
    return bytes(damaged)


BAD = {
    "damaged payload": flipped(encode_frame(MESSAGE, b"payload"), -1),
    "damaged length": flipped(encode_frame(MESSAGE, b"payload"), 0),
    "damaged checksum": flipped(encode_frame(MESSAGE, b"payload"), 8),
    "oversized": encode_header(MESSAGE, bytes(FAST.max_message_bytes + 1)),
    "unknown kind": encode_frame(9, b""),
    "second hello": Hello(CLUSTER, 99, 1, 1, Channel.CONTROL).encode(),
    "unasked pong": encode_frame(PONG, b"12345678"),
    "large ping": encode_frame(PING, bytes(9)),
    "foreign protocol": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
async def test_a_bad_frame_ends_its_connection_only(bad, caplog):
    """After a bad frame: messages before it count, those after it do not; other links carry on."""
    async with running(Server(1), Server(2)) as (one, two), dialled(one) as peer:
        await link(one, two)
        good = encode_frame(MESSAGE, b"good")
        peer.transport.write(good + bad + encode_frame(MESSAGE, b"never"))
        await peer.lost
        assert one.messages == [(99, b"good")]
        assert one.transport.incoming_stats.bad_frames == 1
        assert two.transport.send(1, b"still here")
        await until(lambda: one.messages[1:] == [(2, b"still here")])
        assert one.unreachable == two.unreachable == []
    assert "closed the connection of server 63 at 127.0.0.1" in caplog.text


@pytest.mark.parametrize("cut", [1, 5, 11, 12, 15])
async def test_a_truncated_frame_is_never_delivered(cut):
    """A connection that breaks in the middle of a frame delivers nothing of it."""
    async with running(Server(1)) as (one,):
        async with dialled(one) as peer:
            peer.transport.write(encode_frame(MESSAGE, b"whole") + encode_frame(MESSAGE, b"payload")[:cut])
            await until(lambda: one.messages == [(99, b"whole")])
        await until(lambda: not one.transport._acceptor._established)
        assert one.messages == [(99, b"whole")]


@pytest.mark.parametrize("first", [b"GET / HTTP/1.1\r\n\r\n", encode_header(HELLO, bytes(1025)), bytes(100)])
async def test_garbage_instead_of_a_hello(first):
    """Garbage, or a hello larger than any, ends the connection before anything is kept."""
    async with running(Server(1)) as (one,):
        loop = asyncio.get_running_loop()
        lost = loop.create_future()

        class Garbler(asyncio.Protocol):
            def connection_made(self, transport):
                transport.write(first)

            def connection_lost(self, exc):
                lost.set_result(exc)

        await loop.create_connection(Garbler, *one.addresses[0])
        await lost
        assert one.transport.incoming_stats.bad_frames == 1


@pytest.mark.parametrize(
    "bad",
    [
        encode_frame(MESSAGE, b"not over this connection"),
        encode_frame(PONG, b"odd"),
        flipped(encode_frame(PONG, b"12345678"), 3),
        encode_frame(REFUSAL, bytes([RefusalReason.MALFORMED]) + b"changed my mind"),
    ],
    ids=["message", "odd pong", "damaged", "late refusal"],
)
async def test_a_bad_answer_ends_an_outgoing_connection_only(bad):
    """What does not belong on an outgoing connection ends it; the link tells and dials again."""
    async with HandMadeServer(2) as peer, running(Server(1)) as (one,):
        one.transport.add_peer(2, peer.addresses)
        await until(lambda: one.is_linked(2))
        peer.newest(Channel.CONTROL).transport.write(bad)
        await until(lambda: one.transport.stats[2].control.connects == 2)
        assert one.unreachable == [2]
        assert one.transport.stats[2].bulk.losses == 0
        assert one.messages == []


async def test_a_failing_handler_ends_its_connection_only(caplog):
    """A payload on which the runtime raises is logged with its trace, and the next connection is served."""
    async with running(Server(1), Server(2)) as (one, two):
        await link(one, two)

        def raise_on_poison(source, payload):
            if payload == b"poison":
                raise RuntimeError("cannot decode this")
            one.messages.append((source, payload))

        one.transport._acceptor.on_message = raise_on_poison
        two.transport.send(1, b"poison")
        two.transport.send(1, b"lost with it")
        await until(lambda: two.unreachable == [1])
        await until(lambda: two.transport.send(1, b"next"))
        await until(lambda: one.messages == [(2, b"next")])
        assert one.transport.incoming_stats.handler_failures == 1
    assert "cannot decode this" in caplog.text


async def test_a_handler_may_close_its_own_connection():
    """A handler that closes the transport in the middle of a batch gets no more messages."""
    async with running(Server(1)) as (one,), dialled(one) as peer:
        tasks = []

        def close(source, payload):
            one.messages.append((source, payload))
            [connection] = one.transport._acceptor._established.values()
            connection.fail("the handler says so")
            tasks.append(asyncio.ensure_future(one.transport.close()))

        one.transport._acceptor.on_message = close
        peer.transport.write(encode_frame(MESSAGE, b"first") + encode_frame(MESSAGE, b"second"))
        await peer.lost
        await tasks[0]
        assert one.messages == [(99, b"first")]


REFUSALS = {
    "wrong cluster": ({"cluster_id": 0xC2}, RefusalReason.WRONG_CLUSTER),
    "wrong server": ({"server_id": 3}, RefusalReason.WRONG_SERVER),
    "own id": ({"server_id": 1}, None),
}


@pytest.mark.parametrize(("fields", "reason"), REFUSALS.values(), ids=REFUSALS)
async def test_refusals_are_logged_on_both_sides(fields, reason, caplog):
    """A server of the wrong cluster, another server, or one with our id is refused; both sides log the same."""
    answering = Server(fields.get("server_id", 2), cluster_id=fields.get("cluster_id", CLUSTER))
    async with running(Server(1), answering) as (one, two):
        one.transport.add_peer(2, two.addresses)
        await until(lambda: one.transport.stats[2].control.handshake_failures >= 2)
        assert not one.transport.send(2, b"never")
        expected = (reason or RefusalReason.OWN_ID).name.lower()
        assert two.transport.incoming_stats.refused[expected] >= 2
        assert one.unreachable == []
    lines = [record.getMessage() for record in caplog.records]
    text = next(line.split("the peer refused the handshake: ")[1] for line in lines if "the peer refused" in line)
    assert text.startswith(expected.replace("_", " "))
    assert any("refused the handshake of 127.0.0.1" in line and line.endswith(text) for line in lines)


async def test_an_unsupported_version_is_refused(caplog):
    """A peer of a version that we do not speak is refused with both ranges named."""
    async with running(Server(1)) as (one,):
        own = Hello(CLUSTER, 99, 1, 1, Channel.CONTROL, version_min=7, version_max=8)
        async with dialled(one, own, answers=False) as peer:
            await peer.lost
            [(kind, payload)] = peer.frames
        assert kind == REFUSAL
        assert b"7 to 8" in payload
        assert one.transport.incoming_stats.refused == {"unsupported_version": 1}
    assert "unsupported version" in caplog.text


async def test_the_answering_side_hears_why_the_dialling_side_refuses(caplog):
    """When the answer names another server, the dialling side refuses, and the answering side logs its words."""
    async with running(Server(1)) as (one,):
        own = Hello(CLUSTER, 99, 1, 1, Channel.CONTROL)
        async with dialled(one, own) as peer:
            await until(lambda: peer.theirs is not None)
            peer.transport.write(encode_frame(REFUSAL, bytes([RefusalReason.WRONG_SERVER]) + b"you are not he"))
            await peer.lost
        assert one.transport.incoming_stats.refused == {"wrong_server": 1}
    assert "the dialling side refused the handshake: you are not he" in caplog.text


async def test_the_dialling_side_tells_why_it_refuses():
    """A server that answers with a wrong id is sent the refusal before the connection ends."""

    class Liar(HandMadeServer):
        def _new(self):
            peer = super()._new()
            received = peer.data_received

            def lie(data):
                if not peer.reads:
                    peer.transport.write(Hello(CLUSTER, 5, 1, 1, Channel.CONTROL).encode())
                    peer.answers = False
                received(data)

            peer.data_received = lie
            return peer

    async with Liar(2) as liar, running(Server(1)) as (one,):
        one.transport.add_peer(2, liar.addresses)
        await until(lambda: bool(liar.connections) and liar.connections[0].lost.done())
        kinds = [kind for kind, _ in liar.connections[0].frames]
        assert kinds == [HELLO, REFUSAL]
        assert b"server 5 answers" in liar.connections[0].frames[1][1]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=64),
            st.builds(encode_frame, st.integers(0, 15), st.binary(max_size=32)),
            st.builds(lambda a, b, c: struct.pack("<III", a, b, c), *[st.integers(0, (1 << 32) - 1)] * 3),
        ),
        max_size=6,
    ),
    st.booleans(),
)
def test_a_server_survives_any_bytes(pieces, with_hello):
    """Whatever a stranger sends, before or after a hello, the server goes on serving its peers."""

    async def run():
        options = TransportOptions(handshake_timeout_ms=1000)
        async with running(Server(1, options=options), Server(2)) as (one, two):
            two.transport.add_peer(1, one.addresses)
            await until(lambda: two.is_linked(1))
            loop = asyncio.get_running_loop()
            transport, _ = await loop.create_connection(asyncio.Protocol, *one.addresses[0])
            if with_hello:
                transport.write(Hello(CLUSTER, 99, 1, 1, Channel.SNAPSHOT).encode())
            for piece in pieces:
                transport.write(piece)
            transport.close()
            assert two.transport.send(1, b"still served")
            await until(lambda: (2, b"still served") in one.messages)

    asyncio.run(run())
