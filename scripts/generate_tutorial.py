#!/usr/bin/env python3
"""Writes what `docs/tutorial/` shows: the output of its commands, and its pictures.

Run it after a change of words, of drawing, or of the page's text: `python scripts/generate_tutorial.py`. With
`--record` the runs are simulated and recorded anew, which may change every event in them.
"""

import argparse
import contextlib
import gzip
import io
import os
import shlex
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from unittest import mock

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

from oarlock.cli.main import main as oarlock  # noqa: E402 - found by the path above
from oarlock.diagram.svg import svg  # noqa: E402
from oarlock.sim.run import record_schedule  # noqa: E402
from oarlock.sim.schedule import ClientOperation, Fault, Schedule, Settings  # noqa: E402
from oarlock.trace.loaded import Trace, load  # noqa: E402
from oarlock.trace.schema import encode  # noqa: E402

ROOM = ROOT / "docs" / "tutorial"
PAGE = ROOM / "read-a-run.md"
WIDTH = 110


class Picture(NamedTuple):
    """A stretch of a run, from one event to another."""

    run: str
    first: str
    last: str
    title: str


def runs() -> dict[str, Schedule]:
    """The runs, by name: a leader that is lost and comes back to a snapshot, and Figure 8."""
    settings = Settings(servers=3, clients=15, duration_s=2.5, election_timeout_ms=200, heartbeat_interval_ms=40,
                        pre_vote=False, snapshot_count=8, snapshot_tail=1)  # fmt: skip
    writes = tuple(
        ClientOperation(at=0.6 + at * 0.055, client=1 + at % 15, server=1 + at % 3, kind="put", key="x", value=str(at))
        for at in range(30)
    )
    lost = Schedule(seed=5, settings=settings, operations=writes,
                    faults=(Fault(at=1.0, kind="isolate", servers=(0,), seconds=1.2),))  # fmt: skip
    return {"lost-leader": lost, "figure-8": _figure_8()}


def _figure_8() -> Schedule:
    """Leaders that are cut off with a minority, one after the other, and die; each message carries one entry."""
    faults = (
        Fault(at=0.9, kind="split", servers=(0, 2), seconds=0.36169876248630783),
        Fault(at=0.9939030021968251, kind="kill", servers=(0,), seconds=0.2553849475570524),
        Fault(at=1.2716313960206083, kind="kill", servers=(0,), seconds=0.38704594255310687),
    )
    moments = (0.758374, 0.81199, 0.875218, 0.937653, 1.000078, 1.091803, 1.120707, 1.215441, 1.269127, 1.307896)
    writes = tuple(
        ClientOperation(at=at, client=1 + number % 4, server=0, kind="put", key="x", value=str(number))
        for number, at in enumerate(moments)
    )
    settings = Settings(servers=5, clients=4, duration_s=2.0, election_timeout_ms=150, heartbeat_interval_ms=30,
                        pre_vote=False, check_quorum=False,
                        knobs={"raft.max_message_bytes": 1, "raft.max_inflight_messages": 1})  # fmt: skip
    return Schedule(seed=5005, settings=settings, faults=faults, operations=writes)


PICTURES = {
    "tutorial-election": Picture("lost-leader", "n3.1.2", "n2.1.22", "Server 3 campaigns, and leads term 1"),
    "tutorial-lost-leader": Picture("lost-leader", "n3.1.301", "n1.1.190", "The leader is cut off"),
    "tutorial-figure-8": Picture("figure-8", "n3.1.203", "n3.1.256", "A leader of term 4 spreads an entry of term 2"),
}
"""By name, of `docs/images/`."""


def path_of(run: str) -> Path:
    """Where a run is kept."""
    return ROOM / f"{run}.jsonl.gz"


def record() -> None:
    """Simulate the runs, and keep them."""
    for name, schedule in runs().items():
        report, trace = record_schedule(schedule)
        if not report.ok:
            raise SystemExit(f"{name}: {report.violations}")
        lines = b"".join([encode(trace.header), *map(encode, trace.events)])
        path_of(name).write_bytes(gzip.compress(lines, 9, mtime=0))


def picture(wanted: Picture) -> str:
    """A stretch of a run as SVG."""
    trace: Trace = load(path_of(wanted.run))
    return svg(trace, trace.position(wanted.first), trace.position(wanted.last), title=wanted.title)


def image_path(name: str) -> Path:
    """Where a picture is."""
    return ROOT / "docs" / "images" / f"{name}.svg"


# -- the page's commands ---------------------------------------------------------------------------------------------


def page() -> str:
    """The page, with the output that its commands have now."""
    lines = []
    for line, is_output in _marked(PAGE.read_text(encoding="utf-8").splitlines()):
        if is_output:
            continue
        lines.append(line)
        if line.startswith("$ oarlock "):
            lines += printed(line.removeprefix("$ oarlock ")).splitlines()
    return "\n".join([*lines, ""])


def _marked(lines: list[str]) -> Iterator[tuple[str, bool]]:
    """Each line, and whether it is the output of a command that is run: all after a `$` of a console block."""
    is_after = False
    for line in lines:
        if line.startswith("```"):
            is_after = False
        yield line, is_after and not line.startswith("$ ")
        is_after = line.startswith("$ oarlock ") or (is_after and not line.startswith("$ "))


def printed(command: str) -> str:
    """What a command prints, in a terminal without colours; `| head -N` behind it keeps the first lines.

    What a command writes goes to a directory that is let go.
    """
    command, _, head = command.partition(" | head -")
    told = io.StringIO()
    surroundings = {"COLUMNS": str(WIDTH), "NO_COLOR": "1", "TERM": "dumb"}
    with (
        tempfile.TemporaryDirectory() as directory,
        contextlib.chdir(directory),
        mock.patch.dict(os.environ, surroundings),
        contextlib.redirect_stdout(told),
    ):
        (Path(directory) / "docs").symlink_to(ROOT / "docs")
        oarlock(shlex.split(command))
    lines = [line.rstrip() for line in told.getvalue().splitlines()]
    return "\n".join(lines[: int(head)] if head else lines)


def main() -> None:
    """Write them."""
    parser = argparse.ArgumentParser(description="Write the outputs and pictures of the tutorial.")
    parser.add_argument("--record", action="store_true", help="simulate and record the runs anew")
    if parser.parse_args().record:
        record()
    for name, wanted in PICTURES.items():
        image_path(name).write_text(picture(wanted), encoding="utf-8")
    if PAGE.exists():
        PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
