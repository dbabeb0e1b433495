"""States by how far they went, so that those of several explorations can be counted together."""

from collections import Counter

from tests.support.plain_exploration import classes

from oarlock.explore import Bounds
from oarlock.explore.reach import Reach
from oarlock.explore.search import Search
from oarlock.explore.space import Space

BOUNDS = Bounds(servers=2, terms=2, entries=1, crashes=1, heartbeats=False)


def test_every_state_is_counted_once_by_how_far_it_went() -> None:
    """Each is counted with the highest term of its servers, and with the commands and crashes on the way to it."""
    space, counted = Space(BOUNDS), Counter[tuple[int, int, int]]()
    for parts in classes(space):
        term = max(space.servers.views[server].current_term for server in parts[: BOUNDS.servers])
        counted[term, *space.histories[parts[-1]].spent[:2]] += 1
    result = Search(BOUNDS).run()
    assert result.reached == [Reach(*reach, states) for reach, states in sorted(counted.items())]
    assert sum(reach.states for reach in result.reached) == result.states
    assert {reach.crashes for reach in result.reached} == {0, 1}
