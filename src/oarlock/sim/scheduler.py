"""True time, and everything that is still to happen, in one order."""

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Final

_Event = tuple[float, int, Callable[..., object], tuple[object, ...]]

MOST_EVENTS: Final = 3_000_000
"""Of a run; the busiest need a tenth of it."""
_LOOK_EVERY: Final = 16


class Endless(Exception):
    """Far too much happens: some callback calls itself for ever."""


class Scheduler:
    """A queue of events by true time; of those at one time, the first that was put in comes first."""

    __slots__ = ("_heap", "_sequence", "events", "now")

    def __init__(self) -> None:
        self.now = 0.0
        """True time, in seconds since the run began."""
        self.events = 0
        """How many were delivered."""
        self._heap: list[_Event] = []
        self._sequence = 0

    def at(self, when: float, callback: Callable[..., object], *args: object) -> None:
        """Have something happen at a moment of true time; a moment that is past means now."""
        now = self.now
        self._sequence = sequence = self._sequence + 1
        heappush(self._heap, (max(now, when), sequence, callback, args))

    def after(self, seconds: float, callback: Callable[..., object], *args: object) -> None:
        """Have something happen so many seconds from now."""
        now = self.now
        self._sequence = sequence = self._sequence + 1
        heappush(self._heap, (now + seconds if seconds > 0.0 else now, sequence, callback, args))

    def run_until(self, deadline: float, done: Callable[[], bool] | None = None) -> bool:
        """Deliver events up to `deadline`.

        Args:
            deadline: In true time.
            done: Looked at now and every few events; ends the run when it holds.

        Returns:
            Whether `done` held.

        Raises:
            Endless: The run has more events than any should need.
        """
        heap = self._heap
        while heap and heap[0][0] <= deadline:
            if done is not None and done():
                return True
            if self.events > MOST_EVENTS:
                raise Endless(f"{self.events} events in {self.now:g} simulated seconds")
            left = _LOOK_EVERY
            while left and heap and heap[0][0] <= deadline:
                left -= 1
                self.now, _, callback, args = heappop(heap)
                self.events += 1
                callback(*args)
        self.now = max(self.now, deadline)
        return done is not None and done()
