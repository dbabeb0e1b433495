"""Read barriers: linearizable, batched, never confirmed by an old answer."""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.node_cluster import NodeCluster, eventually
from tests.support.node_machine import WordsMachine

from oarlock.node.config import NodeConfig
from oarlock.node.errors import Overloaded, ReadTimeout
from oarlock.node.reads import ReadBarriers
from oarlock.node.status import Counters
from oarlock.raft.ready import ReadState


async def test_follower_sees_what_was_acknowledged(tmp_path: Path) -> None:
    """After its barrier any server's machine holds every write acknowledged before the barrier began."""
    async with NodeCluster(tmp_path) as cluster:
        leader = await cluster.leader()
        for number in range(30):
            await leader.propose(b"%d" % number)
            for server_id, node in cluster.nodes.items():
                await node.read_barrier()
                assert len(cluster.machine(server_id).words) >= number + 1


async def test_isolated_leader_confirms_no_read(tmp_path: Path) -> None:
    """A leader cut off from the majority cannot serve a linearizable read, though it may not know yet (G24)."""
    async with NodeCluster(tmp_path) as cluster:
        leader = await cluster.leader()
        cluster.part({leader.config.server_id})
        with pytest.raises(ReadTimeout):
            await leader.read_barrier(timeout=0.2)


async def test_reads_survive_an_election(tmp_path: Path) -> None:
    """A read refused, or unanswered, is tried anew with whoever leads, until its time is up."""
    async with NodeCluster(tmp_path) as cluster:
        leader = await cluster.leader()
        followers = {server_id for server_id, node in cluster.nodes.items() if node is not leader}
        cluster.part(followers)
        await asyncio.gather(*(cluster.nodes[server_id].read_barrier() for server_id in followers))


async def test_reads_share_a_round(tmp_path: Path) -> None:
    """Readers that wait in one turn share one read index: a hundred cost one round."""
    async with NodeCluster(tmp_path) as cluster:
        await cluster.leader()
        follower = await cluster.follower()
        asked = []
        read_index = follower._owner.raft.read_index

        def counting(context: int, now: float, *, may_use_lease: bool) -> None:
            asked.append(context)
            read_index(context, now, may_use_lease=may_use_lease)

        follower._owner.raft.read_index = counting
        for _ in range(2):
            await asyncio.gather(*(follower.read_barrier() for _ in range(100)))
        # Two rounds, and on a busy machine what is repeated because its answer took long; one a reader would be 200.
        assert len(set(asked)) == len(asked) <= 40


async def test_late_answer_confirms_nothing(tmp_path: Path) -> None:
    """An answer to an attempt that was given up does not confirm the attempt that followed it (etcd issue 20418)."""
    async with NodeCluster(tmp_path) as cluster:
        leader = await cluster.leader()
        follower = await cluster.follower()
        send = leader.transport.send
        held = []

        def holding(to: int, payload: bytes) -> bool:
            if to == follower.config.server_id and payload[1:2] == b"\x0a":  # ReadIndexReply
                held.append(payload)
                return True
            return send(to, payload)

        leader.transport.send = holding
        with pytest.raises(ReadTimeout):
            await follower.read_barrier(timeout=0.4)
        assert len(held) >= 2, "it was tried again"
        barrier = follower.read_barrier(timeout=0.3)
        for payload in held:
            follower._owner.receive(leader.config.server_id, payload)
        with pytest.raises(ReadTimeout):
            await barrier


async def test_waiting_readers_are_bounded(tmp_path: Path) -> None:
    """More readers than may wait are refused at once."""
    cluster = NodeCluster(tmp_path, max_pending_reads=5)
    node = await cluster.start(1)
    waiting = [node.read_barrier(timeout=0.1) for _ in range(5)]
    with pytest.raises(Overloaded):
        await node.read_barrier()
    assert all(isinstance(error, ReadTimeout) for error in await asyncio.gather(*waiting, return_exceptions=True))
    with pytest.raises(ReadTimeout):
        await node.read_barrier(timeout=0.05)
    await cluster.stop(1)


async def test_a_lease_will_do_only_where_it_does_for_all() -> None:
    """Readers who wait together are asked for together: one who trusts no clock is not answered by a lease, nor later."""
    loop = asyncio.get_running_loop()
    config = NodeConfig(cluster_id=1, server_id=1, data_dir="unused", members={1: (("127.0.0.1", 1),)})
    barriers = ReadBarriers(loop, config, random.Random(1), Counters(), lambda: None)
    strict, easy = barriers.barrier(None, may_use_lease=False), barriers.barrier(None)
    context, may_use_lease = barriers.take(loop.time())
    assert not may_use_lease
    barriers.answered([ReadState(context, None)])
    later = barriers.barrier(None)
    barriers.leader_changed()
    context, may_use_lease = barriers.take(loop.time())
    assert not may_use_lease
    barriers.answered([ReadState(context, 0)])
    await asyncio.gather(strict, easy, later)
    last = barriers.barrier(None)
    context, may_use_lease = barriers.take(loop.time())
    assert may_use_lease
    barriers.answered([ReadState(context, 0)])
    await last


class SlowMachine(WordsMachine):
    """A machine of its own pace, as one in another thread is: each slice of entries takes it a while."""

    async def apply_apart(
        self, entries: list[tuple[int, bytes, object]], settle: Callable[[list[object]], None]
    ) -> None:
        await asyncio.sleep(0.01)
        settle([self.apply(index, command) for index, command, _ in entries])

    async def begin_flush_apart(self) -> None:
        return None

    async def begin_snapshot_apart(self) -> object:
        return self.begin_snapshot()


async def test_reads_are_served_behind_a_machine_that_lags(tmp_path: Path) -> None:
    """A read whose index is known waits for the machine, however far that lags, and is not asked for anew meanwhile.

    Under steady load a newer index is always as far away again: such a reader would never be answered.
    """
    cluster = NodeCluster(tmp_path, 1, durable=False)
    node = cluster.node(1)
    node._open_machine = lambda: SlowMachine(1)
    await node.start()
    await node.propose(b"first")

    async def write(number: int) -> None:
        await asyncio.sleep(number / 100)  # else all would be applied in one slice, for ever
        while True:
            await node.propose(b"word")

    writers = [asyncio.create_task(write(number)) for number in range(40)]
    try:
        await eventually(lambda: len(node.machine.words) > 50, "all write")
        await node.read_barrier(timeout=6)
    finally:
        for writer in writers:
            writer.cancel()
        await asyncio.gather(*writers, return_exceptions=True)
        await node.stop()
