"""`pytest --pyargs oarlock.lab --raft yourpackage:make`, as a learner calls it."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from tests.support.source_tree import ROOT

from oarlock.lab.template import write_template


def run(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """In a directory of the learner's."""
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "pytest", "-p", "oarlock.lab.pytest_plugin", "-q", "--pyargs", "oarlock.lab"]
    return subprocess.run(
        [*command, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=100
    )


def test_the_plugin_is_registered() -> None:
    """Installed packages are known to pytest by their entry points: ours is one."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"]["oarlock-lab"] == "oarlock.lab.pytest_plugin"


def test_ours_passes(tmp_path: Path) -> None:
    """Each scenario is a test; the figures are shown at the end."""
    done = run(tmp_path, "--raft", "oarlock.lab.raft:make", "--raft-part", "2A", "--raft-part", "Count")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout
    assert "RPCs for 12 commands: " in done.stdout


def test_the_template_fails(tmp_path: Path) -> None:
    """A failure is a sentence and a command, without a traceback of ours."""
    write_template("mine", tmp_path)
    done = run(tmp_path, "--raft", "mine:make", "--raft-part", "InitialElection", "--raft-seed", "9")
    assert done.returncode == 1
    assert "3A-InitialElection failed: no leader among the connected servers in 5 s" in done.stdout
    assert "again: oarlock lab run mine:make --part 3A-InitialElection --virtual --seed 9" in done.stdout
    assert "Traceback" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "--raft PACKAGE:MAKE must say whose Raft is to be tested"),
        (["--raft", "mine:make", "--raft-part", "7"], "no part or scenario '7'"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, arguments: list[str], sentence: str) -> None:
    """Without a target, or with a part that is none, nothing runs, and one line says why."""
    done = run(tmp_path, *arguments)
    assert done.returncode != 0
    assert sentence in done.stdout + done.stderr
