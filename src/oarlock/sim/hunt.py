"""Many seeds over all cores, until one breaks a property."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, Protocol, cast

import msgspec

from oarlock.sim.run import Report, run_seed

CHUNK: Final = 8
"""Seeds that a worker runs before it reports."""


class HuntError(Exception):
    """The hunt cannot go on; says what is missing or wrong."""


class Tally(msgspec.Struct):
    """What all runs together came to."""

    seeds: int = 0
    failed: list[Report] = msgspec.field(default_factory=list)
    events: int = 0
    simulated_s: float = 0.0
    run_s: float = 0.0
    """Of all workers together."""
    elections: int = 0
    committed: int = 0
    lives: int = 0
    snapshots_installed: int = 0
    strikes: Counter[str] = msgspec.field(default_factory=Counter)

    def add(self, report: Report) -> None:
        """Count a run."""
        self.seeds += 1
        self.events += report.events + report.callbacks
        self.simulated_s += report.simulated_s
        self.run_s += report.wall_s
        self.elections += report.elections
        self.committed += report.committed
        self.lives += report.lives
        self.snapshots_installed += report.snapshots_installed
        self.strikes.update(report.strikes)
        if not report.ok:
            self.failed.append(report)


class _Parallel(Protocol):
    """The part of `joblib.Parallel` that is used."""

    def __call__(self, tasks: Iterable[Any]) -> Iterator[list[Report]]:
        """Run tasks; gives results as they are there."""


def hunt(
    seeds: range,
    *,
    jobs: int = -1,
    engine: str = "loky",
    keep_going: bool = False,
    progress: Callable[[Tally], None] | None = None,
) -> Tally:
    """Run seeds until one fails.

    Args:
        seeds: Which.
        jobs: How many at a time; -1 for one a core, 1 for none beside this process.
        engine: joblib's backend: "loky" for processes of this machine, or one that was registered with joblib.
        keep_going: Whether to go on after a failure.
        progress: Told after every few runs.

    Raises:
        HuntError: joblib is not installed, or does not know the engine.
    """
    tally = Tally()
    for reports in _batches(seeds, jobs, engine):
        for report in reports:
            tally.add(report)
        if progress is not None:
            progress(tally)
        if tally.failed and not keep_going:
            break
    return tally


def run_chunk(seeds: list[int]) -> list[Report]:
    """What a worker does."""
    return [run_seed(seed) for seed in seeds]


def _batches(seeds: range, jobs: int, engine: str) -> Iterator[list[Report]]:
    if jobs == 1:
        for seed in seeds:
            yield [run_seed(seed)]
        return
    try:
        import joblib  # noqa: PLC0415 - an optional extra
    except ImportError:
        raise HuntError("joblib is not installed: pip install 'oarlock[hunt]', or hunt with --jobs 1") from None
    try:
        parallel = cast(
            "_Parallel", joblib.Parallel(n_jobs=jobs, backend=engine, return_as="generator_unordered", batch_size=1)
        )
    except ValueError as error:
        raise HuntError(str(error)) from None
    chunks = [list(seeds[start : start + CHUNK]) for start in range(0, len(seeds), CHUNK)]
    yield from parallel(joblib.delayed(run_chunk)(chunk) for chunk in chunks)
