"""Members of real servers come and go, by etcdctl's commands, while clients write: nothing is lost."""

import random
from pathlib import Path

import pytest
from tests.support.grpc_client import Failure
from tests.support.operator import Operator
from tests.support.process_cluster import ProcessCluster, ServerProcess, until
from tests.support.workload import Workload

from oarlock.etcd.proto.rpc_pb2 import MemberListRequest, PutRequest, RangeRequest

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]


async def test_grow_shrink_and_replace(tmp_path: Path) -> None:
    """3 -> 4 by a learner -> 5 -> 3, then a dead member is replaced, with writes going on throughout."""
    rng = random.Random(7)
    async with ProcessCluster(tmp_path) as cluster, Workload(cluster, rng, writers=3) as workload:
        operator = Operator(cluster)
        every = list(cluster.servers)
        try:
            await workload.progress(30, "at first")
            fourth = await operator.add("s4", "--learner")
            every.append(fourth)
            refused = await cluster.client(fourth).call("KV.Put", PutRequest(key=b"k"))
            assert refused == Failure("UNAVAILABLE", "etcdserver: rpc not supported for learner")
            assert (await operator.members())["s4"]["learner"]
            await operator.promote("s4")
            cluster.servers.append(fourth)
            await workload.progress(30, "with four")
            fifth = await operator.add("s5")
            every.append(fifth)
            cluster.servers.append(fifth)
            await workload.progress(30, "with five")
            assert set(await operator.members()) == {"s1", "s2", "s3", "s4", "s5"}

            leader = await cluster.leader()
            target = fourth if leader is not fourth else fifth
            moved = await operator.until_done(
                "move-leader", (await operator.members())[target.name]["ID"], asked=leader
            )
            assert "Leadership transferred" in moved
            await until(lambda: _leads(cluster, target), "the one named leads")
            await workload.progress(30, "after the leader moved")

            # The leader goes, and one more: those removed end by themselves, and refuse to come back.
            for server in (target, every[1]):
                await operator.remove(server)
                await until(lambda server=server: not server.running, f"{server.name} ends")
                assert server.process.returncode == 0
                await workload.progress(30, f"without {server.name}")
            cluster.start(every[1])
            await until(lambda: not every[1].running, "it refuses to start")
            assert every[1].said("cannot start: this server")

            # One dies for good: it is removed, and another is added in its place.
            leader = await cluster.leader()
            dead = next(server for server in cluster.servers[1:] if server is not leader)
            dead.kill()
            await until(lambda: _misses(leader, dead), "the leader misses it")
            unhealthy = await operator.run("member", "add", "s6", "--peer-urls=http://127.0.0.1:1")
            assert unhealthy.status != 0
            assert "etcdserver: unhealthy cluster" in unhealthy.complaint
            await operator.remove(dead)
            every.append(await operator.add("s6"))
            cluster.servers.append(every[-1])
            await workload.progress(30, "with the replacement")
            assert set(await operator.members()) == {server.name for server in cluster.servers}

            # Each member knows the cluster by its own data: all of them end, and start with the flags they had.
            for server in cluster.servers:
                server.kill()
            for server in cluster.servers:
                cluster.start(server)
            await workload.stop()
            await workload.verify()
        finally:
            for server in every:
                if server.running:
                    server.kill()


async def test_every_member_is_replaced_under_load(tmp_path: Path) -> None:
    """One by one: learner, vote, removal of an old member, the leader among them; writes go on, and none is lost."""
    rng = random.Random(8)
    # Short logs, so that each newcomer begins with a snapshot.
    flags = ("--snapshot-count", "100", "--experimental-snapshot-catchup-entries", "20")
    async with ProcessCluster(tmp_path, 3, *flags) as cluster, Workload(cluster, rng, writers=4) as workload:
        operator = Operator(cluster)
        old = list(cluster.servers)
        every = list(old)
        try:
            await workload.progress(300, "at first")
            for number in range(3):
                newcomer = await operator.add(f"n{number + 1}", "--learner")
                every.append(newcomer)
                assert (await operator.members())[newcomer.name]["learner"]
                await workload.progress(20, f"while {newcomer.name} learns")
                await operator.promote(newcomer.name)
                cluster.servers.append(newcomer)
                await workload.progress(20, f"with {newcomer.name}")
                leaves = await cluster.leader()
                if leaves not in old:
                    leaves = next(server for server in cluster.servers if server in old)
                await operator.remove(leaves, asked=newcomer)
                await until(lambda leaves=leaves: not leaves.running, f"{leaves.name} ends")
                assert leaves.process.returncode == 0
                await workload.progress(50, f"without {leaves.name}")
            assert set(await operator.members()) == {"n1", "n2", "n3"} == {server.name for server in cluster.servers}
            assert sum(server.said("became leader") > 0 for server in old), "a leader was among the removed"
            assert all(server.said("restored snapshot") for server in cluster.servers)
            await workload.stop()
            await workload.verify()
            print(f"{len(workload.acknowledged)} acknowledged, {workload.failures} failed")

            # None of the old ones can come back, and the new ones need none of them.
            term = (await cluster.status(cluster.servers[0])).raftTerm
            for server in old:
                cluster.start(server)
                await until(lambda server=server: not server.running, f"{server.name} refuses to start")
            for server in cluster.servers:
                server.kill()
            for server in cluster.servers:
                cluster.start(server)
            await workload.verify()
            assert (await cluster.status(cluster.servers[0])).raftTerm > term
        finally:
            for server in every:
                if server.running:
                    server.kill()


@pytest.mark.parametrize("flags", [(), ("--pre-vote=false",)], ids=["pre-vote", "no-pre-vote"])
async def test_a_member_removed_while_away_disturbs_nobody(tmp_path: Path, flags: tuple[str, ...]) -> None:
    """It comes back with the disk it had: it is told, and ends; term and leader stay, even if it campaigns unasked."""
    rng = random.Random(9)
    async with ProcessCluster(tmp_path, 4, *flags) as cluster, Workload(cluster, rng, writers=2) as workload:
        operator = Operator(cluster)
        leader = await cluster.leader()
        away = next(server for server in cluster.servers if server is not leader)
        away.kill()
        await until(lambda: _misses(leader, away), "the leader misses it")
        await operator.remove(away, asked=leader)
        await workload.progress(30, "without it")
        term = (await cluster.status(leader)).raftTerm
        cluster.start(away)
        try:
            await workload.progress(100, "while it is back")
            await until(lambda: not away.running, "it ends")
            assert away.said("this server was removed from the cluster")
            assert (await cluster.status(leader)).raftTerm == term
            assert await cluster.leader() is leader
            await workload.stop()
            await workload.verify()
        finally:
            if away.running:
                away.kill()


async def _leads(cluster: ProcessCluster, server: ServerProcess) -> bool:
    status = await cluster.status(server)
    return not isinstance(status, Failure) and status.leader == status.header.member_id


def _misses(server: ServerProcess, other: ServerProcess) -> bool:
    lost = [
        record["msg"]
        for record in server.records()
        if f"not established at 127.0.0.1:{other.peer_port}" in record["msg"]
    ]
    return bool(lost)


async def test_who_may_not_join(tmp_path: Path) -> None:
    """A server nobody added, one whose data were lost, and one that asks nobody: each says why it cannot start."""
    async with ProcessCluster(tmp_path) as cluster:
        stranger = cluster.new_server("s9")
        stranger.initial_cluster = f"s9={stranger.peer_url},s1={cluster.servers[0].peer_url}"
        alone = cluster.new_server("s8")
        alone.initial_cluster = f"s8={alone.peer_url}"
        forgetful = cluster.servers[2]
        await until(lambda: _all_started(cluster), "all have told their names")
        forgetful.kill()
        forgetful.data_dir.rename(tmp_path / "lost")
        for server, why in (
            (forgetful, "has already been part of the cluster, but its data are not in"),
            (alone, "--initial-cluster names no other member to ask"),
            (stranger, "the cluster has no member with peer URLs"),
        ):
            cluster.start(server)
            await until(lambda server=server: not server.running, f"{server.name} ends")
            assert server.process.returncode == 1
            assert any(why in record["msg"] for record in server.records()), server.log.read_text()
        answer = await cluster.client(cluster.servers[0]).call("KV.Range", RangeRequest(key=b"k"))
        assert not isinstance(answer, Failure)


async def _all_started(cluster: ProcessCluster) -> bool:
    answers = [
        await cluster.client(server).call("Cluster.MemberList", MemberListRequest()) for server in cluster.servers
    ]
    return all(not isinstance(each, Failure) and all(member.name for member in each.members) for each in answers)
