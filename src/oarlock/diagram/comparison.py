"""Two runs side by side, by what they mean: who led, what committed, which rules acted where, what clients were told.

Acts are aligned by server, rule, term, index and the other server concerned, not by time or number: what happens in
both runs, however much later, is no difference.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from oarlock.diagram.diff import Difference, first_difference
from oarlock.diagram.logs import last_index
from oarlock.diagram.relation import relation
from oarlock.diagram.sentences import CAUSES
from oarlock.trace.flows import FLOWS, SERVER_OPERANDS
from oarlock.trace.loaded import Trace
from oarlock.trace.schema import WORLD, Event, Kind, ServerState, parse_id
from oarlock.trace.state import Replay

_BATCHED: Final = frozenset({"AE-4", "AE-5", "ALL-1", "L-2", "L-3", "L-3a", "L-4", "CL-Q2", "CL-Q3", "CL-Q5", "FC-5"})
"""Rules that act for as much of the log as there happens to be: where their stretches begin says nothing."""
MOST_ROWS: Final = 40
"""Of one part."""
_INDICES: Final = (
    *("index", "first_index", "prev_log_index", "match_index", "last_included_index", "base_index", "next_index"),
    *("configuration_index", "read_index", "commit_index", "leader_commit"),
)
"""Names of operands that say where in the log; the first that a rule has counts."""


class Row(msgspec.Struct, frozen=True):
    """One difference."""

    sentence: str
    one: str = ""
    """The event in the first run; empty if there is none."""
    other: str = ""
    """And in the second."""


class Part(msgspec.Struct, frozen=True):
    """Differences of one kind."""

    title: str
    rows: list[Row]
    left_out: int = 0
    """How many more there are."""


class Comparison(msgspec.Struct, frozen=True):
    """All that differs."""

    first: Difference | None
    """What comes first in time; None if all servers did the same."""
    parts: list[Part]
    """Without those in which nothing differs."""
    note: str = ""
    """Why less can be said of these two than of runs that were made to be compared; empty if they were."""


class _Act(NamedTuple):
    """What a rule did, wherever it was in time; its index apart, so that neighbours can be told as one."""

    rule: str
    server: str
    term: int
    peer: str


class _Seen:
    """What a run comes to."""

    def __init__(self, trace: Trace) -> None:
        self.leaders: dict[int, tuple[str, str]] = {}
        self.committed: dict[int, tuple[int, str | None, str]] = {}
        """By index: term and payload, and the event by which it was first committed."""
        self.acts: dict[_Act, dict[int, str]] = defaultdict(dict)
        """By act and index: the first event."""
        self.fates: dict[tuple[str, str], int] = defaultdict(int)
        self.answers: dict[int, tuple[str, str, str]] = {}
        """By request: what was asked, what was answered, and the event."""
        self.lives: dict[str, list[str]] = defaultdict(list)
        self.violations: list[Event] = []
        self._replay = Replay()
        self._entries: dict[tuple[int, int], str | None] = {}
        for event in trace.events:
            self._replay.apply(event)
            self._see(trace, event, parse_id(event.id).lane)

    @property
    def states(self) -> dict[str, ServerState]:
        """At the end."""
        return self._replay.states

    @property
    def down(self) -> set[str]:
        """Servers that are down at the end."""
        return self._replay.down

    def _see(self, trace: Trace, event: Event, lane: str) -> None:
        state = self._replay.states.get(lane)
        match event.k:
            case Kind.VIOL:
                self.violations.append(event)
            case Kind.CLIENT if lane == WORLD:
                self._hear(event)
            case Kind.CRASH:
                self.lives[str(event.x.get("server", lane))].append(event.id)
            case Kind.SEND:
                self.fates[str(event.x.get("type")), "sent"] += 1
            case Kind.DROP:
                sent = trace.find(event.m)
                kind = str(sent.x.get("type")) if sent is not None else "message"
                self.fates[kind, CAUSES.get(event.cause, event.cause)] += 1
        if state is not None:
            self._note(event, lane, state)

    def _hear(self, event: Event) -> None:
        request, operation = event.x.get("request"), event.x.get("op")
        if not isinstance(request, int):
            return
        if operation == "call":
            asked = f"client {event.x.get('client')}: {event.x.get('kind')} {event.x.get('key', '')}".rstrip()
            self.answers[request] = (asked, "nothing", event.id)
        elif operation == "return" and request in self.answers:
            self.answers[request] = (self.answers[request][0], str(event.x.get("outcome")), event.id)

    def _note(self, event: Event, lane: str, state: ServerState) -> None:
        for position, rule in enumerate(event.r):
            operands = event.g[position] if position < len(event.g) else ()
            index, peer = _where(rule, operands)
            self.acts[_Act(rule, lane, state.term, peer)].setdefault(index, event.id)
        delta = event.w
        if delta is None:
            return
        for row in delta.log.app if delta.log is not None else ():
            self._entries[row[0], row[1]] = row[3]
        if delta.role is not None and delta.role[1] == "leader":
            self.leaders.setdefault(state.term, (lane, event.id))
        if delta.commit is not None:
            for index in range((delta.commit[0] or 0) + 1, (delta.commit[1] or 0) + 1):
                term = next((each for first, last, each in state.log if first <= index <= last), None)
                if term is not None:
                    self.committed.setdefault(index, (term, self._entries.get((index, term)), event.id))


def _where(rule: str, operands: tuple[Any, ...]) -> tuple[int, str]:
    """The index in the log, or 0, and the other server that a rule was about."""
    names = FLOWS[rule].operands if rule in FLOWS else ()
    named = dict(zip(names, operands, strict=False))
    index = 0
    if rule not in _BATCHED:
        index = next((named[name] for name in _INDICES if isinstance(named.get(name), int)), 0)
    peer = next((str(named[name]) for name in names if name in SERVER_OPERANDS and named.get(name) is not None), "")
    return index, peer


def compare(one: Trace, other: Trace) -> Comparison:
    """Compare two runs by their meaning; of runs without a server in common, only what is of no server."""
    ours, theirs = _Seen(one), _Seen(other)
    note = relation(one, other)
    if not set(one.servers) & set(other.servers):
        parts = [_part("Properties", _properties(ours, theirs)), _part("Messages", _messages(ours, theirs))]
        return Comparison(None, [part for part in parts if part.rows], note)
    parts = [
        _part("Properties", _properties(ours, theirs)),
        _part("Who led", _leaders(ours, theirs)),
        _part("What was committed", _commits(ours, theirs)),
        _part("What clients were told", _answers(ours, theirs)),
        _part("Where servers ended", _ends(ours, theirs)),
        _part("Crashes", _crashes(ours, theirs)),
        _part("Rules that acted", _rules(ours, theirs)),
        _part("Messages", _messages(ours, theirs)),
    ]
    return Comparison(first_difference(one, other), [part for part in parts if part.rows], note)


def _part(title: str, rows: Iterable[Row]) -> Part:
    found = list(rows)
    return Part(title, found[:MOST_ROWS], max(0, len(found) - MOST_ROWS))


def _properties(ours: _Seen, theirs: _Seen) -> Iterator[Row]:
    names = {str(each.x.get("property")) for each in ours.violations}
    others = {str(each.x.get("property")) for each in theirs.violations}
    for event in ours.violations:
        if event.x.get("property") not in others:
            yield Row(f"{event.x.get('property')} falls only in the first run", one=event.id)
    for event in theirs.violations:
        if event.x.get("property") not in names:
            yield Row(f"{event.x.get('property')} falls only in the second run", other=event.id)


def _leaders(ours: _Seen, theirs: _Seen) -> Iterator[Row]:
    for term in sorted({*ours.leaders, *theirs.leaders}):
        (here, one), (there, other) = (seen.leaders.get(term, ("nobody", "")) for seen in (ours, theirs))
        if here != there:
            yield Row(f"term {term} is led by {here} in the first run, by {there} in the second", one, other)


def _commits(ours: _Seen, theirs: _Seen) -> Iterator[Row]:
    both = [each for each in sorted(ours.committed.keys() & theirs.committed.keys()) if _differ(ours, theirs, each)]
    for first, last in _stretches(both):
        span = range(first, last + 1)
        here, there = ([seen.committed[index][:2] for index in span] for seen in (ours, theirs))
        if {term for term, _ in here} != {term for term, _ in there}:
            told = f"{_terms(here)} in the first run, {_terms(there)} in the second"
        elif sorted(map(repr, here)) == sorted(map(repr, there)):
            told = "the same commands in another order"
        else:
            told = "other commands"
        yield Row(f"{_span(first, last)}: {told}", ours.committed[first][2], theirs.committed[first][2])
    for number, (seen, besides) in enumerate(((ours, theirs), (theirs, ours))):
        alone = sorted(seen.committed.keys() - besides.committed.keys())
        for first, last in _stretches(alone):
            event_id = seen.committed[first][2]
            told = f"{_span(first, last)} committed only in the {('first', 'second')[number]} run"
            yield Row(told, one="" if number else event_id, other=event_id if number else "")


def _differ(ours: _Seen, theirs: _Seen, index: int) -> bool:
    return ours.committed[index][:2] != theirs.committed[index][:2]


def _terms(entries: list[tuple[int, str | None]]) -> str:
    terms = sorted({term for term, _ in entries})
    return f"{'entries' if len(entries) > 1 else 'an entry'} of term {' and '.join(map(str, terms))}"


def _answers(ours: _Seen, theirs: _Seen) -> Iterator[Row]:
    for request in sorted({*ours.answers, *theirs.answers}):
        here, there = ours.answers.get(request), theirs.answers.get(request)
        if here is None or there is None:
            asked, _, event_id = here or there or ("", "", "")
            which = "second" if here is None else "first"
            yield Row(f"{asked}: asked only in the {which} run", event_id if here else "", event_id if there else "")
        elif here[1] != there[1]:
            yield Row(f"{here[0]}: {here[1]} in the first run, {there[1]} in the second", here[2], there[2])


def _ends(ours: _Seen, theirs: _Seen) -> Iterator[Row]:
    for server in sorted({*ours.states, *theirs.states}):
        here, there = _end(ours, server), _end(theirs, server)
        if here != there:
            yield Row(f"{server} ends as {here} in the first run, as {there} in the second")


def _end(seen: _Seen, server: str) -> str:
    state = seen.states.get(server)
    if state is None:
        return "nothing known"
    role = "down" if server in seen.down else state.role
    return f"{role} of term {state.term}, log up to {last_index(state)}, committed {state.commit}"


def _crashes(ours: _Seen, theirs: _Seen) -> Iterator[Row]:
    for server in sorted({*ours.lives, *theirs.lives}):
        here, there = ours.lives.get(server, []), theirs.lives.get(server, [])
        if len(here) != len(there):
            told = f"{server} crashed {_times(len(here))} in the first run, {_times(len(there))} in the second"
            yield Row(told, here[-1] if here else "", there[-1] if there else "")


def _rules(ours: _Seen, theirs: _Seen) -> Iterator[Row]:
    """Each act that only one run has, neighbours in the log as one; first those that the other has nowhere."""
    found: list[tuple[bool, str, Row]] = []
    for number, (seen, besides) in enumerate(((ours, theirs), (theirs, ours))):
        for act, indices in seen.acts.items():
            alone = sorted(indices.keys() - besides.acts.get(act, {}).keys())
            for first, last in _stretches(alone):
                event_id = indices[first]
                told = f"{_act_in_words(act, first, last)}: only in the {('first', 'second')[number]} run"
                row = Row(told, one="" if number else event_id, other=event_id if number else "")
                found.append((act in besides.acts, act.rule, row))
    for _, _, row in sorted(found, key=lambda each: (each[0], each[1], each[2].sentence)):
        yield row


def _act_in_words(act: _Act, first: int, last: int) -> str:
    where = f" at {_span(first, last)}" if first else ""
    whom = f" with {act.peer}" if act.peer else ""
    return f"{act.rule} at {act.server} in term {act.term}{where}{whom}"


def _messages(ours: _Seen, theirs: _Seen) -> Iterator[Row]:
    for kind, fate in sorted({*ours.fates, *theirs.fates}):
        here, there = ours.fates.get((kind, fate), 0), theirs.fates.get((kind, fate), 0)
        if here != there:
            yield Row(f"{kind} {fate}: {here} in the first run, {there} in the second")


def _stretches(indices: list[int]) -> Iterator[tuple[int, int]]:
    """Neighbours together."""
    at = 0
    while at < len(indices):
        end = at
        while end + 1 < len(indices) and indices[end + 1] == indices[end] + 1:
            end += 1
        yield indices[at], indices[end]
        at = end + 1


def _span(first: int, last: int) -> str:
    return f"index {first}" if first == last else f"indices {first} to {last}"


def _times(count: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count} times")


def as_plain(comparison: Comparison) -> Mapping[str, Any]:
    """As JSON has it, for the page."""
    plain: dict[str, Any] = msgspec.to_builtins(comparison)
    return plain
