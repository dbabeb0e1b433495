"""A server that begins on an empty directory may have forgotten what it acknowledged: its word counts for nothing yet."""

import logging
import shutil
from pathlib import Path

import pytest
from tests.support.node_cluster import NodeCluster, eventually

from oarlock.storage.disk import PosixDisk
from oarlock.storage.identity import Identity, load_identity, write_identity


def disk_id(cluster: NodeCluster, server_id: int) -> int:
    """What the server's directory is called."""
    identity = load_identity(PosixDisk(), cluster.data_dir(server_id))
    assert identity is not None
    return identity.disk_id


async def admitted(cluster: NodeCluster) -> None:
    """Wait until the logs of all running servers admit every server's present directory."""
    disks = tuple((server_id, disk_id(cluster, server_id)) for server_id in cluster.members)
    await eventually(
        lambda: all(node.configuration.disks == disks for node in cluster.nodes.values()), "all disks are admitted"
    )


async def test_fresh_servers_elect_and_are_admitted(tmp_path: Path) -> None:
    """NS-2: three fresh servers elect a leader; each one's directory has an id of its own, for good."""
    async with NodeCluster(tmp_path) as cluster:
        await (await cluster.leader()).propose(b"first")
        await admitted(cluster)
        ids = [disk_id(cluster, server_id) for server_id in (1, 2, 3)]
        assert len(set(ids)) == 3
        assert all(0 < each < 1 << 63 for each in ids)
        for server_id in (1, 2, 3):
            await cluster.crash(server_id)
        for server_id in (1, 2):
            await cluster.start(server_id)
        await cluster.leader()
        assert [disk_id(cluster, server_id) for server_id in (1, 2, 3)] == ids


async def test_directories_of_an_older_version_are_taken_over(tmp_path: Path) -> None:
    """A directory that has no disk id gets one when it is first started, and the server counts as ever."""
    cluster = NodeCluster(tmp_path)
    for server_id in cluster.members:
        node = await cluster.start(server_id)
        await node.stop()
        write_identity(PosixDisk(), cluster.data_dir(server_id), Identity(0xC1, server_id, 1))
    assert disk_id(cluster, 1) == 0
    async with cluster:
        await (await cluster.leader()).propose(b"first")
        await admitted(cluster)
        assert disk_id(cluster, 1) > 0


async def test_wiped_server_votes_nothing_away(tmp_path: Path) -> None:
    """A wiped voter and one that missed a write elect nobody; with the one that has the write all is there."""
    async with NodeCluster(tmp_path) as cluster:
        await (await cluster.leader()).propose(b"all have it")
        await cluster.all_applied()
        await admitted(cluster)
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
        for server_id in (1, 2, 3):
            assert cluster.machine(server_id).words == [b"all have it", b"only two have it"]
        await admitted(cluster)


async def test_wiped_follower_catches_up_and_counts_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Beside a live leader a wiped follower catches up, loudly, is admitted again, and counts in an election."""
    async with NodeCluster(tmp_path) as cluster:
        leader = await cluster.leader()
        await leader.propose(b"before")
        await admitted(cluster)
        follower_id = (await cluster.follower()).config.server_id
        await cluster.crash(follower_id)
        old = disk_id(cluster, follower_id)
        shutil.rmtree(cluster.data_dir(follower_id))
        with caplog.at_level(logging.ERROR):
            await cluster.start(follower_id)
            await admitted(cluster)
        assert f"server {follower_id:x} is on another data directory" in caplog.text
        assert disk_id(cluster, follower_id) != old
        await cluster.all_applied()
        leader = await cluster.leader()
        await cluster.crash(leader.config.server_id)
        assert await (await cluster.leader()).propose(b"after") == 2


async def test_the_old_disk_may_come_back(tmp_path: Path) -> None:
    """A directory that was put aside and put back is another disk than the one admitted meanwhile: as one replaced."""
    async with NodeCluster(tmp_path) as cluster:
        await (await cluster.leader()).propose(b"first")
        await admitted(cluster)
        follower_id = (await cluster.follower()).config.server_id
        aside = tmp_path / "aside"
        await cluster.crash(follower_id)
        cluster.data_dir(follower_id).rename(aside)
        await cluster.start(follower_id)
        await admitted(cluster)
        await (await cluster.leader()).propose(b"second")
        await cluster.crash(follower_id)
        shutil.rmtree(cluster.data_dir(follower_id))
        aside.rename(cluster.data_dir(follower_id))
        await cluster.start(follower_id)
        await admitted(cluster)
        await cluster.all_applied()
        assert cluster.machine(follower_id).words == [b"first", b"second"]


async def test_a_server_that_was_never_reached_counts(tmp_path: Path) -> None:
    """Servers 1 and 3 commit without server 2, then 1 is lost for good: 2 and 3 go on with all that there is."""
    cluster = NodeCluster(tmp_path)
    for server_id in (1, 3):
        await cluster.start(server_id)
    try:
        await (await cluster.leader()).propose(b"without the second")
        await cluster.all_applied()
        await cluster.crash(1)
        await cluster.start(2)
        assert await (await cluster.leader()).propose(b"without the first") == 2
    finally:
        await cluster.__aexit__()
