"""Traces of Rafts that know nothing of traces."""

from collections import Counter
from pathlib import Path

import pytest
from tests.support.source_tree import ROOT

from oarlock.lab.suite.catalogue import SCENARIOS
from oarlock.lab.suite.session import Session
from oarlock.trace.loaded import Trace
from oarlock.trace.schema import Event, Kind, parse_id

PLAIN = "plain_raft:make"


@pytest.fixture(autouse=True)
def _beside_the_plain_raft(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT / "tests" / "support")


@pytest.mark.parametrize("scenario", ["3B-FailAgree", "3D-SnapshotInstallUnCrash", "4B-PersistConcurrentUnreliable"])
def test_recording_changes_nothing(scenario: str) -> None:
    """On virtual time the run that is recorded from outside is the run that is not."""
    session = Session(PLAIN, 3)
    plain = session.run(SCENARIOS[scenario])
    recorded, trace = session.run_recorded(SCENARIOS[scenario])
    assert recorded.passed
    assert (recorded.rpcs, recorded.bytes, recorded.seconds) == (plain.rpcs, plain.bytes, plain.seconds)
    assert trace.events


def test_every_message_ends_once() -> None:
    """A request and a reply each arrive, or are lost with a cause, at most once; and none arrives before it was sent."""
    _, (header, events) = Session(PLAIN, 2).run_recorded(SCENARIOS["3D-SnapshotInstallUnCrash"])
    run = Trace(header, events)
    place = {event.id: position for position, event in enumerate(run.events)}
    ends = Counter(event.m for event in events if event.k in (Kind.RECV, Kind.DROP))
    assert max(ends.values()) == 1
    for event in events:
        if event.k is Kind.RECV:
            sent = run.events[place[event.m]]
            assert (sent.src, sent.to, sent.t <= event.t) == (event.src, event.to, True)
            assert sent.lc < event.lc
    assert {event.cause for event in events if event.k is Kind.DROP} == {"lost", "partition", "dst_down", "src_down"}


def _of(events: list[Event], kind: Kind, lane: str) -> list[Event]:
    return [event for event in events if event.k is kind and parse_id(event.id).lane == lane]


def test_lives_cuts_and_applies_are_seen() -> None:
    """Restarts begin new lives after the old ones' crashes, cuts heal, and each server's applied index is followed."""
    outcome, (header, events) = Session(PLAIN, 1).run_recorded(SCENARIOS["3C-Persist1"])
    assert outcome.passed
    assert header.nodes == {"n1": "raft 0", "n2": "raft 1", "n3": "raft 2"}
    for lane in header.nodes:
        lives = [parse_id(event.id).epoch for event in _of(events, Kind.RESTART, lane)]
        assert lives == list(range(1, len(lives) + 1))
        assert len(_of(events, Kind.CRASH, lane)) == len(lives) - 1 > 0
        last = _of(events, Kind.APPLY, lane)[-1]
        assert last.w is not None
        assert last.w.applied is not None
        assert last.w.applied[1] == outcome.commands
    assert any(event.k is Kind.PART for event in events)
    assert any(event.k is Kind.HEAL for event in events)


def test_a_failure_ends_the_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the scenario found wrong is the last event."""
    (tmp_path / "idle.py").write_text(
        "class Idle:\n"
        "    def start(self, command): return 0, 0, False\n"
        "    def get_state(self): return 0, False\n"
        "    def snapshot(self, index, data): pass\n"
        "    def persist_bytes(self): return 0\n"
        "    def kill(self): pass\n"
        "def make(peers, me, persister, apply_ch): return Idle()\n"
    )
    monkeypatch.chdir(tmp_path)
    outcome, recorded = Session("idle:make", 1).run_recorded(SCENARIOS["3A-InitialElection"])
    assert not outcome.passed
    assert recorded.events[-1].k is Kind.VIOL
    assert recorded.events[-1].x["sentence"] == outcome.failure.splitlines()[0]
