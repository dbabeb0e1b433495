"""Why has something not happened? What was missing at a moment, for whom, and since when."""

import re
from collections.abc import Iterator
from typing import Final

import msgspec

from oarlock.diagram.logs import last_index, majorities, term_at
from oarlock.diagram.sentences import CAUSES, rule_sentence
from oarlock.trace.loaded import Trace
from oarlock.trace.schema import WORLD, ConfigurationView, Event, Kind, ServerState, parse_id
from oarlock.trace.state import Replay, states_at

_COMMITTED: Final = re.compile(r"(?:index\s+)?(\d+)(?:\s+committed)?")
_REFUSALS: Final = ("RV-2", "RV-1", "PV-2", "CQ-2", "NS-1")
"""Rules by which a server denies its voice."""
_OVERDUE_US: Final = {"virtual": 100_000, "wall": 1_000_000}
"""So long after a deadline whoever had to act has not; by the run's clock, as clocks of live servers differ."""


class QuestionError(ValueError):
    """A question that is none of those that can be answered; the text says which can."""


class Missing(msgspec.Struct, frozen=True):
    """One thing that was missing."""

    sentence: str
    event_id: str = ""
    """Since when, or by what it is known; empty for what never happened."""
    rule: str = ""
    """The rule that had to act by then, and did not; empty if none is known to."""


class WhyNot(msgspec.Struct, frozen=True):
    """The answer."""

    sentence: str
    missing: list[Missing]


def why_not(trace: Trace, question: str, position: int) -> WhyNot:
    """Say what was missing.

    Args:
        trace: The run.
        question: "leader", or "index 17 committed".
        position: The moment asked about: after this event.

    Raises:
        QuestionError: It is another question.
    """
    asked = question.strip().lower()
    moment = _Moment(trace, position)
    if asked in ("leader", "no leader"):
        return moment.no_leader()
    match = _COMMITTED.fullmatch(asked)
    if match is not None:
        return moment.not_committed(int(match[1]))
    raise QuestionError(f'"{question}": ask "leader" or "index 17 committed"')


class _Moment:
    def __init__(self, trace: Trace, position: int) -> None:
        self._trace = trace
        self._position = position
        self._replay: Replay = states_at(trace, position)
        self._states = self._replay.states
        self._begin = trace.events[0].t if len(trace) else 0

    # -- index N committed -----------------------------------------------------------------------------------------

    def not_committed(self, index: int) -> WhyNot:
        """Why an index is not committed."""
        known = [name for name, state in self._states.items() if state.commit >= index]
        if known:
            return WhyNot(f"Index {index} is committed: {', '.join(sorted(known))} know it.", [])
        leader = leader_among(self._replay)
        if leader is None:
            answer = self.no_leader()
            return WhyNot(f"Index {index} is not committed: {answer.sentence}", answer.missing)
        state = self._states[leader]
        if index > last_index(state):
            return WhyNot(f"Index {index} is not committed: the leader's log ends at {last_index(state)}.", [])
        voters = sorted({*state.conf.voters, *state.conf.outgoing})
        holding = [voter for voter in voters if self._holds(leader, voter, index)]
        needed = _majority(state.conf)
        if majorities(state.conf, holding):
            return self._guarded(leader, index, holding)
        missing = [
            found for voter in voters if voter not in holding for found in self._why_behind(leader, voter, index)
        ]
        return WhyNot(f"Index {index} is not committed: {len(holding)} of the {needed} needed hold it.", missing)

    def _holds(self, leader: str, voter: str, index: int) -> bool:
        state = self._states[leader]
        return (state.durable if voter == leader else state.match.get(voter, 0)) >= index

    def _guarded(self, leader: str, index: int, holding: list[str]) -> WhyNot:
        """A majority holds it, and yet it may not be committed by counting."""
        state = self._states[leader]
        term = term_at(state, index)
        held = f"{', '.join(holding)} hold index {index}"
        if term is not None and term < state.term:
            sentence = (
                f"Index {index} is not committed: {held}, but its term {term} is older than the leader's, "
                f"{state.term}. Counting is allowed only for entries of the leader's own term (L-4, Figure 8)."
            )
            return WhyNot(sentence, [])
        return WhyNot(f"Index {index} is not committed yet: {held}; the leader has not counted since.", [])

    def _why_behind(self, leader: str, voter: str, index: int) -> Iterator[Missing]:
        """What keeps a voter from holding an index."""
        state = self._states[leader]
        if voter == leader:
            yield Missing(f"{voter} itself has it on disk only up to {state.durable}", self._last(voter, Kind.FSYNC))
            return
        match = state.match.get(voter, 0)
        yield Missing(
            f"{voter} has acknowledged up to {match}, {index - match} short", self._acknowledgement(leader, voter)
        )
        yield from self._obstacles(leader, voter)

    # -- leader --------------------------------------------------------------------------------------------------------

    def no_leader(self) -> WhyNot:
        """Why nobody leads."""
        leader = leader_among(self._replay)
        if leader is not None:
            return WhyNot(f"{leader} leads term {self._states[leader].term}.", [])
        missing: list[Missing] = []
        for name in sorted(self._states):
            if name in self._replay.down:
                missing.append(Missing(f"{name} is down", self._last(name, Kind.CRASH)))
                continue
            missing += self._why_no_lead(name)
        return WhyNot("Nobody leads.", list(dict.fromkeys(missing)))

    def _why_no_lead(self, name: str) -> Iterator[Missing]:
        state = self._states[name]
        if state.role == "learner":
            yield Missing(f"{name} only learns, and has no vote")
            return
        if state.role == "follower":
            yield self._waiting(name, state)
            return
        granted = ", ".join(sorted(voter for voter, vote in state.votes.items() if vote)) or "nobody"
        does = f"campaigns for term {state.term} with the votes of {granted}"
        if state.role == "pre_candidate":
            does = f"asks who would vote for it in term {state.term + 1}: {granted} would"
        yield Missing(f"{name} {does}; it needs {_majority(state.conf)}", self._role_since(name))
        for voter in sorted({*state.conf.voters, *state.conf.outgoing} - {name}):
            if state.votes.get(voter) is False:
                yield self._refusal(voter, name)
            elif voter not in state.votes:
                yield from self._obstacles(name, voter)

    def _waiting(self, name: str, state: ServerState) -> Missing:
        """What a follower waits for, or should have done meanwhile."""
        told, since = f"{name} follows in term {state.term}", self._last_contact(name)
        if name not in (*state.conf.voters, *state.conf.outgoing):
            return Missing(f"{told}, without a vote", since)
        if state.timer is None:
            return Missing(told, since)
        at = f"{(state.timer - self._begin) / 1e6:.3f} s"
        overdue = self._trace.events[self._position].t - state.timer
        if overdue > _OVERDUE_US.get(self._trace.header.clock, 0):
            return Missing(f"{told}; its election timer ran out at {at}, and it has not campaigned since", since, "F-2")
        return Missing(f"{told}; its election timer runs out at {at}", since)

    def _refusal(self, voter: str, candidate: str) -> Missing:
        """By which rule a voter refused."""
        for event in self._before(voter):
            if event.src != candidate:
                continue
            for position, rule in enumerate(event.r):
                if rule in _REFUSALS:
                    operands = event.g[position] if position < len(event.g) else ()
                    return Missing(f"{voter} {rule_sentence(rule, operands)} ({rule})", event.id)
        return Missing(f"{voter} refused")

    # -- between two servers -------------------------------------------------------------------------------------------

    def _obstacles(self, source: str, to: str) -> Iterator[Missing]:
        """What stands between two servers, in either direction."""
        if to in self._replay.down:
            yield Missing(f"{to} is down", self._last(to, Kind.CRASH))
        for here, there in ((source, to), (to, source)):
            cut = self._cut_since(here, there)
            if cut:
                yield Missing(f"nothing gets from {here} to {there}", cut)
            else:
                yield from self._last_loss(here, there)

    def _cut_since(self, source: str, to: str) -> str:
        since = ""
        for at in self._trace.lanes.get(WORLD, ()):
            if at > self._position:
                break
            event = self._trace.events[at]
            if event.k is Kind.PART and [source, to] in [list(link) for link in event.x.get("links", ())]:
                since = since or event.id
            elif event.k is Kind.HEAL and (
                "links" not in event.x or [source, to] in [list(x) for x in event.x["links"]]
            ):
                since = ""
        return since

    def _last_loss(self, source: str, to: str) -> Iterator[Missing]:
        """The last message one way, if it was lost."""
        for at in range(self._position, max(-1, self._position - 5000), -1):
            event = self._trace.events[at]
            if event.k is Kind.RECV and event.src == source and parse_id(event.id).lane == to:
                return
            if event.k is Kind.DROP and (event.src, event.to) == (source, to):
                cause = CAUSES.get(event.cause, event.cause)
                yield Missing(f"the last message from {source} to {to} was {cause}", event.id)
                return

    # -- looking back --------------------------------------------------------------------------------------------------

    def _before(self, lane: str) -> Iterator[Event]:
        """A lane's events, latest first, from the moment asked about."""
        for at in reversed(self._trace.lanes.get(lane, ())):
            if at <= self._position:
                yield self._trace.events[at]

    def _last(self, lane: str, kind: Kind) -> str:
        return next((event.id for event in self._before(lane) if event.k is kind), "")

    def _role_since(self, lane: str) -> str:
        return next((event.id for event in self._before(lane) if event.w is not None and event.w.role), "")

    def _last_contact(self, lane: str) -> str:
        return next((event.id for event in self._before(lane) if "F-1" in event.r or "RV-2" in event.r), "")

    def _acknowledgement(self, leader: str, voter: str) -> str:
        for event in self._before(leader):
            if event.w is not None and event.w.match is not None and voter in event.w.match:
                return event.id
        return ""


def leader_among(replay: Replay) -> str | None:
    """The leader of the highest term that is up."""
    leading = [
        (state.term, name)
        for name, state in replay.states.items()
        if state.role == "leader" and name not in replay.down
    ]
    return max(leading)[1] if leading else None


def _majority(conf: ConfigurationView) -> int:
    """How many of the larger half are needed."""
    return max(len(conf.voters), len(conf.outgoing)) // 2 + 1
