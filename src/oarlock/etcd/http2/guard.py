"""An allowance that work earns and idle frames spend, so that floods end and busy clients never notice."""


class Allowance:
    """A token bucket filled by time and by progress.

    A fixed rate would be wrong: a Go client measuring its bandwidth pings as often as it gets data, so what
    separates it from a flood is not how often it pings but whether anything else happens.

    Attributes:
        left: What may be spent now; whoever makes progress adds to it.
    """

    __slots__ = ("_burst", "_filled_at", "_per_second", "left")

    def __init__(self, burst: int, per_second: float, now: float) -> None:
        self._burst = burst
        self._per_second = per_second
        self.left = float(burst)
        self._filled_at = now

    def spend(self, now: float) -> bool:
        """Take one; False when nothing is left. Caps what was earned at the burst."""
        self.left = min(self._burst, self.left + (now - self._filled_at) * self._per_second) - 1.0
        self._filled_at = now
        return self.left >= 0.0
