"""Sessions: once each, whatever was sent how often to whom (dissertation 6.3)."""

import asyncio
from pathlib import Path

import pytest
from tests.support.replicated import OutOfStock, Register

import oarlock
from oarlock.replica.sessions import MAX_REPLIES, Sessions
from oarlock.testing.clusters import cluster


async def test_a_serial_is_carried_out_once_across_servers_restarts_and_snapshots(tmp_path: Path) -> None:
    """The same serial sent to another server, after an election and after a snapshot gives the first reply."""
    settings = {"snapshot_count": 30, "snapshot_tail": 2}
    async with cluster(3, objects=lambda: [Register()], directory=tmp_path, **settings) as servers:
        leader = await servers.leader()
        session = await servers.nodes[leader].open_session()
        assert await session.call(servers.objects(leader)[0].add, 5, serial=1) == 5
        for number in range(3):
            again = servers.nodes[number].session(session.id)
            assert await again.call(servers.objects(number)[0].add, 5, serial=1) == 5
        for _ in range(50):
            await asyncio.gather(*(servers.objects(leader)[0].add(1) for _ in range(2)))
        for number in range(3):
            await servers.restart(number)
        for number in range(3):
            again = servers.nodes[number].session(session.id)
            assert await again.call(servers.objects(number)[0].add, 5, serial=1) == 5
        assert await again.call(servers.objects(2)[0].add, 5, serial=2) == 110


async def test_a_failed_command_fails_alike_when_it_is_sent_again() -> None:
    """Errors are replies too: of the same type if the class is known, `CommandFailed` with its name and text if not."""
    async with cluster(1, objects=lambda: [Register()]) as servers:
        [register] = servers.objects(0)
        session = await servers.nodes[0].open_session()
        for _ in range(2):
            with pytest.raises(KeyError, match="missing"):
                await session.call(register.fail, "key", serial=1)
            with pytest.raises(OutOfStock) as caught:
                await session.call(register.fail, "own", serial=2, acknowledged=1)
            assert caught.value.args == ("apples", 3)
            with pytest.raises(oarlock.CommandFailed, match=r"Unregistered: nobody knows me"):
                await session.call(register.fail, "unregistered", serial=3, acknowledged=1)
            with pytest.raises(oarlock.NotEncodable, match=r"what register\.give returned is of type module"):
                await session.call(register.give, serial=4, acknowledged=1)
        assert register.history == ["key", "own", "unregistered"]


async def test_an_acknowledged_reply_is_given_up() -> None:
    """A client that works through its serials one by one keeps one reply; what it acknowledged is refused, not redone."""
    async with cluster(1, objects=lambda: [Register()]) as servers:
        [register] = servers.objects(0)
        session = await servers.nodes[0].open_session()
        for serial in range(1, 5):
            assert await session.call(register.add, 1, serial=serial) == serial
        with pytest.raises(oarlock.SerialForgotten, match="serial 2 was acknowledged"):
            await session.call(register.add, 1, serial=2)
        assert await session.call(register.add, 1) == 5  # counted by the session itself
        assert register.get() == 5


async def test_a_closed_or_unknown_session_is_refused() -> None:
    """Nothing is carried out under a session that is not there."""
    async with cluster(1, objects=lambda: [Register()]) as servers:
        [register] = servers.objects(0)
        session = await servers.nodes[0].open_session()
        await session.close()
        for key in (session.id, "1-none"):
            with pytest.raises(oarlock.SessionExpired, match="not known"):
                await servers.nodes[0].session(key).call(register.add, 1, serial=1)
        assert register.get() is None


def test_sessions_expire_by_machine_time_and_are_bounded() -> None:
    """An idle session is forgotten when its time is over; a new one takes its place only then; replies are bounded."""
    sessions = Sessions()
    first = sessions.open(1, 1000, "a", 500, 2)
    second = sessions.open(2, 1000, "b", 5000, 2)
    with pytest.raises(oarlock.TooManySessions, match="2 sessions are open"):
        sessions.open(3, 1500, "c", 500, 2)
    assert sessions.call(1500, first, 1, 1, lambda: b"done") == b"done"
    assert sessions.call(2000, first, 1, 1, lambda: b"again") == b"done"
    with pytest.raises(oarlock.SessionExpired):
        sessions.call(2501, first, 1, 1, lambda: b"again")
    third = sessions.open(4, 2600, "c", 500, 2)
    for serial in range(1, MAX_REPLIES + 1):
        sessions.call(2600, third, serial, 1, lambda: b"")
    with pytest.raises(oarlock.Overloaded, match="not acknowledged"):
        sessions.call(2600, third, MAX_REPLIES + 1, 1, lambda: b"")
    copy = Sessions()
    copy.load(sessions.dump())
    assert copy.dump() == sessions.dump()
    assert copy.call(2600, second, 1, 1, lambda: b"x") == b"x"
