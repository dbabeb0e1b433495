"""The world of the key-value scenarios: clerks at work while servers are cut off, crash and come back."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from oarlock.lab.group import Service
from oarlock.lab.interface import ClientEnd, Persister, Runtime
from oarlock.lab.network import ClientEnd as NetworkEnd
from oarlock.lab.services.interface import Error, KvClerk
from oarlock.lab.services.kv import Clerk, start_kv_server
from oarlock.lab.suite.service_harness import GroupHarness
from oarlock.lab.suite.table import Scenario, scenario
from oarlock.lab.suite.versioned import RecordingClerk

ROUNDS: Final = 3
ROUND_S: Final = 1.0
QUIET_S: Final = 1.0
"""For an election after servers came back."""
THINK_MS: Final = 30
"""A client's longest pause between operations, which bounds histories where time is virtual."""
CLIENTS_END_S: Final = 30.0


class KvHarness(GroupHarness):
    """A key-value service, and its clients."""

    def start_server(self, peers: Sequence[ClientEnd], me: int, persister: Persister) -> Mapping[str, Service]:
        """See `GroupHarness.start_server`."""
        serve = self.services.make_kv_server or partial(start_kv_server, self.make_rsm)
        return serve(peers, me, persister, self.max_raft_state)

    def clerk(self, to: Iterable[int] | None = None) -> tuple[RecordingClerk, list[NetworkEnd]]:
        """A new client that reaches some servers, by default all; and its ends."""
        ends = self.group.client_ends(to)
        make = self.services.make_kv_clerk or partial(Clerk, self.runtime, is_over=lambda: self.is_over)
        return RecordingClerk(self.runtime, make(ends), self.operations, next(self.numbers)), ends

    def put(self, clerk: KvClerk, key: str, value: str) -> int:
        """Write a key, whatever its version is; gives the new version."""
        while True:
            _, version, _ = clerk.get(key)
            error = clerk.put(key, value, version)
            found, now, _ = clerk.get(key)
            if error == Error.OK or (error == Error.MAYBE and (found, now) == (value, version + 1)):
                return version + 1

    def check_get(self, clerk: KvClerk, key: str, value: str) -> None:
        """A key must hold a value.

        Raises:
            LabFailure: It holds another.
        """
        found, version, error = clerk.get(key)
        self.require(found == value, f"key {key!r} holds {found!r} (version {version}, {error}), not {value!r}")

    # -- the generic scenario ------------------------------------------------------------------------------------

    def work(self, clients: int, keys: Sequence[str], *, crashes: bool = False, partitions: bool = False) -> None:
        """Three rounds of clients that read and write, under faults; then one look whether all is well.

        Args:
            clients: How many at a time.
            keys: Each client draws one of these for every operation.
            crashes: Whether all servers crash after each round.
            partitions: Whether servers are split in two again and again during each round.
        """
        totals = {Error.OK: 0, Error.MAYBE: 0}
        for _ in range(ROUNDS):
            self._round(clients, keys, totals, partitions=partitions)
            if crashes:
                for server in self.everyone:
                    self.group.crash(server)
                self.sleep(QUIET_S)
                self.restart(*self.everyone)
        self._check_versions(keys, totals)
        self.check_linearizable()
        self.check_log_size()
        self.measure("puts answered OK", totals[Error.OK], least=1)

    def _round(self, clients: int, keys: Sequence[str], totals: dict[Error, int], *, partitions: bool) -> None:
        is_over = self.runtime.threading.Event()
        threads = [self.spawn(self._client, self.clerk()[0], keys, is_over, totals) for _ in range(clients)]
        if partitions:
            self.sleep(QUIET_S)  # let clients begin undisturbed
            splitter = self.spawn(self._split, is_over)
        self.sleep(ROUND_S if not partitions else 2 * ROUND_S)
        is_over.set()
        if partitions:
            self.join([splitter], CLIENTS_END_S, "splitting servers")
            self.group.heal()
            self.sleep(QUIET_S)
        self.join(threads, CLIENTS_END_S, "the end of the clients")

    def _client(self, clerk: KvClerk, keys: Sequence[str], is_over: Any, totals: dict[Error, int]) -> None:  # noqa: ANN401
        while not is_over.is_set():
            key = self.random.choice(keys)
            _, version, _ = clerk.get(key)
            if self.random.random() < 0.5:
                error = clerk.put(key, f"{self.random.getrandbits(32):x}", version)
                if error in totals:
                    totals[Error(error)] += 1
            self.sleep(self.random.randint(1, THINK_MS) / 1000)

    def _split(self, is_over: Any) -> None:  # noqa: ANN401
        while not is_over.is_set():
            sides: tuple[list[int], list[int]] = ([], [])
            for server in self.everyone:
                sides[self.random.randint(0, 1)].append(server)
            self.group.partition(*sides)
            is_over.wait(QUIET_S + self.random.randint(0, 199) / 1000)

    def _check_versions(self, keys: Sequence[str], totals: dict[Error, int]) -> None:
        """Each put that was answered OK raised a version by one, and nothing else did but what perhaps was done."""
        clerk, _ = self.clerk()
        raised = sum(clerk.get(key)[1] for key in keys)
        most = totals[Error.OK] + totals[Error.MAYBE]
        self.require(
            totals[Error.OK] <= raised <= most,
            f"versions rose by {raised}; {totals[Error.OK]} puts were done, and {totals[Error.MAYBE]} perhaps",
        )


def prepare(runtime: Runtime, implementation: Any, entry: Scenario, max_raft_state: int = -1) -> KvHarness:  # noqa: ANN401
    """The world of a key-value scenario, its servers up."""
    lab = KvHarness(runtime, implementation, entry.servers, reliable=entry.reliable, max_raft_state=max_raft_state)
    lab.restart_everyone()
    return lab


kv_scenario = partial(scenario, "4B", servers=5, prepare=prepare)
"""As `table.scenario`, for servers that take no snapshots."""
snapshot_scenario = partial(scenario, "4C", servers=5, prepare=partial(prepare, max_raft_state=1000), snapshots=True)
"""The same for servers that take them."""
