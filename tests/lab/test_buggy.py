"""Each deliberately buggy copy, of our Raft and of a learner's first, fails in the scenario expected to catch it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from tests.support.lab_mutants import BUGGY, NOT_SEEN, Buggy, write_server
from tests.support.lab_plain_bugs import PLAIN_BUGS, PlainBug
from tests.support.source_tree import ROOT

from oarlock.lab.suite.catalogue import SCENARIOS
from oarlock.lab.suite.run import Outcome
from oarlock.lab.suite.session import Session

PLAIN = ROOT / "tests" / "support" / "plain_raft"


@pytest.mark.parametrize("buggy", [each for each in BUGGY if not each.is_in_core], ids=lambda buggy: buggy.id)
def test_the_bug_around_the_core_shows(buggy: Buggy, tmp_path: Path) -> None:
    """The scenario fails with the seed named."""
    outcome = Session(write_server(buggy.mutant, tmp_path), buggy.seed).run(SCENARIOS[buggy.scenario])
    assert not outcome.passed


@pytest.mark.cluster
@pytest.mark.parametrize("buggy", [each for each in BUGGY if each.is_in_core], ids=lambda buggy: buggy.id)
def test_the_bug_in_the_core_shows(buggy: Buggy) -> None:
    """The scenario fails with the seed named, for a reason it gives; test_our_raft.py has it pass without the bug."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.lab_trial", buggy.id, f"{buggy.scenario}:{buggy.seed}"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    outcome = msgspec.json.decode(done.stdout, type=Outcome)
    assert not outcome.passed
    assert outcome.scenario == buggy.scenario
    assert outcome.failure


@pytest.mark.parametrize(
    "scenario",
    [
        *("3A-InitialElection", "3A-ReElection", "3A-ManyElections", "3B-BasicAgree", "3B-RPCBytes", "3B-Count"),
        *("3B-FollowerFailure", "3B-FailAgree", "3B-ConcurrentStarts", "3B-Rejoin", "3C-Persist1", "3C-Persist2"),
        *("3C-UnreliableAgree", "3D-SnapshotBasic", "3D-SnapshotAllCrash", "3D-SnapshotInit"),
    ],
)
def test_the_plain_raft_passes(scenario: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Raft that knows nothing of our core passes: the suite asks for no more than the labs' interface."""
    monkeypatch.chdir(PLAIN.parent)
    outcome = Session("plain_raft:make", 1).run(SCENARIOS[scenario])
    assert outcome.passed, outcome.failure


@pytest.mark.parametrize("buggy", PLAIN_BUGS, ids=lambda buggy: buggy.id)
def test_the_learners_bug_shows(buggy: PlainBug, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The scenario fails on the plain Raft with this bug."""
    shutil.copytree(PLAIN, tmp_path / PLAIN.name)
    server = tmp_path / PLAIN.name / "server.py"
    server.write_text(buggy.patch(server.read_text()))
    monkeypatch.chdir(tmp_path)
    outcome = Session("plain_raft:make", buggy.seed).run(SCENARIOS[buggy.scenario])
    assert not outcome.passed


def test_each_pitfall_is_accounted_for() -> None:
    """Every pitfall of the Guide and the advice that a Raft without services can have is shown or its absence told."""
    shown = {pitfall for buggy in BUGGY for pitfall in buggy.mutant.breaks}
    shown |= {pitfall for buggy in PLAIN_BUGS for pitfall in buggy.pitfalls}
    told = {pitfall for pitfalls in NOT_SEEN for pitfall in pitfalls.split()}
    raft = {f"G{number}" for number in range(1, 24)} | {f"K{number}" for number in range(1, 7)}
    raft |= {f"T{number}" for number in range(1, 5)} | {f"B{number}" for number in range(1, 11)}
    assert raft <= shown | told, sorted(raft - shown - told)
