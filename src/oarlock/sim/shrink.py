"""Delta debugging: the least list of faults and operations that still breaks the same property."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from oarlock.sim.run import Report, run_schedule
from oarlock.sim.schedule import ClientOperation, Fault, Schedule

_T = TypeVar("_T")

Progress = Callable[[int, int, int], None]
"""Told after each run: how many there were, and how many faults and operations are left."""


class Shrunk(msgspec.Struct, frozen=True):
    """What is left, and what it shows."""

    schedule: Schedule
    report: Report
    runs: int
    """How many runs it took."""


class NotFailing(ValueError):
    """The schedule that was to be reduced breaks nothing."""


def shrink(schedule: Schedule, *, max_runs: int = 2000, progress: Progress | None = None) -> Shrunk:
    """Reduce a failing schedule.

    Args:
        schedule: Breaks some property.
        max_runs: The most that it may cost.
        progress: Is told.

    Raises:
        NotFailing: It breaks none.
    """
    return _Shrinking(schedule, max_runs, progress).reduce()


class _Shrinking:
    def __init__(self, schedule: Schedule, max_runs: int, progress: Progress | None) -> None:
        self._schedule = schedule
        self._runs_left = max_runs
        self._runs = 0
        self._progress = progress
        self._report = run_schedule(schedule)
        if self._report.ok:
            raise NotFailing(f"the schedule of seed {schedule.seed} breaks nothing")
        self._property = self._report.violations[0].name

    def reduce(self) -> Shrunk:
        """Faults, operations, time and servers, over and over while anything can go."""
        size = -1
        while size != self._size() and self._runs_left:
            size = self._size()
            self._reduce_list(list(self._schedule.operations), self._with_operations)
            self._reduce_list(list(self._schedule.faults), self._with_faults)
            self._shorten()
        return Shrunk(self._schedule, self._report, self._runs)

    def _size(self) -> int:
        return len(self._schedule.faults) + len(self._schedule.operations)

    def _with_faults(self, faults: Sequence[Fault]) -> Schedule:
        return msgspec.structs.replace(self._schedule, faults=tuple(faults))

    def _with_operations(self, operations: Sequence[ClientOperation]) -> Schedule:
        return msgspec.structs.replace(self._schedule, operations=tuple(operations))

    def _fails(self, schedule: Schedule) -> bool:
        """Try; keep the schedule if the same property is broken."""
        if not self._runs_left:
            return False
        self._runs_left -= 1
        self._runs += 1
        report = run_schedule(schedule)
        fails = not report.ok and report.violations[0].name == self._property
        if fails:
            self._schedule, self._report = schedule, report
        if self._progress is not None:
            self._progress(self._runs, len(self._schedule.faults), len(self._schedule.operations))
        return fails

    def _reduce_list(self, items: list[_T], made: Callable[[Sequence[_T]], Schedule]) -> None:
        """Zeller's ddmin, complements only: without all, without halves, quarters, and so on to single items."""
        if not items or self._fails(made([])):
            return
        parts = 2
        while items:
            size = max(1, len(items) // parts)
            start = 0
            removed = False
            while start < len(items):
                rest = items[:start] + items[start + size :]
                if self._fails(made(rest)):
                    items = rest
                    removed = True
                else:
                    start += size
            if size == 1 and not removed:
                return
            parts = max(2, parts - 1) if removed and size > 1 else min(2 * parts, max(2, len(items)))

    def _shorten(self) -> None:
        """End the part with faults soon after the last of them, and do without needless clients."""
        schedule = self._schedule
        moments = [fault.at for fault in schedule.faults] + [each.at for each in schedule.operations]
        for margin_s in (0.1, 1.0):
            duration_s = round(max(moments, default=0.0) + margin_s, 6)
            if duration_s < schedule.settings.duration_s:
                settings = msgspec.structs.replace(schedule.settings, duration_s=duration_s)
                if self._fails(msgspec.structs.replace(schedule, settings=settings)):
                    return
