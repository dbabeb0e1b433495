"""`oarlock sim`, `hunt` and `shrink`."""

import json
from pathlib import Path

import pytest
from tests.support.simulated import steady

from oarlock.cli.main import main
from oarlock.raft.state import RaftState
from oarlock.sim import read_schedule, write_schedule
from oarlock.trace.loaded import load
from oarlock.trace.schema import Kind


def _promise_too_early(state: RaftState, to: int, message: object) -> None:
    state.messages.append((to, message))


def test_sim_reports_and_traces(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A seed's run is described, its events are written as lines, and its schedule can be kept."""
    trace, kept = tmp_path / "trace.jsonl", tmp_path / "run.json"
    assert main(["sim", "--seed", "5", "--trace", str(trace), "--write-schedule", str(kept)]) == 0
    assert "every property held" in capsys.readouterr().out
    recorded = load(trace)
    assert recorded.header.seed == 5
    assert {Kind.FAULT, Kind.CLIENT, Kind.SEND, Kind.RECV} <= {event.k for event in recorded.events}
    assert main(["sim", "--schedule", str(kept), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["seed"] == 5


def test_sim_refuses_what_is_no_schedule(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A bad file is named."""
    (tmp_path / "no.json").write_text("[]")
    assert main(["sim", "--schedule", str(tmp_path / "no.json")]) == 2
    assert "no.json" in capsys.readouterr().err


def test_hunt_and_shrink(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A hunt ends with the seed, the property and the commands; what is reduced replays from its file."""
    assert main(["hunt", "--seeds", "0..1", "--jobs", "1", "--quiet"]) == 0
    assert "every property held in all 2 runs" in capsys.readouterr().out
    assert main(["shrink", "5", "--quiet"]) == 1
    monkeypatch.setattr(RaftState, "send_after_persist", _promise_too_early)
    assert main(["hunt", "--seeds", "3..9", "--jobs", "1"]) == 1
    shown = capsys.readouterr().out
    assert "BROKE nothing promised before it is durable" in shown
    assert "oarlock sim --seed" in shown
    failing, out = tmp_path / "failing.json", tmp_path / "least.json"
    write_schedule(steady(seconds=1.0), failing)
    assert main(["shrink", str(failing), "--out", str(out)]) == 0
    assert read_schedule(out).operations == ()
    assert main(["sim", "--schedule", str(out)]) == 1


def test_hunt_refuses_bad_ranges(capsys: pytest.CaptureFixture[str]) -> None:
    """Seeds are A..B, with A up to B."""
    for text in ("5", "9..3", "a..b"):
        with pytest.raises(SystemExit):
            main(["hunt", "--seeds", text])
        assert "A..B" in capsys.readouterr().err
