"""Events as sentences. The page tells them in the same words, by the same templates (`page/words.js`)."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from oarlock.diagram.telling import TELLINGS
from oarlock.raft.rules import RULES
from oarlock.trace.flows import FLOWS
from oarlock.trace.schema import WORLD, Event, Kind, parse_id

_PART: Final = re.compile(
    r"\{(?P<asked>\w+)\?(?P<yes>(?:[^{}|]|\{\w+\})*)\|(?P<no>(?:[^{}|]|\{\w+\})*)\}|\{(?P<name>\w+)\}"
)

_LIVE_ID: Final = re.compile(r"\bn[0-9a-f]{12,16}\b")

CAUSES: Final = {
    "lost": "lost on the way",
    "partition": "stopped by a partition",
    "dst_down": "sent to a server that was down",
    "src_down": "not sent before its sender ended",
    "reset": "lost with its connection",
    "corrupt": "damaged on the way, which its receiver noticed",
    "queue": "given up by its sender, who had no connection or no room",
    "stale_epoch": "meant for an earlier life of its receiver",
}
"""What became of a dropped message."""


def fill(template: str, operands: Mapping[str, Any]) -> str:
    """A template with its operands.

    Args:
        template: See `telling`.
        operands: By name; one that is missing reads "?".
    """

    def part(match: re.Match[str]) -> str:
        if match["name"] is not None:
            return shown(operands.get(match["name"], "?"))
        return fill(match["yes"] if operands.get(match["asked"]) else match["no"], operands)

    return _PART.sub(part, template)


def shown(value: Any) -> str:  # noqa: ANN401 - whatever a trace holds
    """A value as people read it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else f"{value:.3f}"
    if isinstance(value, list | tuple):
        return f"({', '.join(map(shown, value))})"
    return str(value)


def rule_sentence(rule: str, operands: Sequence[Any]) -> str:
    """What a server did by a rule, without the subject."""
    telling = TELLINGS.get(rule)
    if telling is None:
        return RULES[rule].sentence if rule in RULES else rule
    names = FLOWS[rule].operands if rule in FLOWS else ()
    return fill(telling.says, dict(zip(names, operands, strict=False)))


def sentence(event: Event, names: Mapping[str, str] | None = None) -> str:
    """What happened, in one sentence.

    Args:
        event: Of a trace.
        names: What people call the servers, by their names in the trace.
    """
    subject = parse_id(event.id).lane
    who = (names or {}).get(subject) or subject
    rules = _told_rules(event)
    opening = _opening(event)
    if subject == WORLD:
        return _named(f"{opening[:1].upper()}{opening[1:]}.", names)
    told = [opening] if opening else []
    told += [rule_sentence(rule, operands) for rule, operands in rules]
    changes = _changes(event)
    if changes and not rules:
        told.append(changes)
    return _named(f"{who} {'; '.join(told) or event.k}.", names)


def _named(text: str, names: Mapping[str, str] | None) -> str:
    """Ids of live servers, which nobody can read, by their names."""
    if not names:
        return text
    return _LIVE_ID.sub(lambda match: names.get(match[0]) or match[0], text)


def _told_rules(event: Event) -> list[tuple[str, Sequence[Any]]]:
    """Rules with operands; one that repeats for other servers is told once."""
    told: dict[str, Sequence[Any]] = {}
    for position, rule in enumerate(event.r):
        told.setdefault(rule, event.g[position] if position < len(event.g) else ())
    return list(told.items())


def _opening(event: Event) -> str:
    fields = event.x
    match event.k:
        case Kind.SEND:
            return f"sent {event.to} {message_words(fields)}"
        case Kind.RECV:
            return f"received {message_words(fields) if fields else 'a message'} from {event.src}"
        case Kind.DROP:
            fate = CAUSES.get(event.cause, event.cause)
            if parse_id(event.id).lane == event.src:
                return f"lost a message to {event.to}: it was {fate}"
            return f"a message from {event.src} to {event.to} was {fate}"
        case Kind.DUP:
            return f"a message from {event.src} to {event.to} was doubled"
        case Kind.RESTART:
            return "began a life, from what its disk held"
        case Kind.CRASH:
            if "server" not in fields:
                return "crashed"
            why = f" ({fields['why']})" if fields.get("why") else ""
            return f"the process of {fields['server']} ended{why}"
        case Kind.FSYNC:
            return f"had everything up to write {fields.get('number')} on disk"
        case Kind.ADVANCE:
            return "learnt that its writes are durable"
        case Kind.APPLY:
            return f"applied up to index {fields.get('index')}"
        case Kind.READY:
            return "" if event.r else "handed its effects out"
        case Kind.PART:
            return f"the network was cut: {_links(fields.get('links', ()))}"
        case Kind.HEAL:
            return "the network was healed"
        case Kind.VIOL:
            return f"{fields.get('property')} does not hold: {fields.get('sentence')}"
        case Kind.GAP:
            return f"could not keep {fields.get('lost')} events"
        case Kind.LINK:
            return f"lost its connection to {fields.get('peer')}"
        case Kind.CLIENT:
            return _call(fields)
        case Kind.KEY:
            return "wrote down its whole state"
        case Kind.TIMER:
            return ""
        case Kind.FAULT:
            return _fault(fields)
        case _:
            return f"{event.k} {' '.join(f'{name} {shown(value)}' for name, value in fields.items())}".strip()


def message_words(fields: Mapping[str, Any]) -> str:
    """A message in a few words."""
    kind = str(fields.get("type", "a message"))
    entries = fields.get("entries")
    if kind == "AppendEntries":
        count = len(entries or ())
        noun = "entry" if count == 1 else "entries"
        what = f"{count} {noun} after {fields.get('prev_log_index')}" if count else "nothing new"
        return f"AppendEntries of term {fields.get('term')} with {what}"
    if kind == "AppendEntriesReply":
        if fields.get("success"):
            return f"AppendEntriesReply: agrees up to {fields.get('match_index', 0)}"
        return f"AppendEntriesReply: refuses, ask from {fields.get('conflict_index', '?')}"
    if kind.endswith("VoteReply"):
        return f"{kind} of term {fields.get('term')}: {'granted' if fields.get('vote_granted') else 'refused'}"
    term = fields.get("term")
    return kind if term is None else f"{kind} of term {term}"


def _call(fields: Mapping[str, Any]) -> str:
    operation = str(fields.get("op", "call"))
    if operation == "call":
        return f"client {fields.get('client')} asked: {fields.get('kind')} {fields.get('key', '')}".rstrip()
    if operation == "return":
        return f"client {fields.get('client')} was answered: {fields.get('outcome')}"
    if operation == "propose":
        return f"was given {fields.get('count', 1)} commands" + (f" by {fields['for']}" if fields.get("for") else "")
    return f"was asked: {operation}"


def _fault(fields: Mapping[str, Any]) -> str:
    kind = str(fields.get("kind")).replace("_", " ")
    if fields.get("ended"):
        return "all faults ended" if kind == "all" else f"fault {fields.get('number')} ended: {kind}"
    servers = " ".join(fields.get("servers") or ()) or "all"
    return f"fault {fields.get('number')} began: {kind} of {servers} for {shown(fields.get('seconds', 0))} s"


def _links(links: Sequence[Sequence[str]]) -> str:
    both = {tuple(sorted(link)) for link in links}
    return ", ".join(f"{a} and {b}" for a, b in sorted(both))


def _changes(event: Event) -> str:
    if event.w is None:
        return ""
    told = []
    for name in ("term", "role", "vote", "leader", "commit", "applied", "durable"):
        pair = getattr(event.w, name)
        if pair is not None:
            told.append(f"{name} {shown(pair[0])} → {shown(pair[1])}")
    return ", ".join(told)
