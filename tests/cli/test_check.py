"""`oarlock check`: the verdict, in words, in JSON and as the exit status."""

import json
from pathlib import Path

import pytest
from tests.support.source_tree import ROOT

from oarlock.cli.main import main

HISTORIES = ROOT / "tests" / "histories"


def first(folder: str) -> str:
    """One history of the corpus."""
    return str(min((HISTORIES / folder).glob("*.jsonl")))


@pytest.mark.parametrize(("folder", "status"), [("ok", 0), ("bad", 1)])
def test_the_verdict_is_the_exit_status(folder: str, status: int, capsys: pytest.CaptureFixture[str]) -> None:
    """A linearizable history ends with 0, another with 1 and the operation that does not fit."""
    assert main(["check", first(folder)]) == status
    assert ("VIOLATED" in capsys.readouterr().out) is (status == 1)


def test_the_verdict_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """With --json the report is one JSON object."""
    assert main(["check", "--json", first("bad")]) == 1
    assert json.loads(capsys.readouterr().out)["verdict"] == "violated"


def test_a_search_given_up_is_no_approval() -> None:
    """A budget too small for an answer has a status of its own."""
    assert main(["check", "--max-steps", "1", first("ok")]) == 3


def test_what_is_no_history_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing file, or one of other lines, is told in one line that names it."""
    wrong = tmp_path / "wrong.jsonl"
    wrong.write_text("{}\n")
    for path in (tmp_path / "missing.jsonl", wrong):
        assert main(["check", str(path)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert path.name in line
