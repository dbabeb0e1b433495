"""The receiver of AppendEntries: AE-1 to AE-5, in Figure 2's order.

A heartbeat is no special case: it is an AppendEntries whose entries happen to be none, and passes every check (G5, G9).
"""

from oarlock.raft.messages import AppendEntries, AppendEntriesReply
from oarlock.raft.roles import become_follower
from oarlock.raft.state import InvariantViolation, RaftState, Role
from oarlock.raft.types import Entry, Index


def on_append_entries(state: RaftState, message: AppendEntries) -> None:
    """Accept entries from the current term's leader (F-1)."""
    if message.term < state.current_term:
        state.fire("AE-1", message.term, state.current_term)
        state.fire("CQ-3", message.source, message.term)
        _refuse(state, message)
        return
    if state.role is Role.LEADER:
        raise InvariantViolation(f"servers {state.server_id} and {message.source} both lead in term {message.term}")
    if state.role is not Role.FOLLOWER:
        state.fire("C-3", message.source)
        become_follower(state, message.term, message.source)
    state.hear_from_leader(message.source)
    state.fire("F-1", message.source)

    log = state.log
    prev_log_index, prev_log_term, entries = _skip_compacted(state, message)
    if log.term(prev_log_index) != prev_log_term:
        state.fire("AE-2", prev_log_index, prev_log_term, log.term(prev_log_index))
        _refuse(state, message)
        return

    missing = _first_missing(state, entries)
    if missing is not None:
        state.fire("AE-4", missing)
        state.append_to_log([entry for entry in entries if entry.index >= missing])

    # Only what this request verified may be committed; older entries behind it may still conflict (G10).
    last_new_index = prev_log_index + len(entries)
    commit_index = min(message.leader_commit, last_new_index)
    if commit_index > state.commit_index:
        state.fire("AE-5", message.leader_commit, last_new_index, state.commit_index)
        state.commit_to(commit_index)
    _accept(state, message, last_new_index)


def _skip_compacted(state: RaftState, message: AppendEntries) -> tuple[Index, int, tuple[Entry, ...]]:
    """A request that begins below the log's base: what the base covers is committed and so agrees (B9)."""
    base_index = state.log.base_index
    if message.prev_log_index >= base_index:
        return message.prev_log_index, message.prev_log_term, message.entries
    covered = base_index - message.prev_log_index
    return base_index, state.log.base.last_included_term, message.entries[covered:]


def _first_missing(state: RaftState, entries: tuple[Entry, ...]) -> Index | None:
    """The first entry the log lacks, once a conflicting tail is gone (AE-3); None if it has them all.

    Without a conflict nothing is deleted: a delayed request must not erase what a later one brought (G6).
    """
    for entry in entries:
        term = state.log.term(entry.index)
        if term is None:
            return entry.index
        if term != entry.term:
            state.fire("AE-3", entry.index, term, entry.term)
            state.truncate_log_from(entry.index)
            return entry.index
    return None


def _accept(state: RaftState, message: AppendEntries, match_index: Index) -> None:
    reply = AppendEntriesReply(
        state.server_id,
        state.current_term,
        message.request_id,
        success=True,
        match_index=match_index,
        disk_id=state.disk_id,
    )
    state.send_when_true(message.source, reply, claimed_index=match_index)


def _refuse(state: RaftState, message: AppendEntries) -> None:
    """Answer false, with the hints that let the leader skip a whole term (BT-1)."""
    log = state.log
    conflict_term = log.term(message.prev_log_index)
    if conflict_term is None:
        conflict_term, conflict_index = 0, log.last_index + 1
    else:
        conflict_index = log.first_index_of_term_at(message.prev_log_index)
    state.fire("BT-1", conflict_term, conflict_index)
    reply = AppendEntriesReply(
        state.server_id,
        state.current_term,
        message.request_id,
        success=False,
        prev_log_index=message.prev_log_index,
        conflict_term=conflict_term,
        conflict_index=conflict_index,
        disk_id=state.disk_id,
    )
    state.send_when_true(message.source, reply)
