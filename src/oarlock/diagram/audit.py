"""Where a run left the rules: each step is judged anew from messages, states and disks, not by what servers claim.

Of a sound run nothing is found (a test holds it to that); of a broken one the first finding is mostly the bug itself,
long before a property falls. What rests on events that are missing is not judged. `page/audit.js` does the same; a test
compares the two.
"""

from typing import Any, Final

from oarlock.diagram.disks import Disks
from oarlock.diagram.guards import Guards, acts_of
from oarlock.diagram.logs import in_words, last_index, majorities, term_at
from oarlock.diagram.sights import Seen, Sights
from oarlock.diagram.steps import TERMLESS, Deviation
from oarlock.trace.flows import MESSAGES
from oarlock.trace.loaded import Trace
from oarlock.trace.schema import WORLD, Delta, Event, Kind, ServerState, parse_id
from oarlock.trace.state import Replay, StateMismatch

MAX_FOUND: Final = 50
_ANSWERED_US: Final = 100_000
_MOST_COMMITTED: Final = 1000
"""Committed entries that are taken from the first state that is seen of a server."""


def audit(trace: Trace, most: int = MAX_FOUND) -> list[Deviation]:
    """Judge every step of a run.

    Args:
        trace: The run, best the whole, from the servers' first lives on.
        most: So many are found at most; the first are what matters.
    """
    return _Audit(trace).run(most)


class _Audit(Guards):
    """Judges against what is known of all servers, too."""

    def __init__(self, trace: Trace) -> None:
        super().__init__(trace)
        self._replay = Replay()
        self._disks = Disks()
        self._sights = Sights(trace.header)
        self._crashed: dict[str, str] = {}
        """The last crash of each server; where that was not seen, the life that began then."""
        self._endless: set[str] = set()
        """Servers of whose last lives the end was not seen."""
        self._leaders: dict[int, tuple[str, str]] = {}
        """By term: who leads it, and since which event."""
        self._entries: dict[tuple[int, int], tuple[int | None, str | None, str]] = {}
        """By index and term: the term before, the payload, and the event that wrote it first."""
        self._committed: dict[int, tuple[int, str]] = {}
        """By index: the term, and the event by which it was first taken for committed."""
        self._applied: dict[str, tuple[int, str]] = {}
        """The highest index that any server applied, and the event; where clocks differ, by server."""
        self._asked: dict[tuple[str, str], tuple[int, str, str, int]] = {}
        """By server and read: what had been applied when it was asked, that event, the asking, what was committed."""
        self._emptied: set[str] = set()
        """Servers that began anew with an empty disk, and are to forget: another disk is a fault, but nobody's step."""
        self._unanswered: dict[str, dict[tuple[str, int], tuple[Event, int]]] = {}
        """By server: the requests of leaders that wait for its answer, with the event, and how many came since."""

    def run(self, most: int) -> list[Deviation]:
        for event in self._trace.events:
            if len(self._found) >= most:
                break
            self._event, self._lane = event, parse_id(event.id).lane
            seen = self._sights.take(event)
            if event.k is Kind.VIOL:
                continue
            if self._lane == WORLD:
                self._replay.apply(event)
                continue
            if seen is not Seen.NEXT:
                self._lose(seen)
            before = self._replay.states.get(self._lane)
            if before is not None:
                self._check_step(event, before)
            try:
                self._replay.apply(event)
            except StateMismatch:
                break
            after = self._replay.states.get(self._lane)
            if after is not None:
                self._after(event, after)
        return self._found[:most]

    def _lose(self, seen: Seen) -> None:
        """Events of a server are missing: what depends on them is forgotten."""
        lane = self._lane
        self._replay.states.pop(lane, None)
        self._forget(lane)
        self._unanswered.pop(lane, None)
        for place in [place for place in self._asked if place[0] == lane]:
            del self._asked[place]
        if seen is Seen.CUT and self._disks.of(lane) is not None:
            self._endless.add(lane)  # what its disk had for certain still counts
        else:
            self._endless.discard(lane)
            self._disks.forget(lane)
            for vote in [vote for vote in self._votes if vote[0] == lane]:
                del self._votes[vote]
        if self._event.k is Kind.RESTART:
            self._crashed[lane] = self._event.id

    # -- against what is known of all ------------------------------------------------------------------------------

    def _after(self, event: Event, state: ServerState) -> None:
        lane, delta = self._lane, event.w
        match event.k:
            case Kind.RESTART:
                self._check_memory(state)
                self._unanswered.pop(lane, None)
            case Kind.CRASH:
                self._crashed[lane] = event.id
            case Kind.RECV:
                self._expect_answer(event, state)
            case Kind.READY:
                self._check_reads(event.x.get("reads") or ())
            case Kind.SEND:
                self._check_promise(event, state)
                self._unanswered.get(lane, {}).pop((event.to, int(event.x.get("request_id", 0))), None)
            case Kind.CLIENT if event.x.get("op") == "read":
                committed = state.commit if state.role == "leader" else 0
                applied = self._applied.get(self._witness, (0, ""))
                self._asked[lane, str(event.x.get("context"))] = (*applied, event.id, committed)
        self._check_handed(event)
        self._disks.follow(lane, event, state)
        if delta is not None and delta.log is not None:
            self._note_entries(delta.log.app, state)
        if event.s is not None:
            self._sights.whole(lane, state.term)
            self._note_whole(state)
        if event.s is not None or (delta is not None and (delta.vote is not None or delta.term is not None)):
            self._note_vote(state)
        if delta is not None:
            self._note_changes(state, delta)

    def _note_changes(self, state: ServerState, delta: Delta) -> None:
        if delta.role is not None and delta.role[1] == "leader":
            self._check_leader(state)
        if delta.commit is not None:
            self._check_commit(delta.commit[0] or 0, delta.commit[1] or 0, state)
        if delta.durable is not None:
            self._check_durable(delta.durable[1] or 0, state)
        if delta.match is not None and state.role == "leader":
            for peer, (_, new) in delta.match.items():
                self._check_match(peer, new or 0, state)
        if delta.applied is not None and (delta.applied[1] or 0) > self._applied.get(self._witness, (0, ""))[0]:
            self._applied[self._witness] = (delta.applied[1] or 0, self._event.id)

    @property
    def _witness(self) -> str:
        """Whose word counts for what was before what: where servers have clocks of their own, only their own."""
        return self._lane if self._sights.is_live else ""

    def _note_whole(self, state: ServerState) -> None:
        """A whole state tells of what was before it."""
        if state.role == "leader":
            self._leaders.setdefault(state.term, (self._lane, self._event.id))
        for index in range(state.commit, max(state.base[0], state.commit - _MOST_COMMITTED), -1):
            term = term_at(state, index)
            if index in self._committed:
                break
            if term is not None:
                self._committed[index] = (term, self._event.id)

    def _check_handed(self, event: Event) -> None:
        """What the state machine is given is on disk."""
        disk = self._disks.of(self._lane)
        for rule, operands in acts_of(event):
            if rule == "ALL-1" and disk is not None and int(operands[1]) > disk.last:
                told = f"{self._lane} handed entries up to {operands[1]} to its state machine with its log up to "
                self._add("handed-before-disk", "applied only what is on disk", f"{told}{disk.last} on its disk")

    def _expect_answer(self, event: Event, state: ServerState) -> None:
        """A leader's request is answered before two later ones are taken, the disk being idle, and time going by."""
        message = self._message()
        if message.get("type") != "AppendEntries" or "F-1" not in event.r or "error" in event.x:
            return
        waiting, disk = self._unanswered.setdefault(self._lane, {}), self._disks.of(self._lane)
        for place, (asked, later) in list(waiting.items()):
            if place[0] != event.src or disk is None or disk.writes:
                continue
            waiting[place] = (asked, later + 1)
            if later >= 2 and event.t - asked.t > _ANSWERED_US:
                del waiting[place]
                told = f"{self._lane} never answered what {event.src} sent it in term {state.term}"
                self._add("left-unanswered", "laggards catch up", told, asked.id)
        waiting[event.src, int(message.get("request_id", 0))] = (event, 0)

    def _check_durable(self, durable: int, state: ServerState) -> None:
        disk = self._disks.of(self._lane)
        if disk is not None and self._event.k is Kind.ADVANCE and durable > max(disk.last, state.base[0]):
            told = f"{self._lane} took its log up to {durable} for durable, of which its disk has only {disk.last}"
            self._add("believed-durable", "nothing promised before it is durable", told)

    def _is_ready(self) -> bool:
        disk = self._disks.of(self._lane)
        return disk is not None and not disk.writes

    def _check_memory(self, state: ServerState) -> None:
        """A server that begins a life remembers what was on its disk."""
        disk = self._disks.of(self._lane)
        is_endless = self._lane in self._endless
        self._endless.discard(self._lane)
        if disk is None:
            return
        if not (state.term or state.vote or last_index(state)):
            self._emptied.add(self._lane)
            return
        crash = self._crashed.get(self._lane, "")
        if state.term < disk.term or (state.term == disk.term and disk.vote is not None and state.vote != disk.vote):
            told = (
                f"{self._lane} had term {disk.term} and a vote for {disk.vote or 'nobody'} on its disk, and began anew "
            )
            self._add("forgot-term", "durability", f"{told}in term {state.term} with {state.vote or 'none'}", crash)
        # The end of a log may have been deleted on the disk, unseen; terms and votes stay.
        if last_index(state) < disk.last and not is_endless:
            told = f"{self._lane} had its log up to {disk.last} on its disk, and began anew with one that ends at "
            self._add("forgot-log", "durability", f"{told}{last_index(state)}", crash)

    def _note_vote(self, state: ServerState) -> None:
        if state.vote is None:
            return
        key = (self._lane, state.term)
        whom, event_id = self._votes.setdefault(key, (state.vote, self._event.id))
        if whom == state.vote or self._event.w is None or self._event.w.vote is None:
            return
        told = f"{self._lane} voted for {whom} in term {state.term}, and for {state.vote} in the same term"
        crash = self._crashed.get(self._lane, "")
        if self._lane in self._emptied:
            return
        if crash and self._trace.position(crash) > self._trace.position(event_id):
            self._add("vote-forgotten", "one vote a term", f"{told}: a crash between had it forget", event_id, crash)
        elif self._event.w.term is not None or self._event.w.vote[0] is None:
            self._add("second-vote", "one vote a term", told, event_id)

    def _check_leader(self, state: ServerState) -> None:
        lane, event, term = self._lane, self._event, state.term
        other, since = self._leaders.setdefault(term, (lane, event.id))
        if other != lane:
            told = f"{lane} leads term {term}, which {other} leads already"
            self._add("second-leader", "election safety", told, since)
        granted = {lane, *(voter for voter, vote in self._granted(state).items() if vote)}
        unseen = {voter for voter in self._voters(state) if not self._sights.is_whole(voter, term)}
        if not majorities(state.conf, granted | unseen):
            told = (
                f"{lane} leads term {term} with the votes of {', '.join(sorted(granted))} alone, which is no majority"
            )
            self._add("no-majority-elected", "election safety", told)
        for index in sorted(self._committed, reverse=True):
            committed, event_id = self._committed[index]
            if index <= state.base[0]:
                break
            if committed <= term and term_at(state, index) != committed:
                told = (
                    f"{lane} leads term {term} and holds {in_words(term_at(state, index))} at index {index}, where an "
                )
                self._add(
                    "leader-lacks", "leader completeness", f"{told}entry of term {committed} is committed", event_id
                )
                break

    def _granted(self, state: ServerState) -> dict[str, bool]:
        """Who gave a server its vote in its term, by what voters did."""
        return {voter: whom == self._lane for (voter, term), (whom, _) in self._votes.items() if term == state.term}

    def _check_commit(self, before: int, commit: int, state: ServerState) -> None:
        lane, event = self._lane, self._event
        term = term_at(state, commit)
        for index in range(max(before, state.base[0]) + 1, commit + 1):
            here = term_at(state, index)
            if here is None:
                continue
            there, event_id = self._committed.setdefault(index, (here, event.id))
            if there != here:
                told = (
                    f"{lane} took an entry of term {here} for committed at index {index}, where one of term {there} is"
                )
                self._add("committed-otherwise", "state machine safety", told, event_id)
                break
        if state.role != "leader" or commit <= before or term is None:
            return
        if term < state.term:
            told = (
                f"{lane} committed index {commit} by counting, an entry of term {term}, while leading term {state.term}"
            )
            self._add("counted-older-term", "only the current term is committed", told)
        holding = {voter for voter in self._voters(state) if self._holds(voter, commit, term)}
        if not majorities(state.conf, holding):
            told = f"{lane} committed index {commit} when {_only(sorted(holding))} had it on disk"
            self._add("no-majority-committed", "committed on a durable quorum", told)
            return
        conf = event.w.conf[0] if event.w is not None and event.w.conf is not None else state.conf
        known = {voter for voter in (*conf.voters, *conf.outgoing) if self._acknowledged(voter, state) >= commit}
        if not majorities(conf, known):
            told = f"{lane} committed index {commit} when it knew of {_only(sorted(known))} among the voters to hold it"
            self._add("counted-no-majority", "committed on a durable quorum", told)

    def _acknowledged(self, voter: str, state: ServerState) -> int:
        return state.durable if voter == self._lane else state.match.get(voter, 0)

    @staticmethod
    def _voters(state: ServerState) -> set[str]:
        return {*state.conf.voters, *state.conf.outgoing}

    def _holds(self, voter: str, index: int, term: int) -> bool:
        state, disk = self._replay.states.get(voter), self._disks.of(voter)
        if state is None or disk is None or not self._sights.is_whole(voter):
            return True  # the trace does not say
        return index <= state.base[0] or (disk.last >= index and term_at(state, index) == term)

    def _check_match(self, peer: str, index: int, state: ServerState) -> None:
        theirs, disk = self._replay.states.get(peer), self._disks.of(peer)
        if (
            theirs is None
            or disk is None
            or not self._sights.is_whole(peer)
            or theirs.term != state.term
            or index <= theirs.base[0]
        ):
            return
        ours = term_at(state, index)
        if disk.last < index:
            told = f"{self._lane} counts on {peer} to hold its log up to {index}, of which {peer}'s disk has only "
            self._add("match-too-high", "match_index is durable", f"{told}{disk.last}")
        elif ours is not None and term_at(theirs, index) != ours:
            told = f"{self._lane} counts on {peer} to hold its log up to {index}, where {peer} holds "
            self._add("match-of-other-entry", "match_index is durable", told + in_words(term_at(theirs, index)))

    def _note_entries(self, rows: tuple[Any, ...], state: ServerState) -> None:
        for row in rows:
            index, term, payload = int(row[0]), int(row[1]), row[3] if len(row) > 3 else None
            here = (term_at(state, index - 1), payload, self._event.id)
            there = self._entries.setdefault((index, term), here)
            if payload != there[1]:
                told = f"{self._lane} holds another entry at index {index} of term {term} than was first written there"
                self._add("other-entry", "log matching", told, there[2])
            elif None not in (here[0], there[0]) and here[0] != there[0]:
                told = f"{self._lane} has {in_words(here[0])} before index {index} of term {term}, where others have "
                self._add("other-prefix", "log matching", told + in_words(there[0]), there[2])

    def _check_promise(self, event: Event, state: ServerState) -> None:
        """Nothing leaves that depends on what is not on disk (P-1)."""
        disk, fields, kind = self._disks.of(self._lane), event.x, event.x.get("type")
        if disk is None or kind not in MESSAGES or kind in ("AppendEntries", "PreVote") or "term" not in fields:
            return
        if kind in TERMLESS and fields.get("vote_granted"):
            return
        term, alone = int(fields["term"]), state.conf.voters == (self._lane,)
        whom = self._lane if kind == "RequestVote" else event.to if fields.get("vote_granted") else None
        match = int(fields.get("match_index", 0)) if kind == "AppendEntriesReply" and fields.get("success") else 0
        if disk.term < term and not alone:
            told = f"{self._lane} sent {event.to} a message of term {term} with term {disk.term} on its disk"
            self._add("term-before-disk", "nothing promised before it is durable", told)
        elif whom is not None and disk.term == term and disk.vote != whom and not alone:
            told = f"{self._lane} told {event.to} of its vote for {whom} with {disk.vote or 'no vote'} on its disk"
            self._add("vote-before-disk", "nothing promised before it is durable", told)
        if term < state.term:
            return  # it says what was true in that term
        if match > max(disk.last, state.base[0]):
            told = f"{self._lane} acknowledged index {match} to {event.to} with its log up to {disk.last} on its disk"
            self._add("acknowledged-before-disk", "nothing promised before it is durable", told)
        elif match:
            self._check_agreement(event.to, match, term, state)

    def _check_agreement(self, leader: str, match: int, term: int, state: ServerState) -> None:
        """What is acknowledged is what the leader has."""
        theirs = self._replay.states.get(leader)
        if theirs is None or theirs.role != "leader" or theirs.term != term or state.term != term:
            return
        wanted, held = term_at(theirs, match), term_at(state, match)
        if wanted is not None and match > state.base[0] and held != wanted:
            told = f"{self._lane} acknowledged index {match}, where it holds {in_words(held)} and its leader {leader} "
            self._add("agreed-wrongly", "log matching", told + in_words(wanted))

    def _check_reads(self, reads: Any) -> None:  # noqa: ANN401 - as the trace has them
        for context, index in reads:
            asked = self._asked.pop((self._lane, str(context)), None)
            if asked is not None and index is not None and int(index) < asked[0]:
                told = (
                    f"{self._lane} answered a read as of index {index}; when it was asked, {asked[0]} was "
                    f"applied already"
                )
                kind = "read-behind-commit" if int(index) < asked[3] else "stale-read"
                self._add(kind, "reads are linearizable", told, asked[2], asked[1])


def _only(servers: list[str]) -> str:
    return f"only {', '.join(servers)}" if servers else "nobody"
