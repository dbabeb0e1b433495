"""Clocks: offset, rate, leaps, halts and ticks, and what they do to timers."""

import math
import random

import pytest

from oarlock.sim.clock import Clock


def test_offset_and_rate() -> None:
    """A clock shows another time than the true one, and runs faster or slower."""
    clock = Clock(10.0, 500.0, rate=2.0)
    assert clock.read(10.0) == 500.0
    assert clock.read(13.0) == 506.0
    assert clock.true_time(506.0) == 13.0


def test_change_of_rate_is_no_leap() -> None:
    """What a clock shows goes on from where it was when its rate changes, and a halted one never gets anywhere."""
    clock = Clock(0.0, 100.0)
    clock.set_rate(5.0, 0.5)
    assert clock.read(5.0) == 105.0
    assert clock.read(7.0) == 106.0
    clock.set_rate(7.0, 0.0)
    assert clock.read(1000.0) == 106.0
    assert clock.true_time(106.5) == math.inf


def test_leap() -> None:
    """After a leap every later reading is ahead, and what was due in between is due at once."""
    clock = Clock(0.0, 0.0)
    clock.jump(1.0, 30.0)
    assert clock.read(1.0) == 31.0
    assert clock.true_time(20.0) <= 1.0


def test_halts_overlap() -> None:
    """What is halted twice goes on when both have ended, as fast as it was told to meanwhile."""
    clock = Clock(0.0, 0.0)
    clock.halt(1.0)
    clock.halt(2.0)
    clock.set_rate(3.0, 2.0)
    clock.go_on(4.0)
    assert clock.read(5.0) == 1.0
    assert clock.true_time(1.5) == math.inf
    clock.go_on(6.0)
    assert clock.read(7.0) == 3.0


def test_no_change_takes_anything_back() -> None:
    """Whatever is done to it, a clock never shows less than it has shown: so it is for all monotonic clocks."""
    rng = random.Random(5)
    clock = Clock(0.0, 12345.678)
    now, shown = 0.0, clock.read(0.0)
    for _ in range(2000):
        now += rng.choice((0.0, 0.0001, 0.01, 1.0))
        change = rng.randrange(4)
        if change == 0:
            clock.set_rate(now, rng.choice((0.0, 0.5, 1.0, 2.0)))
        elif change == 1:
            clock.set_tick(now, rng.choice((0.0, 0.001, 0.016, 0.25)))
        elif change == 2:
            clock.jump(now, rng.choice((0.0, 0.3)))
        assert clock.read(now) >= shown
        shown = clock.read(now)
        due = clock.true_time(shown + 0.1)
        assert due == math.inf or (due >= now and clock.read(due) >= shown + 0.1 - 1e-6)


def test_ticks() -> None:
    """A coarse clock stands still between its ticks, and a timer fires at the tick that reaches it."""
    clock = Clock(0.0, 0.0, tick_s=0.25)
    assert clock.read(0.7) == 0.5
    due = clock.true_time(0.6)
    assert due == pytest.approx(0.75)
    assert clock.read(due) >= 0.6
