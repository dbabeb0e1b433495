"""`oarlock hunt`: many simulated runs over all cores, until one breaks a property."""

import argparse
import re
import sys
import time
from collections.abc import Sequence

from oarlock.sim.hunt import HuntError, Tally
from oarlock.sim.hunt import hunt as hunt_seeds
from oarlock.sim.run import Report


def hunt(arguments: Sequence[str]) -> int:
    """Hunt for a seed whose run breaks a property.

    Args:
        arguments: Those after `hunt`.

    Returns:
        0 when every run held, 1 when one did not, 2 when the hunt could not be held.
    """
    parser = argparse.ArgumentParser(
        prog="oarlock hunt",
        description="Run simulations from many seeds, and stop at the first that breaks a property.",
    )
    parser.add_argument("--seeds", type=_seeds, required=True, metavar="A..B", help="from A to B, both included")
    parser.add_argument("--jobs", type=int, default=-1, metavar="N", help="runs at a time (default: one a core)")
    parser.add_argument("--engine", default="loky", help="joblib's backend (default: loky)")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at the first failure")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    options = parser.parse_args(arguments)
    progress = None if options.quiet else _Progress(len(options.seeds)).show
    try:
        tally = hunt_seeds(
            options.seeds, jobs=options.jobs, engine=options.engine, keep_going=options.keep_going, progress=progress
        )
    except HuntError as error:
        print(f"oarlock hunt: {error}", file=sys.stderr)
        return 2
    if progress is not None:
        print(file=sys.stderr)
    print(describe(tally))
    return 1 if tally.failed else 0


def _seeds(text: str) -> range:
    match = re.fullmatch(r"(\d+)\.\.(\d+)", text)
    if match is None or int(match[2]) < int(match[1]):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form A..B, with A up to B")
    return range(int(match[1]), int(match[2]) + 1)


class _Progress:
    """One line, drawn again and again."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._began = time.monotonic()
        self._failures = 0

    def show(self, tally: Tally) -> None:
        """After every few runs; a failure is told at once."""
        for report in tally.failed[self._failures :]:
            print(f"\r\x1b[K{_failure(report)}", file=sys.stderr)
        self._failures = len(tally.failed)
        elapsed_s = max(time.monotonic() - self._began, 1e-9)
        line = (
            f"{tally.seeds}/{self._total} seeds, {len(tally.failed)} failed, {tally.seeds / elapsed_s:.1f} seeds/s, "
            f"{tally.events / elapsed_s:,.0f} events/s, {tally.simulated_s / elapsed_s:.0f} times real time"
        )
        print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)


def _failure(report: Report) -> str:
    return f"seed {report.seed} BROKE {report.violations[0]}"


def describe(tally: Tally) -> str:
    """What a hunt came to, for people."""
    lines = [
        (
            f"{tally.seeds} seeds: {tally.events} events in {tally.run_s:.1f} core-seconds "
            f"({tally.events / max(tally.run_s, 1e-9):,.0f} a second and core), {tally.simulated_s:.0f} s simulated, "
            f"{tally.elections} terms with a leader, {tally.lives} processes, {tally.committed} entries committed, "
            f"{tally.snapshots_installed} snapshots installed"
        ),
        "faults that struck: " + ", ".join(f"{name} {count}" for name, count in sorted(tally.strikes.items())),
    ]
    for report in sorted(tally.failed, key=lambda failed: failed.seed):
        lines.append(_failure(report))
        lines.append(f"  replay with: oarlock sim --seed {report.seed}; reduce with: oarlock shrink {report.seed}")
    if not tally.failed:
        lines.append("every property held in every run")
    return "\n".join(lines)
