"""A node lets go of its directory, however its end comes about."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.support.ports import free_ports

from oarlock.replica.errors import Stopped
from oarlock.replica.node import Node
from oarlock.replica.object import ReplicatedObject
from oarlock.replica.objects import (
    LeaderElection,
    ReplicatedBarrier,
    ReplicatedCounter,
    ReplicatedLock,
    ReplicatedQueue,
    ReplicatedScheduler,
)
from oarlock.replica.settings import Settings


def _node(port: int, directory: Path, objects: Sequence[ReplicatedObject] | None = None) -> Node:
    address = f"127.0.0.1:{port}"
    settings = Settings(disk_reserve_bytes=0, own_thread=False)
    objects = [ReplicatedCounter("visits")] if objects is None else objects
    return Node(address, data_dir=directory, peers=[address], objects=objects, settings=settings)


async def test_a_stop_that_is_cancelled_before_it_begins_still_frees_the_directory(tmp_path: Path) -> None:
    """All tasks cancelled at the moment at which a stop was asked for, the directory can be used by the next node."""
    [port] = free_ports(1)
    node = _node(port, tmp_path)
    await node.start()
    caller = asyncio.create_task(node.stop())
    await asyncio.sleep(0)  # the caller has made the task that stops; that has not run yet
    [stopping] = [task for task in asyncio.all_tasks() if task.get_name() == "oarlock-stop"]
    stopping.cancel()
    caller.cancel()
    await asyncio.wait([caller])
    assert caller.cancelled()
    async with _node(port, tmp_path) as again:
        await again.ready(10.0)


async def _idle(_: object = None) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("what", ["get", "put", "acquire", "wait", "campaign", "run"])
async def test_whoever_waits_is_told_that_the_node_has_stopped(what: str, tmp_path: Path) -> None:
    """A getter, a putter, a waiter for a lock or a barrier, a candidate and a scheduler end when their node stops."""
    queue, barrier = ReplicatedQueue[int]("queue", maxsize=1), ReplicatedBarrier("barrier", 2)
    full, lock = ReplicatedQueue[int]("full", maxsize=1), ReplicatedLock("lock")
    election, scheduler = LeaderElection("election"), ReplicatedScheduler("scheduler")
    scheduler.job("idle", every_ms=1000)(_idle)
    [port] = free_ports(1)
    node = _node(port, tmp_path, [queue, full, lock, barrier, election, scheduler])
    await node.start()
    await full.put(1)
    await lock.acquire(owner="another")
    waits: dict[str, Callable[[], Coroutine[Any, Any, object]]] = {
        "get": queue.get,
        "put": lambda: full.put(2),
        "acquire": lock.acquire,
        "wait": barrier.wait,
        "campaign": lambda: election.campaign(_idle, lease_ms=60_000),
        "run": scheduler.run,
    }
    waiting = asyncio.create_task(waits[what]())
    await asyncio.sleep(0.2)
    await node.stop()
    async with asyncio.timeout(20.0):
        with pytest.raises(Stopped):
            await waiting
    if what == "get":
        with pytest.raises(Stopped):
            await queue.get()
