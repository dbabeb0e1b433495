"""The world of the Raft scenarios: servers made by `make`, what they apply, and the labs' questions about them."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from oarlock.lab.failure import LabFailure
from oarlock.lab.group import Service
from oarlock.lab.harness import Harness
from oarlock.lab.interface import ApplyMsg, ClientEnd, Make, Persister, Raft, Runtime
from oarlock.lab.suite.applied import Applied, shown
from oarlock.lab.suite.table import Scenario, scenario

AGREEMENT_S: Final = 10.0
"""In which `one` must succeed."""
ATTEMPT_S: Final = 2.0
"""After which `one` believes that a command was lost."""
MAKE_S: Final = 1.0
"""In which `make` must return: "quickly"."""
ELECTION_TRIES: Final = 10
"""Of half a second each."""

_METHODS: Final = ("start", "get_state", "kill")
_SNAPSHOT_METHODS: Final = ("snapshot", "persist_bytes")
"""Without these the parts before snapshots can be run."""


class RaftHarness(Harness):
    """One group of Raft servers.

    Args:
        runtime: Where threads, time, queues and chance come from.
        make: The implementation.
        size: How many servers.
        reliable: Whether the network neither delays nor loses.
        snapshots: Whether the service takes snapshots.
    """

    def __init__(
        self, runtime: Runtime, make: Make, size: int, *, reliable: bool = True, snapshots: bool = False
    ) -> None:
        super().__init__(runtime, reliable=reliable, long_delays=True)
        self.make = make
        self.size = size
        self.snapshots = snapshots
        self.applied = Applied(runtime, size)
        self.group = self.add_group("raft", size, self._start_server)
        for server in self.everyone:
            self.group.start(server)
        for server in self.everyone:
            self.group.connect(server)

    def agreed_commands(self) -> int:
        """See `Harness.agreed_commands`."""
        return self.applied.highest()

    @property
    def everyone(self) -> range:
        """All servers."""
        return self.group.everyone

    # -- servers -------------------------------------------------------------------------------------------------

    def _start_server(self, peers: Sequence[ClientEnd], me: int, persister: Persister) -> Mapping[str, Service]:
        try:
            life = self.applied.begin_life(me, persister.read_snapshot() if self.snapshots else b"")
        except ValueError as error:
            raise LabFailure(f"server {me} restarts from a snapshot that is none of the service's: {error}") from None
        channel = self.runtime.queue.Queue(1)
        began = self.now()
        raft = self.make(peers, me, persister, channel)
        wanted = (*_METHODS, *_SNAPSHOT_METHODS) if self.snapshots else _METHODS
        missing = [name for name in wanted if not callable(getattr(raft, name, None))]
        self.require(not missing, f"what make returns has no method {', '.join(missing)}")
        self.require(self.now() - began <= MAKE_S, f"make took {self.now() - began:.1f} s; it must return quickly")
        self.spawn(self._serve, raft, me, life, channel)
        return {"Raft": raft}

    def _serve(self, raft: Raft, server: int, life: int, channel: Any) -> None:  # noqa: ANN401 - a queue
        """The service's own thread: takes what comes out of the channel, and snapshots while it does."""
        while True:
            try:
                message: ApplyMsg | None = channel.get(timeout=1.0)
            except self.runtime.queue.Empty:
                if self.is_over or self.applied_life(server) != life:
                    return
                continue
            if message is None or self.is_over:
                continue
            wrong = self.applied.take(server, life, message)
            if wrong:
                self.fail_later(wrong)
            elif self.snapshots and message.command_valid:
                snapshot = self.applied.snapshot_due(server, life, message.command_index)
                if snapshot is not None:
                    raft.snapshot(message.command_index, snapshot)

    def applied_life(self, server: int) -> int:
        """The number of a server's present life; 0 while it does not live."""
        return self.group.lives[server] if self.group.lives_now(server) else 0

    def raft(self, server: int) -> Raft:
        """A server that lives."""
        services = self.group.services[server]
        if services is None:
            raise LabFailure(f"the scenario asks server {server}, which does not live")
        raft: Any = services["Raft"]
        return raft  # type: ignore[no-any-return]

    def connect(self, *servers: int) -> None:
        """Open the ways between servers and all that are connected."""
        for server in servers:
            self.group.connect(server)

    def disconnect(self, *servers: int) -> None:
        """Cut servers off."""
        for server in servers:
            self.group.disconnect(server)

    def crash(self, *servers: int) -> None:
        """End servers' lives, leaving zombies."""
        for server in servers:
            self.group.crash(server)

    def restart(self, *servers: int) -> None:
        """Begin new lives, connected."""
        for server in servers:
            self.group.start(server)
            self.group.connect(server)

    def is_connected(self, server: int) -> bool:
        """Whether a server lives and was connected last."""
        return self.group.connected[server] and self.group.lives_now(server)

    def restart_everyone(self) -> None:
        """All servers crash, and only then any begins anew."""
        self.crash(*self.everyone)
        self.restart(*self.everyone)

    def after(self, server: int, distance: int = 1) -> int:
        """The server so many places after another, in a circle."""
        return (server + distance) % self.size

    # -- the labs' questions -------------------------------------------------------------------------------------

    def start(self, server: int, command: Any) -> tuple[int, int, bool]:  # noqa: ANN401 - any command
        """Begin agreement on a command at a server: index, term, whether it believes to lead."""
        self.check()
        index, term, is_leader = self.raft(server).start(command)
        return index, term, is_leader

    def check_one_leader(self) -> int:
        """Wait for exactly one connected leader in the highest term; about five seconds at most.

        Raises:
            LabFailure: There is none in time, or one term has two.
        """
        for _ in range(ELECTION_TRIES):
            self.sleep(0.45 + self.random.randint(0, 99) / 1000)
            leaders: dict[int, list[int]] = {}
            for server in filter(self.is_connected, self.everyone):
                term, is_leader = self.raft(server).get_state()
                if is_leader:
                    leaders.setdefault(term, []).append(server)
            for term, servers in leaders.items():
                self.require(len(servers) == 1, f"servers {servers} all lead in term {term}")
            if leaders:
                return leaders[max(leaders)][0]
        raise LabFailure("no leader among the connected servers in 5 s")

    def check_no_leader(self) -> None:
        """No connected server may believe to lead.

        Raises:
            LabFailure: One does.
        """
        for server in filter(self.is_connected, self.everyone):
            term, is_leader = self.raft(server).get_state()
            self.require(not is_leader, f"server {server} leads in term {term}, but can reach no majority")

    def check_terms(self) -> int:
        """The term on which all connected servers agree.

        Raises:
            LabFailure: They do not.
        """
        terms = {server: self.raft(server).get_state()[0] for server in filter(self.is_connected, self.everyone)}
        self.require(len(set(terms.values())) == 1, f"the servers' terms differ: {terms}")
        return next(iter(terms.values()))

    def committed(self, index: int) -> tuple[int, Any]:
        """How many servers have applied an index, and what."""
        self.check()
        return self.applied.committed(index)

    def check_not_committed(self, index: int, why: str) -> None:
        """No server may have applied an index.

        Raises:
            LabFailure: One has.
        """
        count, _ = self.committed(index)
        self.require(count == 0, f"{count} servers applied index {index}, {why}")

    def wait(self, index: int, servers: int, start_term: int | None = None) -> Any:  # noqa: ANN401 - any command
        """Wait until so many servers have applied an index; gives the command.

        With a `start_term`, gives None as soon as any server is in a newer one.

        Raises:
            LabFailure: It takes longer than 30 looks, 10 ms to a second apart.
        """
        pause = 0.01
        for _ in range(30):
            if self.committed(index)[0] >= servers:
                break
            self.sleep(pause)
            pause = min(2 * pause, 1.0)
            if start_term is not None and self._newest_term() > start_term:
                return None
        count, command = self.committed(index)
        self.require(count >= servers, f"only {count} of {servers} servers applied index {index}")
        return command

    def _newest_term(self) -> int:
        return max(
            (self.raft(server).get_state()[0] for server in self.everyone if self.group.lives_now(server)), default=0
        )

    def one(self, command: Any, servers: int, *, retry: bool) -> int:  # noqa: ANN401 - any command
        """Have a command agreed on by at least so many servers; gives its index.

        Tries every connected server until one leads, for up to ten seconds.

        Args:
            command: What to agree on; each call must bring another.
            servers: How many must apply it.
            retry: Whether it may be submitted again when it was not applied within two seconds.

        Raises:
            LabFailure: No agreement in time.
        """
        deadline = self.now() + AGREEMENT_S
        first = 0
        while self.now() < deadline:
            index, first = self._start_at_leader(command, first)
            if index is None:
                self.sleep(0.05)
                continue
            if self.poll(lambda at=index: self._is_agreed(at, servers, command), ATTEMPT_S):  # type: ignore[misc]
                return index
            if not retry:
                raise LabFailure(f"{shown(command)} at index {index} was not applied by {servers} in 2 s")
        raise LabFailure(f"no agreement on {shown(command)} by {servers} servers in {AGREEMENT_S:g} s")

    def _start_at_leader(self, command: Any, first: int) -> tuple[int | None, int]:  # noqa: ANN401 - any command
        """Offer a command to one server after the other; the index at the one that leads, and who is next."""
        for _ in self.everyone:
            first = (first + 1) % self.size
            if self.is_connected(first):
                index, _, is_leader = self.start(first, command)
                if is_leader:
                    return index, first
        return None, first

    def _is_agreed(self, index: int, servers: int, command: Any) -> bool:  # noqa: ANN401 - any command
        count, applied = self.committed(index)
        return count >= servers and count > 0 and bool(applied == command)

    def new_command(self) -> int:
        """A command unlike all others."""
        number: int = self.random.getrandbits(48)
        return number


def prepare(runtime: Runtime, make: Make, entry: Scenario) -> RaftHarness:
    """The world of a Raft scenario."""
    return RaftHarness(runtime, make, entry.servers, reliable=entry.reliable, snapshots=entry.snapshots)


raft_scenario = partial(scenario, prepare=prepare)
"""As `table.scenario`, for Raft."""
