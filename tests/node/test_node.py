"""Three nodes, real files: what the runtime promises as a whole."""

import asyncio
from pathlib import Path

import pytest
from tests.support.node_cluster import NodeCluster, eventually

from oarlock.node.errors import ActivityCancelled, Stopped


@pytest.mark.parametrize("tcp", [False, True])
async def test_three_servers_commit(tmp_path: Path, tcp: bool) -> None:
    """A command proposed on any server is applied on all of them, in one order, and its proposer gets the result."""
    async with NodeCluster(tmp_path, tcp=tcp) as cluster:
        leader = await cluster.leader()
        follower = await cluster.follower()
        assert await leader.propose(b"one") == 1
        assert await follower.propose(b"two") == 2
        await cluster.all_applied()
        assert all(cluster.machine(server_id).words == [b"one", b"two"] for server_id in cluster.nodes)


async def test_one_server_commits_alone(tmp_path: Path) -> None:
    """A cluster of one leads itself and answers when its own disk has the command."""
    async with NodeCluster(tmp_path, 1) as cluster:
        node = await cluster.leader()
        assert await node.propose(b"alone") == 1
        await node.read_barrier()
        await cluster.stop(1)
        node = await cluster.start(1)
        await node.read_barrier()
        assert cluster.machine(1).words == [b"alone"]


async def test_leader_hands_over_before_it_stops(tmp_path: Path) -> None:
    """A leader that is stopped in order has another one lead first: no election timeout passes without a leader."""
    async with NodeCluster(tmp_path, election_timeout_ms=10_000, heartbeat_interval_ms=50) as cluster:
        leader = await cluster.leader()
        await leader.propose(b"before")
        term = leader.status().term
        await cluster.stop(leader.config.server_id)
        new = await cluster.leader()
        assert new.status().term == term + 1
        assert await new.propose(b"after") == 2


async def test_proposals_during_a_hand_over(tmp_path: Path) -> None:
    """Commands proposed while leadership changes hands go through, once, without an error."""
    async with NodeCluster(tmp_path, election_timeout_ms=5000, heartbeat_interval_ms=50) as cluster:
        old = await cluster.leader()
        successor = await cluster.follower()
        handing_over = asyncio.ensure_future(old.transfer_leadership(successor.config.server_id))
        futures = [node.propose(b"%d-%d" % (at, number)) for number in range(20) for at, node in cluster.nodes.items()]
        await asyncio.gather(*futures)
        await handing_over
        await eventually(lambda: successor.is_leader, "the successor leads")
        await cluster.all_applied()
        assert len(cluster.machine(1).words) == len(set(cluster.machine(1).words)) == 60


async def test_start_given_up_leaves_nothing_locked(tmp_path: Path) -> None:
    """A start that is cancelled while a thread opens the storage closes it again: the next start finds it free."""
    async with NodeCluster(tmp_path, 1) as cluster:
        await cluster.stop(1)
        starting = asyncio.ensure_future(cluster.node(1).start())
        await asyncio.sleep(0)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        node = await cluster.start(1)
        await node.propose(b"after")


async def test_stop_given_up_leaves_nothing_locked(tmp_path: Path) -> None:
    """Where all is cancelled while a node stops, as at the end of `asyncio.run`, its files are closed all the same."""
    async with NodeCluster(tmp_path) as cluster:
        leader = await cluster.leader()
        server_id = leader.config.server_id
        others = asyncio.all_tasks()
        asyncio.ensure_future(cluster.nodes.pop(server_id).stop())  # noqa: RUF006 - found among all tasks
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert leader.is_leader, "it is handing over"
        stopping = asyncio.all_tasks() - others
        for task in stopping:
            task.cancel()
        await asyncio.gather(*stopping, return_exceptions=True)
        node = await cluster.start(server_id)
        await node.propose(b"after")


@pytest.mark.parametrize("activity", ["applier", "owner", "heartbeats", "elections", "keeper", "space"])
async def test_node_ends_with_any_of_its_activities(tmp_path: Path, activity: str) -> None:
    """An activity that somebody cancels takes the node with it: it never goes on half dead, and starts again."""
    async with NodeCluster(tmp_path, 1) as cluster:
        node = await cluster.leader()
        waiting = node.propose(b"one")
        (task,) = (task for task in asyncio.all_tasks() if task.get_name() == f"oarlock-{activity}")
        task.cancel()
        await eventually(lambda: 1 in cluster.failures, "the node has failed")
        assert isinstance(cluster.failures[1], ActivityCancelled)
        with pytest.raises(Stopped):
            await waiting
        with pytest.raises(Stopped):
            await node.propose(b"two")
        await cluster.stop(1)
        node = await cluster.start(1)
        assert await node.propose(b"three") >= 1
