"""Reads by choice: linearizable, leased, or stale by a bounded time."""

import asyncio
from pathlib import Path

import pytest
from tests.support.replicated import Register

import oarlock
from oarlock.testing.clusters import cluster, eventually


async def test_a_linearizable_read_sees_what_was_done_anywhere_before(tmp_path: Path) -> None:
    """A read on any server sees every command that was answered before it was called."""
    async with cluster(3, objects=lambda: [Register()], directory=tmp_path) as servers:
        for value in range(1, 30):
            await servers.objects(value % 3)[0].set(value)
            assert await servers.objects((value + 1) % 3)[0].read("get") == value


async def test_a_stale_read_is_refused_beyond_its_bound(tmp_path: Path) -> None:
    """Cut off, a server answers stale reads without a bound; with one it refuses, once its state may be older."""
    async with cluster(3, objects=lambda: [Register()], directory=tmp_path) as servers:
        leader, follower = await servers.leader(), await servers.follower()
        await servers.objects(leader)[0].set(1)
        [cut_off] = servers.objects(follower)
        assert await cut_off.read("get", consistency="stale", max_staleness_ms=5000) == 1
        servers.part({follower}, {0, 1, 2} - {follower})
        await servers.objects(leader)[0].set(2)
        assert await cut_off.read("get", consistency="stale") == 1
        assert await cut_off.read("get", consistency="stale", max_staleness_ms=60_000) == 1
        await eventually(lambda: servers.nodes[follower].staleness_s > 0.05, "the state may be too old")
        with pytest.raises(oarlock.TooStale, match=r"up to date \d+ ms ago; 50 ms are allowed"):
            await cut_off.read("get", consistency="stale", max_staleness_ms=50)
        with oarlock.deadline(0.1), pytest.raises(oarlock.Timeout) as caught:
            await cut_off.read("get")
        assert not caught.value.outcome_unknown
        servers.heal()
        await servers.leader()
        assert await cut_off.read("get", consistency="stale", max_staleness_ms=5000) in (1, 2)
        assert await cut_off.read("get") == 2


async def test_leased_reads_need_to_be_turned_on() -> None:
    """They rest on clocks, so they are not taken unless all servers were told so; then they are linearizable too."""
    async with cluster(3, objects=lambda: [Register()]) as servers:
        with pytest.raises(ValueError, match="lease reads are not turned on"):
            await servers.objects(0)[0].read("get", consistency="lease")
        with pytest.raises(ValueError, match="max_staleness_ms=5 is for stale reads"):
            await servers.objects(0)[0].read("get", max_staleness_ms=5)
        with pytest.raises(ValueError, match="consistency must be"):
            await servers.objects(0)[0].read("get", consistency="newest")
        with pytest.raises(TypeError, match="add is a command"):
            await servers.objects(0)[0].read("add", 1)
    async with cluster(3, objects=lambda: [Register()], lease_reads=True) as servers:
        await servers.objects(0)[0].set(1)
        for number in range(3):
            assert await servers.objects(number)[0].read("get", consistency="lease") == 1


async def test_each_read_chooses_whether_a_lease_will_do() -> None:
    """With leases on, a linearizable read asks the core for a round all the same; only a leased one believes a clock."""
    async with cluster(3, objects=lambda: [Register()], lease_reads=True) as servers:
        asked = []
        [register] = servers.objects(0)
        raft = servers.nodes[0]._core._core._owner.raft
        read_index = raft.read_index

        def noting(context: int, now: float, *, may_use_lease: bool) -> None:
            asked.append(may_use_lease)
            read_index(context, now, may_use_lease=may_use_lease)

        raft.read_index = noting
        await register.read("get")
        assert asked
        assert not any(asked)
        asked.clear()
        await register.read("get", consistency="lease")
        assert asked
        assert all(asked)


async def test_many_stale_readers_ask_once(tmp_path: Path) -> None:
    """Readers that find the state too old share one question to the leader."""
    async with cluster(3, objects=lambda: [Register()], directory=tmp_path) as servers:
        follower = await servers.follower()
        node = servers.nodes[follower]
        await node.ready()
        before = node.counters.reads_received
        await eventually(lambda: node.staleness_s > 0.02, "some time passes")
        [register] = servers.objects(follower)
        await asyncio.gather(*(register.read("get", consistency="stale", max_staleness_ms=1000) for _ in range(50)))
        assert node.counters.reads_received - before <= 2
