"""A cluster of real nodes in one process: real files, an in-process network or TCP, and the means to hurt them."""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from tests.support.node_machine import WordsMachine
from tests.support.ports import free_ports

from oarlock.node.addresses import format_address
from oarlock.node.config import NodeConfig
from oarlock.node.members import Change, ChangeKind
from oarlock.node.node import Node
from oarlock.storage.disk import Disk, PosixDisk
from oarlock.transport.inprocess import InProcessNetwork
from oarlock.transport.tcp import TcpTransport

CLUSTER_ID = 0xC1
DEADLINE_S = 20.0
"""For anything that must come true; generous, as machines that run tests are busy."""


async def eventually(condition: Callable[[], Any], what: str, deadline_s: float = DEADLINE_S) -> Any:
    """Wait until `condition` gives something true, and give that."""
    loop = asyncio.get_running_loop()
    end = loop.time() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        if loop.time() > end:
            raise AssertionError(f"not within {deadline_s:.0f} s: {what}")
        await asyncio.sleep(0.005)


class NodeCluster:
    """Servers 1 to n, each with a directory of its own under `directory`."""

    def __init__(
        self,
        directory: Path,
        size: int = 3,
        *,
        tcp: bool = False,
        durable: bool = True,
        disks: dict[int, Disk] | None = None,
        **settings: Any,
    ) -> None:
        self.directory = directory
        self.durable = durable
        self.disks = disks or {}
        self.settings = {
            "election_timeout_ms": 300,
            "heartbeat_interval_ms": 30,
            "segment_bytes": 1 << 16,
            "disk_reserve_bytes": 0,
        } | settings
        ports = free_ports(size)
        self.members = {server_id: (("127.0.0.1", ports[server_id - 1]),) for server_id in range(1, size + 1)}
        self.tcp = tcp
        self.network: InProcessNetwork | None = None
        self.nodes: dict[int, Node] = {}
        self.failures: dict[int, BaseException] = {}
        self.joined: set[int] = set()
        """Servers that were added to the running cluster."""
        self.removed: list[int] = []
        """Servers that have learnt of their removal, in order."""
        self.boots = 0
        self.boot_epoch = 1

    async def __aenter__(self) -> Self:
        for server_id in self.members:
            await self.start(server_id)
        self.hurry(1)
        return self

    async def __aexit__(self, *exception: object) -> None:
        await asyncio.gather(*(node.stop() for node in self.nodes.values()))

    # -- servers -------------------------------------------------------------------------------------------------

    def data_dir(self, server_id: int) -> Path:
        return self.directory / f"server{server_id}"

    def node(self, server_id: int, **settings: Any) -> Node:
        """Build a node, not started."""
        loop = asyncio.get_running_loop()
        if self.network is None:
            self.network = InProcessNetwork(loop)
        network = self.network
        self.boots += 1
        rng = random.Random(f"{server_id} {self.boots}")
        config = NodeConfig(
            cluster_id=CLUSTER_ID,
            server_id=server_id,
            data_dir=str(self.data_dir(server_id)),
            **({"members": self.members, "joins": server_id in self.joined} | self.settings | settings),
        )

        def open_transport(on_message: Any, on_unreachable: Any) -> Any:
            if self.tcp:
                return TcpTransport(loop, CLUSTER_ID, server_id, rng, None, on_message, on_unreachable)
            return network.transport(server_id, on_message, on_unreachable)

        return Node(
            config,
            disk=self.disks.get(server_id) or PosixDisk(),
            rng=rng,
            open_transport=open_transport,
            open_machine=lambda: WordsMachine(server_id, self.data_dir(server_id) / "words" if self.durable else None),
            listen=self.members[server_id],
            boot_epoch=self.boot_epoch,
            on_fatal=lambda error: self.failures.setdefault(server_id, error),
            on_removed=lambda: self.removed.append(server_id),
            check_invariants=True,
        )

    async def start(self, server_id: int, **settings: Any) -> Node:
        """Start a server, from what its directory holds."""
        node = self.node(server_id, **settings)
        await node.start()
        self.nodes[server_id] = node
        return node

    def change(self, kind: ChangeKind, server_id: int) -> Change:
        """A change with the server's address, which it gets here if it is new."""
        if server_id not in self.members:
            self.members[server_id] = (("127.0.0.1", free_ports(1)[0]),)
            self.joined.add(server_id)
        adds = kind in (ChangeKind.ADD_VOTER, ChangeKind.ADD_LEARNER, ChangeKind.UPDATE)
        addresses = tuple(format_address(address) for address in self.members[server_id])
        return Change(kind, server_id, addresses if adds else ())

    async def add(self, server_id: int, kind: ChangeKind = ChangeKind.ADD_VOTER) -> Node:
        """Add a server to the cluster and start it."""
        asked = next(iter(self.nodes.values()))
        await asked.change_membership([self.change(kind, server_id)])
        return await self.start(server_id)

    def hurry(self, server_id: int) -> None:
        """Have a server campaign now, as if it had waited its time: tests need not wait for that."""
        owner = self.nodes[server_id]._owner
        owner.raft.state.election_wait = 0.0
        owner.elections.look_again()

    async def stop(self, server_id: int) -> None:
        """Stop a server in order."""
        await self.nodes.pop(server_id).stop()

    async def crash(self, server_id: int) -> None:
        """End a server without its flushing or saying anything; what its disk holds stays."""
        node = self.nodes.pop(server_id)
        await node.transport.close()
        for task in node._tasks:
            task.cancel()
        await asyncio.gather(*node._tasks, return_exceptions=True)
        node._failure = node._failure or RuntimeError("crashed by the test")  # no last flush
        await node.stop()

    def part(self, *sides: set[int]) -> None:
        """Cut the network into sides that cannot reach each other; servers not named are alone."""
        assert self.network is not None
        side_of = {server_id: number for number, side in enumerate(sides) for server_id in side}
        for source in self.members:
            for target in self.members:
                if source == target:
                    continue
                together = source in side_of and side_of[source] == side_of.get(target)
                (self.network.mend if together else self.network.cut)(source, target)

    def heal(self) -> None:
        self.part(set(self.members))

    # -- what holds ------------------------------------------------------------------------------------------------

    def machine(self, server_id: int) -> WordsMachine:
        machine = self.nodes[server_id].machine
        assert isinstance(machine, WordsMachine)
        return machine

    async def leader(self, among: set[int] | None = None) -> Node:
        """Wait for a server that leads, and that every other running one named follows."""

        def find() -> Node | None:
            running = {key: node for key, node in self.nodes.items() if among is None or key in among}
            leaders = {node.leader_id for node in running.values()}
            terms = {node.status().term for node in running.values()}
            if len(leaders) == 1 and len(terms) == 1 and (leader := leaders.pop()) in running:
                return running[leader] if running[leader].is_leader else None
            return None

        node: Node = await eventually(find, "a leader that all follow")
        return node

    async def follower(self) -> Node:
        leader = await self.leader()
        return next(node for node in self.nodes.values() if node is not leader)

    async def all_applied(self) -> None:
        """Wait until every running server's machine holds the same, and all that is committed."""

        def same() -> bool:
            images = {self.machine(server_id).image() for server_id in self.nodes}
            commits = {node.status().commit_index for node in self.nodes.values()}
            applied = {node.status().applied_index for node in self.nodes.values()}
            return len(images) == 1 and commits == applied and len(commits) == 1

        await eventually(same, "all machines agree")
