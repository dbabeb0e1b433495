"""What makes an exploration small takes nothing away from it."""

import msgspec
import pytest
from tests.support.plain_exploration import all_states, classes, plain_states

from oarlock.explore import Bounds
from oarlock.explore.space import Space

SMALL = {
    "a vote of three": Bounds(servers=3, terms=1, entries=0, heartbeats=False, candidates=(1,)),
    "two of two terms": Bounds(servers=2, terms=2, entries=0),
    "a command": Bounds(servers=2, terms=1, entries=1),
    "a crash": Bounds(servers=2, terms=2, entries=0, crashes=1, heartbeats=False),
    "a command and a crash": Bounds(servers=2, terms=1, entries=1, crashes=1, heartbeats=False),
}


@pytest.mark.parametrize("eager", [True, False], ids=["eager", "all steps"])
@pytest.mark.parametrize("bounds", SMALL.values(), ids=SMALL)
def test_servers_come_to_the_same_as_without_reductions(bounds: Bounds, *, eager: bool) -> None:
    """Tables, tidying, symmetry and eager sending change nothing: the same servers stand together, and no others."""
    bounds = msgspec.structs.replace(bounds, eager=eager)
    space = Space(bounds)
    count = bounds.servers
    found = {
        (tuple(space.servers.states[number] for number in parts[:count]), *space.histories[parts[-1]].spent[:2])
        for parts in all_states(space)
    }
    assert found == {(servers, *spent) for servers, _packets, *spent in plain_states(bounds)}


@pytest.mark.parametrize("servers", [2, 3])
def test_symmetry_counts_each_class_once(servers: int) -> None:
    """The states with symmetry are the classes of those without: names apart, none is lost and none is counted twice."""
    symmetric = Space(Bounds(servers=servers, terms=1, entries=0, heartbeats=False))
    plain = Space(Bounds(servers=servers, terms=1, entries=0, heartbeats=False, symmetry=False))
    members = [
        {tuple(symmetric.renamed(each, n)) for n in range(len(symmetric.renamings))} for each in classes(symmetric)
    ]
    assert sum(map(len, members)) == len(set().union(*members)) == len(classes(plain))
    assert len(members) < len(classes(plain))


def test_a_core_asked_once_answers_as_one_asked_every_time() -> None:
    """A core is a function of its state and the event: what it did once need not be worked out again."""
    bounds = Bounds(servers=2, terms=1, entries=0)
    assert plain_states(bounds) == plain_states(bounds, anew=True)
