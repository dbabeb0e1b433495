"""Many seeds over all cores, until one breaks a property."""

import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec

from oarlock.sim.campaign import Recorder, Result, read_record, result_of, source_digest
from oarlock.sim.engines import LOKY, HuntError, run_all
from oarlock.sim.run import run_seed

CHUNK: Final = 8
"""Seeds that a worker runs before it reports."""
FAILURES_KEPT: Final = 1000

_one_at_a_time: Final = threading.Lock()
"""A run has the collector and the log of its process to itself; workers of clusters may be threads."""


class Tally(msgspec.Struct):
    """What all runs together came to."""

    seeds: int = 0
    resumed: int = 0
    """How many of them an earlier hunt had run."""
    failures: int = 0
    failed: list[Result] = msgspec.field(default_factory=list)
    """The first of them."""
    events: int = 0
    simulated_s: float = 0.0
    run_s: float = 0.0
    """Of all workers together."""
    elections: int = 0
    committed: int = 0
    lives: int = 0
    snapshots_installed: int = 0
    strikes: Counter[str] = msgspec.field(default_factory=Counter)
    rules: Counter[str] = msgspec.field(default_factory=Counter)

    def add(self, result: Result) -> None:
        """Count a run."""
        self.seeds += 1
        self.events += result.events
        self.simulated_s += result.simulated_s
        self.run_s += result.run_s
        self.elections += result.elections
        self.committed += result.committed
        self.lives += result.lives
        self.snapshots_installed += result.snapshots_installed
        self.strikes.update(result.strikes)
        self.rules.update(result.rules)
        if not result.ok:
            self.failures += 1
            if len(self.failed) < FAILURES_KEPT:
                self.failed.append(result)


Chunk = tuple[str, Sequence[int]]
"""The digest of the source with which they are to be run, and seeds."""


def hunt(
    seeds: range,
    *,
    jobs: int = -1,
    engine: str = LOKY,
    keep_going: bool = False,
    progress: Callable[[Tally], None] | None = None,
    record: Path | None = None,
    resume: bool = False,
) -> Tally:
    """Run seeds until one fails.

    Args:
        seeds: Which.
        jobs: How many at a time; -1 for one a core, 1 for none beside this process.
        engine: See `oarlock.sim.engines.run_all`.
        keep_going: Whether to go on after a failure.
        progress: Told after every few runs.
        record: A file that gets a line for each run.
        resume: Whether to leave out seeds that are in it already; what they came to is counted.

    Raises:
        HuntError: The engine cannot be had.
        RecordError: The record that is to be resumed is none.
        OSError: It cannot be read or written.
    """
    tally = Tally()
    done = _resumed(seeds, record, tally) if resume and record is not None else set()
    recorder = Recorder(record) if record is not None else None
    tell = progress or (lambda _: None)
    tell(tally)

    def is_over() -> bool:
        return tally.failures > 0 and not keep_going

    try:
        chunks = _chunks(seeds, done, 1 if jobs == 1 else CHUNK)
        for results in run_all(run_chunk, chunks, jobs=jobs, engine=engine, stop=is_over):
            for result in results:
                tally.add(result)
            if recorder is not None:
                recorder.add(results)
            tell(tally)
    finally:
        if recorder is not None:
            recorder.close()
    return tally


def run_chunk(chunk: Chunk) -> list[Result]:
    """What a worker does.

    Raises:
        HuntError: The worker has another source, with which the seeds would be other runs.
    """
    source, seeds = chunk
    if source != source_digest():
        raise HuntError("its workers have another oarlock than this one: install the same there")
    with _one_at_a_time:
        return [_run(seed) for seed in seeds]


def _run(seed: int) -> Result:
    try:
        return result_of(run_seed(seed))
    except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to this seed
        return Result(seed=seed, ok=False, broken=f"the simulator itself raised {error!r}")


def _resumed(seeds: range, record: Path, tally: Tally) -> set[int]:
    done = set()
    for result in read_record(record):
        if result.seed in seeds:
            tally.add(result)
            done.add(result.seed)
    tally.resumed = tally.seeds
    return done


def _chunks(seeds: range, done: Collection[int], size: int) -> Iterator[Chunk]:
    source = source_digest()
    left = (seed for seed in seeds if seed not in done)
    while chunk := list(islice(left, size)):
        yield source, chunk
