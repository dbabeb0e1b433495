"""A group of servers on one network: who is connected to whom, who lives, and what each has on its disk.

One group is all a Raft needs; sharded services have several on one network. What a server consists of is for
`StartServer` to say, so that the same group carries a Raft, a key-value service on it, or a shard controller.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count
from typing import Protocol

from oarlock.lab.interface import Runtime
from oarlock.lab.network import ClientEnd, Network, Server
from oarlock.lab.persister import Persister


class Service(Protocol):
    """Part of a server; its public methods with one parameter are handlers of RPCs."""

    def kill(self) -> None:
        """Stop soon."""


StartServer = Callable[[Sequence[ClientEnd], int, Persister], Mapping[str, Service]]
"""`start_server(peers, me, persister)` begins a life of a server; its services by the names that RPCs call them."""

Links = list[tuple[int, int]]
"""Ways, each from one server to another."""


class OnLinks(Protocol):
    """Is told which ways changed."""

    def __call__(self, links: Links, *, opened: bool) -> None:
        """Ways were opened or shut."""


class ServerGroup:
    """Servers 0 to n-1. None lives at first; `start` begins lives, `connect` opens ways.

    Args:
        runtime: Where time comes from.
        network: Where to.
        name: Of the group, unique on its network.
        size: How many servers.
        start_server: Makes one.
    """

    def __init__(self, runtime: Runtime, network: Network, name: str, size: int, start_server: StartServer) -> None:
        self._runtime = runtime
        self._network = network
        self._start_server = start_server
        self.name = name
        self.size = size
        self.connected = [False] * size
        """Which servers `connect` was last called for."""
        self.services: list[Mapping[str, Service] | None] = [None] * size
        """Of the servers that live."""
        self.persisters = [Persister() for _ in range(size)]
        self.lives = [0] * size
        self.on_links: OnLinks | None = None
        """Is told of each change of the ways between servers."""
        self._ends: list[list[str]] = [[] for _ in range(size)]
        """The names of each server's ends to all, in this life."""
        self._clients = count(1)  # clients may be made in several threads at once

    @property
    def everyone(self) -> range:
        """All servers."""
        return range(self.size)

    def server_name(self, server: int) -> str:
        """How the network knows a server."""
        return f"{self.name}-{server}"

    # -- lives ---------------------------------------------------------------------------------------------------

    def start(self, server: int) -> None:
        """Begin a life from what the disk holds, with new ends and not connected; a life under way ends first."""
        self.crash(server)
        self.lives[server] += 1
        life = f"{self.server_name(server)}.{self.lives[server]}"
        names = [f"{life}->{other}" for other in self.everyone]
        ends = [self._network.make_end(name, self.server_name(to)) for to, name in enumerate(names)]
        self._ends[server] = names
        # The old life may still save to its own persister.
        self.persisters[server] = self.persisters[server].copy()
        services = self._start_server(ends, server, self.persisters[server])
        self.services[server] = services
        self._network.add_server(self.server_name(server), Server(services))

    def crash(self, server: int) -> None:
        """End a life: cut off first, then gone, its disk as it is now, and only then told to stop.

        Until it does it is a zombie, which keeps its old ends and its old persister.
        """
        self.disconnect(server)
        self._network.delete_server(self.server_name(server))
        self.persisters[server] = self.persisters[server].copy()
        services, self.services[server] = self.services[server], None
        for service in (services or {}).values():
            service.kill()

    def lives_now(self, server: int) -> bool:
        """Whether a server lives."""
        return self.services[server] is not None

    # -- ways ----------------------------------------------------------------------------------------------------

    def connect(self, server: int) -> None:
        """Open the ways between a server and all connected ones."""
        self.connected[server] = True
        others = [other for other in self.everyone if self.connected[other]]
        self._set(_both_ways(server, others), opened=True)

    def disconnect(self, server: int) -> None:
        """Shut all ways to and from a server."""
        self.connected[server] = False
        self._set(_both_ways(server, self.everyone), opened=False)

    def partition(self, *sides: Iterable[int]) -> None:
        """Leave open just the ways within each side; who is on no side is cut off."""
        within = {(source, to) for side in map(list, sides) for source in side for to in side}
        every = [(source, to) for source in self.everyone for to in self.everyone]
        self.connected = [(server, server) in within for server in self.everyone]
        self._set([way for way in every if way not in within], opened=False)
        self._set([way for way in every if way in within], opened=True)

    def heal(self) -> None:
        """Open all ways."""
        self.partition(self.everyone)

    def _set(self, ways: Links, *, opened: bool) -> None:
        changed = []
        for source, to in ways:
            if self._ends[source] and self._network.enable(self._ends[source][to], enabled=opened):
                changed.append((source, to))
        if changed and self.on_links is not None:
            self.on_links(changed, opened=opened)

    # -- clients -------------------------------------------------------------------------------------------------

    def client_ends(self, to: Iterable[int] | None = None) -> list[ClientEnd]:
        """New ends for a client to every server, of which those to `to` are open, by default all."""
        client = next(self._clients)
        opened = set(self.everyone if to is None else to)
        ends = []
        for server in self.everyone:
            name = f"{self.name}-client{client}->{server}"
            ends.append(self._network.make_end(name, self.server_name(server)))
            self._network.enable(name, enabled=server in opened)
        return ends

    def connect_client(self, ends: Sequence[ClientEnd], to: Iterable[int]) -> None:
        """Have a client reach just these servers."""
        opened = set(to)
        for server, end in enumerate(ends):
            self._network.enable(end.name, enabled=server in opened)

    # -- sizes ---------------------------------------------------------------------------------------------------

    def largest_raft_state(self) -> int:
        """The most bytes that any server holds persisted now, without snapshots."""
        return max(persister.raft_state_size() for persister in self.persisters)

    def largest_raft_state_ever(self) -> int:
        """The most bytes that any server ever had persisted, without snapshots."""
        return max(persister.largest_raft_state for persister in self.persisters)

    def largest_snapshot(self) -> int:
        """The most bytes of any server's snapshot."""
        return max(persister.snapshot_size() for persister in self.persisters)

    def persisted_bytes(self) -> int:
        """What all servers have persisted together, snapshots included."""
        return sum(persister.raft_state_size() + persister.snapshot_size() for persister in self.persisters)

    def close(self) -> None:
        """End all lives."""
        for server in self.everyone:
            self.crash(server)


def _both_ways(server: int, others: Iterable[int]) -> Links:
    return list(dict.fromkeys(way for other in others for way in ((server, other), (other, server))))
