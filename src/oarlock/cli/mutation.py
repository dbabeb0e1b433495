"""`oarlock zoo mutate`: changes the core and the storage in every small way, and counts who notices."""

import argparse
import random
import sys
from pathlib import Path

import msgspec

from oarlock.cli.terminal import paint, table
from oarlock.zoo.mutation.judged import Judged
from oarlock.zoo.mutation.judging import JudgeFailed, judge_all
from oarlock.zoo.mutation.mutants import ROOMS, General, mutants_of, sample
from oarlock.zoo.mutation.record import RecordBroken, keep, recorded
from oarlock.zoo.mutation.report import HEADER, cells, page, rows_of, scores, write


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `zoo mutate`."""
    parser.add_argument("--rooms", default=",".join(ROOMS), metavar="ROOMS", help=f"of {','.join(ROOMS)}")
    parser.add_argument("--sample", type=int, metavar="N", help="judge so many, drawn from all modules (default: all)")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="of the draw")
    parser.add_argument("--only", nargs="+", metavar="ID", help="judge these")
    parser.add_argument("--no-suite", action="store_true", help="do not run tests for what survives simulation")
    parser.add_argument(
        "--record", type=Path, metavar="FILE", help="keep verdicts there, and judge only what it does not know yet"
    )
    parser.add_argument("--report", action="store_true", help="judge nothing more: tell what the record holds")
    parser.add_argument("--write", action="store_true", help="write docs/reference/mutation.md, in this directory")


def mutate(options: argparse.Namespace) -> int:
    """Judge mutants.

    Args:
        options: As `add_options` has them.

    Returns:
        0 when all were killed that are not equivalent, 1 when one survives or the judge failed, 2 for a wrong room or
        id.
    """
    try:
        mutants = mutants_of(options.rooms.split(","))
    except ValueError as error:
        print(f"oarlock zoo mutate: {error}", file=sys.stderr)
        return 2
    chosen = sample(mutants, len(mutants) if options.sample is None else options.sample, options.seed)
    if options.only:
        unknown = [id_ for id_ in options.only if id_ not in {mutant.id for mutant in mutants}]
        if unknown:
            print(f"oarlock zoo mutate: no mutant {unknown[0]!r} of {options.rooms}", file=sys.stderr)
            return 2
        chosen = [mutant for mutant in mutants if mutant.id in options.only]
    return _judge(mutants, chosen, options)


def _judge(mutants: list[General], chosen: list[General], options: argparse.Namespace) -> int:
    suite = not options.no_suite
    try:
        known = recorded(options.record, chosen, suite=suite and not options.report) if options.record else {}
        left = [] if options.report else [mutant for mutant in chosen if mutant.id not in known]
        _judge_rest(left, known, options)
    except (JudgeFailed, RecordBroken) as error:
        print(f"oarlock zoo mutate: {error}", file=sys.stderr)
        return 1
    rows = rows_of([known[mutant.id] for mutant in chosen if mutant.id in known])
    if options.json:
        print(msgspec.json.format(msgspec.json.encode(rows)).decode())
    else:
        found = scores(rows, mutants)
        print("\n".join(table([[name.upper() for name in HEADER], *map(cells, found)])))
    if options.write:
        how = f"oarlock zoo mutate --rooms {options.rooms}"
        how += f" --sample {options.sample} --seed {options.seed}" if options.sample is not None else ""
        how += " --no-suite" if options.no_suite else ""
        write(page(rows, mutants, how, drawn=len(chosen)), Path.cwd())
    return 0 if len(rows) == len(chosen) and all(row.judged.is_killed or row.equivalent for row in rows) else 1


def _judge_rest(left: list[General], known: dict[str, Judged], options: argparse.Namespace) -> None:
    """Judge what is not known yet, in random order: a run that is ended before has judged a sample, too."""
    add = keep(options.record, suite=not options.no_suite) if options.record else None

    def hear(judged: Judged) -> None:
        known[judged.mutant.id] = judged
        if add is not None:
            add(judged)
        if not options.json:
            print(_line(judged), file=sys.stderr, flush=True)

    random.Random(f"order/{options.seed}").shuffle(left)  # noqa: S311
    if left:
        judge_all(left, suites=not options.no_suite, on_verdict=hear)


def _line(judged: Judged) -> str:
    """What became of a mutant, as it comes."""
    mutant = judged.mutant
    change = f"{mutant.id}: {mutant.before} -> {mutant.after}"
    if judged.by == "compiler":
        return f"{change}: no difference"
    if not judged.is_killed:
        return paint(f"{change}: survives", "red")
    return f"{change}: killed by {judged.where or judged.by}"
