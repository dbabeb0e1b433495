"""What is seen of a server after an event: plain data, from which the invariants are computed.

An observation carries only what changed in the log, so that its cost does not grow with the log. Whatever is None was
not looked at, and what depends on it is not checked.
"""

import msgspec

from oarlock.raft.types import Configuration, DiskId, HardState, Index, ServerId, SnapshotMetadata, Term

Digest = bytes | int | str
"""Stands for contents: equal contents have equal digests. The contents themselves will do."""

LEADER = "leader"
FOLLOWER = "follower"
CANDIDATE = "candidate"
PRE_CANDIDATE = "pre_candidate"


class ObservedEntry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A log entry."""

    index: Index
    term: Term
    digest: Digest
    configuration: Configuration | None = None
    """What the entry holds, if it is a configuration."""


class Promise(msgspec.Struct, frozen=True, gc=False):
    """What a message that has left the server claims: all of it must be on the server's disk."""

    term: Term
    """The sender's, in the message. For the questions of a pre-vote, whose term is no claim, the current one."""
    voted_for: ServerId | None = None
    """Of a vote granted or asked for in that term: whose."""
    match_index: Index = 0
    """Of a reply: up to where the sender's log is said to be the leader's."""


class Observed(msgspec.Struct, frozen=True, kw_only=True):
    """One server after one event."""

    server_id: ServerId
    incarnation: int = 0
    """Rises with each start; the first observation of a life gives the log as it was recovered."""
    disk_is_intact: bool = True
    """Of the first observation of a life: False if the disk was damaged on purpose, and may have forgotten."""
    disk_id: DiskId = 0
    """Tells the disk from others that the server has had; 0 if disks are not told apart."""

    current_term: Term
    voted_for: ServerId | None = None
    role: str = FOLLOWER

    base: SnapshotMetadata = SnapshotMetadata()
    """What was purged from the log's beginning, by compaction or for a snapshot."""
    last_index: Index
    entries: tuple[ObservedEntry, ...] = ()
    """What was written to the log since the server's last observation. The log's earlier content from the first of
    these on is gone, as is all after `last_index`."""
    snapshot_index: Index | None = None
    """Up to where the state can be recovered without the log."""
    commit_index: Index = 0
    applied_index: Index = 0
    configuration: Configuration | None = None
    """The one that the server acts upon."""
    match_index: tuple[tuple[ServerId, Index], ...] = ()
    """A leader's, of the others."""

    durable_hard_state: HardState | None = None
    """What a crash would now leave of term and vote."""
    durable_index: Index | None = None
    """Up to where a crash would now leave the log as it is, or a snapshot in its place, or, below a base that is not
    on disk yet, what was there before. A core believes less, at times; where the disk can be looked at, look there."""
    durable_applied_index: Index | None = None
    """Up to where a crash would now leave the state machine in a storage of its own."""

    applied: tuple[tuple[Index, Digest], ...] = ()
    """What the state machine was given since the last observation."""
    state_hash: tuple[Index, Digest] | None = None
    """The hash of the state machine, and the index at which it stood."""
    promises: tuple[Promise, ...] = ()
    """Of the messages that left since the last observation."""
    at: float = 0.0
    """True time."""
    lease_until: float | None = None
    """Of a leader: until when, in true time, it answers reads by its lease alone."""
