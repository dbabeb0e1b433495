"""What waits, renews and claims, in simulated processes that are frozen, cut off and killed: one run for each seed."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.support.toy_log import ToyServer, ToyWorld

from oarlock.replica.errors import OarlockError
from oarlock.replica.objects import (
    LeaderElection,
    Lease,
    NotHeld,
    ReplicatedBarrier,
    ReplicatedLock,
    ReplicatedPriorityQueue,
    ReplicatedQueue,
    ReplicatedScheduler,
    ReplicatedSemaphore,
    Run,
)

SEEDS = range(10)
LEASE_MS = 1000
HURT_S = 20.0
CALM_S = 60.0


def hurt(world: ToyWorld, *, freezes: bool, kills: bool = True) -> None:
    """Let trouble come for a while: servers cut off or frozen for seconds, commands lost, one server killed for good."""
    rng = random.Random(f"trouble {world.rng.random()}")

    def end_cut(server: ToyServer) -> None:
        server.is_cut_off = False

    def strike() -> None:
        if world.now > HURT_S:
            return
        server = rng.choice(world.servers)
        seconds = rng.uniform(0.1, 4.0)
        if freezes and rng.random() < 0.5:
            server.loop.freeze()
            world.scheduler.after(seconds, server.loop.thaw)
        else:
            server.is_cut_off = True
            world.scheduler.after(seconds, end_cut, server)
        world.scheduler.after(rng.expovariate(1.0), strike)

    def calm() -> None:
        world.loss = 0.0

    world.loss = 0.05
    world.scheduler.at(HURT_S, calm)
    world.scheduler.after(1.0, strike)
    if kills:
        world.scheduler.after(rng.uniform(5, 15), rng.choice(world.servers).kill)


class Shared:
    """What is done under a permit, and a store that refuses tokens below the highest it has seen."""

    def __init__(self, world: ToyWorld, limit: int) -> None:
        self.world = world
        self.limit = limit
        self.inside: dict[int, tuple[ToyServer, Lease]] = {}
        self.grants: list[tuple[float, float, int]] = []
        """When each was asked for, when it was given, and its token."""

    def check(self) -> None:
        """No more holders than permits whose servers run and believe that they hold one."""
        held = [
            lease
            for server, lease in self.inside.values()
            if server.is_alive and not server.loop.is_frozen and lease.is_held()
        ]
        assert len(held) <= self.limit, held

    def check_tokens(self) -> None:
        """Each grant has a token of its own; whoever asked after another was served has a higher one."""
        tokens = [token for _, _, token in self.grants]
        assert len(set(tokens)) == len(tokens)
        for asked, _, token in self.grants:
            assert all(token > other for _, given, other in self.grants if given < asked)


async def again(ask: Callable[[], Awaitable[Any]]) -> Any:
    """Ask until there is an answer."""
    while True:
        try:
            return await ask()
        except OarlockError:
            await asyncio.sleep(0.1)


async def use(server: ToyServer, shared: Shared, rng: random.Random, rounds: int) -> None:
    """Hold the permit again and again, for some time each."""
    for _ in range(rounds):
        asked = shared.world.now
        async with server.target.hold(lease_ms=LEASE_MS) as lease:
            shared.grants.append((asked, shared.world.now, lease.token))
            shared.inside[lease.token] = (server, lease)
            shared.check()
            for _ in range(rng.randrange(4)):
                await asyncio.sleep(rng.uniform(0, 1.0))
                if not lease.is_held():
                    break
                shared.check()
            del shared.inside[lease.token]


@pytest.mark.parametrize("limit", [1, 2])
@pytest.mark.parametrize("freezes", [False, True])
def test_permits_are_held_by_no_more_than_there_are(limit: int, freezes: bool) -> None:
    """While clocks agree, no two believe to hold one permit, whatever is frozen, cut off or killed; and all get theirs."""
    for seed in SEEDS:
        world = ToyWorld(seed, lambda: ReplicatedLock("l") if limit == 1 else ReplicatedSemaphore("s", limit))
        shared = Shared(world, limit)
        hurt(world, freezes=freezes)
        tasks = [
            (server, server.spawn(use(server, shared, random.Random(f"{seed} {server.number} {n}"), 5)))
            for server in world.servers
            for n in range(2)
        ]
        world.run(HURT_S + CALM_S)
        assert all(task.done() for server, task in tasks if server.is_alive), seed
        shared.check_tokens()
        for server in world.servers:
            if server.is_alive:
                assert server.target.waiting() == []
        world.close()


def test_tokens_rise_even_where_clocks_do_not_agree() -> None:
    """With clocks that are seconds apart leases may end early, but no token is given twice, and later ones are higher."""
    for seed in SEEDS:
        world = ToyWorld(seed, lambda: ReplicatedLock("l"))
        shared = Shared(world, 3)
        for server in world.servers:
            server.clock_offset_ms = world.rng.randrange(-5000, 5000)
        hurt(world, freezes=True)
        for server in world.servers:
            server.spawn(use(server, shared, random.Random(f"{seed} {server.number}"), 5))
        world.run(HURT_S + CALM_S)
        assert len(shared.grants) >= 10
        shared.check_tokens()
        world.close()


def test_one_candidate_leads_at_a_time_and_somebody_does() -> None:
    """Between being elected and being deposed no other is elected; when its server dies, another leads soon."""
    for seed in SEEDS:
        world = ToyWorld(seed, lambda: LeaderElection("e"))
        leading: dict[ToyServer, int] = {}
        last = 0

        def take_part(
            server: ToyServer, world: ToyWorld = world, leading: dict[ToyServer, int] = leading
        ) -> Awaitable[None]:
            async def elected(lease: Lease) -> None:
                nonlocal last
                assert not [other for other in leading if other.is_alive and other is not server]
                assert lease.token > last
                last = lease.token
                leading[server] = lease.token
                await asyncio.sleep(world.rng.uniform(0, 20))

            def deposed() -> None:
                leading.pop(server, None)

            return server.target.campaign(elected, deposed, candidate=f"server {server.number}", lease_ms=LEASE_MS)

        hurt(world, freezes=False)
        for server in world.servers:
            server.spawn(take_part(server))
        world.run(HURT_S + CALM_S)
        assert len([server for server in leading if server.is_alive]) == 1, seed
        assert last >= 2
        world.close()


@pytest.mark.parametrize("missed", ["once", "all", "skip"])
def test_no_due_time_is_run_for_twice_and_runs_do_not_overlap(missed: Any) -> None:
    """Whatever happens to the servers; and jobs go on after it."""
    for seed in SEEDS:
        world = ToyWorld(seed, lambda: ReplicatedScheduler("s"))
        ran: list[tuple[int, int, float]] = []
        running: set[ToyServer] = set()

        def take_part(
            server: ToyServer,
            world: ToyWorld = world,
            ran: list[tuple[int, int, float]] = ran,
            running: set[ToyServer] = running,
        ) -> Awaitable[None]:
            @server.target.job("job", every_ms=700, missed=missed, grace_ms=300, lease_ms=LEASE_MS)
            async def job(run: Run) -> None:
                ran.append((run.due_ms, run.token, world.now))
                assert not [other for other in running if other.is_alive]
                running.add(server)
                try:
                    await asyncio.sleep(world.rng.choice([0, 0.1, 0.5, 1.5]))
                    if world.rng.random() < 0.1:
                        raise ValueError("a job may fail")
                finally:
                    running.discard(server)

            return server.target.run()

        hurt(world, freezes=False)
        for server in world.servers:
            server.spawn(take_part(server))
        world.run(HURT_S + CALM_S)
        due = [due_ms for due_ms, _, _ in ran]
        assert len(set(due)) == len(due), seed
        assert due == sorted(due)
        assert len({token for _, token, _ in ran}) == len(ran)
        assert len([True for _, _, moment in ran if moment > HURT_S + 20]) > 20, seed
        job = next(server for server in world.servers if server.is_alive).target.jobs()["job"]
        assert job.runs >= len(ran)
        if missed != "skip":
            assert max(moment for _, _, moment in ran) > HURT_S + CALM_S - 5
        world.close()


@pytest.mark.parametrize("kind", [ReplicatedQueue, ReplicatedPriorityQueue])
def test_each_item_is_handed_to_one_getter_and_nobody_waits_beside_items(kind: Any) -> None:
    """Getters and putters that wait on three servers move all items, as far as their answers were not lost."""
    for seed in SEEDS:
        world = ToyWorld(seed, lambda: kind("q", maxsize=2))
        got: list[int] = []
        put: list[int] = []
        doubtful: set[int] = set()
        lost_gets = 0

        async def putter(
            server: ToyServer,
            first: int,
            put: list[int] = put,
            doubtful: set[int] = doubtful,
        ) -> None:
            for item in range(first, first + 10):
                try:
                    await server.target.put(item)
                    put.append(item)
                except OarlockError:
                    doubtful.add(item)

        async def getter(server: ToyServer, got: list[int] = got) -> None:
            nonlocal lost_gets
            while True:
                try:
                    got.append(await server.target.get())
                except OarlockError:
                    lost_gets += 1

        hurt(world, freezes=True, kills=False)
        for server in world.servers:
            server.spawn(getter(server))
            server.spawn(getter(server))
            server.spawn(putter(server, 100 * server.number))
        world.run(HURT_S + CALM_S)
        assert len(set(got)) == len(got), seed
        assert set(got) <= set(put) | doubtful
        assert len(set(put) - set(got)) <= lost_gets, seed
        assert len(put) + len(doubtful) == 30, seed
        assert all(len(server.target) == 0 for server in world.servers)
        world.close()


def test_nobody_passes_a_barrier_before_all_have_come() -> None:
    """In each round all parties have come before the first goes; frozen and cut off, they come late but do."""
    for seed in SEEDS:
        world = ToyWorld(seed, lambda: ReplicatedBarrier("b", 3))
        came: dict[int, int] = {}
        passed: list[int] = []

        async def party(
            server: ToyServer, world: ToyWorld = world, came: dict[int, int] = came, passed: list[int] = passed
        ) -> None:
            for number in range(8):
                await asyncio.sleep(world.rng.uniform(0, 2))
                came[number] = came.get(number, 0) + 1
                await server.target.wait()
                assert came[number] == 3
                passed.append(number)

        hurt(world, freezes=True, kills=False)
        for server in world.servers:
            server.spawn(party(server))
        world.run(HURT_S + CALM_S)
        assert passed == sorted(passed)
        assert len(passed) == 24, seed
        world.close()


def test_whoever_gives_up_leaves_the_queue() -> None:
    """By its timeout, or cancelled while it waits; the next in line gets the lock all the same."""
    world = ToyWorld(1, lambda: ReplicatedLock("l"))
    first, second, third = world.servers

    async def hold() -> None:
        lease = await first.target.acquire(lease_ms=60_000)
        await asyncio.sleep(5)
        await first.target.release(lease)
        with pytest.raises(NotHeld, match="was over already"):
            await first.target.release(lease)
        with pytest.raises(NotHeld, match="is over"):
            await first.target.renew(lease)

    async def give_up() -> None:
        await asyncio.sleep(1)
        with pytest.raises(TimeoutError, match="l: nothing was free in the time given"):
            await second.target.acquire(timeout_s=1.0)

    async def wait() -> None:
        await asyncio.sleep(1.5)
        await third.target.acquire()

    async def be_cancelled() -> None:
        await asyncio.sleep(1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2):
                await second.target.acquire()

    first.spawn(hold())
    second.spawn(give_up())
    waiting = third.spawn(wait())
    second.spawn(be_cancelled())
    world.run(4)
    assert len(first.target.waiting()) == 1
    world.run(4)
    assert waiting.done()
    assert first.target.waiting() == []
    world.close()
