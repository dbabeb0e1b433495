"""Part 4A: the replicated state machine, with a counter as the machine."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from oarlock.lab.failure import LabFailure
from oarlock.lab.group import Service
from oarlock.lab.interface import ClientEnd, Make, Persister, Runtime
from oarlock.lab.services.interface import Error, Services
from oarlock.lab.suite.service_harness import GroupHarness
from oarlock.lab.suite.table import Scenario, scenario

PARTITION_S: Final = 1.0
"""How long a leader is cut off, and how long it may take, when it is back, to answer all that it took."""
SUBMIT_S: Final = 10.0
"""In which a request must be carried out somewhere."""
BATCH: Final = 100
INCREMENT, DECREMENT = b"inc", b"dec"


class Counter:
    """The machine: counts, and remembers how often it was told to count down."""

    def __init__(self) -> None:
        self.count = 0
        self.decrements = 0

    def do_op(self, request: bytes) -> bytes:
        """Count; gives the new count."""
        self.count += 1 if request == INCREMENT else -1
        self.decrements += request == DECREMENT
        return msgspec.msgpack.encode(self.count)

    def snapshot(self) -> bytes:
        """See `interface.Machine`."""
        return msgspec.msgpack.encode((self.count, self.decrements))

    def restore(self, data: bytes) -> None:
        """See `interface.Machine`."""
        self.count, self.decrements = msgspec.msgpack.decode(data, type=tuple[int, int])


class RsmHarness(GroupHarness):
    """A group of counters."""

    def __init__(
        self,
        runtime: Runtime,
        implementation: Services | Make,
        size: int,
        *,
        reliable: bool = True,
        max_raft_state: int = -1,
    ) -> None:
        super().__init__(runtime, implementation, size, reliable=reliable, max_raft_state=max_raft_state)
        self.counters: dict[int, Counter] = {}
        """By server, in its present life."""

    def start_server(self, peers: Sequence[ClientEnd], me: int, persister: Persister) -> Mapping[str, Service]:
        """A server's services, and its machine in `counters`."""
        self.counters[me] = Counter()
        rsm = self.make_rsm(peers, me, persister, self.max_raft_state, self.counters[me])
        return {"Raft": rsm.raft, "Rsm": rsm}

    def submit(self, server: int, request: bytes) -> int | None:
        """Have a server submit a request; the count it answers, or None."""
        services: Any = self.group.services[server]
        error, reply = services["Rsm"].submit(request)
        return msgspec.msgpack.decode(reply, type=int) if error == Error.OK else None

    def increment(self, among: Sequence[int] | None = None) -> int:
        """Have some server count up; gives the count that it answers.

        Raises:
            LabFailure: None does in ten seconds.
        """
        deadline = self.now() + SUBMIT_S
        while self.now() < deadline:
            for server in self.everyone if among is None else among:
                count = self.submit(server, INCREMENT)
                if count is not None:
                    return count
            self.sleep(0.05)
        raise LabFailure("no server carried out a request in 10 s")

    def check_counts(self, count: int, servers: int) -> None:
        """So many counters must come to show a count.

        Raises:
            LabFailure: They do not in ten seconds.
        """

        def counts() -> list[int]:
            return [self.counters[server].count for server in self.everyone]

        is_shown = self.poll(lambda: counts().count(count) >= servers, SUBMIT_S)
        self.require(is_shown, f"the counters show {counts()}; {servers} of them must show {count}")


def _prepare(runtime: Runtime, implementation: Any, entry: Scenario, max_raft_state: int = -1) -> RsmHarness:  # noqa: ANN401
    lab = RsmHarness(runtime, implementation, entry.servers, reliable=entry.reliable, max_raft_state=max_raft_state)
    lab.restart_everyone()
    return lab


_rsm_scenario = partial(scenario, "4A", servers=3, prepare=_prepare)


@_rsm_scenario("Basic", budgets=("10 requests answer 1 to 10, on all three",))
def basic(lab: RsmHarness) -> None:
    """Requests are carried out by all servers, one after the other."""
    for number in range(1, 11):
        count = lab.increment()
        lab.require(count == number, f"the request number {number} was answered {count}")
        lab.check_counts(number, lab.size)


@_rsm_scenario("Concurrent", budgets=("50 requests at once count 50",))
def concurrent(lab: RsmHarness) -> None:
    """Requests submitted at the same time are each carried out once."""
    answers: list[int] = []
    threads = [lab.spawn(lambda: answers.append(lab.increment())) for _ in range(50)]
    lab.join(threads, 2 * SUBMIT_S, "50 requests")
    lab.check_counts(50, lab.size)
    lab.require(sorted(answers) == list(range(1, 51)), f"the answers are {sorted(answers)}, not 1 to 50")


@_rsm_scenario("LeaderFailure")
def leader_failure(lab: RsmHarness) -> None:
    """Without their leader two servers go on, and the third follows when it is back."""
    lab.increment()
    lab.check_counts(1, lab.size)
    leader = lab.leader()
    lab.group.disconnect(leader)
    others = [server for server in lab.everyone if server != leader]
    lab.require(lab.increment(others) == 2, "the second request did not count 2")
    lab.check_counts(2, lab.size - 1)
    lab.group.connect(leader)
    lab.require(lab.increment() == 3, "the third request did not count 3")
    lab.check_counts(3, lab.size)


@_rsm_scenario(
    "LeaderPartition",
    budgets=("100 requests at a leader cut off return within 1 s of healing",),
    repaired="a leader cut off may refuse what it took before it is back; upstream wants all to wait",
)
def leader_partition(lab: RsmHarness) -> None:
    """What a leader that was cut off took is neither carried out nor answered as if it were."""
    lab.increment()
    leader = lab.leader()
    others = [server for server in lab.everyone if server != leader]
    lab.group.partition([leader], others)
    answers: list[int | None] = []
    threads = [lab.spawn(lambda: answers.append(lab.submit(leader, DECREMENT))) for _ in range(BATCH)]
    lab.require(lab.increment(others) == 2, "the majority did not count 2")
    lab.sleep(PARTITION_S)
    done = [answer for answer in answers if answer is not None]
    lab.require(not done, f"a leader without a majority carried out {len(done)} requests")
    lab.group.heal()
    healed = lab.now()
    lab.join(threads, PARTITION_S, "the requests at the leader that was deposed")
    lab.measure("seconds until the deposed leader answered", lab.now() - healed, most=PARTITION_S)
    done = [answer for answer in answers if answer is not None]
    lab.require(not done, f"{len(done)} requests of a deposed leader were answered as carried out")
    count = lab.increment()
    lab.check_counts(count, lab.size)
    lab.require(count == 3, f"the counters show {count} after three requests that could be carried out")
    lab.require(not any(lab.counters[server].decrements for server in lab.everyone), "a lost request was carried out")


@_rsm_scenario("RestartReplay", budgets=("after 100 requests and a restart of all the next counts 101",))
def restart_replay(lab: RsmHarness) -> None:
    """Servers that start again carry out their logs again, and go on from there."""
    for _ in range(BATCH):
        lab.increment()
    lab.check_counts(BATCH, lab.size)
    lab.restart_everyone()
    count = lab.increment()
    lab.require(count == BATCH + 1, f"the request after the restart counts {count}")
    lab.check_counts(BATCH + 1, lab.size)


@_rsm_scenario("Shutdown", budgets=("100 requests return within 11 s of the end of all servers",))
def shutdown(lab: RsmHarness) -> None:
    """Whoever waits is answered when the servers stop."""
    lab.increment()
    threads = _submit_and_kill(lab)
    lab.join(threads, 11, "requests at servers that stopped")


def _submit_and_kill(lab: RsmHarness) -> list[Any]:
    leader = lab.leader()
    threads = [lab.spawn(lab.submit, leader, INCREMENT) for _ in range(BATCH)]
    lab.sleep(0.02)
    for server in lab.everyone:
        lab.group.crash(server)
    return threads


@_rsm_scenario("RestartSubmit")
def restart_submit(lab: RsmHarness) -> None:
    """After all servers stopped amid requests, they agree on what was carried out, and go on."""
    for _ in range(BATCH):
        lab.increment()
    lab.check_counts(BATCH, lab.size)
    threads = _submit_and_kill(lab)
    lab.join(threads, 11, "requests at servers that stopped")
    lab.restart(*lab.everyone)
    count = lab.increment()
    lab.measure("the count after the restart", count, least=BATCH + 1, most=2 * BATCH + 1)
    lab.check_counts(count, lab.size)


@partial(scenario, "4C", servers=3, prepare=partial(_prepare, max_raft_state=1000), snapshots=True)(
    "RsmSnapshot", budgets=("at most 2,000 bytes of Raft state", "after 100 requests and a restart the next counts 101")
)
def snapshot(lab: RsmHarness) -> None:
    """A long log is replaced by a snapshot, from which servers start again."""
    for _ in range(BATCH):
        lab.increment()
    lab.check_counts(BATCH, lab.size)
    lab.measure("most bytes of Raft state", lab.group.largest_raft_state(), most=2000)
    lab.restart_everyone()
    count = lab.increment()
    lab.require(count == BATCH + 1, f"the request after the restart counts {count}")
    lab.check_counts(BATCH + 1, lab.size)
