"""The RPCs of Figures 2 and 13, and of the extensions, each with its reply.

Every message names its term, and every reply repeats the `request_id` of its request, so that a late,
duplicated or reordered reply can be told from an awaited one (Structure Advice). Request ids rise with every
message that a server sends in one life, and start at a random point in each. A reply that the sender's word hangs on
also names the disk that it speaks for (NS-1).
"""

import msgspec

from oarlock.raft.types import DiskId, Entry, Index, ServerId, SnapshotMetadata, Term


class Message(msgspec.Struct, frozen=True, array_like=True, tag_field="type", gc=False):
    """What all messages share: the sender's term and an id that pairs a reply with its request."""

    source: ServerId
    term: Term
    request_id: int


class RequestVote(Message, frozen=True, tag=1, gc=False):
    """A candidate asks for a vote (RV)."""

    last_log_index: Index
    last_log_term: Term
    disrupt_leader: bool = False
    """Set when the leader itself asked for this campaign (LT-3)."""


class RequestVoteReply(Message, frozen=True, tag=2, gc=False):
    """A vote, or its refusal."""

    vote_granted: bool
    disk_id: DiskId = 0


class PreVote(Message, frozen=True, tag=3, gc=False):
    """Asks "would you vote for me in this term?" (dissertation 9.6). `term` is the term campaigned for."""

    last_log_index: Index
    last_log_term: Term


class PreVoteReply(Message, frozen=True, tag=4, gc=False):
    """Answers a `PreVote`; `term` is the campaigned term when granted, the voter's own when not."""

    vote_granted: bool
    disk_id: DiskId = 0


class AppendEntries(Message, frozen=True, tag=5, gc=False):
    """The leader replicates entries, or only its commit index and its being alive (AE)."""

    prev_log_index: Index
    prev_log_term: Term
    leader_commit: Index
    entries: tuple[Entry, ...] = ()


class AppendEntriesReply(Message, frozen=True, tag=6, gc=False):
    """`match_index` on success; on failure the hints of the guide's fast backtracking (L-3b).

    `conflict_term` is the term of the follower's entry at prev_log_index, or 0 where its log is too short;
    `conflict_index` the first index of that term, or the follower's log length plus one.
    """

    success: bool
    match_index: Index = 0
    prev_log_index: Index = 0
    conflict_term: Term = 0
    conflict_index: Index = 0
    disk_id: DiskId = 0


class InstallSnapshot(Message, frozen=True, tag=7, gc=False):
    """One chunk of a snapshot (Figure 13). The core decides on it; the runtime fills `data`."""

    metadata: SnapshotMetadata
    offset: int
    data: bytes
    done: bool


class InstallSnapshotReply(Message, frozen=True, tag=8, gc=False):
    """How far the receiver has come: the offset it wants next, or that it has all of it."""

    last_included_index: Index
    next_offset: int
    done: bool
    disk_id: DiskId = 0


class ReadIndex(Message, frozen=True, tag=9, gc=False):
    """A follower asks its leader for an index at which a read is linearizable (RI). `context` is the asker's.

    Whether the leader's lease will do (LS-1), where there is one, is up to the reader.
    """

    context: int
    may_use_lease: bool = True


class ReadIndexReply(Message, frozen=True, tag=10, gc=False):
    """The read index, or 0 where the asked server could not confirm its leadership."""

    context: int
    read_index: Index


class TimeoutNow(Message, frozen=True, tag=11, gc=False):
    """A leader asks its successor to campaign at once (LT-2)."""


RaftMessage = (
    RequestVote
    | RequestVoteReply
    | PreVote
    | PreVoteReply
    | AppendEntries
    | AppendEntriesReply
    | InstallSnapshot
    | InstallSnapshotReply
    | ReadIndex
    | ReadIndexReply
    | TimeoutNow
)
"""Any message of the core."""
