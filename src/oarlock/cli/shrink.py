"""`oarlock shrink`: the least list of faults and operations that still breaks a property."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from oarlock.cli.sim import describe
from oarlock.sim.generate import generate
from oarlock.sim.schedule_file import ScheduleError, read_schedule, write_schedule
from oarlock.sim.shrink import NotFailing
from oarlock.sim.shrink import shrink as shrink_schedule


def shrink(arguments: Sequence[str]) -> int:
    """Reduce a failing run, and write what is left to a file.

    Args:
        arguments: Those after `shrink`.

    Returns:
        0 when it was reduced, 1 when it does not fail, 2 for a file that is no schedule.
    """
    parser = argparse.ArgumentParser(
        prog="oarlock shrink", description="Reduce a failing run to the fewest faults and operations that still fail."
    )
    parser.add_argument("run", metavar="SEED|FILE", help="the seed, or a schedule in a file")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where to write it (default: shrunk-SEED.json)")
    parser.add_argument("--max-runs", type=int, default=2000, metavar="N", help="the most runs that it may cost")
    parser.add_argument(
        "--max-seconds", type=float, default=600.0, metavar="S", help="the longest that it may take (default: 600)"
    )
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    options = parser.parse_args(arguments)
    try:
        schedule = generate(int(options.run)) if options.run.isdecimal() else read_schedule(options.run)
        shrunk = shrink_schedule(
            schedule,
            max_runs=options.max_runs,
            max_s=options.max_seconds,
            progress=None if options.quiet else _Progress().show,
        )
        out = options.out or Path(f"shrunk-{schedule.seed}.json")
        write_schedule(shrunk.schedule, out)
    except NotFailing as error:
        print(f"oarlock shrink: {error}", file=sys.stderr)
        return 1
    except (ScheduleError, OSError) as error:
        print(f"oarlock shrink: {error}", file=sys.stderr)
        return 2
    if not options.quiet:
        print(file=sys.stderr)
    print(describe(shrunk.report))
    print(
        f"reduced to {len(shrunk.schedule.faults)} faults and {len(shrunk.schedule.operations)} operations in "
        f"{shrunk.runs} runs; replay with: oarlock sim --schedule {out}"
    )
    if not shrunk.is_least:
        print(f"more could perhaps go: oarlock shrink {out} --max-seconds {2 * options.max_seconds:g} goes on")
    return 0


class _Progress:
    """One line, drawn again and again."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def show(self, runs: int, faults: int, operations: int) -> None:
        """After each run."""
        elapsed_s = time.monotonic() - self._began
        line = f"{runs} runs in {elapsed_s:.0f} s, {faults} faults and {operations} operations left"
        print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)
