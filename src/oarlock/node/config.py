"""Validated settings of one node."""

import msgspec

from oarlock.node.addresses import format_address
from oarlock.raft.config import RaftConfig
from oarlock.raft.types import Configuration, ServerId
from oarlock.transport.interface import Address


class NodeConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Settings; times in milliseconds as named, sizes in bytes.

    Raises:
        ValueError: A setting is out of range; the message names it.
    """

    cluster_id: int
    server_id: ServerId
    data_dir: str
    """Directory of the log, the snapshots and the identity; made when absent."""
    wal_dir: str = ""
    """Directory of the log alone, where it is to be elsewhere."""
    members: dict[ServerId, tuple[Address, ...]]
    """Every server of the cluster as it was when this one was set up, with the addresses of its transport.

    Who the members are from then on, and where, is in the replicated configuration.
    """
    addresses: dict[ServerId, tuple[str, ...]] = {}
    """How the addresses of `members` are written there, where not as host:port: an embedding server's URLs."""
    joins: bool = False
    """Whether the cluster runs already, and this server learns from it who the members are."""
    max_learners: int = 1
    """Beyond it no learner is added."""
    lease_reads: bool = False
    """Let a leader answer reads under its lease, without asking: safe only while `max_clock_drift` holds."""
    max_clock_drift: float = 0.1
    """By what fraction any two servers' clocks may differ in speed; matters for `lease_reads` alone."""
    election_timeout_ms: int = 1000
    heartbeat_interval_ms: int = 100
    pre_vote: bool = True
    check_quorum: bool = True
    proposal_timeout_ms: int = 7000
    """For proposals that bring no timeout of their own; etcd's 5 s and two election timeouts."""
    read_timeout_ms: int = 7000
    """For read barriers that bring no timeout of their own."""
    max_pending_proposals: int = 16_384
    """Proposals of this server whose outcome is awaited; more are refused."""
    max_pending_bytes: int = 128 << 20
    """The same in bytes of commands."""
    max_pending_reads: int = 65_536
    max_command_bytes: int = 8 << 20
    max_uncommitted_bytes: int = 64 << 20
    """Entry bytes a leader holds uncommitted before it refuses proposals."""
    snapshot_count: int = 100_000
    """Applied entries after which the log is compacted."""
    snapshot_tail: int = 5_000
    """Entries kept behind that for followers that lag a little."""
    snapshot_chunk_bytes: int = 256 << 10
    flush_interval_ms: int = 100
    flush_entries: int = 10_000
    """Applied entries after which the machine's storage is flushed without waiting for the interval."""
    segment_bytes: int = 16 << 20
    """Size of one file of the log."""
    disk_reserve_bytes: int = 32 << 20
    """Free space below which a leader hands over and appends nothing, so that votes and terms still find room.

    At most a twentieth of the volume.
    """

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if self.server_id not in self.members:
            raise ValueError(f"members must hold server_id {self.server_id:x}")
        if not 0 < self.cluster_id < 1 << 64:
            raise ValueError(f"cluster_id must be a positive 64-bit integer, not {self.cluster_id}")
        if not self.data_dir:
            raise ValueError("data_dir must not be empty")
        for name in (
            "proposal_timeout_ms",
            "read_timeout_ms",
            "max_pending_proposals",
            "max_pending_bytes",
            "max_pending_reads",
            "max_command_bytes",
            "snapshot_count",
            "snapshot_chunk_bytes",
            "flush_interval_ms",
            "flush_entries",
            "max_learners",
        ):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)}")
        if self.snapshot_tail < 0 or self.disk_reserve_bytes < 0:
            raise ValueError("snapshot_tail and disk_reserve_bytes must not be negative")
        self.raft()

    def raft(self) -> RaftConfig:
        """The part of it that is the core's.

        Raises:
            ValueError: A setting is out of range; the message names it.
        """
        return RaftConfig(
            server_id=self.server_id,
            election_timeout_ms=self.election_timeout_ms,
            heartbeat_interval_ms=self.heartbeat_interval_ms,
            pre_vote=self.pre_vote,
            check_quorum=self.check_quorum,
            max_uncommitted_bytes=self.max_uncommitted_bytes,
            lease_reads=self.lease_reads,
            max_clock_drift=self.max_clock_drift,
        )

    def initial_configuration(self) -> Configuration:
        """The configuration a fresh log starts from: everybody votes; or, for one who joins, whom it may hear from."""
        addresses = tuple((server_id, self.addresses_of(server_id)) for server_id in sorted(self.members))
        return Configuration(voters=frozenset() if self.joins else frozenset(self.members), addresses=addresses)

    def addresses_of(self, server_id: ServerId) -> tuple[str, ...]:
        """How a member as set up is reached, as text; empty for others."""
        if server_id in self.addresses:
            return self.addresses[server_id]
        return tuple(format_address(address) for address in self.members.get(server_id, ()))
