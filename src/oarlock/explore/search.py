"""Breadth first through all states: every level holds what is reached in one step more, and no sooner."""

import gc
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Final

import msgspec

from oarlock.explore.bounds import Bounds
from oarlock.explore.cover import Cover
from oarlock.explore.reach import Reach, reaches
from oarlock.explore.replay import record
from oarlock.explore.space import Key, Space
from oarlock.explore.trace import Step, Way, retrace
from oarlock.explore.violation import Broken
from oarlock.explore.visited import Visited

_LOOK_EVERY: Final = 500
"""States gone on from, between two looks at the limits."""
_REPORT_EVERY: Final = 40
"""Looks at the limits, between two reports."""
_UNIT: Final = 1024 if sys.platform != "darwin" else 1
"""Of the resident size that the system gives."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """When to stop though not all is explored; None for no limit."""

    depth: int | None = None
    """Steps."""
    states: int | None = None
    memory_bytes: int | None = None
    seconds: float | None = None
    """Of processor time."""


NO_LIMITS: Final = Limits()


class Progress(msgspec.Struct, frozen=True):
    """How far an exploration has come."""

    depth: int
    """How many steps all that was explored is away from the beginning, at most."""
    states: int
    """Distinct ones, found so far."""
    waiting: int
    """Of them, not yet explored."""
    steps: int
    """From one state to another, found so far."""
    seconds: float
    """Processor time."""


class Found(msgspec.Struct, frozen=True):
    """A shortest way to where a property does not hold."""

    property: str
    sentence: str
    steps: list[Step]


class Result(msgspec.Struct, frozen=True):
    """What an exploration came to."""

    bounds: Bounds
    states: int
    """Distinct ones; with symmetry, one for all that differ only in names."""
    steps: int
    """From a state to another one."""
    depth: int
    """Of the farthest state, in steps; where not complete, up to where all states were found."""
    is_complete: bool
    """Whether every state within the bounds was found."""
    stopped_by: str | None
    """The limit that ended it before, if one did."""
    found: Found | None
    reached: list[Reach]
    """The states by how far they went."""
    server_states: int
    """Distinct ones of single servers."""
    core_steps: int
    """How many times the production core was given an event."""
    seconds: float
    """Processor time."""
    peak_bytes: int
    """Most memory that the process ever had."""


def explore(
    bounds: Bounds,
    limits: Limits = NO_LIMITS,
    progress: Callable[[Progress], None] | None = None,
    trace: IO[bytes] | None = None,
) -> Result:
    """Explore all states within bounds, until a property breaks or a limit is reached.

    Args:
        bounds: What may happen.
        limits: When to stop.
        progress: Told every now and then.
        trace: Takes the way to where a property breaks, as `raft-trace/1`, if one does.
    """
    return Search(bounds, limits, progress).run(trace)


class Search:
    """One exploration."""

    def __init__(
        self, bounds: Bounds, limits: Limits = NO_LIMITS, progress: Callable[[Progress], None] | None = None
    ) -> None:
        self._limits = limits
        self._progress = progress
        self._began = time.process_time()
        self.space = Space(bounds)
        self.visited = Visited(self.space.key_bytes)
        self._cover = Cover(self.space.network.masks, bounds.servers) if bounds.cover else None
        self._steps = 0
        self._depth = 0
        self._is_complete = False
        self._stopped_by: str | None = None

    def run(self, trace: IO[bytes] | None = None) -> Result:
        """Explore."""
        found = None
        first = self.space.first()
        self.visited.add(first, self.visited.slot(first), 0)
        try:
            with _no_cycles_sought():
                self._levels()
        except _Breaks as breaks:
            steps, way = self._way_to(breaks)
            found = Found(breaks.broken.name, breaks.broken.sentence, steps)
            if trace is not None:
                record(self.space.bounds, way, breaks.broken, trace)
        return Result(
            bounds=self.space.bounds,
            states=len(self.visited),
            steps=self._steps,
            depth=self._depth,
            is_complete=self._is_complete,
            stopped_by=self._stopped_by,
            found=found,
            reached=reaches(self.space, self.visited),
            server_states=len(self.space.servers.states),
            core_steps=self.space.moves.core_steps,
            seconds=round(time.process_time() - self._began, 3),
            peak_bytes=_peak_bytes(),
        )

    def _levels(self) -> None:
        visited, cover, first = self.visited, self._cover, 0
        while first < len(visited):
            if self._limits.depth is not None and self._depth >= self._limits.depth:
                self._stopped_by = "depth"
                return
            level = range(first, len(visited))
            for number in level:
                if number % _LOOK_EVERY == 0 and self._is_over(number):
                    return
                if cover is None or not cover.is_covered(number):
                    self._expand(visited.key(number), number)
            first = level.stop
            if len(visited) > first:
                self._depth += 1
        self._is_complete = True

    def _expand(self, key: Key, number: int) -> None:
        space, visited = self.space, self.visited
        canonical, check, cover = space.canonical, space.check, self._cover
        move = None
        try:
            for standing, under_way, history, move in space.steps(space.unpack(key)):  # noqa: B007 - needed where it breaks
                self._steps += 1
                new = canonical(standing, under_way, history)
                slot = visited.slot(new)
                if slot >= 0:
                    check(standing, history)
                    if cover is not None:
                        parts = space.unpack(new)
                        if cover.covers(parts):
                            continue
                        cover.add(len(visited), parts)
                    visited.add(new, slot, number)
        except Broken as broken:
            if broken.event is None and move is not None:
                broken.at(space.servers.states[move.server].id, move.event)
            raise _Breaks(broken, number) from broken

    def _is_over(self, number: int) -> bool:
        """Whether a limit is reached, with all states before one gone on from."""
        limits = self._limits
        seconds = time.process_time() - self._began
        states = len(self.visited)
        if self._progress is not None and number % (_LOOK_EVERY * _REPORT_EVERY) == 0:
            self._progress(Progress(self._depth, states, states - number, self._steps, seconds))
        if limits.states is not None and states >= limits.states:
            self._stopped_by = "states"
        elif limits.memory_bytes is not None and _peak_bytes() >= limits.memory_bytes:
            self._stopped_by = "memory"
        elif limits.seconds is not None and seconds >= limits.seconds:
            self._stopped_by = "seconds"
        return self._stopped_by is not None

    def _way_to(self, breaks: "_Breaks") -> tuple[list[Step], Way]:
        numbers = [breaks.number]
        while numbers[-1]:
            numbers.append(self.visited.parent(numbers[-1]))
        keys = [self.visited.key(number) for number in reversed(numbers)]
        return retrace(self.space, keys, breaks.broken)


class _Breaks(Exception):
    """A step from a state breaks a property."""

    def __init__(self, broken: Broken, number: int) -> None:
        super().__init__(str(broken))
        self.broken = broken
        self.number = number


@contextmanager
def _no_cycles_sought() -> Iterator[None]:
    """Leave the collector of cycles off: it would look through millions of values that stay, and free nothing."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT
