"""`oarlock lab new`: a package that imports, runs, and fails everywhere, as an exercise must."""

import sys
from pathlib import Path

import pytest

from oarlock.lab.suite.session import Session
from oarlock.lab.suite.table import choose
from oarlock.lab.template import AlreadyThere, write_template


def test_the_template_runs_and_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written can be run at once; its bodies are missing, so there is no leader."""
    written = write_template("begun", tmp_path)
    assert sorted(path.name for path in written) == ["README.md", "__init__.py", "messages.py", "raft.py"]
    assert not any("NAME" in path.read_text() for path in written)
    assert "EXERCISE" in (tmp_path / "begun" / "raft.py").read_text()
    monkeypatch.chdir(tmp_path)
    outcome = Session("begun:make", 1).run(choose(["InitialElection"])[0])
    assert outcome.failure == "no leader among the connected servers in 5 s"
    assert "begun" not in sys.modules


@pytest.mark.parametrize(
    ("name", "why"), [("not-a-name", "cannot name"), ("class", "cannot name"), ("there", "is there")]
)
def test_names_are_checked(tmp_path: Path, name: str, why: str) -> None:
    """Nothing is overwritten, and what cannot be imported is not written."""
    (tmp_path / "there").mkdir()
    with pytest.raises(AlreadyThere, match=why):
        write_template(name, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
