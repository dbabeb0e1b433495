"""Snapshots, and logs that begin where one ends."""

from oarlock.raft.messages import AppendEntries, InstallSnapshot, InstallSnapshotReply, RaftMessage
from oarlock.raft.types import Entry, Index, ServerId
from oarlock.zoo.core.broken import require
from oarlock.zoo.core.cluster import Cluster
from oarlock.zoo.core.scenes.stage import (
    CATCH_UP,
    HEARTBEAT_S,
    SOON_S,
    TIMEOUT_S,
    converge,
    elect,
    lead,
    make,
    propose,
)
from oarlock.zoo.core.server import Server, encode


def _all_entries(server: Server) -> tuple[Entry, ...]:
    log = server.state.log
    return tuple(log.slice(log.base_index + 1, log.last_index))


def _append(server: Server, first: Index, entries: tuple[Entry, ...]) -> AppendEntries:
    """AppendEntries of a leader, from an index on; commits nothing."""
    state = server.state
    previous = entries[first - 2].term if first > 1 else 0
    sent = entries[first - 1 :]
    return AppendEntries(server.id, state.current_term, state.next_request_id(), first - 1, previous, 0, sent)


def a_snapshot_comes_late(seed: int) -> None:
    """A snapshot that arrives after entries behind it were acknowledged takes none of them away."""
    cluster = make(3, seed)
    leader = elect(cluster, 1)
    converge(cluster)
    cluster.crash(3)
    propose(cluster, 10)
    cluster.run_for(0.05)
    leader.compact()
    cluster.carry_out(leader)
    propose(cluster, 3)
    cluster.run_for(0.05)
    entries = _all_entries(cluster[2])
    late = _append(leader, 1, entries)
    held: list[InstallSnapshot] = []

    def hold(_source: ServerId, _to: ServerId, message: RaftMessage) -> bool:
        if isinstance(message, InstallSnapshot):
            held.append(message)
        return isinstance(message, InstallSnapshot)

    cluster.drop = hold
    cluster.restart(3)
    cluster.run_until(lambda: held, SOON_S, CATCH_UP)
    cluster.drop = lambda source, to, message: False  # noqa: ARG005
    cluster.isolate(3)
    cluster[3].raft.step(late, cluster.now)
    cluster.carry_out(cluster[3])
    metadata = held[-1].metadata
    whole = encode(leader.disk.snapshots[metadata])
    image = InstallSnapshot(1, late.term, late.request_id + 1, metadata, 0, whole, done=True)
    cluster[3].raft.step(image, cluster.now)
    cluster.carry_out(cluster[3])
    require(cluster[3].state.log.last_index == len(entries), "durability", cluster.describe())


def a_request_comes_late(seed: int) -> None:
    """AppendEntries that comes again, and begins below what was compacted since, acknowledges what it holds."""
    cluster = make(3, seed)
    leader = elect(cluster, 1)
    converge(cluster)
    propose(cluster, 6)
    converge(cluster)
    entries = _all_entries(leader)
    follower = cluster[2]
    follower.compact(keep=2)
    cluster.carry_out(follower)
    for first in range(1, len(entries) + 1):
        follower.raft.step(_append(leader, first, entries), cluster.now)
        cluster.carry_out(follower)
    cluster.run_for(0.1)


def a_snapshot_over_unsaved_entries(seed: int) -> None:
    """What a snapshot covers may have been replaced in memory only: the disk's old history does not lie behind it."""
    cluster = make(5, seed, pre_vote=False, check_quorum=False)
    elect(cluster, 1)
    converge(cluster)
    cluster.drop = lambda source, to, message: to != 2  # noqa: ARG005
    propose(cluster, 8)
    cluster.run_for(0.01)
    cluster.drop = lambda source, to, message: to == 2  # noqa: ARG005
    cluster.isolate(1)
    leader = lead(cluster, cluster[3])
    propose(cluster, 3)
    cluster.run_for(0.02)
    entries = _all_entries(leader)
    follower = cluster[2]
    append = _append(leader, 2, entries)
    leader.take_snapshot()
    metadata, slots = next(iter(leader.disk.snapshots.items()))
    number = append.request_id + 1
    image = InstallSnapshot(3, append.term, number, metadata, 0, encode(slots), done=True)
    follower.raft.step(image, cluster.now)
    follower.run()
    follower.raft.step(append, cluster.now)
    follower.write_chunk()
    cluster.carry_out(follower)
    _restart_and_join(cluster, follower)


def _restart_and_join(cluster: Cluster, server: Server) -> None:
    cluster.crash(server.id)
    cluster.restart(server.id)
    cluster.drop = lambda source, to, message: False  # noqa: ARG005
    cluster.heal()
    cluster.run_for(TIMEOUT_S)
    converge(cluster)


def a_follower_of_another_history(seed: int) -> None:
    """A follower whose log differs exactly at a snapshot's index takes it once, and whole."""
    cluster = make(5, seed, pre_vote=False, check_quorum=False)
    elect(cluster, 1)
    converge(cluster)
    cluster.drop = lambda source, to, message: to != 2  # noqa: ARG005
    propose(cluster, 8)
    cluster.run_for(0.01)
    cluster.drop = lambda source, to, message: to == 2  # noqa: ARG005
    cluster.isolate(1)
    leader = lead(cluster, cluster[3])
    propose(cluster, 3)
    cluster.run_for(0.02)
    leader.compact()
    cluster.carry_out(leader)
    propose(cluster, 1)
    cluster.heal()
    _count_snapshots(cluster, 2)
    _restart_and_join(cluster, cluster[2])


def one_snapshot_is_enough(seed: int) -> None:
    """A follower that needs a snapshot is sent one, not many."""
    cluster, _ = _left_behind(seed)
    cluster.restart(3)
    _count_snapshots(cluster, 3)


def _left_behind(seed: int, **settings: object) -> tuple[Cluster, Server]:
    """Three servers, of whom the third is down and lacks what the leader, the first, has compacted."""
    cluster = make(3, seed, **settings)
    leader = elect(cluster, 1)
    cluster.crash(3)
    propose(cluster, 40)
    cluster.run_for(0.05)
    leader.compact()
    cluster.carry_out(leader)
    return cluster, leader


def _count_snapshots(cluster: Cluster, receiver: ServerId) -> None:
    begun = 0

    def count(_source: ServerId, to: ServerId, message: RaftMessage) -> bool:
        nonlocal begun
        begun += to == receiver and isinstance(message, InstallSnapshot) and message.offset == 0
        return False

    cluster.drop = count
    converge(cluster)
    cluster.run_for(0.2)
    require(begun <= 3, "one snapshot is enough", f"server {receiver} was sent {begun}")


def a_chunk_gets_lost(seed: int) -> None:
    """A snapshot arrives although chunks of it are lost."""
    cluster, _ = _left_behind(seed, snapshot_retry_ms=200)
    seen = 0

    def lose(_source: ServerId, _to: ServerId, message: RaftMessage) -> bool:
        nonlocal seen
        seen += isinstance(message, InstallSnapshot)
        return isinstance(message, InstallSnapshot) and seen == 2

    cluster.drop = lose
    cluster.restart(3)
    converge(cluster, 0.2 + 4 * HEARTBEAT_S)


def a_link_breaks_in_a_snapshot(seed: int) -> None:
    """A chunk that was lost with its link is sent again soon, though a slow disk would be given much longer."""
    cluster, leader = _left_behind(seed, snapshot_retry_ms=60_000)
    lost: list[InstallSnapshot] = []

    def lose(_source: ServerId, _to: ServerId, message: RaftMessage) -> bool:
        if isinstance(message, InstallSnapshot) and message.offset and not lost:
            lost.append(message)
            return True
        return False

    cluster.drop = lose
    cluster.restart(3)
    cluster.run_until(lambda: lost, SOON_S, CATCH_UP)
    leader.raft.peer_unreachable(3)
    cluster.carry_out(leader)
    again: list[InstallSnapshot] = []

    def note(_source: ServerId, _to: ServerId, message: RaftMessage) -> bool:
        if isinstance(message, InstallSnapshot):
            again.append(message)
        return False

    cluster.drop = note
    converge(cluster, TIMEOUT_S + 3 * HEARTBEAT_S)
    sentence = f"byte {lost[0].offset} was lost, and byte {again[0].offset} is sent"
    require(again[0].offset == lost[0].offset, "what arrived is not sent again", sentence)


def a_snapshot_is_gone(seed: int) -> None:
    """A snapshot whose file cannot be read any more is made anew."""
    cluster = make(3, seed)
    leader = elect(cluster, 1)
    cluster.crash(3)
    propose(cluster, 10)
    cluster.run_for(0.05)
    leader.compact()
    cluster.carry_out(leader)
    leader.disk.machine = tuple(leader.machine)
    leader.disk.snapshots.clear()
    cluster.restart(3)
    converge(cluster)


def the_term_changes_under_a_chunk(seed: int) -> None:
    """A chunk that was being written when the term changed is not answered: who asked leads no more."""
    cluster = make(3, seed, pre_vote=False, check_quorum=False)
    leader = elect(cluster, 1)
    cluster.crash(3)
    propose(cluster, 3)
    cluster.run_for(0.05)
    leader.take_snapshot()
    metadata, slots = next(iter(leader.disk.snapshots.items()))
    cluster.restart(3)
    cluster.isolate(3)
    receiver, number = cluster[3], leader.state.next_request_id()
    image = InstallSnapshot(1, leader.state.current_term, number, metadata, 0, encode(slots), done=True)
    receiver.raft.step(image, cluster.now)
    receiver.run()
    cluster.time_out(3)
    receiver.raft.tick(cluster.now)
    answers = [message for _, message in receiver.settle() if isinstance(message, InstallSnapshotReply)]
    require(not answers, "an answer is of the term that asked", f"{len(answers)} answers to a chunk of an older term")
    cluster.carry_out(receiver)
    cluster.heal()
    converge(cluster)


SNAPSHOTS = (
    a_snapshot_comes_late,
    a_request_comes_late,
    a_snapshot_over_unsaved_entries,
    a_follower_of_another_history,
    one_snapshot_is_enough,
    a_chunk_gets_lost,
    a_link_breaks_in_a_snapshot,
    a_snapshot_is_gone,
    the_term_changes_under_a_chunk,
)
"""The scenes of this module."""
