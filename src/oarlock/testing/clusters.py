"""Clusters in one process, on real time and real files, for tests of what is replicated."""

import asyncio
import contextlib
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from oarlock.raft.types import ServerId
from oarlock.replica.node import Node
from oarlock.replica.object import ReplicatedObject
from oarlock.replica.settings import Environment, Settings
from oarlock.replica.statemachine import DiskStateMachine, StateMachine
from oarlock.transport.tcp import TcpTransport
from oarlock.transport.tls import PeerTls

Objects = Callable[[], Sequence[ReplicatedObject]]

SETTINGS: Final = Settings(election_timeout_ms=300, heartbeat_interval_ms=30, disk_reserve_bytes=0)
"""Quicker than a real cluster's, as all servers share one machine, and little is lost by an election too many."""

_NAME: Final = "testing"
_POLL_S: Final = 0.01
_DEADLINE_S: Final = 20.0


class Cluster:
    """Servers 0, 1, ... of one cluster.

    Attributes:
        nodes: The running nodes, by number.
    """

    def __init__(
        self,
        directory: Path,
        size: int,
        *,
        objects: Objects | None = None,
        machine: Callable[[], StateMachine | DiskStateMachine] | None = None,
        settings: Settings = SETTINGS,
        token: str | None = "testing",  # noqa: S107 - of servers on this machine alone
        tls: PeerTls | None = None,
    ) -> None:
        self.nodes: dict[int, Node] = {}
        self._directory = directory
        self._objects = objects
        self._machine = machine
        self._settings = settings
        self._token = token
        self._tls = tls
        self._addresses = [f"127.0.0.1:{port}" for port in _free_ports(size)]
        self._founders = tuple(self._addresses)
        self._sides: dict[ServerId, int] | None = None

    def address(self, number: int) -> str:
        """Where a server is reached."""
        return self._addresses[number]

    def data_dir(self, number: int) -> Path:
        """A server's directory."""
        return self._directory / f"server{number}"

    def objects(self, number: int) -> Sequence[Any]:
        """A running server's objects, as `objects=` made them."""
        return self.nodes[number].objects

    # -- servers -----------------------------------------------------------------------------------------------------

    async def start(self, number: int, **changes: Any) -> Node:  # noqa: ANN401 - arguments of Node
        """Start a server, from what its directory holds.

        Args:
            number: Of a server that does not run.
            changes: Other arguments for its `Node`.
        """
        arguments: dict[str, Any] = {
            "data_dir": self.data_dir(number),
            "name": _NAME,
            "token": self._token,
            "tls": self._tls,
            "settings": self._settings,
            "environment": Environment(transport=self._transport_class(), check_invariants=True),
        }
        if self._objects is not None:
            arguments["objects"] = self._objects()
        if self._machine is not None:
            arguments["machine"] = self._machine()
        if number < len(self._founders):
            arguments["peers"] = self._founders
        else:
            arguments["join"] = next(node.address for key, node in self.nodes.items() if key != number)
        node = Node(self._addresses[number], **(arguments | changes))
        await node.start()
        self.nodes[number] = node
        return node

    async def add(self, **changes: Any) -> Node:  # noqa: ANN401
        """Have another server join."""
        self._addresses += [f"127.0.0.1:{port}" for port in _free_ports(1)]
        return await self.start(len(self._addresses) - 1, **changes)

    async def stop(self, number: int) -> None:
        """Stop a server in order."""
        await self.nodes.pop(number).stop()

    async def restart(self, number: int, **changes: Any) -> Node:  # noqa: ANN401
        """Stop a server and start it anew."""
        if number in self.nodes:
            await self.stop(number)
        return await self.start(number, **changes)

    async def close(self) -> None:
        """Stop all."""
        await asyncio.gather(*(node.stop() for node in self.nodes.values()))
        self.nodes.clear()

    # -- who leads -----------------------------------------------------------------------------------------------------

    async def leader(self, among: Collection[int] | None = None) -> int:
        """Wait for a server that leads, and that all the others named follow; its number."""

        def find() -> int | None:
            asked = {number: node for number, node in self.nodes.items() if among is None or number in among}
            told = {node.leader for node in asked.values()}
            if len(told) != 1:
                return None
            address = told.pop()
            return next((key for key, node in asked.items() if node.is_leader and node.address == address), None)

        await eventually(lambda: find() is not None, "a leader that all follow")
        leader = find()
        return leader if leader is not None else await self.leader(among)

    async def follower(self) -> int:
        """Wait for a leader; the number of another server."""
        leader = await self.leader()
        return next(number for number in sorted(self.nodes) if number != leader)

    # -- the network ---------------------------------------------------------------------------------------------------

    def part(self, *sides: Collection[int]) -> None:
        """Cut the network: a server reaches those of its own side; one that is on none reaches nobody."""
        by_number = {number: side for side, numbers in enumerate(sides) for number in numbers}
        self._sides = {
            node.server_id: by_number.get(number, -1 - number) for number, node in sorted(self.nodes.items())
        }

    def heal(self) -> None:
        """Let everybody reach everybody."""
        self._sides = None

    def _reaches(self, source: ServerId, target: ServerId) -> bool:
        sides = self._sides
        return sides is None or sides.get(source) == sides.get(target)

    def _transport_class(self) -> type[TcpTransport]:
        reaches = self._reaches

        class CuttableTransport(TcpTransport):
            """TCP that loses what goes to the other side of a cut."""

            def send(self, to: ServerId, payload: bytes) -> bool:
                return not reaches(self._own.server_id, to) or super().send(to, payload)

            def send_bulk(self, to: ServerId, payload: bytes) -> bool:
                return not reaches(self._own.server_id, to) or super().send_bulk(to, payload)

        return CuttableTransport


@contextlib.asynccontextmanager
async def cluster(
    size: int = 3,
    *,
    objects: Objects | None = None,
    machine: Callable[[], StateMachine | DiskStateMachine] | None = None,
    settings: Settings | None = None,
    directory: Path | None = None,
    token: str | None = "testing",  # noqa: S107 - of servers on this machine alone
    tls: PeerTls | None = None,
    **changes: Any,  # noqa: ANN401 - settings
) -> AsyncIterator[Cluster]:
    """Run a cluster for as long as the block lasts.

    ::

        async with cluster(3, objects=lambda: [ReplicatedCounter("visits")]) as servers:
            [visits] = servers.objects(0)
            assert await visits.add(1) == 1

    Args:
        size: How many servers it begins with.
        objects: Makes a server's objects; called for each start of each server.
        machine: Makes a server's state machine, instead.
        settings: Of all nodes; None for quick elections.
        directory: Where their directories are; None for a temporary one.
        token: That servers must know to join.
        tls: Files for all servers.
        changes: Single settings, by name.
    """
    chosen = msgspec.structs.replace(settings or SETTINGS, **changes)
    place = directory or Path(tempfile.mkdtemp(prefix="oarlock-"))
    servers = Cluster(place, size, objects=objects, machine=machine, settings=chosen, token=token, tls=tls)
    try:
        for number in range(size):
            await servers.start(number)
        yield servers
    finally:
        await servers.close()
        if directory is None:
            shutil.rmtree(place, ignore_errors=True)


async def eventually(condition: Callable[[], Any], what: str, deadline_s: float = _DEADLINE_S) -> None:
    """Wait until a condition holds.

    Raises:
        AssertionError: It did not in time.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + deadline_s
    while not condition():
        if loop.time() > end:
            raise AssertionError(f"not within {deadline_s:.0f} s: {what}")
        await asyncio.sleep(_POLL_S)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        return list(_bound(sockets))


def _bound(sockets: Sequence[socket.socket]) -> Iterator[int]:
    for one in sockets:
        one.bind(("127.0.0.1", 0))
        yield one.getsockname()[1]
