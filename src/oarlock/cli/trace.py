"""`oarlock trace`: a recorded run in the terminal: what happened, why, why not, and whether the record is whole."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from oarlock.cli import near_misses, what_if
from oarlock.cli.compared import names_of, show_comparison
from oarlock.cli.recorded import incomplete, load_recorded
from oarlock.cli.violated import show_violation
from oarlock.cli.why_tree import tree_of
from oarlock.diagram.comparison import Comparison, compare
from oarlock.diagram.layout import term_colour
from oarlock.diagram.pair import pair_page
from oarlock.diagram.sentences import sentence
from oarlock.diagram.violation import violations
from oarlock.diagram.whynot import QuestionError, why_not
from oarlock.trace.loaded import Trace
from oarlock.trace.provenance import why
from oarlock.trace.reader import TraceError
from oarlock.trace.schema import WORLD, Event, Kind, parse_id
from oarlock.trace.state import Replay, StateMismatch

_QUIET: Final = (Kind.READY, Kind.ADVANCE, Kind.KEY, Kind.APPLY)


def trace(arguments: Sequence[str]) -> int:
    """Read a recorded run.

    Args:
        arguments: Those after `trace`.

    Returns:
        0 when all is well, 1 when a check found something or two runs differ, 2 for what cannot be read or was not
        understood.
    """
    options = _parser().parse_args(arguments)
    console = Console(highlight=False)
    act: Callable[[argparse.Namespace, Console], int] = options.act
    try:
        return act(options, console)
    except (TraceError, OSError) as error:
        print(f"oarlock trace: {error}", file=sys.stderr)
    except KeyError as error:
        print(f"oarlock trace: the trace holds no event {error}", file=sys.stderr)
    except StateMismatch as error:
        print(f"oarlock trace: {incomplete(error)}", file=sys.stderr)
    except QuestionError as error:
        print(f"oarlock trace: {error}", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="oarlock trace", description="Read a recorded run (raft-trace/1).")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    show = commands.add_parser("show", help="the events, a column for each server")
    _add_run(show)
    show.add_argument("--node", help="only of this server, such as n2")
    show.add_argument("--rule", help="only where this rule acted, such as AE-2")
    show.add_argument("--kind", help="only of this kind, such as drop")
    show.add_argument("--all", action="store_true", help="also what nobody looks at: ready, advance, apply")
    show.add_argument("--from", dest="first", metavar="EVENT", help="begin at this event")
    show.add_argument("--limit", type=int, default=200, metavar="N", help="at most so many (default: 200)")
    show.set_defaults(act=_show)

    reason = commands.add_parser("why", help="why an event happened: the chain of what it read")
    _add_run(reason)
    reason.add_argument(
        "event",
        metavar="EVENT",
        help="its id, such as n2.1.47; after a colon a variable: n2.1.47:commit; or `viol`, for the run's violations",
    )
    reason.set_defaults(act=_why)

    lack = commands.add_parser("why-not", help='what was missing: "leader", or "index 17 committed"')
    _add_run(lack)
    lack.add_argument("question", metavar="QUESTION")
    lack.add_argument("--at", metavar="EVENT", help="the moment asked about (default: the end)")
    lack.set_defaults(act=_why_not)

    differ = commands.add_parser("diff", help="where two runs part, and what differs")
    differ.add_argument("one", type=Path, metavar="RUN")
    differ.add_argument("other", type=Path, metavar="OTHER")
    differ.add_argument("-o", "--output", type=Path, metavar="FILE", help="write a page with both (.html)")
    differ.set_defaults(act=_diff)

    fork = commands.add_parser("what-if", help="the same simulated run, but for what becomes of one message")
    what_if.add_options(fork)
    fork.set_defaults(act=what_if.what_if)

    guards = commands.add_parser("near-misses", help="guards that refused something from which harm would have come")
    _add_run(guards)
    near_misses.add_options(guards)
    guards.set_defaults(act=near_misses.show_near_misses)

    check = commands.add_parser("check", help="whether the record is whole and agrees with itself")
    _add_run(check)
    check.set_defaults(act=_check)
    return parser


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run",
        nargs="+",
        type=Path,
        metavar="RUN",
        help="a trace; several of one cluster, or their directory, are merged",
    )


# -- show --------------------------------------------------------------------------------------------------------------


def _show(options: argparse.Namespace, console: Console) -> int:
    run = load_recorded(options.run)
    first = run.position(options.first) if options.first else 0
    chosen = [event for event in run.events[first:] if _is_asked_for(event, options)]
    lanes = run.servers
    table = Table(box=None, padding=(0, 1), show_edge=False)
    table.add_column("time", justify="right", no_wrap=True, style="dim")
    table.add_column("event", no_wrap=True, style="bold")
    for lane in lanes:
        table.add_column(run.header.nodes.get(lane) or lane, ratio=1)
    start = run.events[0].t if len(run) else 0
    terms = _terms(run)
    for event in chosen[: options.limit]:
        lane = parse_id(event.id).lane
        cells = [Text() for _ in lanes]
        told = Text(sentence(event).partition(" ")[2] if lane != WORLD else sentence(event), style=_style(event, terms))
        cells[lanes.index(lane) if lane in lanes else 0] = told
        table.add_row(f"{(event.t - start) / 1e6:.3f}", event.id, *cells)
    console.print(table)
    if len(chosen) > options.limit:
        console.print(f"{len(chosen) - options.limit:,} more; --limit shows them", style="dim")
    return 0


def _is_asked_for(event: Event, options: argparse.Namespace) -> bool:
    if options.node and options.node not in (parse_id(event.id).lane, event.src, event.to):
        return False
    if options.rule and options.rule.upper() not in (rule.upper() for rule in event.r):
        return False
    if options.kind:
        return bool(event.k == options.kind)
    return bool(options.all or event.k not in _QUIET or event.r)


def _terms(run: Trace) -> dict[str, int]:
    """The term of each event's server after it."""
    terms: dict[str, int] = {}
    found: dict[str, int] = {}
    for event in run.events:
        lane = parse_id(event.id).lane
        if event.s is not None:
            terms[lane] = event.s.term
        elif event.w is not None and event.w.term is not None:
            terms[lane] = event.w.term[1] or 0
        found[event.id] = terms.get(lane, 0)
    return found


def _style(event: Event, terms: dict[str, int]) -> str:
    if event.k is Kind.VIOL:
        return "bold red"
    return term_colour(terms[event.id]) if terms[event.id] else ""


# -- why ---------------------------------------------------------------------------------------------------------------


def _why(options: argparse.Namespace, console: Console) -> int:
    run = load_recorded(options.run)
    if options.event in ("viol", "violation"):
        return _why_violated(run, console)
    event_id, _, variable = options.event.partition(":")
    found = why(run, event_id, variable)
    title = f"Why {f'{variable} at ' if variable else ''}{event_id}?"
    console.print(tree_of(run, found, title))
    for collapsed in found.collapsed:
        console.print(f"{collapsed.server}: {collapsed.sentence} (ask why {collapsed.event_id})", style="dim")
    for reason in found.unresolved:
        console.print(
            f"unresolved: {reason.variable} from {reason.event_id}, which the trace does not hold", style="dim"
        )
    if found.truncated:
        console.print("the chain is longer; only its nearest part is shown", style="dim")
    return 0


def _why_violated(run: Trace, console: Console) -> int:
    found = violations(run)
    if not found:
        console.print("Every property held: there is no violation in this run.")
    for each in found:
        show_violation(run, each, console)
    return 0


def _why_not(options: argparse.Namespace, console: Console) -> int:
    run = load_recorded(options.run)
    position = run.position(options.at) if options.at else len(run) - 1
    answer = why_not(run, options.question, position)
    console.print(answer.sentence, style="bold")
    for missing in answer.missing:
        since = f"  (since {missing.event_id})" if missing.event_id else ""
        console.print(Text(f"  - {missing.sentence}").append(since, style="dim"))
    return 0


# -- diff and check ----------------------------------------------------------------------------------------------------


def _diff(options: argparse.Namespace, console: Console) -> int:
    one, other = load_recorded([options.one]), load_recorded([options.other])
    names = names_of(options.one, options.other)
    found = compare(one, other)
    if found == Comparison(None, []):
        console.print("The runs do the same.")
    else:
        show_comparison(found, names, console)
    if options.output is not None:
        title = f"{names[0]} and {names[1]}"
        options.output.write_text(pair_page(one, other, title=title, names=names), encoding="utf-8")
        console.print(f"{options.output}: both runs, {len(one):,} and {len(other):,} events")
    return 0 if found.first is None and not found.note else 1


def _check(options: argparse.Namespace, console: Console) -> int:
    """Every change follows from the state before it; every arrival has its sending; violations are named."""
    run = load_recorded(options.run)
    replay = Replay()
    problems = []
    unresolved = 0
    for event in run.events:
        try:
            replay.apply(event)
        except StateMismatch as error:
            problems.append(str(error))
        if event.k is Kind.SEND and not run.ends_of(event.id):
            unresolved += 1
        if event.k is Kind.RECV and event.m and run.find(event.m) is None and len(options.run) > 1:
            problems.append(f"event {event.id}: no file holds the sending of message {event.m}")
        if event.k is Kind.VIOL:
            problems.append(f"event {event.id}: {event.x.get('property')}: {event.x.get('sentence')}")
    for problem in problems[:20]:
        console.print(problem, style="red")
    for found in violations(run):
        show_violation(run, found, console, with_tree=False)
    words = f"{len(run):,} events of {len(run.lanes)} lanes; {unresolved:,} messages unresolved; "
    console.print(words + (f"{len(problems)} problems" if problems else "the record agrees with itself"))
    return 1 if problems else 0
