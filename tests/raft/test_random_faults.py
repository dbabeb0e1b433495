"""Seeds of delay, loss, duplication, reordering, partitions, slow disks and crashes, against the core alone."""

import random

import pytest
from tests.support.raft_cluster import Cluster


def run_with_faults(seed: int, *, rounds: int = 400) -> Cluster:
    """One run: faults for a while, then a healed network that must make progress."""
    rng = random.Random(seed)
    size = rng.choice((3, 3, 5))
    cluster = Cluster(
        size,
        seed,
        faults=True,
        pre_vote=rng.random() < 0.8,
        check_quorum=rng.random() < 0.8,
        max_message_bytes=rng.choice((8, 64, 1 << 20)),
        max_inflight_messages=rng.choice((1, 3, 256)),
        snapshot_retry_ms=500,
    )
    for _ in range(rounds):
        cluster.run_for(0.05)
        action = rng.random()
        ids = list(cluster.servers)
        if action < 0.3:
            cluster.propose()
        elif action < 0.33:
            side = set(rng.sample(ids, rng.randint(1, size - 1)))
            cluster.partition(side, set(ids) - side)
        elif action < 0.4:
            cluster.heal()
        elif action < 0.43 and len(cluster.down) < size:
            cluster.crash(rng.choice([i for i in ids if i not in cluster.down]))
        elif action < 0.5 and cluster.down:
            cluster.restart(rng.choice(sorted(cluster.down)))
        elif action < 0.53:
            cluster.servers[rng.choice(ids)].compact(keep=rng.choice((0, 3)))
    cluster.check_logs()
    cluster.heal()
    for server_id in sorted(cluster.down):
        cluster.restart(server_id)
    cluster.faults = False
    for server in cluster.servers.values():
        server.disk_delay = False
    cluster.run_for(3)
    cluster.elect()
    for _ in range(5):
        assert cluster.propose()
    cluster.run_until(
        lambda: all(len(s.machine) == cluster.leader.state.log.last_index for s in cluster.servers.values())
    )
    cluster.check_logs()
    return cluster


@pytest.mark.parametrize("seed", range(40))
def test_safety_under_faults_and_progress_after(seed: int) -> None:
    """Figure 3 holds at every step of a faulty run, and a healed cluster elects, commits and converges."""
    run_with_faults(seed)
