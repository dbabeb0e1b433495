"""Bounds that restrict who may do what, and those with names."""

import pytest

from oarlock.explore import CONFIGURATIONS, Bounds, Limits, explore
from oarlock.explore.search import Search


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_bounds_with_a_name_can_be_explored(name: str) -> None:
    """All that is six steps from the beginning is found within each, and no property is violated."""
    result = explore(CONFIGURATIONS[name], Limits(depth=6))
    assert result.found is None
    assert result.depth == 6


def test_commands_are_proposed_in_the_terms_named() -> None:
    """With terms named for two commands, each is in the log with its own term alone, and both are proposed."""
    search = Search(Bounds(servers=2, terms=2, entries=2, proposed_in=(1, 2), candidates=(1, 2), heartbeats=False))
    assert search.run().is_complete
    entries = {(entry.data, entry.term) for view in search.space.servers.views for entry in view.entries if entry.data}
    assert entries == {(b"c1", 1), (b"c2", 2)}


def test_servers_alone_that_are_named_crash_and_keep_their_names() -> None:
    """Whoever may crash is exchanged with nobody who may not."""
    assert Bounds(crashes=1, crashing=(2,)).renamings() == [(1, 2, 3), (3, 2, 1)]
    assert [server for server in (1, 2, 3) if Bounds(crashes=1, crashing=(2,)).may_crash(server)] == [2]


@pytest.mark.parametrize(
    ("bounds", "sentence"),
    [
        ({"crashing": (4,)}, "crashing names server 4, which is not among 3"),
        ({"candidates": (0,)}, "candidates names server 0, which is not among 3"),
        ({"proposed_in": (3,)}, "proposed_in names term 3, which is not among 2"),
    ],
)
def test_bounds_that_name_what_is_not_there_are_refused(bounds: dict[str, tuple[int, ...]], sentence: str) -> None:
    """The error names the bound, and what it named."""
    with pytest.raises(ValueError, match=sentence):
        Bounds(terms=2, **bounds)  # type: ignore[arg-type]
