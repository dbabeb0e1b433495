"""Validated limits and timeouts of one server's Raft."""

import msgspec

from oarlock.raft.types import ServerId


class RaftConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Settings; times in milliseconds as named, sizes in bytes.

    Raises:
        ValueError: A setting is out of range; the message names it.
    """

    server_id: ServerId
    election_timeout_ms: int = 1000
    """A follower campaigns after one to two of these without a leader (B2: randomised anew for each wait)."""
    heartbeat_interval_ms: int = 100
    pre_vote: bool = True
    check_quorum: bool = True
    """Step down without a majority, and refuse votes while a leader is alive."""
    commit_news_delay_ms: int = 10
    """How long news of commitment that a follower does not await may wait for entries to travel with."""
    max_inflight_messages: int = 256
    """AppendEntries with entries that may await their reply, per follower."""
    max_inflight_bytes: int = 16 << 20
    """The same window in bytes of entries."""
    max_message_bytes: int = 1 << 20
    """Entry bytes in one AppendEntries; a single larger entry travels alone."""
    max_uncommitted_bytes: int = 64 << 20
    """Entry bytes a leader holds uncommitted before it refuses proposals."""
    max_pending_reads: int = 4096
    """Read requests that may await confirmation at once."""
    lease_reads: bool = False
    """Answer reads from a leader's lease, without a round: safe only while clocks drift less than stated."""
    max_clock_drift: float = 0.1
    """By what fraction any two servers' clocks may differ in speed; the lease is shortened by it."""
    snapshot_retry_ms: int = 5000
    """A chunk unanswered for this long is asked for again."""

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if not 0 < self.server_id < 1 << 64:
            raise ValueError(f"server_id must be a positive 64-bit integer, not {self.server_id}")
        for name in (
            "heartbeat_interval_ms",
            "commit_news_delay_ms",
            "max_inflight_messages",
            "max_inflight_bytes",
            "max_message_bytes",
            "max_uncommitted_bytes",
            "max_pending_reads",
            "snapshot_retry_ms",
        ):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)}")
        if self.lease_reads and not self.check_quorum:
            raise ValueError("lease_reads needs check_quorum: without it a second leader can be elected within a lease")
        if not 0 <= self.max_clock_drift < 1:
            raise ValueError(f"max_clock_drift must be at least 0 and below 1, not {self.max_clock_drift}")
        if self.election_timeout_ms < 5 * self.heartbeat_interval_ms:
            raise ValueError(
                f"election_timeout_ms must be at least 5 times heartbeat_interval_ms, "
                f"not {self.election_timeout_ms} against {self.heartbeat_interval_ms}"
            )

    @property
    def election_timeout(self) -> float:
        """In seconds."""
        return self.election_timeout_ms / 1000

    @property
    def heartbeat_interval(self) -> float:
        """In seconds."""
        return self.heartbeat_interval_ms / 1000
