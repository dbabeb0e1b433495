"""`oarlock shrink`: the least list of faults and operations that still breaks a property."""

import argparse
import sys
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
    parser.add_argument("--max-runs", type=int, default=2000, metavar="N", help="the most that it may cost")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    options = parser.parse_args(arguments)
    try:
        schedule = generate(int(options.run)) if options.run.isdecimal() else read_schedule(options.run)
        shrunk = shrink_schedule(schedule, max_runs=options.max_runs, progress=None if options.quiet else _show)
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
    return 0


def _show(runs: int, faults: int, operations: int) -> None:
    print(f"\r\x1b[K{runs} runs, {faults} faults, {operations} operations left", end="", file=sys.stderr, flush=True)
