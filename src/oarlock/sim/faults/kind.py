"""What a kind of fault is: what it does, and how a seed draws one."""

import math
import random
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from oarlock.raft.types import ServerId
from oarlock.sim.schedule import MODES, Fault, Mode, Settings

if TYPE_CHECKING:
    from oarlock.sim.cluster import Simulation


def chance_of(simulation: "Simulation", fault: Fault) -> random.Random:
    """The fault's own, so that what it does hangs on no other."""
    return random.Random(f"{simulation.schedule.seed}/{fault.kind}/{fault.at}")  # noqa: S311


class Draw:
    """Draws what a fault needs."""

    def __init__(self, rng: random.Random, settings: Settings) -> None:
        self.rng = rng
        self.servers = settings.servers
        self.election_s = settings.election_timeout_ms / 1000
        self.duration_s = settings.duration_s
        self.clock_drift = settings.max_clock_drift if settings.lease_reads else None
        """By what fraction the clocks of two servers may differ in speed; None for any."""
        self.added = 0
        """How many of the servers that may be added faults are to strike too."""

    def one(self) -> tuple[int, ...]:
        """Some server; one time in three, whoever leads."""
        return (0,) if self.rng.random() < 0.35 else (self.rng.randint(1, self.servers + self.added),)

    def two(self) -> tuple[int, ...]:
        """Two servers."""
        return tuple(self.rng.sample(range(1, self.servers + 1), 2))

    def some(self, most: int) -> tuple[int, ...]:
        """A few servers, in order."""
        count = self.rng.randint(1, max(1, most))
        servers = self.servers + self.added
        return tuple(sorted(self.rng.sample(range(1, servers + 1), min(count, servers))))

    def link(self) -> tuple[int, ...]:
        """A directed link, all links of one server, or all links there are."""
        return self.rng.choice(((), self.one(), self.some(1) + self.some(1)))

    def time(self) -> float:
        """A length: mostly around an election timeout, sometimes many."""
        return round(self.election_s * self.rng.choice((0.2, 0.7, 1.5, 3.0, 8.0)) * (0.5 + self.rng.random()), 6)


Strike = Callable[["Simulation", Fault, list[ServerId]], None]
"""Begins a fault; it ends by itself. Gets the servers that the fault names, 0 already replaced."""

Drawn = tuple[tuple[int, ...], float]
"""Servers and value of a fault."""


class Kind(msgspec.Struct, frozen=True):
    """One kind of fault."""

    strike: Strike
    draw: Callable[[Draw], Drawn]
    """How a seed draws one."""
    most: int = 40
    """At most so many in a run."""
    least_servers: int = 1
    """How many it must name."""
    values: tuple[float, float] = (0.0, math.inf)
    """Between which its value must be."""
    likelihood: float = 1.0
    """How likely a run has it, against others."""
    modes: tuple[Mode, ...] = MODES
    """In which runs seeds draw it."""
    needs_several: bool = False
    """Whether it means nothing to a cluster of one."""
    bends_time: bool = False
    """Whether it has clocks differ in speed by more than leases allow for."""


def anyone(draw: Draw) -> Drawn:
    """Some server, and no value."""
    return draw.one(), 0.0
