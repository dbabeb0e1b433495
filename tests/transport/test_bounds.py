"""Nothing grows without bound, nothing waits behind something else, and the dead are found."""

import asyncio
import random
import socket

from tests.transport.servers import HandMadeServer, Server, dialled, link, running, until

from oarlock.transport import TransportOptions
from oarlock.transport.framing import HEADER_BYTES, PING, encode_frame
from oarlock.transport.interface import Channel
from oarlock.transport.links import Backoff
from oarlock.transport.log import LogValve
from oarlock.transport.outgoing import BATCH_BYTES

SMALL = TransportOptions(
    queue_messages=1000,
    queue_bytes=1 << 20,
    bulk_queue_messages=4,
    bulk_queue_bytes=1 << 20,
    write_buffer_bytes=64 << 10,
    backoff_initial_ms=5,
    backoff_max_ms=20,
)


def bulk_connection(server, peer):
    return server.transport._peers[peer].bulk._connection


def control_connection(server, peer):
    return server.transport._peers[peer].control._connection


async def fill(send, payload):
    """Sends until the message is dropped, giving the loop a turn each time; tells how many were taken."""
    taken = 0
    while send(payload):
        taken += 1
        await asyncio.sleep(0)
    return taken


async def test_a_stuck_reader_costs_bounded_memory():
    """A peer that stops reading: messages are dropped, our queue and the loop's buffer stay within their bounds."""
    async with HandMadeServer(2) as peer, running(Server(1, options=SMALL)) as (one,):
        one.transport.add_peer(2, peer.addresses)
        await until(lambda: one.is_linked(2))
        reader = peer.newest(Channel.CONTROL)
        reader.transport.pause_reading()
        numbers = iter(range(1 << 30))
        taken = await fill(lambda size: one.transport.send(2, b"%08d" % next(numbers) + bytes(size)), 10_000)
        connection = control_connection(one, 2)
        for _ in range(1000):
            assert not one.transport.send(2, bytes(10_000))
        assert connection.queued_bytes <= SMALL.queue_bytes
        buffered = connection._transport.get_write_buffer_size()
        assert buffered <= SMALL.write_buffer_bytes + BATCH_BYTES
        assert one.transport.stats[2].control.dropped_queue_full == 1001

        reader.transport.resume_reading()
        await until(lambda: len(reader.messages) == taken)
        assert [int(message[:8]) for message in reader.messages] == list(range(taken))
        assert one.transport.send(2, b"room again")


async def test_a_burst_stays_in_our_queue():
    """A burst of one turn towards a stuck reader does not flow over into the loop's unbounded buffer."""
    options = TransportOptions(queue_bytes=32 << 20, write_buffer_bytes=64 << 10)
    async with HandMadeServer(2) as peer, running(Server(1, options=options)) as (one,):
        one.transport.add_peer(2, peer.addresses)
        await until(lambda: one.is_linked(2))
        peer.newest(Channel.CONTROL).transport.pause_reading()
        while one.transport.send(2, bytes(10_000)):
            pass
        connection = control_connection(one, 2)
        await until(lambda: connection.queued_bytes < options.queue_bytes - (1 << 20))
        buffered = connection._transport.get_write_buffer_size()
        assert buffered <= options.write_buffer_bytes + BATCH_BYTES
        assert connection.queued_bytes > 1 << 20


async def test_closing_waits_for_the_connections_of_removed_peers():
    """A removed peer that reads nothing has a second to take the rest; close leaves no socket behind."""
    async with HandMadeServer(2) as peer, running(Server(1, options=SMALL)) as (one,):
        one.transport.add_peer(2, peer.addresses)
        await until(lambda: one.is_linked(2))
        connection = control_connection(one, 2)
        peer.newest(Channel.CONTROL).transport.pause_reading()
        await fill(lambda payload: one.transport.send(2, payload), bytes(10_000))
        one.transport.remove_peer(2)
        assert connection.holds_socket
        await one.transport.close()
        assert not connection.holds_socket


async def test_the_queue_is_bounded_in_messages_too():
    """Empty messages count: the queue takes no more than its bound of them in one turn of the loop."""
    async with HandMadeServer(2) as peer, running(Server(1, options=SMALL)) as (one,):
        one.transport.add_peer(2, peer.addresses)
        await until(lambda: one.is_linked(2))
        assert sum(one.transport.send(2, b"") for _ in range(5000)) == SMALL.queue_messages
        await until(lambda: len(peer.newest(Channel.CONTROL).messages) == SMALL.queue_messages)


async def test_one_message_larger_than_the_queue_still_passes():
    """A bound smaller than one message does not starve it: an empty queue takes any allowed message."""
    async with running(Server(1, options=SMALL), Server(2)) as (one, two):
        await link(one, two)
        large = bytes(3 << 20)
        assert one.transport.send(2, large)
        assert not one.transport.send(2, b"no room")
        await until(lambda: two.messages == [(1, large)])


async def test_heartbeats_do_not_wait_behind_a_stuck_snapshot():
    """With the snapshot stream wholly stuck, every control message goes on arriving."""
    async with HandMadeServer(2) as peer, running(Server(1, options=SMALL)) as (one,):
        one.transport.add_peer(2, peer.addresses)
        await until(lambda: one.is_linked(2))
        peer.newest(Channel.SNAPSHOT).transport.pause_reading()
        await fill(lambda chunk: one.transport.send_bulk(2, chunk), bytes(256 << 10))
        control = peer.newest(Channel.CONTROL)
        for number in range(50):
            assert one.transport.send(2, b"heartbeat %d" % number)
            await until(lambda expected=number + 1: len(control.messages) == expected)
        assert one.transport.stats[2].bulk.dropped_queue_full == 1
        assert bulk_connection(one, 2).queued_bytes <= SMALL.bulk_queue_bytes


async def test_heartbeats_arrive_among_a_saturated_snapshot():
    """With the snapshot stream kept full between real transports, control messages overtake queued chunks."""
    async with running(Server(1, options=SMALL), Server(2)) as (one, two):
        await link(one, two)
        chunk = bytes(512 << 10)
        for number in range(30):
            while one.transport.send_bulk(2, chunk):
                pass
            queued = one.transport.stats[2].bulk.sent_messages
            assert one.transport.send(2, b"heartbeat %d" % number)
            await until(lambda expected=b"heartbeat %d" % number: (1, expected) in two.messages[-8:])
            assert one.transport.stats[2].bulk.sent_messages >= queued
        stats = one.transport.stats[2]
        await until(lambda: two.transport.stats[1].bulk.received_messages == stats.bulk.sent_messages)
        assert stats.control.sent_messages == 30


async def test_a_silent_peer_is_declared_dead_and_dialled_again():
    """A connection whose other side gives no sign of life is ended, told of, and made anew."""
    options = TransportOptions(
        ping_interval_ms=20, silent_pings=3, bulk_silent_pings=3, backoff_initial_ms=5, backoff_max_ms=20
    )
    async with HandMadeServer(2, pongs=False) as peer, running(Server(1, options=options)) as (one,):
        one.transport.add_peer(2, peer.addresses)
        await until(lambda: len(peer.connections) >= 6)
        assert one.unreachable
        assert one.transport.stats[2].control.losses >= 1


async def test_a_stuck_reader_is_declared_dead_too():
    """A peer that takes none of our bytes for long is dead, even though its kernel acknowledges probes."""
    options = TransportOptions(ping_interval_ms=20, silent_pings=3, write_buffer_bytes=1024)
    async with HandMadeServer(2) as peer, running(Server(1, options=options)) as (one,):
        one.transport.add_peer(2, peer.addresses)
        await until(lambda: one.is_linked(2))
        peer.newest(Channel.CONTROL).transport.pause_reading()
        await fill(lambda payload: one.transport.send(2, payload), bytes(100_000))
        await until(lambda: 2 in one.unreachable)


async def test_a_slow_reader_lives():
    """A peer that takes our bytes, though so slowly that we never get to ping it, is not declared dead."""
    options = TransportOptions(ping_interval_ms=50, silent_pings=5, write_buffer_bytes=1024)
    async with HandMadeServer(2) as peer, running(Server(1, options=options)) as (one,):
        one.transport.add_peer(2, peer.addresses)
        await until(lambda: one.is_linked(2))
        reader = peer.newest(Channel.CONTROL)
        reader.swallow = lambda data: None
        connection = control_connection(one, 2)
        reader.transport.pause_reading()
        await fill(lambda payload: one.transport.send(2, payload), bytes(100_000))
        loop = asyncio.get_running_loop()
        end = loop.time() + 15 * options.ping_interval_ms / 1000
        while loop.time() < end:
            reader.transport.resume_reading()
            await asyncio.sleep(0.001)
            reader.transport.pause_reading()
            await fill(lambda payload: one.transport.send(2, payload), bytes(100_000))
            await asyncio.sleep(0.02)
        assert control_connection(one, 2) is connection
        assert one.unreachable == []


async def test_taking_our_bytes_is_a_sign_of_life():
    """A reader that drains a full buffer counts as alive, without a pong."""
    options = TransportOptions(ping_interval_ms=5000, write_buffer_bytes=1024)
    async with HandMadeServer(2, pongs=False) as peer, running(Server(1, options=options)) as (one,):
        one.transport.add_peer(2, peer.addresses)
        await until(lambda: one.is_linked(2))
        reader = peer.newest(Channel.CONTROL)
        reader.transport.pause_reading()
        await fill(lambda payload: one.transport.send(2, payload), bytes(100_000))
        connection = control_connection(one, 2)
        connection._silent_intervals = 3
        reader.transport.resume_reading()
        await until(lambda: connection.queued_bytes == 0)
        assert connection._silent_intervals < 3


async def test_a_message_larger_than_an_interval_is_a_sign_of_life():
    """One large message that leaves bit by bit, never emptying the buffer, keeps the connection alive."""
    options = TransportOptions(ping_interval_ms=50, silent_pings=4, write_buffer_bytes=1024, max_message_bytes=40 << 20)
    async with HandMadeServer(2, pongs=False) as peer, running(Server(1, options=options)) as (one,):
        one.transport.add_peer(2, peer.addresses)
        await until(lambda: one.is_linked(2))
        connection = control_connection(one, 2)
        reader = peer.newest(Channel.CONTROL)
        reader.swallow = lambda data: reader.transport.pause_reading()
        assert one.transport.send(2, bytes(40 << 20))
        loop = asyncio.get_running_loop()
        end = loop.time() + 12 * options.ping_interval_ms / 1000
        while loop.time() < end:
            reader.transport.resume_reading()
            await asyncio.sleep(0.01)
        assert connection._transport.get_write_buffer_size() > 0
        assert control_connection(one, 2) is connection


async def test_the_round_trip_is_measured():
    """Pings give the round trip of each link."""
    options = TransportOptions(ping_interval_ms=10)
    async with running(Server(1, options=options), Server(2)) as (one, two):
        await link(one, two)
        await until(lambda: one.transport.stats[2].control.round_trip_s is not None)
        assert 0 <= one.transport.stats[2].control.round_trip_s < 10  # uvloop counts milliseconds


async def test_an_idle_incoming_connection_is_closed():
    """An incoming connection that says nothing for long frees its place."""
    options = TransportOptions(idle_timeout_ms=30)
    async with running(Server(1, options=options)) as (one,), dialled(one) as peer:
        await until(lambda: peer.theirs is not None)
        await peer.lost
        assert one.transport._acceptor._established == {}


async def test_a_pinging_incoming_connection_stays():
    """An incoming connection that only pings is kept."""
    options = TransportOptions(idle_timeout_ms=500)
    async with running(Server(1, options=options)) as (one,), dialled(one) as peer:
        for _ in range(25):
            peer.transport.write(encode_frame(PING, b"12345678"))
            await asyncio.sleep(0.03)
        assert not peer.lost.done()


async def test_unread_pongs_do_not_pile_up():
    """A peer that pings on and on without reading the answers gets no more of them."""
    async with running(Server(1)) as (one,), dialled(one) as peer:
        await until(lambda: peer.theirs is not None)
        peer.transport.pause_reading()
        [incoming] = one.transport._acceptor._established.values()
        incoming._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        peer.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        pings = encode_frame(PING, b"12345678") * 2000
        while not incoming._paused:
            peer.transport.write(pings)
            await until(lambda: peer.transport.get_write_buffer_size() == 0)
        for _ in range(10):
            peer.transport.write(pings)
            await until(lambda: peer.transport.get_write_buffer_size() == 0)
            # The loop's own high-water mark is 64 KiB; one pong may be what crosses it.
            assert incoming._transport.get_write_buffer_size() <= (64 << 10) + HEADER_BYTES + 8


async def test_half_open_connections_are_limited():
    """Connections without a hello: the oldest goes when there are too many, and a real peer still gets in."""
    options = TransportOptions(max_half_open=3)
    async with running(Server(1, options=options), Server(2)) as (one, two):
        loop = asyncio.get_running_loop()
        mute = [await loop.create_connection(asyncio.Protocol, *one.addresses[0]) for _ in range(10)]
        await until(lambda: one.transport.incoming_stats.half_open_evicted >= 7)
        two.transport.add_peer(1, one.addresses)
        await until(lambda: two.is_linked(1))
        assert len(one.transport._acceptor._half_open) <= 3
        for transport, _ in mute:
            transport.abort()


async def test_a_connection_without_a_hello_times_out():
    """A connection that never introduces itself is closed after the handshake timeout."""
    options = TransportOptions(handshake_timeout_ms=30)
    async with running(Server(1, options=options)) as (one,):
        lost = asyncio.get_running_loop().create_future()

        class Mute(asyncio.Protocol):
            def connection_lost(self, exc):
                lost.set_result(exc)

        await asyncio.get_running_loop().create_connection(Mute, *one.addresses[0])
        await lost
        assert one.transport.incoming_stats.handshake_timeouts == 1


async def test_a_peer_without_an_answer_times_out():
    """A server that accepts but never answers the hello is given up and tried again."""
    options = TransportOptions(handshake_timeout_ms=30, backoff_initial_ms=5)
    async with HandMadeServer(2, answers=False) as mute, running(Server(1, options=options)) as (one,):
        one.transport.add_peer(2, mute.addresses)
        await until(lambda: len(mute.connections) >= 4)
        assert one.transport.stats[2].control.connect_failures >= 1


async def test_incoming_connections_are_limited():
    """Beyond the limit a connection is turned away at once, and the ones before it stay."""
    options = TransportOptions(max_incoming=2)
    async with running(Server(1, options=options), Server(2)) as (one, two):
        two.transport.add_peer(1, one.addresses)
        await until(lambda: two.is_linked(1))
        async with dialled(one) as third:
            await third.lost
            assert third.theirs is None
        assert one.transport.incoming_stats.over_limit == 1
        assert two.is_linked(1)


async def test_the_newest_connection_of_a_peer_replaces_the_former():
    """A peer that dials again, its old connection forgotten, does not fill our table."""
    async with running(Server(1)) as (one,), dialled(one) as first:
        await until(lambda: first.theirs is not None)
        async with dialled(one) as second:
            await first.lost
            await until(lambda: second.theirs is not None)
            assert len(one.transport._acceptor._established) == 1


def test_backoff_doubles_to_a_bound_with_jitter():
    """Waits double up to the bound, each cut by up to half, by the randomness handed in; reset begins anew."""
    backoff = Backoff(0.1, 1.0, random.Random(1))
    waits = [backoff.next_s() for _ in range(50)]
    for wait, full in zip(waits, [0.1, 0.2, 0.4, 0.8] + [1.0] * 46, strict=True):
        assert full / 2 <= wait <= full
    assert len(set(waits)) == 50
    again = Backoff(0.1, 1.0, random.Random(1))
    assert waits == [again.next_s() for _ in range(50)]
    backoff.reset()
    assert backoff.next_s() <= 0.1


async def test_strangers_cannot_fill_the_log(caplog):
    """Lines that strangers provoke are limited, and the number held back is told."""
    now = [100.0]

    class Clock:
        def time(self):
            return now[0]

    valve = LogValve(Clock())
    for number in range(1000):
        valve.warning("stranger %d", number)
    assert len(caplog.records) == 20
    now[0] += 10
    valve.warning("one more")
    assert "980 warnings" in caplog.text
    assert "one more" in caplog.text
