"""True time, and everything that is still to happen, in one order."""

import heapq
from collections.abc import Callable

_Event = tuple[float, int, Callable[..., object], tuple[object, ...]]


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
        self._sequence += 1
        heapq.heappush(self._heap, (max(when, self.now), self._sequence, callback, args))

    def after(self, seconds: float, callback: Callable[..., object], *args: object) -> None:
        """Have something happen so many seconds from now."""
        self.at(self.now + seconds, callback, *args)

    def run_until(self, deadline: float, done: Callable[[], bool] | None = None) -> bool:
        """Deliver events up to `deadline`.

        Args:
            deadline: In true time.
            done: Looked at before each event; ends the run when it holds.

        Returns:
            Whether `done` held.
        """
        heap = self._heap
        pop = heapq.heappop
        while heap and heap[0][0] <= deadline:
            if done is not None and done():
                return True
            self.now, _, callback, args = pop(heap)
            self.events += 1
            callback(*args)
        self.now = max(self.now, deadline)
        return done is not None and done()
