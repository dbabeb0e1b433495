"""A server's monotonic clock: a line over true time whose slope and offset may change, and which may tick coarsely."""

import math
from typing import Final

_ROUNDING: Final = 1e-6
"""Of a tick: less is no difference but of the arithmetic."""


class Clock:
    """Reads like `time.monotonic` of one machine: never backwards, but offset, fast, slow, halted or coarse.

    Args:
        now: True time, in seconds.
        reading: What the clock shows at `now`, in seconds.
        rate: Seconds shown for one true second.
        tick_s: The clock shows multiples of this only; 0 for a smooth one.
    """

    __slots__ = ("_halts", "_least", "_rate_between", "_reading", "_since", "rate", "tick_s")

    def __init__(self, now: float, reading: float, rate: float = 1.0, tick_s: float = 0.0) -> None:
        self._since = now
        self._reading = reading
        self._least = -math.inf
        self.rate = rate
        """Now; 0 while it is halted."""
        self._rate_between = rate
        self._halts = 0
        self.tick_s = tick_s

    def read(self, now: float) -> float:
        """What it shows at a moment of true time."""
        reading = self._reading + (now - self._since) * self.rate
        return max(self._least, math.floor(reading / self.tick_s + _ROUNDING) * self.tick_s) if self.tick_s else reading

    def true_time(self, reading: float) -> float:
        """When it will show `reading`, in true time; infinity while it stands still before that."""
        if reading <= self._least:
            return self._since
        if self.tick_s:
            reading = math.ceil(reading / self.tick_s - _ROUNDING) * self.tick_s
        ahead = reading - self._reading
        if ahead <= 0:
            return self._since
        return self._since + ahead / self.rate if self.rate else math.inf

    def set_rate(self, now: float, rate: float) -> None:
        """Run at another rate from now on, or as soon as nothing halts it any more; 0 stops it."""
        self._rate_between = rate
        self._turn(now)

    def halt(self, now: float) -> None:
        """Stand still, until as many calls of `go_on` as of this."""
        self._halts += 1
        self._turn(now)

    def go_on(self, now: float) -> None:
        """Be halted once less."""
        self._halts -= 1
        self._turn(now)

    def _turn(self, now: float) -> None:
        self._reading += (now - self._since) * self.rate
        self._since = now
        self.rate = 0.0 if self._halts else self._rate_between

    def set_tick(self, now: float, tick_s: float) -> None:
        """Tick so coarsely from now on; what was shown is never taken back."""
        self._least = self.read(now)
        self.tick_s = tick_s
        self._reading = max(self._least, self._reading + (now - self._since) * self.rate)
        self._since = now

    def jump(self, now: float, seconds: float) -> None:
        """Leap forward."""
        self._turn(now)
        self._reading += seconds
