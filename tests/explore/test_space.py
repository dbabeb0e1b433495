"""Small clusters, explored whole."""

from oarlock.explore import Bounds, explore


def test_one_election_is_explored_whole() -> None:
    """All that can happen in one term, by messages in any order, lost and doubled, is found: always the same."""
    result = explore(Bounds(terms=1, entries=0, eager=False))
    assert result.is_complete
    assert result.found is None
    assert (result.states, result.steps, result.depth) == (589, 2028, 15)


def test_eager_sending_leaves_fewer_states() -> None:
    """With steps that only send taken at once the same election is told by half as many states."""
    result = explore(Bounds(terms=1, entries=0))
    assert result.is_complete
    assert (result.states, result.steps, result.depth) == (300, 889, 12)
