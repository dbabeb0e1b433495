"""How far a virtual run may go."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds of one runtime; past one, the main thread gets `LimitExceeded`."""

    steps: int = 50_000_000
    """Points and waits of all threads together."""
    time_s: float = 7_200.0
    """On the virtual clock, from the runtime's beginning."""
    threads: int = 5_000
    """Alive at once."""
    stuck_s: float = 60.0
    """Of real time, in which no thread waits for anything."""

    @property
    def time_ns(self) -> int:
        """`time_s` in nanoseconds."""
        return round(self.time_s * 1e9)
