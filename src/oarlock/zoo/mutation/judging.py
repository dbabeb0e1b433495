"""Has mutants judged in a process that has imported nothing of ours, and hears of each as it comes."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from oarlock.zoo.core import scenes
from oarlock.zoo.fresh import fresh_environment
from oarlock.zoo.mutation.judged import Assignment, Judged, Trial
from oarlock.zoo.mutation.mutants import General

SUITES: Final = {
    "raft": ["tests/paper", "tests/raft", "--ignore=tests/paper/test_rules_page.py"],
    "storage": ["tests/storage"],
}
"""The tests of each room; not that a page is up to date, which costs much and says nothing of the code."""
_CORE_SEEDS: Final = 40
_STORAGE_SEEDS: Final = 30
_DRILLS: Final = 3
_NODE_SEEDS: Final = 7


class JudgeFailed(Exception):
    """The judge ended without all verdicts."""


def trials_of(room: str) -> list[Trial]:
    """The runs for a room's mutants: those of whole servers last."""
    if room == "raft":
        first = [Trial("scenes", 1, name) for name in scenes.SCENES]
        first += [Trial("core", seed) for seed in range(1, _CORE_SEEDS + 1)]
    else:
        first = [Trial("storage", seed) for seed in range(1, _STORAGE_SEEDS + 1)]
    drills = [Trial("drill", seed) for seed in range(1, _DRILLS + 1)]
    return first + drills + [Trial("node", seed) for seed in range(1, _NODE_SEEDS + 1)]


def judge_all(
    mutants: Sequence[General],
    *,
    suites: bool,
    on_verdict: Callable[[Judged], None] = lambda judged: None,  # noqa: ARG005
) -> list[Judged]:
    """Judge mutants one after the other: by simulation, and those that survive by their room's tests.

    Args:
        mutants: Which.
        suites: Whether the tests are run; they are looked for in the present directory.
        on_verdict: Told of each as it comes.

    Raises:
        JudgeFailed: It gave up: the code as it is does not pass, or something else is wrong.
    """
    rooms = sorted({mutant.room for mutant in mutants})
    tests = {room: SUITES[room] for room in rooms if suites and Path(SUITES[room][0]).is_dir()}
    assignment = Assignment(list(mutants), {room: trials_of(room) for room in rooms}, tests)
    with subprocess.Popen(
        [sys.executable, "-m", "oarlock.zoo.mutation.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=fresh_environment(),
    ) as process:
        assert process.stdin is not None  # noqa: S101 - asked for
        assert process.stdout is not None  # noqa: S101
        process.stdin.write(msgspec.json.encode(assignment))
        process.stdin.close()
        verdicts = []
        for line in process.stdout:
            verdict = msgspec.json.decode(line, type=Judged)
            on_verdict(verdict)
            verdicts.append(verdict)
    if process.returncode or len(verdicts) != len(mutants):
        raise JudgeFailed(f"{len(verdicts)} of {len(mutants)} mutants were judged; the judge said why")
    return verdicts
