"""The runs that a test recorded, and what is told of them when it fails."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from oarlock.diagram.page import page
from oarlock.diagram.sentences import sentence
from oarlock.diagram.violation import violations
from oarlock.sim.generate import generate
from oarlock.sim.run import Report, record_schedule
from oarlock.sim.schedule import Schedule
from oarlock.testing.shrinking import shrink
from oarlock.testing.simulated import RunFailed, SimulatedRun, simulate
from oarlock.trace.loaded import Trace, load
from oarlock.trace.provenance import why
from oarlock.trace.schema import Event

MOST_EVENTS: Final = 20
"""Of an explanation, so many are printed; the page has all."""


class Shown(NamedTuple):
    """One run as a failing test shows it."""

    heading: str
    text: str


class RecordedRuns:
    """Collects the runs of one test, as the fixture `oarlock_runs`.

    Args:
        what_if: What is to become of single messages in simulated clusters; see `oarlock.testing.simulate`.
        shrinks: Whether of a failing simulated cluster the run with the fewest faults is kept and told as well.
    """

    def __init__(self, what_if: Sequence[str] = (), *, shrinks: bool = False) -> None:
        self._what_if = what_if
        self._shrinks = shrinks
        self._runs: list[tuple[Trace, str]] = []

    def simulate(self, what: int | Schedule) -> Report:
        """Simulate a run and keep it.

        Args:
            what: A seed, or a schedule.
        """
        report, trace = record_schedule(generate(what) if isinstance(what, int) else what)
        self.add(trace)
        return report

    def simulate_cluster(self, seed: int, **arguments: Any) -> SimulatedRun:  # noqa: ANN401 - of `simulate`
        """Simulate a cluster of replicated objects and keep the run, whether it fails or not.

        Args:
            seed: Of the run.
            arguments: See `oarlock.testing.simulate`.

        Raises:
            RunFailed: What must hold did not.
        """
        edited = {**arguments, "what_if": self._what_if} if self._what_if else arguments
        try:
            return simulate(seed, record=self.add, **edited)
        except RunFailed:
            if not self._shrinks:
                raise
        raise shrink(seed, record=self.add, **arguments)

    def load(self, path: str | Path) -> Trace:
        """Keep a run that was recorded as a file.

        Raises:
            TraceError: It is no trace.
            OSError: It cannot be read.
        """
        trace = load(path)
        self.add(trace)
        return trace

    def add(self, trace: Trace) -> None:
        """Keep a run."""
        self._runs.append((trace, ""))

    def point_at(self, event_id: str) -> None:
        """Say which event of the newest run the test is about: its why is printed if the test fails.

        Raises:
            KeyError: The newest run does not hold it.
            IndexError: There is none.
        """
        trace, _ = self._runs[-1]
        trace.position(event_id)
        self._runs[-1] = trace, event_id

    @property
    def newest(self) -> Trace:
        """The run that was kept last.

        Raises:
            IndexError: There is none.
        """
        return self._runs[-1][0]

    def show(self, test: str, directory: Path) -> list[Shown]:
        """Write a page for each run, and say what there is to see.

        Args:
            test: Names the pages.
            directory: Where they go; made if it is not there.

        Raises:
            OSError: They cannot be written.
        """
        found = []
        for number, (trace, event_id) in enumerate(self._runs, 1):
            directory.mkdir(parents=True, exist_ok=True)
            name = f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', test).strip('-')[:120]}-{number}.html"
            path = directory / name
            path.write_text(page(trace.header, trace.events, title=test), encoding="utf-8")
            seed = trace.header.seed
            heading = trace.header.run if seed is None else f"seed {seed}"
            text = "\n".join([*_explained(trace, event_id), f"page: {path}", *_again(trace)])
            found.append(Shown(f"Oarlock, {heading}", text))
        return found


def _again(trace: Trace) -> list[str]:
    seed = trace.header.seed
    if seed is None:
        return []
    if trace.header.schedule is None:
        return [f'again: oarlock.testing.simulate({seed}, ..., record="run.jsonl"), with the same arguments']
    return [f"again: oarlock draw --seed {seed} -o run.html, if the schedule is the seed's own"]


def _explained(trace: Trace, event_id: str) -> list[str]:
    """The slice: of a violation, of the event that the test is about, or of the last commit."""
    broken = [] if event_id else violations(trace)
    if broken:
        first = broken[0]
        lines = [f"{first.property} does not hold: {first.sentence}"]
        return [*lines, *_chain(trace, [step.event for step in first.tree.steps] if first.tree is not None else [])]
    asked = event_id or _last_commit(trace)
    if not asked:
        return [f"{len(trace):,} events, and nothing was committed"]
    return [f"Why {asked}?", *_chain(trace, [step.event for step in why(trace, asked, "").steps])]


def _last_commit(trace: Trace) -> str:
    commits = (event.id for event in reversed(trace.events) if event.w is not None and event.w.commit is not None)
    return next(commits, "")


def _chain(trace: Trace, events: Sequence[Event]) -> list[str]:
    """Nearest reasons first were found; they are read in the order in which they happened."""
    chosen = sorted(events[:MOST_EVENTS], key=lambda event: trace.position(event.id))
    start = trace.events[0].t if len(trace) else 0
    lines = [
        f"  {(event.t - start) / 1e6:9.3f} s  {event.id:<10} {sentence(event, trace.header.nodes)}" for event in chosen
    ]
    left = len(events) - len(chosen)
    return [*lines, f"  and {left} earlier reasons"] if left > 0 else lines
