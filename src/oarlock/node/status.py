"""What a node says about itself."""

import msgspec

from oarlock.node.members import applied_configuration
from oarlock.raft.state import RaftState
from oarlock.raft.types import Configuration, Index, ServerId, Term


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
    configuration: Configuration = Configuration()
    """The members as of what is applied here; those above count from the moment they are in the log."""
    disk_full: bool
    """Whether this server lacks the space for writes: as leader it would refuse them, and has another lead."""
    pending_proposals: int


def status_of(
    cluster_id: int, state: RaftState, applied_index: Index, *, disk_full: bool, pending_proposals: int
) -> NodeStatus:
    """Put the picture together.

    Args:
        cluster_id: Of the cluster.
        state: The core's, between two events.
        applied_index: How far the applier has come.
        disk_full: Whether this server lacks the space for writes.
        pending_proposals: Those whose outcome is awaited.
    """
    configuration = state.configuration
    return NodeStatus(
        cluster_id=cluster_id,
        server_id=state.server_id,
        leader_id=state.leader_id,
        role=state.role.value,
        term=state.current_term,
        commit_index=state.commit_index,
        applied_index=applied_index,
        durable_index=state.log.durable_index,
        first_index=state.log.base_index + 1,
        last_index=state.log.last_index,
        is_learner=state.server_id in configuration.learners,
        voters=tuple(sorted(configuration.all_voters)),
        learners=tuple(sorted(configuration.learners)),
        configuration=applied_configuration(state, applied_index),
        disk_full=disk_full,
        pending_proposals=pending_proposals,
    )


class Counters:
    """Running totals, for metrics; plain numbers that only rise."""

    __slots__ = (
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
