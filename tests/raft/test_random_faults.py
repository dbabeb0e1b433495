"""Seeds of delay, loss, duplication, reordering, partitions, slow disks and crashes, against the core alone."""

import random
from functools import cache

import pytest
from tests.support.raft_cluster import Cluster

from oarlock.raft.rules import RULES
from oarlock.raft.types import Configuration

SEEDS = range(40)

NOT_REACHED = {
    "SP-1": "a property, checked at every step",
    "SP-2": "as SP-1",
    "SP-3": "as SP-1",
    "SP-4": "as SP-1",
    "SP-5": "as SP-1",
    "CL-Q6": "above the core",
    "NS-1": "no disk is replaced in these runs",
    "NS-3": "as NS-1",
    "DL-1": "no disk loses what it synced in these runs",
    "LT-5": "no transfer meets a voter's first word or the end of joint consensus; scenes of the zoo do that",
    "CL-Q7": "above the core",
}
"""Rules that no run fires, each with the reason."""

CONFIGURATIONS = (
    Configuration(voters=frozenset({1, 2, 3})),
    Configuration(voters=frozenset({1, 2, 3}), learners=frozenset({4})),
    Configuration(voters=frozenset({1, 2, 3, 4, 5})),
    Configuration(voters=frozenset({1, 2, 3}), voters_outgoing=frozenset({3, 4, 5})),
)


def run_with_faults(seed: int, *, rounds: int = 200) -> Cluster:
    """One run: faults for a while, then a healed network that must make progress."""
    rng = random.Random(seed)
    settings = (
        {"lease_reads": True, "check_quorum": True} if rng.random() < 0.3 else {"check_quorum": rng.random() < 0.8}
    )
    cluster = Cluster(
        0,
        seed,
        faults=True,
        configuration=rng.choice(CONFIGURATIONS),
        election_timeout_ms=300,
        heartbeat_interval_ms=60,
        pre_vote=rng.random() < 0.8,
        max_message_bytes=rng.choice((8, 64, 1 << 20)),
        max_inflight_messages=rng.choice((1, 3, 256)),
        max_uncommitted_bytes=rng.choice((10, 1 << 20)),
        max_pending_reads=rng.choice((2, 4096)),
        snapshot_retry_ms=200,
        disk_ids=seed % 2 == 1,
        **settings,
    )
    for _ in range(rounds):
        cluster.run_for(0.05)
        disturb(cluster, rng)
    cluster.check_logs()
    cluster.end_faults()
    cluster.run_for(3)
    cluster.elect()
    for _ in range(3):
        cluster.run_until(cluster.propose)
        answered = cluster.reads_answered
        cluster.run_until(lambda answered=answered: _read_at_member(cluster, rng) > answered)
    cluster.converge()
    cluster.check_logs()
    return cluster


def _read_at_member(cluster: Cluster, rng: random.Random) -> int:
    """Read at one of the leader's members; how many reads have been answered by then."""
    if cluster.leader is not None:
        cluster.read(rng.choice(sorted(cluster.leader.state.configuration.members)))
    return cluster.reads_answered


def disturb(cluster: Cluster, rng: random.Random) -> None:
    """One of the things that happen to a cluster."""
    ids = sorted(cluster.servers)
    leader = cluster.leader
    one = leader.id if leader is not None and rng.random() < 0.25 else rng.choice(ids)
    action = rng.random()
    if action < 0.3:
        for _ in range(rng.choice((1, 1, 5))):
            cluster.propose()
    elif action < 0.45:
        if one not in cluster.down:
            for _ in range(rng.choice((1, 3))):
                cluster.read(one)
    elif action < 0.48:
        side = {one, *rng.sample(ids, rng.randint(0, len(ids) - 2))}
        cluster.partition(side, set(ids) - side)
    elif action < 0.54:
        cluster.heal()
    elif action < 0.6:
        if one not in cluster.down:
            cluster.crash(one)
    elif action < 0.69 and cluster.down:
        cluster.restart(rng.choice(sorted(cluster.down)))
    elif action < 0.77:
        server = cluster[one]
        if one not in cluster.down:
            server.compact(keep=rng.choice((0, 3)), snapshot=rng.random() < 0.5)
            cluster.carry_out(server)
    elif action < 0.79:
        cluster[one].failing_chunks = 1
    elif action < 0.81 and leader is not None:
        leader.raft.peer_unreachable(one)
    elif action < 0.85:
        voters = set(rng.sample(ids, rng.randint(1, len(ids))))
        cluster.change_membership(voters, {each for each in ids if each not in voters and rng.random() < 0.5})
    elif action < 0.89:
        cluster.transfer(one)
    elif action < 0.91 and one not in cluster.down:
        cluster[one].raft.forget_leader()
        cluster.carry_out(cluster[one])


@cache
def rules_fired(seed: int) -> frozenset[str]:
    """What acted in the run of one seed."""
    return frozenset(run_with_faults(seed).rules())


@pytest.mark.parametrize("seed", SEEDS)
def test_safety_under_faults_and_progress_after(seed: int) -> None:
    """Figure 3 holds and reads are linearizable at every step, and a healed cluster elects, commits and converges."""
    assert rules_fired(seed)


def test_every_rule_acts() -> None:
    """The seeds together reach every rule of the core: a run that never gets there proves nothing of it."""
    fired = frozenset().union(*map(rules_fired, SEEDS))
    assert sorted(RULES.keys() - fired - NOT_REACHED.keys()) == []
