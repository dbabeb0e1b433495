"""One ordered applier that blocks nobody."""

import asyncio
import random
import time
from pathlib import Path

import pytest
from tests.support.node_cluster import NodeCluster, eventually
from tests.support.node_machine import Broken, WordsMachine

from oarlock.node.applier import Applier
from oarlock.node.config import NodeConfig
from oarlock.node.errors import Stopped
from oarlock.node.proposals import Proposals
from oarlock.node.reads import ReadBarriers
from oarlock.node.status import Counters
from oarlock.raft.types import Entry, EntryKind


async def test_backlog_does_not_delay_heartbeats(tmp_path: Path) -> None:
    """A long backlog of slow commands is applied in slices: between them the loop sees to heartbeats and all else."""
    async with NodeCluster(tmp_path, election_timeout_ms=1200, heartbeat_interval_ms=60) as cluster:
        leader = await cluster.leader()
        await leader.propose(b"warm")
        for server_id in cluster.nodes:
            machine = cluster.machine(server_id)

            def slow(index: int, command: bytes, apply=machine.apply) -> object:
                time.sleep(0.001)
                return apply(index, command)

            machine.apply = slow
            cluster.nodes[server_id]._applier._machine = machine
        futures = [leader.propose(b"%d" % number) for number in range(1000)]
        longest = 0
        words = cluster.machine(leader.config.server_id).words
        while not futures[-1].done():
            before = len(words)
            await asyncio.sleep(0)
            longest = max(longest, len(words) - before)
        assert 1 < longest <= 128, "in slices, and the loop went round between them"
        assert cluster.machine(leader.config.server_id).words == [b"warm", *(b"%d" % number for number in range(1000))]


async def test_broken_machine_ends_the_server(tmp_path: Path) -> None:
    """A machine that raises cannot go on: the node fails, waiters get an error, nothing further is applied."""
    cluster = NodeCluster(tmp_path, 1)
    node = await cluster.start(1)
    await node.propose(b"good")
    cluster.machine(1).break_at = b"bad"
    outcomes = await asyncio.gather(node.propose(b"bad"), node.propose(b"next"), return_exceptions=True)
    assert all(isinstance(outcome, Stopped) for outcome in outcomes)
    assert isinstance(cluster.failures[1], Broken)
    assert cluster.machine(1).words == [b"good"]
    with pytest.raises(Stopped):
        await node.propose(b"late")
    await cluster.stop(1)


async def test_flushed_in_the_background(tmp_path: Path) -> None:
    """What is applied becomes durable in the machine's own storage soon, without anybody asking."""
    async with NodeCluster(tmp_path, 1, flush_interval_ms=20) as cluster:
        node = await cluster.leader()
        await node.propose(b"one")
        machine = cluster.machine(1)
        await eventually(lambda: machine.durable_index() == machine.applied_index() > 0, "a flush")
        flushes = machine.flushes
        await asyncio.sleep(0.1)
        assert machine.flushes == flushes, "an idle machine is not flushed"


async def test_flushed_early_under_load(tmp_path: Path) -> None:
    """Many applied entries are flushed without waiting for the interval."""
    async with NodeCluster(tmp_path, 1, flush_interval_ms=60_000, flush_entries=20) as cluster:
        node = await cluster.leader()
        for number in range(30):
            await node.propose(b"%d" % number)
        await eventually(lambda: cluster.machine(1).flushes, "a flush")


async def test_what_may_wait_is_applied_in_its_order(tmp_path: Path) -> None:
    """Entries that nobody waits for are left until the disk has had its turn, or until something else is to be done."""
    loop = asyncio.get_running_loop()
    machine = WordsMachine(1)
    config = NodeConfig(cluster_id=1, server_id=1, data_dir=str(tmp_path), members={1: (("127.0.0.1", 1),)})
    counters = Counters()
    proposals = Proposals(loop, config, 1, counters, lambda: None)
    reads = ReadBarriers(loop, config, random.Random(1), counters, lambda: None)
    applied: list[int] = []
    applier = Applier(loop, machine, 0, proposals, reads, counters, applied.append)
    running = loop.create_task(applier.run())

    def entry(index: int) -> list[Entry]:
        return [Entry(index, 1, EntryKind.NOOP, b"")]

    async def later() -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    applier.commit(entry(1), may_wait=True)
    await later()
    assert applied == [], "it may wait"
    applier.go_on_soon()
    await later()
    assert applied == [1]
    applier.commit(entry(2), may_wait=True)
    applier.commit(entry(3))
    await later()
    assert applied == [1, 2, 3], "what may not wait takes with it what came before"
    running.cancel()


async def test_a_sync_that_completes_no_quorum_is_no_turn(tmp_path: Path) -> None:
    """A leader whose own disk is done wakes its owner only if another has acknowledged more than is committed."""
    async with NodeCluster(tmp_path, 3) as cluster:
        leader = await cluster.leader()
        await leader.propose(b"one")
        owner = leader._owner
        state = owner.raft.state
        await eventually(lambda: state.leader is not None and state.last_applied == state.log.last_index, "rest")
        peers = state.leader.peers.values()
        await eventually(lambda: all(peer.match_index == state.commit_index for peer in peers), "all have it")
        assert not owner._may_complete_quorum(state)
        peer = next(iter(peers))
        peer.match_index += 1
        assert owner._may_complete_quorum(state)
        peer.match_index -= 1
