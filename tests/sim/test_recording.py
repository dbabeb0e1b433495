"""Recorded runs: whole, consistent, and not disturbed by being recorded."""

from collections import Counter
from functools import cache

import msgspec
import pytest
from tests.support.simulated import steady

from oarlock.raft.state import RaftState
from oarlock.sim import Fault, Report, Schedule, generate, record_schedule, run_schedule
from oarlock.trace.loaded import Trace
from oarlock.trace.provenance import why
from oarlock.trace.schema import CAUSES, WORLD, Kind, parse_id
from oarlock.trace.state import Replay

SEEDS = (1, 2, 4)


@cache
def _recorded(seed: int) -> tuple[Report, Trace]:
    return record_schedule(generate(seed))


@pytest.mark.parametrize("seed", SEEDS)
def test_recording_disturbs_nothing(seed: int) -> None:
    """A run's fingerprint is the same whether it is recorded or not."""
    assert run_schedule(generate(seed)).trace_hash == _recorded(seed)[0].trace_hash


def test_changes_lead_from_state_to_state() -> None:
    """Replaying the changes gives every whole state that was recorded, and ids and clocks rise."""
    compared = 0
    for trace in (*(_recorded(seed)[1] for seed in SEEDS), record_schedule(steady())[1]):
        replay = Replay()
        lamport: Counter[str] = Counter()
        for event in trace.events:
            lane = parse_id(event.id).lane
            if event.k is Kind.KEY:
                assert replay.states[lane] == event.s
                compared += 1
            replay.apply(event)
            assert event.lc > lamport[lane]
            lamport[lane] = event.lc
            for writer in event.rd.values():
                assert trace.find(writer) is not None
    assert compared


def check_ends(trace: Trace) -> None:
    """What arrives was sent before, and what was sent arrives, is dropped for a cause, or is under way at the end."""
    ends: Counter[str] = Counter()
    expected: Counter[str] = Counter()
    for position, event in enumerate(trace.events):
        if event.k is Kind.SEND:
            assert event.m == event.id
            expected[event.id] += 1
        elif event.k is Kind.DUP:
            expected[event.m.partition("#")[0]] += 1
        elif event.k in (Kind.RECV, Kind.DROP):
            sent = trace.find(event.m)
            assert sent is not None
            assert sent.k is Kind.SEND
            assert trace.position(sent.id) < position
            assert (sent.src, sent.to) == (event.src, event.to)
            assert event.k is Kind.RECV or event.cause in CAUSES
            ends[sent.id] += 1
    assert not {message for message, count in ends.items() if count > expected[message]}
    last = trace.events[-1].t
    for message, count in expected.items():
        assert count == ends[message] or last - trace.events[trace.position(message)].t < 2_000_000


@pytest.mark.parametrize("seed", SEEDS)
def test_every_message_has_two_ends(seed: int) -> None:
    """No message of a whole run is left without an end or a beginning."""
    check_ends(_recorded(seed)[1])


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_added_servers_are_recorded(value: float) -> None:
    """A server that replaces another, on its machine or on a new one, has a lane, and all messages have ends."""
    schedule = steady(Fault(at=1, kind="replace", servers=(1,), seconds=0.1, value=value), seconds=4.0)
    report, trace = record_schedule(schedule)
    assert report.ok
    assert report.strikes["members.replace"]
    assert run_schedule(schedule).trace_hash == report.trace_hash
    assert len(trace.lanes.keys() - {WORLD}) == 4
    check_ends(trace)


def test_clients_are_told_where_it_took_effect() -> None:
    """Each call has a return, in time; the index of an answered write holds its entry."""
    report, trace = record_schedule(steady(Fault(at=1.0, kind="power", servers=(0,), seconds=1.0)))
    calls = {event.x["request"]: event for event in trace.events if event.x.get("op") == "call"}
    returns = {event.x["request"]: event for event in trace.events if event.x.get("op") == "return"}
    assert len(calls) == report.operations
    assert calls.keys() == returns.keys()
    for request, event in returns.items():
        assert event.t >= calls[request].t
        if event.x["outcome"] == "ok" and calls[request].x["kind"] == "put":
            assert event.x["index"] > 0
    rows = {row[0] for event in trace.events if event.w and event.w.log for row in event.w.log.app}
    assert {event.x["index"] for event in returns.values() if "index" in event.x} <= rows | {0}


def test_header_holds_the_run() -> None:
    """From its header a trace's run can be repeated."""
    report, trace = _recorded(2)
    schedule = msgspec.convert(trace.header.schedule, Schedule)
    assert schedule == generate(2)
    assert (trace.header.seed, trace.header.kind) == (2, "sim")
    assert run_schedule(schedule).trace_hash == report.trace_hash


def test_faults_and_cuts_begin_and_end() -> None:
    """A partition is a fault with its links; messages lost in it say so; and both end."""
    schedule = steady(Fault(at=2.0, kind="isolate", servers=(0,), seconds=4.0), seconds=8.0)
    report, trace = record_schedule(schedule)
    assert report.ok
    began, ended = (event for event in trace.events if event.k is Kind.FAULT and "number" in event.x)
    (cut,) = (event for event in trace.events if event.k is Kind.PART)
    (healed,) = (event for event in trace.events if event.k is Kind.HEAL)
    assert began.x["kind"] == "isolate"
    assert ended.x == {"number": 1, "kind": "isolate", "ended": True}
    assert cut.t == began.t == 2_000_000
    assert healed.t == ended.t == 6_000_000
    assert len(cut.x["links"]) == 4
    assert cut.x["links"] == healed.x["links"]
    assert "partition" in {event.cause for event in trace.events if event.k is Kind.DROP}


def test_crashes_say_how_and_lose_messages() -> None:
    """A kill, a power loss and an orderly stop are told apart, and the next life knows the one before."""
    faults = tuple(
        Fault(at=at, kind=kind, servers=(0,), seconds=0.5)
        for at, kind in ((1.0, "kill"), (3.0, "power"), (5.0, "restart"))
    )
    report, trace = record_schedule(steady(*faults, seconds=8.0))
    assert report.ok
    crashes = [event for event in trace.events if event.k is Kind.CRASH]
    assert [(event.x["why"], event.x["power"]) for event in crashes] == [
        ("killed", False),
        ("killed", True),
        ("stopped", False),
    ]
    again = [event for event in trace.events if event.k is Kind.RESTART and parse_id(event.id).epoch > 1]
    assert len(again) == 3
    assert all(parse_id(event.rd["term"]).lane == parse_id(event.id).lane for event in again)
    assert "dst_down" in {event.cause for event in trace.events if event.k is Kind.DROP}


def test_frames_are_lost_and_doubled_one_by_one() -> None:
    """Single frames that are lost, damaged, doubled or replayed are known by message."""
    kinds = ("frame_drop", "frame_duplicate", "frame_replay", "frame_corrupt")
    faults = tuple(Fault(at=1.0 + at, kind=kind, seconds=1.0, value=0.2) for at, kind in enumerate(kinds))
    report, trace = record_schedule(steady(*faults, seconds=6.0))
    assert report.ok
    dropped = Counter(event.cause for event in trace.events if event.k is Kind.DROP)
    assert 0 < dropped["lost"] <= report.strikes["frame.drop"]
    assert 0 < dropped["corrupt"] <= report.strikes["frame.corrupt"]
    copies = [event for event in trace.events if event.k is Kind.DUP]
    assert copies
    arrived = {event.m for event in trace.events if event.k is Kind.RECV and "#" in event.m}
    assert arrived & {event.m for event in copies}


def test_commit_is_explained_briefly() -> None:
    """`why` of a commit is a short chain, in a run of any length, and holds the election and the proposal."""
    trace = record_schedule(steady(Fault(at=2.0, kind="kill", servers=(0,), seconds=1.0)))[1]
    commits = [event for event in trace.events if "L-4" in event.r]
    explanations = [why(trace, event.id, "commit") for event in commits]
    sizes = sorted(map(len, explanations))
    assert sizes[len(sizes) // 2] <= 40
    assert not any(each.truncated or each.unresolved for each in explanations)


def test_violation_is_the_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that breaks a property ends with what it is, and with witnesses."""

    def promise_too_early(state: RaftState, to: int, message: object) -> None:
        state.messages.append((to, message))

    monkeypatch.setattr(RaftState, "send_after_persist", promise_too_early)
    report, trace = record_schedule(steady(seconds=1.0))
    assert not report.ok
    last = trace.events[-1]
    assert last.k is Kind.VIOL
    assert parse_id(last.id).lane == WORLD
    assert last.x["property"] == report.violations[0].name
    assert trace.find(last.x["witnesses"][0]) is not None
