"""Servers that join a simulated cluster and leave it, while others end, stand still and are cut off."""

from typing import Any

import pytest
from tests.replica.test_simulated import count
from tests.support.replicated import Register

import oarlock
from oarlock.check import check_history, make_history
from oarlock.replica.place import server_id_of
from oarlock.testing.simulated import SETTINGS, Client, RunFailed, SimulatedCluster, SimulatedRun, simulate
from oarlock.testing.simulated_server import Program, SimulatedServer

GONE = 42
"""A run in which all founders leave."""


def run(seed: int, **arguments: Any) -> SimulatedRun:
    return simulate(seed, **{"objects": lambda: [Register()], "work": count, "faults": 16, "spares": 2, **arguments})


@pytest.mark.parametrize("seed", [8, 10, 18, 21, 38])
def test_nothing_is_lost_where_servers_join_and_leave(seed: int) -> None:
    """What clients saw is linearizable and copies are equal, on servers of which some were not there at first.

    In runs 21 and 38 a server dies between being taken in and learning of it, and asks anew, with another id.
    """
    done = run(seed)
    assert done.strikes["member.join"] > 1
    report = check_history(make_history(done.history), "counter")
    assert report.verdict == "ok", report


def test_the_founders_may_all_be_gone() -> None:
    """A cluster outlives those that it began with; whoever comes back to an old address is another server."""
    founders = {server_id_of("oarlock", f"server{number}:2380") for number in range(3)}
    members: set[int] = set()

    async def work(client: Client) -> None:
        nonlocal members
        while True:
            try:
                await client.objects[0].add(1)
                members = set(client.node.members)
            except oarlock.OarlockError:
                pass
            await client.pause(0.2)

    run(GONE, work=work, faults=30)
    assert len(members) >= 2
    assert not members & founders


def test_one_seed_is_one_run_with_those_too() -> None:
    """Ids that are drawn, tokens that are proved: all comes from the seed."""
    assert run(9, seconds=6, faults=8) == run(9, seconds=6, faults=8)


def test_a_wrong_token_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proof is production's: whoever has another token is let in by nobody, and the run says so."""
    cluster = SimulatedCluster(2, 3, lambda: Program([Register()]), count, SETTINGS, spares=2)
    refused: list[str] = []
    ended = cluster.ended

    def note(server: SimulatedServer, why: BaseException | None) -> None:
        if isinstance(why, oarlock.JoinRefused):
            refused.append(str(why))
        ended(server, why)

    monkeypatch.setattr(cluster, "ended", note)
    for server in cluster.servers[3:]:
        server.token = "wrong"
    with pytest.raises(RunFailed, match=r"servers \[3, 4\] are not up to date"):
        cluster.run(6, 12)
    assert any("wrong token" in text for text in refused)
