"""Near-misses: guards that refused something from which harm would have come, in a run in which none did.

A rule that says no is seldom noticed, and is what the algorithm is made of. `page/nearmiss.js` finds the same; a test
compares the two.
"""

from typing import Any, Final

import msgspec

from oarlock.diagram.disks import Disks
from oarlock.diagram.logs import last_index, last_term, term_at
from oarlock.diagram.sentences import rule_sentence
from oarlock.diagram.sights import Seen, Sights
from oarlock.trace.flows import FLOWS
from oarlock.trace.loaded import Trace
from oarlock.trace.schema import WORLD, ConfigurationView, Event, Kind, ServerState, parse_id
from oarlock.trace.state import Replay

MAX_FOUND: Final = 10_000


class NearMiss(msgspec.Struct, frozen=True):
    """A guard that held."""

    event_id: str
    rule: str
    property: str
    """What it kept from falling."""
    sentence: str
    """What was refused, and by whom."""
    harm: str
    """What would have come of it."""
    is_close: bool
    """Whether everything else for the harm was there: then it was not only right to refuse, it was needed."""


def near_misses(trace: Trace) -> list[NearMiss]:
    """Find every guard that refused something, in the order of the run; `MAX_FOUND` at most."""
    return _Search(trace).run()


class _Search:
    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._replay = Replay()
        self._disks = Disks()
        self._sights = Sights(trace.header)
        self._found: list[NearMiss] = []
        self._event: Event
        self._lane = ""
        self._leaders = _leaders(trace)
        self._committed: tuple[int, int] = (0, 0)
        """The highest index that is committed anywhere, and its term."""
        self._guarded: set[tuple[str, int, int]] = set()
        """Leader, term and index of which it was said already that they are only counted."""

    def run(self) -> list[NearMiss]:
        for event in self._trace.events:
            self._event, self._lane = event, parse_id(event.id).lane
            if self._sights.take(event) is not Seen.NEXT:
                self._replay.states.pop(self._lane, None)
                self._disks.forget(self._lane)
            before = self._replay.states.get(self._lane) if self._lane != WORLD else None
            if before is not None:
                self._look(event, before)
            self._replay.apply(event)
            after = self._replay.states.get(self._lane)
            if after is not None:
                self._disks.follow(self._lane, event, after)
                if event.w is not None:
                    self._note(event, after)
            if len(self._found) >= MAX_FOUND:
                break
        return self._found[:MAX_FOUND]

    def _note(self, event: Event, state: ServerState) -> None:
        delta = event.w
        assert delta is not None  # noqa: S101 - looked at before
        if delta.commit is not None and state.commit > self._committed[0]:
            self._committed = (state.commit, term_at(state, state.commit) or 0)
        if state.role == "leader" and (delta.match is not None or delta.durable is not None):
            self._look_at_count(state)

    def _add(self, rule: str, property_: str, sentence: str, harm: str, *, close: bool) -> None:
        self._found.append(NearMiss(self._event.id, rule, property_, sentence, harm, close))

    def _look(self, event: Event, state: ServerState) -> None:
        if event.k is Kind.RESTART:
            self._look_at_loss(event, state)
        for position, rule in enumerate(event.r):
            guards = event.g[position] if position < len(event.g) else ()
            names = FLOWS[rule].operands if rule in FLOWS else ()
            self._look_at(rule, dict(zip(names, guards, strict=False)), guards, state)

    def _look_at(self, rule: str, named: dict[str, Any], guards: tuple[Any, ...], state: ServerState) -> None:
        told = f"{self._lane} {rule_sentence(rule, guards)}"
        source, term = self._event.src, state.term
        match rule:
            case "RV-2" if named.get("granted") is False:
                self._refused_vote(told, named, max(term, int(self._message().get("term", 0))), state)
            case "RV-1":
                harm = f"{source} could have won a term that is over, beside whoever led it"
                self._add(rule, "election safety", told, harm, close=int(named.get("term") or 0) in self._leaders)
            case "AE-1" | "IS-1":
                harm = f"entries of {source}, which was replaced, would have reached a log that has moved on"
                close = rule == "IS-1" or bool(self._message().get("entries"))
                self._add(rule, "log matching", told, harm, close=close)
            case "AE-2":
                held = named.get("held_term")
                what = "on top of an entry of another history" if held is not None else "with a gap before them"
                harm = f"entries {what} would have broken what one agreement says of all before it"
                self._add(rule, "log matching", told, harm, close=held is not None)
            case "AE-5" if int(named.get("leader_commit") or 0) > int(named.get("last_new_index") or 0):
                verified = int(named.get("last_new_index") or 0)
                harm = f"what {self._lane} holds after index {verified} would have been taken for committed unchecked"
                close = last_index(state) > verified
                self._add(rule, "committed entries never change", told, harm, close=close)
            case "IS-5" if int(named.get("last_included_index") or 0) <= int(named.get("commit_index") or 0):
                harm = "a snapshot from before would have turned the state machine back"
                self._add(rule, "monotone applied_index", told, harm, close=True)
            case "NS-1":
                harm = f"a disk that has forgotten what {source} promised would have counted towards a majority"
                self._add(rule, "committed on a durable quorum", told, harm, close=True)
            case "CL-Q2":
                harm = "a new leader that does not know how far its log is committed would have answered from behind"
                self._add(rule, "reads are linearizable", told, harm, close=self._committed[0] > state.commit)
            case "CL-Q4" if named.get("confirmed") is False:
                harm = "a leader that was replaced without knowing would have answered with what has changed since"
                self._add(rule, "reads are linearizable", told, harm, close=self._is_replaced(state))
            case "CQ-1":
                harm = f"{self._lane}, cut off, would have gone on taking commands that it cannot commit"
                self._add(rule, "leadership settles", told, harm, close=self._is_replaced(state))
            case "CQ-2":
                harm = f"{source} would have deposed a leader that does well"
                self._add(rule, "leadership settles", told, harm, close=False)
            case "PV-2" if named.get("granted") is False:
                harm = f"{source} would have raised its term in vain, and with it deposed whoever leads"
                self._add(rule, "leadership settles", told, harm, close=False)
            case "MC-3" | "MC-4":
                harm = "two changes of members under way at once can elect and commit apart from each other"
                self._add(rule, "one change at a time", told, harm, close=rule == "MC-4")
            case "RS-1" if self._is_old_acknowledgement(state):
                harm = f"an acknowledgement of an older term would have counted for what {self._lane} sends now"
                self._add(rule, "committed on a durable quorum", told, harm, close=state.role == "leader")

    def _refused_vote(self, told: str, named: dict[str, Any], term: int, state: ServerState) -> None:
        candidate, voted_for = self._event.src, named.get("voted_for")
        message = self._message()
        theirs = (int(message.get("last_log_term", 0)), int(message.get("last_log_index", 0)))
        if theirs < (last_term(state), last_index(state)):
            index, of_term = self._committed
            lacks = index > 0 and theirs < (of_term, index)
            harm = f"{candidate} could have led without entries that {self._lane} holds"
            if lacks:
                harm = f"{candidate} could have led without index {index}, which is committed"
            self._add("RV-2", "leader completeness", told, harm, close=lacks)
        elif voted_for is not None and voted_for != candidate:
            harm = f"{candidate} and {voted_for} could both have won term {term}"
            self._add("RV-2", "election safety", told, harm, close=self._leaders.get(term) not in (None, candidate))

    def _look_at_count(self, state: ServerState) -> None:
        """The guard that no event tells of: an entry of an older term on a majority is not committed by counting."""
        index = _on_majority(self._lane, state)
        term = term_at(state, index)
        key = (self._lane, state.term, index)
        if index <= state.commit or term is None or term >= state.term or key in self._guarded:
            return
        self._guarded.add(key)
        told = f"{self._lane} did not commit index {index} of term {term}, though a majority holds it: it leads term "
        harm = "a server with a newer entry in its place could still win and overwrite it (Figure 8)"
        self._add("L-4", "only the current term is committed", f"{told}{state.term}", harm, close=True)

    def _look_at_loss(self, event: Event, state: ServerState) -> None:
        """A crash that took what nobody had been told of, since it was not on disk yet."""
        began, disk = event.s, self._disks.of(self._lane)
        if began is None or disk is None:
            return
        if (began.term, began.vote) != (disk.term, disk.vote) or last_index(began) < disk.last:
            return  # the disk has lied: others may well have been told
        lost = []
        if (began.term, began.vote) != (state.term, state.vote):
            lost.append(f"term {state.term}" + (f" and its vote for {state.vote}" if state.vote is not None else ""))
        if last_index(began) < last_index(state):
            lost.append(f"its log from {last_index(began) + 1} to {last_index(state)}")
        if lost:
            told = f"{self._lane} had {' and '.join(lost)} in memory alone when it crashed, and had told nobody"
            harm = "others would have counted on what this server has forgotten"
            self._add("P-1", "nothing promised before it is durable", told, harm, close=True)

    def _message(self) -> dict[str, Any]:
        event = self._event
        sent = self._trace.find(event.m) if event.m and not event.x else None
        return sent.x if sent is not None else event.x

    def _is_old_acknowledgement(self, state: ServerState) -> bool:
        message = self._message()
        is_acknowledgement = message.get("type") == "AppendEntriesReply" and bool(message.get("success"))
        return is_acknowledgement and int(message.get("term", 0)) < state.term

    def _is_replaced(self, state: ServerState) -> bool:
        """Whether another server leads a later term by now."""
        others = self._replay.states.items()
        return any(other.role == "leader" and other.term > state.term for lane, other in others if lane != self._lane)


def _leaders(trace: Trace) -> dict[int, str]:
    """Who came to lead each term, in all of the run."""
    found: dict[int, str] = {}
    replay = Replay()
    for event in trace.events:
        replay.apply(event)
        if event.w is not None and event.w.role is not None and event.w.role[1] == "leader":
            lane = parse_id(event.id).lane
            found.setdefault(replay.states[lane].term, lane)
    return found


def _on_majority(lane: str, state: ServerState) -> int:
    """The highest index that a majority holds; while joint, of both halves."""
    return min(_held(lane, state, half) for half in _halves(state.conf)) if state.conf.voters else 0


def _halves(conf: ConfigurationView) -> list[tuple[str, ...]]:
    return [half for half in (conf.voters, conf.outgoing) if half]


def _held(lane: str, state: ServerState, half: tuple[str, ...]) -> int:
    held = sorted((state.durable if voter == lane else state.match.get(voter, 0) for voter in half), reverse=True)
    return held[len(half) // 2]
