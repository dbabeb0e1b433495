"""Small clusters, explored whole."""

from oarlock.explore import Bounds, explore


def test_one_election_is_explored_whole() -> None:
    """All that can happen in one term, by messages in any order, lost and doubled, is found: always the same."""
    result = explore(Bounds(terms=1, entries=0))
    assert result.is_complete
    assert result.found is None
    assert (result.states, result.steps, result.depth) == (589, 2028, 15)
