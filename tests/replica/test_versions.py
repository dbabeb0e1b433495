"""Upgrades one server at a time: a newer version of a command counts once all servers understand it."""

from pathlib import Path
from typing import Any

import pytest
from tests.support.replicated import Journal, Register

import oarlock
from oarlock.replica.versions import Versions
from oarlock.testing.clusters import cluster, eventually


class Basket1(oarlock.ReplicatedObject):
    """The old program."""

    def __init__(self) -> None:
        super().__init__("basket")
        self.items: list[Any] = []

    @oarlock.replicated
    def put(self, item: str) -> str:
        self.items.append(item)
        return "old"

    def snapshot(self) -> object:
        return self.items

    def restore(self, image: Any) -> None:
        self.items = image


class Basket2(Basket1):
    """The new one: `put` takes an amount, and there is a new method."""

    @oarlock.replicated
    def put(self, item: str) -> str:
        self.items.append(item)
        return "old"

    @put.version(2)
    def put_2(self, item: str, amount: int = 1) -> str:
        self.items.append([item, amount])
        return "new"

    @oarlock.replicated(version=2)
    def empty(self) -> int:
        self.put("last")
        return len(self.items)


async def test_a_newer_version_counts_once_all_understand_it(tmp_path: Path) -> None:
    """Until then commands are proposed in the older version, and what that lacks is refused with the server's name.

    After the last server was restarted with the new program all of them switch at one index, without being asked.
    """
    async with cluster(3, objects=lambda: [Basket1()], directory=tmp_path) as servers:
        assert await servers.objects(0)[0].put("a") == "old"
        for number in (0, 1):
            await servers.restart(number, objects=[Basket2()])
        await servers.nodes[0].ready()
        [new] = servers.objects(0)
        assert await new.put("b") == "old"
        with pytest.raises(oarlock.NotUnderstood, match="version 2 of basket is not understood") as caught:
            await new.put("c", amount=2)
        assert servers.address(2) in caught.value.servers
        with pytest.raises(oarlock.NotUnderstood):
            await new.empty()
        assert await servers.objects(2)[0].put("d") == "old"

        await servers.restart(2, objects=[Basket2()])
        await eventually(lambda: servers.nodes[0].version_in_force("basket") == 2, "version 2 is in force")
        assert await new.put("e", amount=2) == "new"
        assert await new.empty() == 5
        expected = ["a", "b", "d", ["e", 2], ["last", 1]]
        for number in range(3):
            [basket] = servers.objects(number)
            assert await basket.read(lambda held=basket: held.items) == expected


async def test_an_older_program_does_not_start_once_a_newer_version_is_in_force(tmp_path: Path) -> None:
    """It would have to guess; it ends, and says which version it lacks."""
    ends: list[BaseException] = []
    async with cluster(1, objects=lambda: [Basket2()], directory=tmp_path) as servers:
        await eventually(lambda: servers.nodes[0].version_in_force("basket") == 2, "version 2 is in force")
        assert await servers.objects(0)[0].put("a", amount=2) == "new"
        await servers.restart(0, objects=[Basket1()], on_end=ends.append)
        await eventually(lambda: ends, "it ends")
        assert "version 2 of basket is in force; this program knows 1" in str(ends[0])


async def test_an_older_program_is_not_let_in_once_a_newer_version_is_in_force() -> None:
    """It is refused at the door, with what it lacks, and the cluster has no learner of it; a newer one joins."""
    async with cluster(1, objects=lambda: [Basket2()]) as servers:
        await eventually(lambda: servers.nodes[0].version_in_force("basket") == 2, "version 2 is in force")
        with pytest.raises(oarlock.JoinRefused, match="too old: version 2 of basket is in force; this program knows 1"):
            await servers.add(objects=[Basket1()])
        assert len(servers.nodes[0].members) == 1
        joined = await servers.add()
        await joined.ready(10.0)


async def test_an_object_that_a_server_lacks_is_not_used(tmp_path: Path) -> None:
    """A command of an object that is new is refused while a server runs a program without it."""
    async with cluster(2, objects=lambda: [Register("a")], directory=tmp_path) as servers:
        await servers.objects(0)[0].add(1)
        for number in range(2):
            versions = servers.nodes[number]._machine.versions
            await eventually(lambda held=versions: len(held.announced) == 2, "both have announced")
        await servers.restart(0, objects=[Register("a"), Register("b")])
        await servers.nodes[0].ready()
        with pytest.raises(oarlock.NotUnderstood, match="version 1 of b"):
            await servers.objects(0)[1].add(1)
        await servers.restart(1, objects=[Register("a"), Register("b")])
        versions = servers.nodes[0]._machine.versions
        await eventually(lambda: all("b" in known for known in versions.announced.values()), "both know it")
        assert await servers.objects(0)[1].add(1) == 1


async def test_versions_of_a_machine() -> None:
    """`propose(version=2)` is refused while the machine is of version 1; the machine is told in which it was proposed."""

    class Journal2(Journal):
        version = 2

    async with cluster(1, machine=Journal) as servers:
        with pytest.raises(oarlock.NotUnderstood, match="version 2 of machine"):
            await servers.nodes[0].propose("a", version=2)
    async with cluster(1, machine=Journal2) as servers:
        await eventually(lambda: servers.nodes[0].version_in_force() == 2, "version 2 is in force")
        assert await servers.nodes[0].propose("a", version=2) == [1, 2]
        assert await servers.nodes[0].propose("b") == [2, 1]


def test_what_is_in_force_is_never_taken_back() -> None:
    """It is the lowest that all members know, if that is more than what is; who has said nothing holds it up."""
    versions = Versions()
    versions.announce(1, {"a": 3})
    assert versions.due([1, 2]) == {}
    assert versions.lacking("a", 2, [1, 2]) == [2]
    versions.announce(2, {"a": 2, "b": 1})
    assert versions.due([1, 2]) == {"a": 2}
    versions.put_in_force({"a": 2})
    assert versions.due([1, 2]) == {}
    versions.put_in_force({"a": 1})
    assert versions.in_force("a") == 2
    assert versions.too_new({"a": 1}) == "version 2 of a is in force; this program knows 1"
    copy = Versions()
    copy.load(versions.dump())
    assert copy.dump() == versions.dump()
