"""The rules that acted in a step, judged anew from message and state: should they have, and did they do their part?

`page/guards.js` does the same; a test compares the two.
"""

from collections.abc import Iterator
from typing import Any, Final

from oarlock.diagram.logs import in_words, last_index, last_term, term_at
from oarlock.diagram.steps import Steps
from oarlock.trace.loaded import Trace
from oarlock.trace.schema import ConfigurationView, Delta, Event, Kind, ServerState

_LEADER: Final = "leader in time"
_LAGGARDS: Final = "laggards catch up"
_ASLEEP: Final = frozenset({"F-2", "C-4", "PV-1", "MC-8", "NS-1"})
"""What a server that is no leader does, or says, when its election timer has run out."""
_NUMBERED: Final = ("AppendEntries", "RequestVote", "PreVote")
"""Requests whose ids rise within a life."""
_FIRST: Final = frozenset({"RV-2", "F-1", "AE-4", "AE-5", "IS-2", "IS-3"})
"""What must wait until a message's term is adopted."""


def acts_of(event: Event) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Rules that acted, with operands."""
    for position, rule in enumerate(event.r):
        yield rule, event.g[position] if position < len(event.g) else ()


class Guards(Steps):
    """Judges what the rules that acted rest on, and what they had to bring about."""

    def __init__(self, trace: Trace) -> None:
        super().__init__(trace)
        self._chunks: dict[str, dict[int, tuple[bool, int]]] = {}
        """By receiver, then by snapshot: whether more is to come after the last part received, and its offset."""
        self._asked_for: dict[str, dict[tuple[str, int], int]] = {}
        """By leader, then by follower and snapshot: the offset that the follower asked for last."""
        self._newest: dict[str, int] = {}
        """By server: the highest id of a request of this life to others."""

    def _check_guards(self, event: Event, state: ServerState, message: dict[str, Any]) -> None:
        delta = event.w if event.w is not None else Delta()
        acts = dict(acts_of(event))
        kind = message.get("type")
        if event.k is Kind.RESTART:
            self._newest.pop(self._lane, None)
        if "IS-0" in acts or delta.role is not None:
            self._asked_for.pop(self._lane, None)  # it begins again
        if event.k is Kind.RECV and kind is None:  # it may have been a part of a snapshot, or have asked for one
            self._chunks.pop(self._lane, None)
            self._asked_for.pop(self._lane, None)
        if kind in ("InstallSnapshot", "InstallSnapshotReply"):
            self._check_chunk(event, message)
        elif event.k is Kind.SEND and event.x.get("type") == "InstallSnapshot":
            self._check_chunk(event, event.x)
        if kind in ("AppendEntries", "InstallSnapshot", "RequestVote"):
            self._check_refusal(str(kind), int(message.get("term", 0)), acts, state)
        if kind == "InstallSnapshot" and "F-1" in acts and not {"IS-3", "IS-5"}.intersection(acts):
            told = f"{self._lane}, committed up to {state.commit}, did not take {event.src}'s snapshot up to "
            self._add("ignored-snapshot", _LAGGARDS, f"{told}{message['metadata'][0]}")
        if kind == "AppendEntries" and "F-1" in acts:
            self._check_taking(message, acts, state, delta)
        if ("RV-2" in acts or "PV-2" in acts) and kind is not None:  # else what was asked is not in the trace
            self._check_voter(message, acts, state)
        if kind in ("AppendEntriesReply", "PreVoteReply"):
            self._check_reply(message, acts, state, delta)
        if "C-1" in acts:
            self._check_campaign(event, state, delta)
        if delta.term is not None and "C-1" not in acts:
            self._check_adoption(event, state, delta)
        self._check_ends(event, acts, state, delta)
        self._check_reading(event, acts, state, delta)

    def _check_refusal(self, kind: str, term: int, acts: dict[str, Any], state: ServerState) -> None:
        """Only what is of an older term may be refused for its term."""
        rule = {"AppendEntries": "AE-1", "InstallSnapshot": "IS-1", "RequestVote": "RV-1"}[kind]
        if rule not in acts or term < state.term:
            return
        told = f"{self._lane}, {state.role} of term {state.term}, refused a message of {self._event.src} as outdated, "
        if kind != "RequestVote" and state.role != "follower":
            self._add("did-not-follow", _LEADER, f"{told}which leads term {term}: it had to follow")
        else:
            self._add("refused-current-term", _LEADER, f"{told}whose term is {term}")

    def _check_taking(self, message: dict[str, Any], acts: dict[str, Any], state: ServerState, delta: Delta) -> None:
        """AppendEntries of a leader that is current: what it follows must match, or be refused; the rest be taken."""
        lane, src = self._lane, self._event.src
        previous, previous_term = int(message.get("prev_log_index", 0)), int(message.get("prev_log_term", 0))
        held, rows = term_at(state, previous), message.get("entries") or ()
        after = f"entries that follow index {previous} of term {previous_term}"
        if "AE-2" in acts:
            if previous < state.base[0]:
                told = f"{lane} refused {after}, though its snapshot up to {state.base[0]} covers that"
                self._add("refused-below-base", _LAGGARDS, told)
            elif held == previous_term:
                self._add("refused-matching", _LAGGARDS, f"{lane} refused {after}, which is what it holds there")
            return
        appended = delta.log.app if delta.log is not None else ()
        if previous >= state.base[0] and held != previous_term and not appended:
            told = f"{lane} agreed to a message of {src} about {after}, where it holds {in_words(held)}"
            self._add("agreed-on-mismatch", "log matching", told)
        vouched = previous + len(rows)
        owed = min(int(message.get("leader_commit", 0)), vouched)
        commit = delta.commit[1] or 0 if delta.commit is not None else state.commit
        if commit < owed and "error" not in self._event.x:
            told = f"{lane} heard from {src} that its log up to {owed} is committed, and took only {commit} for it"
            self._add("commit-not-raised", "followers apply promptly", told)
        if "AE-4" in acts and "AE-3" not in acts:
            first = int(acts["AE-4"][0])
            sent = next((int(row[1]) for row in rows if int(row[0]) == first), None)
            if sent is not None and term_at(state, first) == sent:
                told = f"{lane} wrote its log anew from index {first} on, though it held that entry of term {sent} "
                self._add("rewrote-held", "log matching", f"{told}already: what followed it is lost")
        if "AE-3" not in acts and "error" not in self._event.x:
            for row in rows:
                index, term, there = int(row[0]), int(row[1]), term_at(state, int(row[0]))
                if index > state.base[0] and there is not None and there != term:
                    told = f"{lane} kept {in_words(there)} at index {index}, where its leader {src} sent one of term "
                    self._add("kept-conflict", "log matching", f"{told}{term}")
                    break

    def _check_voter(self, message: dict[str, Any], acts: dict[str, Any], state: ServerState) -> None:
        """Votes and pre-votes: by the own log as it is, and not refused without a reason."""
        lane, src = self._lane, self._event.src
        ours = (last_term(state), last_index(state))
        theirs = (int(message.get("last_log_term", 0)), int(message.get("last_log_index", 0)))
        is_pre = "PV-2" in acts
        operands = acts["PV-2" if is_pre else "RV-2"]
        if len(operands) < (6 if is_pre else 4):
            return
        judged, granted = tuple(operands[3 if is_pre else 2]), bool(operands[-1])
        logs = f"whose log ends at index {theirs[1]} of term {theirs[0]}"
        if judged != ours:
            told = (
                f"{lane} compared {src}'s log with one that ends at index {judged[1]} of term {judged[0]}, but its own "
            )
            self._add("misread-own-log", "leader completeness", f"{told}ends at index {ours[1]} of term {ours[0]}")
        elif is_pre:
            self._check_pre_vote(operands, theirs, ours, logs, state)
        elif not granted and theirs >= ours and ("ALL-2" in acts or state.vote in (None, src)):
            if operands[0] in (None, src):
                told = (
                    f"{lane} refused its vote to {src}, {logs}, though its own log is no longer and its vote was free"
                )
                self._add("refused-vote", _LEADER, told)
            else:
                told = f"{lane}, which has just learnt of term {message.get('term')}, refused its vote for the sake of "
                self._add("vote-outlived-term", _LEADER, f"{told}the one for {operands[0]} in term {state.term}")

    def _check_pre_vote(
        self, operands: tuple[Any, ...], theirs: tuple[int, int], ours: tuple[int, int], logs: str, state: ServerState
    ) -> None:
        lane, src, term = self._lane, self._event.src, int(operands[1])
        is_live, granted = bool(operands[4]), bool(operands[5])
        is_heard = is_live and src != state.leader
        if granted and theirs < ours:
            told = f"{lane}, whose log ends at index {ours[1]} of term {ours[0]}, would vote for {src}, {logs}"
            self._add("pre-voted-for-older-log", "leader completeness", told)
        elif granted and term <= state.term:
            told = f"{lane}, in term {state.term}, would vote for {src} in term {term}, which has begun already"
            self._add("pre-voted-in-older-term", "who cannot win raises no term", told)
        elif granted and is_heard:
            told = f"{lane} would vote for {src}, though it hears its leader {state.leader}"
            self._add("pre-voted-against-leader", "a leader is not deposed without need", told)
        elif not granted and theirs >= ours and term > state.term and not is_heard:
            told = f"{lane} would not vote for {src} in term {term}, {logs}, though nothing speaks against it"
            self._add("refused-pre-vote", _LEADER, told)

    def _check_reply(self, message: dict[str, Any], acts: dict[str, Any], state: ServerState, delta: Delta) -> None:
        """What a leader concludes from a reply, and what a server learns from one that refuses."""
        lane, src, term = self._lane, self._event.src, int(message.get("term", 0))
        if message.get("type") == "PreVoteReply":
            reached = delta.term[1] or 0 if delta.term is not None else state.term
            if term > reached and not message.get("vote_granted"):
                told = f"{lane} heard of term {term} in {src}'s refusal and stayed in term {reached}"
                self._add("refusal-taught-nothing", _LEADER, told)
            return
        old, new = (delta.match or {}).get(src, (None, None))
        said = int(message.get("match_index", 0))
        if "L-3a" in acts and new is not None and new > max(said, old or 0):
            told = f"{lane} took {src} to hold its log up to {new}, of whom it heard only {said}"
            self._add("match-beyond-reply", "match_index is durable", told)
        if "L-3b" in acts and delta.role is None:
            following = (delta.next or {}).get(src, (None, state.next.get(src)))[1]
            refused = int(message.get("prev_log_index", 0))
            if following is not None and following > max(refused, state.match.get(src, 0) + 1):
                told = f"{lane} was refused by {src} at index {refused}, and goes on from {following} all the same"
                self._add("did-not-step-back", _LAGGARDS, told)

    def _check_campaign(self, event: Event, state: ServerState, delta: Delta) -> None:
        """A campaign has four parts: a new term, a vote for oneself, a new timeout, and all are asked."""
        lane, acts = self._lane, dict(acts_of(event))
        before = state.term if delta.term is None or "ALL-2" not in acts else int(acts["C-1"][0])
        if state.role == "leader" and "ALL-2" not in acts:
            self._add(
                "campaigned-as-leader", "election safety", f"{lane} campaigned, though it leads term {state.term}"
            )
        term = delta.term[1] or 0 if delta.term is not None else state.term
        if term <= before:
            told = f"{lane} campaigned in term {term}, which had begun before: its new term had to be {before + 1}"
            self._add("campaigned-in-old-term", "election safety", told)
        vote = delta.vote[1] if delta.vote is not None else state.vote
        if vote != lane:
            self._add("no-own-vote", "one vote a term", f"{lane} campaigned without voting for itself")
        if delta.role is not None and delta.role[1] == "leader":
            return
        if delta.timer is None:
            self._add("timer-not-reset", _LEADER, f"{lane} campaigned without setting its election timer anew")
        asked = {str(operands[0]) for rule, operands in acts_of(event) if rule == "C-1d"}
        missing = sorted(_others(state.conf, lane) - asked)
        if missing:
            told = f"{lane} campaigned, and did not ask {', '.join(missing)} for a vote"
            self._add("asked-too-few", _LEADER, told)

    def _check_adoption(self, event: Event, state: ServerState, delta: Delta) -> None:
        """A newer term comes before everything else in its message, and without a vote."""
        lane = self._lane
        term = delta.term[1] if delta.term is not None else None
        if event.k is Kind.RECV and "ALL-2" in event.r:
            early = [rule for rule in event.r[: event.r.index("ALL-2")] if rule in _FIRST]
            if early:
                told = (
                    f"{lane} acted upon a message of term {term} ({', '.join(early)}) while still in term {state.term}"
                )
                self._add("adopted-late", "election safety", told)
        granted = any(rule in ("RV-2", "C-1b") for rule in event.r)
        if state.vote is not None and delta.vote is None and not granted:
            told = f"{lane} came to term {term} and kept its vote for {state.vote}, which it gave in term {state.term}"
            self._add("vote-outlived-term", _LEADER, told)

    def _check_ends(self, event: Event, acts: dict[str, Any], state: ServerState, delta: Delta) -> None:
        """What is handed to the machine, deadlines, snapshots and changes of members."""
        lane = self._lane
        if "ALL-1" in acts:
            first = int(acts["ALL-1"][0])
            if first != state.handed + 1:
                told = f"{lane} handed entries from index {first} on to its state machine, which had all up to "
                self._add("handed-out-of-order", "applied in order, once", f"{told}{state.handed}")
            elif (state.handed if delta.handed is None else delta.handed[1]) != int(acts["ALL-1"][1]):
                told = f"{lane} handed entries up to {acts['ALL-1'][1]} to its state machine, and forgot that it has"
                self._add("handed-unnoted", "applied in order, once", told)
        if "VL-1" in acts and int(acts["VL-1"][0]) != last_index(state) + 1:
            told = f"{lane}, newly elected, would send from index {acts['VL-1'][0]} on, though its log ends at "
            self._add("next-elsewhere", _LAGGARDS, f"{told}{last_index(state)}")
        if "MC-6" in acts and (delta.log is None or not delta.log.app) and "MC-7" not in acts:
            told = f"{lane} saw the joint configuration committed, and appended none to leave it"
            self._add("joint-not-left", "changes of members end", told)
        is_due = event.k is Kind.TIMER and state.role != "leader" and state.timer is not None and event.t >= state.timer
        if is_due and delta.timer is not None and not _ASLEEP.intersection(event.r) and self._is_ready():
            told = f"{lane}, {state.role} of term {state.term}, let its election timeout pass without campaigning"
            self._add("slept-as-candidate" if state.role == "candidate" else "slept-on", _LEADER, told)
        self._check_snapshot(acts, state, delta)

    def _check_snapshot(self, acts: dict[str, Any], state: ServerState, delta: Delta) -> None:
        lane = self._lane
        if delta.log is not None and delta.log.base is not None:
            index, term = delta.log.base
            held = term_at(state, index)
            if "IS-7" in acts and held == term:
                told = (
                    f"{lane} discarded its log for a snapshot up to {index}, whose last entry it held: what followed "
                )
                self._add("dropped-agreeing-log", "durability", f"{told}it is lost")
            elif "IS-6" in acts and held != term:
                told = (
                    f"{lane} kept its log after a snapshot up to {index} of term {term}, where it held {in_words(held)}"
                )
                self._add("kept-another-history", "log matching", told)
        if "IS-2" in acts and int(acts["IS-2"][0]) <= state.commit:
            told = f"{lane}, committed up to {state.commit}, took a snapshot that ends at {acts['IS-2'][0]}"
            self._add("took-older-snapshot", "monotone applied_index", told)
        is_more, offset = self._chunks.get(lane, {}).get(int(self._event.x.get("index", 0)), (False, 0))
        if "IS-8" in acts and self._event.k is Kind.SNAPSHOT and is_more:
            told = f"{lane} installed a snapshot of which it has only what begins at offset {offset}: more was to come"
            self._add("installed-in-part", "a snapshot is whole when it is installed", told)

    def _check_chunk(self, event: Event, message: dict[str, Any]) -> None:
        """Parts of snapshots, sent and received: each where the receiver asked for it."""
        kind, offset = message.get("type"), int(message.get("offset", 0))
        if kind == "InstallSnapshot":
            index = int(message["metadata"][0])
            if event.k is Kind.RECV:
                self._chunks.setdefault(self._lane, {})[index] = (not message.get("done"), offset)
            elif offset < (asked := self._asked_for.get(self._lane, {}).get((event.to, index), 0)):
                told = (
                    f"{self._lane} sent {event.to} the part of its snapshot at offset {offset}, though {event.to} has "
                )
                self._add("sent-old-part", "laggards catch up", f"{told}that and asked for the one at {asked}")
        elif event.k is Kind.RECV and "RS-1" not in event.r and not message.get("done"):
            place = (event.src, int(message.get("last_included_index", 0)))
            self._asked_for.setdefault(self._lane, {})[place] = int(message.get("next_offset", 0))

    def _check_reading(self, event: Event, acts: dict[str, Any], state: ServerState, delta: Delta) -> None:
        """Reads: who may take them, from when on, and what confirms them."""
        lane, name = self._lane, "reads are linearizable"
        sent = str(event.x.get("type", "")) if event.k is Kind.SEND else ""
        if sent == "ReadIndexReply" and state.role != "leader" and int(event.x.get("term", 0)) == state.term:
            if int(event.x.get("read_index", 0)):
                told = f"{lane}, {state.role} of term {state.term}, told {event.to} to read at {event.x['read_index']}"
                self._add("answered-read-as-follower", name, f"{told}: only a leader can know")
        elif sent in _NUMBERED:
            self._newest[lane] = max(self._newest.get(lane, 0), int(event.x.get("request_id", 0)))
        if event.k is Kind.CLIENT and event.x.get("op") == "read" and state.role != "leader" and "CL-Q1" not in acts:
            told = f"{lane}, {state.role} of term {state.term}, took a read without asking its leader"
            self._add("read-where-it-is", name, told)
        term = delta.term[1] if delta.term is not None else state.term
        if "CL-Q3" in acts and term_at(state, int(acts["CL-Q3"][0])) != term:
            told = f"{lane} took {acts['CL-Q3'][0]} for a read's index, before it had committed anything in its term "
            self._add("read-before-own-entry", name, f"{told}{term}")
        if "RI-2" in acts and int(acts["RI-2"][0]) <= self._newest.get(lane, 0):
            told = f"{lane} lets answers confirm a read whose requests it had sent before the read came"
            self._add("confirmed-by-older", name, told)
        lease = acts.get("LS-1")
        if lease is not None and (lease[1] is None or lease[0] >= lease[1]):
            self._add("read-without-lease", name, f"{lane} answered a read by a lease that it does not hold")
        if "CL-Q5" in acts and int(acts["CL-Q5"][0]) > int(acts["CL-Q5"][1]):
            told = f"{lane} let a read run at {acts['CL-Q5'][0]}, having applied only up to {acts['CL-Q5'][1]}"
            self._add("read-before-applied", name, told)

    def _forget(self, lane: str) -> None:
        """Events of a server are missing: what it did since is not known."""
        self._chunks.pop(lane, None)
        self._asked_for.pop(lane, None)
        self._newest.pop(lane, None)

    def _is_ready(self) -> bool:
        """Whether nothing keeps the server from campaigning that a trace tells of."""
        return True


def _others(conf: ConfigurationView, lane: str) -> set[str]:
    return {*conf.voters, *conf.outgoing} - {lane}
