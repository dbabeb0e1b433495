"""A vote is taken and given back by address; whose vote was taken asks for none by itself."""

import contextlib
from pathlib import Path

import pytest
from tests.support.ports import free_ports
from tests.support.replicated import Register

import oarlock
from oarlock.blocking import Node as BlockingNode
from oarlock.check import check_history, make_history
from oarlock.node.errors import Refusal
from oarlock.replica.core import Core
from oarlock.replica.demotion import Demotion
from oarlock.replica.errors import ChangeRefused
from oarlock.testing.clusters import SETTINGS, cluster, eventually
from oarlock.testing.simulated import Client, simulate


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The servers that have looked after their votes, one for each time."""
    looked: list[int] = []
    look = Demotion.look

    async def noted(self: Demotion, core: Core, server_id: int) -> bool:
        found = await look(self, core, server_id)
        looked.append(server_id)
        return found

    monkeypatch.setattr(Demotion, "look", noted)
    return looked


async def test_a_demoted_server_stays_a_copy_until_it_is_promoted(tmp_path: Path, looks: list[int]) -> None:
    """It takes commands and reads, and asks for no vote, after a restart neither, even if only its log tells why."""
    async with cluster(3, objects=lambda: [Register()], directory=tmp_path) as servers:
        leader = await servers.leader()
        chosen = await servers.follower()
        address, server_id = servers.address(chosen), servers.nodes[chosen].server_id
        await servers.nodes[chosen].demote(address)
        await eventually((servers.data_dir(chosen) / "demoted").exists, "it has noted it")
        assert await servers.objects(chosen)[0].add(2) == 2
        assert await servers.objects(chosen)[0].read("get") == 2
        await servers.stop(chosen)
        (servers.data_dir(chosen) / "demoted").unlink()  # as if it had ended before it could note it
        node = await servers.start(chosen)
        await node.ready()
        looks.clear()
        await eventually(lambda: looks.count(server_id) >= 2, "it has looked after its vote twice")
        assert servers.nodes[leader].status().learners == (server_id,)
        await node.promote(address)
        assert server_id in node.status().voters
        await eventually(lambda: not (servers.data_dir(chosen) / "demoted").exists(), "that is noted, too")


async def test_a_server_that_was_down_learns_that_it_was_demoted(
    tmp_path: Path, looks: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had a vote when it was stopped, and has none when it has caught up, and looks only then."""
    look = Demotion.look

    async def late(self: Demotion, core: Core, server_id: int) -> bool:
        if server_id in waits:
            await eventually(lambda: server_id in core.status().configuration.learners, "it has caught up")
        return await look(self, core, server_id)

    waits: set[int] = set()
    monkeypatch.setattr(Demotion, "look", late)
    async with cluster(3, objects=lambda: [Register()], directory=tmp_path) as servers:
        chosen = await servers.follower()
        server_id = servers.nodes[chosen].server_id
        await servers.stop(chosen)
        leader = await servers.leader()
        await servers.nodes[leader].demote(servers.address(chosen))
        waits.add(server_id)
        await servers.restart(chosen)
        looks.clear()
        await eventually(lambda: looks.count(server_id) >= 2, "it has looked after its vote twice")
        assert servers.nodes[leader].status().learners == (server_id,)
        assert (servers.data_dir(chosen) / "demoted").exists()


async def test_what_cannot_be_demoted_or_promoted_is_refused_with_the_cause() -> None:
    """Strangers, those without a vote, those with one, and the last voter."""
    async with cluster(2, objects=lambda: [Register()]) as servers:
        leader = await servers.leader()
        node, own, other = servers.nodes[leader], servers.address(leader), servers.address(1 - leader)

        async def refused(call: str, address: str) -> Refusal:
            with pytest.raises(ChangeRefused) as caught:
                await getattr(node, call)(address)
            return Refusal(caught.value.refusal)

        assert await refused("demote", "127.0.0.1:1") is Refusal.NOT_A_MEMBER
        assert await refused("promote", other) is Refusal.NOT_A_LEARNER
        await node.demote(other)
        assert await refused("demote", other) is Refusal.NOT_A_VOTER
        assert await refused("demote", own) is Refusal.LAST_VOTER
        with pytest.raises(ValueError, match="host:port"):
            await node.demote("nonsense")


def test_the_blocking_twin_demotes_as_well(tmp_path: Path) -> None:
    """The calls of a node for threads are those of the node."""
    addresses = [f"127.0.0.1:{port}" for port in free_ports(2)]
    nodes = [
        BlockingNode(each, data_dir=tmp_path / each[-5:], peers=addresses, objects=[Register()], settings=SETTINGS)
        for each in addresses
    ]
    with nodes[0], nodes[1]:
        nodes[0].ready()
        nodes[0].demote(addresses[1])
        assert nodes[0].status().voters == (nodes[0].server_id,)
        with pytest.raises(ChangeRefused, match="needs a member that votes"):
            nodes[0].demote(addresses[0])


def test_nothing_is_lost_while_votes_come_and_go() -> None:
    """Anybody demotes and promotes anybody, leaders included, through faults; Raft's properties hold at every event."""
    demoted = promoted = 0

    async def work(client: Client) -> None:
        nonlocal demoted, promoted
        [register] = client.objects
        while True:
            with contextlib.suppress(oarlock.OarlockError):
                await client.operate("add", 1, lambda: register.add(1))
                await client.operate("read", None, lambda: register.read(lambda: register.value or 0))
                address = client.rng.choice(sorted(client.node.members.values()))
                if client.rng.random() < 0.4:
                    await client.node.demote(address)
                    demoted += 1
                else:
                    await client.node.promote(address)
                    promoted += 1
            await client.pause(client.rng.random() * 0.5)

    run = simulate(1, objects=lambda: [Register()], work=work, servers=4, seconds=7, faults=6)
    assert demoted > 2
    assert promoted > 1
    report = check_history(make_history(run.history), "counter")
    assert report.verdict == "ok", report
