"""Writers that remember what was acknowledged, and the check that nothing of it was lost."""

import asyncio
import random
from typing import Any, NamedTuple, Self

from tests.support.grpc_client import Failure
from tests.support.process_cluster import ProcessCluster, until

from oarlock.etcd.proto.rpc_pb2 import PutRequest, RangeRequest

DEFINITE = {"etcdserver: too many requests"}
"""Failures after which a put certainly did not happen; any other leaves that open."""
PAUSE_S = 0.005
"""Between the puts of a writer: at full speed they would take the processor from all that a test waits for."""


class Acknowledged(NamedTuple):
    """A put that the cluster confirmed."""

    key: bytes
    value: bytes
    revision: int


class Workload:
    """Writers, each putting keys of its own through servers picked at random, one after the other."""

    def __init__(self, cluster: ProcessCluster, rng: random.Random, writers: int = 6) -> None:
        self.cluster = cluster
        self.rng = rng
        self.acknowledged: list[Acknowledged] = []
        self.refused: set[bytes] = set()
        self.failures = 0
        self.stale: list[str] = []
        """What a linearizable read should have shown and did not."""
        self._running = True
        self._tasks = [asyncio.ensure_future(self._write(number)) for number in range(writers)]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _write(self, writer: int) -> None:
        last_revision = 0
        number = 0
        while self._running:
            number += 1
            key, value = b"w%d-%06d" % (writer, number), b"%d" % self.rng.randrange(1 << 30)
            server = self.rng.choice(self.cluster.servers)
            answer = await self.cluster.client(server).call("KV.Put", PutRequest(key=key, value=value), timeout_s=2)
            if isinstance(answer, Failure):
                self.failures += 1
                if answer.message in DEFINITE:
                    self.refused.add(key)
                await asyncio.sleep(0.02)
                continue
            if answer.header.revision <= last_revision:
                self.stale.append(f"{key!r} got revision {answer.header.revision} after {last_revision}")
            last_revision = answer.header.revision
            self.acknowledged.append(Acknowledged(key, value, last_revision))
            if number % 5 == 0:
                await self._read_back(self.acknowledged[-1])
            await asyncio.sleep(PAUSE_S)

    async def _read_back(self, put: Acknowledged) -> None:
        """A linearizable read through any server shows what was acknowledged before it began."""
        server = self.rng.choice(self.cluster.servers)
        answer = await self.cluster.client(server).call("KV.Range", RangeRequest(key=put.key), timeout_s=2)
        if not isinstance(answer, Failure):
            found = [(kv.value, kv.mod_revision) for kv in answer.kvs]
            if found != [(put.value, put.revision)]:
                self.stale.append(f"{put} read as {found} through {server.name}")

    async def progress(self, puts: int, what: str) -> None:
        """Wait until so many more puts are acknowledged."""
        target = len(self.acknowledged) + puts
        await until(lambda: len(self.acknowledged) >= target, f"{puts} writes go through {what}")

    async def stop(self) -> None:
        self._running = False
        await asyncio.gather(*self._tasks)

    async def verify(self) -> None:
        """Every acknowledged write is there, as acknowledged, on every member; revisions tell them all apart."""
        await self.cluster.ready()
        await self.cluster.agree()
        assert not self.stale, self.stale
        revisions = [put.revision for put in self.acknowledged]
        assert len(set(revisions)) == len(revisions), "two writes share a revision"
        for server in self.cluster.servers:
            found = await self._everything(server)
            for put in self.acknowledged:
                assert found.get(put.key) == (put.value, put.revision), (
                    f"{put} is {found.get(put.key)} on {server.name}"
                )
            assert not self.refused & set(found), "a write refused for certain was done"

    async def _everything(self, server: Any) -> dict[bytes, tuple[bytes, int]]:
        request = RangeRequest(key=b"\0", range_end=b"\0", serializable=True)
        answer = await self.cluster.client(server).call("KV.Range", request)
        assert not isinstance(answer, Failure), answer
        return {kv.key: (kv.value, kv.mod_revision) for kv in answer.kvs}
