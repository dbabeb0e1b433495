"""Logs that differ, messages and chunks that get lost, limits, and reads."""

from oarlock.raft.messages import AppendEntries, AppendEntriesReply, RaftMessage, RequestVoteReply
from oarlock.raft.types import EntryKind, ServerId
from oarlock.zoo.core.broken import require
from oarlock.zoo.core.cluster import Cluster
from oarlock.zoo.core.scenes.stage import (
    CATCH_UP,
    HEARTBEAT_S,
    SOON_S,
    TIMEOUT_S,
    converge,
    elect,
    in_agreement,
    lead,
    make,
    propose,
    someone_leads,
)

_FEW = 4
"""Refusals that lead back over any number of entries."""
_LIMIT = "limits hold"


def _count_refusals(cluster: Cluster, *, of: ServerId) -> None:
    """Let a server catch up, with few refusals."""
    refusals = 0

    def count(source: ServerId, _to: ServerId, message: RaftMessage) -> bool:
        nonlocal refusals
        if source == of and isinstance(message, AppendEntriesReply):
            refusals += not message.success
        return False

    cluster.drop = count
    cluster.heal()
    converge(cluster)
    require(refusals <= _FEW, "logs are compared term by term", f"{refusals} refusals to find where they agree")


def a_term_that_the_leader_has(seed: int) -> None:
    """A follower with many entries of a term in which the leader has few is brought back in a few steps."""
    cluster = in_agreement(seed)
    cluster.isolate(1)
    propose(cluster, 40)
    elect(cluster, 2)
    propose(cluster, 40)
    cluster.run_for(0.05)
    elect(cluster, 3)  # begins at its own end
    _count_refusals(cluster, of=1)


def a_term_that_the_leader_lacks(seed: int) -> None:
    """So is a follower with many entries of a term of which the leader knows nothing."""
    cluster = in_agreement(seed)
    cluster.drop = lambda source, to, message: source == 3 and isinstance(message, AppendEntries)  # noqa: ARG005
    for server in cluster.live:
        server.state.last_leader_contact = float("-inf")
    lead(cluster, cluster[3])
    propose(cluster, 40)
    cluster.isolate(3)
    elect(cluster, 2)
    propose(cluster, 40)
    cluster.run_for(0.05)
    elect(cluster, 1)
    _count_refusals(cluster, of=3)


def a_log_that_is_too_short(seed: int) -> None:
    """And so is a follower that lacks many entries, when a new leader begins at its own end."""
    cluster = make(3, seed, pre_vote=False, check_quorum=False)
    elect(cluster, 1)
    cluster.crash(3)
    propose(cluster, 40)
    cluster.run_for(0.05)
    elect(cluster, 2)
    cluster.restart(3)
    _count_refusals(cluster, of=3)


def figure_8(seed: int) -> None:
    """An entry of an older term that a majority has is not committed before one of the leader's own term is."""
    cluster = make(5, seed, pre_vote=False, check_quorum=False)
    first = elect(cluster, 1)
    converge(cluster)

    def only_to(*servers: ServerId) -> None:
        cluster.drop = lambda source, to, message: isinstance(message, AppendEntries) and to not in servers  # noqa: ARG005

    only_to(2)
    cluster.propose()
    cluster.run_for(0.01)
    cluster.crash(1)
    cluster.crash(2)
    only_to()
    lead(cluster, cluster[5])
    cluster.propose()
    cluster.run_for(0.01)
    cluster.crash(5)
    cluster.restart(1)
    cluster.restart(2)
    old = first.state.log.last_index

    def nothing_new(_source: ServerId, to: ServerId, message: RaftMessage) -> bool:
        return isinstance(message, AppendEntries) and (to not in (2, 3) or any(e.index > old for e in message.entries))

    cluster.drop = nothing_new
    lead(cluster, first)
    cluster.run_for(0.3)
    cluster.crash(1)
    cluster.drop = lambda source, to, message: False  # noqa: ARG005
    cluster.restart(5)
    lead(cluster, cluster[5])
    cluster.run_for(0.1)
    cluster.restart(1)
    converge(cluster)


def entries_get_lost(seed: int) -> None:
    """What was sent ahead and lost is sent again, though nobody tells the leader."""
    cluster = make(3, seed)
    leader = someone_leads(cluster)
    converge(cluster)
    lagging = cluster.others(leader)[0]

    def lose(_source: ServerId, to: ServerId, message: RaftMessage) -> bool:
        return to == lagging.id and isinstance(message, AppendEntries) and bool(message.entries)

    cluster.drop = lose
    propose(cluster, 5)
    cluster.run_for(0.05)
    cluster.drop = lambda source, to, message: False  # noqa: ARG005
    converge(cluster, TIMEOUT_S / 2 + 3 * HEARTBEAT_S)


def a_probe_gets_lost(seed: int) -> None:
    """A probe that was lost is sent again, though nobody tells the leader."""
    cluster = make(3, seed)
    leader = someone_leads(cluster)
    lagging = cluster.others(leader)[0]
    lost: list[RaftMessage] = []

    def lose(_source: ServerId, to: ServerId, message: RaftMessage) -> bool:
        if to == lagging.id and isinstance(message, AppendEntries) and message.entries and not lost:
            lost.append(message)
            return True
        return False

    cluster.isolate(lagging.id)
    propose(cluster, 5)
    cluster.run_for(0.05)
    leader.raft.peer_unreachable(lagging.id)
    cluster.drop = lose
    cluster.heal()
    cluster.carry_out(leader)
    converge(cluster, 4 * HEARTBEAT_S)


def the_leader_cannot_commit(seed: int) -> None:
    """A leader without a quorum stays small, and so does the one after it."""
    cluster = make(3, seed, check_quorum=False, pre_vote=False, max_uncommitted_bytes=1000)
    elect(cluster, 1)
    converge(cluster)
    cluster.drop = lambda source, to, message: isinstance(message, AppendEntriesReply)  # noqa: ARG005
    propose(cluster, 50, 100)
    cluster.run_for(0.05)
    _check_uncommitted(cluster)
    cluster.crash(1)
    lead(cluster, cluster[2])
    propose(cluster, 50, 100)
    cluster.run_for(0.05)
    _check_uncommitted(cluster)


def _check_uncommitted(cluster: Cluster) -> None:
    leader = cluster.leader
    if leader is None:
        return
    log = leader.state.log
    held = log.slice(leader.state.commit_index + 1, log.last_index)
    size = sum(len(entry.data) for entry in held if entry.kind is EntryKind.COMMAND)
    require(size <= 1200, _LIMIT, f"server {leader.id} holds {size} uncommitted bytes, where 1000 are the limit")


def nobody_confirms_reads(seed: int) -> None:
    """Reads that no majority confirms are refused beyond a limit, not gathered."""
    cluster = make(3, seed, check_quorum=False, max_pending_reads=8)
    elect(cluster, 1)
    cluster.isolate(1)
    for _ in range(20):
        cluster.read(1)


def messages_are_many(seed: int) -> None:
    """A follower that answers nothing is sent no more than the window, in messages no larger than the limit."""
    cluster = make(3, seed, check_quorum=False, max_inflight_messages=4, max_message_bytes=200)
    elect(cluster, 1)
    converge(cluster)
    cluster.drop = lambda source, to, message: to == 1 and isinstance(message, AppendEntriesReply)  # noqa: ARG005
    propose(cluster, 30, 20)
    cluster.run_for(TIMEOUT_S / 3)
    cluster.drop = lambda source, to, message: False  # noqa: ARG005
    cluster.crash(2)
    cluster.restart(2)
    converge(cluster)
    cluster.crash(3)
    propose(cluster, 60, 50)
    cluster.run_for(0.05)
    cluster.restart(3)
    cluster.run_until(lambda: cluster[3].state.commit_index >= 90, SOON_S, CATCH_UP)


def messages_are_large(seed: int) -> None:
    """Nor more bytes than the window, and a message: a follower that reads slowly is not buried."""
    cluster = make(3, seed, check_quorum=False, max_inflight_bytes=300, max_message_bytes=100)
    elect(cluster, 1)
    converge(cluster)
    cluster.drop = lambda source, to, message: to == 1 and isinstance(message, AppendEntriesReply)  # noqa: ARG005
    sent = 0
    leader = cluster[1]
    for _ in range(30):
        cluster.propose(40)
    for peer, progress in leader.state.leader.peers.items() if leader.state.leader is not None else ():
        sent = progress.inflight.bytes
        require(300 <= sent < 400, _LIMIT, f"{sent} bytes are in flight to server {peer}, where 300 are the window")
    cluster.run_for(TIMEOUT_S / 3)
    cluster.drop = lambda source, to, message: False  # noqa: ARG005
    converge(cluster)


def a_new_leader_knows_less(seed: int) -> None:
    """A leader that has not heard what its predecessor committed answers no read until it has."""
    cluster = make(3, seed, check_quorum=False, pre_vote=False)
    elect(cluster, 1)
    converge(cluster)

    def unheard(_source: ServerId, to: ServerId, message: RaftMessage) -> bool:
        is_news = isinstance(message, AppendEntries) and message.leader_commit >= 2
        return isinstance(message, AppendEntries) and (to == 3 or (to == 2 and is_news))

    cluster.drop = unheard
    cluster.propose()
    cluster.run_for(0.02)
    cluster.drop = lambda source, to, message: isinstance(message, AppendEntries) and bool(message.entries)  # noqa: ARG005
    cluster.crash(1)
    lead(cluster, cluster[2])
    cluster.run_for(0.01)
    cluster.read(2)
    cluster.run_for(0.2)


def answers_come_late(seed: int) -> None:
    """Answers to requests that left before a read came do not confirm it."""
    cluster = make(3, seed, check_quorum=False, pre_vote=False)
    leader = elect(cluster, 1)
    converge(cluster)
    held: list[AppendEntriesReply] = []

    def hold(_source: ServerId, to: ServerId, message: RaftMessage) -> bool:
        if to == 1 and isinstance(message, AppendEntriesReply):
            held.append(message)
            return True
        return False

    cluster.drop = hold
    cluster.run_for(0.2)
    cluster.isolate(1)
    elect(cluster, 2)
    cluster.propose()
    cluster.run_for(0.02)
    cluster.read(1)
    for message in held:
        leader.raft.step(message, cluster.now)
        cluster.carry_out(leader)


def a_write_is_overtaken(seed: int) -> None:
    """A write under way does not count for the entries that replaced the written ones meanwhile."""
    cluster = make(5, seed, pre_vote=False, check_quorum=False)
    elect(cluster, 1)
    converge(cluster)
    slow = cluster[2]
    cluster.stalled = {2}
    cluster.drop = lambda source, to, message: source == 1 and to != 2  # noqa: ARG005
    propose(cluster, 5)
    cluster.run_for(0.01)
    cluster.isolate(1)
    lead(cluster, cluster[3])
    propose(cluster, 2)
    cluster.run_for(0.01)
    while len(slow.writing) > 1:  # the entries of old, and the new term; not yet the new entries
        slow.complete_write()
        cluster.carry_out(slow)
    cluster.run_for(TIMEOUT_S)


def votes_come_late(seed: int) -> None:
    """A vote counts only in the campaign that asked for it."""
    cluster = make(3, seed, pre_vote=False, check_quorum=False)
    held: list[RequestVoteReply] = []

    def hold(source: ServerId, to: ServerId, message: RaftMessage) -> bool:
        if to == 1 and isinstance(message, RequestVoteReply):
            held.append(message)
        return 1 in (source, to) and not (source == 1 and to == 2)

    cluster.drop = hold
    cluster.time_out(1)
    cluster.run_for(0.005)
    cluster.isolate(1)
    lead(cluster, cluster[3])
    candidate = cluster[1]
    while candidate.state.current_term < cluster[3].state.current_term:
        cluster.time_out(1)
        cluster.run_for(0.005)
    for message in held:
        candidate.raft.step(message, cluster.now)
        cluster.carry_out(candidate)


def acknowledgements_come_late(seed: int) -> None:
    """An acknowledgement counts only in the term whose leader asked for it: what it speaks of may be gone since."""
    cluster = make(5, seed, pre_vote=False, check_quorum=False)
    leader = elect(cluster, 1)
    converge(cluster)
    held: list[AppendEntriesReply] = []

    def hold(source: ServerId, to: ServerId, message: RaftMessage) -> bool:
        if to == 1 and isinstance(message, AppendEntriesReply):
            held.append(message)
            return True
        return source == 1 and to != 2

    cluster.drop = hold
    propose(cluster, 6)
    cluster.run_for(0.01)
    cluster.isolate(1)
    cluster.drop = lambda source, to, message: to == 2  # noqa: ARG005
    lead(cluster, cluster[3])
    cluster.heal()
    cluster.run_for(0.2)  # the first leader loses what only server 2 has, too
    lead(cluster, leader)
    cluster.run_for(0.02)
    cluster.drop = lambda source, to, message: isinstance(message, AppendEntries) and to != 4  # noqa: ARG005
    propose(cluster, 6)
    cluster.run_for(0.01)
    for message in held:
        leader.raft.step(message, cluster.now)
        cluster.carry_out(leader)


REPLICATION = (
    a_write_is_overtaken,
    votes_come_late,
    acknowledgements_come_late,
    a_term_that_the_leader_has,
    a_term_that_the_leader_lacks,
    a_log_that_is_too_short,
    figure_8,
    entries_get_lost,
    a_probe_gets_lost,
    the_leader_cannot_commit,
    nobody_confirms_reads,
    messages_are_many,
    messages_are_large,
    a_new_leader_knows_less,
    answers_come_late,
)
"""The scenes of this module."""
