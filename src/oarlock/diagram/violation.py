"""A property that fell, explained: what it says, who shows it, where the run left the rules first, and why.

`page/violation.js` explains it in the same words; a test compares the two.
"""

import re
from collections.abc import Iterator
from typing import Final

import msgspec

from oarlock.diagram.audit import audit
from oarlock.diagram.diff import Difference, are_one_step
from oarlock.diagram.logs import last_index
from oarlock.diagram.properties import property_of
from oarlock.diagram.sentences import sentence
from oarlock.diagram.steps import Deviation
from oarlock.diagram.whynot import Missing, WhyNot, leader_among, why_not
from oarlock.trace.loaded import Trace
from oarlock.trace.provenance import Explanation, why
from oarlock.trace.schema import Event, Kind
from oarlock.trace.state import states_at

MOST_WITNESSES: Final = 6
MOST_CHARACTERS: Final = 400
"""Of what a check said."""
_ASKED: Final = {
    "second-leader": "role", "no-majority-elected": "role", "leader-lacks": "role",
    "second-vote": "vote", "changed-vote": "vote", "forgot-vote": "vote", "vote-forgotten": "vote",
    "voted-in-older-term": "vote", "voted-for-older-log": "vote",
    "committed-otherwise": "commit", "counted-older-term": "commit", "no-majority-committed": "commit",
    "committed-unverified": "commit", "commit-fell": "commit", "term-fell": "term",
}  # fmt: skip
"""By kind of deviation, the variable whose why is the violation's."""
_LEADERLESS: Final = ("leader in time", "leader after healing", "leadership settles", "the successor leads soon")
"""Properties that fall for want of a leader, or of one that can commit."""
_LAGGING: Final = ("laggards catch up", "followers apply promptly", "one snapshot is enough")
"""Properties that fall because somebody stays behind."""
_LONG_US: Final = 1_000_000
"""Within this a leader whose follower lacks entries sends it some."""
WRONG: Final = "The first step that the rules do not allow:"
SIGN: Final = "The first sign that something had gone wrong:"
UNTOLD: Final = (
    "Each step by itself is one that the rules allow: what is wrong is what no server did, and the run alone does not "
    "tell which one had to."
)
ALLOWED: Final = (
    "Each step by itself is one that the rules allow; beside the run without the bug it shows where it begins:"
)
PARTED: Final = "Before that the two runs had parted already:"
NOTHING_NEW: Final = (
    "Nothing that servers did differs from the run without the bug: it is in what the trace does not record."
)
_SERVER: Final = re.compile(r"n[0-9a-f]*[0-9][0-9a-f]*\b")


class Witness(msgspec.Struct, frozen=True):
    """An event that shows it."""

    event_id: str
    sentence: str


class Violated(msgspec.Struct, frozen=True, kw_only=True):
    """The explanation of one violation."""

    event_id: str
    """Of the `viol` event."""
    property: str
    figure3: str
    """Its name in Figure 3; empty if it is none of those."""
    means: str
    """What the property says; empty where nobody wrote it down."""
    lesson: str
    """What secures it."""
    claim: str
    """What the check said."""
    sentence: str
    """What happened in this run."""
    witnesses: list[Witness]
    first_divergence: Witness | None
    """The first step that the rules do not allow."""
    rule: str
    """The rule that it goes against; empty if none can be named."""
    parted: Difference | None
    """Where the run parts from the same one without the bug, if that one is known."""
    asked: str
    """What the tree answers: an event, perhaps with a variable after a colon; empty if nothing can be asked."""
    tree: Explanation | None
    missing: WhyNot | None
    """For what should have happened and did not: what was missing at the end."""


def violations(trace: Trace, parted: Difference | None = None) -> list[Violated]:
    """Explain every violation of a run; none of a run in which all held.

    Args:
        trace: The run.
        parted: Where it parts from the same run of repaired servers, if there is one.
    """
    found = [event for event in trace.events if event.k is Kind.VIOL]
    if not found:
        return []
    deviations = audit(trace)
    return [_explain(trace, event, deviations, parted) for event in found]


def _explain(trace: Trace, event: Event, deviations: list[Deviation], parted: Difference | None) -> Violated:
    name = str(event.x.get("property", ""))
    known = property_of(name)
    claim = _shortened(str(event.x.get("sentence", "")).rstrip("."))
    fall = _fall(name, known.figure3, deviations)
    first = deviations[0] if deviations else None
    missing = None if deviations else _missing(trace, name)
    omitted = None if missing is None else next((each for each in missing.missing if each.rule), None)
    lacking = [] if missing is None else [missing.sentence]
    if omitted is not None:
        lacking.append(f"{_capital(omitted.sentence)}: {omitted.rule} had to act, and did not.")
    told = _told(claim, fall, deviations, lacking, _origin(trace, first, parted), is_repaired=parted is not None)
    shown = _witnesses(trace, event, fall or first)
    asked = _question(trace, fall or first, shown, parted)
    event_id, _, variable = asked.partition(":")
    return Violated(
        event_id=event.id,
        property=name,
        figure3=known.figure3,
        means=known.means,
        lesson=known.lesson,
        claim=claim,
        sentence=told,
        witnesses=shown,
        first_divergence=None if first is None else Witness(first.event_id, first.sentence),
        rule=first.rule if first is not None else "" if omitted is None else omitted.rule,
        parted=parted,
        asked=asked,
        tree=why(trace, event_id, variable) if asked else None,
        missing=missing,
    )


def _fall(name: str, figure3: str, deviations: list[Deviation]) -> Deviation | None:
    """The step by which the property fell, or the one of Figure 3 that it belongs to."""
    exact = [each for each in deviations if each.property == name]
    related = [each for each in deviations if figure3 and property_of(each.property).figure3 == figure3]
    if not (exact or related):
        return None
    fall, first = (exact or related)[-1], deviations[0]
    is_one = fall.kind == first.kind or (fall.event_id == first.event_id and first.property == name)
    return first if is_one else fall


def _missing(trace: Trace, name: str) -> WhyNot | None:
    """What was missing at the end: a leader, what keeps the one there is from committing, or what laggards lack."""
    end = len(trace) - 1
    if name in _LAGGING:
        return _laggards(trace, end)
    if name not in _LEADERLESS:
        return None
    answer = why_not(trace, "leader", end)
    if answer.missing:
        return answer
    commits = [state.commit for state in states_at(trace, end).states.values()]
    return why_not(trace, f"index {max(commits, default=0) + 1} committed", end)


def _laggards(trace: Trace, end: int) -> WhyNot:
    replay = states_at(trace, end)
    states = replay.states
    most = max((state.applied for state in states.values()), default=0)
    leader = leader_among(replay)
    missing: list[Missing] = []
    for name, state in sorted(states.items()):
        if state.applied >= most:
            continue
        missing.append(Missing(f"{name} has applied up to {state.applied}", _last_received(trace, name)))
        if leader is not None and last_index(state) < most:
            missing += _unsent(trace, leader, name)
    return WhyNot(f"Others have applied up to {most}." if missing else "All have applied the same.", missing)


def _unsent(trace: Trace, leader: str, name: str) -> Iterator[Missing]:
    """That a leader has long sent a follower neither entries nor a snapshot."""
    sent = (trace.events[at] for at in reversed(trace.lanes[leader]))
    last = next((event for event in sent if event.to == name and _carries_log(event)), None)
    if last is None:
        yield Missing(f"{leader} leads, and has sent {name} nothing of its log")
    elif trace.events[-1].t - last.t > _LONG_US:
        yield Missing(f"{leader} leads, and has sent {name} nothing more of its log", last.id)


def _carries_log(event: Event) -> bool:
    return event.k is Kind.SEND and (bool(event.x.get("entries")) or event.x.get("type") == "InstallSnapshot")


def _last_received(trace: Trace, lane: str) -> str:
    received = (trace.events[at] for at in reversed(trace.lanes[lane]) if trace.events[at].k is Kind.RECV)
    return next((event.id for event in received), "")


def _witnesses(trace: Trace, event: Event, step: Deviation | None) -> list[Witness]:
    named = [*(step.witnesses if step is not None else ()), step.event_id if step is not None else ""]
    named += [str(each) for each in event.x.get("witnesses", ())]
    found = [shown for each in dict.fromkeys(named) if each and (shown := trace.find(each)) is not None]
    return [Witness(shown.id, sentence(shown, trace.header.nodes)) for shown in found[:MOST_WITNESSES]]


def _origin(trace: Trace, first: Deviation | None, parted: Difference | None) -> Difference | None:
    """Where the run parts from the repaired one, unless the first wrong step is that very step or comes before."""
    event = None if parted is None else trace.find(parted.one)
    if first is None or event is None:
        return parted
    step = trace.events[trace.position(first.event_id)]
    return None if are_one_step(step, event) or trace.position(step.id) < trace.position(event.id) else parted


def _question(trace: Trace, step: Deviation | None, shown: list[Witness], parted: Difference | None) -> str:
    if step is None and parted is not None and parted.one:
        return parted.one
    if step is None:
        return shown[0].event_id if shown else ""
    variable = _ASKED.get(step.kind, "")
    event = trace.find(step.event_id)
    has_changed = event is not None and event.w is not None and variable and getattr(event.w, variable) is not None
    return f"{step.event_id}:{variable}" if has_changed else step.event_id


def _told(
    claim: str,
    fall: Deviation | None,
    deviations: list[Deviation],
    lacking: list[str],
    origin: Difference | None,
    *,
    is_repaired: bool,
) -> str:
    if not deviations:
        begun = " ".join([f"{_capital(claim)}.", *lacking])
        if origin is not None:
            return f"{begun} {ALLOWED} {_apart(origin)}"
        if is_repaired:
            return f"{begun} {NOTHING_NEW}"
        # Who says which rule had to act has told.
        return begun if len(lacking) > 1 else f"{begun} {UNTOLD}"
    first = deviations[0]
    before = "" if origin is None else f" {PARTED} {_apart(origin)}"
    if fall is None:
        first_told = f"{first.sentence} ({first.event_id})"
        return f"{_capital(claim)}. {WRONG if first.rule else SIGN} {first_told}.{before}"
    told = f"{_capital(fall.sentence)} ({fall.event_id})."
    if fall.event_id != first.event_id:
        return f"{told} It began earlier: {first.sentence} ({first.event_id}).{before}"
    besides = [each for each in deviations if each.event_id == fall.event_id and each.kind != fall.kind]
    return f"{told} What is wrong with that step: {besides[0].sentence}.{before}" if besides else told + before


def _apart(parted: Difference) -> str:
    """Where two runs part, in words."""
    where = f" ({parted.one})" if parted.one else ""
    return f"with the bug, {parted.told_one.removesuffix('.')}{where}; repaired, {parted.told_other.removesuffix('.')}."


def _shortened(text: str) -> str:
    """Values of clients can be of any length."""
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}..."


def _capital(text: str) -> str:
    """As a sentence begins; names of servers stay as they are."""
    return text if _SERVER.match(text) else text[:1].upper() + text[1:]
