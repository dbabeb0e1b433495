"""What a leader knows of one follower: Figure 2's next_index and match_index, and how fast it may send.

A follower is *probed* (one AppendEntries at a time, to find where the logs agree), *replicated* to (pipelined
under a window), or sent a *snapshot*. This module owns the moves between the three.
"""

from collections import deque
from enum import Enum

from oarlock.raft.types import DiskId, Index, SnapshotMetadata


class Mode(Enum):
    """How a follower is being served."""

    PROBE = "probe"
    REPLICATE = "replicate"
    SNAPSHOT = "snapshot"


class Inflight:
    """The AppendEntries with entries that await a reply: a window of messages and of bytes (FC-2)."""

    __slots__ = ("_max_bytes", "_max_messages", "_sent", "bytes")

    def __init__(self, max_messages: int, max_bytes: int) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._sent: deque[tuple[Index, int, float]] = deque()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._sent)

    @property
    def is_full(self) -> bool:
        """Whether nothing more may be sent."""
        return len(self._sent) >= self._max_messages or self.bytes >= self._max_bytes

    def add(self, last_index: Index, size: int, now: float) -> None:
        """A message was sent whose last entry is `last_index`."""
        self._sent.append((last_index, size, now))
        self.bytes += size

    def acknowledge(self, match_index: Index) -> None:
        """Everything up to `match_index` has arrived."""
        while self._sent and self._sent[0][0] <= match_index:
            self.bytes -= self._sent.popleft()[1]

    def oldest(self) -> float | None:
        """When the longest-waiting message was sent."""
        return self._sent[0][2] if self._sent else None

    def clear(self) -> None:
        """Nothing is awaited any more."""
        self._sent.clear()
        self.bytes = 0


class Progress:
    """One follower, as its leader sees it."""

    __slots__ = (
        "acknowledged_request_id",
        "awaited_index",
        "chunk_request_id",
        "chunk_sent_at",
        "counts",
        "disk_goal",
        "disk_id",
        "disk_since",
        "inflight",
        "known_at_request_id",
        "last_heard",
        "leaving_since",
        "match_index",
        "mode",
        "next_index",
        "probe_outstanding",
        "probe_sent_at",
        "reported_at",
        "sent_commit",
        "snapshot",
        "snapshot_offset",
    )

    def __init__(self, next_index: Index, inflight: Inflight, now: float) -> None:
        self.next_index = next_index
        self.match_index: Index = 0
        self.known_at_request_id = 0
        """The newest request when match_index became known; the follower had it before any later one was sent."""
        self.mode = Mode.PROBE
        self.inflight = inflight
        self.probe_outstanding = False
        self.probe_sent_at = now
        self.sent_commit: Index = 0
        """The highest commit index the follower can have learnt from what was sent."""
        self.awaited_index: Index = 0
        """The follower waits to apply up to here: a client's command or read that it forwarded."""
        self.acknowledged_request_id = 0
        """The newest request the follower has answered in this term: it followed us then (CL-Q4)."""
        self.last_heard = now
        self.leaving_since: float | None = None
        """When this server, removed from the configuration, was first seen to be so (MC-9)."""
        self.disk_id: DiskId = 0
        """The disk that the follower answers from, or is to answer from; 0 where that is not known."""
        self.counts = True
        """Whether its word counts: the configuration admits that disk, or any (NS-1)."""
        self.disk_since = now
        """Since when it has answered from no other disk."""
        self.disk_goal: Index = 0
        """Where the leader's log ended then: from there on the disk lacks nothing that was committed before."""
        self.reported_at = float("-inf")
        """When it was last reported that the disk is another."""
        self.snapshot: SnapshotMetadata | None = None
        self.snapshot_offset = 0
        self.chunk_request_id = 0
        self.chunk_sent_at = now

    def is_due(self, last_index: Index, commit_index: Index, *, all_news: bool = False) -> bool:
        """Whether there is something to send, entries or news of commitment, and the follower may be sent it now.

        News is sent only of what the follower is known, or on its way, to have; and alone only where the follower
        awaits it, or with `all_news` (FC-5).
        """
        if self.mode is Mode.REPLICATE:
            if self.inflight.is_full:
                return False
            if self.next_index <= last_index:
                return True
            return (all_news or self.sent_commit < self.awaited_index) and (
                min(commit_index, self.next_index - 1) > self.sent_commit
            )
        if self.mode is Mode.PROBE and not self.probe_outstanding:
            # An empty probe too: a follower just added, or one that was away, may lack entries sent by nobody yet.
            return self.match_index < last_index or min(commit_index, self.match_index) > self.sent_commit
        return False

    def become_probe(self) -> None:
        """Look again for where the logs agree; nothing sent earlier is counted on."""
        self.mode = Mode.PROBE
        self.next_index = self.match_index + 1
        self.sent_commit = min(self.sent_commit, self.match_index)
        self.probe_outstanding = False
        self.inflight.clear()
        self.snapshot = None

    def become_replicate(self) -> None:
        """The logs agree up to match_index: send ahead."""
        self.mode = Mode.REPLICATE
        self.next_index = self.match_index + 1
        self.probe_outstanding = False
        self.inflight.clear()
        self.snapshot = None

    def become_snapshot(self, metadata: SnapshotMetadata) -> None:
        """What the follower needs is compacted: send the snapshot, from its start."""
        self.mode = Mode.SNAPSHOT
        self.inflight.clear()
        self.snapshot = metadata
        self.snapshot_offset = 0

    def raise_match(self, match_index: Index, newest_request_id: int) -> bool:
        """A success up to `match_index` (L-3a). Never moves back (G19). Returns whether it is news."""
        is_news = match_index > self.match_index
        if is_news:
            self.match_index = match_index
            self.known_at_request_id = newest_request_id
            self.inflight.acknowledge(match_index)
        self.next_index = max(self.next_index, self.match_index + 1)
        return is_news

    def forget_match(self) -> None:
        """The follower has lost what it acknowledged (DL-1): begin with it as with a new one."""
        self.next_index = self.match_index
        self.match_index = 0
        self.sent_commit = 0
        self.mode = Mode.PROBE
        self.probe_outstanding = False
        self.inflight.clear()
        self.snapshot = None

    def forget_all(self) -> None:
        """The follower is on another disk (NS-1): nothing that it said before is this disk's word."""
        next_index = self.match_index or self.next_index
        self.forget_match()
        self.next_index = next_index
        self.acknowledged_request_id = 0

    def lower_next(self, next_index: Index) -> None:
        """The logs differ before next_index: probe at `next_index`, but never at or below match_index (BT-2)."""
        self.become_probe()
        self.next_index = max(next_index, self.match_index + 1)
