"""`oarlock trace what-if`: the same simulated run, but for what becomes of one message."""

import argparse
from pathlib import Path

import msgspec
from rich.console import Console
from rich.text import Text

from oarlock.cli.compared import show_comparison
from oarlock.cli.recorded import load_recorded
from oarlock.cli.violated import show_violation
from oarlock.diagram.comparison import compare
from oarlock.diagram.pair import pair_page
from oarlock.diagram.sentences import CAUSES, sentence
from oarlock.diagram.violation import violations
from oarlock.sim.run import record_schedule
from oarlock.sim.schedule import MessageEdit, Schedule
from oarlock.sim.schedule_file import ScheduleError, check_schedule
from oarlock.trace.loaded import Trace
from oarlock.trace.reader import TraceError
from oarlock.trace.schema import Event, Kind, encode


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `trace what-if`."""
    parser.add_argument("run", type=Path, metavar="RUN", help="the trace of a simulated run")
    parser.add_argument("--message", required=True, metavar="ID", help="of its sending, such as n2.1.47")
    fate = parser.add_mutually_exclusive_group(required=True)
    fate.add_argument("--drop", action="store_true", help="it is lost")
    fate.add_argument("--deliver", action="store_true", help="it arrives, whatever stands in the way")
    fate.add_argument("--delay", type=float, metavar="MS", help="it arrives so many milliseconds later")
    fate.add_argument("--duplicate", action="store_true", help="it arrives twice")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write a page with both runs (.html)")


def what_if(options: argparse.Namespace, console: Console) -> int:
    """Run it again with the message's fate changed, and say where the two runs part.

    Returns:
        0 if the servers do the same in both, 1 if they part.

    Raises:
        TraceError: The trace is not of a simulated run, holds no such message, or cannot be repeated.
        OSError: A file cannot be read or written.
    """
    run = load_recorded([options.run])
    schedule = _schedule_of(run, options.run)
    message = _message_of(run, options.message)
    edit, asked = _edit_of(options, message)
    try:
        edited = msgspec.structs.replace(schedule, edits=(*schedule.edits, edit))
        check_schedule(edited)
    except ScheduleError as error:
        raise TraceError(str(error)) from None
    other = _as_read(record_schedule(edited)[1])
    _check_repeated(run, other, message)
    names = ("as it was", asked)
    told = f"{sentence(message, run.header.nodes)[:-1]} ({message.id})"
    console.print(Text(f"What if the message were {asked}? {told}.", style="bold"))
    for name, each in zip(names, (run, other), strict=True):
        console.print(Text(f"  {name}: ", style="dim").append(_fate(each, message), "not dim"))
    found = compare(run, other)
    show_comparison(found, names, console)
    for broken in violations(other):
        show_violation(other, broken, console, with_tree=False)
    if options.output is not None:
        question = (
            f"{told}. As it was, {_fate(run, message)}; below it is {asked}. Seed, faults and clients are the same."
        )
        title = f"{run.header.run}: message {message.id} {asked}"
        options.output.write_text(pair_page(run, other, title=title, names=names, question=question), encoding="utf-8")
        console.print(f"{options.output}: both runs, {len(run):,} and {len(other):,} events")
    return 0 if found.first is None else 1


def _schedule_of(run: Trace, path: Path) -> Schedule:
    if run.header.schedule is None:
        raise TraceError(
            f"{path} is not of a run of `oarlock sim`: its header holds no schedule; runs of "
            f"oarlock.testing.simulate are made again by it, with what_if=[...]"
        )
    try:
        return msgspec.convert(run.header.schedule, Schedule)
    except msgspec.ValidationError as error:
        raise TraceError(f"{path}: the schedule in its header: {error}") from None


def _message_of(run: Trace, message_id: str) -> Event:
    """The sending of a message, by its id or by that of an event that took or lost it."""
    named = run.find(message_id)
    sent = run.find(named.m) if named is not None and named.k in (Kind.RECV, Kind.DROP) and named.m else named
    if sent is None or sent.k is not Kind.SEND:
        raise TraceError(f"the trace holds no message {message_id}; `trace show --kind send` lists them")
    return sent


def _edit_of(options: argparse.Namespace, message: Event) -> tuple[MessageEdit, str]:
    """The edit, and what it makes of the message, in words."""
    if options.delay is not None:
        seconds = options.delay / 1000
        return MessageEdit(message=message.id, do="delay", seconds=seconds), f"{options.delay:g} ms late"
    if options.drop:
        return MessageEdit(message=message.id, do="drop"), "lost"
    if options.duplicate:
        return MessageEdit(message=message.id, do="duplicate"), "doubled"
    return MessageEdit(message=message.id, do="deliver"), "delivered"


def _as_read(run: Trace) -> Trace:
    """A run as a file of it would be read: in memory lists may be tuples, and be taken for different."""
    return Trace(run.header, (msgspec.json.decode(encode(event), type=Event) for event in run.events))


def _check_repeated(run: Trace, other: Trace, message: Event) -> None:
    """Up to the message both must be one, or what differs after it says nothing of the message."""
    until = run.position(message.id)
    for before, after in zip(run.events[: until + 1], other.events, strict=False):
        if before != after:
            raise TraceError(
                f"this version of the program makes another run of that schedule: event {before.id} differs, before "
                f"the message; record it anew (`oarlock sim --trace`) and ask again"
            )
    if len(other) <= until:
        raise TraceError("this version of the program makes another run of that schedule; record it anew")


def _fate(run: Trace, message: Event) -> str:
    """What became of a message."""
    told = []
    for end in run.ends_of(message.id):
        if end.k is Kind.RECV:
            told.append(f"received after {(end.t - message.t) / 1000:.1f} ms ({end.id})")
        else:
            told.append(f"{CAUSES.get(end.cause, end.cause)} ({end.id})")
    return ", then ".join(told) or "still on its way at the end"
