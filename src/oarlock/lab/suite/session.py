"""Runs many scenarios on one implementation, each on a runtime of its own, and records what fails."""

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from oarlock.lab.services.interface import Services
from oarlock.lab.suite.outside import OutsideTracing, now_of
from oarlock.lab.suite.run import AnyRuntime, Outcome, run_scenario
from oarlock.lab.suite.table import Scenario
from oarlock.lab.threads import Limits, RealRuntime, VirtualRuntime
from oarlock.trace.schema import Event, Header

LIMITS: Final = Limits(steps=5_000_000, time_s=600.0, stuck_s=20.0)
"""Of one scenario on virtual time: ten times what a sound Raft takes. A busy loop ends here (B4)."""


class Recorded(NamedTuple):
    """The trace of a run."""

    header: Header
    events: list[Event]


class Session:
    """One implementation, and where it is run.

    Args:
        target: `package.module:make`.
        seed: Of virtual time; None for real threads on real time.
    """

    def __init__(self, target: str, seed: int | None) -> None:
        self.target = target
        self.seed = seed

    def runtime(self) -> AnyRuntime:
        """A new one."""
        return RealRuntime() if self.seed is None else VirtualRuntime(self.seed, limits=LIMITS)

    def replay(self, entry: Scenario) -> str:
        """The command that runs one scenario again; on virtual time, in the same way."""
        where = "--real" if self.seed is None else f"--virtual --seed {self.seed}"
        return f"oarlock lab run {self.target} --part {entry.id} {where}"

    def run(self, entry: Scenario) -> Outcome:
        """Run one scenario.

        Raises:
            BadTarget: The implementation cannot be loaded.
        """
        runtime = self.runtime()
        return run_scenario(runtime, runtime.load(self.target), entry)

    def run_recorded(self, entry: Scenario) -> tuple[Outcome, Recorded]:
        """The same, with its trace: rule by rule if its `make` has a method `traced`, else as it shows from outside.

        Raises:
            BadTarget: The implementation cannot be loaded.
        """
        runtime = self.runtime()
        make: Any = runtime.load(self.target)
        traced: Any
        tracing: Any
        if hasattr(make, "traced"):
            traced, tracing = make.traced()
        elif isinstance(make, Services):
            tracing = OutsideTracing(now_of(runtime))
            traced = msgspec.structs.replace(make, make=tracing.wrap(make.make))
        else:
            tracing = OutsideTracing(now_of(runtime))
            traced = tracing.wrap(make)
        outcome = run_scenario(runtime, traced, entry, tracing=tracing)
        return outcome, Recorded(tracing.header(f"lab-{entry.id}", self.seed), tracing.events)

    def run_all(self, entries: Sequence[Scenario], on_outcome: Callable[[Outcome], None]) -> list[Outcome]:
        """Run scenarios one after the other.

        Raises:
            BadTarget: The implementation cannot be loaded.
        """
        outcomes = []
        for entry in entries:
            outcomes.append(self.run(entry))
            on_outcome(outcomes[-1])
        return outcomes
