"""The states of all servers at any point of a trace, from the last whole state and the changes since."""

from bisect import bisect_right
from typing import Any

import msgspec

from oarlock.trace.loaded import Trace
from oarlock.trace.schema import WORLD, Delta, Event, Kind, LogDelta, ServerState, parse_id
from oarlock.trace.watch import SCALARS, append_runs, cut_before, cut_from

_PER_SERVER = ("match", "mode", "next", "votes")


class StateMismatch(ValueError):
    """An event's "before" is not the state at hand: something is missing from the trace."""


class Replay:
    """Applies events one by one."""

    def __init__(self) -> None:
        self.states: dict[str, ServerState] = {}
        """By server; those of which no whole state was seen yet are absent."""
        self.down: set[str] = set()
        """Servers that crashed and have not come back."""

    def apply(self, event: Event) -> None:
        """Take one event.

        Raises:
            StateMismatch: It does not follow from those taken so far; the text names event and field.
        """
        lane = parse_id(event.id).lane
        if lane == WORLD:
            if event.k is Kind.CRASH and "server" in event.x:
                self.down.add(event.x["server"])
            return
        if event.k is Kind.CRASH:
            self.down.add(lane)
        elif event.k is Kind.GAP:
            self.states.pop(lane, None)
        elif event.s is not None:
            self.states[lane] = _copy(event.s)
            self.down.discard(lane)
        elif event.w is not None and lane in self.states:
            _change(self.states[lane], event.w, event.id)


def _copy(state: ServerState) -> ServerState:
    return msgspec.structs.replace(
        state,
        log=state.log.copy(),
        next=state.next.copy(),
        match=state.match.copy(),
        mode=state.mode.copy(),
        votes=state.votes.copy(),
    )


def _change(state: ServerState, delta: Delta, event_id: str) -> None:
    for name in SCALARS:
        change = getattr(delta, name)
        if change is not None:
            _expect(event_id, name, getattr(state, name), change[0])
            setattr(state, name, change[1])
    for name in _PER_SERVER:
        changes = getattr(delta, name)
        if changes is None:
            continue
        held: dict[str, Any] = getattr(state, name)
        for server, (old, new) in changes.items():
            _expect(event_id, f"{name}.{server}", held.get(server), old)
            if new is None:
                del held[server]
            else:
                held[server] = new
    if delta.log is not None:
        _change_log(state, delta.log, event_id)


def _change_log(state: ServerState, log: LogDelta, event_id: str) -> None:
    runs = state.log
    if log.base is not None:
        state.base = log.base
        cut_before(runs, log.base[0])
    if log.trunc:
        cut_from(runs, log.trunc)
    if log.app:
        last = runs[-1][1] if runs else state.base[0]
        _expect(event_id, "log", last, log.app[0][0] - 1)
        append_runs(runs, ((row[0], row[1]) for row in log.app))


def _expect(event_id: str, name: str, held: object, before: object) -> None:
    if held != before:
        raise StateMismatch(f"event {event_id}: {name} was {before!r} according to it, but {held!r} before")


def states_at(trace: Trace, position: int) -> Replay:
    """The states after the event at `position` in `trace`, without reading all that was before.

    Args:
        trace: The whole.
        position: From 0.
    """
    replay = Replay()
    for lane, positions in trace.lanes.items():
        if lane == WORLD:
            continue
        wholes = trace.wholes[lane]
        first = bisect_right(wholes, position) - 1
        if first < 0:
            continue
        begin = bisect_right(positions, wholes[first]) - 1
        for at in positions[begin : bisect_right(positions, position)]:
            replay.apply(trace.events[at])
    return replay
