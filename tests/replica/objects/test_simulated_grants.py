"""Grants, runs and rounds on simulated clusters, where servers crash and their dates jump by an hour: one run a seed."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from oarlock.replica.errors import OarlockError
from oarlock.replica.objects import (
    LeaderElection,
    Lease,
    NotHeld,
    ReplicatedBarrier,
    ReplicatedLock,
    ReplicatedScheduler,
    ReplicatedSemaphore,
    Run,
)
from oarlock.testing import simulate
from oarlock.testing.simulated import Client

SEEDS = range(1, 3)
SECONDS = 4.0
FAULTS = 5


def spares(seed: int) -> int:
    """In every other run servers join and leave."""
    return 0 if seed % 2 else 2


class Moments:
    """Numbers the moments of a run."""

    def __init__(self) -> None:
        self.last = 0

    def next(self) -> int:
        self.last += 1
        return self.last


def check_tokens(grants: list[tuple[int, int, int]]) -> None:
    """Of (asked, given, token): no token is given twice, and whoever asked after a grant has a higher one."""
    tokens = [token for _, _, token in grants]
    assert len(set(tokens)) == len(tokens)
    for asked, _, token in grants:
        assert all(token > other for _, given, other in grants if given < asked)


@pytest.mark.parametrize("permits", [1, 2])
@pytest.mark.parametrize("seed", SEEDS)
def test_tokens_of_grants_rise(seed: int, permits: int) -> None:
    """Whatever the servers' dates say, each grant has a token above those of all grants that were seen before it."""
    moments, grants = Moments(), []

    async def work(client: Client) -> None:
        lock = client.objects[0]
        while True:
            asked = moments.next()
            try:
                lease: Lease = await lock.acquire(lease_ms=500, timeout_s=5)
                grants.append((asked, moments.next(), lease.token))
                await client.pause(client.rng.uniform(0, 0.3))
                await lock.release(lease)
            except (OarlockError, NotHeld, TimeoutError):
                await client.pause(0.05)

    def make() -> list[Any]:
        return [ReplicatedLock("l") if permits == 1 else ReplicatedSemaphore("s", permits)]

    run = simulate(seed, objects=make, work=work, seconds=SECONDS, faults=FAULTS, spares=spares(seed))
    assert len(grants) > 10
    check_tokens(grants)
    last_token, holders, _ = run.copies[0][0]
    assert last_token >= len(grants)
    assert len(holders) <= permits


@pytest.mark.parametrize("seed", SEEDS)
def test_tokens_of_elected_candidates_rise(seed: int) -> None:
    """Each election has a token of its own; a candidate that stands after another was elected has a higher one."""
    moments, elected = Moments(), []

    async def work(client: Client) -> None:
        while True:
            stood = moments.next()

            def lead(lease: Lease, stood: int = stood) -> None:
                elected.append((stood, moments.next(), lease.token))
                raise InterruptedError  # enough

            try:
                await client.objects[0].campaign(lead, candidate=f"{client.number} {stood}", lease_ms=500)
            except (OarlockError, InterruptedError):
                await client.pause(client.rng.uniform(0, 0.5))

    simulate(
        seed, objects=lambda: [LeaderElection("e")], work=work, seconds=SECONDS, faults=FAULTS, spares=spares(seed)
    )
    assert len(elected) > 3
    check_tokens(elected)


@pytest.mark.parametrize("missed", ["once", "all", "skip"])
@pytest.mark.parametrize("seed", SEEDS)
def test_each_due_time_is_run_for_once(seed: int, missed: Any) -> None:
    """On any server, at most; and the table knows of at least the runs that there were."""
    ran: list[Run] = []

    async def work(client: Client) -> None:
        scheduler = client.objects[0]

        @scheduler.job("job", every_ms=300, missed=missed, grace_ms=200, lease_ms=500)
        async def job(run: Run) -> None:
            ran.append(run)
            await client.pause(client.rng.choice([0, 0.1, 1.0]))

        await scheduler.run()

    run = simulate(
        seed, objects=lambda: [ReplicatedScheduler("s")], work=work, seconds=SECONDS, faults=FAULTS, spares=spares(seed)
    )
    assert len(ran) > 2
    assert len({one.due_ms for one in ran}) == len(ran)
    assert len({one.token for one in ran}) == len(ran)
    last_token, [[_, (_, _, _, runs, _, _)]] = run.copies[0][0]
    assert last_token == runs >= len(ran)


@pytest.mark.parametrize("seed", SEEDS)
def test_each_round_of_a_barrier_has_each_place_once(seed: int) -> None:
    """No more waits end in a place than there were rounds."""
    places: Counter[int] = Counter()

    async def work(client: Client) -> None:
        while True:
            try:
                places[await client.objects[0].wait(timeout_s=3)] += 1
                await client.pause(client.rng.uniform(0, 0.2))
            except (OarlockError, TimeoutError, asyncio.BrokenBarrierError):
                await client.pause(0.05)

    run = simulate(
        seed,
        objects=lambda: [ReplicatedBarrier("b", 2)],
        work=work,
        seconds=SECONDS,
        faults=FAULTS,
        spares=spares(seed),
    )
    rounds = run.copies[0][0][0]
    assert rounds > 3
    assert set(places) == {0, 1}
    assert max(places.values()) <= rounds
