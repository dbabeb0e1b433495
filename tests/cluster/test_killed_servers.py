"""Three real servers, really killed: no acknowledged write is lost, and the survivors go on."""

import asyncio
import os
import random
import signal
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.support.grpc_client import Failure
from tests.support.process_cluster import ProcessCluster, ServerProcess, until
from tests.support.workload import Workload

from oarlock.etcd.proto.rpc_pb2 import MoveLeaderRequest, PutRequest, RangeRequest

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

ROUNDS = int(os.environ.get("OARLOCK_CHAOS_ROUNDS", "7"))


def seeded() -> random.Random:
    """A generator whose seed is printed; OARLOCK_SEED repeats one."""
    seed = int(os.environ.get("OARLOCK_SEED", random.randrange(1 << 32)))
    print(f"OARLOCK_SEED={seed}")
    return random.Random(seed)


async def test_random_kills_and_pauses(tmp_path: Path) -> None:
    """Servers are killed with kill -9 or suspended at random, the leader most often, while writers write and read."""
    rng = seeded()
    async with (
        ProcessCluster(
            tmp_path, 3, "--snapshot-count", "500", "--experimental-snapshot-catchup-entries", "50"
        ) as cluster,
        Workload(cluster, rng) as workload,
    ):
        await workload.progress(50, "at first")
        for number in range(ROUNDS):
            leader = await cluster.leader()
            victim = leader if rng.random() < 0.6 else rng.choice(cluster.servers)
            if rng.random() < 0.7:
                what = f"round {number}: {victim.name} is killed"
                victim.kill()
                await asyncio.sleep(rng.random() * 1.5)
                await workload.progress(20, what)
                cluster.start(victim)
            else:
                what = f"round {number}: {victim.name} is suspended"
                victim.signal(signal.SIGSTOP)
                await asyncio.sleep(0.5 + rng.random() * 1.5)
                await workload.progress(20, what)
                victim.signal(signal.SIGCONT)
            print(what)
            await workload.progress(50, f"after {what}")
            await until(lambda: all(server.running for server in cluster.servers), "all run")
        await workload.stop()
        await workload.verify()
        print(f"{len(workload.acknowledged)} acknowledged, {workload.failures} failed")


async def test_all_killed_at_once(tmp_path: Path) -> None:
    """All three are killed with kill -9 in mid-write and started again: every acknowledged write is there."""
    rng = seeded()
    async with ProcessCluster(tmp_path) as cluster, Workload(cluster, rng) as workload:
        for number in range(2):
            await workload.progress(150, f"before all are killed, time {number}")
            for server in cluster.servers:
                server.signal(signal.SIGKILL)
            for server in cluster.servers:
                server.process.wait()
            for server in cluster.servers:
                cluster.start(server)
            await workload.progress(20, "after all were killed")
        await workload.stop()
        await workload.verify()


def _time(server: ServerProcess, message: str) -> float:
    """When a server last logged this, by its own clock."""
    stamps = [record["ts"] for record in server.records() if record["msg"].startswith(message)]
    return datetime.fromisoformat(stamps[-1]).timestamp() if stamps else 0.0


async def test_leader_killed_under_load(tmp_path: Path) -> None:
    """The leader dies under load: another leads in a new term and writes go on; the survivors' logs say how fast."""
    rng = seeded()
    async with ProcessCluster(tmp_path) as cluster, Workload(cluster, rng, writers=12) as workload:
        await workload.progress(100, "at first")
        leader = await cluster.leader()
        term = (await cluster.status(leader)).raftTerm
        killed_at = datetime.now(UTC).timestamp()
        leader.kill()
        survivors = [server for server in cluster.servers if server is not leader]
        await until(lambda: max(_time(server, "became leader") for server in survivors) > killed_at, "a new leader", 10)
        elected_after = max(_time(server, "became leader") for server in survivors) - killed_at
        await workload.progress(100, "after the leader was killed")
        print(f"new leader after {elected_after * 1000:.0f} ms, election timeout 500 ms")
        assert (await cluster.status(await cluster.leader())).raftTerm > term
        cluster.start(leader)
        await workload.stop()
        await workload.verify()


async def test_laggard_catches_up_by_snapshot(tmp_path: Path) -> None:
    """A server that was away while the log was compacted is sent a snapshot, and then agrees with the others."""
    rng = seeded()
    flags = ("--snapshot-count", "100", "--experimental-snapshot-catchup-entries", "10")
    async with ProcessCluster(tmp_path, 3, *flags) as cluster:
        leader = await cluster.leader()
        laggard = next(server for server in cluster.servers if server is not leader)
        laggard.kill()
        client = cluster.client(leader)
        for start in range(0, 400, 50):
            puts = [PutRequest(key=b"k%d" % number, value=bytes(2000)) for number in range(start, start + 50)]
            answers = await asyncio.gather(*(client.call("KV.Put", put) for put in puts))
            assert not any(isinstance(answer, Failure) for answer in answers)
        await until(lambda: leader.said("compacting the log"), "the leader compacts its log")
        cluster.start(laggard)
        await cluster.ready()
        await cluster.agree()
        assert laggard.said("restored snapshot") == 1
        async with Workload(cluster, rng) as workload:
            await workload.progress(60, "with all three")
            laggard.kill()
            cluster.start(laggard)
            await workload.stop()
            await workload.verify()


async def test_resumed_minority_serves_old_state_only_when_asked(tmp_path: Path) -> None:
    """With two of three suspended, serializable reads are answered, linearizable ones are not; resumed, writes go on."""
    async with ProcessCluster(tmp_path) as cluster:
        alive, *suspended = cluster.servers
        client = cluster.client(alive)
        await client.call("KV.Put", PutRequest(key=b"k", value=b"before"))
        for server in suspended:
            server.signal(signal.SIGSTOP)
        answer = await client.call("KV.Range", RangeRequest(key=b"k", serializable=True), timeout_s=5)
        assert answer.kvs[0].value == b"before"
        answer = await client.call("KV.Range", RangeRequest(key=b"k"), timeout_s=1.5)
        assert isinstance(answer, Failure), "nobody could confirm that"
        for server in suspended:
            server.signal(signal.SIGCONT)

        async def written() -> bool:
            return not isinstance(
                await client.call("KV.Put", PutRequest(key=b"k", value=b"after"), timeout_s=5), Failure
            )

        await until(written, "writes go on")
        answer = await client.call("KV.Range", RangeRequest(key=b"k"))
        assert answer.kvs[0].value == b"after"


async def test_orderly_stop(tmp_path: Path) -> None:
    """SIGTERM: calls under way are answered, the process ends with status 0, and what it acknowledged is kept."""
    rng = seeded()
    async with ProcessCluster(tmp_path) as cluster, Workload(cluster, rng) as workload:
        await workload.progress(50, "at first")
        for server in cluster.servers:
            assert server.terminate() == 0
            assert server.said("stopped") == 1
            await workload.progress(20, f"without {server.name}")
            cluster.start(server)
            await cluster.ready()
        await workload.stop()
        await workload.verify()


async def test_a_stopped_leader_hands_over(tmp_path: Path) -> None:
    """SIGTERM to the leader: before it ends another leads, in the very next term, and no election timeout was needed."""
    async with ProcessCluster(tmp_path, 3, "--election-timeout", "2000") as cluster:
        leader = await cluster.leader()
        term = (await cluster.status(leader)).raftTerm
        assert leader.terminate() == 0
        assert leader.said("handing over leadership") == 1
        assert not leader.said("could not hand over")
        others = [server for server in cluster.servers if server is not leader]
        successor = await cluster.leader()
        assert (await cluster.status(successor)).raftTerm == term + 1
        assert _time(successor, "became leader") < _time(leader, "stopped")
        answer = await cluster.client(others[0]).call("KV.Put", PutRequest(key=b"k"), timeout_s=5)
        assert not isinstance(answer, Failure), "writes go on at once"


async def test_leases_show_nothing_stale(tmp_path: Path) -> None:
    """With --lease-reads the leader is suspended past its lease, and moved: no read through any server is stale."""
    rng = seeded()
    async with (
        ProcessCluster(tmp_path, 3, "--lease-reads", "--max-clock-drift", "20") as cluster,
        Workload(cluster, rng) as workload,
    ):
        for number in range(2):
            await workload.progress(50, f"time {number}")
            leader = await cluster.leader()
            leader.signal(signal.SIGSTOP)
            await workload.progress(50, "while the leader is suspended")
            leader.signal(signal.SIGCONT)
            await workload.progress(50, "when it is back")
            leader = await cluster.leader()
            successor = next(server for server in cluster.servers if server is not leader)
            to = (await cluster.status(successor)).header.member_id
            moved = await cluster.client(leader).call("Maintenance.MoveLeader", MoveLeaderRequest(targetID=to))
            assert not isinstance(moved, Failure), moved
        await workload.stop()
        await workload.verify()
