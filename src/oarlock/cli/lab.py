"""`oarlock lab`: the MIT labs' scenarios on anyone's Raft; a list of them; a beginning for one's own."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from oarlock.cli.terminal import paint, table
from oarlock.lab.suite.catalogue import SCENARIOS
from oarlock.lab.suite.report import HEADER, failure, row, score, summary
from oarlock.lab.suite.run import Outcome
from oarlock.lab.suite.session import Recorded, Session
from oarlock.lab.suite.table import NoSuchScenario, Scenario, choose
from oarlock.lab.template import AlreadyThere, write_template
from oarlock.lab.threads import BadTarget

_WIDTHS: Final = (31, 6, 7, 7, 11, 8)
"""Of the columns but the last, as lines are printed one by one."""


def lab(arguments: Sequence[str]) -> int:
    """Run, list, begin or advise.

    Args:
        arguments: Those after `lab`.

    Returns:
        0 when every scenario passed, 1 when one failed, 2 when something was asked that is not there.
    """
    try:
        if arguments[:1] == ["advise"]:
            return _advise(arguments[1:])
        options = _parser().parse_args(arguments)
        run: Callable[[argparse.Namespace], int] = options.do
        return run(options)
    except (BadTarget, NoSuchScenario, AlreadyThere, OSError) as error:
        print(f"oarlock lab: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="oarlock lab", description="Put a Raft through the scenarios of the MIT labs: yours, or the one here."
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="run|list|new|advise")
    run = actions.add_parser("run", help="run scenarios on an implementation")
    run.add_argument("target", metavar="PACKAGE:MAKE", help="where its `make` is; or path/to/module.py:make")
    run.add_argument("--part", nargs="+", default=[], metavar="P", help="parts or scenarios (default: all of Raft)")
    clock = run.add_mutually_exclusive_group()
    clock.add_argument("--virtual", action="store_true", help="on virtual time, which repeats (default)")
    clock.add_argument("--real", action="store_true", help="on real threads and real time")
    run.add_argument("--seed", type=int, default=1, metavar="N", help="of virtual time (default: 1)")
    run.add_argument("--seeds", type=int, default=1, metavar="K", help="run with this many seeds, from N on")
    run.add_argument("--trace", type=Path, metavar="DIR", help="write trace and page of what fails")
    run.add_argument("--json", action="store_true", help="print JSON")
    run.set_defaults(do=_run)
    listing = actions.add_parser("list", help="all scenarios and their budgets")
    listing.add_argument("--json", action="store_true", help="print JSON")
    listing.set_defaults(do=_list)
    new = actions.add_parser("new", help="write a package to begin with, whose bodies are left out")
    new.add_argument("name", metavar="NAME", help="of the package, made in the current directory")
    new.set_defaults(do=_new)
    actions.add_parser("advise", help="watch an implementation's locks, fields and waits")  # has a parser of its own
    return parser


def _advise(arguments: Sequence[str]) -> int:
    from oarlock.cli.lab_advise import advise  # noqa: PLC0415 - the scenarios do without the advisor

    return advise(arguments)


def _run(options: argparse.Namespace) -> int:
    wanted = choose(options.part or ["3"])
    seeds = [None] if options.real else range(options.seed, options.seed + max(1, options.seeds))
    passed = True
    for seed in seeds:
        passed &= _run_session(Session(options.target, seed), wanted, options)
    return 0 if passed else 1


def _run_session(session: Session, wanted: list[Scenario], options: argparse.Namespace) -> bool:
    def show(outcome: Outcome) -> None:
        if not options.json:
            print(_line(row(outcome)), flush=True)
            if not outcome.passed:
                print("\n".join(failure(outcome, session.replay(SCENARIOS[outcome.scenario]))), flush=True)

    if not options.json:
        print(paint(_line(list(HEADER)), "bold"))
    outcomes = []
    for entry in wanted:
        outcome = _run_one(session, entry, options.trace)
        outcomes.append(outcome)
        show(outcome)
    total = score(session.target, session.seed, outcomes)
    if options.json:
        print(msgspec.json.format(msgspec.json.encode(total)).decode())
    else:
        print("\n".join(summary(total)))
    return total.passed == total.total


def _run_one(session: Session, entry: Scenario, traces: Path | None) -> Outcome:
    """Run a scenario; of one that fails, write what was recorded."""
    if traces is None:
        return session.run(entry)
    outcome, recorded = session.run_recorded(entry)
    if not outcome.passed:
        _write(recorded, entry, traces)
    return outcome


def _write(recorded: Recorded, entry: Scenario, traces: Path) -> None:
    """Trace and page, and in the terminal what fell and why."""
    from rich.console import Console  # noqa: PLC0415 - most runs explain nothing

    from oarlock.cli.violated import show_violation  # noqa: PLC0415
    from oarlock.diagram.page import page  # noqa: PLC0415
    from oarlock.diagram.violation import violations  # noqa: PLC0415
    from oarlock.trace.loaded import Trace  # noqa: PLC0415
    from oarlock.trace.schema import encode  # noqa: PLC0415

    traces.mkdir(parents=True, exist_ok=True)
    header, events = recorded
    file = traces / f"{entry.id}{'' if header.seed is None else f'-seed{header.seed}'}.trace"
    file.write_bytes(encode(header) + b"".join(map(encode, events)))
    file.with_suffix(".html").write_text(page(header, events, title=entry.id), encoding="utf-8")
    run, console = Trace(header, events), Console(stderr=True)
    for found in violations(run):
        show_violation(run, found, console)
    print(
        f"{len(events):,} events: oarlock trace show {file}; the page is {file.with_suffix('.html')}", file=sys.stderr
    )


def _line(cells: list[str]) -> str:
    *narrow, wide = cells
    aligned = [
        cell.ljust(width) if place < 2 else cell.rjust(width)
        for place, (cell, width) in enumerate(zip(narrow, _WIDTHS, strict=True))
    ]
    return "  ".join([*aligned, wide]).rstrip()


def _list(options: argparse.Namespace) -> int:
    if options.json:
        fields = ("name", "part", "servers", "reliable", "claim", "budgets", "repaired")
        shown = [{field: getattr(entry, field) for field in fields} for entry in SCENARIOS.values()]
        print(msgspec.json.format(msgspec.json.encode(shown)).decode())
        return 0
    rows = [
        [entry.id, str(entry.servers), "reliable" if entry.reliable else "unreliable", entry.claim]
        for entry in SCENARIOS.values()
    ]
    print("\n".join(table([["SCENARIO", "SERVERS", "NETWORK", "CLAIM"], *rows])))
    return 0


def _new(options: argparse.Namespace) -> int:
    written = write_template(options.name, Path.cwd())
    print("\n".join(f"wrote {path}" for path in written))
    print(f"begin with {options.name}/README.md; then: oarlock lab run {options.name}:make --part 3A")
    return 0
