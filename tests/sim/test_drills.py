"""Systematic drills: one steady run, again and again, each time hurt at another point of its course.

In a small run at every point there is; in a larger one at points a stride apart, from another start each time.
"""

import random
from collections import Counter
from collections.abc import Iterable

import pytest
from tests.support.seeds import seed_base

from oarlock.sim import Fault, Schedule, Settings, Simulation, run_schedule
from oarlock.sim.schedule import ClientOperation


def _small(servers: int, *faults: Fault) -> Schedule:
    """A few writes and reads, a snapshot, and little else."""
    rng = random.Random(1)
    duration_s = 0.15 if servers == 1 else 0.6
    operations = [
        ClientOperation(
            at=round(duration_s * (0.2 + 0.7 * number / 8), 6),
            client=1 + number % 2,
            server=1 + number % servers,
            kind=("put", "get", "cas", "put", "delete", "txn")[number % 6],
            key=f"k{rng.randint(1, 2)}",
            value=f"v{number}",
        )
        for number in range(8)
    ]
    settings = Settings(
        servers=servers,
        clients=2,
        duration_s=duration_s,
        election_timeout_ms=100,
        heartbeat_interval_ms=20,
        proposal_timeout_ms=1000,
        snapshot_count=3,
        snapshot_tail=0,
        flush_interval_ms=20,
        segment_bytes=4 << 10,
    )
    return Schedule(seed=1, settings=settings, faults=faults, operations=tuple(operations))


def _course(servers: int) -> tuple[int, int]:
    """How many callbacks of the first server, and operations of its disk, the run has when nothing hurts it."""
    schedule = _small(servers)
    simulation = Simulation(schedule)
    simulation.begin()
    simulation.scheduler.run_until(schedule.settings.duration_s)
    server = simulation.servers[1]
    assert server.process is not None
    course = (server.process.loop.callbacks, server.disk.steps)
    simulation.close()
    return course


def _hurt(servers: int, kind: str, points: Iterable[int]) -> Counter[str]:
    """Run it once for each point."""
    struck: Counter[str] = Counter()
    for point in points:
        report = run_schedule(_small(servers, Fault(at=0.0, kind=kind, servers=(1,), seconds=0.1, value=float(point))))
        assert report.ok, (kind, point, report.violations)
        struck.update(report.strikes)
    return struck


def _sampled(points: int, count: int) -> range:
    """Points a stride apart, from one that is another in each session."""
    stride = max(1, points // count)
    return range(seed_base() % stride, points, stride)


@pytest.mark.parametrize("power_loss", [False, True], ids=["kill", "power loss"])
def test_crash_at_every_await(*, power_loss: bool) -> None:
    """A server alone may die between any two steps of any of its tasks: what it had promised is there again."""
    callbacks, _ = _course(1)
    struck = _hurt(1, "await_crash", range(int(power_loss), 2 * callbacks, 2))
    assert struck["process.crash_at_await"] > 0.9 * callbacks
    assert callbacks > 100


def test_crash_at_every_step_of_the_disk() -> None:
    """A server alone may lose power before any operation of its disk, its very first start included."""
    _, steps = _course(1)
    assert _hurt(1, "step_crash", range(steps))["process.crash_at_step"] > 0.9 * steps
    assert steps > 50


@pytest.mark.parametrize("kind", ["cancel_task", "cancel_all"])
def test_cancellation_at_every_await(kind: str) -> None:
    """Cancelled anywhere, a node ends in order: no task hangs, nothing stays locked, and it starts again."""
    callbacks, _ = _course(1)
    struck = _hurt(1, kind, range(callbacks))
    assert struck["process.task_cancelled"] + struck["process.all_cancelled"] > 0.9 * callbacks


@pytest.mark.parametrize("kind", ["await_crash", "step_crash", "cancel_task", "cancel_all", "cancel_calls"])
def test_in_a_cluster(kind: str) -> None:
    """The same in a cluster of three, at some points: the others go on, and the one hurt catches up."""
    callbacks, steps = _course(3)
    points = {"await_crash": 2 * callbacks, "step_crash": steps}.get(kind, callbacks)
    _hurt(3, kind, _sampled(points, 12))


@pytest.mark.parametrize("at", [0.07, 0.0901], ids=["as it stops", "as it starts again"])
@pytest.mark.parametrize("kind", ["await_crash", "step_crash", "cancel_task", "cancel_all"])
def test_in_a_restart(kind: str, at: float) -> None:
    """The same while a server that holds something is being stopped in order, and while it recovers."""
    restart = Fault(at=0.07, kind="restart", servers=(1,), seconds=0.02)
    callbacks, steps = _course(1)
    points = {"await_crash": 2 * callbacks, "step_crash": steps}.get(kind, callbacks)
    for point in _sampled(points, 24):
        hurt = Fault(at=at, kind=kind, servers=(1,), seconds=0.1, value=float(point))
        report = run_schedule(_small(1, hurt, restart))
        assert report.ok, (kind, at, point, report.violations)
        assert report.strikes["process.restart"] == 1


@pytest.mark.parametrize("when", [0, 1], ids=["before", "after"])
def test_want_of_memory(when: int) -> None:
    """A machine that runs out of memory while it applies ends its server, which never answers from half a state."""
    for at in (0.2, 0.3, 0.4):
        fault = Fault(at=at, kind="lack_memory", servers=(1,), value=float(when))
        report = run_schedule(_small(3, fault))
        assert report.ok, report.violations
        assert report.strikes["process.ended_for_want_of_memory"] == 1
