"""Payloads between real transports over loopback, and what becomes of links."""

import asyncio
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.transport.servers import FAST, HandMadeServer, Server, link, running, until

from oarlock.transport import TransportOptions
from oarlock.transport.framing import HEADER_BYTES


async def test_payloads_arrive_in_order_on_both_channels():
    """What is sent arrives once, whole and in order: empty, small, and larger than any buffer on the way."""
    payloads = [b"", b"small", bytes(range(256)) * (3 << 12), b"after the large one"]
    async with running(Server(1), Server(2)) as (one, two):
        await link(one, two)
        for payload in payloads:
            assert one.transport.send(2, payload)
        await until(lambda: len(two.messages) == len(payloads))
        assert two.messages == [(1, payload) for payload in payloads]
        for payload in payloads:
            assert two.transport.send_bulk(1, payload)
        await until(lambda: len(one.messages) == len(payloads))
        assert one.messages == [(2, payload) for payload in payloads]


async def test_writes_of_one_turn_of_the_loop_leave_together():
    """A hundred messages sent in one turn become one write, hence one read at the peer."""
    async with HandMadeServer(2) as peer, running(Server(1)) as (one,):
        one.transport.add_peer(2, peer.addresses)
        await until(lambda: one.is_linked(2))
        connection = peer.connections[0]
        writes = []
        outgoing = one.transport._peers[2].control._connection
        write = outgoing._transport.write
        outgoing._transport = _Spy(outgoing._transport, lambda data: (writes.append(len(data)), write(data)))
        sent = [b"%d" % number for number in range(100)]
        assert all(one.transport.send(2, payload) for payload in sent)
        await until(lambda: len(connection.messages) == 100)
        assert connection.messages == sent
        assert writes == [sum(map(len, sent)) + 100 * HEADER_BYTES]


class _Spy:
    """A transport that tells of every write, and otherwise is the real one."""

    def __init__(self, transport, write):
        self.transport = transport
        self.write = write

    def __getattr__(self, name):
        return getattr(self.transport, name)


async def test_counters():
    """Sent and received messages and bytes, headers included, are counted by peer and channel."""
    async with running(Server(1), Server(2)) as (one, two):
        await link(one, two)
        one.transport.send(2, bytes(10))
        one.transport.send(2, bytes(20))
        one.transport.send_bulk(2, bytes(1000))
        await until(lambda: len(two.messages) == 3)
        sent, received = one.transport.stats[2], two.transport.stats[1]
        assert (sent.control.sent_messages, sent.control.sent_bytes) == (2, 30 + 2 * HEADER_BYTES)
        assert (sent.bulk.sent_messages, sent.bulk.sent_bytes) == (1, 1000 + HEADER_BYTES)
        assert sent.sent_bytes == received.received_bytes == 1030 + 3 * HEADER_BYTES
        assert (received.control.received_messages, received.bulk.received_messages) == (2, 1)
        assert (sent.control.connects, sent.control.losses) == (1, 0)
        assert sent.control.dropped_messages == 0


async def test_a_sender_that_becomes_a_peer_later_is_counted_from_then_on():
    """Messages of a stranger of the same cluster are delivered, and counted once it is a peer."""
    async with running(Server(1), Server(2)) as (one, two):
        one.transport.add_peer(2, two.addresses)
        await until(lambda: one.is_linked(2))
        one.transport.send(2, b"hello from a stranger")
        await until(lambda: len(two.messages) == 1)
        two.transport.add_peer(1, one.addresses)
        one.transport.send(2, b"hello from a peer")
        await until(lambda: len(two.messages) == 2)
        assert two.transport.stats[1].control.received_messages == 1


async def test_sending_without_a_link_drops():
    """Without a link, to an unknown server, and above the size limit, send says False and never raises."""
    options = TransportOptions(max_message_bytes=100)
    async with HandMadeServer(2) as peer, running(Server(1, options=options)) as (one,):
        assert not one.transport.send(2, b"nobody")
        assert not one.transport.send_bulk(2, b"nobody")
        one.transport.add_peer(2, peer.addresses)
        stats = one.transport.stats[2]
        assert not one.transport.send(2, b"too early")
        assert stats.control.dropped_disconnected == 1
        await until(lambda: one.is_linked(2))
        assert not one.transport.send(2, bytes(101))
        assert stats.control.dropped_too_large == 1
        assert one.transport.send(2, bytes(100))


async def test_a_restarted_peer_is_found_again():
    """A peer that stops and comes back is reconnected; on_unreachable told of the loss; messages flow again."""
    async with running(Server(1), Server(2)) as (one, two):
        await link(one, two)
        [(_host, port)] = two.addresses
        await two.transport.close()
        await until(lambda: one.unreachable == [2, 2] and not one.transport.is_connected(2))
        assert not one.transport.send(2, b"while away")
        async with running(Server(2), port=port) as (again,):
            await until(lambda: one.is_linked(2))
            assert one.transport.send(2, b"welcome back")
            await until(lambda: again.messages == [(1, b"welcome back")])
        stats = one.transport.stats[2].control
        assert (stats.connects, stats.losses) == (2, 1)


async def test_a_peer_that_comes_back_is_dialled_at_once():
    """A server that hears from a restarted peer stops waiting out its backoff."""
    patient = TransportOptions(backoff_initial_ms=3_600_000, backoff_max_ms=3_600_000)
    async with running(Server(1, options=patient), Server(2)) as (one, two):
        await link(one, two)
        [(_, port)] = two.addresses
        await two.transport.close()
        await until(lambda: one.unreachable == [2, 2])
        async with running(Server(2), port=port) as (again,):
            again.transport.add_peer(1, one.addresses)
            await until(lambda: one.is_linked(2))


async def test_an_attempt_that_hangs_ends_when_the_peer_introduces_itself():
    """Who dialled a machine that was not there dials anew, or elsewhere, as soon as it hears from the server."""
    patient = TransportOptions(connect_timeout_ms=3_600_000, backoff_initial_ms=3_600_000, backoff_max_ms=3_600_000)
    with silent_address() as silent:
        async with running(Server(1, options=patient), Server(2)) as (one, two):
            one.transport.add_peer(2, [silent, *two.addresses])
            two.transport.add_peer(1, one.addresses)
            await until(lambda: one.is_linked(2) and two.is_linked(1))


@contextmanager
def silent_address() -> Iterator[tuple[str, int]]:
    """An address where connections are neither made nor refused: its queue of those not yet accepted is full."""
    with socket.socket() as listener, socket.socket() as first:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        first.connect(listener.getsockname())
        yield listener.getsockname()


async def test_a_connection_to_an_earlier_life_is_dropped():
    """A peer that introduces itself with a new boot epoch is dialled anew, though the old connection looks alive."""
    async with HandMadeServer(2) as before, running(Server(1), Server(2, epoch=5)) as (one, two):
        one.transport.add_peer(2, before.addresses)
        await until(lambda: one.is_linked(2))
        two.transport.add_peer(1, one.addresses)
        await until(lambda: len(one.unreachable) >= 2 and len(before.connections) >= 4)


async def test_no_unreachable_for_a_removed_peer_or_at_the_end():
    """Removing a peer and closing lose links on purpose, so nobody is told."""
    async with HandMadeServer(2) as two, HandMadeServer(3) as three, running(Server(1)) as (one,):
        one.transport.add_peer(2, two.addresses)
        one.transport.add_peer(3, three.addresses)
        await until(lambda: one.is_linked(2) and one.is_linked(3))
        one.transport.remove_peer(2)
        one.transport.remove_peer(77)
        assert not one.transport.send(2, b"removed")
        for peer in two.connections:
            await peer.lost
        await one.transport.close()
        for peer in three.connections:
            await peer.lost
        assert one.unreachable == []


async def test_queued_messages_leave_before_the_end():
    """What was sent just before close, such as a transfer of leadership, still arrives."""
    async with HandMadeServer(2) as two, running(Server(1)) as (one,):
        one.transport.add_peer(2, two.addresses)
        await until(lambda: one.is_linked(2))
        assert one.transport.send(2, b"take over")
        await one.transport.close()
        assert two.connections[0].messages == [b"take over"]


async def test_a_message_still_queued_when_the_link_is_lost_is_counted():
    """Messages taken but not written before a loss are counted as dropped."""
    async with HandMadeServer(2) as peer, running(Server(1)) as (one,):
        one.transport.add_peer(2, peer.addresses)
        await until(lambda: one.is_linked(2))
        connection = one.transport._peers[2].control._connection
        one.transport.send(2, b"never written")
        connection.fail("the test says so")
        await until(lambda: one.unreachable == [2])
        assert one.transport.stats[2].control.dropped_lost == 1


async def test_addresses_may_change():
    """New addresses: a link to one that is not listed any more moves, one that still is stays."""
    async with HandMadeServer(2) as old, HandMadeServer(2) as new, running(Server(1)) as (one,):
        one.transport.add_peer(2, old.addresses)
        await until(lambda: one.is_linked(2))
        one.transport.add_peer(2, old.addresses + new.addresses)
        assert one.transport.send(2, b"to the old")
        await until(lambda: old.connections[0].messages == [b"to the old"])
        one.transport.add_peer(2, new.addresses)
        await until(lambda: len(new.connections) == 2 and one.is_linked(2))
        assert one.transport.send(2, b"to the new")
        await until(lambda: new.connections[0].messages + new.connections[1].messages == [b"to the new"])
        assert one.unreachable == [2, 2]


async def test_every_address_is_tried():
    """Of several addresses the one that answers is found, wherever it stands in the list."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        async with HandMadeServer(2) as peer, running(Server(1)) as (one,):
            one.transport.add_peer(2, [unused.getsockname(), *peer.addresses])
            await until(lambda: one.is_linked(2))
            assert one.transport.stats[2].control.connect_failures == 1


@pytest.mark.asyncio(loop_factories=["asyncio"])  # uvloop resolves in C, beyond the reach of a test
async def test_names_are_resolved_at_every_attempt(monkeypatch):
    """A host name whose address changes is followed: each attempt asks again."""
    answers = ["127.0.0.2"]
    real = socket.getaddrinfo

    def resolve(host, *args, **kwargs):
        return real(answers[0] if host == "peer.test" else host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    async with HandMadeServer(2) as peer, running(Server(1)) as (one,):
        one.transport.add_peer(2, [("peer.test", peer.addresses[0][1])])
        await until(lambda: one.transport.stats[2].control.connect_failures > 0)
        answers[0] = "127.0.0.1"
        await until(lambda: one.is_linked(2))


@pytest.mark.parametrize("host", ["no.such.host.invalid", "a" * 80 + ".invalid", ".invalid"])
async def test_a_host_name_that_cannot_be_resolved_is_a_failed_attempt(host, caplog):
    """A name without an address, or that cannot be a name, is logged and tried again, nothing more."""
    async with HandMadeServer(2) as peer, running(Server(1)) as (one,):
        one.transport.add_peer(2, [(host, 7), *peer.addresses])
        await until(lambda: one.is_linked(2))
    assert f"not established at {host}:7" in caplog.text


async def test_a_repeated_failure_is_logged_once(caplog):
    """An absent peer does not fill the log: the same failure is a warning only the first time."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        async with running(Server(1)) as (one,):
            one.transport.add_peer(2, [unused.getsockname()])
            await until(lambda: one.transport.stats[2].control.connect_failures >= 5)
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 2  # one for each channel


@pytest.mark.parametrize(
    ("server_id", "address"),
    [(1, ("127.0.0.1", 1)), (0, ("127.0.0.1", 1)), (2, ("", 1)), (2, ("127.0.0.1", 0)), (2, ("x", 65536))],
)
async def test_an_impossible_peer_is_refused(server_id, address):
    """Our own id, id 0 and an impossible address are errors of the caller, found before anything is dialled."""
    async with running(Server(1)) as (one,):
        with pytest.raises(ValueError, match=rf"server {server_id} cannot be"):
            one.transport.add_peer(server_id, [address])


async def test_a_port_in_use_is_reported():
    """A listening address that is taken raises an error that names it, and leaves nothing bound."""
    async with HandMadeServer(2) as other, running(Server(1)) as (one,):
        await one.transport.close()
        with pytest.raises(OSError, match=r"127\.0\.0\.1"):
            await one.transport.start([("127.0.0.1", 0), *other.addresses])
        assert one.addresses == []


async def test_a_failing_on_unreachable_does_not_end_the_link(caplog):
    """An error in the runtime's on_unreachable is logged, and the link reconnects all the same."""
    async with HandMadeServer(2) as peer, running(Server(1)) as (one,):
        one.transport._on_unreachable = one.unreachable.remove  # raises ValueError
        one.transport.add_peer(2, peer.addresses)
        await until(lambda: one.is_linked(2))
        for connection in list(peer.connections):
            connection.transport.abort()
        await until(lambda: one.transport.stats[2].control.connects == 2 and one.is_linked(2))
    assert "on_unreachable failed" in caplog.text


async def test_close_while_attempts_are_under_way():
    """Closing is clean at any moment: while connecting, while waiting for a hello, while backing off."""
    async with HandMadeServer(2, answers=False) as mute, running(Server(1)) as (one,):
        one.transport.add_peer(2, mute.addresses)
        await until(lambda: len(mute.connections) == 2)
        one.transport.add_peer(3, [("127.0.0.1", 1)])
        one.transport.add_peer(4, mute.addresses)
        await one.transport.close()
        one.transport.add_peer(5, mute.addresses)
        assert one.transport.stats == {}
        assert asyncio.all_tasks() == {asyncio.current_task()}


def test_options_are_validated():
    """A limit below 1, or a message size beyond the format, is refused by name."""
    with pytest.raises(ValueError, match="queue_bytes must be at least 1, not 0"):
        TransportOptions(queue_bytes=0)
    with pytest.raises(ValueError, match="max_message_bytes must be at most"):
        TransportOptions(max_message_bytes=1 << 28)
    assert FAST.backoff_max_ms == 20
