"""Each object on simulated clusters whose servers crash, lose power, stand still and are cut off: one run a seed.

Everything from the sockets up is production's. In every other run servers join and leave as
well, and each step that was recorded is held against the rules.
`OARLOCK_SEEDS=1..200` in the environment has these seeds run.
"""

import asyncio
import copy
import os

import pytest
from tests.support.object_workloads import WORKLOADS, Workload

from oarlock.check import check_history, make_history
from oarlock.diagram.audit import audit
from oarlock.replica.errors import OarlockError
from oarlock.testing import simulate
from oarlock.testing.simulated import Client, SimulatedRun
from oarlock.trace.loaded import Trace

PAUSE_S = 1.0
"""Between two requests of a client at most, so that they are spread over the time of trouble."""


def _seeds() -> range:
    first, _, last = os.environ.get("OARLOCK_SEEDS", "1..2").partition("..")
    return range(int(first), int(last) + 1)


def _run(workload: Workload, seed: int, hands: int) -> SimulatedRun:
    """A run in which each server's client does so many things together."""
    asked = 0

    async def do(hand: Client) -> None:
        nonlocal asked
        asked += 1
        try:
            await workload.step(hand.objects[0], hand.operate, f"server {hand.number}", hand.rng)
        except OarlockError:
            await hand.pause(0.1)

    async def work(client: Client) -> None:
        all_hands = [copy.copy(client) for _ in range(hands)]
        for which, hand in enumerate(all_hands):
            hand.number = client.number * hands + which  # each is a client of its own in the history
        while asked < workload.operations:
            await client.pause(client.rng.uniform(0, PAUSE_S * hands))
            await asyncio.gather(*map(do, all_hands))

    spares = 0 if seed % 2 else 2
    kept: list[Trace] = []
    run = simulate(
        seed,
        objects=lambda: [workload.make()],
        work=work,
        faults=10 + 2 * spares,
        spares=spares,
        record=kept.append if spares else None,
    )
    assert all(audit(trace) == [] for trace in kept), seed
    return run


@pytest.mark.parametrize("hands", [1, 4])
@pytest.mark.parametrize("name", WORKLOADS)
def test_object_is_linearizable_whatever_happens_to_its_servers(name: str, hands: int) -> None:
    """Answers fit one order of all operations, and all copies end up alike, snapshots and restarts included.

    With more hands than one a server's calls come together, and are one entry of the log.
    """
    workload = WORKLOADS[name]
    for seed in _seeds():
        run = _run(workload, seed, hands)
        report = check_history(make_history(run.history), workload.model)
        assert report.ok, f"seed {seed}: {report.sentence}"
        assert report.operations - report.unknown_outcomes > workload.operations // 3, seed
