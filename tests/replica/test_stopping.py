"""A node lets go of its directory, however its end comes about."""

import asyncio
from pathlib import Path

from tests.support.ports import free_ports

from oarlock.replica.node import Node
from oarlock.replica.objects.counter import ReplicatedCounter
from oarlock.replica.settings import Settings


def _node(port: int, directory: Path) -> Node:
    address = f"127.0.0.1:{port}"
    settings = Settings(disk_reserve_bytes=0, own_thread=False)
    return Node(address, data_dir=directory, peers=[address], objects=[ReplicatedCounter("visits")], settings=settings)


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
