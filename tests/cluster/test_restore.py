"""A backup of a real etcd becomes a cluster of real servers of ours, and a backup of that another one."""

import asyncio
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.support.etcd_process import EtcdProcess, etcd_3_5, etcdctl_3_5
from tests.support.etcdctl import etcdctl
from tests.support.grpc_client import EtcdClient
from tests.support.operator import Operator
from tests.support.process_cluster import ProcessCluster, ServerProcess, until
from tests.support.workload import Workload

from oarlock.etcd.proto.rpc_pb2 import CompactionRequest, HashKVRequest, PutRequest, RangeRequest

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]


def restore(cluster: ProcessCluster, server: ServerProcess, backup: Path) -> dict[str, Any]:
    """Run `oarlock restore` with the flags that the server will be started with."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "oarlock.cli.main", "restore", str(backup), "--json"),
            *("--name", server.name, "--data-dir", str(server.data_dir)),
            *("--initial-cluster", ",".join(f"{each.name}={each.peer_url}" for each in cluster.planned)),
            *("--initial-advertise-peer-urls", server.peer_url),
        ],
        capture_output=True,
        text=True,
        env={name: value for name, value in os.environ.items() if not name.startswith("ETCD")},
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


async def all_keys(client: EtcdClient) -> list[tuple[bytes, bytes, int, int, int]]:
    answer = await client.call("KV.Range", RangeRequest(key=b"\0", range_end=b"\0"))
    return [(kv.key, kv.value, kv.create_revision, kv.mod_revision, kv.version) for kv in answer.kvs]


async def save(endpoint: str, path: Path) -> Path:
    saved = await etcdctl(etcdctl_3_5(), endpoint, "snapshot", "save", str(path))
    assert saved.status == 0, saved.complaint
    return path


async def test_from_etcd_to_ours_and_on(tmp_path: Path) -> None:
    """Three restored servers hold etcd's data and HashKV, take writes and a fourth member, and turn the empty away."""
    (tmp_path / "etcd").mkdir()
    with EtcdProcess(etcd_3_5(), tmp_path / "etcd") as source:
        async with EtcdClient(source.endpoint) as client:
            for number in range(200):
                await client.call("KV.Put", PutRequest(key=b"/registry/%d" % (number % 60), value=bytes(number)))
            await client.call("KV.Compact", CompactionRequest(revision=80, physical=True))
            backup = await save(source.endpoint, tmp_path / "backup.db")
            hashed = await client.call("Maintenance.HashKV", HashKVRequest(revision=0))
            expected = await all_keys(client)
    cluster = ProcessCluster(tmp_path)
    shown = [await asyncio.to_thread(restore, cluster, server, backup) for server in cluster.servers]
    assert {(each["hash"], each["revision"]) for each in shown} == {(hashed.hash, hashed.header.revision)}
    async with cluster:
        for server in cluster.servers:
            assert server.said("this server's data were restored on")
            answer = await cluster.client(server).call(
                "Maintenance.HashKV", HashKVRequest(revision=hashed.header.revision)
            )
            assert (answer.hash, answer.compact_revision) == (hashed.hash, hashed.compact_revision)
            assert f"{answer.header.cluster_id:x}" == shown[0]["cluster_id"]
        assert await all_keys(cluster.client(cluster.servers[1])) == expected
        await _lives_on(cluster)
        second = await save(cluster.servers[0].endpoint, tmp_path / "second.db")
        hashed = await cluster.client(cluster.servers[0]).call("Maintenance.HashKV", HashKVRequest(revision=0))
        expected = await all_keys(cluster.client(cluster.servers[0]))
    (tmp_path / "again").mkdir()
    again = ProcessCluster(tmp_path / "again", 1)
    only = again.servers[0]
    assert (await asyncio.to_thread(restore, again, only, second))["hash"] == hashed.hash
    async with again:
        assert await all_keys(again.client(only)) == expected


async def _lives_on(cluster: ProcessCluster) -> None:
    """Writes, restarts, a new member that gets everything, and a member that forgot to restore."""
    async with Workload(cluster, random.Random(5), writers=3) as workload:
        await workload.progress(50, "after the restore")
        operator = Operator(cluster)
        fourth = await operator.add("s4", "--learner")
        try:
            await operator.promote("s4")
            cluster.servers.append(fourth)
            for server in cluster.servers[:3]:
                server.kill()
                cluster.start(server)
                await workload.progress(20, f"after {server.name} was killed")
            await workload.stop()
            await workload.verify()
            forgetful = cluster.servers[2]
            forgetful.kill()
            forgetful.data_dir.rename(forgetful.data_dir.with_name("kept"))
            cluster.start(forgetful)
            await until(lambda: not forgetful.running, "it refuses to start")
            assert forgetful.said("cannot start: a server of --initial-cluster belongs to cluster")
            forgetful.data_dir.with_name("kept").rename(forgetful.data_dir)
            cluster.start(forgetful)
            await cluster.ready()
        finally:
            if fourth.running and fourth not in cluster.servers:
                fourth.kill()
