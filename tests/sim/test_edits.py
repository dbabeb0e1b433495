"""Counterfactuals: one message edited, everything else as it was."""

from functools import cache
from pathlib import Path

import msgspec
import pytest
from tests.support.simulated import steady

from oarlock.sim import Fault, Report, Schedule, read_schedule, record_schedule, run_schedule, write_schedule
from oarlock.sim.schedule import MessageEdit
from oarlock.sim.schedule_file import ScheduleError, check_schedule
from oarlock.trace.loaded import Trace
from oarlock.trace.schema import Event, Kind

SCHEDULE = steady(Fault(at=1.0, kind="frame_drop", seconds=0.3, value=0.3), seconds=2.0)


@cache
def _run() -> tuple[Report, Trace]:
    return record_schedule(SCHEDULE)


def _with(message: str, do: str, seconds: float = 0.0) -> Trace:
    edit = msgspec.convert({"message": message, "do": do, "seconds": seconds}, MessageEdit)
    return record_schedule(msgspec.structs.replace(SCHEDULE, edits=(edit,)))[1]


def _arrived() -> Event:
    """A request with news that arrived before any fault."""
    _, trace = _run()
    return next(
        event
        for event in trace.events
        if event.k is Kind.SEND
        and event.x.get("entries")
        and [end.k for end in trace.ends_of(event.id)] == [Kind.RECV]
        and event.t < 900_000
    )


def _ends(trace: Trace, message: Event) -> list[tuple[Kind, int]]:
    return [(end.k, end.t - message.t) for end in trace.ends_of(message.id)]


def test_without_edits_the_run_is_the_same() -> None:
    """The schedule in a trace's header gives that very run again, event by event."""
    report, trace = _run()
    again, second = record_schedule(msgspec.convert(trace.header.schedule, Schedule))
    assert again.trace_hash == report.trace_hash
    assert second.header == trace.header
    assert second.events == trace.events


def test_edits_need_nobody_who_records() -> None:
    """A run with an edit is the same whether it is recorded or not."""
    edited = msgspec.structs.replace(SCHEDULE, edits=(MessageEdit(message=_arrived().id, do="drop"),))
    assert run_schedule(edited).trace_hash == record_schedule(edited)[0].trace_hash != _run()[0].trace_hash


def test_all_is_equal_before_the_edit() -> None:
    """Until the edited message is under way nothing is different."""
    message = _arrived()
    _, trace = _run()
    edited = _with(message.id, "drop")
    sent = trace.position(message.id)
    assert edited.events[: sent + 1] == trace.events[: sent + 1]


def test_dropped() -> None:
    """The message is lost, and nothing else is said of it."""
    assert [kind for kind, _ in _ends(_with(_arrived().id, "drop"), _arrived())] == [Kind.DROP]


def test_delayed() -> None:
    """It arrives so much later."""
    ((kind, after),) = _ends(_with(_arrived().id, "delay", 0.05), _arrived())
    assert kind is Kind.RECV
    assert 50_000 <= after < 60_000


def test_doubled() -> None:
    """It arrives twice."""
    assert [kind for kind, _ in _ends(_with(_arrived().id, "duplicate"), _arrived())] == [Kind.RECV, Kind.RECV]


def test_delivered() -> None:
    """It arrives although the network lost it, once."""
    _, trace = _run()
    lost = next(event for event in trace.events if event.k is Kind.DROP and event.cause == "lost")
    message = trace.find(lost.m)
    assert message is not None
    ((kind, after),) = _ends(_with(message.id, "deliver"), message)
    assert kind is Kind.RECV
    assert after < 5_000


def test_edits_in_files_are_looked_over(tmp_path: Path) -> None:
    """They are kept in files, and what makes no sense is named."""
    edited = msgspec.structs.replace(SCHEDULE, edits=(MessageEdit(message="n1.1.9", do="delay", seconds=1.0),))
    write_schedule(edited, tmp_path / "one.json")
    assert read_schedule(tmp_path / "one.json") == edited
    for edit, problem in (
        (MessageEdit(message="first", do="drop"), "edits\\[0\\].message: 'first'"),
        (MessageEdit(message="n1.1.9", do="drop", seconds=1.0), "edits\\[0\\].seconds: drop takes no time"),
    ):
        with pytest.raises(ScheduleError, match=problem):
            check_schedule(msgspec.structs.replace(SCHEDULE, edits=(edit,)))
