"""Proposals: settled exactly once, applied exactly once, whatever happens on their way."""

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest
from tests.support.node_cluster import NodeCluster, eventually

from oarlock.node.errors import (
    NoLeader,
    Overloaded,
    ProposalTimeout,
    ProposalTooLarge,
    ResultUnavailable,
    Stopped,
)
from oarlock.node.node import Node


async def settle(futures: list[asyncio.Future[Any]]) -> list[Any]:
    """Results and errors of all."""
    return await asyncio.gather(*futures, return_exceptions=True)


async def test_many_at_once_on_every_server(tmp_path: Path) -> None:
    """Concurrent proposals on all servers are each applied once, and each gets the result of its own application."""
    async with NodeCluster(tmp_path) as cluster:
        await cluster.leader()
        words = [b"%d" % number for number in range(300)]
        nodes = list(cluster.nodes.values())
        results = await settle([nodes[at % 3].propose(word) for at, word in enumerate(words)])
        await cluster.all_applied()
        log = cluster.machine(1).words
        assert sorted(log) == sorted(words)
        assert [log[result - 1] for result in results] == words


async def test_retried_across_elections_once(tmp_path: Path) -> None:
    """Retries under one id: with links cut and mended at random, every success is in the log once, nothing twice."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    async with NodeCluster(tmp_path, election_timeout_ms=150, heartbeat_interval_ms=15) as cluster:
        await cluster.leader()
        futures: dict[bytes, asyncio.Future[Any]] = {}
        for number in range(150):
            node = cluster.nodes[rng.randint(1, 3)]
            word = b"%d" % number
            futures[word] = node.propose(word, timeout=10)
            if rng.random() < 0.15:
                source, target = rng.sample([1, 2, 3], 2)
                cluster.network.cut(source, target)
            elif rng.random() < 0.3:
                cluster.heal()
            await asyncio.sleep(rng.random() * 0.02)
        cluster.heal()
        results = await settle(list(futures.values()))
        await cluster.leader()
        await cluster.all_applied()
        words = cluster.machine(1).words
        assert len(words) == len(set(words)), "applied twice"
        for word, result in zip(futures, results, strict=True):
            if isinstance(result, Exception):
                assert isinstance(result, ProposalTimeout | NoLeader | ResultUnavailable), repr(result)
            else:
                assert words[result - 1] == word
        assert sum(not isinstance(result, Exception) for result in results) > len(results) // 2


async def test_leader_lost_with_proposals_pending(tmp_path: Path) -> None:
    """Proposals on followers outlive the leader they were forwarded to, without the proposer's help."""
    async with NodeCluster(tmp_path) as cluster:
        leader = await cluster.leader()
        followers = [node for node in cluster.nodes.values() if node is not leader]
        await followers[0].propose(b"before")
        cluster.part({followers[0].config.server_id, followers[1].config.server_id})
        futures = [
            follower.propose(b"%d-%d" % (at, number)) for at, follower in enumerate(followers) for number in range(20)
        ]
        results = await settle(futures)
        assert all(isinstance(result, int) for result in results), results
        cluster.heal()
        await cluster.all_applied()
        assert len(cluster.machine(1).words) == 41


async def test_isolated_leader_never_confirms(tmp_path: Path) -> None:
    """A leader without a majority answers no proposal with success; its slots are taken, and judged by identity (G26)."""
    async with NodeCluster(tmp_path) as cluster:
        old = await cluster.leader()
        others = {server_id for server_id in cluster.nodes if cluster.nodes[server_id] is not old}
        await old.propose(b"shared")
        cluster.part({old.config.server_id}, others)
        lost = [old.propose(b"lost-%d" % number, timeout=0.5) for number in range(10)]
        new = await cluster.leader(others)
        taken = await settle([new.propose(b"taken-%d" % number) for number in range(20)])
        assert all(isinstance(result, int) for result in taken)
        assert all(isinstance(error, ProposalTimeout | NoLeader) for error in await settle(lost))
        cluster.heal()
        await cluster.all_applied()
        words = cluster.machine(old.config.server_id).words
        assert words.count(b"shared") == 1
        assert len(words) == len(set(words))


async def test_waits_for_a_leader_then_goes_through(tmp_path: Path) -> None:
    """A proposal made before there is a leader is sent when there is one."""
    async with NodeCluster(tmp_path) as cluster:
        assert await cluster.nodes[1].propose(b"early") == 1


async def test_no_leader(tmp_path: Path) -> None:
    """Without a leader in the time given the error is definite: nothing was proposed."""
    cluster = NodeCluster(tmp_path)
    node = await cluster.start(1)
    with pytest.raises(NoLeader):
        await node.propose(b"nobody", timeout=0.1)
    assert not NoLeader.outcome_unknown
    await cluster.stop(1)


async def test_too_many_and_too_large(tmp_path: Path) -> None:
    """What may be pending is bounded in number and bytes; beyond it proposals are refused at once."""
    cluster = NodeCluster(tmp_path, max_pending_proposals=10, max_pending_bytes=1000, max_command_bytes=500)
    node = await cluster.start(1)
    pending = [node.propose(b"%d" % number) for number in range(10)]
    with pytest.raises(Overloaded):
        await node.propose(b"one more")
    with pytest.raises(ProposalTooLarge):
        await node.propose(bytes(501))
    await cluster.stop(1)
    assert all(isinstance(error, Stopped) for error in await settle(pending))
    node = await cluster.start(1)
    pending = [node.propose(bytes(400)) for _ in range(2)]
    with pytest.raises(Overloaded):
        await node.propose(bytes(400))
    await cluster.stop(1)
    await settle(pending)


async def test_uncommitted_bytes_are_bounded(tmp_path: Path) -> None:
    """A leader that cannot commit refuses further proposals instead of growing its log without bound (FC-1)."""
    async with NodeCluster(tmp_path, max_uncommitted_bytes=10_000, check_quorum=False) as cluster:
        leader = await cluster.leader()
        cluster.part({leader.config.server_id})
        pending = []
        refused = 0
        for _ in range(40):
            future = leader.propose(bytes(1000), timeout=0.3)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            if future.done():
                refused += isinstance(future.exception(), Overloaded)
            pending.append(future)
        await settle(pending)
        assert refused >= 25
        assert leader.status().last_index < 20


async def test_stop_settles_everything(tmp_path: Path) -> None:
    """On shutdown every waiter returns, with an error that says the outcome is unknown."""
    async with NodeCluster(tmp_path) as cluster:
        leader = await cluster.leader()
        cluster.part({leader.config.server_id})
        proposals = [leader.propose(b"%d" % number) for number in range(50)]
        reads = [leader.read_barrier() for _ in range(50)]
        await asyncio.sleep(0.01)
        del cluster.nodes[leader.config.server_id]
        await leader.stop()
        outcomes = await settle([*proposals, *reads])
        assert all(isinstance(error, Stopped) for error in outcomes), outcomes
        assert Stopped.outcome_unknown
        for late in (leader.propose(b"late"), leader.read_barrier()):
            with pytest.raises(Stopped):
                await late


async def test_cancelled_waiter(tmp_path: Path) -> None:
    """A proposer that goes away leaves nothing behind, and its command is applied all the same."""
    async with NodeCluster(tmp_path, 1) as cluster:
        node = await cluster.leader()
        future = node.propose(b"abandoned")
        await asyncio.sleep(0)
        future.cancel()
        assert await node.propose(b"next") == 2
        assert node.status().pending_proposals == 0


async def test_one_turn_is_one_write(tmp_path: Path) -> None:
    """Everything proposed in one iteration of the loop is one batch: few disk writes for many proposals."""
    async with NodeCluster(tmp_path, 1) as cluster:
        node: Node = await cluster.leader()
        await node.propose(b"first")
        writes = node.counters.wal_writes
        await settle([node.propose(b"%d" % number) for number in range(200)])
        assert node.counters.wal_writes - writes <= 2


async def test_dropped_forwards_are_sent_again(tmp_path: Path) -> None:
    """A forwarded batch lost on the way is sent again, under its old id, without any election."""
    async with NodeCluster(tmp_path) as cluster:
        leader = await cluster.leader()
        follower = await cluster.follower()
        send = follower.transport.send
        dropped = []

        def lossy(to: int, payload: bytes) -> bool:
            if b"precious" in payload and len(dropped) < 2:
                dropped.append(payload)
                return True
            return send(to, payload)

        follower.transport.send = lossy
        for attempt in range(1, 6):
            dropped.clear()
            term = leader.status().term
            assert await follower.propose(b"precious") == attempt
            assert len(dropped) == 2
            if leader.status().term == term:
                break  # else the machine stood still for an election timeout
        else:
            pytest.fail("five times there was an election")
        await eventually(lambda: follower.counters.proposals_retried >= 2, "retries are counted")
