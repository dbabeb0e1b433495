"""`oarlock hunt`: many simulated runs over all cores, until one breaks a property."""

import argparse
import re
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from oarlock.cli.terminal import columns, paint, table
from oarlock.raft.rules import RULES
from oarlock.sim.campaign import RecordError, Result
from oarlock.sim.engines import LOKY, HuntError
from oarlock.sim.hunt import Tally
from oarlock.sim.hunt import hunt as hunt_seeds

_EXAMPLES: Final = """\
examples:
  oarlock hunt --seeds 1..1000
  oarlock hunt --seeds 1..1000000 --keep-going --record campaign.jsonl --resume
  oarlock hunt --seeds 1..100000 --engine dask://scheduler:8786
"""


def hunt(arguments: Sequence[str]) -> int:
    """Hunt for a seed whose run breaks a property.

    Args:
        arguments: Those after `hunt`.

    Returns:
        0 when every run held, 1 when one did not, 2 when the hunt could not be held, 130 when it was interrupted.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.resume and options.record is None:
        parser.error("--resume needs --record FILE: where the hunt to be resumed has written")
    progress = _Progress(len(options.seeds), is_quiet=options.quiet)
    is_interrupted = False
    try:
        hunt_seeds(
            options.seeds,
            jobs=options.jobs,
            engine=options.engine,
            keep_going=options.keep_going,
            progress=progress.show,
            record=options.record,
            resume=options.resume,
        )
    except KeyboardInterrupt:
        is_interrupted = True
    except (HuntError, RecordError, OSError) as error:
        progress.end()
        print(f"oarlock hunt: {error}", file=sys.stderr)
        return 2
    progress.end()
    tally = progress.tally
    print(msgspec.json.format(msgspec.json.encode(tally)).decode() if options.json else describe(tally))
    if is_interrupted:
        print(_interrupted(options), file=sys.stderr)
        return 130
    return 1 if tally.failures else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="oarlock hunt",
        description="Run simulations from many seeds, and stop at the first that breaks a property.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seeds", type=_seeds, required=True, metavar="A..B", help="from A to B, both included")
    parser.add_argument("--jobs", type=_jobs, default=-1, metavar="N", help="runs at a time (default: one a core)")
    parser.add_argument(
        "--engine",
        default=LOKY,
        metavar="ENGINE",
        help="loky (default): processes of this machine; dask://HOST[:PORT] or ray://HOST[:PORT]: a cluster",
    )
    parser.add_argument("--keep-going", action="store_true", help="do not stop at the first failure")
    parser.add_argument("--record", type=Path, metavar="FILE", help="append a line of JSON for each run")
    parser.add_argument("--resume", action="store_true", help="leave out the seeds that the record has")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    return parser


def _seeds(text: str) -> range:
    match = re.fullmatch(r"(\d+)\.\.(\d+)", text)
    if match is None or int(match[2]) < int(match[1]):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form A..B, with A up to B")
    return range(int(match[1]), int(match[2]) + 1)


def _jobs(text: str) -> int:
    if not re.fullmatch(r"-1|[1-9]\d*", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of runs at a time, or -1 for one a core")
    return int(text)


def _interrupted(options: argparse.Namespace) -> str:
    how = (
        "add --resume to the same command to go on"
        if options.record is not None
        else "with --record FILE it could be resumed"
    )
    return f"oarlock hunt: interrupted; {how}"


class _Progress:
    """One line, drawn again and again."""

    def __init__(self, total: int, *, is_quiet: bool) -> None:
        self.tally = Tally()
        self._total = total
        self._is_quiet = is_quiet
        self._began = time.monotonic()
        self._failures = 0
        self._resumed = Tally()

    def show(self, tally: Tally) -> None:
        """After every few runs; a failure is told at once."""
        self.tally = tally
        if self._is_quiet:
            return
        if tally.seeds == tally.resumed:
            self._resumed = msgspec.structs.replace(tally)
        for result in tally.failed[self._failures :]:
            print(f"\r\x1b[K{_failure(result)}", file=sys.stderr)
        self._failures = len(tally.failed)
        before = self._resumed
        elapsed_s = max(time.monotonic() - self._began, 1e-9)
        rate = (tally.seeds - before.seeds) / elapsed_s
        left = f", {_time((self._total - tally.seeds) / rate)} left" if rate else ""
        line = (
            f"{tally.seeds:,} of {self._total:,} seeds, {tally.failures} failed, {rate:.1f} seeds/s, "
            f"{(tally.events - before.events) / elapsed_s:,.0f} events/s, "
            f"{(tally.simulated_s - before.simulated_s) / elapsed_s:.0f} times real time{left}"
        )
        print(f"\r\x1b[K{line[: shutil.get_terminal_size().columns - 1]}", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Leave the line."""
        if not self._is_quiet:
            print(file=sys.stderr)


def _failure(result: Result) -> str:
    return f"seed {result.seed} BROKE {result.broken}"


def describe(tally: Tally) -> str:
    """What a hunt came to, for people."""
    run_s = max(tally.run_s, 1e-9)
    resumed = f" ({tally.resumed:,} of them by earlier hunts)" if tally.resumed else ""
    totals = [
        ["seeds run", f"{tally.seeds:,}{resumed}"],
        ["simulated time", f"{_time(tally.simulated_s)}, {tally.simulated_s / run_s:.0f} times real time a core"],
        ["events", f"{tally.events:,}, {tally.events / run_s:,.0f} a second and core, in {_time(run_s)} of cores"],
        ["processes", f"{tally.lives:,}"],
        ["terms with a leader", f"{tally.elections:,}"],
        ["entries committed", f"{tally.committed:,}"],
        ["snapshots installed", f"{tally.snapshots_installed:,}"],
        ["rules that acted", _rules(tally)],
    ]
    lines = table(totals)
    if tally.strikes:
        cells = [f"{name} {count:,}" for name, count in sorted(tally.strikes.items())]
        lines += ["", "faults that struck, and how often:", *columns(cells)]
    lines.append("")
    for result in sorted(tally.failed, key=lambda failed: failed.seed):
        lines.append(paint(_failure(result), "red"))
        lines.append(f"  replay it:  oarlock sim --seed {result.seed}")
        lines.append(f"  reduce it:  oarlock shrink {result.seed}")
    if tally.failures:
        lines.append(f"{tally.failures:,} of {tally.seeds:,} runs broke a property")
    else:
        lines.append(paint(f"every property held in all {tally.seeds:,} runs", "green"))
    return "\n".join(lines)


def _rules(tally: Tally) -> str:
    never = [rule for rule in RULES if rule not in tally.rules]
    return f"{len(RULES) - len(never)} of {len(RULES)}" + (f"; never: {', '.join(never)}" if never else "")


def _time(seconds: float) -> str:
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} seconds"
