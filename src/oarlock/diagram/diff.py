"""Where two runs part: by what servers did, not by when or under which number."""

from collections.abc import Iterator
from typing import Any

import msgspec

from oarlock.diagram.sentences import sentence
from oarlock.trace.loaded import Trace
from oarlock.trace.schema import WORLD, Event, Kind, parse_id


class Difference(msgspec.Struct, frozen=True):
    """The first thing that one run has and the other has not."""

    sentence: str
    one: str
    """The event in the first run; empty if its server did nothing more."""
    other: str
    """And in the second."""
    told_one: str = ""
    """The event in the first run as a sentence; what is said where there is none."""
    told_other: str = ""


def first_difference(one: Trace, other: Trace) -> Difference | None:
    """Compare two runs.

    Each server's doings are aligned in their order; of the places where servers part the earliest counts, by the time
    in the first run.

    Returns:
        None if all servers did the same.
    """
    found: list[tuple[int, Difference]] = []
    for lane in sorted({*one.lanes, *other.lanes} - {WORLD}):
        parted = _first_of_lane(one, other, lane)
        if parted is not None:
            found.append(parted)
    return min(found, key=lambda each: each[0])[1] if found else None


def _first_of_lane(one: Trace, other: Trace, lane: str) -> tuple[int, Difference] | None:
    ours, theirs = _doings(one, lane), _doings(other, lane)
    while True:
        here, there = next(ours, None), next(theirs, None)
        if here is None and there is None:
            return None
        if here is not None and there is not None and _meaning(here) == _meaning(there):
            continue
        at = min(event.t for event in (here, there) if event is not None)
        told = f"{lane} does something else from {at / 1e6:.6f} s on"
        return at, Difference(
            told, here.id if here else "", there.id if there else "", _tell(one, here), _tell(other, there)
        )


def _tell(trace: Trace, event: Event | None) -> str:
    return "nothing more" if event is None else sentence(event, trace.header.nodes)


def _doings(trace: Trace, lane: str) -> Iterator[Event]:
    """What matters of a lane: rules that acted, messages, changes of state."""
    for position in trace.lanes.get(lane, ()):
        event = trace.events[position]
        if event.r or event.w is not None or event.k in (Kind.SEND, Kind.CRASH, Kind.RESTART):
            yield event


def _meaning(event: Event) -> tuple[Any, ...]:
    """An event without its number, its time, and the numbers of requests."""
    fields = {name: value for name, value in event.x.items() if name not in ("request_id", "number", "context")}
    operands = tuple(_untimed(each) for each in event.g)
    written = event.w
    if written is not None and written.timer is not None:
        written = msgspec.structs.replace(written, timer=None)
    return parse_id(event.id).lane, event.k, event.src, event.to, event.r, operands, repr(fields), repr(written)


def _untimed(operands: tuple[Any, ...]) -> tuple[Any, ...]:
    """Operands without times, which are the only fractions."""
    return tuple(None if isinstance(operand, float) else operand for operand in operands)
