"""A run for other tools: Mermaid for documents, Chrome's trace format for Perfetto, a log for ShiViz."""

import json
from collections import defaultdict
from typing import Any, Final

from oarlock.diagram.layout import lay_out
from oarlock.diagram.sentences import CAUSES, message_words, sentence
from oarlock.trace.loaded import Trace
from oarlock.trace.schema import WORLD, Kind, parse_id, sent_id
from oarlock.trace.state import Replay

MERMAID_MESSAGES: Final = 150
"""Readers draw no more than some 50,000 characters."""


def mermaid(trace: Trace, first: int = 0, last: int | None = None) -> str:
    """A sequence diagram; lost messages end in a cross."""
    layout = lay_out(trace, first, last, most=3 * MERMAID_MESSAGES)
    lines = ["sequenceDiagram"]
    lines += [f"  participant {lane} as {trace.header.nodes.get(lane) or lane}" for lane in layout.lanes]
    arrows = sorted(layout.arrows, key=lambda each: each.begin)
    for arrow in arrows[:MERMAID_MESSAGES]:
        head = "-x" if arrow.outcome == "dropped" else ("-->>" if arrow.kind.endswith("Reply") else "->>")
        words = f"{arrow.kind} term {arrow.term}"
        if arrow.agrees is not None:
            words += ", yes" if arrow.agrees else ", no"
        if arrow.cause:
            words += f" ({CAUSES.get(arrow.cause, arrow.cause)})"
        lines.append(f"  {arrow.source}{head}{arrow.to}: {words}")
    left = len(arrows) - MERMAID_MESSAGES
    if left > 0 or layout.cut_off:
        lines.append(f"  Note over {','.join(layout.lanes[:1])}: more follows, which is not drawn")
    return "\n".join(lines) + "\n"


def perfetto(trace: Trace) -> str:
    """Chrome's JSON: a process for each server, roles as stretches, messages as flows."""
    lanes = sorted((lane for lane in trace.lanes), key=lambda lane: (lane == WORLD, lane))
    number = {lane: at + 1 for at, lane in enumerate(lanes)}
    found: list[dict[str, Any]] = [
        {"ph": "M", "name": "process_name", "pid": pid, "args": {"name": trace.header.nodes.get(lane) or lane}}
        for lane, pid in number.items()
    ]
    replay = Replay()
    open_roles: dict[str, tuple[str, str]] = {}
    for event in trace.events:
        lane = parse_id(event.id).lane
        pid = number[lane]
        replay.apply(event)
        found.append(
            {"ph": "X", "name": _name(event.k, event.x), "pid": pid, "tid": 1, "ts": event.t, "dur": 1,
             "args": {"id": event.id, "rules": " ".join(event.r), "sentence": sentence(event, trace.header.nodes)}}
        )  # fmt: skip
        found += _role_changes(replay, open_roles, lane, pid, event.t)
        if event.k is Kind.SEND:
            found.append(
                {"ph": "s", "id": event.id, "name": "message", "cat": "m", "pid": pid, "tid": 1, "ts": event.t}
            )
        elif event.k is Kind.RECV and event.m:
            found.append({"ph": "f", "bp": "e", "id": sent_id(event.m), "name": "message", "cat": "m", "pid": pid,
                          "tid": 1, "ts": event.t})  # fmt: skip
    return json.dumps({"traceEvents": found, "displayTimeUnit": "ms"}, separators=(",", ":")) + "\n"


def _name(kind: Kind, fields: dict[str, Any]) -> str:
    return message_words(fields) if kind in (Kind.SEND, Kind.RECV) and fields else str(kind)


def _role_changes(
    replay: Replay, open_roles: dict[str, tuple[str, str]], lane: str, pid: int, at: int
) -> list[dict[str, Any]]:
    """The end of one role and the begin of another, as an asynchronous stretch."""
    state = replay.states.get(lane)
    now = "down" if lane in replay.down else f"{state.role} of term {state.term}" if state is not None else ""
    before = open_roles.get(lane, ("", ""))
    if not now or before[0] == now:
        return []
    key = f"{lane}-{at}"
    open_roles[lane] = (now, key)
    begin = {"ph": "b", "cat": "role", "id": key, "name": now, "pid": pid, "ts": at}
    end = {"ph": "e", "cat": "role", "id": before[1], "name": before[0], "pid": pid, "ts": at}
    return [end, begin] if before[0] else [begin]


def shiviz(trace: Trace) -> str:
    """A log with vector clocks, derived here: for each event its host and clock, then a line of words."""
    clocks: dict[str, dict[str, int]] = defaultdict(dict)
    sent: dict[str, dict[str, int]] = {}
    lines = []
    for event in trace.events:
        lane = parse_id(event.id).lane
        clock = clocks[lane]
        if event.k is Kind.RECV:
            for other, count in sent.get(sent_id(event.m), {}).items():
                clock[other] = max(clock.get(other, 0), count)
        clock[lane] = clock.get(lane, 0) + 1
        if event.k is Kind.SEND:
            sent[event.id] = dict(clock)
        lines += [f"{lane} {json.dumps(clock)}", sentence(event, trace.header.nodes)]
    return "\n".join(lines) + "\n"
