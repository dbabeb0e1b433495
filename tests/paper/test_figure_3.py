"""Figure 3: the five properties of all servers together, each shown on runs that put it at risk.

Every run of `Cluster` checks SP-1, SP-2, SP-4 and SP-5 after each event, and SP-3 when asked; here each property has a
schedule of its own, and a proof that the checker sees a violation.
"""

import pytest
from tests.support.raft_cluster import Cluster
from tests.support.raft_server import append_entries, log_of, server

from oarlock.raft.messages import RequestVote
from oarlock.raft.state import Role


def committed(cluster: Cluster) -> list[bytes]:
    """What is applied by a majority."""
    return cluster.applied


def test_election_safety() -> None:
    """SP-1: five servers that all campaign again and again, cut in changing halves, never have two leaders of a term."""
    cluster = Cluster(5, seed=3, pre_vote=False, check_quorum=False)
    for round_ in range(12):
        side = {1 + round_ % 5, 1 + (round_ + 1) % 5, *({1 + (round_ + 2) % 5} if round_ % 2 else ())}
        cluster.partition(side, cluster.servers.keys() - side)
        cluster.run_for(2.5)
    cluster.heal()
    cluster.elect()
    assert len(cluster.leaders) >= 4
    assert len(set(cluster.leaders.values())) >= 2


def test_a_second_leader_of_a_term_is_seen() -> None:
    """SP-1: the checker fails when a server leads a term that another led."""
    cluster = Cluster(3)
    first = cluster.elect()
    other = next(one for one in cluster.live if one is not first)
    other.state.current_term = first.state.current_term
    cluster.leaders[first.state.current_term] = 99
    cluster._checked.clear()
    with pytest.raises(AssertionError, match="SP-1"):
        cluster._check(first)


def test_one_vote_per_term_is_why() -> None:
    """SP-1, B1: a voter that crashes between two candidates of one term votes for one of them."""
    voter = server(term=1)
    voter.step(RequestVote(2, 2, 7, 0, 0))
    voter.start(1.0)
    voter.step(RequestVote(3, 2, 8, 0, 0))
    assert voter.state.voted_for == 2


def test_leader_append_only() -> None:
    """SP-2: whatever a leader is sent, its log keeps every entry and only grows, until it follows another."""
    cluster = Cluster(3, seed=4)
    leader = cluster.elect()
    kept: list = []
    for number in range(20):
        cluster.propose()
        cluster.run_for(0.01)
        log = leader.state.log.slice(1, leader.state.log.last_index)
        assert log[: len(kept)] == kept
        kept = log
        if number == 10:
            cluster.isolate(leader.id)
        leader.raft.step(append_entries(leader.state.current_term - 1, (0, 0), [1]), cluster.now)
    assert leader.state.role is Role.LEADER
    assert len(kept) == 21


def test_a_leader_that_changes_its_log_is_seen() -> None:
    """SP-2: the checker fails when an entry of a leader is another than it was."""
    cluster = Cluster(3)
    leader = cluster.elect()
    cluster.propose()
    leader.state.log._entries[-1] = log_of(0, 9)[-1]
    with pytest.raises(AssertionError, match="SP-2"):
        cluster._check(leader)


def test_log_matching() -> None:
    """SP-3: logs that diverged under three leaders are equal below every entry they share, and again in the end."""
    cluster = Cluster(5, seed=5, check_quorum=False)
    for _ in range(4):
        leader = cluster.elect()
        cluster.isolate(leader.id)
        for _ in range(3):
            leader.raft.propose([b"alone in %d" % leader.state.current_term])
            cluster.carry_out(leader)
        cluster.run_until(lambda leader=leader: cluster.leader is not leader)
        cluster.elect()
        cluster.propose()
        cluster.check_logs()
        cluster.heal()
    cluster.converge()
    cluster.check_logs()
    assert len({tuple(one.state.log.slice(1, one.state.log.last_index)) for one in cluster.live}) == 1


def test_logs_that_do_not_match_are_seen() -> None:
    """SP-3: the checker fails when two logs share an entry and differ below it."""
    cluster = Cluster(3)
    cluster.elect()
    for _ in range(3):
        cluster.propose()
    cluster.converge()
    cluster[2].state.log._entries[1] = log_of(1, 9)[-1]
    with pytest.raises(AssertionError, match="SP-3"):
        cluster.check_logs()


def test_leader_completeness() -> None:
    """SP-4: committed with the barest majority, an entry is in the log of whoever leads next."""
    for seed in range(6):
        cluster = Cluster(5, seed=seed)
        leader = cluster.elect()
        behind = [i for i in cluster.servers if i != leader.id][:2]
        cluster.partition(cluster.servers.keys() - set(behind), behind)
        cluster.propose()
        cluster.run_for(0.05)
        assert leader.state.commit_index == 2
        cluster.heal()
        cluster.crash(leader.id)
        successor = cluster.elect()
        assert successor.id not in behind
        assert successor.state.log.entry(2).data == b"c1"
        assert successor.state.current_term in cluster.leaders


def test_a_leader_that_lacks_an_entry_is_seen() -> None:
    """SP-4: the checker fails when a new leader's log has not all that was applied somewhere."""
    cluster = Cluster(3)
    leader = cluster.elect()
    cluster.propose()
    cluster.converge()
    cluster._checked.clear()
    cluster.applied[1] = b"1:1:something else"
    with pytest.raises(AssertionError, match="SP-4"):
        cluster._check(leader)


def test_state_machine_safety() -> None:
    """SP-5: an isolated leader's entries are applied nowhere; all servers apply one sequence, restarts included."""
    cluster = Cluster(3, seed=6, check_quorum=False)
    first = cluster.elect()
    cluster.propose()
    cluster.converge()
    cluster.isolate(first.id)
    first.raft.propose([b"never"])
    cluster.carry_out(first)
    cluster.run_until(lambda: cluster.leader is not first)
    cluster.elect()
    cluster.propose()
    cluster.heal()
    for server_id in sorted(cluster.servers):
        cluster.crash(server_id)
        cluster.run_for(3)
        cluster.restart(server_id)
    cluster.elect()
    cluster.propose()
    cluster.converge()
    assert {tuple(one.machine) for one in cluster.live} == {tuple(committed(cluster))}
    assert not [slot for slot in cluster.applied if slot.endswith(b":never")]


def test_a_machine_that_differs_is_seen() -> None:
    """SP-5: the checker fails when a server applies another entry at an index."""
    cluster = Cluster(3)
    cluster.elect()
    cluster.propose()
    cluster.converge()
    cluster[3].machine[-1] = b"1:1:something else"
    cluster._checked.pop(3)
    with pytest.raises(AssertionError, match="SP-5"):
        cluster._check(cluster[3])
