"""Reads under a lease."""

from oarlock.raft.messages import RaftMessage, TimeoutNow
from oarlock.raft.types import ServerId
from oarlock.zoo.core.broken import require
from oarlock.zoo.core.cluster import Cluster
from oarlock.zoo.core.scenes.stage import AT_ONCE_S, LEADER_IN_TIME, TIMEOUT_S, elect, make


def _leased(seed: int) -> Cluster:
    """Server 1 leads three, and has a lease."""
    cluster = make(3, seed, lease_reads=True)
    elect(cluster, 1)
    cluster.run_for(0.2)
    return cluster


def _read_at_the_old_leader(cluster: Cluster) -> None:
    """Server 1 is cut off, server 2 campaigns: what that writes, a read at server 1 must not miss."""
    cluster.isolate(1)
    cluster.run_until(lambda: cluster[2].is_leading, AT_ONCE_S, LEADER_IN_TIME)
    _write_and_read(cluster)


def _write_and_read(cluster: Cluster) -> None:
    cluster.propose()
    cluster.run_for(0.005)
    cluster.read(1)
    cluster.run_for(0.01)


def a_lease_saves_the_round(seed: int) -> None:
    """Within its lease a leader answers reads by itself, as long as a majority goes on answering."""
    cluster = make(3, seed, lease_reads=True)
    elect(cluster, 1)
    cluster.run_for(2 * TIMEOUT_S)
    cluster.crash(3)
    for _ in range(20):
        cluster.run_for(0.025)
        messages, answered = cluster.messages, cluster.watch.reads_answered
        cluster.read(1)
        is_answered = cluster.watch.reads_answered == answered + 1
        count = cluster.messages - messages
        require(is_answered and not count, "a lease saves the round", f"a read cost {count} messages")


def a_lease_and_a_transfer(seed: int) -> None:
    """A leader that asked another to campaign answers no read by its lease."""
    cluster = _leased(seed)
    cluster.transfer(2)
    cluster.run_for(0.0015)
    _read_at_the_old_leader(cluster)


def a_lease_and_a_slow_transfer(seed: int) -> None:
    """Nor does it get a new lease while its successor may still campaign."""
    cluster = _leased(seed)

    def delay(_source: ServerId, _to: ServerId, message: RaftMessage) -> float:
        return 0.1 if isinstance(message, TimeoutNow) else 0.001

    cluster.delay = delay
    cluster.transfer(2)
    cluster.run_for(0.1005)
    _read_at_the_old_leader(cluster)


def a_lease_and_slow_answers(seed: int) -> None:
    """A lease is over before its voters may elect another leader, however late they answered."""
    cluster = _leased(seed)
    cluster.delay = lambda source, to, message: 0.25 if to == 1 else 0.001  # noqa: ARG005
    cluster.run_for(0.1)
    cluster.cut = {(1, 2), (1, 3)}
    cluster.run_for(TIMEOUT_S + 0.005)
    cluster.time_out(2)
    _read_at_the_old_leader(cluster)


def a_lease_and_forgetting(seed: int) -> None:
    """Followers that are told to forget their leader keep the promise that its lease rests on."""
    cluster = _leased(seed)
    cluster.isolate(1)
    for follower in (cluster[2], cluster[3]):
        follower.raft.forget_leader()
        cluster.carry_out(follower)
    cluster.time_out(2)
    cluster.run_for(AT_ONCE_S)
    _write_and_read(cluster)


LEASES = (
    a_lease_saves_the_round,
    a_lease_and_a_transfer,
    a_lease_and_a_slow_transfer,
    a_lease_and_slow_answers,
    a_lease_and_forgetting,
)
"""The scenes of this module."""
