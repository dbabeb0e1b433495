"""Figure 2's State box, its names verbatim, and the effects that await the runtime.

Leader and candidate state exist only while that role is held, so nothing of an old term can be read in a new one.
"""

import math
import random
from collections import deque
from collections.abc import Callable
from enum import Enum

import msgspec

from oarlock.raft.config import RaftConfig
from oarlock.raft.log import Log
from oarlock.raft.messages import RaftMessage
from oarlock.raft.progress import Progress
from oarlock.raft.ready import Outgoing, ReadState, SnapshotChunk, SnapshotChunkRequest
from oarlock.raft.types import (
    Configuration,
    DiskId,
    Entry,
    EntryKind,
    HardState,
    Index,
    ServerId,
    SnapshotMetadata,
    Term,
)

Tracer = Callable[[str, tuple[object, ...]], None]
"""Called with a rule's id and its operands each time a rule acts."""


class Role(Enum):
    """What a server is in its current term."""

    FOLLOWER = "follower"
    PRE_CANDIDATE = "pre_candidate"
    CANDIDATE = "candidate"
    LEADER = "leader"


class RaftError(Exception):
    """A request the algorithm refuses."""


class NotLeader(RaftError):
    """Only the leader can do this; `leader_id` is a hint, or None."""

    def __init__(self, leader_id: ServerId | None) -> None:
        super().__init__("this server is not the leader")
        self.leader_id = leader_id


class Overloaded(RaftError):
    """A limit on what may be pending is reached; nothing was changed."""


class InvariantViolation(AssertionError):
    """The algorithm's state is impossible: continuing could lose data, so the server must stop."""


class MembershipRefused(RaftError):
    """The members cannot be changed in this way, or not now; the message says why."""


class CandidateState:
    """Votes received, while a candidate or pre-candidate. All its requests carry one id."""

    __slots__ = ("disks", "request_id", "votes")

    def __init__(self, request_id: int) -> None:
        self.request_id = request_id
        self.votes: dict[ServerId, bool] = {}
        self.disks: dict[ServerId, DiskId] = {}
        """From which disk each was given."""


class PendingRead(msgspec.Struct, gc=False):
    """A read that awaits confirmation; `source` is None for this server's own."""

    context: int
    source: ServerId | None
    request_id: int
    """The asker's, to be repeated in the reply."""
    may_use_lease: bool = True
    read_index: Index = 0
    confirmed_by: int = 0
    """Replies to requests with at least this id show that this leader led when the read arrived (RI-2)."""


class LeaderState:
    """Figure 2's volatile state on leaders, and what a leader's duties need besides."""

    __slots__ = (
        "first_request_id",
        "followed_configuration",
        "heartbeat_due",
        "last_heartbeat",
        "last_quorum_check",
        "lease_rounds",
        "lease_until",
        "news_deadline",
        "news_due",
        "peers",
        "reads",
        "reads_before_commit",
        "transfer_deadline",
        "transfer_to",
        "uncommitted_bytes",
    )

    def __init__(self, first_request_id: int, now: float) -> None:
        self.peers: dict[ServerId, Progress] = {}
        """next_index and match_index for each other server."""
        self.first_request_id = first_request_id
        """Replies to anything older were not asked for by this leader in this term."""
        self.heartbeat_due = True
        self.last_heartbeat = now
        self.news_due = False
        """Followers that do not yet know of all commitments are to be told now."""
        self.news_deadline = float("inf")
        """When they are to be, at the latest."""
        self.last_quorum_check = now
        self.uncommitted_bytes = 0
        self.reads: deque[PendingRead] = deque()
        self.reads_before_commit: list[PendingRead] = []
        self.followed_configuration: Configuration | None = None
        """The configuration that `peers` was made for; None while a removed server is still served."""
        self.transfer_to: ServerId | None = None
        self.transfer_deadline = 0.0
        self.lease_rounds: deque[tuple[int, float]] = deque()
        """Heartbeat rounds that may still renew the lease: the id before the first request, and when it left."""
        self.lease_until = float("-inf")


class DiskWrite(msgspec.Struct):
    """A `Ready` whose disk part is under way."""

    number: int
    last_index: Index
    """Entries up to here become durable with it; lowered when they are overwritten meanwhile."""
    has_hard_state: bool
    since: float


class RaftState:
    """Everything one server knows. Rule modules change it; only the facade is called from outside."""

    def __init__(
        self,
        config: RaftConfig,
        rng: random.Random,
        now: float,
        hard_state: HardState,
        log: Log,
        applied_index: Index,
        tracer: Tracer | None,
        disk_id: DiskId = 0,
    ) -> None:
        self.config = config
        self.rng = rng
        self.now = now
        self.tracer = tracer
        # Persistent state on all servers (P-1).
        self.current_term: Term = hard_state.current_term
        self.voted_for: ServerId | None = hard_state.voted_for
        self.disk_id = disk_id
        """Tells the disk that all this is on from others that this server may have had, or will have (NS-1)."""
        self.log = log
        # Volatile state on all servers (V-1): what was applied survived with the machine, so it is committed.
        self.fire("V-1", log.base_index, applied_index)
        self.commit_index: Index = max(log.base_index, applied_index)
        self.last_applied: Index = self.commit_index
        self.handed_to_apply: Index = self.commit_index
        # The role, and what exists only in it.
        self.role = Role.FOLLOWER
        self.leader_id: ServerId | None = None
        self.candidate: CandidateState | None = None
        self.leader: LeaderState | None = None
        # Time (Structure Advice): when something was last heard, never a timer object.
        self.last_contact = now
        self.last_leader_contact = float("-inf")
        # A leader may read under a lease that this server's last life confirmed: the promise outlives it (LS-1).
        has_lived = hard_state.current_term > 0
        self.promised_until = now + config.election_timeout if config.lease_reads and has_lived else float("-inf")
        self.election_wait = 0.0
        self.reset_election_timer()
        # Membership: the base's configuration and every later one in the log (MC-1).
        self._configurations: list[tuple[Index, Configuration]] = [(log.base_index, log.base.configuration)]
        self._track_configurations(log.slice(log.base_index + 1, log.last_index))
        # Snapshots and reads.
        self.snapshot: SnapshotMetadata | None = None
        """The newest snapshot this server holds as a file and can send."""
        self.forwarded_reads: dict[int, int] = {}
        """Reads forwarded to the leader: context to request id (RI-1)."""
        self.request_counter = rng.getrandbits(48)
        self._begin_effects(hard_state)

    def _begin_effects(self, hard_state: HardState) -> None:
        """Nothing awaits the runtime, and the disk has what it had."""
        self.messages: list[Outgoing] = []
        self.messages_after_persist: list[Outgoing] = []
        self.reads: list[ReadState] = []
        self.reads_before_apply: list[ReadState] = []
        """Confirmed reads whose index is not applied yet (CL-Q5)."""
        self.chunk_requests: list[SnapshotChunkRequest] = []
        self.chunks: list[SnapshotChunk] = []
        self.snapshot_to_install: SnapshotMetadata | None = None
        self.discard_log = False
        self.snapshot_wanted = False
        self.compact_to: SnapshotMetadata | None = None
        self.lost_leadership = False
        self.lost_data: list[ServerId] = []
        self.other_disks: list[ServerId] = []
        self.first_unsaved: Index = self.log.last_index + 1
        """Entries from here on are not yet in any `Ready`."""
        self.saved_hard_state = hard_state
        self.disk_writes: deque[DiskWrite] = deque()
        self.last_persisted = self.now
        """When the disk last completed a write."""
        self.hard_state_writes = 0
        """How many of them carry a hard state."""

    def fire(self, rule: str, *operands: object) -> None:
        """Record that a rule acted, with the values it acted on."""
        if self.tracer is not None:
            self.tracer(rule, operands)

    # -- identity, membership ------------------------------------------------------------------------------------

    @property
    def server_id(self) -> ServerId:
        """This server."""
        return self.config.server_id

    @property
    def configuration(self) -> Configuration:
        """The configuration in force: the newest in the log, committed or not (MC-1)."""
        return self._configurations[-1][1]

    @property
    def configuration_index(self) -> Index:
        """Where the configuration in force stands in the log."""
        return self._configurations[-1][0]

    @property
    def is_voter(self) -> bool:
        """Whether this server counts in elections."""
        return self.server_id in self.configuration.all_voters

    @property
    def has_word(self) -> bool:
        """Whether what this server says counts, from this disk (NS-1)."""
        return self.configuration.counts(self.server_id, self.disk_id)

    @property
    def may_change_configuration(self) -> bool:
        """Whether a leader may begin a change: its term has committed (MC-3), and no other is under way (MC-4)."""
        return (
            self.log.term(self.commit_index) == self.current_term
            and self.configuration_index <= self.commit_index
            and not self.configuration.is_joint
        )

    @property
    def others(self) -> list[ServerId]:
        """Every other member, in a fixed order."""
        return sorted(self.configuration.members - {self.server_id})

    def rebase_configurations(self) -> None:
        """The log's base moved: its configuration, and the later ones, remain."""
        base_index = self.log.base_index
        later = [(index, held) for index, held in self._configurations if base_index < index <= self.log.last_index]
        self._configurations = [(base_index, self.log.base.configuration), *later]

    def configuration_at(self, index: Index) -> Configuration:
        """The configuration in force at `index`, which must not be below the log's base."""
        return next(held for at, held in reversed(self._configurations) if at <= index)

    # -- time ----------------------------------------------------------------------------------------------------

    def reset_election_timer(self) -> None:
        """Start a new wait of random length: one to two election timeouts (B2)."""
        self.last_contact = self.now
        self.election_wait = self.config.election_timeout * (1 + self.rng.random())

    def hear_from_leader(self, leader_id: ServerId) -> None:
        """The current term's leader spoke: the one kind of request that always resets the timer (F-2, G1, G2)."""
        self.leader_id = leader_id
        self.last_leader_contact = self.now
        self.reset_election_timer()

    @property
    def has_live_leader(self) -> bool:
        """Whether a leader was, or may have been, heard within the least election timeout, or is this server (CQ-2)."""
        if self.role is Role.LEADER or self.now < self.promised_until:
            return True
        return self.leader_id is not None and self.now - self.last_leader_contact < self.config.election_timeout

    @property
    def told_successor(self) -> ServerId | None:
        """The server that may campaign by now, as it has the whole log of this leader, who hands over to it (LT-2)."""
        leader = self.leader
        if leader is None or leader.transfer_to is None:
            return None
        progress = leader.peers.get(leader.transfer_to)
        is_ready = progress is not None and progress.counts and progress.match_index == self.log.last_index
        return leader.transfer_to if is_ready else None

    @property
    def disk_is_stalled(self) -> bool:
        """Whether the disk has had writes to do for an election timeout, and completed none (CQ-4)."""
        return self.now >= self.disk_stall_deadline

    @property
    def disk_stall_deadline(self) -> float:
        """When the disk counts as stalled: an election timeout after it last completed a write, or had none to do."""
        if not self.disk_writes:
            return math.inf
        return max(self.disk_writes[0].since, self.last_persisted) + self.config.election_timeout

    # -- messages ------------------------------------------------------------------------------------------------

    def next_request_id(self) -> int:
        """An id that rises with every request of this life."""
        self.request_counter += 1
        return self.request_counter

    def send_after_persist(self, to: ServerId, message: RaftMessage) -> None:
        """Send when everything up to now is durable (P-1)."""
        self.fire("P-1", type(message).__name__)
        self.messages_after_persist.append((to, message))

    def send_when_true(self, to: ServerId, message: RaftMessage, claimed_index: Index = 0) -> None:
        """Send as early as the message is true: at once if term, vote and the claimed entries are durable (P-1)."""
        if self.hard_state_is_durable and claimed_index <= self.log.durable_index:
            self.messages.append((to, message))
        else:
            self.send_after_persist(to, message)

    # -- the log and its durability ------------------------------------------------------------------------------

    @property
    def hard_state(self) -> HardState:
        """Term and vote, as the disk must have them."""
        return HardState(self.current_term, self.voted_for)

    @property
    def hard_state_is_durable(self) -> bool:
        """Whether term and vote are on disk."""
        saved = self.saved_hard_state
        return (
            self.hard_state_writes == 0
            and saved.current_term == self.current_term
            and saved.voted_for == self.voted_for
        )

    def append_to_log(self, entries: list[Entry]) -> None:
        """Append entries that follow the last one."""
        self.log.append(entries)
        self._track_configurations(entries)

    def append_configuration(self, configuration: Configuration) -> Entry:
        """Append a configuration, which is in force from now on (MC-1); of a leader alone."""
        data = msgspec.msgpack.encode(configuration)
        entry = Entry(self.log.last_index + 1, self.current_term, EntryKind.CONFIGURATION, data)
        self.append_to_log([entry])
        if self.leader is not None:
            self.leader.uncommitted_bytes += len(data)
        return entry

    def _track_configurations(self, entries: list[Entry]) -> None:
        """A configuration is in force from the moment it is in the log (MC-1)."""
        for entry in entries:
            if entry.kind is EntryKind.CONFIGURATION:
                self.fire("MC-1", entry.index)
                self._configurations.append((entry.index, msgspec.msgpack.decode(entry.data, type=Configuration)))

    def truncate_log_from(self, index: Index) -> None:
        """Delete the entries from `index` on, wherever they are on the way to disk; never committed ones.

        Raises:
            InvariantViolation: The entry is committed.
        """
        if index <= self.commit_index:
            raise InvariantViolation(
                f"server {self.server_id} would truncate at {index}, committed {self.commit_index}"
            )
        self.log.truncate_from(index)
        self.first_unsaved = min(self.first_unsaved, index)
        for write in self.disk_writes:
            # Else the same index and term, appended again later, would pass for durable too early.
            write.last_index = min(write.last_index, index - 1)
        while self._configurations[-1][0] >= index:
            self._configurations.pop()

    def reset_log(self, metadata: SnapshotMetadata) -> None:
        """Discard the whole log: it begins after the snapshot (IS-7)."""
        self.log.reset(metadata)
        self.first_unsaved = metadata.last_included_index + 1
        for write in self.disk_writes:
            write.last_index = 0
        self.rebase_configurations()

    def commit_to(self, index: Index) -> None:
        """Raise commit_index; it never falls (V-1)."""
        if index > self.log.last_index:
            raise InvariantViolation(
                f"server {self.server_id} would commit {index} past its log's {self.log.last_index}"
            )
        self.commit_index = max(self.commit_index, index)
