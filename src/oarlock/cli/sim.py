"""`oarlock sim`: one simulated run, from a seed or a file."""

import argparse
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from oarlock.sim.generate import generate
from oarlock.sim.recording import header_of
from oarlock.sim.run import Report, run_schedule
from oarlock.sim.schedule import Schedule
from oarlock.sim.schedule_file import ScheduleError, read_schedule, write_schedule
from oarlock.trace.writer import stream_sink


def sim(arguments: Sequence[str]) -> int:
    """Run a simulation and print what it showed.

    Args:
        arguments: Those after `sim`.

    Returns:
        0 when every property held, 1 when one did not, 2 for a file that is no schedule.
    """
    parser = argparse.ArgumentParser(
        prog="oarlock sim", description="Run the production server in a simulated cluster, and judge the run."
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--seed", type=int, metavar="N", help="make the run from this seed")
    what.add_argument(
        "--schedule", type=Path, metavar="FILE", help="take it from a file, as `oarlock shrink` writes it"
    )
    parser.add_argument("--trace", type=Path, metavar="FILE", help="record the run to a file, as raft-trace/1")
    parser.add_argument("--write-schedule", type=Path, metavar="FILE", help="write the run's schedule, to be edited")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    try:
        schedule = generate(options.seed) if options.schedule is None else read_schedule(options.schedule)
        if options.write_schedule is not None:
            write_schedule(schedule, options.write_schedule)
        report = _run(schedule, options.trace)
    except (ScheduleError, OSError) as error:
        print(f"oarlock sim: {error}", file=sys.stderr)
        return 2
    print(msgspec.json.format(msgspec.json.encode(report)).decode() if options.json else describe(report))
    return 0 if report.ok else 1


def _run(schedule: Schedule, trace: Path | None) -> Report:
    with contextlib.ExitStack() as stack:
        sink = None
        if trace is not None:
            sink = stream_sink(stack.enter_context(trace.open("wb")), header_of(schedule))
        return run_schedule(schedule, sink=sink)


def describe(report: Report) -> str:
    """A report for people."""
    lines = [
        (
            f"seed {report.seed}: {report.servers} servers, {report.faults} faults, {report.operations} operations, "
            f"{report.answered} of them answered"
        ),
        (
            f"{report.elections} terms with a leader, {report.committed} entries committed, {report.lives} processes, "
            f"{report.snapshots_installed} snapshots installed"
        ),
        (
            f"{report.simulated_s:.1f} s simulated in {report.wall_s:.2f} s ({report.speed:.0f} times as fast), "
            f"{report.events + report.callbacks} events ({report.events_per_s:,.0f} a second), "
            f"{report.observations} states checked"
        ),
        f"trace {report.trace_hash}",
    ]
    if report.strikes:
        lines.append("faults that struck: " + ", ".join(f"{name} {count}" for name, count in report.strikes.items()))
    lines += [f"BROKEN: {violation}" for violation in report.violations] or ["every property held"]
    return "\n".join(lines)
