"""Three servers of the library in one process, with real files and sockets, whose leader can be made to fail."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from tests.support.node_cluster import eventually
from tests.support.ports import free_ports

from oarlock.replica.errors import OarlockError
from oarlock.replica.node import Node
from oarlock.replica.object import ReplicatedObject
from oarlock.replica.settings import Settings

SETTINGS = Settings(
    election_timeout_ms=300, heartbeat_interval_ms=30, disk_reserve_bytes=0, slow_command_ms=10_000, own_thread=False
)


class ObjectCluster:
    """Servers 0 to n - 1, each with objects of its own."""

    def __init__(self, directory: Path, make: Callable[[], list[ReplicatedObject]], size: int = 3) -> None:
        self.directory = directory
        self.make = make
        self.addresses = [f"127.0.0.1:{port}" for port in free_ports(size)]
        self.nodes: dict[int, Node] = {}
        self.objects: dict[int, list[Any]] = {}

    async def __aenter__(self) -> Self:
        await asyncio.gather(*(self.start(number) for number in range(len(self.addresses))))
        await asyncio.gather(*(node.ready() for node in self.nodes.values()))
        return self

    async def __aexit__(self, *exception: object) -> None:
        await asyncio.gather(*(node.stop() for node in self.nodes.values()))

    async def start(self, number: int) -> None:
        """Start a server, from what its directory holds."""
        objects = self.make()
        node = Node(
            self.addresses[number],
            data_dir=self.directory / str(number),
            peers=self.addresses,
            objects=objects,
            settings=SETTINGS,
        )
        await node.start()
        self.nodes[number], self.objects[number] = node, objects

    async def stop(self, number: int) -> None:
        """Stop a server in order."""
        await self.nodes.pop(number).stop()
        del self.objects[number]

    async def crash(self, number: int) -> None:
        """End a server without notice: it hands over nothing, and says nothing to anybody."""
        node = self.nodes.pop(number)
        del self.objects[number]
        node._running.fail(OSError("the test pulls the plug"))
        await node.stop()

    async def leader(self) -> int:
        """Which server leads, as soon as one does."""
        await eventually(lambda: any(node.is_leader for node in self.nodes.values()), "a leader")
        return next(number for number, node in self.nodes.items() if node.is_leader)

    def each(self, position: int = 0) -> list[Any]:
        """One object, as each server that runs has it."""
        return [self.objects[number][position] for number in sorted(self.objects)]


async def persistently(ask: Callable[[], Any]) -> Any:
    """Ask again and again what may be asked twice, until it is answered."""
    while True:
        try:
            return await ask()
        except OarlockError:
            await asyncio.sleep(0.02)
