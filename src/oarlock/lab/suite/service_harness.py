"""The world of services on Raft: a group of servers, each with its Raft, and clients."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import count
from typing import Any, Final

from oarlock.check.history import Operation
from oarlock.lab.group import ServerGroup, Service
from oarlock.lab.harness import Harness
from oarlock.lab.interface import ClientEnd, Make, Persister, Runtime
from oarlock.lab.services.interface import MakeRsm, Services
from oarlock.lab.services.rsm import Rsm
from oarlock.lab.suite.versioned import what_is_wrong_with

LOG_FACTOR: Final = 8
"""How many times `max_raft_state` the labs allow a server to persist."""


def services_of(implementation: Any) -> Services:  # noqa: ANN401 - whatever the user named
    """What the user brings: a `make` alone, or several parts."""
    return implementation if isinstance(implementation, Services) else Services(make=implementation)


def rsm_maker(runtime: Runtime, services: Services) -> MakeRsm:
    """The user's replicated state machine, or ours on the user's Raft."""
    return services.make_rsm or partial(Rsm, runtime, services.make)


class ServiceHarness(Harness):
    """A network, what is tested on it, and all that its clients saw.

    Args:
        runtime: Where threads, time, queues and chance come from.
        implementation: What is tested.
        reliable: Whether the network neither delays nor loses.
        max_raft_state: Bytes above which logs are compacted, or -1.
    """

    def __init__(
        self, runtime: Runtime, implementation: Services | Make, *, reliable: bool = True, max_raft_state: int = -1
    ) -> None:
        super().__init__(runtime, reliable=reliable)
        self.services = services_of(implementation)
        self.make_rsm = rsm_maker(runtime, self.services)
        self.max_raft_state = max_raft_state
        self.operations: list[Operation] = []
        self.numbers = count(1)
        """Of clients, which may be made in several threads at once."""

    def agreed_commands(self) -> int:
        """Operations that clients were answered."""
        return sum(operation.return_ is not None for operation in self.operations)

    def limited_groups(self) -> Iterable[ServerGroup]:
        """Those whose logs are held to `max_raft_state`."""
        raise NotImplementedError

    def check_linearizable(self) -> None:
        """What clients saw must be what one store could have answered.

        Raises:
            LabFailure: It is not.
        """
        wrong = what_is_wrong_with(self.operations)
        self.require(not wrong, wrong)

    def check_log_size(self) -> None:
        """Servers may not persist much more than `max_raft_state`; where it is -1, no snapshot.

        Raises:
            LabFailure: One does.
        """
        groups = list(self.limited_groups())
        if self.max_raft_state < 0:
            takes_none = not any(group.largest_snapshot() for group in groups)
            self.require(takes_none, "a server took a snapshot, and was asked for none")
        elif self.max_raft_state > 0:
            most = max(group.largest_raft_state() for group in groups)
            self.measure("most bytes of Raft state", most, most=LOG_FACTOR * self.max_raft_state)


class GroupHarness(ServiceHarness):
    """One group of servers, none of which lives yet.

    Args:
        runtime: As for `ServiceHarness`.
        implementation: As for `ServiceHarness`.
        size: How many servers.
        reliable: As for `ServiceHarness`.
        max_raft_state: Bytes above which logs are compacted, or -1.
    """

    def __init__(
        self,
        runtime: Runtime,
        implementation: Services | Make,
        size: int,
        *,
        reliable: bool = True,
        max_raft_state: int = -1,
    ) -> None:
        super().__init__(runtime, implementation, reliable=reliable, max_raft_state=max_raft_state)
        self.size = size
        self.group = self.add_group("group", size, self.start_server)

    def start_server(self, peers: Sequence[ClientEnd], me: int, persister: Persister) -> Mapping[str, Service]:
        """A server's services."""
        raise NotImplementedError

    def limited_groups(self) -> Iterable[ServerGroup]:
        """See `ServiceHarness.limited_groups`."""
        return [self.group]

    @property
    def everyone(self) -> range:
        """All servers."""
        return self.group.everyone

    def restart(self, *servers: int) -> None:
        """Begin new lives, connected."""
        for server in servers:
            self.group.start(server)
            self.group.connect(server)

    def restart_everyone(self) -> None:
        """All servers crash, and only then any begins anew."""
        for server in self.everyone:
            self.group.crash(server)
        self.restart(*self.everyone)

    def leader(self, seconds: float = 5.0) -> int:
        """A server that believes to lead, in the newest term of those that do, among the connected.

        Raises:
            LabFailure: There is none in time.
        """
        found: list[int] = []

        def look() -> bool:
            leading = []
            for server in self.everyone:
                services: Any = self.group.services[server]
                if services is not None and self.group.connected[server]:
                    term, is_leader = services["Raft"].get_state()
                    if is_leader:
                        leading.append((term, server))
            found[:] = [server for _, server in sorted(leading, reverse=True)]
            return bool(found)

        self.require(self.poll(look, seconds), f"no leader in {seconds:g} s")
        return found[0]
