"""A server that cannot go on ends, says why, and harms neither the others nor the program it lives in."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.support.faulty_disk import FaultyDisk
from tests.support.ports import free_ports
from tests.support.replicated import Register

import oarlock
from oarlock.replica.settings import Environment
from oarlock.storage.errors import DirectoryLocked
from oarlock.testing.clusters import SETTINGS, cluster, eventually


class Hungry(Register):
    """Runs out of memory where it is told to."""

    is_out_of_memory = False

    @oarlock.replicated
    def add(self, amount: int = 1) -> int:
        if self.is_out_of_memory:
            raise MemoryError
        self.value = (self.value or 0) + amount
        return self.value


async def test_a_failing_disk_ends_its_server_alone(tmp_path: Path) -> None:
    """A write that fails ends the server: its callers get `Stopped`, `on_end` the reason; the others go on."""
    ends: list[BaseException] = []
    disk = FaultyDisk()
    async with cluster(3, objects=lambda: [Register()], directory=tmp_path) as servers:
        leader = await servers.leader()
        await servers.restart(leader, environment=Environment(disk=disk), on_end=ends.append)
        await servers.nodes[leader].ready()
        disk.fail_sync = True
        with pytest.raises(oarlock.Stopped):
            await asyncio.gather(*(servers.objects(leader)[0].add(1) for _ in range(100)))
        await eventually(lambda: ends, "it says why")
        assert servers.nodes[leader].ended is ends[0]
        others = {0, 1, 2} - {leader}
        assert await servers.objects(await servers.leader(others))[0].add(1) >= 1


async def test_want_of_memory_is_not_the_outcome_of_a_command(tmp_path: Path) -> None:
    """It says nothing about the other servers, so it is no answer: the server ends, and they carry the command out."""
    ends: list[BaseException] = []
    async with cluster(3, objects=lambda: [Hungry()], directory=tmp_path) as servers:
        leader, follower = await servers.leader(), await servers.follower()
        await servers.restart(follower, on_end=ends.append)
        await servers.nodes[follower].ready()
        servers.objects(follower)[0].is_out_of_memory = True
        assert await servers.objects(leader)[0].add(1) == 1
        await eventually(lambda: ends, "it ends")
        assert isinstance(ends[0], MemoryError)
        assert await servers.objects(leader)[0].add(1) == 2


async def test_a_start_that_fails_or_is_cancelled_leaves_nothing_behind(tmp_path: Path) -> None:
    """No thread, no lock, no port: another node can start in its place."""
    address = f"127.0.0.1:{free_ports(1)[0]}"
    arguments: dict[str, Any] = {"data_dir": tmp_path, "peers": [address], "settings": SETTINGS}
    starting = asyncio.ensure_future(oarlock.Node(address, objects=[Register()], **arguments).start())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    register = Register()
    async with oarlock.Node(address, objects=[register], **arguments):
        assert await register.add(1) == 1
        with pytest.raises(DirectoryLocked):
            await oarlock.Node(address, objects=[Register()], **arguments).start()
        assert await register.add(1) == 2
    await eventually(lambda: not _threads("oarlock-raft"), "its thread has ended")


def _threads(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == name]


async def test_whoever_waits_when_a_node_stops_is_told(tmp_path: Path) -> None:
    """Commands and reads under way end with `Stopped`, or with their outcome; none waits for ever."""
    async with cluster(3, objects=lambda: [Register()], directory=tmp_path) as servers:
        follower = await servers.follower()
        [register] = servers.objects(follower)
        await register.add(1)
        calls = [register.add(1) for _ in range(50)]
        reads = [asyncio.ensure_future(register.read("get")) for _ in range(50)]
        node = servers.nodes[follower]
        await servers.stop(follower)
        outcomes = await asyncio.wait_for(asyncio.gather(*calls, *reads, return_exceptions=True), 5)
        assert all(isinstance(outcome, int | oarlock.Stopped) for outcome in outcomes), outcomes
        with pytest.raises(oarlock.Stopped):
            await register.add(1)
        await node.stop()  # may be repeated


async def test_an_object_without_a_usable_snapshot_is_refused_at_the_start(tmp_path: Path) -> None:
    """Before anything is replicated: later it would stop every server at once."""

    class Sets(Register):
        def snapshot(self) -> object:
            return {1, 2}

    class Nothing(oarlock.ReplicatedObject):
        @oarlock.replicated
        def do(self) -> None: ...

    address = f"127.0.0.1:{free_ports(1)[0]}"
    for made, error, text in (
        (Sets(), oarlock.NotEncodable, "the snapshot of register is of type set"),
        (Nothing("nothing"), NotImplementedError, "Nothing must say"),
    ):
        node = oarlock.Node(address, data_dir=tmp_path, peers=[address], objects=[made], settings=SETTINGS)
        with pytest.raises(error, match=text):
            await node.start()
        await node.stop()
