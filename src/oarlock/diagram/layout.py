"""Where things stand in a picture of a run: lanes side by side, time downwards, what nobody looks at left out."""

from collections.abc import Sequence
from typing import Final

import msgspec

from oarlock.trace.loaded import Trace
from oarlock.trace.schema import Event, Kind, parse_id, sent_id
from oarlock.trace.state import states_at

TERM_HUES: Final = ("#8b9096", "#2f6fb0", "#2a8a5c", "#a8790a", "#8250a8", "#0e8b97", "#b0507f", "#6a7a1f", "#5a5fc4")
"""By term, from 1 on, over and over; the first is for none. The page has the same (`page/style.css`)."""

_SILENT: Final = (Kind.READY, Kind.ADVANCE, Kind.KEY, Kind.APPLY, Kind.FSYNC)


class Stretch(msgspec.Struct, frozen=True):
    """A lane between two changes of term, role or life."""

    lane: str
    begin: int
    end: int
    """Rows; the end is not included."""
    term: int
    role: str
    is_down: bool


class Arrow(msgspec.Struct, frozen=True):
    """A message."""

    kind: str
    source: str
    to: str
    begin: int
    end: int
    """Rows."""
    term: int
    outcome: str
    """"received", "dropped" or "unresolved"."""
    cause: str
    agrees: bool | None
    """Of a reply; None for what is none."""
    carries: bool
    """Whether it brings entries."""


class Layout(msgspec.Struct, frozen=True):
    """All that a picture shows."""

    lanes: list[str]
    rows: list[Event]
    """The events shown, one a row."""
    stretches: list[Stretch]
    arrows: list[Arrow]
    hidden: int
    """Events of the stretch of time that are not shown: heartbeats and the like."""
    cut_off: int
    """Events after the last one shown."""


def term_colour(term: int) -> str:
    """The hue of a term."""
    return TERM_HUES[(term - 1) % (len(TERM_HUES) - 1) + 1] if term > 0 else TERM_HUES[0]


def lay_out(trace: Trace, first: int = 0, last: int | None = None, *, most: int = 400) -> Layout:
    """Choose what a picture shows, and where.

    Args:
        trace: The run.
        first: Position of the first event.
        last: Position of the last; None for that of the run.
        most: Rows, at most.
    """
    end = len(trace) - 1 if last is None else min(last, len(trace) - 1)
    folded = _heartbeats(trace)
    rows: list[int] = []
    position = first
    while position <= end and len(rows) < most:
        if trace.events[position].k not in _SILENT and position not in folded:
            rows.append(position)
        position += 1
    row_of = {at: row for row, at in enumerate(rows)}
    lanes = trace.servers
    return Layout(
        lanes=lanes,
        rows=[trace.events[at] for at in rows],
        stretches=_stretches(trace, lanes, rows),
        arrows=_arrows(trace, row_of),
        hidden=position - first - len(rows),
        cut_off=end + 1 - position,
    )


def _heartbeats(trace: Trace) -> set[int]:
    """Messages without news, both ends, and what made them due."""
    folded: set[int] = set()
    for position, event in enumerate(trace.events):
        if event.k is Kind.SEND and _is_without_news(trace, event):
            ends = trace.ends_of(event.id)
            if any(each.k is Kind.DROP for each in ends):
                continue
            folded.add(position)
            folded |= {trace.position(each.id) for each in ends}
        elif event.k is Kind.TIMER and event.r and set(event.r) <= {"L-1", "L-3"}:
            folded.add(position)
    return folded


def _is_without_news(trace: Trace, event: Event) -> bool:
    kind = event.x.get("type")
    ends = trace.ends_of(event.id)
    changed = any(
        each.w is not None and any((each.w.term, each.w.role, each.w.commit, each.w.log, each.w.match)) for each in ends
    )
    if kind == "AppendEntries":
        return not event.x.get("entries") and not changed
    return kind == "AppendEntriesReply" and bool(event.x.get("success")) and not changed


def _stretches(trace: Trace, lanes: Sequence[str], rows: Sequence[int]) -> list[Stretch]:
    if not rows:
        return []
    replay = states_at(trace, rows[0] - 1) if rows[0] else states_at(trace, -1)
    found: list[Stretch] = []
    open_ones: dict[str, tuple[int, int, str, bool]] = {}

    def look(row: int) -> None:
        for lane in lanes:
            state = replay.states.get(lane)
            if state is None:
                continue
            now = (state.term, state.role, lane in replay.down)
            before = open_ones.get(lane)
            if before is not None and before[1:] == now:
                continue
            if before is not None:
                found.append(Stretch(lane, before[0], row, *before[1:]))
            open_ones[lane] = (row, *now)

    look(0)
    at = rows[0]
    for row, position in enumerate(rows):
        while at <= position:
            replay.apply(trace.events[at])
            at += 1
        look(row)
    found += [Stretch(lane, before[0], len(rows), *before[1:]) for lane, before in open_ones.items()]
    return found


def _arrows(trace: Trace, row_of: dict[int, int]) -> list[Arrow]:
    found = []
    for position, row in row_of.items():
        event = trace.events[position]
        if event.k is Kind.SEND:
            ends = trace.ends_of(event.id)
            if not ends:
                found.append(_arrow(event, row, row + 1, "unresolved", ""))
            for end in ends:
                at = row_of.get(trace.position(end.id))
                outcome = "dropped" if end.k is Kind.DROP else "received"
                found.append(_arrow(event, row, row + 1 if at is None else at, outcome, end.cause))
        elif event.k is Kind.RECV and event.m and trace.find(sent_id(event.m)) is None:
            found.append(_arrow(event, row, row, "received", ""))
    return found


def _arrow(event: Event, begin: int, end: int, outcome: str, cause: str) -> Arrow:
    fields = event.x
    agrees: bool | None = None
    if "vote_granted" in fields:
        agrees = bool(fields["vote_granted"])
    elif fields.get("type") == "AppendEntriesReply":
        agrees = bool(fields.get("success"))
    return Arrow(
        kind=str(fields.get("type", "")),
        source=event.src or parse_id(event.id).lane,
        to=event.to,
        begin=begin,
        end=end,
        term=int(fields.get("term") or 0),
        outcome=outcome,
        cause=cause,
        agrees=agrees,
        carries=bool(fields.get("entries")),
    )
