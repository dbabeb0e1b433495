"""Commands of objects and machines: carried out everywhere, answered wherever they were called."""

import asyncio
import datetime as dt
import logging
from pathlib import Path

import pytest
from tests.support.replicated import Journal, OutOfStock, Register, Unregistered

import oarlock
from oarlock.testing.clusters import cluster, eventually


async def test_every_server_takes_commands_and_has_a_copy() -> None:
    """A command called on any server is carried out on all, and answered with what its method returned."""
    async with cluster(3, objects=lambda: [Register()]) as servers:
        for number in range(3):
            [register] = servers.objects(number)
            assert await register.add(number + 1) == [1, 3, 6][number]
        for number in range(3):
            assert await servers.objects(number)[0].read("get") == 6


async def test_a_body_calls_other_commands_in_place() -> None:
    """Called from within a command a command is carried out at once, as part of it."""
    async with cluster(1, objects=lambda: [Register()]) as servers:
        [register] = servers.objects(0)
        assert await register.add_twice(2) == 4


async def test_time_and_chance_are_alike_on_all_servers() -> None:
    """`now_ms` and `random` come from the entry, so what they lead to is the same everywhere; outside they are refused."""
    async with cluster(3, objects=lambda: [Register()]) as servers:
        [first] = servers.objects(0)
        answers = [await first.set(await first.when()) and await first.when() for _ in range(3)]
        times = [answer[0] for answer in answers[1:]]
        assert times == sorted(times)
        images = [await servers.objects(number)[0].read("snapshot") for number in range(3)]
        assert images[0] == images[1] == images[2]
        with pytest.raises(RuntimeError, match="for the code of commands"):
            first.now_ms  # noqa: B018


@pytest.mark.parametrize(
    ("kind", "error", "text"),
    [
        ("key", KeyError, "missing"),
        ("own", OutOfStock, "apples"),
        ("unregistered", Unregistered, "nobody"),
        ("stop", oarlock.CommandFailed, "StopIteration: over"),
    ],
)
async def test_what_a_command_raises_is_the_callers_alone(kind: str, error: type[Exception], text: str) -> None:
    """The call fails with the exception that the body raised, on whichever server it was called; nothing stops.

    What the body had changed before stays changed, alike on all servers.
    """
    async with cluster(3, objects=lambda: [Register()]) as servers:
        for number in range(3):
            with pytest.raises(error, match=text):
                await servers.objects(number)[0].fail(kind)
        assert await servers.objects(0)[0].add(1) == 1
        for number in range(3):
            assert await servers.objects(number)[0].read(lambda at=number: servers.objects(at)[0].history) == [kind] * 3


async def test_what_cannot_be_replicated_is_refused_at_the_call() -> None:
    """The error names the argument, the place in it and the type; nothing is proposed."""
    async with cluster(1, objects=lambda: [Register()]) as servers:
        [register] = servers.objects(0)
        with pytest.raises(oarlock.NotEncodable, match=r"argument 1 of register\.set is of type datetime\.date"):
            register.set(dt.date(2026, 1, 1))
        with pytest.raises(TypeError, match=r"argument 1 of register\.set\['a'\]\[1\] is of type set"):
            register.set({"a": [1, {2}]})
        with pytest.raises(TypeError, match=r"argument note of register\.set is of type object"):
            register.set(1, note=object())
        with pytest.raises(TypeError, match=r"register\.add: too many positional arguments"):
            register.add(1, 2)
        with pytest.raises(oarlock.NotEncodable, match=r"register\.set cannot be encoded"):
            register.set(1 << 70)
        assert await register.read("get") is None


async def test_results_are_not_part_of_the_state() -> None:
    """A caller who changes the list that it was given changes no replica."""
    async with cluster(1, objects=lambda: [Register()]) as servers:
        [register] = servers.objects(0)
        await register.set(1)
        shared = await register.share()
        shared.append("mine")
        assert await register.share() == [1]


async def test_a_cancelled_caller_leaves_the_command_alone() -> None:
    """Whoever stops waiting for a command changes nothing about it."""
    async with cluster(3, objects=lambda: [Register()]) as servers:
        [register] = servers.objects(0)
        await register.add(1)
        future = register.add(1)
        future.cancel()
        with pytest.raises(asyncio.CancelledError):
            await future
        await eventually(lambda: register.get() == 2, "the command is carried out")


async def test_commands_that_cannot_be_committed_say_that_the_outcome_is_unknown() -> None:
    """Cut off from the others a leader's command times out, and the error says that it may still be carried out."""
    async with cluster(3, objects=lambda: [Register()]) as servers:
        leader = await servers.leader()
        [register] = servers.objects(leader)
        await register.add(1)
        servers.part({leader}, {0, 1, 2} - {leader})
        with oarlock.deadline(0.2), pytest.raises(oarlock.Timeout) as caught:
            await register.add(1)
        assert caught.value.outcome_unknown
        assert isinstance(caught.value, TimeoutError)
        servers.heal()
        await servers.leader()
        assert await register.add(0) in (1, 2)


async def test_a_slow_command_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    """The log names the command and the time that it took."""
    with caplog.at_level(logging.WARNING, "oarlock.replica"):
        async with cluster(1, objects=lambda: [Register()], slow_command_ms=20) as servers:
            await servers.objects(0)[0].block(0.05)
    assert any("register.block took" in record.getMessage() for record in caplog.records)


async def test_a_machine_of_ones_own(tmp_path: Path) -> None:
    """`propose` gives what `apply` returned, or raises what it raised; a restarted server has the state again."""
    async with cluster(3, machine=Journal, directory=tmp_path) as servers:
        assert await servers.nodes[1].propose({"a": 1}) == [1, 1]
        with pytest.raises(LookupError, match="told to"):
            await servers.nodes[0].propose("fail")
        assert await servers.nodes[2].propose((2, "b")) == [2, 1]
        await servers.restart(2)
        await servers.nodes[2].ready()
        assert await servers.nodes[2].propose(3) == [3, 1]


async def test_the_state_survives_a_stop_of_all_servers(tmp_path: Path) -> None:
    """What was answered is there after all servers were stopped and started, by snapshot and log."""
    async with cluster(
        3, objects=lambda: [Register()], directory=tmp_path, snapshot_count=5, snapshot_tail=2
    ) as servers:
        [register] = servers.objects(0)
        for _ in range(10):
            await asyncio.gather(*(register.add(1) for _ in range(30)))
        before = await register.read("snapshot")
        for number in range(3):
            await servers.stop(number)
        for number in range(3):
            await servers.start(number)
        for number in range(3):
            assert await servers.objects(number)[0].read("snapshot") == before


async def test_a_server_that_was_away_comes_back_by_snapshot(tmp_path: Path) -> None:
    """A follower whose log was cut off meanwhile takes over the others' state, and goes on."""
    async with cluster(
        3, objects=lambda: [Register()], directory=tmp_path, snapshot_count=5, snapshot_tail=2
    ) as servers:
        follower = await servers.follower()
        await servers.stop(follower)
        [register] = servers.objects(await servers.leader())
        for _ in range(20):
            await asyncio.gather(*(register.add(1) for _ in range(20)))
        leader = servers.nodes[await servers.leader()]
        await eventually(lambda: leader.status().first_index > 12, "the log is cut")
        await servers.start(follower)
        assert await servers.objects(follower)[0].read("get") == 400
        assert await servers.objects(follower)[0].add(1) == 401


def test_objects_say_what_is_wrong_with_them() -> None:
    """Names, nodes and method bodies that cannot work are refused where they are given."""
    with pytest.raises(ValueError, match="text of 1 to 255"):
        Register("")
    with pytest.raises(RuntimeError, match="belongs to no node"):
        Register().add(1)
    with pytest.raises(ValueError, match="two objects have one name"):
        oarlock.Node("h:1", data_dir="x", peers=[], objects=[Register("a"), Register("a")])
    with pytest.raises(TypeError, match="must be a plain function"):

        class Wrong(oarlock.ReplicatedObject):
            @oarlock.replicated
            async def later(self) -> None: ...
