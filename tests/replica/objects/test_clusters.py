"""Each object on three real servers whose leader fails meanwhile: what clients were told is judged by a model."""

import asyncio
import random
from pathlib import Path

import pytest
from tests.support.alone import image_of
from tests.support.node_cluster import eventually
from tests.support.object_cluster import ObjectCluster, persistently
from tests.support.object_workloads import WORKLOADS, noting

from oarlock.check import Recorder, check_history
from oarlock.replica.object import ReplicatedObject
from oarlock.replica.objects import (
    LeaderElection,
    Lease,
    ReplicatedBarrier,
    ReplicatedLock,
    ReplicatedQueue,
    ReplicatedScheduler,
    ReplicatedSemaphore,
    Run,
)

CLIENTS = 4


@pytest.mark.parametrize("name", WORKLOADS)
async def test_object_is_linearizable_while_its_leader_fails(name: str, tmp_path: Path) -> None:
    """Answers through all servers, before, during and after a failure, fit one order of the operations.

    Afterwards all copies, that of the server which failed and came back among them, are the same byte for byte.
    """
    workload = WORKLOADS[name]
    recorder = Recorder()
    async with ObjectCluster(tmp_path, lambda: [workload.make()]) as cluster:
        asked = 0

        async def client(number: int) -> None:
            nonlocal asked
            rng = random.Random(f"{name} {number}")
            while asked < workload.operations:
                asked += 1
                target = rng.choice(cluster.each())
                own = f"client {number}"
                await workload.step(target, noting(recorder, own), own, rng)

        clients = [asyncio.ensure_future(client(number)) for number in range(CLIENTS)]
        await eventually(lambda: asked > workload.operations // 3, "a third of the work")
        failed = await cluster.leader()
        await cluster.crash(failed)
        await asyncio.gather(*clients)
        await cluster.start(failed)
        await asyncio.gather(*(persistently(node.ready) for node in cluster.nodes.values()))
        assert len({image_of(copy) for copy in cluster.each()}) == 1
    history = recorder.history()
    assert sum(operation.return_ is not None for operation in history.operations) > workload.operations // 2
    report = check_history(history, workload.model)
    assert report.ok, report.sentence


async def test_waiters_on_all_servers_get_what_they_wait_for(tmp_path: Path) -> None:
    """Getters of a queue, users of a lock and of a semaphore, and parties of a barrier wait through a failing leader."""

    def make() -> list[ReplicatedObject]:
        return [
            ReplicatedQueue("queue"),
            ReplicatedLock("lock"),
            ReplicatedSemaphore("semaphore", 2),
            ReplicatedBarrier("barrier", 3),
        ]

    async with ObjectCluster(tmp_path, make) as cluster:
        failed = await cluster.leader()
        stays = [number for number in cluster.nodes if number != failed]
        queues, locks, semaphores, barriers = ([cluster.objects[n][k] for n in stays] for k in range(4))

        got = [asyncio.ensure_future(queue.get()) for queue in queues for _ in range(2)]
        held = await locks[0].acquire(lease_ms=60_000)
        waits = asyncio.ensure_future(locks[1].acquire(lease_ms=60_000))
        permits = [await semaphores[0].acquire(lease_ms=60_000) for _ in range(2)]
        third = asyncio.ensure_future(semaphores[1].acquire(lease_ms=60_000))
        parties = [asyncio.ensure_future(barriers[0].wait()), asyncio.ensure_future(barriers[1].wait())]
        await eventually(lambda: barriers[0].n_waiting == 2 and locks[0].waiting() and semaphores[0].waiting(), "them")
        await cluster.crash(failed)
        await persistently(lambda: queues[0].put_many([1, 2, 3, 4]))
        assert sorted(await asyncio.gather(*got)) == [1, 2, 3, 4]
        await locks[0].release(held)
        assert (await waits).token > held.token
        await semaphores[0].release(permits[0])
        assert (await third).token > permits[1].token
        assert sorted(await asyncio.gather(*parties, barriers[0].wait())) == [0, 1, 2]


async def test_a_dead_leaders_work_is_taken_over(tmp_path: Path) -> None:
    """When the server of the elected worker dies, another is elected with a higher token, and jobs go on running once."""
    ran: list[tuple[int, Run]] = []
    led: list[tuple[int, int]] = []

    def make() -> list[ReplicatedObject]:
        return [LeaderElection("election"), ReplicatedScheduler("scheduler")]

    async with ObjectCluster(tmp_path, make) as cluster:
        tasks = {}

        def take_part(number: int) -> None:
            election, scheduler = cluster.objects[number]

            @scheduler.job("job", every_ms=100, lease_ms=1000)
            async def job(run: Run) -> None:
                ran.append((number, run))

            async def lead(lease: Lease) -> None:
                led.append((number, lease.token))

            tasks[number] = asyncio.gather(
                scheduler.run(), election.campaign(lead, candidate=f"worker {number}", lease_ms=1000)
            )

        for number in cluster.nodes:
            take_part(number)
        await eventually(lambda: led and len(ran) >= 3, "an elected worker and some runs")
        dead = led[0][0]
        await cluster.crash(dead)
        tasks[dead].cancel()
        before = len(ran)
        await eventually(lambda: len(led) >= 2 and len(ran) >= before + 3, "another worker, and more runs")
        assert led[1][0] != dead
        assert led[1][1] > led[0][1]
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
    due = [run.due_ms for _, run in ran]
    assert len(set(due)) == len(due)
    assert sorted(run.token for _, run in ran) == [run.token for _, run in sorted(ran, key=lambda one: one[1].due_ms)]
