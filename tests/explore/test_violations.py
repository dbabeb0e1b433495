"""What does not hold is found, by a shortest way that can be gone again."""

import subprocess
import sys

import msgspec
import pytest

from oarlock.cli.explore import describe as describe_result
from oarlock.explore import Bounds, Limits, Result, Step, explore
from oarlock.explore.events import describe
from oarlock.explore.moves import Move
from oarlock.explore.space import Space
from oarlock.explore.trace import stand
from oarlock.explore.violation import Broken

BOUNDS = Bounds(terms=1, entries=0, heartbeats=False)


@pytest.fixture
def minority(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """One server of three counts as a majority."""
    monkeypatch.setattr("oarlock.raft.quorum.majority", lambda voters: voters // 2)
    return monkeypatch


def walk(result: Result) -> Broken | None:
    """Go the way of a result from the beginning; what breaks at its end, if anything."""
    assert result.found is not None
    space = Space(result.bounds)
    parts = list(space.unpack(space.first()))
    for step in result.found.steps[:-1]:
        parts = next(space.parts(after) for after in space.steps(parts) if _is_step(space, after[-1], step))
    try:
        for standing, _under_way, history, _move in space.steps(parts):
            space.check(standing, history)
    except Broken as broken:
        return broken
    return None


def _is_step(space: Space, move: Move, step: Step) -> bool:
    view = space.servers.views[move.server]
    return (view.id, describe(move.event), stand(view)) == (step.server, step.what, step.after)


@pytest.mark.usefixtures("minority")
def test_a_core_that_counts_a_minority_is_found() -> None:
    """With one of three for a majority an entry commits with one copy, and the shortest way there is told."""
    result = explore(BOUNDS)
    assert result.found is not None
    assert result.found.property == "committed on a durable quorum"
    assert result.found.steps[0].what == "has its election timer run out"
    assert "VIOLATED committed on a durable quorum" in describe_result(result)


def test_a_way_that_was_found_can_be_gone_again(minority: pytest.MonkeyPatch) -> None:
    """The steps told lead a fresh cluster to the same violation; a sound core to none."""
    result = explore(BOUNDS)
    again = walk(result)
    assert again is not None
    assert result.found is not None
    assert (again.name, again.sentence) == (result.found.property, result.found.sentence)
    minority.undo()
    assert explore(BOUNDS).found is None
    assert walk(result) is None


def test_a_limit_ends_an_exploration_and_says_so() -> None:
    """What is stopped by a limit does not pass for complete."""
    result = explore(BOUNDS, Limits(depth=3))
    assert not result.is_complete
    assert "NOT complete, stopped by the limit on depth" in describe_result(result)


def test_limits_are_looked_at_often() -> None:
    """An exploration ends soon after its limit is reached, not thousands of states later."""
    result = explore(Bounds(terms=2, entries=0), Limits(states=1000))
    assert result.stopped_by == "states"
    assert 1000 <= result.states < 3000


def test_a_mutant_of_the_zoo_is_found_from_the_command_line() -> None:
    """`oarlock explore --mutant` explores the code with that bug, and ends with 1 and the way there as data."""
    arguments = ["explore", "--terms", "1", "--entries", "0", "--no-heartbeats", "--quiet", "--json"]
    command = [sys.executable, "-m", "oarlock.cli.main", *arguments]
    sound = subprocess.run(command, capture_output=True, check=False)
    assert sound.returncode == 0, sound.stderr
    assert msgspec.json.decode(sound.stdout, type=Result).is_complete
    mutant = subprocess.run([*command, "--mutant", "refusals-count-as-votes"], capture_output=True, check=False)
    assert mutant.returncode == 1, mutant.stderr
    found = msgspec.json.decode(mutant.stdout, type=Result).found
    assert found is not None
    assert found.steps
