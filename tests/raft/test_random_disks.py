"""Seeds of faults during which one server comes back on empty disks, and on such that it had before: NS-1 to NS-3."""

import random
from contextlib import suppress

import msgspec
import pytest
from tests.support.raft_cluster import Cluster
from tests.support.raft_server import Disk

from oarlock.raft.state import NotLeader, Overloaded
from oarlock.raft.types import Configuration, EntryKind, HardState, Index, ServerId

SEEDS = range(24)
CONFIGURATIONS = (
    Configuration(voters=frozenset({1, 2, 3})),
    Configuration(voters=frozenset({1, 2, 3}), learners=frozenset({4})),
    Configuration(voters=frozenset({1, 2, 3, 4, 5})),
    Configuration(voters=frozenset({1, 2, 3}), voters_outgoing=frozenset({3, 4, 5})),
)


class Exchange:
    """Puts one server on another disk, once its first one is admitted where that cannot be lost."""

    def __init__(self, cluster: Cluster, server_id: ServerId, rng: random.Random) -> None:
        self.cluster = cluster
        self.server = cluster[server_id]
        self.rng = rng
        self.kept: list[tuple[Disk, int]] = []
        """Disks that it has had, as it left them."""
        self.times = 0
        self.next_disk_id = self.server.disk_id + 1
        self.is_admitted = False

    def _look_for_admission(self) -> None:
        """Whether all others hold the first disk's admission, committed, on their disks; more than is needed."""
        others = [each for each in self.cluster.servers.values() if each is not self.server]
        named = (self.server.id, self.server.disk_id)
        committed = max(each.state.commit_index for each in self.cluster.servers.values())
        self.is_admitted = all(named in self._durable_configuration(each.disk, committed).disks for each in others)

    @staticmethod
    def _durable_configuration(disk: Disk, committed: Index) -> Configuration:
        held = disk.base.configuration
        for entry in disk.entries:
            if entry.kind is EntryKind.CONFIGURATION and entry.index <= committed:
                held = msgspec.msgpack.decode(entry.data, type=Configuration)
        return held

    def exchange(self) -> None:
        """Stop the server, if it runs, and start it on an empty disk or on one that it has had."""
        if not self.is_admitted:
            self._look_for_admission()
        if not self.is_admitted:
            return
        self.times += 1
        server = self.server
        if server.id not in self.cluster.down:
            self.cluster.crash(server.id)
        left = (server.disk, server.disk_id)
        if self.kept and self.rng.random() < 0.4:
            server.disk, server.disk_id = self.kept.pop(self.rng.randrange(len(self.kept)))
        else:
            server.disk, server.disk_id = Disk(server.first_base, HardState(), [], ()), self.next_disk_id
            self.next_disk_id += 1
        self.kept.append(left)
        self.cluster.restart(server.id)

    def meet_a_deposed_leader(self) -> None:
        """Cut the leader off, let others elect and commit, and have the server come back with the one cut off alone."""
        cluster, leader = self.cluster, self.cluster.leader
        if leader is None or leader is self.server:
            return
        cluster.isolate(leader.id)
        cluster.run_for(self.rng.uniform(0.3, 1.5))
        cluster.propose()
        cluster.run_for(0.1)
        self.exchange()
        cluster.partition({leader.id, self.server.id}, cluster.servers.keys() - {leader.id, self.server.id})
        for _ in range(8):
            cluster.run_for(0.2)
            if leader.id not in cluster.down:
                cluster.read(leader.id)
            if leader.state.leader is not None and leader.id not in cluster.down:
                with suppress(NotLeader, Overloaded):
                    leader.raft.propose([b"of %d" % leader.id])
                cluster.carry_out(leader)
        cluster.heal()


def disturb(cluster: Cluster, rng: random.Random) -> None:
    """One of the things that happen to a cluster; its members stay."""
    ids = sorted(cluster.servers)
    leader = cluster.leader
    one = leader.id if leader is not None and rng.random() < 0.25 else rng.choice(ids)
    action = rng.random()
    if action < 0.35:
        for _ in range(rng.choice((1, 1, 5))):
            cluster.propose()
    elif action < 0.5:
        if one not in cluster.down:
            cluster.read(one)
    elif action < 0.58:
        side = {one, *rng.sample(ids, rng.randint(0, len(ids) - 2))}
        cluster.partition(side, set(ids) - side)
    elif action < 0.68:
        cluster.heal()
    elif action < 0.73:
        if one not in cluster.down:
            cluster.crash(one)
    elif action < 0.83 and cluster.down:
        cluster.restart(rng.choice(sorted(cluster.down)))
    elif action < 0.89:
        if one not in cluster.down:
            cluster[one].compact(keep=rng.choice((0, 3)), snapshot=rng.random() < 0.5)
            cluster.carry_out(cluster[one])
    elif action < 0.94:
        cluster.transfer(one)


def run_with_exchanges(seed: int, *, rounds: int = 250) -> tuple[Cluster, Exchange]:
    """One run: faults and exchanged disks for a while, then a healed network that must make progress."""
    rng = random.Random(f"disks/{seed}")
    configuration = rng.choice(CONFIGURATIONS)
    lease_reads = rng.random() < 0.3
    cluster = Cluster(
        0,
        seed,
        faults=True,
        configuration=configuration,
        disk_ids=True,
        election_timeout_ms=300,
        heartbeat_interval_ms=60,
        pre_vote=rng.random() < 0.6,
        check_quorum=lease_reads or rng.random() < 0.6,
        lease_reads=lease_reads,
        max_message_bytes=rng.choice((8, 64, 1 << 20)),
        snapshot_retry_ms=200,
    )
    exchange = Exchange(cluster, rng.choice(sorted(configuration.voters)), rng)
    for _ in range(rounds):
        cluster.run_for(0.05)
        disturb(cluster, rng)
        action = rng.random()
        if action < 0.05:
            exchange.exchange()
        elif action < 0.07:
            exchange.meet_a_deposed_leader()
    cluster.check_logs()
    cluster.end_faults()
    cluster.run_for(3)
    cluster.elect()
    cluster.run_until(cluster.propose)
    cluster.converge()
    cluster.check_logs()
    return cluster, exchange


@pytest.mark.parametrize("seed", SEEDS)
def test_one_servers_disks_harm_nobody_else(seed: int) -> None:
    """Whatever one server forgets, Figure 3 holds and reads are linearizable; in the end its word counts again."""
    cluster, exchange = run_with_exchanges(seed)
    server = exchange.server
    cluster.run_until(lambda: dict(cluster.elect().state.configuration.disks).get(server.id) == server.disk_id)


def test_runs_do_what_they_are_for() -> None:
    """Disks are exchanged often, and every rule of disks acts."""
    cluster, exchange = run_with_exchanges(0)
    assert exchange.times > 3
    assert {"NS-1", "NS-2", "NS-3"} <= cluster.rules()
