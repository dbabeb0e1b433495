"""A server that begins on an empty directory may have forgotten what it acknowledged: it votes nothing away."""

import shutil
from pathlib import Path

from tests.support.node_cluster import NodeCluster, eventually


def is_new(cluster: NodeCluster, server_id: int) -> bool:
    """Whether the server is marked as one that has not caught up."""
    return (cluster.data_dir(server_id) / "new").exists()


async def caught_up(cluster: NodeCluster) -> None:
    await eventually(lambda: not any(is_new(cluster, server_id) for server_id in cluster.nodes), "no marker is left")


async def test_fresh_servers_elect_and_lose_their_marks(tmp_path: Path) -> None:
    """NS-1, NS-2: three fresh servers elect a leader, and are then as any others, also after a restart."""
    async with NodeCluster(tmp_path) as cluster:
        assert all(is_new(cluster, server_id) for server_id in (1, 2, 3))
        leader = await cluster.leader()
        await leader.propose(b"first")
        await caught_up(cluster)
        for server_id in (1, 2, 3):
            await cluster.crash(server_id)
        for server_id in (1, 2):
            await cluster.start(server_id)
        await cluster.leader()


async def test_killed_just_after_the_first_election(tmp_path: Path) -> None:
    """Servers that were all killed before they learnt what was committed elect again: they have begun the log."""
    async with NodeCluster(tmp_path, election_timeout_ms=1000, heartbeat_interval_ms=200) as cluster:
        await eventually(lambda: any(node.is_leader for node in cluster.nodes.values()), "a leader")
        await eventually(lambda: all(node.status().durable_index for node in cluster.nodes.values()), "its first entry")
        for server_id in (1, 2, 3):
            await cluster.crash(server_id)
            (cluster.data_dir(server_id) / "new").touch()
        for server_id in (1, 2, 3):
            await cluster.start(server_id)
        await cluster.leader()
        await caught_up(cluster)


async def test_server_alone_never_stops_itself(tmp_path: Path) -> None:
    """A server alone leads again, though it was killed before its mark was removed."""
    async with NodeCluster(tmp_path, 1, pre_vote=False) as cluster:
        await (await cluster.leader()).propose(b"first")
        await caught_up(cluster)
        await cluster.crash(1)
        (cluster.data_dir(1) / "new").touch()
        await cluster.start(1)
        assert await cluster.nodes[1].propose(b"second") == 2
        await caught_up(cluster)


async def test_wiped_server_votes_nothing_away(tmp_path: Path) -> None:
    """A wiped voter and one that missed a write elect nobody; with the one that has the write all is there."""
    async with NodeCluster(tmp_path) as cluster:
        await (await cluster.leader()).propose(b"all have it")
        await cluster.all_applied()
        await caught_up(cluster)
        await cluster.crash(3)
        leader = await cluster.leader()
        await leader.propose(b"only two have it")
        await cluster.all_applied()
        for server_id in (1, 2):
            await cluster.crash(server_id)
        shutil.rmtree(cluster.data_dir(2))
        await cluster.start(2)
        lagging = await cluster.start(3)
        term = lagging.term
        state = lagging._owner.raft.state
        for _ in range(5):
            asked = state.request_counter
            await eventually(lambda asked=asked: state.request_counter > asked, "it asks for votes in vain")
            assert not any(node.is_leader for node in cluster.nodes.values())
        assert lagging.term == term
        await cluster.start(1)
        for server_id in (1, 2, 3):
            await cluster.nodes[server_id].read_barrier()
        assert cluster.machine(1).words == [b"all have it", b"only two have it"]
        assert cluster.machine(3).words == [b"all have it", b"only two have it"]
        assert cluster.machine(2).words == [b"all have it", b"only two have it"]
        await caught_up(cluster)


async def test_wiped_follower_catches_up_and_votes_again(tmp_path: Path) -> None:
    """Beside a live leader a wiped follower catches up, loses its mark, and then counts in an election."""
    async with NodeCluster(tmp_path) as cluster:
        leader = await cluster.leader()
        await leader.propose(b"before")
        await caught_up(cluster)
        follower_id = (await cluster.follower()).config.server_id
        await cluster.crash(follower_id)
        shutil.rmtree(cluster.data_dir(follower_id))
        await cluster.start(follower_id)
        assert is_new(cluster, follower_id)
        await cluster.all_applied()
        await caught_up(cluster)
        leader = await cluster.leader()
        await cluster.crash(leader.config.server_id)
        assert await (await cluster.leader()).propose(b"after") == 2
