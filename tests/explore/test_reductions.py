"""What makes an exploration small takes nothing away from it."""

import msgspec
import pytest
from tests.support.plain_exploration import all_states, classes, plain_states

from oarlock.explore import Bounds, explore
from oarlock.explore.search import Search
from oarlock.explore.space import Space

SMALL = {
    "a vote of three": Bounds(servers=3, terms=1, entries=0, heartbeats=False, candidates=(1,)),
    "two of two terms": Bounds(servers=2, terms=2, entries=0),
    "a command": Bounds(servers=2, terms=1, entries=1),
    "a crash": Bounds(servers=2, terms=2, entries=0, crashes=1, heartbeats=False),
    "a command and a crash": Bounds(servers=2, terms=1, entries=1, crashes=1, heartbeats=False),
    "a crash of one alone": Bounds(servers=2, terms=1, entries=1, crashes=1, crashing=(2,), heartbeats=False),
    "a command in a term": Bounds(servers=2, terms=2, entries=1, proposed_in=(2,), candidates=(1, 2), heartbeats=False),
}


@pytest.mark.parametrize("bounds", SMALL.values(), ids=SMALL)
def test_servers_come_to_the_same_as_without_reductions(bounds: Bounds) -> None:
    """Tables, tidying and symmetry change nothing, nor does eager sending: the same servers stand together, no others."""
    plain = {(servers, *spent) for servers, _packets, *spent in plain_states(bounds)}
    for eager in (True, False):
        space = Space(msgspec.structs.replace(bounds, eager=eager))
        found = {
            (tuple(space.servers.states[number] for number in parts[: bounds.servers]), *_spent(space, parts))
            for parts in all_states(space)
        }
        assert found == plain


def _spent(space: Space, parts: tuple[int, ...]) -> tuple[int, ...]:
    """Entries proposed and crashes so far."""
    return space.histories[parts[-1]].spent[:2]


@pytest.mark.parametrize("bounds", SMALL.values(), ids=SMALL)
def test_states_that_others_cover_lead_to_no_other_servers(bounds: Bounds) -> None:
    """With states left out that others cover, the same servers stand together with the same history."""
    every, covering = [servers_of(msgspec.structs.replace(bounds, cover=cover)) for cover in (False, True)]
    assert covering == every


def test_what_comes_to_servers_that_never_crash_is_tidied_more() -> None:
    """Where a leader alone may crash, fewer states have the same servers as with all tidied as if they might crash."""
    bounds = Bounds(terms=1, entries=1, crashes=1, crashing=(1,), candidates=(1,), heartbeats=False)
    less = Search(bounds)
    less.space.servers._bounds = msgspec.structs.replace(bounds, crashing=())
    more = Search(bounds)
    assert servers_found(more) == servers_found(less)
    assert len(more.visited) < len(less.visited)


def servers_of(bounds: Bounds) -> set[tuple[object, ...]]:
    """The servers and the history of every state that is explored, under all names."""
    return servers_found(Search(bounds))


def servers_found(search: Search) -> set[tuple[object, ...]]:
    """The same, of an exploration to come."""
    assert search.run().is_complete
    space, count = search.space, search.space.bounds.servers
    found = set()
    for number in range(len(search.visited)):
        for renaming in range(len(space.renamings)):
            parts = space.renamed(space.unpack(search.visited.key(number)), renaming)
            found.add((*[space.servers.states[server] for server in parts[:count]], space.histories[parts[-1]]))
    return found


def test_states_that_others_cover_are_left_out() -> None:
    """The same is explored, as far from the beginning, by fewer states."""
    result = explore(Bounds(terms=2, entries=0, cover=True))
    assert (result.is_complete, result.states, result.steps, result.depth) == (True, 3593, 15051, 20)


def test_what_was_forgotten_is_worked_out_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exploration that forgets what it worked out, for want of memory, comes to just the same."""
    bounds = Bounds(servers=2, terms=2, entries=0, crashes=1, heartbeats=False)
    before = explore(bounds)
    monkeypatch.setattr("oarlock.explore.numbers.MOST_KNOWN", 200)
    after = explore(bounds)
    assert (after.states, after.steps, after.depth) == (before.states, before.steps, before.depth)


def test_with_changes_of_members_servers_keep_their_names() -> None:
    """A leader that is removed asks the lowest of several equals: states that differ in names are not taken for one."""
    assert len(Bounds(changes=0).renamings()) == 6
    assert Bounds(changes=1).renamings() == [(1, 2, 3)]


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
