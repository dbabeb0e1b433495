"""The leader: L-1 to L-4, with batching, pipelining and flow control.

Nothing is sent where it is decided. What each follower should be sent follows from its `Progress`, and is worked out
once per `Ready`: so all commands proposed in one turn travel together.
"""

from oarlock.raft.disks import note_disk, replace_disks
from oarlock.raft.install_snapshot import begin_snapshot, request_chunk
from oarlock.raft.membership import follow_commit, leave_if_removed
from oarlock.raft.messages import AppendEntries, AppendEntriesReply
from oarlock.raft.progress import Mode, Progress
from oarlock.raft.quorum import agreed_value, has_quorum
from oarlock.raft.reads import begin_waiting_reads, confirm_reads, note_lease_round, renew_lease
from oarlock.raft.roles import become_follower, new_progress
from oarlock.raft.state import LeaderState, NotLeader, Overloaded, RaftState
from oarlock.raft.transfer import continue_transfer, give_up_late_transfer
from oarlock.raft.types import Entry, EntryKind, Index, ServerId, Term


def propose(state: RaftState, commands: list[bytes], awaited_by: ServerId | None = None) -> list[tuple[Index, Term]]:
    """Append clients' commands to the leader's log (L-2); they are answered after they are applied.

    `awaited_by` is the follower that forwarded them, and is in a hurry to learn of their commitment.

    Raises:
        NotLeader: With a hint where the leader is.
        Overloaded: Too many bytes await commitment already (FC-1); none of the commands was taken.
    """
    leader = state.leader
    if leader is None:
        raise NotLeader(state.leader_id)
    if leader.transfer_to is not None:
        raise NotLeader(leader.transfer_to)
    size = sum(map(len, commands))
    if leader.uncommitted_bytes and leader.uncommitted_bytes + size > state.config.max_uncommitted_bytes:
        state.fire("FC-1", leader.uncommitted_bytes, size)
        raise Overloaded(f"{leader.uncommitted_bytes} bytes of proposals await commitment")
    leader.uncommitted_bytes += size
    first, term = state.log.last_index + 1, state.current_term
    entries = [Entry(index, term, EntryKind.COMMAND, command) for index, command in enumerate(commands, first)]
    state.fire("L-2", first, len(entries))
    state.append_to_log(entries)
    if awaited_by in leader.peers:
        leader.peers[awaited_by].awaited_index = state.log.last_index
    return [(entry.index, term) for entry in entries]


def replicate(state: RaftState, leader: LeaderState) -> None:
    """Send every follower what it is due: a heartbeat (L-1), entries (L-3), news of commitment, or a snapshot."""
    _follow_configuration(state, leader)
    is_removed = state.server_id not in state.configuration.voters
    leader.news_due |= is_removed  # there may be no later
    if leader.heartbeat_due:
        note_lease_round(state, leader)
    for peer, progress in leader.peers.items():
        if leader.heartbeat_due:
            state.fire("L-1", peer)
            _send_heartbeat(state, peer, progress)
        _send_entries(state, leader, peer, progress)
    if leader.heartbeat_due:
        leader.heartbeat_due = False
        leader.last_heartbeat = state.now
    leader.news_due = False
    if is_removed:
        leave_if_removed(state, leader)


def _follow_configuration(state: RaftState, leader: LeaderState) -> None:
    """Serve the members of the configuration in force, and removed ones until they can know it (MC-9)."""
    if leader.followed_configuration is state.configuration:
        return
    leader.followed_configuration = state.configuration
    for member in state.others:
        if member not in leader.peers:
            leader.peers[member] = new_progress(state, member)
        progress = leader.peers[member]
        progress.leaving_since = None
        if progress.disk_id > 0 and state.configuration.disk_of(member) is None:
            progress.counts = True  # one that has lost its vote may get it back for the disk that it is on now (NS-2)
    for peer in sorted(leader.peers.keys() - state.configuration.members):
        progress = leader.peers[peer]
        if progress.leaving_since is None:
            progress.leaving_since = state.now
            progress.awaited_index = state.configuration_index
        knows = min(progress.match_index, progress.sent_commit) >= state.configuration_index
        if knows or state.now - progress.leaving_since > 2 * state.config.election_timeout:
            state.fire("MC-9", peer, knows)
            del leader.peers[peer]
        else:
            leader.followed_configuration = None


def _send_heartbeat(state: RaftState, peer: ServerId, progress: Progress) -> None:
    """An AppendEntries without entries at a point the follower is known to share, so that it can answer at once."""
    prev_log_index = progress.match_index
    prev_log_term = state.log.term(prev_log_index)
    if prev_log_term is None:
        prev_log_index = prev_log_term = 0
    _send(state, peer, prev_log_index, prev_log_term, ())
    snapshot_retry = state.config.snapshot_retry_ms / 1000
    if progress.snapshot is not None and state.now - progress.chunk_sent_at >= snapshot_retry:
        request_chunk(state, peer, progress, progress.snapshot)


def _send_entries(state: RaftState, leader: LeaderState, peer: ServerId, progress: Progress) -> None:
    log = state.log
    while progress.is_due(log.last_index, state.commit_index, all_news=leader.news_due):
        prev_log_index = progress.next_index - 1
        prev_log_term = log.term(prev_log_index)
        if prev_log_term is None:
            begin_snapshot(state, peer, progress)
            return
        entries, size = log.batch(progress.next_index, state.config.max_message_bytes)
        if entries:
            state.fire("L-3", peer, progress.next_index, len(entries))
            if entries[-1].index < log.last_index:
                state.fire("FC-3", peer, size)
        _send(state, peer, prev_log_index, prev_log_term, tuple(entries))
        last_index = prev_log_index + len(entries)
        if progress.mode is Mode.PROBE:
            progress.probe_outstanding = True
            progress.probe_sent_at = state.now
            return
        progress.sent_commit = min(state.commit_index, last_index)
        if entries:
            progress.next_index = last_index + 1
            progress.inflight.add(last_index, size, state.now)
            if progress.inflight.is_full:
                state.fire("FC-2", peer, len(progress.inflight), progress.inflight.bytes)


def _send(
    state: RaftState, peer: ServerId, prev_log_index: Index, prev_log_term: Term, entries: tuple[Entry, ...]
) -> None:
    request_id = state.next_request_id()
    message = AppendEntries(
        state.server_id,
        state.current_term,
        request_id,
        prev_log_index,
        prev_log_term,
        state.commit_index,
        entries,
    )
    state.send_when_true(peer, message)


def on_append_entries_reply(state: RaftState, leader: LeaderState, message: AppendEntriesReply) -> bool:
    """A follower answered, perhaps late, twice, or out of order: match_index only rises, next_index never passes it.

    Returns:
        Whether anything is to be sent to followers now. Most replies, all but one of a commit's, bring no work.
    """
    if not leader.first_request_id < message.request_id <= state.request_counter:
        state.fire("RS-1", "AppendEntriesReply", message.request_id)
        return False
    commit_index = state.commit_index
    progress = leader.peers[message.source]
    if message.disk_id != progress.disk_id and not note_disk(state, progress, message):
        return False
    progress.last_heard = state.now
    if message.request_id > progress.acknowledged_request_id:
        progress.acknowledged_request_id = message.request_id
        confirm_reads(state, leader)
        renew_lease(state, leader)
    if message.success:
        _on_success(state, leader, progress, message)
    else:
        _on_mismatch(state, progress, message)
    return state.commit_index > commit_index or progress.is_due(state.log.last_index, state.commit_index)


def _on_success(state: RaftState, leader: LeaderState, progress: Progress, message: AppendEntriesReply) -> None:
    if message.match_index > state.log.last_index:
        state.fire("RS-1", "AppendEntriesReply", message.match_index)
        return
    is_news = progress.raise_match(message.match_index, state.request_counter)
    if is_news:
        state.fire("L-3a", message.source, message.match_index)
    match progress.mode:
        case Mode.PROBE if progress.match_index >= progress.next_index - 1:
            progress.become_replicate()
        case Mode.PROBE if state.now - progress.probe_sent_at >= state.config.heartbeat_interval:
            # It answers heartbeats, but not the probe: that was lost.
            progress.probe_outstanding = False
        case Mode.REPLICATE:
            oldest = progress.inflight.oldest()
            if oldest is not None and state.now - oldest > state.config.election_timeout / 2:
                # It answers, but not to what was sent that long ago: that was lost.
                progress.become_probe()
        case _:
            pass
    if is_news and message.match_index > state.commit_index:
        advance_commit_index(state, leader)
    if message.source == leader.transfer_to:
        continue_transfer(state)


def _on_mismatch(state: RaftState, progress: Progress, message: AppendEntriesReply) -> None:
    """Skip back over the whole conflicting term (L-3b, BT-2)."""
    if message.prev_log_index <= progress.match_index and message.request_id > progress.known_at_request_id:
        state.fire("DL-1", message.source, message.prev_log_index, progress.match_index)
        state.lost_data.append(message.source)
        progress.forget_match()
        return
    is_stale = (
        message.prev_log_index <= progress.match_index
        or message.prev_log_index >= progress.next_index
        or progress.mode is Mode.SNAPSHOT
    )
    if is_stale:
        state.fire("RS-1", "AppendEntriesReply", message.prev_log_index)
        return
    next_index = message.conflict_index
    if message.conflict_term:
        # The last entry of a term the follower may share: those after it, of newer terms, it cannot have.
        shared = state.log.last_index_at_or_below_term(message.prev_log_index - 1, message.conflict_term)
        if state.log.term(shared) == message.conflict_term:
            next_index = shared + 1
    next_index = min(next_index, message.prev_log_index)
    state.fire("L-3b", message.source, message.prev_log_index, next_index)
    progress.lower_next(next_index)
    state.fire("BT-2", message.source, progress.next_index, progress.match_index)


def advance_commit_index(state: RaftState, leader: LeaderState) -> None:
    """Commit what a quorum holds durably, this server's own disk included, if it is of the current term (L-4)."""
    match_index = {peer: progress.match_index for peer, progress in leader.peers.items() if progress.counts}
    match_index[state.server_id] = state.log.durable_index
    if state.configuration.is_joint:
        state.fire("MC-2", "commit")
    index = agreed_value(state.configuration, match_index)
    if index <= state.commit_index or state.log.term(index) != state.current_term:
        # An entry of an older term commits only beneath one of this term: by count alone it could still be lost (G15).
        return
    state.fire("L-4", index, state.current_term, state.commit_index)
    committed = state.log.slice(state.commit_index + 1, index)
    leader.uncommitted_bytes -= sum(len(entry.data) for entry in committed)
    state.commit_to(index)
    leader.news_deadline = min(leader.news_deadline, state.now + state.config.commit_news_delay_ms / 1000)
    if leader.reads_before_commit:
        begin_waiting_reads(state, leader)
    follow_commit(state)


def on_leader_tick(state: RaftState, leader: LeaderState) -> None:
    """Heartbeats when due (L-1); step down without a majority (CQ-1)."""
    if state.now >= leader.last_heartbeat + state.config.heartbeat_interval:
        leader.heartbeat_due = True
        replace_disks(state, leader)
    if state.now >= leader.news_deadline:
        state.fire("FC-5", state.commit_index)
        leader.news_due = True
        leader.news_deadline = float("inf")
    if give_up_late_transfer(state, leader):
        follow_commit(state)
    if not state.config.check_quorum or state.now < leader.last_quorum_check + state.config.election_timeout:
        return
    leader.last_quorum_check = state.now
    heard = {
        peer
        for peer, progress in leader.peers.items()
        if progress.counts and state.now - progress.last_heard <= state.config.election_timeout
    }
    if not has_quorum(state.configuration, heard | {state.server_id}):
        state.fire("CQ-1", len(heard))
        become_follower(state, state.current_term, None)


def on_disk_stall(state: RaftState) -> None:
    """A leader that cannot write must not keep others from leading by its heartbeats (CQ-4; hashicorp/raft 503)."""
    state.fire("CQ-4", state.disk_writes[0].number, state.now - state.disk_writes[0].since)
    become_follower(state, state.current_term, None)
