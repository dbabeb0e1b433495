"""Bugs that other Raft libraries had, each as a schedule of several servers; the rules' own tests show the steps."""

import random

import pytest
from tests.support.raft_cluster import Cluster
from tests.support.raft_server import Server, append_entries, leader, log_of, server

from oarlock.raft.messages import AppendEntries, AppendEntriesReply, InstallSnapshot, RequestVoteReply
from oarlock.raft.progress import Mode
from oarlock.raft.state import Overloaded
from oarlock.raft.types import Configuration


def other_than(cluster: Cluster, *servers: Server) -> Server:
    """A server that is none of these."""
    return next(one for one in cluster.servers.values() if one not in servers)


def test_a_restarted_leader_need_not_wait_to_be_forgotten() -> None:
    """PV-4 (hashicorp/raft issue 606): a leader that restarts in a blink and times out first is elected at once."""
    cluster = Cluster(3, seed=1)
    first = cluster.elect()
    term = first.state.current_term
    cluster.crash(first.id)
    cluster.restart(first.id)
    first.raft.tick(cluster.now)
    first.state.last_contact = cluster.now - 5
    first.raft.tick(cluster.now)
    cluster.carry_out(first)
    cluster.run_for(0.1)
    assert cluster.leader is first
    assert first.state.current_term == term + 1


@pytest.mark.parametrize("check_quorum", [True, False])
def test_a_flapping_server_deposes_nobody(check_quorum: bool) -> None:
    """PV-1, PV-2 (etcd issue 9241): a server whose link comes and goes keeps its term, and the leader keeps its own."""
    cluster = Cluster(3, seed=2, check_quorum=check_quorum)
    first = cluster.elect()
    term = first.state.current_term
    flapping = other_than(cluster, first)
    for _ in range(10):
        cluster.isolate(flapping.id)
        cluster.run_for(2.5)
        cluster.heal()
        cluster.run_for(0.3)
    assert cluster.leader is first
    assert {one.state.current_term for one in cluster.live} == {term}


def test_a_one_way_link_starves_nobody() -> None:
    """CQ-1, PV-2: a leader that sends but hears nothing steps down, and the others elect one that hears."""
    cluster = Cluster(3, seed=3)
    first = cluster.elect()
    deaf = first.id
    cluster.cut = {(other, deaf) for other in cluster.servers if other != deaf}
    cluster.run_until(lambda: cluster.leader is not None and cluster.leader is not first, limit=10)
    cluster.elect()
    cluster.run_for(5)
    assert first.state.leader is None
    assert cluster.propose()


def test_a_learner_is_caught_up_by_a_snapshot_that_does_not_know_it() -> None:
    """IS-8, MC-1 (raft-rs issue 472): the snapshot's configuration is older than the learner; it is taken all the same."""
    configuration = Configuration(voters=frozenset({1, 2, 3}), learners=frozenset({4}))
    cluster = Cluster(0, configuration=configuration)
    cluster.crash(4)
    cluster.elect()
    for _ in range(5):
        cluster.propose()
    cluster.run_for(1)
    sender = cluster.leader
    sender.compact()
    metadata = sender.raft.metadata_at(len(sender.machine))
    without = Configuration(voters=frozenset({1, 2, 3}))
    receiver = server([], server_id=4)
    image = InstallSnapshot(sender.id, 9, 1, type(metadata)(2, 1, without), 0, b"1:0:\n1:1:x", done=True)
    receiver.step(image)
    assert receiver.state.configuration == without
    assert receiver.state.log.base_index == 2
    cluster.restart(4)
    cluster.converge()
    assert "IS-7" in cluster[4].rules()
    assert cluster[4].state.configuration == configuration


def test_a_read_on_a_new_leader_waits_for_its_no_op() -> None:
    """CL-Q2 (etcd issue 7331): a leader that does not yet know what was committed before answers no read from it."""
    cluster = Cluster(3, seed=4, check_quorum=False, pre_vote=False)
    first = cluster.elect()
    successor = other_than(cluster, first)
    third = other_than(cluster, first, successor)
    cluster.converge()
    cluster.drop = lambda source, to, message: (
        isinstance(message, AppendEntries) and (to == third.id or (message.leader_commit >= 2 and to == successor.id))
    )
    cluster.propose()
    cluster.run_for(0.05)
    assert len(first.machine) == 2
    assert successor.state.commit_index == 1
    cluster.drop = lambda source, to, message: isinstance(message, AppendEntries) and bool(message.entries)
    cluster.crash(first.id)
    successor.state.last_contact = cluster.now - 5
    successor.raft.tick(cluster.now)
    cluster.carry_out(successor)
    cluster.run_for(0.2)
    assert successor.state.leader is not None
    cluster.read(successor.id)
    cluster.run_for(0.5)
    assert cluster.reads_answered == 0
    cluster.drop = lambda source, to, message: False
    cluster.run_for(2)
    assert cluster.reads_answered == 1


def test_acks_across_a_deposition_answer_no_read() -> None:
    """RI-2, RS-1 (etcd issue 20418): heartbeat answers that were delayed while another led confirm no later read."""
    cluster = Cluster(3, seed=5, check_quorum=False)
    first = cluster.elect()
    cluster.converge()
    held: list[AppendEntriesReply] = []

    def hold(source: int, to: int, message: object) -> bool:
        if to == first.id and isinstance(message, AppendEntriesReply):
            held.append(message)
            return True
        return False

    cluster.drop = hold
    cluster.read(first.id)
    cluster.run_for(0.3)
    cluster.isolate(first.id)
    cluster.run_until(lambda: cluster.leader is not None and cluster.leader is not first)
    cluster.elect()
    cluster.propose()
    cluster.run_for(0.2)
    assert first.state.leader is not None
    cluster.read(first.id)
    assert len(held) >= 4
    for message in held:
        first.raft.step(message, cluster.now)
        cluster.carry_out(first)
    assert cluster.reads_answered == 1, "the first read, asked before the deposition, and checked against that time"


def test_a_divergent_follower_takes_a_snapshot_once() -> None:
    """IS-7 (hashicorp/raft issue 697): divergent exactly at the snapshot's index, it is sent one snapshot, not many."""
    cluster = Cluster(3, seed=6, check_quorum=False)
    first = cluster.elect()
    cluster.converge()
    cluster.isolate(first.id)
    for _ in range(4):
        first.raft.propose([b"divergent"])
    cluster.carry_out(first)
    cluster.run_until(lambda: cluster.leader is not None and cluster.leader is not first)
    successor = cluster.elect()
    while successor.state.log.last_index < first.state.log.last_index - 1:
        cluster.propose()
    cluster.run_for(0.5)
    successor.compact()
    cluster.carry_out(successor)
    assert first.state.log.term(successor.state.log.base_index) == 1
    cluster.heal()
    cluster.propose()
    cluster.converge()
    assert len([rule for rule, _ in first.fired if rule == "IS-8"]) == 1
    cluster.run_for(0.5)
    assert successor.state.leader.peers[first.id].mode is Mode.REPLICATE


@pytest.mark.parametrize("seed", range(20))
def test_old_requests_in_any_order_erase_nothing(seed: int) -> None:
    """AE-3, G6, B9 (openraft issue 511, willemt/raft issue 37): requests of a term, again and in any order, compaction between."""
    rng = random.Random(seed)
    terms = [1, 1, 2, 2, 2, 3, 3, 3]
    follower = server(term=3, log=terms)
    entries = log_of(*terms)
    follower.step(append_entries(3, (8, 3), commit=6))
    follower.flush()
    for _ in range(60):
        prev = rng.randint(0, 8)
        count = rng.randint(0, 8 - prev)
        request = AppendEntries(
            2, 3, 7, prev, terms[prev - 1] if prev else 0, rng.randint(0, 8), tuple(entries[prev : prev + count])
        )
        ((_, reply),) = follower.step(request)
        assert reply.success
        if rng.random() < 0.1:
            follower.compact(keep=rng.randint(0, 3), snapshot=False)
            follower.settle()
        held = follower.state.log
        assert (held.last_index, held.last_term) == (8, 3)
        assert follower.state.commit_index >= 6


def test_commitment_stops_at_what_was_verified() -> None:
    """AE-5, G10 (scylladb issue 9965, copycat issue 265): a divergent tail is not applied, whatever leader_commit says."""
    follower = server(term=5, log=[1, 1, 2, 2, 2])
    for prev in ((2, 1), (1, 1), (0, 0)):
        follower.step(append_entries(5, prev, commit=9))
    assert follower.machine == [b"1:1:1@1", b"1:1:2@1"]
    follower.step(append_entries(5, (2, 1), [5], commit=9))
    assert follower.machine[2:] == [b"5:1:3@5"]


def test_a_leader_without_a_quorum_stays_small() -> None:
    """FC-1 (etcd issue 10167, etcd-io/raft issue 11): one of three, proposing for ever across terms, holds a bounded log."""
    config = {"max_uncommitted_bytes": 1000, "check_quorum": False, "pre_vote": False}
    alone = leader(**config)
    for _ in range(10):
        refused = 0
        for _ in range(100):
            try:
                alone.propose(b"x" * 30)
            except Overloaded:
                refused += 1
        assert refused
        alone.step(append_entries(alone.state.current_term + 1, (99, 9)))
        alone.time_out()
        request_id = alone.state.candidate.request_id
        alone.step(RequestVoteReply(2, alone.state.current_term, request_id, vote_granted=True))
    log = alone.state.log
    assert sum(len(entry.data) for entry in log.slice(1, log.last_index)) <= 1000
    assert all(len(progress.inflight) <= 256 for progress in alone.state.leader.peers.values())


def test_a_snapshot_leaves_no_gap_before_the_log() -> None:
    """IS-0, LC-1 (hashicorp/raft issue 85): a follower that gets a snapshot while the log is compacted on is not stranded."""
    cluster = Cluster(3, seed=7, snapshot_retry_ms=200)
    first = cluster.elect()
    behind = other_than(cluster, first)
    cluster.isolate(behind.id)
    for _ in range(30):
        cluster.propose()
    cluster.run_for(0.3)
    first.compact()
    cluster.heal()
    for _ in range(20):
        cluster.propose()
        cluster.run_for(0.002)
        first.compact()
        cluster.carry_out(first)
    cluster.converge()
    assert behind.machine == first.machine


def test_a_server_that_lost_nothing_is_never_stuck() -> None:
    """L-3b, IS-6: whatever moment a follower crashes at while it catches up by snapshot and entries, it comes back."""
    for moment in range(1, 40):
        cluster = Cluster(3, seed=moment, snapshot_retry_ms=200)
        first = cluster.elect()
        behind = other_than(cluster, first)
        cluster.isolate(behind.id)
        for _ in range(4):
            cluster.propose()
        cluster.run_for(0.1)
        first.compact(keep=1)
        cluster.heal()
        behind.asynchronous = True
        cluster.run_for(0.002 * moment)
        cluster.crash(behind.id)
        behind.asynchronous = False
        cluster.restart(behind.id)
        cluster.converge()
