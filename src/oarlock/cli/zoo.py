"""`oarlock zoo`: names known bugs, hunts them, and prints what catches each; the same for bugs by rule of grammar."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from oarlock.cli import gallery
from oarlock.cli.mutation import add_options, mutate
from oarlock.cli.terminal import paint, table
from oarlock.zoo.catalogue import MUTANTS
from oarlock.zoo.hunting import REPEATS, Verdict, WorkerFailed, hunt_all
from oarlock.zoo.mutant import Mutant
from oarlock.zoo.score import HEADER, Row, cells, row_of, rows_of, write


def zoo(arguments: Sequence[str]) -> int:
    """List or hunt mutants.

    Args:
        arguments: Those after `zoo`.

    Returns:
        0 when all that were hunted were caught, 1 when one survives, 2 when there is no such mutant.
    """
    options = _parser().parse_args(arguments)
    if options.action == "list":
        return _list(as_json=options.json)
    if options.action == "mutate":
        return mutate(options)
    if options.action == "gallery":
        return _gallery(options)
    named = [options.id] if options.action == "run" else options.only or list(MUTANTS)
    unknown = [id_ for id_ in named if id_ not in MUTANTS]
    if unknown:
        print(f"oarlock zoo: no mutant {unknown[0]!r}; `oarlock zoo list` names all", file=sys.stderr)
        return 2
    return _hunt([MUTANTS[id_] for id_ in named], options)


def _gallery(options: argparse.Namespace) -> int:
    unknown = [id_ for id_ in options.only or () if id_ not in MUTANTS]
    if unknown:
        print(f"oarlock zoo gallery: no mutant {unknown[0]!r}; `oarlock zoo list` names all", file=sys.stderr)
        return 2
    return gallery.gallery(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="oarlock zoo", description="Hunt known bugs, each a patch of the code.")
    actions = parser.add_subparsers(dest="action", required=True, metavar="list|run|score|gallery|mutate")
    listing = actions.add_parser("list", help="name all mutants")
    run = actions.add_parser("run", help="hunt one")
    run.add_argument("id", metavar="ID")
    score = actions.add_parser("score", help="hunt all")
    score.add_argument("--only", nargs="+", metavar="ID", help="hunt these")
    score.add_argument("--write", action="store_true", help="write docs/reference/zoo.md and .json, in this directory")
    for action in (run, score):
        action.add_argument("--jobs", type=int, default=2, metavar="N", help="processes at a time (default: 2)")
        action.add_argument("--repeats", type=int, default=REPEATS, metavar="N", help="hunts by chance of each")
        action.add_argument("--seeds", type=int, metavar="N", help="the most seeds of a hunt")
        action.add_argument("--seconds", type=float, metavar="S", help="the most processor time of a hunt")
    general = actions.add_parser("mutate", help="change the code in every small way, and count who notices")
    add_options(general)
    gallery.add_options(actions.add_parser("gallery", help="draw a page for each, with its smallest run"))
    for action in (listing, run, score, general):
        action.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _list(*, as_json: bool) -> int:
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(list(MUTANTS.values()))).decode())
    else:
        rows = [[mutant.id, " ".join(mutant.breaks), mutant.harm, mutant.bug] for mutant in MUTANTS.values()]
        print("\n".join(table([["MUTANT", "BREAKS", "HARM", "BUG"], *rows])))
    return 0


def _hunt(mutants: Sequence[Mutant], options: argparse.Namespace) -> int:
    def show(verdict: Verdict) -> None:
        if not options.json:
            print(_line(row_of(MUTANTS[verdict.mutant], verdict)), file=sys.stderr, flush=True)

    try:
        verdicts = hunt_all(
            mutants,
            jobs=options.jobs,
            on_verdict=show,
            repeats=options.repeats,
            seeds=options.seeds,
            seconds=options.seconds,
        )
    except WorkerFailed as error:
        print(f"oarlock zoo: {error}", file=sys.stderr)
        return 1
    rows = rows_of(verdicts)
    if options.json:
        print(msgspec.json.format(msgspec.json.encode(rows)).decode())
    else:
        print("\n".join(table([[name.upper() for name in HEADER], *map(cells, rows)])))
        print(f"{sum(row.caught for row in rows)} of {len(rows)} caught")
    if getattr(options, "write", False):
        write(rows, Path.cwd())
    return 0 if all(row.caught for row in rows) else 1


def _line(row: Row) -> str:
    """What became of a mutant, as it comes."""
    if not row.caught:
        return paint(f"{row.id} survives", "red")
    where = f"by {row.scene}" if row.scene else ""
    seeds = f"in {row.median_seeds} seeds" if row.median_seeds is not None else ""
    return f"{row.id} caught {' and '.join(part for part in (where, seeds) if part)}: {row.property}"
