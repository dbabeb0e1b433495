"""Buggy copies of our own threaded Raft are seen."""

from pathlib import Path

import pytest
from tests.support.advice_mutants import SEEN, Seen, write

from oarlock.lab.advisor import advise


@pytest.mark.parametrize("seen", SEEN, ids=lambda seen: seen.mutant.id)
def test_buggy_copy_is_reported(seen: Seen, tmp_path: Path) -> None:
    """The advisor finds the bug in a copy of our own Raft, where it finds nothing in the original."""
    advice = advise(write(seen.mutant, tmp_path), seeds=(1,), also=seen.also)
    assert seen.check in {finding.check for finding in advice.findings}
