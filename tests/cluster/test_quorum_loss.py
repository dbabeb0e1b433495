"""Two of three real servers are destroyed: the third goes on alone, grows again, and who comes back disturbs nobody."""

import asyncio
import base64
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.support.operator import Operator
from tests.support.process_cluster import ProcessCluster, ServerProcess, until
from tests.support.workload import Workload

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]


def recover(server: ServerProcess, *flags: str) -> "subprocess.CompletedProcess[str]":
    """Run `oarlock recover` as a person would."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ETCD_")}
    return subprocess.run(
        [sys.executable, "-m", "oarlock.cli.main", "recover", "--data-dir", str(server.data_dir), *flags],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env=environment,
        timeout=60,
        check=False,
    )


async def read_all(operator: Operator) -> dict[bytes, bytes]:
    """Every key, by etcdctl."""
    listed = json.loads(await operator.until_done("get", "", "--prefix", "-w", "json"))
    return {base64.b64decode(kv["key"]): base64.b64decode(kv["value"]) for kv in listed.get("kvs", [])}


async def test_the_third_goes_on(tmp_path: Path) -> None:
    """All acknowledged writes are there, two new members join, and the lost ones return to no effect, disks or none."""
    rng = random.Random(11)
    async with ProcessCluster(tmp_path) as cluster:
        first, second, third = every = list(cluster.servers)
        async with Workload(cluster, rng, writers=3) as workload:
            await workload.progress(60, "at first")
            await workload.stop()
        await cluster.agree()
        old_cluster = (await cluster.status(third)).header.cluster_id

        # While it runs, or the others do, nothing is done.
        in_use = await asyncio.to_thread(recover, third, "--yes-i-lost-the-majority")
        assert in_use.returncode == 1
        assert f"is in use by process {third.process.pid}" in in_use.stderr
        third.kill()
        alive = await asyncio.to_thread(recover, third, "--yes-i-lost-the-majority")
        assert alive.returncode == 1
        assert "3 of 3 voters seem to be there" in alive.stderr

        # The loss, and the way out.
        for server in (first, second):
            server.kill()
            server.data_dir.rename(tmp_path / f"{server.name}-lost")
        plan = json.loads((await asyncio.to_thread(recover, third, "--dry-run", "--json")).stdout)["plan"]
        assert {member["name"] for member in plan["members_given_up"]} == {"s1", "s2"}
        done = await asyncio.to_thread(recover, third, "--yes-i-lost-the-majority")
        assert done.returncode == 0, done.stderr
        assert Path(plan["backup"]).parent == tmp_path
        cluster.servers[:] = [third]
        cluster.start(third)
        await cluster.ready()
        assert third.said("this server was made the only voter on")
        new_cluster = (await cluster.status(third)).header.cluster_id
        assert new_cluster != old_cluster
        operator = Operator(cluster)
        assert await read_all(operator) == {put.key: put.value for put in workload.acknowledged}
        assert list(await operator.members()) == ["s3"]

        async with Workload(cluster, rng, writers=3) as more:
            try:
                await more.progress(30, "alone")
                for name in ("s4", "s5"):
                    every.append(await operator.add(name, "--learner"))
                    await operator.promote(name)
                    cluster.servers.append(every[-1])
                    await more.progress(30, f"with {name}")
                await _nobody_is_disturbed(cluster, more, first, second, tmp_path)
                await more.stop()
                await more.verify()
            finally:
                for server in every:
                    if server.running:
                        server.kill()


async def _nobody_is_disturbed(
    cluster: ProcessCluster, workload: Workload, first: ServerProcess, second: ServerProcess, directory: Path
) -> None:
    leader = await cluster.leader()
    term = (await cluster.status(leader)).raftTerm
    slow_writes = _slow_writes(cluster)

    # An empty directory and the old flags: were it to start, two such servers would be a majority of the old cluster.
    cluster.start(first)
    await until(lambda: not first.running, "it refuses to start")
    assert first.process is not None
    assert first.process.returncode == 1
    assert first.said("cannot start: a server of --initial-cluster belongs to cluster")

    # The disks that were thought to be lost: one, then both, which are a majority of the old cluster.
    for server in (first, second):
        (directory / f"{server.name}-lost").rename(server.data_dir)
        cluster.start(server)
        await until(lambda server=server: _says(server, "wrong cluster"), f"{server.name} is turned away")
        await workload.progress(30, f"while {server.name} is back")
    if _slow_writes(cluster) == slow_writes:  # a stalled disk costs an election, whoever is back
        assert (await cluster.status(leader)).raftTerm == term
        assert await cluster.leader() is leader


def _slow_writes(cluster: ProcessCluster) -> int:
    return sum(server.said("slow disk") for server in cluster.servers)


def _says(server: ServerProcess, text: str) -> list[Any]:
    return [record for record in server.records() if text in record["msg"]]
