"""Figure 8: why a leader commits no entry of an earlier term by counting replicas."""

import msgspec
import pytest
from tests.support.raft_cluster import Cluster

from oarlock.raft.messages import AppendEntries
from oarlock.raft.state import Role
from oarlock.raft.types import Entry


def figure_8_c() -> Cluster:
    """Moments (a) to (c): S1 leads term 2, S5 term 3, S1 again term 4; the entry of term 2 is on three of five."""
    cluster = Cluster(5, pre_vote=False, check_quorum=False)
    # Before the figure begins: S1 leads term 1, and entry 1 is everywhere.
    force_election(cluster, 1)
    cluster.run_for(0.2)
    cluster.crash(1)
    cluster.restart(1)
    # (a) S1 leads term 2 and replicates entry 2 to S2 alone.
    cluster.drop = lambda source, to, message: carries_entries(message) and to in (3, 4, 5)
    force_election(cluster, 1)
    cluster.run_for(0.2)
    # (b) S1 crashes. S5 is elected in term 3 with votes of S3, S4 and itself, and takes another entry at index 2.
    cluster.crash(1)
    cluster.drop = lambda source, to, message: carries_entries(message)
    force_election(cluster, 5)
    cluster.run_for(0.05)
    # (c) S5 crashes. S1 restarts, is elected in term 4, and goes on to replicate entry 2 to S3; its own does not get out.
    cluster.crash(5)
    cluster.restart(1)
    cluster.drop = lambda source, to, message: shorten(cluster, to, message)
    time_out(cluster, 1)  # for term 3, in which S3 and S4 have voted
    cluster.run_for(0.05)
    force_election(cluster, 1)
    cluster.run_for(0.5)
    return cluster


def carries_entries(message: object) -> bool:
    """Whether a message brings entries."""
    return isinstance(message, AppendEntries) and bool(message.entries)


def shorten(cluster: Cluster, to: int, message: object) -> bool:
    """S4 gets no entries; the others none of term 4, as if the leader's messages could hold no more."""
    if not (isinstance(message, AppendEntries) and message.entries):
        return False
    entries = () if to == 4 else tuple(entry for entry in message.entries if entry.term < 4)
    cluster[to].raft.step(msgspec.structs.replace(message, entries=entries), cluster.now)
    cluster.carry_out(cluster[to])
    return True


def nothing_is_lost(source: int, to: int, message: object) -> bool:
    """The network works."""
    return False


def time_out(cluster: Cluster, server_id: int) -> None:
    """Have one server's election timer run out now."""
    server = cluster[server_id]
    server.state.last_contact = cluster.now - 2 * server.config.election_timeout
    server.raft.tick(cluster.now)
    cluster.carry_out(server)


def force_election(cluster: Cluster, server_id: int) -> None:
    """Have one server time out, and be elected."""
    server = cluster[server_id]
    time_out(cluster, server_id)
    cluster.run_until(lambda: server.state.leader is not None, limit=0.5)


def terms(cluster: Cluster) -> dict[int, list[int]]:
    """The terms of the entries of each log."""
    return {
        one.id: [entry.term for entry in one.state.log.slice(1, one.state.log.last_index)]
        for one in cluster.servers.values()
    }


@pytest.fixture
def cluster() -> Cluster:
    """Moment (c)."""
    return figure_8_c()


def test_moment_c(cluster: Cluster) -> None:
    """L-4, G15: the entry of term 2 is on S1, S2 and S3, a majority, and the leader of term 4 does not commit it."""
    assert terms(cluster) == {1: [1, 2, 4], 2: [1, 2], 3: [1, 2], 4: [1], 5: [1, 3]}
    leader = cluster[1]
    assert leader.state.current_term == 4
    assert sorted(leader.facts()["match_index"].items()) == [(2, 2), (3, 2), (4, 1), (5, 0)]
    assert leader.state.commit_index == 0


def test_moment_d(cluster: Cluster) -> None:
    """L-4, SP-5: S5 may yet be elected and overwrite that entry everywhere: nobody had applied it."""
    cluster.crash(1)
    cluster.drop = nothing_is_lost
    cluster.restart(5)
    time_out(cluster, 5)  # for term 4, in which the others have voted
    cluster.run_for(0.05)
    force_election(cluster, 5)
    cluster.elect()
    cluster.restart(1)
    cluster.converge()
    assert cluster.leader is cluster[5]
    assert set(map(tuple, terms(cluster).values())) == {(1, 3, 5)}
    assert [slot.partition(b":")[0] for slot in cluster.applied] == [b"1", b"3", b"5"]
    cluster.check_logs()


def test_moment_e(cluster: Cluster) -> None:
    """L-4, RV-2, SP-4: with an entry of term 4 on a majority both are committed, and S5 can win no election."""
    cluster.drop = lambda source, to, message: carries_entries(message) and to == 4
    cluster.run_for(0.5)
    assert terms(cluster) == {1: [1, 2, 4], 2: [1, 2, 4], 3: [1, 2, 4], 4: [1], 5: [1, 3]}
    assert cluster[1].state.commit_index == 3
    cluster.crash(1)
    cluster.drop = nothing_is_lost
    cluster.restart(5)
    five = cluster[5]
    for _ in range(3):
        time_out(cluster, 5)
        cluster.run_for(0.05)
        assert five.state.role is not Role.LEADER
    assert cluster.elect().id in (2, 3)
    cluster.restart(1)
    cluster.converge()
    assert [slot.partition(b":")[0] for slot in cluster.applied[:3]] == [b"1", b"2", b"4"]
    assert isinstance(five.state.log.entry(2), Entry)
    assert five.state.log.term(2) == 2
