"""Snapshots: the receiver of InstallSnapshot (Figure 13, IS), the leader that sends one, and compaction.

The core decides; the bytes stay outside. A received chunk is handed to the runtime, which writes it and reports back;
a chunk to be sent is asked of the runtime, which reads it and sends it under the id given.
"""

from oarlock.raft.disks import note_disk
from oarlock.raft.messages import InstallSnapshot, InstallSnapshotReply
from oarlock.raft.progress import Progress
from oarlock.raft.ready import SnapshotChunk, SnapshotChunkRequest
from oarlock.raft.roles import become_follower
from oarlock.raft.state import LeaderState, RaftState, Role
from oarlock.raft.types import Index, ServerId, SnapshotMetadata


def on_install_snapshot(state: RaftState, message: InstallSnapshot) -> None:
    """Take a chunk from the current term's leader."""
    metadata = message.metadata
    if message.term < state.current_term:
        state.fire("IS-1", message.term, state.current_term)
        _reply(state, message.source, message.request_id, metadata, next_offset=0, done=False)
        return
    if state.role is not Role.FOLLOWER:
        state.fire("C-3", message.source)
        become_follower(state, message.term, message.source)
    state.hear_from_leader(message.source)
    state.fire("F-1", message.source)
    if metadata.last_included_index <= state.commit_index:
        # Delayed, or overtaken by entries: installing it would roll the state machine back (B5).
        state.fire("IS-5", metadata.last_included_index, state.commit_index)
        _reply(state, message.source, message.request_id, metadata, next_offset=0, done=True)
        return
    if message.offset == 0:
        state.fire("IS-2", metadata.last_included_index)
    state.fire("IS-3", message.offset, len(message.data))
    state.chunks.append(
        SnapshotChunk(
            message.source,
            message.term,
            message.request_id,
            metadata,
            message.offset,
            message.data,
            message.done,
        )
    )


def on_chunk_written(state: RaftState, chunk: SnapshotChunk) -> None:
    """The runtime wrote a chunk; after the last, the whole file is verified, synced and in place."""
    next_offset = chunk.offset + len(chunk.data)
    if not chunk.done:
        on_more_wanted(state, chunk, next_offset)
        return
    if chunk.term != state.current_term:
        state.fire("RS-1", "SnapshotChunk", chunk.request_id)
        return
    if chunk.metadata.last_included_index > state.commit_index:
        _install(state, chunk.metadata)
    _reply(state, chunk.source, chunk.request_id, chunk.metadata, next_offset=next_offset, done=True)


def on_more_wanted(state: RaftState, chunk: SnapshotChunk, next_offset: int) -> None:
    """There is more to come after this chunk, or it could not be kept (IS-4)."""
    if chunk.term != state.current_term:
        state.fire("RS-1", "SnapshotChunk", chunk.request_id)
        return
    state.fire("IS-4", next_offset)
    _reply(state, chunk.source, chunk.request_id, chunk.metadata, next_offset=next_offset, done=False)


def _install(state: RaftState, metadata: SnapshotMetadata) -> None:
    """The snapshot becomes the log's base and the state machine's state."""
    index = metadata.last_included_index
    state.fire("IS-5", index, state.commit_index)
    if state.log.term(index) == metadata.last_included_term:
        state.fire("IS-6", index, state.log.last_index)
        state.log.compact(metadata)
        # Entries replaced here, but not yet on disk: what is there may be another history's, longer than this log.
        state.discard_log = state.first_unsaved <= index
        state.first_unsaved = max(state.first_unsaved, index + 1)
        state.rebase_configurations()
    else:
        state.fire("IS-7", index, state.log.last_index)
        state.reset_log(metadata)
        state.discard_log = True
    state.fire("IS-8", index)
    state.commit_to(index)
    state.handed_to_apply = index
    state.snapshot = metadata
    state.snapshot_to_install = metadata


def _reply(
    state: RaftState,
    to: ServerId,
    request_id: int,
    metadata: SnapshotMetadata,
    *,
    next_offset: int,
    done: bool,
) -> None:
    index = metadata.last_included_index
    reply = InstallSnapshotReply(
        state.server_id, state.current_term, request_id, index, next_offset, done, state.disk_id
    )
    state.send_when_true(to, reply, claimed_index=index if done else 0)


def begin_snapshot(state: RaftState, peer: ServerId, progress: Progress) -> None:
    """What the follower needs is no longer in the log (IS-0): send the newest snapshot, or have one made."""
    snapshot = state.snapshot
    state.fire("IS-0", peer, progress.next_index, state.log.base_index)
    if snapshot is None or snapshot.last_included_index < state.log.base_index:
        state.snapshot_wanted = True
        return
    progress.become_snapshot(snapshot)
    request_chunk(state, peer, progress, snapshot)


def request_chunk(state: RaftState, peer: ServerId, progress: Progress, snapshot: SnapshotMetadata) -> None:
    """Have the chunk at the follower's offset sent, under a new id."""
    progress.chunk_request_id = state.next_request_id()
    progress.chunk_sent_at = state.now
    state.chunk_requests.append(
        SnapshotChunkRequest(peer, state.current_term, progress.chunk_request_id, snapshot, progress.snapshot_offset)
    )


def on_install_snapshot_reply(state: RaftState, leader: LeaderState, message: InstallSnapshotReply) -> None:
    """The follower wants the next chunk, or has the whole snapshot."""
    progress = leader.peers[message.source]
    if message.disk_id != progress.disk_id and not note_disk(state, progress, message):
        return
    if progress.snapshot is None or message.request_id != progress.chunk_request_id:
        state.fire("RS-1", "InstallSnapshotReply", message.request_id)
        return
    if message.done:
        progress.raise_match(message.last_included_index, state.request_counter)
        progress.become_probe()
        return
    progress.snapshot_offset = message.next_offset
    request_chunk(state, message.source, progress, progress.snapshot)


def compact(state: RaftState, index: Index) -> None:
    """Drop the log up to `index`, whose effects are durable outside it (LC-1).

    Raises:
        ValueError: Not all of that has been applied.
    """
    if index > state.last_applied:
        raise ValueError(f"cannot compact the log to {index}: applied only up to {state.last_applied}")
    term = state.log.term(index)
    if index <= state.log.base_index or term is None:
        return
    state.fire("LC-1", index, state.last_applied)
    base = SnapshotMetadata(index, term, state.configuration_at(index))
    state.log.compact(base)
    state.rebase_configurations()
    state.compact_to = base
