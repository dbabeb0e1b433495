"""The disk: group commit off the loop, stalls, failures, and running full."""

import asyncio
import threading
from pathlib import Path

import pytest
from tests.support.faulty_disk import FaultyDisk
from tests.support.node_cluster import NodeCluster, eventually

from oarlock.machine.interface import FlushPostponed
from oarlock.node.errors import DiskFull, Stopped
from oarlock.storage.errors import WriteFailed


async def test_synced_in_one_thread_of_its_own(tmp_path: Path) -> None:
    """The log is synced in a thread of its own, never on the loop."""
    disk = FaultyDisk()
    async with NodeCluster(tmp_path, 1, disks={1: disk}) as cluster:
        node = await cluster.leader()
        disk.sync_threads.clear()
        for number in range(10):
            await node.propose(b"%d" % number)
        assert len(disk.sync_threads) == 1
        assert threading.get_ident() not in disk.sync_threads


async def test_what_waits_for_a_sync_shares_the_next(tmp_path: Path) -> None:
    """Group commit: everything that arrives while one sync runs is made durable by the next one."""
    disk = FaultyDisk()
    async with NodeCluster(tmp_path, 1, disks={1: disk}, election_timeout_ms=5000) as cluster:
        node = await cluster.leader()
        await node.propose(b"warm")
        disk.open_gate.clear()
        futures = [node.propose(b"first")]
        await eventually(disk.stalled.is_set, "the sync waits")
        before = disk.syncs
        for number in range(50):
            futures.append(node.propose(b"%d" % number))
            await asyncio.sleep(0)
        assert not any(future.done() for future in futures), "nothing is answered before the disk has it"
        disk.open_gate.set()
        await asyncio.gather(*futures)
        assert disk.syncs - before <= 2


async def test_large_values_do_not_share_one_long_write(tmp_path: Path) -> None:
    """However much waits for the disk, one write takes a few megabytes of it, in order, and loses nothing."""
    disk = FaultyDisk()
    async with NodeCluster(
        tmp_path, 1, disks={1: disk}, election_timeout_ms=60_000, heartbeat_interval_ms=30, segment_bytes=8 << 20
    ) as cluster:
        node = await cluster.leader()
        await node.propose(b"warm")
        disk.open_gate.clear()
        futures = [node.propose(b"first")]
        await eventually(disk.stalled.is_set, "the sync waits")
        before = node.counters.wal_writes
        values = [bytes([number]) * (1 << 20) for number in range(11)] + [b"z" * (5 << 20), b"last"]
        for value in values:
            futures.append(node.propose(value))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        disk.open_gate.set()
        assert await asyncio.gather(*futures) == list(range(2, 3 + len(values)))
        assert node.counters.wal_writes - before >= 5, "the first, 4 + 4 + 3 MiB, and the one above the limit"
        assert cluster.machine(1).words == [b"warm", b"first", *values]


async def test_no_acknowledgement_before_the_followers_disks(tmp_path: Path) -> None:
    """P-1: followers acknowledge only what is on their disks; without a majority of disks nothing is answered."""
    disks = {server_id: FaultyDisk() for server_id in (1, 2, 3)}
    async with NodeCluster(tmp_path, disks=disks, election_timeout_ms=3000, heartbeat_interval_ms=50) as cluster:
        leader = await cluster.leader()
        await leader.propose(b"before")
        await cluster.all_applied()
        followers = [server_id for server_id in disks if server_id != leader.config.server_id]
        for server_id in followers:
            disks[server_id].open_gate.clear()
        future = leader.propose(b"waits")
        for server_id in followers:
            await eventually(disks[server_id].stalled.is_set, "followers are writing")
        assert not future.done()
        disks[followers[0]].open_gate.set()
        assert await future == 2
        disks[followers[1]].open_gate.set()


async def test_stalled_disk_costs_the_leadership(tmp_path: Path) -> None:
    """A leader whose disk hangs steps down, though its network is fine, and another one goes on (hashicorp/raft 503)."""
    disks = {server_id: FaultyDisk() for server_id in (1, 2, 3)}
    async with NodeCluster(tmp_path, disks=disks) as cluster:
        old = await cluster.leader()
        await old.propose(b"before")
        others = {server_id for server_id in disks if server_id != old.config.server_id}
        disks[old.config.server_id].open_gate.clear()
        pending = old.propose(b"while it hangs")
        new = await eventually(
            lambda: next(
                (cluster.nodes[server_id] for server_id in others if cluster.nodes[server_id].is_leader), None
            ),
            "a new leader",
        )
        await new.propose(b"goes on")
        assert not old.is_leader
        disks[old.config.server_id].open_gate.set()
        await pending
        await cluster.all_applied()
        words = cluster.machine(1).words
        assert sorted(words) == sorted([b"before", b"while it hangs", b"goes on"])


async def test_failed_sync_ends_the_server(tmp_path: Path) -> None:
    """A failed sync is never retried: the node fails at once, nothing waiting is answered with success."""
    disk = FaultyDisk()
    cluster = NodeCluster(tmp_path, 1, disks={1: disk})
    node = await cluster.start(1)
    await cluster.leader()
    await node.propose(b"good")
    disk.fail_sync = True
    futures = [node.propose(b"%d" % number) for number in range(5)]
    outcomes = await asyncio.gather(*futures, return_exceptions=True)
    assert all(isinstance(outcome, Stopped) for outcome in outcomes)
    assert isinstance(cluster.failures[1], WriteFailed)
    syncs = disk.syncs
    with pytest.raises(Stopped):
        await node.propose(b"after")
    await cluster.stop(1)
    assert disk.syncs == syncs, "not even at the end is it tried again"
    disk.fail_sync = False
    node = await cluster.start(1)
    await node.read_barrier()
    assert cluster.machine(1).words[0] == b"good"
    await cluster.stop(1)


async def test_full_disk_refuses_writes_and_recovers(tmp_path: Path) -> None:
    """A full disk: writes get a clear error, reads go on, and both work again when space returns."""
    disk = FaultyDisk()
    async with NodeCluster(
        tmp_path, 1, disks={1: disk}, election_timeout_ms=60_000, heartbeat_interval_ms=30
    ) as cluster:
        node = await cluster.leader()
        await node.propose(b"before")
        disk.full = True
        caught = node.propose(b"caught by it")
        await eventually(lambda: node.disk_is_full, "the writer finds the disk full")
        with pytest.raises(DiskFull):
            await node.propose(b"refused")
        assert not DiskFull.outcome_unknown
        await node.read_barrier()
        assert cluster.machine(1).words == [b"before"]
        disk.full = False
        assert await caught == 2
        assert await node.propose(b"after") == 3
        assert not node.disk_is_full


async def test_follower_with_a_full_disk(tmp_path: Path) -> None:
    """A follower with a full disk stops acknowledging and harms nobody; when space returns it catches up."""
    disks = {server_id: FaultyDisk() for server_id in (1, 2, 3)}
    async with NodeCluster(tmp_path, disks=disks, election_timeout_ms=1000) as cluster:
        leader = await cluster.leader()
        follower = await cluster.follower()
        disks[follower.config.server_id].full = True
        for number in range(20):
            await leader.propose(b"%d" % number)
        await eventually(lambda: follower.disk_is_full, "the follower finds its disk full")
        with pytest.raises(DiskFull):
            await follower.propose(b"refused")
        assert follower.status().durable_index < leader.status().commit_index
        disks[follower.config.server_id].full = False
        await cluster.all_applied()
        assert await follower.propose(b"after") == 21


async def test_full_leader_makes_way(tmp_path: Path) -> None:
    """A leader that can write no more makes way for one that can, and its own disk's end loses nothing."""
    disks = {server_id: FaultyDisk() for server_id in (1, 2, 3)}
    async with NodeCluster(tmp_path, disks=disks) as cluster:
        old = await cluster.leader()
        await old.propose(b"before")
        disks[old.config.server_id].full = True
        caught = old.propose(b"caught", timeout=15)
        others = {server_id for server_id in disks if server_id != old.config.server_id}
        new = await eventually(
            lambda: next(
                (cluster.nodes[server_id] for server_id in others if cluster.nodes[server_id].is_leader), None
            ),
            "a new leader",
        )
        await new.propose(b"goes on")
        disks[old.config.server_id].full = False
        await caught
        await cluster.all_applied()
        assert sorted(cluster.machine(1).words) == sorted([b"before", b"caught", b"goes on"])


async def test_leader_low_on_space_hands_over(tmp_path: Path) -> None:
    """A leader low on space hands over before its disk is full: writes go on through every server, it included."""
    disks = {server_id: FaultyDisk() for server_id in (1, 2, 3)}
    async with NodeCluster(tmp_path, disks=disks, disk_reserve_bytes=1000, election_timeout_ms=1000) as cluster:
        old = await cluster.leader()
        await old.propose(b"before")
        disks[old.config.server_id].free = 10
        others = {server_id for server_id in disks if server_id != old.config.server_id}
        await eventually(lambda: any(cluster.nodes[server_id].is_leader for server_id in others), "another leads")
        for node in cluster.nodes.values():
            await node.propose(b"through %d" % node.config.server_id)
        assert old.disk_is_full
        assert old.status().disk_full
        assert not old.is_leader


async def test_low_on_space_does_not_keep_leadership(tmp_path: Path) -> None:
    """A server low on space that leads again hands over again, and finds the one with room among the others."""
    disks = {server_id: FaultyDisk() for server_id in (1, 2, 3)}
    async with NodeCluster(tmp_path, disks=disks, disk_reserve_bytes=1000) as cluster:
        first = await cluster.leader()
        await first.propose(b"before")
        with_room = min(disks)
        for server_id in (2, 3):
            disks[server_id].free = 10
        for server_id in (2, 3):
            await eventually(lambda node=cluster.nodes[server_id]: node.disk_is_full, "low space is noticed")
        for server_id in (3, 2):
            leader = await cluster.leader()
            await cluster.all_applied()
            if leader.config.server_id != server_id:
                await leader.transfer_leadership(server_id)
            await eventually(lambda: cluster.nodes[with_room].is_leader, "the one with room leads")
        assert await cluster.nodes[3].propose(b"after") == 2


async def test_low_space_everywhere_refuses_writes(tmp_path: Path) -> None:
    """Where no server has room, writes are refused, also those forwarded; reads go on, and all is well with space."""
    disks = {server_id: FaultyDisk() for server_id in (1, 2, 3)}
    async with NodeCluster(tmp_path, disks=disks, disk_reserve_bytes=1000, election_timeout_ms=2000) as cluster:
        leader = await cluster.leader()
        await leader.propose(b"before")
        for disk in disks.values():
            disk.free = 10
        owners = [node._owner for node in cluster.nodes.values()]
        await eventually(lambda: all(owner.refusal for owner in owners), "low space is noticed everywhere")
        for node in cluster.nodes.values():
            with pytest.raises(DiskFull):
                await node.propose(b"refused")
            await node.read_barrier()
        for disk in disks.values():
            disk.free = None
        await eventually(lambda: not any(node.disk_is_full for node in cluster.nodes.values()), "space is noticed")
        assert await leader.propose(b"after") == 2


async def test_follower_low_on_space_forwards(tmp_path: Path) -> None:
    """A follower low on space forwards writes to the leader, which has room, and they succeed."""
    disks = {server_id: FaultyDisk() for server_id in (1, 2, 3)}
    async with NodeCluster(tmp_path, disks=disks, disk_reserve_bytes=1000, election_timeout_ms=1000) as cluster:
        leader = await cluster.leader()
        follower = await cluster.follower()
        disks[follower.config.server_id].free = 10
        await eventually(lambda: follower.disk_is_full, "low space is noticed")
        assert await follower.propose(b"forwarded") == 1
        assert leader.is_leader


async def test_reserve_is_proportional(tmp_path: Path) -> None:
    """The reserve is at most a twentieth of the volume: a small disk can be used."""
    disk = FaultyDisk()
    disk.volume, disk.free = 2_000_000, 150_000
    async with NodeCluster(tmp_path, 1, disks={1: disk}, disk_reserve_bytes=32 << 20) as cluster:
        node = await cluster.leader()
        assert await node.propose(b"there is room") == 1
        disk.free = 99_000
        await eventually(lambda: node.disk_is_full, "less than a twentieth")
        with pytest.raises(DiskFull, match="99000 bytes left"):
            await node.propose(b"refused")


async def test_machine_storage_without_room(tmp_path: Path) -> None:
    """Where the machine's own storage has no room, writes are refused and nothing is lost; later they go on."""
    async with NodeCluster(tmp_path, 1, flush_interval_ms=10) as cluster:
        node = await cluster.leader()
        machine = cluster.machine(1)
        begin_flush = machine.begin_flush

        def postponed() -> object:
            flush = begin_flush()
            if flush is not None:
                flush.run = no_room
            return flush

        def no_room() -> None:
            raise FlushPostponed("no room")

        machine.begin_flush = postponed
        await node.propose(b"applied, not flushed")
        await eventually(lambda: node.disk_is_full, "the flush finds no room")
        with pytest.raises(DiskFull, match="no room"):
            await node.propose(b"refused")
        await node.read_barrier()
        machine.begin_flush = begin_flush
        await eventually(lambda: not node.disk_is_full, "the flush goes through")
        assert await node.propose(b"after") == 2
