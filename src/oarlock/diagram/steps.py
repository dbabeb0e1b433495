"""Single steps of servers, judged against their own state before: votes, appends, deletions, and what never falls."""

from typing import Any, Final

import msgspec

from oarlock.diagram.faults import RULE_OF
from oarlock.diagram.logs import in_words, last_index, last_term, term_at
from oarlock.trace.loaded import Trace
from oarlock.trace.schema import Delta, Event, Kind, ServerState

_REFUSALS: Final = frozenset({"NotLeader", "Overloaded", "MembershipRefused"})
"""Errors by which a core refuses what is asked of it."""
_DEAF: Final = frozenset({"CQ-2", "RS-1", "NS-1", "MC-8"})
"""Rules by which a message is ignored, its term too."""
_FORWARDED: Final = frozenset({"ForwardReply"})
"""Messages that the core does not see if they come too late."""
TERMLESS: Final = frozenset({"PreVote", "PreVoteReply"})
"""Messages whose term is only asked about."""


class Deviation(msgspec.Struct, frozen=True):
    """A step that the rules do not allow."""

    kind: str
    """Short name of what was done."""
    property: str
    """The property that it breaks, or leads to the fall of."""
    event_id: str
    sentence: str
    """What was done, with its subject and without a full stop."""
    witnesses: tuple[str, ...] = ()
    """Events that it contradicts."""

    rule: str = ""
    """The rule that the step goes against; empty if it shows only that something went wrong before."""


class Steps:
    """Judges one event after the other; knows of a server only its state and its message."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._found: list[Deviation] = []
        self._event: Event
        self._lane = ""
        self._votes: dict[tuple[str, int], tuple[str, str]] = {}
        """By voter and term: for whom, and the event."""

    def _add(self, kind: str, property_: str, sentence: str, *witnesses: str) -> None:
        shown = tuple(each for each in witnesses if each)
        self._found.append(Deviation(kind, property_, self._event.id, sentence, shown, RULE_OF.get(kind, "")))

    def _message(self) -> dict[str, Any]:
        """The fields of the message that the event received; empty if it is none, or not in the trace."""
        event = self._event
        if event.k is not Kind.RECV:
            return {}
        sent = self._trace.find(event.m) if event.m and not event.x else None
        return sent.x if sent is not None else event.x

    def _check_step(self, event: Event, state: ServerState) -> None:
        message = self._message()
        delta = event.w
        if message:
            self._check_message(message, state, delta)
        if delta is not None:
            self._check_falls(state, delta)
            if delta.log is not None and delta.log.trunc:
                self._check_cut(delta.log.trunc, message, state, delta)
        self._check_guards(event, state, message)
        error = str(event.x.get("error", "")).partition(":")[0] if event.k is not Kind.CRASH else ""
        if error and error not in _REFUSALS:
            told = f"{self._lane} found itself where no server can be: {event.x['error']}"
            self._add("raised", "no call raises", told)

    def _check_guards(self, event: Event, state: ServerState, message: dict[str, Any]) -> None:
        """What rules that acted rest on; see `guards`."""

    def _check_message(self, message: dict[str, Any], state: ServerState, delta: Delta | None) -> None:
        kind, term = message.get("type"), int(message.get("term", 0))
        if kind == "RequestVote":
            self._check_vote(message, term, state, delta)
        elif kind in ("AppendEntries", "InstallSnapshot"):
            if term < state.term and delta is not None and delta.timer is not None:
                told = f"{self._lane}, in term {state.term}, let {self._event.src}, which leads the old term {term}, "
                kind_ = "timer-for-old-leader" if kind == "AppendEntries" else "timer-for-old-snapshot"
                self._add(kind_, "leader in time", f"{told}set its election timer anew")
            if kind == "AppendEntries" and delta is not None:
                self._check_append(message, term, state, delta)
        reached = delta.term[1] or 0 if delta is not None and delta.term is not None else state.term
        is_heard = not _DEAF.intersection(self._event.r) and (kind not in _FORWARDED or bool(self._event.r))
        if term > reached and kind not in TERMLESS and is_heard:
            told = f"{self._lane} heard of term {term} and stayed in term {reached}"
            self._add("newer-term-ignored", "leader in time", told)

    def _check_vote(self, message: dict[str, Any], term: int, state: ServerState, delta: Delta | None) -> None:
        event, lane = self._event, self._lane
        vote = delta.vote[1] if delta is not None and delta.vote is not None else None
        granted = vote == event.src or any(
            rule == "RV-2" and guards[-1:] == (True,) for rule, guards in zip(event.r, event.g, strict=False)
        )
        theirs = (int(message.get("last_log_term", 0)), int(message.get("last_log_index", 0)))
        ours = (last_term(state), last_index(state))
        if granted and term < state.term:
            told = f"{lane}, in term {state.term} already, gave {event.src} its vote for the older term {term}"
            self._add("voted-in-older-term", "election safety", told)
        elif granted and theirs < ours:
            told = (
                f"{lane}, whose log ends at index {ours[1]} of term {ours[0]}, voted for {event.src}, whose log ends "
            )
            self._add("voted-for-older-log", "leader completeness", f"{told}at index {theirs[1]} of term {theirs[0]}")
        elif (
            not granted
            and delta is not None
            and delta.timer is not None
            and delta.role is None
            and state.role == "follower"
        ):
            told = f"{lane} gave {event.src} no vote, and set its election timer anew all the same"
            self._add("timer-without-vote", "leader in time", told)

    def _check_append(self, message: dict[str, Any], term: int, state: ServerState, delta: Delta) -> None:
        lane = self._lane
        entries = message.get("entries") or ()
        previous, previous_term = int(message.get("prev_log_index", 0)), int(message.get("prev_log_term", 0))
        appended = delta.log.app if delta.log is not None else ()
        if appended and term < state.term:
            told = (
                f"{lane}, in term {state.term}, appended entries of {self._event.src}, which leads the old term {term}"
            )
            self._add("obeyed-old-leader", "log matching", told)
        held = term_at(state, previous)
        if appended and previous > state.base[0] and held != previous_term:
            told = f"{lane} appended entries that follow index {previous} of term {previous_term}, where it holds "
            self._add("appended-on-mismatch", "log matching", told + in_words(held))
        vouched = previous + len(entries)
        if delta.commit is not None and (delta.commit[1] or 0) > vouched and not _entries_are_older(delta):
            told = (
                f"{lane} took index {delta.commit[1]} for committed from a message that vouches only for its log up to "
            )
            self._add("committed-unverified", "committed entries never change", f"{told}index {vouched}")

    def _check_falls(self, state: ServerState, delta: Delta) -> None:
        lane = self._lane
        if delta.term is not None and (delta.term[1] or 0) < state.term:
            self._add("term-fell", "monotone term", f"{lane} went back from term {state.term} to term {delta.term[1]}")
        elif delta.term is None and delta.vote is not None and delta.vote[0] is not None:
            told = f"{lane} had voted for {delta.vote[0]} in term {state.term}, and "
            what = "forgot that" if delta.vote[1] is None else f"changed its vote to {delta.vote[1]}"
            _, event_id = self._votes.get((lane, state.term), ("", ""))
            self._add(
                "forgot-vote" if delta.vote[1] is None else "changed-vote",
                "one vote a term",
                f"{told}{what} within the term",
                event_id,
            )
        if delta.commit is not None and (delta.commit[1] or 0) < state.commit:
            told = f"{lane} took everything up to {state.commit} for committed, and then only up to {delta.commit[1]}"
            self._add("commit-fell", "monotone commit_index", told)
        if delta.applied is not None and (delta.applied[1] or 0) < state.applied:
            told = f"{lane} had applied up to {state.applied}, and then stood at {delta.applied[1]}"
            self._add("applied-fell", "monotone applied_index", told)
        if (
            state.role == "leader"
            and delta.role is None
            and not {"DL-1", "MC-9", "NS-1", "NS-3"}.intersection(self._event.r)
        ):
            for peer, (old, new) in (delta.match or {}).items():
                if old is not None and new is not None and new < old:
                    told = f"{lane} knew that {peer} holds its log up to {old}, and then only up to {new}"
                    self._add("match-fell", "monotone match_index", told)

    def _check_cut(self, first: int, message: dict[str, Any], state: ServerState, delta: Delta) -> None:
        """Deleting entries: only on a real conflict, never what is committed, never by a leader."""
        lane = self._lane
        incoming = next((int(row[1]) for row in message.get("entries") or () if int(row[0]) == first), None)
        held = term_at(state, first)
        if first <= state.commit:
            told = f"{lane} deleted its log from index {first} on, though it took everything up to {state.commit} for "
            self._add("cut-committed", "committed entries never change", f"{told}committed")
        elif state.role == "leader" and delta.role is None:
            self._add("leader-cut", "leader append-only", f"{lane} deleted its log from index {first} on while leading")
        elif held is not None and incoming == held:
            told = (
                f"{lane} deleted its log from index {first} on, though its entry there has term {held}, as the leader's"
            )
            self._add("cut-without-conflict", "nothing promised before it is durable", told)


def _entries_are_older(delta: Delta) -> bool:
    """Whether a commit index rose by something else than the message's entries: a snapshot taken in between."""
    return delta.log is not None and delta.log.base is not None
