"""The way to a violation as a trace: every step, every message, and nothing that did not happen."""

import io
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from oarlock.cli.draw import draw
from oarlock.explore import Bounds, Result, explore
from oarlock.trace.loaded import Trace, load
from oarlock.trace.schema import Event, Kind
from oarlock.trace.state import Replay

WAYS = {
    "refusals-count-as-votes": "--terms 1 --entries 0 --no-heartbeats",
    "votes-for-any-log": "--terms 2 --entries 0 --no-heartbeats --candidates 1 2",
    "forgets-votes": "--terms 1 --entries 0 --crashes 1",
    "votes-before-the-disk": "--terms 1 --entries 0 --writes 1",
    "keeps-another-history": "--terms 2 --entries 0 --snapshots 1 --no-heartbeats",
}
"""By mutant, bounds within which it is found soon."""


def way_of(mutant: str, bounds: str, path: Path) -> tuple[Result, Trace]:
    """What an exploration finds, and its trace."""
    arguments = ["explore", *bounds.split(), "--mutant", mutant, "--trace", str(path), "--quiet", "--json"]
    run = subprocess.run([sys.executable, "-m", "oarlock.cli.main", *arguments], capture_output=True, check=False)
    assert run.returncode == 1, run.stderr
    return msgspec.json.decode(run.stdout, type=Result), load(path)


def steps_told(trace: Trace) -> list[str]:
    """What servers did in a trace, in the words of the exploration, as far as a trace tells it."""
    told = []
    sent = {event.m: event for event in trace.events if event.k is Kind.SEND}
    for event in trace.events:
        if event.k is Kind.RECV:
            assert event.src is not None
            message = sent[event.m.partition("#")[0]].x
            source = int(event.src[1:], 16)
            told.append(f"takes {message['type']} of term {message['term']} from server {source}")
        elif event.k is Kind.CRASH:
            told.append("crashes")
    return told


@pytest.mark.parametrize(("mutant", "bounds"), WAYS.items(), ids=WAYS)
def test_a_way_is_told_with_all_that_was_sent(mutant: str, bounds: str, tmp_path: Path) -> None:
    """Each message that a step takes was sent before; states follow from one another, up to the violation that ends it."""
    result, trace = way_of(mutant, bounds, tmp_path / "way.jsonl")
    assert result.found is not None
    replay, sent = Replay(), list[str]()
    for event in trace.events:
        replay.apply(event)  # raises where a state does not follow
        if event.k in (Kind.SEND, Kind.DUP):
            sent.append(event.m)
        elif event.k is Kind.RECV:
            sent.remove(event.m.partition("#")[0])  # each as often as it was sent or doubled
    last: Event = trace.events[-1]
    assert last.k is Kind.VIOL
    assert (last.x["property"], last.x["sentence"]) == (result.found.property, result.found.sentence)
    told = steps_told(trace)
    for step in result.found.steps:
        what = step.what.partition(",")[0]
        if what.startswith("takes RequestVote") and "somebody" not in what:
            assert what in told


def test_a_way_is_told_by_whoever_explores_and_can_be_drawn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A trace is written where something is found, and is one that `oarlock draw` takes; else nothing is written."""
    bounds = Bounds(terms=1, entries=1)
    nothing = io.BytesIO()
    assert explore(Bounds(terms=1, entries=0, heartbeats=False), trace=nothing).found is None
    assert not nothing.getvalue()
    monkeypatch.setattr("oarlock.raft.quorum.majority", lambda voters: voters // 2)
    path = tmp_path / "way.jsonl"
    with path.open("wb") as out:
        assert explore(bounds, trace=out).found is not None
    assert draw([str(path), "-o", str(tmp_path / "way.svg")]) == 0
    assert "<svg" in (tmp_path / "way.svg").read_text()
