"""Three nodes, real files: what the runtime promises as a whole."""

from pathlib import Path

import pytest
from tests.support.node_cluster import NodeCluster


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
