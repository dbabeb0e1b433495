"""A learner's first Raft, not written for the advisor: nothing is said of it, and its bugs are found."""

import shutil
from pathlib import Path

import pytest
from tests.support import lab_plain_bugs
from tests.support.lab_plain_bugs import PLAIN_BUGS, PlainBug

from oarlock.lab.advisor import Advice, advise

PACKAGE = Path(lab_plain_bugs.__file__).parent / "plain_raft"
CHECKS = {
    "T3": "several-appliers",
    "K6": "unchecked-reply",
    "K4": "waits-with-lock",
    "T1": "serial-rpcs",
    "T2": "combined-timers",
    "T4": "applier-not-woken",
}
"""Which check is to find which pitfall."""
OF_THE_ADVICE = [bug for bug in PLAIN_BUGS if set(bug.pitfalls) & CHECKS.keys()]


def _advise(folder: Path, monkeypatch: pytest.MonkeyPatch, bug: PlainBug | None) -> Advice:
    shutil.copytree(PACKAGE, folder / "plain_raft", ignore=shutil.ignore_patterns("__pycache__"))
    if bug is not None:
        server = folder / "plain_raft" / "server.py"
        server.write_text(bug.patch(server.read_text()))
    monkeypatch.chdir(folder)
    return advise("plain_raft:make", seeds=(1,))


def test_nothing_is_said_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It follows the advice."""
    advice = _advise(tmp_path, monkeypatch, None)
    assert advice.findings == []
    assert advice.errors == []


@pytest.mark.parametrize("bug", OF_THE_ADVICE, ids=lambda bug: bug.id)
def test_bug_is_found(bug: PlainBug, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each bug of it that goes against the advice is found by the check of its pitfall."""
    found = {finding.check for finding in _advise(tmp_path, monkeypatch, bug).findings}
    assert found & {CHECKS[pitfall] for pitfall in bug.pitfalls if pitfall in CHECKS}


def test_all_pitfalls_are_there() -> None:
    """No pitfall that is to be found has lost its bug."""
    assert {pitfall for bug in OF_THE_ADVICE for pitfall in bug.pitfalls} >= CHECKS.keys()
