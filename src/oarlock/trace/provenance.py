"""Why did this happen? The chain of what was read, not of all that was before.

Nearly everything happens before a commit, but it depends on little: the acknowledgements counted, the appends they
answer, the proposal, and the election that made the leader. Steps that repeat are one: a log prefix agrees because
each append was accepted only on top of one that agreed.
"""

from bisect import bisect_left
from collections import deque
from typing import Final, NamedTuple

import msgspec

from oarlock.trace.flows import CLAIMLESS, FLOWS, INDUCTIVE, MESSAGES, PER_SERVER, SUPERSEDED
from oarlock.trace.loaded import Trace
from oarlock.trace.schema import Event, Kind, parse_id

MAX_STEPS: Final = 10_000


class Because(msgspec.Struct, frozen=True):
    """One reason."""

    variable: str
    """What was read: `term`, `match.n2`, ...; `message` for the message received, `decided` for what made it be sent,
    `disk` for what had become durable, `forward` for the message that brought a proposal."""
    event_id: str
    """The event that last wrote it."""


class Collapsed(msgspec.Struct, frozen=True):
    """A history of equal steps, told as one."""

    server: str
    variable: str
    event_id: str
    """The last of the steps; ask `why` of it to go on."""
    sentence: str


class Step(msgspec.Struct):
    """One event of the chain."""

    event: Event
    rules: list[str]
    """Those of its rules that matter here, in order."""
    because: list[Because]
    depth: int
    """How many reasons lie between it and what was asked."""


class Explanation(msgspec.Struct):
    """The answer: steps, nearest first."""

    steps: list[Step]
    collapsed: list[Collapsed]
    unresolved: list[Because]
    """Reasons whose event the trace does not hold."""
    truncated: bool = False
    """Whether the chain was longer than the limit."""

    def __len__(self) -> int:
        return len(self.steps) + len(self.collapsed)


class _Want(NamedTuple):
    """Which part of an event is asked about; all of it where nothing is named."""

    variable: str = ""
    fields: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    peer: str = ""
    entry: int = 0
    """The index of the one asked about; 0 for all."""


def why(trace: Trace, event_id: str, variable: str = "", *, max_steps: int = MAX_STEPS) -> Explanation:
    """Explain an event.

    Args:
        trace: Where it happened.
        event_id: Which.
        variable: Explain only how it came to write this one, such as `commit`.
        max_steps: Stop there, and say so.

    Raises:
        KeyError: The trace holds no such event.
    """
    return _Search(trace, max_steps).run(trace.events[trace.position(event_id)].id, variable)


class _Search:
    def __init__(self, trace: Trace, max_steps: int) -> None:
        self._trace = trace
        self._max_steps = max_steps
        self._steps: dict[str, Step] = {}
        self._collapsed: dict[tuple[str, str], Collapsed] = {}
        self._unresolved: dict[Because, None] = {}
        self._done: set[tuple[str, _Want]] = set()
        self._term = 0
        self._queue: deque[tuple[str, _Want, int]] = deque()

    def run(self, event_id: str, variable: str) -> Explanation:
        """Follow reasons breadth-first."""
        self._term = self._term_at(event_id)
        self._queue.append((event_id, _Want(variable), 0))
        truncated = False
        while self._queue:
            event_id, want, depth = self._queue.popleft()
            if (event_id, want) in self._done:
                continue
            self._done.add((event_id, want))
            event = self._trace.find(event_id)
            if event is None:
                continue
            if event.id not in self._steps and len(self._steps) >= self._max_steps:
                truncated = True
                continue
            step = self._steps.setdefault(event.id, Step(event, [], [], depth))
            if event.k is Kind.SEND:
                self._of_message(step, want)
            else:
                self._of_event(step, want)
        return Explanation(
            list(self._steps.values()), list(self._collapsed.values()), list(self._unresolved), truncated
        )

    def _term_at(self, event_id: str) -> int:
        """The term in which an event's server was after it."""
        trace = self._trace
        positions = trace.lanes[parse_id(event_id).lane]
        at = bisect_left(positions, trace.position(event_id))
        return next((term for each in positions[at::-1] if (term := _term_written(trace.events[each])) >= 0), 0)

    def _follow(self, step: Step, variable: str, event_id: str, want: _Want) -> None:
        if event_id == step.event.id:
            return
        because = Because(variable, event_id)
        if because not in step.because:
            step.because.append(because)
        head = variable.partition(".")[0]
        sentence = INDUCTIVE.get(head) or (self._superseded(head, event_id) if step.depth else "")
        if sentence:
            server = parse_id(step.event.id).lane
            if (server, head) not in self._collapsed:
                self._collapsed[server, head] = Collapsed(server, variable, event_id, sentence)
            return
        if self._trace.find(event_id) is None:
            self._unresolved[because] = None
            return
        self._queue.append((event_id, want, step.depth + 1))

    def _superseded(self, head: str, event_id: str) -> str:
        """Why a read of what was before needs no explanation here; empty if it does."""
        if head == "term" and _term_written(self._trace.find(event_id)) >= self._term:
            return ""
        return SUPERSEDED.get(head, "")

    # -- messages ------------------------------------------------------------------------------------------------

    def _of_message(self, step: Step, want: _Want) -> None:
        """What the fields asked about were copied from, what decided the message, and what had to be durable."""
        event = step.event
        flow = MESSAGES.get(event.x.get("type", ""))
        fields = want.fields or (tuple(flow.fields) if flow is not None else ())
        heads = {
            read.partition(".")[0]
            for field in fields
            for read in (flow.fields.get(field, ()) if flow is not None else ())
        }
        if event.x.get("type") not in CLAIMLESS:
            heads.add("disk")
        entries = [variable for variable in event.rd if variable.startswith("log.")]
        besides = {variable for variable in entries if variable != _entry_of(entries, want.entry)}
        for variable, writer in event.rd.items():
            if variable.partition(".")[0] in heads and variable not in besides:
                self._follow(step, variable, writer, _Want(variable))
        if event.by:
            rules = flow.rules if flow is not None else ()
            self._follow(step, "decided", event.by, _Want(rules=rules, peer=event.to, entry=want.entry))

    # -- events of servers ---------------------------------------------------------------------------------------

    def _of_event(self, step: Step, want: _Want) -> None:
        event = step.event
        chosen = self._chosen(event, want)
        step.rules = [rule for position, rule in enumerate(event.r) if position in chosen or rule in step.rules]
        if not event.r or not chosen:
            self._of_ruleless(step, want)
            return
        fields: dict[str, None] = {}
        for position in sorted(chosen):
            flow = FLOWS.get(event.r[position])
            operands = event.g[position] if position < len(event.g) else ()
            for read in flow.reads if flow is not None else ():
                if read.startswith("m."):
                    fields[read.removeprefix("m.")] = None
                    continue
                for variable in _named(read, operands, event.rd):
                    if want.entry and variable.startswith("log."):
                        continue  # the message itself says whose entries it took
                    self._follow(step, variable, event.rd[variable], _Want(variable))
        if fields and event.m:
            head, _, index = want.variable.partition(".")
            asked = int(index) if head == "log" else 0
            self._follow(step, "message", event.m, _Want(fields=tuple(fields), entry=asked))
        for variable in ("disk", "forward"):
            if variable in event.rd and event.k in (Kind.ADVANCE, Kind.CLIENT):
                self._follow(step, variable, event.rd[variable], _Want())

    def _of_ruleless(self, step: Step, want: _Want) -> None:
        """An event without a rule that matters: it counted a vote, or the disk was done. All it read may matter."""
        event = step.event
        if event.k is Kind.FSYNC:
            return
        for variable, writer in event.rd.items():
            if event.k is not Kind.RESTART or variable == want.variable:
                self._follow(step, variable, writer, _Want(variable))
        if event.m and not want.rules:
            self._follow(step, "message", event.m, _Want())

    def _chosen(self, event: Event, want: _Want) -> set[int]:
        """The positions of the rules that matter: those up to the last that wrote what is asked about."""
        if want.rules:
            return {
                position
                for position, rule in enumerate(event.r)
                if rule in want.rules and not _is_of_another(event, position, want.peer)
            }
        everything = set(range(len(event.r)))
        if not want.variable:
            return everything
        head, _, server = want.variable.partition(".")
        peer = server if head in PER_SERVER else ""
        wrote = [
            position
            for position, rule in enumerate(event.r)
            if rule in FLOWS and head in FLOWS[rule].writes and not _is_of_another(event, position, peer)
        ]
        if not wrote:
            return set() if event.k is Kind.ADVANCE and head in ("durable", "disk") else everything
        return {position for position in range(wrote[-1] + 1) if not _is_of_another(event, position, peer)}


def _term_written(event: Event | None) -> int:
    """The term that an event left behind; -1 if it did not touch it."""
    if event is None:
        return -1
    if event.s is not None:
        return event.s.term
    return event.w.term[1] or 0 if event.w is not None and event.w.term is not None else -1


def _is_of_another(event: Event, position: int, peer: str) -> bool:
    """Whether a rule acted for another server than the one asked about."""
    if not peer or position >= len(event.g) or not event.g[position]:
        return False
    flow = FLOWS.get(event.r[position])
    return flow is not None and flow.operands[:1] in (("peer",), ("source",), ("to",)) and event.g[position][0] != peer


def _entry_of(entries: list[str], index: int) -> str:
    """Which of the runs of entries that a message carried holds the one asked about; the last if none is."""
    firsts = sorted(int(variable.removeprefix("log.")) for variable in entries)
    held = [first for first in firsts if not index or first <= index]
    return f"log.{held[-1]}" if held else ""


def _named(read: str, operands: tuple[object, ...], reads: dict[str, str]) -> list[str]:
    """The variables that a pattern stands for, of those that were read."""
    head, dot, rest = read.partition(".")
    if not dot:
        return [read] if read in reads else []
    if rest == "*":
        return [variable for variable in reads if variable.startswith(f"{head}.")]
    position = int(rest[1 : rest.index("}")])
    if position >= len(operands):
        return []
    operand = operands[position]
    if rest.endswith("-1") and isinstance(operand, int):
        operand -= 1
    variable = f"{head}.{operand}"
    return [variable] if variable in reads else []
