"""A server whose state differs from the others' is found out and stops; the others go on."""

from pathlib import Path

import pytest
from tests.support.replicated import Register

import oarlock
from oarlock.replica.agreement import Agreement, Vote
from oarlock.testing.clusters import cluster, eventually


@pytest.mark.parametrize("where", ["results", "state"])
async def test_a_server_that_differs_stops_and_the_others_go_on(tmp_path: Path, where: str) -> None:
    """Outvoted on the results of commands, or on the state, it ends with an error that names the index."""
    ends: list[BaseException] = []
    async with cluster(3, objects=lambda: [Register()], directory=tmp_path, agreement_interval=5) as servers:
        leader = await servers.leader()
        follower = await servers.follower()
        await servers.restart(follower, on_end=ends.append)
        await servers.nodes[follower].ready()
        [good], [bad] = servers.objects(leader), servers.objects(follower)
        for _ in range(12):
            await good.add(1)
        assert not ends
        if where == "results":
            bad.drift = 1
        else:
            bad.history.append("corrupted")
        for _ in range(12):
            await good.add(1)
        await eventually(lambda: ends, "the server that differs ends")
        assert isinstance(ends[0], oarlock.Diverged)
        assert f"of the {where}" in str(ends[0]).replace("the results of commands", "the results")
        assert "at index" in str(ends[0])
        with pytest.raises(oarlock.Stopped):
            await bad.add(1)
        assert await good.add(1) == 25


def test_only_a_majority_outvotes() -> None:
    """One server that differs from one other proves nothing about which of them is wrong; nor do those without a vote."""
    agreement = Agreement(1)
    agreement.add(1, None)
    own = agreement.vote(7, None)
    voters = frozenset({1, 2, 3})
    assert agreement.outvoted(7, voters) is None
    agreement.cast(2, 7, Vote(own.results + 1))
    agreement.cast(9, 7, Vote(own.results + 1))
    assert agreement.outvoted(7, voters) is None
    agreement.cast(3, 7, Vote(own.results + 2))
    assert agreement.outvoted(7, voters) is None
    agreement.cast(3, 7, Vote(own.results + 1))
    assert "2 of 3 servers" in (agreement.outvoted(7, voters) or "")


def test_hashes_do_not_depend_on_the_order_of_mappings() -> None:
    """Two servers may have built one mapping in different orders."""
    one, other = Agreement(1), Agreement(1)
    one.add({"a": 1, "b": 2}, None)
    other.add({"b": 2, "a": 1}, None)
    assert one.vote(1, None) == other.vote(1, None)
    other.add(None, KeyError("a"))
    assert one.vote(2, None) != other.vote(2, None)


def test_it_does_not_matter_when_the_hash_is_asked_for() -> None:
    """Results that are counted only count as much as those that are hashed at once, and what is loaded replaces both."""
    asked, counted = Agreement(0), Agreement(0)
    hashes = []
    for result in (None, None, 1, None, None, None):
        asked.add(result, None)
        counted.add(result, None)
        hashes.append(asked.results)
    assert counted.results == hashes[-1]
    assert len(set(hashes)) == len(hashes)
    copy = Agreement(0)
    copy.add(None, None)
    copy.load(asked.dump())
    assert copy.results == hashes[-1]


def test_a_large_state_is_hashed_less_often() -> None:
    """The interval between hashes of the whole state grows with its size, alike on all servers."""
    agreement = Agreement(1)
    agreement.add(1, None)
    assert agreement.wants_state
    agreement.vote(1, bytes(256 << 10))
    hashed = []
    for index in range(2, 12):
        agreement.add(1, None)
        hashed.append(agreement.wants_state)
        agreement.vote(index, bytes(256 << 10) if hashed[-1] else None)
    assert hashed == [False] * 4 + [True] + [False] * 4 + [True]
    copy = Agreement(1)
    copy.load(agreement.dump())
    assert copy.dump() == agreement.dump()
