"""The transport without a network keeps the same promises."""

import asyncio

import pytest
from tests.transport.servers import until

from oarlock.transport import InProcessNetwork, Transport, TransportOptions


class Server:
    def __init__(self, network, server_id):
        self.messages = []
        self.unreachable = []
        self.transport = network.transport(
            server_id, lambda source, payload: self.messages.append((source, payload)), self.unreachable.append
        )


async def started(network, *server_ids):
    servers = [Server(network, server_id) for server_id in server_ids]
    for server in servers:
        await server.transport.start([("ignored", 0)])
        for other in server_ids:
            if other != server.transport.server_id:
                server.transport.add_peer(other, [])
    return servers


async def turns(count=5):
    for _ in range(count):
        await asyncio.sleep(0)


async def test_payloads_arrive_in_order_later():
    """Messages arrive in order, and never inside send: a handler that answers cannot recurse."""
    one, two = await started(InProcessNetwork(asyncio.get_running_loop()), 1, 2)
    transport: Transport = one.transport
    assert transport.send(2, b"a")
    assert transport.send_bulk(2, b"b")
    assert transport.send(2, b"c")
    assert two.messages == []
    await until(lambda: len(two.messages) == 3)
    assert [payload for _, payload in two.messages if payload != b"b"] == [b"a", b"c"]
    assert two.transport.stats[1].control.received_messages == 2
    assert one.transport.stats[2].bulk.sent_bytes == 1


async def test_sending_drops_as_over_tcp():
    """Unknown, not started, too large, too many: False, counted by cause."""
    options = TransportOptions(queue_messages=3, max_message_bytes=10, bulk_queue_bytes=10)
    network = InProcessNetwork(asyncio.get_running_loop(), options=options)
    one, two = await started(network, 1, 2)
    stats = one.transport.stats[2]
    assert not one.transport.send(7, b"unknown")
    assert not one.transport.send(2, bytes(11))
    assert [one.transport.send(2, b"x") for _ in range(5)] == [True, True, True, False, False]
    assert [one.transport.send_bulk(2, bytes(6)) for _ in range(2)] == [True, False]
    await turns()
    assert len(two.messages) == 4
    assert one.transport.send(2, b"room again")
    await two.transport.close()
    assert not one.transport.send(2, b"gone")
    control = stats.control
    assert (control.dropped_too_large, control.dropped_queue_full, control.dropped_disconnected) == (1, 2, 1)
    assert stats.bulk.dropped_queue_full == 1


async def test_cut_and_mend():
    """A link cut one way loses what is under way and tells the sender; the other way works; mending restores it."""
    network = InProcessNetwork(asyncio.get_running_loop())
    one, two = await started(network, 1, 2)
    one.transport.send(2, b"under way")
    network.cut(1, 2)
    network.cut(1, 2)
    assert not one.transport.is_connected(2)
    assert two.transport.send(1, b"other way")
    await until(lambda: one.messages == [(2, b"other way")])
    assert two.messages == []
    assert one.unreachable == [2]
    assert two.unreachable == []
    network.mend(1, 2)
    assert one.transport.send(2, b"again")
    await until(lambda: two.messages == [(1, b"again")])


async def test_a_server_that_leaves_is_unreachable_until_it_returns():
    """Closing tells the others, never the closed; a successor under the same id is reached."""
    network = InProcessNetwork(asyncio.get_running_loop())
    one, two = await started(network, 1, 2)
    two.transport.send(1, b"lost with its sender")
    await two.transport.close()
    await two.transport.close()
    await turns()
    assert one.unreachable == [2]
    assert one.messages == []
    again = Server(network, 2)
    await again.transport.start()
    assert one.transport.send(2, b"welcome")
    await until(lambda: again.messages == [(1, b"welcome")])
    assert two.messages == []
    await one.transport.close()
    await turns()
    assert one.unreachable == [2]


async def test_one_id_joins_once():
    """Two servers of one id cannot be in one network; our own id and 0 cannot be peers."""
    network = InProcessNetwork(asyncio.get_running_loop())
    [one] = await started(network, 1)
    with pytest.raises(ValueError, match="server 1 has already joined"):
        await Server(network, 1).transport.start()
    for impossible in (0, 1):
        with pytest.raises(ValueError, match="cannot be a peer"):
            one.transport.add_peer(impossible)


async def test_a_failing_handler_does_not_reach_the_sender():
    """A receiver that raises is reported to the loop; later messages are still delivered."""
    loop = asyncio.get_running_loop()
    network = InProcessNetwork(loop)
    one, two = await started(network, 1, 2)
    reports = []
    loop.set_exception_handler(lambda _, context: reports.append(context))
    one.transport._on_message = one.unreachable.remove  # takes one argument: TypeError
    two.transport.send(1, b"poison")
    one.transport.send(2, b"fine")
    await until(lambda: two.messages == [(1, b"fine")] and bool(reports))
    assert "could not handle" in reports[0]["message"]


async def test_a_removed_peer_gets_nothing_more():
    """Removing a peer drops what is under way to it, without a call of on_unreachable."""
    one, two = await started(InProcessNetwork(asyncio.get_running_loop()), 1, 2)
    one.transport.send(2, b"under way")
    one.transport.remove_peer(2)
    await turns()
    assert two.messages == []
    assert one.unreachable == []
    assert 2 not in one.transport.stats
