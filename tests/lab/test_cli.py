"""`oarlock lab`: runs, lists, begins, and says what failed and how to see it again."""

from pathlib import Path

import msgspec
import pytest

from oarlock.cli.main import main
from oarlock.cli.recorded import load_recorded
from oarlock.lab.suite.catalogue import SCENARIOS
from oarlock.lab.suite.raft_harness import RaftHarness
from oarlock.lab.suite.report import Score


@pytest.fixture
def arranged(monkeypatch: pytest.MonkeyPatch) -> str:
    """A scenario that fails after an election."""

    def run(lab: RaftHarness) -> None:
        lab.check_one_leader()
        lab.require(lab.now() < 0, "this was arranged")

    entry = msgspec.structs.replace(SCENARIOS["3A-InitialElection"], name="Arranged", part="9Z", run=run)
    monkeypatch.setitem(SCENARIOS, entry.id, entry)
    return entry.id


def test_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each scenario, a score, and status 0."""
    assert main(["lab", "run", "oarlock.lab.raft:make", "--part", "InitialElection", "BasicAgree"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[1:3]] == [["3A-InitialElection", "passed"], ["3B-BasicAgree", "passed"]]
    assert lines[3] == "2 of 2 passed on virtual time, seed 1"


def test_a_run_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """All figures, beside the budgets."""
    assert main(["lab", "run", "oarlock.lab.raft:make", "--part", "Count", "--json", "--seed", "3"]) == 0
    total = msgspec.json.decode(capsys.readouterr().out, type=Score)
    assert (total.passed, total.total, total.seed) == (1, 1, 3)
    assert [measure.most for measure in total.outcomes[0].measures] == [30, 42, 60]


def test_a_failing_run(arranged: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 1, one sentence, the last RPCs, and the command that shows it again, for each seed."""
    assert main(["lab", "run", "oarlock.lab.raft:make", "--part", arranged, "--seeds", "2"]) == 1
    out = capsys.readouterr().out
    assert "9Z-Arranged failed: this was arranged" in out
    assert "Raft.append_entries" in out
    assert "again: oarlock lab run oarlock.lab.raft:make --part 9Z-Arranged --virtual --seed 2" in out


def test_a_trace_of_what_fails(arranged: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An implementation that can be recorded leaves a trace, with the failure in it, and a page."""
    traces = tmp_path / "out"
    assert main(["lab", "run", "oarlock.lab.raft:make", "--part", arranged, "--trace", str(traces)]) == 1
    trace = load_recorded([traces / "9Z-Arranged-seed1.trace"])
    assert [event.x["sentence"] for event in trace.events if event.k == "viol"] == ["this was arranged"]
    assert "<html" in (traces / "9Z-Arranged-seed1.html").read_text()
    capsys.readouterr()
    main(["trace", "check", str(traces / "9Z-Arranged-seed1.trace")])
    assert "0 messages unresolved; 1 problems" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run", "oarlock.lab.raft:make", "--part", "3Q"], "no part or scenario '3Q'"),
        (["run", "no_such_module:make"], "no_such_module"),
        (["run", "oarlock.lab.raft:nothing"], "has no 'nothing'"),
        (["run", "nonsense"], "is not of the form package.module:function"),
        (["new", "not-a-name"], "cannot name a package"),
    ],
)
def test_what_is_not_there(arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2 and one line that names it."""
    assert main(["lab", *arguments]) == 2
    assert sentence in capsys.readouterr().err


def test_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    """Every scenario with its budgets."""
    assert main(["lab", "list", "--json"]) == 0
    rows = msgspec.json.decode(capsys.readouterr().out)
    assert len([row for row in rows if row["part"].startswith("3")]) == 28
    assert main(["lab", "list"]) == 0
    assert "3D-SnapshotInit" in capsys.readouterr().out


def test_new(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A package to begin with, and what to do next."""
    monkeypatch.chdir(tmp_path)
    assert main(["lab", "new", "mine"]) == 0
    assert (tmp_path / "mine" / "README.md").exists()
    assert "oarlock lab run mine:make --part 3A" in capsys.readouterr().out
