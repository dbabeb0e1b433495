"""Part 3C: clients at work while servers are cut off, crash and come back."""

from functools import partial
from typing import Final

from oarlock.lab.suite.election import ELECTION_S
from oarlock.lab.suite.raft_harness import RaftHarness, raft_scenario

ROUNDS: Final = 20
LOOKS_S: Final = (0.01, 0.02, 0.05, 0.1, 0.2)
"""How a client waits for what it started."""


def _churn(lab: RaftHarness) -> None:
    seen: list[int] = []
    is_over = lab.runtime.threading.Event()
    clients = [lab.spawn(_client, lab, number, seen, is_over) for number in range(3)]
    for _ in range(ROUNDS):
        if lab.random.randint(0, 999) < 200:
            lab.disconnect(_any(lab))
        if lab.random.randint(0, 999) < 500:
            server = _any(lab)
            if lab.group.lives_now(server):
                lab.connect(server)
            else:
                lab.restart(server)
        if lab.random.randint(0, 999) < 200:
            lab.crash(_any(lab))
        lab.sleep(0.7 * ELECTION_S)
    lab.network.reliable = True
    for server in lab.everyone:
        if lab.group.lives_now(server):
            lab.connect(server)
        else:
            lab.restart(server)
    is_over.set()
    lab.join(clients, 30, "the end of the clients")
    lab.sleep(ELECTION_S)
    last = lab.one(lab.new_command(), lab.size, retry=True)
    log = [lab.wait(index, lab.size) for index in range(1, last + 1)]
    missing = [command for command in seen if command not in log]
    lab.require(not missing, f"a client saw {missing[:3]} applied, which the log does not hold")
    lab.measure("commands that clients saw applied", len(seen), least=1)


def _any(lab: RaftHarness) -> int:
    server: int = lab.random.choice(list(lab.everyone))
    return server


def _client(lab: RaftHarness, number: int, seen: list[int], is_over: object) -> None:
    """Start commands wherever there is a leader, and remember those that were seen to be applied."""
    while not is_over.is_set():  # type: ignore[attr-defined]
        command = lab.new_command()
        index = None
        for server in lab.everyone:
            services = lab.group.services[server]
            if services is not None:
                at, _, is_leader = services["Raft"].start(command)  # type: ignore[attr-defined]
                index = at if is_leader else index
        if index is None:
            lab.sleep(0.079 + number * 0.017)
            continue
        for pause in LOOKS_S:
            count, applied = lab.committed(index)
            if count:
                if applied == command:
                    seen.append(command)
                break
            lab.sleep(pause)


churn_scenario = partial(
    raft_scenario,
    "3C",
    servers=5,
    budgets=("every client-observed value in the final log",),
    repaired="clients must have made progress",
)


@churn_scenario("ReliableChurn")
def reliable_churn(lab: RaftHarness) -> None:
    """While servers are cut off, crash and return, nothing that a client saw applied is ever lost."""
    _churn(lab)


@churn_scenario("UnreliableChurn", reliable=False)
def unreliable_churn(lab: RaftHarness) -> None:
    """While servers are cut off, crash and return, on a lossy network, nothing that a client saw applied is lost."""
    _churn(lab)
