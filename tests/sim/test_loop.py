"""The loop: virtual time, iterations, pauses, death."""

import asyncio

import pytest
from tests.support.simulated import lone_loop

from oarlock.sim.clock import Clock
from oarlock.sim.scheduler import Scheduler


def test_sleep_takes_simulated_time_only() -> None:
    """An hour's sleep ends after an hour of the loop's clock, which is another clock than the scheduler's."""
    scheduler = Scheduler()
    loop = lone_loop(scheduler, Clock(0.0, 1000.0, rate=2.0))
    woken = []

    async def sleep() -> None:
        await asyncio.sleep(3600)
        woken.append((loop.time(), scheduler.now))

    loop.create_task(sleep())
    scheduler.run_until(1799.9)
    assert not woken
    scheduler.run_until(1801.0)
    assert round(woken[0][0]) == 4600
    assert round(woken[0][1]) == 1800


def test_what_is_scheduled_in_an_iteration_runs_in_the_next() -> None:
    """Callbacks run in order, and one that is scheduled by another comes behind all that were ready."""
    scheduler = Scheduler()
    loop = lone_loop(scheduler)
    order: list[str] = []
    loop.call_soon(lambda: (order.append("a"), loop.call_soon(order.append, "c")))
    loop.call_soon(order.append, "b")
    scheduler.run_until(1.0)
    assert order == ["a", "b", "c"]


def test_timers_of_one_moment_keep_their_order_and_cancelled_ones_never_come() -> None:
    """Equal deadlines are met in the order in which they were set."""
    scheduler = Scheduler()
    loop = lone_loop(scheduler)
    order: list[int] = []
    handles = [loop.call_at(1.0, order.append, number) for number in range(5)]
    handles[2].cancel()
    scheduler.run_until(2.0)
    assert order == [0, 1, 3, 4]
    assert handles[2].cancelled()


def test_frozen_loop_runs_late_and_then_all_at_once() -> None:
    """A stopped process misses its deadlines while time goes on, and meets them when it continues."""
    scheduler = Scheduler()
    loop = lone_loop(scheduler)
    came: list[float] = []
    loop.call_later(1.0, lambda: came.append(loop.time()))
    loop.freeze()
    scheduler.run_until(5.0)
    assert not came
    loop.thaw()
    scheduler.run_until(6.0)
    assert came == [5.0]


def test_blocked_loop_is_late() -> None:
    """A callback that takes long delays those behind it."""
    scheduler = Scheduler()
    loop = lone_loop(scheduler)
    came: list[float] = []
    loop.call_soon(lambda: loop.block(3.0))
    loop.call_later(1.0, lambda: came.append(loop.time()))
    scheduler.run_until(10.0)
    assert came == [3.0]


def test_dead_loop_calls_nothing() -> None:
    """Nothing that was scheduled in a process comes after its death, and burying it closes its tasks silently."""
    scheduler = Scheduler()
    loop = lone_loop(scheduler)
    came: list[str] = []

    async def wait() -> None:
        try:
            await asyncio.sleep(1)
        finally:
            came.append("closed")

    loop.create_task(wait())
    scheduler.run_until(0.5)
    loop.kill()
    scheduler.run_until(5.0)
    assert came == []
    loop.bury()
    assert came == ["closed"]


def test_blocking_work_ends_later() -> None:
    """Work given to an executor ends in a later iteration, with its result."""
    scheduler = Scheduler()
    loop = lone_loop(scheduler)
    ended: list[tuple[float, int]] = []
    loop.run_in_executor(None, lambda: 42).add_done_callback(lambda done: ended.append((loop.time(), done.result())))
    scheduler.run_until(1.0)
    assert ended == [(pytest.approx(0.5, abs=1e-4), 42)]


def test_clock_that_leaps_makes_timers_due() -> None:
    """A timer follows its clock, not true time."""
    scheduler = Scheduler()
    clock = Clock(0.0, 0.0)
    loop = lone_loop(scheduler, clock)
    came: list[float] = []
    loop.call_at(30.0, lambda: came.append(scheduler.now))
    scheduler.run_until(1.0)
    clock.jump(1.0, 60.0)
    loop.clock_changed()
    scheduler.run_until(2.0)
    assert came == [1.0]
