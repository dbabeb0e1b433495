"""Compaction, and followers that need a snapshot."""

import asyncio
import threading
from pathlib import Path

import pytest
from tests.support.faulty_disk import FaultyDisk
from tests.support.node_cluster import NodeCluster, eventually

from oarlock.node.errors import ActivityCancelled
from oarlock.node.node import Node
from oarlock.raft.types import SnapshotMetadata

SMALL = {"snapshot_count": 10, "snapshot_tail": 5, "flush_interval_ms": 10, "snapshot_chunk_bytes": 1000}


async def fill(node: Node, first: int, last: int) -> None:
    for number in range(first, last):
        await node.propose(b"word %d " % number + bytes(50))


async def left_behind(cluster: NodeCluster) -> tuple[Node, int]:
    """A leader, and a follower that is down and lacks what the leader has compacted."""
    leader = await cluster.leader()
    follower = (await cluster.follower()).config.server_id
    await cluster.crash(follower)
    await fill(leader, 0, 50)
    await eventually(lambda: leader.status().first_index > 20, "compaction")
    return leader, follower


@pytest.mark.parametrize("durable", [True, False])
async def test_log_is_compacted(tmp_path: Path, durable: bool) -> None:
    """After snapshot_count entries the log is cut on every server, a tail stays, and a restart finds everything."""
    async with NodeCluster(tmp_path, durable=durable, **SMALL) as cluster:
        leader = await cluster.leader()
        await fill(leader, 0, 50)
        await eventually(lambda: all(node.status().first_index > 20 for node in cluster.nodes.values()), "compaction")
        for node in cluster.nodes.values():
            status = node.status()
            assert status.last_index - status.first_index + 1 >= SMALL["snapshot_tail"]
        for server_id in (1, 2, 3):
            await cluster.stop(server_id)
        for server_id in (1, 2, 3):
            await cluster.start(server_id)
        await cluster.nodes[2].read_barrier()
        assert len(cluster.machine(2).words) == 50
        await cluster.all_applied()


@pytest.mark.parametrize("durable", [True, False])
async def test_follower_catches_up_by_snapshot(tmp_path: Path, durable: bool) -> None:
    """A follower whose next entry is compacted gets a snapshot in chunks, then the log that follows it."""
    async with NodeCluster(tmp_path, durable=durable, **SMALL) as cluster:
        leader, follower = await left_behind(cluster)
        node = await cluster.start(follower)
        await fill(leader, 50, 70)
        await cluster.all_applied()
        assert node.counters.snapshots_received >= 1
        assert len(cluster.machine(follower).words) == 70
        await cluster.crash(follower)
        await cluster.start(follower)
        await cluster.nodes[follower].read_barrier()
        assert len(cluster.machine(follower).words) == 70


async def test_old_snapshots_are_removed(tmp_path: Path) -> None:
    """Of snapshots made for compaction only the newest file stays."""
    async with NodeCluster(tmp_path, 1, durable=False, **SMALL) as cluster:
        node = await cluster.leader()
        await fill(node, 0, 90)
        directory = cluster.data_dir(1) / "snapshots"
        await eventually(lambda: node.counters.snapshots_taken >= 3, "several snapshots")
        await eventually(lambda: len(list(directory.glob("*.snap"))) == 1, "older ones go")


async def test_applies_go_on_while_a_snapshot_is_written(tmp_path: Path) -> None:
    """The image is pinned at its index; commands applied while it is written are not in it, and not held up (G21)."""
    async with NodeCluster(tmp_path, 1, durable=False) as cluster:
        node = await cluster.leader()
        await node.propose(b"in it")
        gate, reached = threading.Event(), threading.Event()
        machine = cluster.machine(1)
        begin = machine.begin_snapshot

        def slow_view() -> object:
            view = begin()
            write = view.write

            def held(out: object) -> None:
                reached.set()
                gate.wait()
                write(out)

            view.write = held
            return view

        machine.begin_snapshot = slow_view
        node._snapshots.take()
        await eventually(reached.is_set, "the image is being written")
        assert await node.propose(b"not in it") == 2
        gate.set()
        await eventually(lambda: node.counters.snapshots_taken == 1, "the snapshot is there")
        held = node._opened.snapshots.latest()
        assert held is not None
        assert held.metadata.last_included_index == machine.applied_index() - 1


async def test_damaged_snapshot_is_sent_again(tmp_path: Path) -> None:
    """A received snapshot that does not verify is dropped and asked for anew; it never reaches the machine."""
    async with NodeCluster(tmp_path, **SMALL) as cluster:
        _, follower = await left_behind(cluster)
        damaged: list[int] = []
        for node in cluster.nodes.values():

            def damaging(to: int, payload: bytes, send=node.transport.send_bulk) -> bool:
                if len(payload) > 900 and not damaged:
                    damaged.append(to)
                    payload = payload[:500] + bytes([payload[500] ^ 1]) + payload[501:]
                return send(to, payload)

            node.transport.send_bulk = damaging
        await cluster.start(follower)
        await cluster.all_applied()
        assert damaged
        assert len(cluster.machine(follower).words) == 50


async def test_snapshot_that_cannot_be_read_is_made_anew(tmp_path: Path) -> None:
    """Where the file of the snapshot to be sent is gone, another one is made and sent."""
    async with NodeCluster(tmp_path, **SMALL) as cluster:
        _, follower = await left_behind(cluster)
        for node in cluster.nodes.values():
            node._snapshots.take()
            await eventually(lambda node=node: node.counters.snapshots_taken == 1, "a snapshot")
            for file in (cluster.data_dir(node.config.server_id) / "snapshots").glob("*.snap"):
                file.unlink()
        await cluster.start(follower)
        await cluster.all_applied()
        assert len(cluster.machine(follower).words) == 50


async def test_machine_follows_the_log(tmp_path: Path) -> None:
    """A received snapshot reaches the machine only when the log's move to it is durable (G22)."""
    disks = {server_id: FaultyDisk() for server_id in (1, 2, 3)}
    async with NodeCluster(tmp_path, disks=disks, election_timeout_ms=2000, **SMALL) as cluster:
        _, follower = await left_behind(cluster)
        node = await cluster.start(follower)
        install = node._snapshots.install

        def installing(metadata: SnapshotMetadata, number: int) -> None:
            disks[follower].open_gate.clear()
            install(metadata, number)

        node._snapshots.install = installing
        await eventually(disks[follower].stalled.is_set, "the log's move waits for its sync")
        await asyncio.sleep(0.1)
        assert cluster.machine(follower).applied_index() < 20
        disks[follower].open_gate.set()
        await cluster.all_applied()
        assert len(cluster.machine(follower).words) == 50


@pytest.mark.parametrize("work", ["snapshot", "snapshot sender", "snapshot receiver"])
async def test_node_ends_with_its_work_on_snapshots(tmp_path: Path, work: str) -> None:
    """Work on a snapshot that somebody cancels takes the node with it: no laggard waits for it for ever."""
    async with NodeCluster(tmp_path, **SMALL) as cluster:
        leader, follower = await left_behind(cluster)
        await cluster.start(follower)
        task = await begun(f"oarlock-{work}")
        cluster.failures.clear()  # of the crash
        task.cancel()
        hurt = follower if work == "snapshot receiver" else leader.config.server_id
        await eventually(lambda: hurt in cluster.failures, "the node has failed")
        assert isinstance(cluster.failures[hurt], ActivityCancelled)
        await cluster.stop(hurt)
        await cluster.start(hurt)
        await cluster.all_applied()
        assert len(cluster.machine(follower).words) == 50


async def begun(name: str) -> "asyncio.Task[object]":
    """A task of that name, as soon as there is one."""
    deadline = asyncio.get_running_loop().time() + 10
    while True:
        for task in asyncio.all_tasks():
            if task.get_name() == name:
                return task
        assert asyncio.get_running_loop().time() < deadline, f"no task {name} in time"
        await asyncio.sleep(0)


async def test_no_snapshot_is_taken_where_a_received_one_is_on_its_way(tmp_path: Path) -> None:
    """A machine that a received snapshot is about to replace stands below the log: there is nothing to take of it."""
    disks = {server_id: FaultyDisk() for server_id in (1, 2, 3)}
    async with NodeCluster(tmp_path, disks=disks, election_timeout_ms=2000, **SMALL) as cluster:
        _, follower = await left_behind(cluster)
        cluster.failures.clear()  # of the crash
        node = await cluster.start(follower)
        install = node._snapshots.install
        taken: list[asyncio.Future[SnapshotMetadata | None]] = []

        def installing(metadata: SnapshotMetadata, number: int) -> None:
            disks[follower].open_gate.clear()
            install(metadata, number)
            taken.append(asyncio.ensure_future(node._snapshots.taken()))

        node._snapshots.install = installing
        try:
            await eventually(lambda: taken, "the log moves")
            assert await asyncio.wait_for(taken[0], 10) is None
            assert not cluster.failures
        finally:
            disks[follower].open_gate.set()
        await cluster.all_applied()
        assert len(cluster.machine(follower).words) == 50


async def test_snapshot_for_which_there_is_no_room(tmp_path: Path) -> None:
    """A follower without room for a snapshot asks for it again after a pause, not as fast as the network goes."""
    disks = {server_id: FaultyDisk("/snapshots/") for server_id in (1, 2, 3)}
    async with NodeCluster(tmp_path, disks=disks, **SMALL) as cluster:
        _, follower = await left_behind(cluster)
        disks[follower].full = True
        node = await cluster.start(follower)
        chunks = []
        write_chunk = node._snapshots.write_chunk

        def counting(chunk: object) -> None:
            chunks.append(chunk)
            write_chunk(chunk)

        node._snapshots.write_chunk = counting
        await eventually(lambda: chunks, "it is sent the snapshot")
        await asyncio.sleep(1)
        assert len(chunks) <= 5
        disks[follower].full = False
        await cluster.all_applied()
        assert len(cluster.machine(follower).words) == 50
