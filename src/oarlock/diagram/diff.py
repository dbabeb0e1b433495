"""Where two runs part: by what servers did, not by when or under which number."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from oarlock.diagram.sentences import sentence, shown
from oarlock.trace.flows import FLOWS
from oarlock.trace.loaded import Trace
from oarlock.trace.schema import WORLD, Event, Kind, parse_id

_NUMBERS: Final = ("request_id", "number", "context")
"""Fields that only count."""
_TIMES: Final = ("waited", "last_contact", "now", "lease_until")
"""Operands that are moments or spans of time."""
_MOST_EXTRAS: Final = 4
_MOST_PARTS: Final = 5


class Difference(msgspec.Struct, frozen=True):
    """The first thing that one run has and the other has not."""

    sentence: str
    one: str
    """The event in the first run; empty if its server did nothing more."""
    other: str
    """And in the second."""
    told_one: str = ""
    """The event in the first run as a sentence, without what the other has too; what is said where there is none."""
    told_other: str = ""


def first_difference(one: Trace, other: Trace) -> Difference | None:
    """Compare two runs.

    Each server's doings are aligned in their order; of the places where servers part the earliest counts, by the time
    since its run began. That a server does more in a run which goes on for longer is no difference.

    Returns:
        None if all servers did the same.
    """
    found: list[tuple[int, Difference]] = []
    end = min(_since_begin(trace, trace.events[-1]) if len(trace) else 0 for trace in (one, other))
    for lane in sorted({*one.lanes, *other.lanes} - {WORLD}):
        parted = _first_of_lane(one, other, lane, end)
        if parted is not None:
            found.append(parted)
    return min(found, key=lambda each: each[0])[1] if found else None


def _first_of_lane(one: Trace, other: Trace, lane: str, end: int) -> tuple[int, Difference] | None:
    ours, theirs = _doings(one, lane), _doings(other, lane)
    while True:
        here, there = next(ours, None), next(theirs, None)
        if here is None and there is None:
            return None
        if here is not None and there is not None and _meaning(here) == _meaning(there):
            continue
        at = min(_since_begin(trace, event) for trace, event in ((one, here), (other, there)) if event is not None)
        if at >= end and (here is None or there is None):
            return None
        told = f"{lane} does something else from {at / 1e6:.6f} s on"
        told_one, told_other = _contrast(_tell(one, here), _tell(other, there))
        if here is not None and there is not None and told_one == told_other:
            told_one, told_other = (
                f"{told.removesuffix('.').partition('; ')[0]}; {extra}."
                for told, extra in zip((told_one, told_other), _extras(here, there), strict=True)
            )
        ids = (here.id if here else "", there.id if there else "")
        return at, Difference(told, *ids, _shortened(told_one), _shortened(told_other))


def _since_begin(trace: Trace, event: Event) -> int:
    """In microseconds: of live runs, no two begin at one time."""
    return event.t - trace.events[0].t


def _tell(trace: Trace, event: Event | None) -> str:
    return "nothing more" if event is None else sentence(event, trace.header.nodes)


def are_one_step(event: Event, other: Event) -> bool:
    """Whether two events happened in one step of one server."""
    return event.t == other.t and parse_id(event.id).lane == parse_id(other.id).lane


def _contrast(one: str, other: str) -> tuple[str, str]:
    """Two sentences that begin alike, each with its beginning and what the other has not."""
    ours, theirs = (told.removesuffix(".").split("; ") for told in (one, other))
    if ours[0] != theirs[0] or ours == theirs:
        return one, other
    here, there = (
        [part for part in side[1:] if part not in other_side] for side, other_side in ((ours, theirs), (theirs, ours))
    )
    return f"{'; '.join([ours[0], *(here or ['no more'])])}.", f"{'; '.join([theirs[0], *(there or ['no more'])])}."


def _shortened(told: str) -> str:
    """A sentence of many parts with its first ones."""
    parts = told.split("; ")
    return told if len(parts) <= _MOST_PARTS else f"{'; '.join(parts[:_MOST_PARTS])}; and so on."


def _extras(one: Event, other: Event) -> tuple[str, str]:
    """What two events have that are told alike: fields, operands of rules, and changes, where they differ."""
    ours, theirs = _particulars(one), _particulars(other)
    names = [name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)]
    if not names:
        return "with contents of its own", "with other contents"
    here, there = (
        ", ".join(f"{name} {side.get(name, 'as it was')}" for name in names[:_MOST_EXTRAS]) for side in (ours, theirs)
    )
    return here, there


def _particulars(event: Event) -> dict[str, str]:
    told = {
        name: shown(value) for name, value in event.x.items() if name not in _NUMBERS and not isinstance(value, dict)
    }
    write = event.x.get("write")
    if isinstance(write, dict):
        told |= {f"{name.replace('_', ' ')} to disk": shown(value) for name, value in write.items()}
    for rule, operands in zip(event.r, event.g, strict=False):
        told[rule] = shown(list(_untimed(rule, operands)))
    for name in event.w.__struct_fields__ if event.w is not None else ():
        change = getattr(event.w, name)
        if isinstance(change, dict):
            told |= {f"{name} of {server}": shown(pair[1]) for server, pair in change.items()}
        elif isinstance(change, tuple) and name not in ("timer", "conf"):
            told[name] = shown(change[1])
        elif change is not None:
            told[name] = {"timer": "set anew", "conf": "changed"}.get(name, "changed")
    for name in ("term", "vote", "commit", "applied", "durable", "snapshot", "base") if event.s is not None else ():
        told[name] = shown(getattr(event.s, name))
    return told


def _doings(trace: Trace, lane: str) -> Iterator[Event]:
    """What matters of a lane: rules that acted, messages, changes of state."""
    for position in trace.lanes.get(lane, ()):
        event = trace.events[position]
        is_write = event.k is Kind.READY and "write" in event.x
        if event.r or event.w is not None or is_write or event.k in (Kind.SEND, Kind.CRASH, Kind.RESTART):
            yield event


def _meaning(event: Event) -> tuple[Any, ...]:
    """An event without its number, its time, and the numbers of requests."""
    fields = {name: value for name, value in event.x.items() if name not in _NUMBERS}
    operands = tuple(_untimed(rule, each) for rule, each in zip(event.r, event.g, strict=False))
    written, whole = event.w, event.s
    if written is not None and written.timer is not None:
        written = msgspec.structs.replace(written, timer=(0, 0))  # that it was set matters, not to when
    if whole is not None:
        whole = msgspec.structs.replace(whole, timer=None) if event.k is Kind.RESTART else None
    told = (repr(fields), repr(written), repr(whole))
    return parse_id(event.id).lane, event.k, event.src, event.to, event.r, operands, *told


def _untimed(rule: str, operands: tuple[Any, ...]) -> tuple[Any, ...]:
    """Operands without times."""
    names = FLOWS[rule].operands if rule in FLOWS else ()
    return tuple(None if at < len(names) and names[at] in _TIMES else operand for at, operand in enumerate(operands))
