"""What a judge is asked, and what became of a mutant: the words between the two processes."""

from typing import Literal

import msgspec

from oarlock.zoo.mutation.mutants import General
from oarlock.zoo.trials import Stage

By = Literal["compiler", "import", "scenes", "core", "storage", "drill", "node", "suite", "nobody"]
"""Who told a mutant from the code: the compiler sees no difference at all; nobody did; else what killed it."""


class Trial(msgspec.Struct, frozen=True):
    """One run that may kill."""

    stage: Stage
    seed: int
    scene: str = ""

    @property
    def name(self) -> str:
        """For people."""
        return self.scene or f"{self.stage} {self.seed}"


class Assignment(msgspec.Struct, frozen=True):
    """What a judge is to do."""

    mutants: list[General]
    trials: dict[str, list[Trial]]
    """For each room, in the order in which they are tried as long as nothing is known of them."""
    suites: dict[str, list[str]]
    """For each room, the tests for what survives; none where there is no suite."""


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a mutant."""

    mutant: General
    by: By
    where: str = ""
    """The run or the test that killed it."""
    broken: str = ""
    """The property that did not hold."""
    sentence: str = ""
    hangs: bool = False
    """Killed because it did not end in time."""
    seconds: float = 0.0
    """Processor time."""

    @property
    def is_killed(self) -> bool:
        """Whether anything did."""
        return self.by not in ("compiler", "nobody")

    @property
    def by_simulation(self) -> bool:
        """Whether that was a simulation, or the import before it."""
        return self.is_killed and self.by != "suite"
