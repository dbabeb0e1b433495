"""What a node says about itself."""

import msgspec

from oarlock.raft.types import Index, ServerId, Term


class NodeStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A consistent picture, taken between two events (pitfall K2)."""

    cluster_id: int
    server_id: ServerId
    leader_id: ServerId | None
    role: str
    term: Term
    commit_index: Index
    applied_index: Index
    """Of the node; the machine's own may be lower, as entries that open a term are not for it."""
    durable_index: Index
    """The last log index on this server's disk."""
    first_index: Index
    """The first log index still held."""
    last_index: Index
    is_learner: bool
    voters: tuple[ServerId, ...]
    learners: tuple[ServerId, ...]
    disk_full: bool
    pending_proposals: int


class Counters:
    """Running totals, for metrics; plain numbers that only rise."""

    __slots__ = (
        "bad_messages",
        "entries_applied",
        "leader_changes",
        "messages_dropped",
        "proposals_failed",
        "proposals_received",
        "proposals_retried",
        "reads_failed",
        "reads_received",
        "slow_writes",
        "snapshots_received",
        "snapshots_taken",
        "wal_entries",
        "wal_seconds",
        "wal_writes",
    )

    def __init__(self) -> None:
        self.bad_messages = 0
        self.entries_applied = 0
        self.leader_changes = 0
        self.messages_dropped = 0
        self.proposals_failed = 0
        self.proposals_received = 0
        self.proposals_retried = 0
        self.reads_failed = 0
        self.reads_received = 0
        self.slow_writes = 0
        self.snapshots_received = 0
        self.snapshots_taken = 0
        self.wal_entries = 0
        self.wal_seconds = 0.0
        self.wal_writes = 0
