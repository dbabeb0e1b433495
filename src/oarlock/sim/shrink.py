"""Delta debugging: the least list of faults and operations that still breaks the same property."""

import math
import time
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import msgspec

from oarlock.sim.run import Report, run_schedule
from oarlock.sim.schedule import ClientOperation, Fault, Schedule, Settings
from oarlock.sim.schedule_file import ScheduleError, check_schedule

_T = TypeVar("_T")

Progress = Callable[[int, int, int], None]
"""Told after each run: how many there were, and how many faults and operations are left."""

_AFTER_S: Final = (0.0, 0.1, 1.0)
"""How long after the last item the part with faults may end."""
_SIZES: Final = (1, 3, 5)


class Shrunk(msgspec.Struct, frozen=True):
    """What is left, and what it shows."""

    schedule: Schedule
    report: Report
    runs: int
    """How many runs it took."""
    is_least: bool
    """Whether nothing more can go; False if it ended for want of runs or time."""


class NotFailing(ValueError):
    """The schedule that was to be reduced breaks nothing."""


class _OutOfBounds(Exception):
    """It has cost all that it may."""


def shrink(
    schedule: Schedule, *, max_runs: int = 2000, max_s: float = math.inf, progress: Progress | None = None
) -> Shrunk:
    """Reduce a failing schedule.

    Args:
        schedule: Breaks some property.
        max_runs: The most runs that it may cost.
        max_s: The same in seconds of real time; the run that is under way then is made to its end.
        progress: Is told.

    Raises:
        NotFailing: It breaks none.
    """
    return _Shrinking(schedule, max_runs, time.monotonic() + max_s, progress).reduce()


def least(items: list[_T], fails: Callable[[Sequence[_T]], bool]) -> list[_T]:
    """Zeller's ddmin, complements only: without all, without halves, quarters, and so on to single items.

    Args:
        items: With which it fails.
        fails: Whether it does with others.

    Returns:
        Such of them as it takes: without any one of these it does not fail.
    """
    if not items or fails([]):
        return []
    parts = 2
    while items:
        size = max(1, len(items) // parts)
        start = 0
        removed = False
        while start < len(items):
            rest = items[:start] + items[start + size :]
            if fails(rest):
                items = rest
                removed = True
            else:
                start += size
        if size == 1 and not removed:
            break
        parts = max(2, parts - 1) if removed and size > 1 else min(2 * parts, max(2, len(items)))
    return items


class _Shrinking:
    def __init__(self, schedule: Schedule, max_runs: int, deadline: float, progress: Progress | None) -> None:
        self._schedule = schedule
        self._max_runs = max_runs
        self._deadline = deadline
        self._runs = 0
        self._progress = progress
        self._report = run_schedule(schedule)
        if self._report.ok:
            raise NotFailing(f"the schedule of seed {schedule.seed} breaks nothing")
        self._property = self._report.violations[0].name

    def reduce(self) -> Shrunk:
        """What comes too late, then lists, then single items and settings; over and over while anything can go."""
        is_least = False
        try:
            self._cut_off()
            before: Schedule | None = None
            while before is not self._schedule:
                before = self._schedule
                self._reduce_list(list(self._schedule.operations), self._with_operations)
                self._reduce_list(list(self._schedule.faults), self._with_faults)
                self._simplify_settings()
                self._simplify_faults()
                self._end_sooner()
            is_least = True
        except _OutOfBounds:
            pass
        return Shrunk(self._schedule, self._report, self._runs, is_least)

    # -- trying --------------------------------------------------------------------------------------------------------

    def _fails(self, schedule: Schedule) -> bool:
        """Try; keep the schedule if the same property is broken.

        Raises:
            _OutOfBounds: It may not be tried any more.
        """
        if schedule == self._schedule:
            return False
        if self._runs >= self._max_runs or time.monotonic() >= self._deadline:
            raise _OutOfBounds
        try:
            check_schedule(schedule)
        except ScheduleError:
            return False  # settings that do not go together
        self._runs += 1
        report = run_schedule(schedule)
        fails = not report.ok and report.violations[0].name == self._property
        if fails:
            self._schedule, self._report = schedule, report
        if self._progress is not None:
            self._progress(self._runs, len(self._schedule.faults), len(self._schedule.operations))
        return fails

    def _with_faults(self, faults: Sequence[Fault]) -> Schedule:
        return msgspec.structs.replace(self._schedule, faults=tuple(faults))

    def _with_operations(self, operations: Sequence[ClientOperation]) -> Schedule:
        return msgspec.structs.replace(self._schedule, operations=tuple(operations))

    def _with_settings(self, **changes: object) -> Schedule:
        settings = msgspec.structs.replace(self._schedule.settings, **changes)
        return msgspec.structs.replace(self._schedule, settings=settings)

    # -- what can go -------------------------------------------------------------------------------------------------

    def _cut_off(self) -> None:
        """Do without whatever comes after the failure: mostly half of all, for one run."""
        end = self._report.simulated_s
        schedule = self._schedule
        if end < schedule.settings.duration_s:
            faults = tuple(fault for fault in schedule.faults if fault.at <= end)
            operations = tuple(operation for operation in schedule.operations if operation.at <= end)
            self._fails(msgspec.structs.replace(schedule, faults=faults, operations=operations))

    def _reduce_list(self, items: list[_T], made: Callable[[Sequence[_T]], Schedule]) -> None:
        """Do without whatever items can go."""
        least(items, lambda rest: self._fails(made(rest)))

    def _simplify_settings(self) -> None:
        """A smaller cluster, and every setting as it is by default."""
        for servers in _SIZES:
            if servers < self._schedule.settings.servers and self._fails(self._with_settings(servers=servers)):
                break
        plain = Settings()
        self._fails(
            self._with_settings(
                election_timeout_ms=plain.election_timeout_ms, heartbeat_interval_ms=plain.heartbeat_interval_ms
            )
        )
        for name in Settings.__struct_fields__:
            if name not in {"servers", "duration_s", "mode"}:  # the mode says what is owed
                self._fails(self._with_settings(**{name: getattr(plain, name)}))
        self._simplify_knobs()

    def _simplify_knobs(self) -> None:
        for name in list(self._schedule.settings.knobs):
            knobs = self._schedule.settings.knobs
            self._fails(self._with_settings(knobs={each: knobs[each] for each in knobs if each != name}))
        for server in list(self._schedule.settings.server_knobs):
            own = self._schedule.settings.server_knobs
            self._fails(self._with_settings(server_knobs={each: own[each] for each in own if each != server}))

    def _simplify_faults(self) -> None:
        """Fewer servers to each, and shorter."""
        for place in range(len(self._schedule.faults)):
            for count in range(1, len(self._schedule.faults[place].servers)):
                if self._replaces(place, servers=self._schedule.faults[place].servers[:count]):
                    break
            while (seconds := self._schedule.faults[place].seconds) > 0.05 and self._replaces(
                place, seconds=round(seconds / 2, 3)
            ):
                pass

    def _replaces(self, place: int, **changes: object) -> bool:
        faults = list(self._schedule.faults)
        faults[place] = msgspec.structs.replace(faults[place], **changes)
        return self._fails(self._with_faults(faults))

    def _end_sooner(self) -> None:
        """End the part with faults soon after the last of them."""
        schedule = self._schedule
        moments = [fault.at for fault in schedule.faults] + [each.at for each in schedule.operations]
        for margin_s in _AFTER_S:
            duration_s = round(max(moments, default=0.0) + margin_s, 6)
            if duration_s < schedule.settings.duration_s and self._fails(self._with_settings(duration_s=duration_s)):
                return
