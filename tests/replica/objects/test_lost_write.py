"""A write that was acknowledged must not be lost: PySyncObj 0.3.17 loses one, and the same schedule does no harm here.

The schedule: a leader is cut off and takes one more command. The others elect another leader, commit without it and
compact their logs. When the network heals, the old leader must be sent a snapshot, which takes several messages.
"""

import asyncio

from tests.support.pysyncobj_network import (
    ELECTION_TIMEOUT_S,
    HEARTBEAT_S,
    NAMES,
    Answers,
    Clock,
    Network,
    Register,
    own_clock,
)
from tests.support.raft_cluster import Cluster
from tests.support.raft_server import slot

from oarlock.raft.messages import InstallSnapshot, RaftMessage
from oarlock.replica.object import ReplicatedObject
from oarlock.replica.objects import ReplicatedList
from oarlock.testing import cluster, eventually


def _turn(nodes: dict[str, Register], network: Network, clock: Clock) -> None:
    """Everybody works, and everything is delivered, through a few heartbeats."""
    for _ in range(6):
        clock.now += HEARTBEAT_S
        for name in NAMES:
            nodes[name].doTick(0)
        network.deliver_all()


def _elect(nodes: dict[str, Register], network: Network, clock: Clock, name: str) -> None:
    """Lets the time of one node alone pass, so that it and nobody else stands for election."""
    clock.now += ELECTION_TIMEOUT_S + 0.01
    nodes[name].doTick(0)
    for _ in range(4):
        network.deliver_all()
    nodes[name].doTick(0)
    network.deliver_all()
    _turn(nodes, network, clock)


def test_pysyncobj_acknowledges_a_write_and_loses_it() -> None:
    """A deposed leader of PySyncObj reports success for its divergent tail between two chunks of a snapshot."""
    with own_clock() as clock:
        network = Network()
        nodes = {name: Register(name, network) for name in NAMES}
        for name in NAMES:
            network.heal(name)
        answers = Answers()
        _elect(nodes, network, clock, "a")
        assert nodes["a"]._isLeader()
        answers.write(nodes["a"], "before")
        _turn(nodes, network, clock)
        assert answers.successes() == ["before"]

        network.cut("a")
        answers.write(nodes["a"], "lost")
        nodes["a"].doTick(0)
        assert "lost" not in answers.told
        _elect(nodes, network, clock, "b")
        assert nodes["b"]._isLeader()
        for number in range(20):
            answers.write(nodes["b"], f"value {number} {'x' * 20}")
        clock.now += HEARTBEAT_S
        _turn(nodes, network, clock)
        nodes["b"].forceLogCompaction()
        _turn(nodes, network, clock)

        network.heal("a")
        _bring_chunks_one_by_one(nodes, network, clock)

        assert "lost" in answers.successes()
        assert all("lost" not in nodes[name].written for name in NAMES)


def _bring_chunks_one_by_one(nodes: dict[str, Register], network: Network, clock: Clock) -> None:
    """The old leader works between any two messages that reach it, as it does when they come slowly."""
    for _ in range(40):
        clock.now += HEARTBEAT_S
        nodes["b"].doTick(0)
        while network.deliver("b", "a", most=1):
            nodes["a"].doTick(0)
        network.deliver("a", "b")
        network.deliver("b", "c")
        network.deliver("c", "b")


def test_oarlock_neither_acknowledges_nor_keeps_it() -> None:
    """The same schedule on Oarlock's core: between no two messages does the old leader apply its divergent tail."""
    cluster = Cluster(3)
    old = cluster.campaign(1)
    cluster.propose()
    cluster.converge()

    cluster.isolate(1)
    old.raft.propose([b"lost"])
    cluster.carry_out(old)
    lost = old.state.log.entry(old.state.log.last_index)
    assert lost.data == b"lost"
    cluster.run_until(lambda: cluster.leader not in (old, None))
    new = cluster.elect()
    for _ in range(20):
        cluster.propose()
    cluster.run_until(lambda: len(new.machine) == new.state.log.last_index)
    new.compact()

    chunks = 0

    def look(_source: int, to: int, message: RaftMessage) -> bool:
        nonlocal chunks
        chunks += to == 1 and isinstance(message, InstallSnapshot)
        assert slot(lost) not in old.machine
        assert old.state.commit_index < lost.index or chunks > 1
        return False

    cluster.drop = look
    cluster.heal()
    cluster.converge()
    assert chunks > 1
    assert [slot(lost) in server.machine for server in cluster.live] == [False, False, False]
    assert old.machine == new.machine


async def test_the_library_acknowledges_only_what_stays() -> None:
    """The schedule on three real nodes: what the cut-off leader's object was told is true on all servers afterwards."""

    def make() -> list[ReplicatedObject]:
        return [ReplicatedList[str]("written")]

    async with cluster(3, objects=make, snapshot_count=10, snapshot_tail=1, command_timeout_ms=60_000) as servers:
        old = await servers.leader()
        others = [number for number in servers.nodes if number != old]
        [written] = servers.objects(old)
        await written.append("before")
        servers.part([old], others)
        doubtful = asyncio.ensure_future(written.append("doubtful"))
        new = await servers.leader(others)
        for number in range(25):
            await servers.objects(new)[0].append(f"value {number}")
        assert not doubtful.done()
        await eventually(
            lambda: servers.nodes[new].status().first_index > 10, "a log without what the old leader lacks"
        )
        servers.heal()
        position = await doubtful
        await asyncio.gather(*(node.ready() for node in servers.nodes.values()))
        copies = [list(servers.objects(number)[0]) for number in servers.nodes]
        assert copies[0] == copies[1] == copies[2]
        assert copies[0][position] == "doubtful"
        assert copies[0].count("doubtful") == 1
        assert servers.nodes[old].status().first_index > 10
