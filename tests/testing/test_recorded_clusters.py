"""Simulated clusters of replicated objects as recorded runs: what is in the record, and what a failing test shows."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.support.replicated import Register
from tests.testing.test_pytest_plugin import run_pytest

import oarlock
from oarlock.cli.main import main
from oarlock.diagram.audit import audit
from oarlock.diagram.page import page
from oarlock.testing import RecordedRuns, simulate
from oarlock.testing.simulated import Client, RunFailed, SimulatedRun
from oarlock.trace.loaded import Trace, load
from oarlock.trace.provenance import why
from oarlock.trace.schema import Event, Kind

SEED = 3


async def count(client: Client) -> None:
    """Adds, reads, and fails."""
    [register] = client.objects
    while True:
        try:
            match client.rng.randrange(3):
                case 0:
                    await register.add(1)
                case 1:
                    await register.read("get")
                case 2:
                    await register.fail("key")
        except (oarlock.OarlockError, KeyError):
            pass
        await client.pause(client.rng.random() * 0.3)


def run(**arguments: Any) -> SimulatedRun:
    return simulate(SEED, objects=lambda: [Register()], work=count, seconds=6, faults=5, **arguments)


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Trace:
    """A run as a file, read back."""
    path = tmp_path_factory.mktemp("run") / "run.jsonl"
    run(record=path)
    return load(path)


def calls(trace: Trace, operation: str) -> dict[int, Event]:
    """What clients did, by number."""
    return {
        event.x["request"]: event for event in trace.events if event.k is Kind.CLIENT and event.x["op"] == operation
    }


def test_recording_changes_nothing() -> None:
    """The run is the same, to the last answer and the last simulated second."""
    assert run() == run(record=lambda _trace: None)


def test_every_step_and_every_message_is_there(trace: Trace) -> None:
    """Servers' steps and faults are recorded, each message that arrives was sent, and each event has its reasons."""
    kinds = Counter(event.k for event in trace.events)
    assert kinds.keys() >= {Kind.RESTART, Kind.SEND, Kind.RECV, Kind.FSYNC, Kind.APPLY, Kind.CRASH, Kind.FAULT}
    received = [event for event in trace.events if event.k is Kind.RECV]
    assert all(trace.find(event.m) is not None for event in received)
    assert set(trace.header.nodes.values()) == {"server 0", "server 1", "server 2"}
    committed = next(event.id for event in reversed(trace.events) if event.w is not None and event.w.commit is not None)
    assert len(list(why(trace, committed, "").steps)) > 5
    assert "<!doctype html>" in page(trace.header, trace.events, title="a run")


def test_a_recorded_run_is_drawn_and_explained_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file is one that `oarlock draw` and `oarlock trace` take, calls of objects included."""
    path, page = tmp_path / "run.jsonl", tmp_path / "run.html"
    run(record=path)
    assert main(["draw", str(path), "-o", str(page)]) == 0
    assert "<!doctype html>" in page.read_text(encoding="utf-8")
    assert main(["trace", "check", str(path)]) == 0
    assert "the record agrees with itself" in " ".join(capsys.readouterr().out.split())
    assert main(["trace", "show", str(path), "--kind", "client"]) == 0
    assert "register." in capsys.readouterr().out


def test_every_step_is_one_that_the_rules_allow() -> None:
    """The record of a run in which servers join and leave holds no step that goes against a rule, and all names."""
    kept: list[Trace] = []
    simulate(3, objects=lambda: [Register()], work=count, seconds=8, faults=14, spares=2, record=kept.append)
    [trace] = kept
    assert audit(trace) == []
    assert len(trace.header.nodes) > 3
    assert set(trace.servers) <= trace.header.nodes.keys()
    changed = {
        tuple(event.x["servers"]) for event in trace.events if event.k is Kind.FAULT and event.x["kind"] == "leave"
    }
    assert changed


def test_calls_are_on_the_axis_of_clients(trace: Trace) -> None:
    """Object, method, arguments and answer, and the index at which a call took effect; failures are answers too."""
    called, answered = calls(trace, "call"), calls(trace, "return")
    asked = Counter(event.x["kind"] for event in called.values())
    assert asked.keys() == {"register.add", "register.get", "register.fail"}
    assert len(answered) > 10
    committed = {
        index
        for event in trace.events
        if event.w is not None and event.w.commit is not None
        for index in range((event.w.commit[0] or 0) + 1, (event.w.commit[1] or 0) + 1)
    }
    for number, event in answered.items():
        what = called[number].x["kind"]
        if event.x["outcome"] == "ok":
            assert event.x["index"] in committed
            assert event.x.get("error", "").startswith("KeyError") == (what == "register.fail")
    places = [
        event.x["index"]
        for event in [*answered.values(), *calls(trace, "placed").values()]
        if "index" in event.x and called[event.x["request"]].x["kind"] != "register.get"
    ]
    assert len(set(places)) == len(places)


def test_whoever_was_not_answered_is_placed_all_the_same() -> None:
    """A command whose server died before it could tell has its index at the end, if it took effect."""
    kept: list[Trace] = []

    async def once(client: Client) -> None:
        await client.objects[0].add(1)

    simulate(2, objects=lambda: [Register()], work=once, seconds=4, faults=25, record=kept.append)
    [trace] = kept
    answered, placed = calls(trace, "return"), calls(trace, "placed")
    assert placed
    assert all("index" not in answered[number].x for number in placed if number in answered)


def test_a_run_that_fails_says_what_does_not_hold(tmp_path: Path) -> None:
    """The file is written, with the violation in it; the page is there and the seed is told."""

    async def wrong(client: Client) -> None:
        assert await client.objects[0].add(1) == 0

    runs = RecordedRuns()
    with pytest.raises(RunFailed, match="seed 5"):
        runs.simulate_cluster(5, objects=lambda: [Register()], work=wrong, seconds=5, faults=0)
    assert [event.x["property"] for event in runs.newest.events if event.k is Kind.VIOL] == ["the client's own checks"]
    (shown,) = runs.show("a test", tmp_path)
    assert shown.heading == "Oarlock, seed 5"
    assert "the client's own checks does not hold" in shown.text
    assert "simulate(5, " in shown.text


FAILING = """
import oarlock
from oarlock.replica.objects.counter import ReplicatedCounter

async def work(client):
    await client.objects[0].add(1)

def test_it(oarlock_runs):
    run = oarlock_runs.simulate_cluster(
        7, objects=lambda: [ReplicatedCounter("visits")], work=work, seconds=3, faults=2
    )
    assert not run.commands
"""


def test_a_failing_test_tells_seed_and_page(tmp_path: Path) -> None:
    """As for simulated servers: the plugin prints the seed, an explanation, and a page that is there."""
    printed = run_pytest(tmp_path, FAILING)
    assert "Oarlock, seed 7" in printed
    place = re.search(r"^page: (.*)$", printed, re.MULTILINE)
    assert place is not None
    assert "<!doctype html>" in Path(place[1]).read_text(encoding="utf-8")
