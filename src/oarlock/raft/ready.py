"""Effects, as data, in the order in which they must be carried out.

The runtime takes a `Ready`, and may overlap only what this order allows: `messages` leave at once, while the
disk takes `snapshot`, `hard_state` and `entries`; `messages_after_persist` leave only when that is durable.
Committed entries were durable before they are listed, so applying them waits for nothing.
"""

import msgspec

from oarlock.raft.messages import RaftMessage
from oarlock.raft.types import Entry, HardState, Index, ServerId, SnapshotMetadata

Outgoing = tuple[ServerId, RaftMessage]
"""A message and the server it is for."""


class ReadState(msgspec.Struct, frozen=True, gc=False):
    """An answer to `Raft.read_index(context)`: serve it once `read_index` is applied; None means refused, try again."""

    context: int
    read_index: Index | None


class SnapshotChunkRequest(msgspec.Struct, frozen=True):
    """The core wants the chunk at `offset` of snapshot `metadata` sent to `to`, as `InstallSnapshot` with these ids."""

    to: ServerId
    term: int
    request_id: int
    metadata: SnapshotMetadata
    offset: int


class SnapshotChunk(msgspec.Struct, frozen=True):
    """A received chunk to be written aside at `offset` (IS-2: offset 0 starts a new file; IS-3).

    When written, the runtime calls `Raft.snapshot_chunk_written`; after the last chunk it first verifies,
    syncs and renames the file.
    """

    source: ServerId
    term: int
    request_id: int
    metadata: SnapshotMetadata
    offset: int
    data: bytes
    done: bool


class Ready(msgspec.Struct):
    """One batch of effects. `number` rises by one; hand it back to `Raft.advance` when its disk part is durable."""

    number: int
    messages: list[Outgoing]
    """May leave before the disk: the leader's own AppendEntries, and replies that claim only what is durable."""
    snapshot: SnapshotMetadata | None
    """Install this (already received and synced) snapshot: state machine and log base move to it (IS-7, IS-8)."""
    discard_log: bool
    """With `snapshot`: the whole log goes (IS-7); otherwise the suffix stays (IS-6)."""
    hard_state: HardState | None
    """To be made durable, where it changed."""
    entries: list[Entry]
    """To be made durable; the first one's index and everything after it in the stored log are overwritten."""
    messages_after_persist: list[Outgoing]
    """Leave only when snapshot, hard state and entries of this and all earlier batches are durable."""
    committed_entries: list[Entry]
    """To be applied, in order; durable here already."""
    reads: list[ReadState]
    chunk_requests: list[SnapshotChunkRequest]
    chunks: list[SnapshotChunk]
    snapshot_wanted: bool
    """A follower needs a snapshot and none is at hand: make one, then call `Raft.snapshot_taken`."""
    compact_to: SnapshotMetadata | None
    """The log's new base after `Raft.compact`; entries up to it may be deleted from disk."""
    lost_data: list[ServerId]
    """Followers that deny entries they had acknowledged: their disks lost data (DL-1). To be logged as errors."""
    other_disks: list[ServerId]
    """Followers that answer from another disk than before, or than the one admitted (NS-1). To be logged as errors."""
    lost_leadership: bool
    """This server was leader and is no more: proposals not yet applied have an unknown outcome."""

    @property
    def must_persist(self) -> bool:
        """Whether the disk has something to do before `messages_after_persist` may leave."""
        return (
            bool(self.entries)
            or self.hard_state is not None
            or self.snapshot is not None
            or self.compact_to is not None
        )
