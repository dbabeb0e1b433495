"""Library runs are held against Raft's properties after every event, as the server's own runs are, by one observer."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.replica.test_simulated import count
from tests.support.replicated import Register

import oarlock
from oarlock.sim.observer import Observer
from oarlock.testing.simulated import SETTINGS, Client, RunFailed, SimulatedCluster, simulate
from oarlock.testing.simulated_server import Program

BROKEN = """
import sys

from oarlock.zoo.catalogue import MUTANTS
from oarlock.zoo.patching import install

install(MUTANTS[sys.argv[1]])

from oarlock.replica.objects import ReplicatedCounter
from oarlock.testing import simulate


async def work(client):
    while True:
        await client.objects[0].add(1)


simulate(1, objects=lambda: [ReplicatedCounter("visits")], work=work, seconds=3, faults=2, record=sys.argv[2])
"""


@pytest.mark.parametrize(
    ("mutant", "broken"),
    [
        ("one-copy-commits", "committed on a durable quorum: server 0 committed entry"),
        ("log-is-not-synced", "nothing promised before it is durable: server"),
    ],
)
def test_a_broken_core_fails_the_run_by_the_propertys_name(mutant: str, broken: str, tmp_path: Path) -> None:
    """With a bug of the zoo in the core the run ends with the property, the seed, the call that repeats it, and why."""
    record = tmp_path / "run.jsonl"
    done = subprocess.run(
        [sys.executable, "-c", BROKEN, mutant, record], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "RunFailed: seed 1, after " in done.stderr
    assert broken in done.stderr
    assert "again: oarlock.testing.simulate(1, servers=3, spares=0, seconds=3, faults=2, ..., " in done.stderr
    assert f'"property":"{broken.partition(":")[0]}"' in record.read_text(encoding="utf-8")


def test_every_server_is_looked_at_whatever_becomes_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The observer is that of `oarlock sim`; it sees joined servers and those that come back, to the last entry."""
    lives: set[tuple[int, int]] = set()
    look = Observer.look

    def noted(self: Observer, server: Any) -> None:
        look(self, server)
        lives.add((server.server_id, server.incarnation))

    monkeypatch.setattr(Observer, "look", noted)
    cluster = SimulatedCluster(3, 3, lambda: Program([Register()]), count, SETTINGS, spares=2)
    run = cluster.run(8, 14)
    assert run.strikes["member.join"]
    assert len({server_id for server_id, _ in lives}) > 3
    assert len(lives) > len(cluster.servers)
    monitor = cluster.observer.monitor
    assert monitor.committed_index >= run.commands
    assert monitor.events > 1000


class Forked(Register):
    """A copy that differs from all others, and shows that in no result."""

    made = 0

    def __init__(self) -> None:
        super().__init__()
        Forked.made += 1
        self.own = Forked.made

    @oarlock.replicated
    def add(self, amount: int = 1) -> Any:
        self.value = self.own


def test_states_that_differ_in_silence_are_found_at_an_index() -> None:
    """Though servers never vote on their states, and no result shows it."""

    async def work(client: Client) -> None:
        while True:
            await client.objects[0].add(1)

    settings = msgspec.structs.replace(SETTINGS, agreement_interval=0)
    with pytest.raises(RunFailed, match=r"identical states: .*index \d+"):
        simulate(1, objects=lambda: [Forked()], work=work, seconds=5, faults=0, settings=settings)


class Frail(Register):
    """Ends the server that applies it."""

    @oarlock.replicated
    def add(self, amount: int = 1) -> Any:
        raise MemoryError("no more")


def test_a_server_that_cannot_go_on_is_told_of() -> None:
    """It is not merely started again: no disk failed here, and nobody removed it."""

    async def work(client: Client) -> None:
        await client.objects[0].add(1)

    with pytest.raises(RunFailed, match=r"goes on: server \d ended by itself: MemoryError\('no more'\)"):
        simulate(1, objects=lambda: [Frail()], work=work, seconds=5, faults=0)
