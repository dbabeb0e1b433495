"""One core with a disk that keeps only what was synced, and a state machine that is the list of what was applied.

For tests of the algorithm alone: no sockets, no files, no clock. `server` hands a core any state of Figure 2's box;
`step` and `tick` carry all effects out at once, `run` leaves the disk and the machine to be moved on by the test.
"""

import random
from collections import deque
from collections.abc import Iterable, Sequence

from oarlock.raft.config import RaftConfig
from oarlock.raft.log import Log
from oarlock.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    InstallSnapshot,
    PreVote,
    PreVoteReply,
    RaftMessage,
    RequestVote,
    RequestVoteReply,
)
from oarlock.raft.raft import Raft
from oarlock.raft.ready import Outgoing, ReadState, Ready, SnapshotChunk, SnapshotChunkRequest
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

CHUNK = 64
"""Bytes of a snapshot in one message."""

Slots = tuple[bytes, ...]
"""A state machine: what was applied at index 1, 2, ..."""


def slot(entry: Entry) -> bytes:
    """What applying an entry leaves in the state machine."""
    return b"%d:%d:%s" % (entry.term, entry.kind, entry.data)


def encode(slots: Iterable[bytes]) -> bytes:
    """A snapshot's bytes."""
    return b"\n".join(slots)


class Disk:
    """What one server's disk holds for certain."""

    def __init__(self, base: SnapshotMetadata, hard_state: HardState, entries: Sequence[Entry], machine: Slots) -> None:
        self.hard_state = hard_state
        self.base = base
        self.entries = list(entries)
        self.machine = machine
        """As last flushed by the machine itself; empty for one that lives in memory."""
        self.snapshots: dict[SnapshotMetadata, Slots] = {}
        """Whole files, in place."""

    @property
    def last_index(self) -> Index:
        """Where the stored log ends."""
        return self.base.last_included_index + len(self.entries)

    def write(self, ready: Ready) -> None:
        """Make one `Ready` durable: base, then hard state, then entries, as the log on disk does."""
        base = ready.snapshot or ready.compact_to
        if base is not None:
            dropped = base.last_included_index - self.base.last_included_index
            assert dropped >= 0, "the base never moves back"
            self.entries = [] if ready.discard_log else self.entries[dropped:]
            self.base = base
        if ready.hard_state is not None:
            self.hard_state = ready.hard_state
        if ready.entries:
            keep = ready.entries[0].index - self.base.last_included_index - 1
            assert 0 <= keep <= len(self.entries), "entries follow the stored log"
            self.entries[keep:] = ready.entries

    def _leads_on_from(self, held: SnapshotMetadata) -> bool:
        """Whether the log has the snapshot's last entry: else it is of another history, or ends before it."""
        offset = held.last_included_index - self.base.last_included_index
        if offset == 0:
            return held.last_included_term == self.base.last_included_term
        return 0 < offset <= len(self.entries) and self.entries[offset - 1].term == held.last_included_term

    def newest_snapshot(self) -> SnapshotMetadata | None:
        """The newest that the log leads on from."""
        usable = [held for held in self.snapshots if self._leads_on_from(held)]
        return max(usable, key=lambda held: held.last_included_index, default=None)

    def recover(self) -> None:
        """What a start does: a machine behind the log's base is restored from a snapshot that the log leads on from."""
        base = self.base.last_included_index
        if len(self.machine) < base or not self.machine:
            newest = self.newest_snapshot()
            assert newest is not None or not base, "a snapshot leads to the log's base"
            self.machine = self.snapshots[newest] if newest is not None else ()
        assert base <= len(self.machine) <= self.last_index, "machine and log fit together"

    def remove_snapshots_below(self, index: Index) -> None:
        """Forget older files."""
        self.snapshots = {held: slots for held, slots in self.snapshots.items() if held.last_included_index >= index}


class Server:
    """A core and what carries out its effects."""

    def __init__(
        self, config: RaftConfig, disk: Disk, *, seed: int = 0, asynchronous: bool = False, disk_id: DiskId = 0
    ) -> None:
        self.config = config
        self.disk = disk
        self.disk_id = disk_id
        """As a file beside the log would say; 0 if disks are not told apart."""
        self.first_base = disk.base
        """What an empty disk begins with."""
        self.rng = random.Random(seed * 1_000_003 + config.server_id)
        self.asynchronous = asynchronous
        """Whether disk and machine are moved on by `complete_write` and `apply_next` alone."""
        self.fired: list[tuple[str, tuple[object, ...]]] = []
        self.lives = 0
        self.start(0.0)

    def start(self, now: float) -> None:
        """Begin a life from what the disk holds."""
        self.lives += 1
        self.outbox: list[Outgoing] = []
        self.reads: list[ReadState] = []
        self.writing: deque[Ready] = deque()
        self.durable_number = 0
        self.to_apply: deque[Entry | Ready] = deque()
        self.chunks: deque[SnapshotChunk] = deque()
        """Received, not yet written."""
        self.partial: dict[SnapshotMetadata, bytes] = {}
        self.lost_leaderships = 0
        self.failing_chunks = 0
        self.disk.recover()
        self.machine: list[bytes] = list(self.disk.machine)
        self.raft = Raft(
            self.config,
            rng=self.rng,
            now=now,
            hard_state=self.disk.hard_state,
            log=Log(self.disk.base, self.disk.entries),
            applied_index=len(self.machine),
            disk_id=self.disk_id,
            tracer=lambda rule, operands: self.fired.append((rule, operands)),
            check_invariants=True,
        )
        newest = self.disk.newest_snapshot()
        if newest is not None:
            self.raft.snapshot_taken(newest)

    def wipe(self, now: float) -> None:
        """Begin a life on an empty disk, as the server of the same id."""
        self.disk = Disk(self.first_base, HardState(), [], ())
        self.disk_id += 1
        self.start(now)

    # -- what tests look at --------------------------------------------------------------------------------------

    @property
    def state(self):
        """The core's state."""
        return self.raft.state

    @property
    def id(self) -> ServerId:
        """The server's id."""
        return self.config.server_id

    def rules(self) -> set[str]:
        """The ids of all rules fired since the last `forget_rules`."""
        return {rule for rule, _ in self.fired}

    def forget_rules(self) -> None:
        """Begin to count anew."""
        self.fired.clear()

    def facts(self) -> dict[str, object]:
        """Figure 2's State box, and the role: what a test compares before and after."""
        state = self.state
        log = state.log
        facts: dict[str, object] = {
            "current_term": state.current_term,
            "voted_for": state.voted_for,
            "log": [(entry.index, entry.term) for entry in log.slice(log.base_index + 1, log.last_index)],
            "base_index": log.base_index,
            "commit_index": state.commit_index,
            "last_applied": state.last_applied,
            "role": state.role.value,
            "leader_id": state.leader_id,
        }
        if state.leader is not None:
            peers = state.leader.peers.items()
            facts["next_index"] = {peer: progress.next_index for peer, progress in peers}
            facts["match_index"] = {peer: progress.match_index for peer, progress in peers}
        return facts

    def changes(self, before: dict[str, object]) -> dict[str, object]:
        """What differs from `before`, with its present value; None for what is gone."""
        after = self.facts()
        return {name: after.get(name) for name in before | after if before.get(name) != after.get(name)}

    # -- events --------------------------------------------------------------------------------------------------

    def step(self, message: RaftMessage, now: float | None = None) -> list[Outgoing]:
        """Take a message, carry out all effects at once, and return what was sent."""
        self.raft.step(message, self.state.now if now is None else now)
        return self.settle()

    def tick(self, now: float) -> list[Outgoing]:
        """Let time pass, carry out all effects at once, and return what was sent."""
        self.raft.tick(now)
        return self.settle()

    def time_out(self) -> list[Outgoing]:
        """Let the election timer run out."""
        return self.tick(self.raft.election_deadline())

    def beat(self) -> list[Outgoing]:
        """Let the leader's heartbeat become due."""
        return self.tick(self.state.leader.last_heartbeat + self.config.heartbeat_interval)

    def tell_news(self) -> list[Outgoing]:
        """Let news of commitment become due that no follower awaits (FC-5)."""
        return self.tick(self.state.leader.news_deadline)

    def propose(self, *commands: bytes) -> list[Outgoing]:
        """Propose, carry out all effects at once, and return what was sent."""
        self.raft.propose(list(commands))
        return self.settle()

    def settle(self) -> list[Outgoing]:
        """Carry out all effects, the disk's and the machine's included, and return (and forget) what was sent."""
        self.run()
        while self.writing or self.can_apply or self.chunks:
            if self.writing:
                self.complete_write()
            elif self.can_apply:
                self.apply_next()
            else:
                self.write_chunk()
            self.run()
        sent, self.outbox = self.outbox, []
        return sent

    # -- effects -------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Carry out effects, but leave disk writes and applies under way."""
        while self.raft.has_ready():
            ready = self.raft.ready()
            self.outbox += ready.messages
            if ready.must_persist or (self.writing and ready.messages_after_persist):
                self.writing.append(ready)
            else:
                self.outbox += ready.messages_after_persist
            if ready.snapshot is not None:
                self.to_apply.append(ready)
            self.to_apply.extend(ready.committed_entries)
            self.reads += ready.reads
            self.lost_leaderships += ready.lost_leadership
            for request in ready.chunk_requests:
                self._send_chunk(request)
            self.chunks.extend(ready.chunks)
            if ready.snapshot_wanted:
                self.take_snapshot()

    def complete_write(self) -> None:
        """The oldest write under way is durable: what waited for it leaves."""
        ready = self.writing.popleft()
        self.disk.write(ready)
        self.durable_number = ready.number
        self.outbox += ready.messages_after_persist
        self.raft.advance(ready.number)

    @property
    def can_apply(self) -> bool:
        """Whether the machine has something to do now: a snapshot is restored once the log's base is durable."""
        if not self.to_apply:
            return False
        due = self.to_apply[0]
        return isinstance(due, Entry) or due.number <= self.durable_number

    def apply_next(self) -> None:
        """Apply the next entry, or restore the next snapshot."""
        due = self.to_apply.popleft()
        if isinstance(due, Entry):
            assert due.index == len(self.machine) + 1, "applied in order, each index once (ALL-1, G12)"
            assert due.index <= self.disk.last_index, "applied only what this disk holds"
            self.machine.append(slot(due))
        else:
            assert due.snapshot is not None
            index = due.snapshot.last_included_index
            assert index >= len(self.machine), "the machine never goes back (B5)"
            self.machine = list(self.disk.snapshots[due.snapshot])
            self.disk.machine = tuple(self.machine)
            self.disk.remove_snapshots_below(index)
        self.raft.applied(len(self.machine))

    def take_snapshot(self) -> None:
        """Save the state machine as a snapshot, unless it is behind a base that is about to be installed."""
        if len(self.machine) >= self.state.log.base_index:
            metadata = self.raft.metadata_at(len(self.machine))
            self.disk.snapshots[metadata] = tuple(self.machine)
            self.raft.snapshot_taken(metadata)

    def flush(self) -> None:
        """Make the machine durable in its own storage."""
        self.disk.machine = tuple(self.machine)

    def compact(self, keep: int = 0, *, snapshot: bool = True) -> None:
        """Make the machine durable, as a snapshot or in its own storage, and drop the log but for its last entries."""
        index = len(self.machine) - keep
        if index > self.state.log.base_index:
            if snapshot:
                self.take_snapshot()
            else:
                self.flush()
            self.raft.compact(index)

    def _send_chunk(self, request: SnapshotChunkRequest) -> None:
        slots = self.disk.snapshots.get(request.metadata)
        if slots is None:
            self.raft.snapshot_unavailable(request.to)
            return
        image = encode(slots)
        data = image[request.offset : request.offset + CHUNK]
        done = request.offset + CHUNK >= len(image)
        self.outbox.append(
            (
                request.to,
                InstallSnapshot(
                    self.id, request.term, request.request_id, request.metadata, request.offset, data, done
                ),
            )
        )

    def write_chunk(self) -> None:
        """Write the next chunk as the snapshot store does: offset 0 begins anew, bytes there already count once."""
        chunk = self.chunks.popleft()
        held = b"" if chunk.offset == 0 else self.partial.get(chunk.metadata, b"")
        if self.failing_chunks:
            self.failing_chunks -= 1
            self.partial.pop(chunk.metadata, None)
            self.raft.snapshot_chunk_failed(chunk)
            return
        if chunk.offset > len(held):
            self.raft.snapshot_chunk_failed(chunk, len(held))
            return
        self.partial[chunk.metadata] = held + chunk.data[len(held) - chunk.offset :]
        if chunk.done:
            slots = tuple(self.partial.pop(chunk.metadata).split(b"\n"))
            assert len(slots) == chunk.metadata.last_included_index
            self.disk.snapshots[chunk.metadata] = slots
        self.raft.snapshot_chunk_written(chunk)


def log_of(*terms: Term, base: Index = 0) -> list[Entry]:
    """Entries after `base`, of the given terms; a command names its index and term."""
    return [
        Entry(index, term, EntryKind.COMMAND, b"%d@%d" % (index, term)) for index, term in enumerate(terms, base + 1)
    ]


def server(
    voters: Iterable[ServerId] = (1, 2, 3),
    *,
    server_id: ServerId = 1,
    term: Term = 0,
    vote: ServerId | None = None,
    log: Iterable[Term] = (),
    base: tuple[Index, Term] = (0, 0),
    applied: Index | None = None,
    configuration: Configuration | None = None,
    asynchronous: bool = False,
    disk_id: DiskId = 0,
    **settings: object,
) -> Server:
    """A server that starts with this term, vote and log (terms of the entries after `base`), and has applied so much."""
    base_index, base_term = base
    entries = log_of(*log, base=base_index)
    applied = base_index if applied is None else applied
    machine = [b"%d@%d" % (index, base_term) for index in range(1, base_index + 1)]
    machine += [slot(entry) for entry in entries[: applied - base_index]]
    metadata = SnapshotMetadata(base_index, base_term, configuration or Configuration(voters=frozenset(voters)))
    last_term = entries[-1].term if entries else base_term
    disk = Disk(metadata, HardState(max(term, last_term), vote), entries, tuple(machine))
    if base_index:
        disk.snapshots[metadata] = tuple(machine[:base_index])
    return Server(RaftConfig(server_id=server_id, **settings), disk, asynchronous=asynchronous, disk_id=disk_id)


def leader(*args: object, **state: object) -> Server:
    """As `server`, and elected: its term is one more, and a no-op of that term ends its log."""
    elected = server(*args, **state)
    grant_votes(elected, elected.time_out())
    assert elected.state.leader is not None
    return elected


def grant_votes(candidate: Server, requests: list[Outgoing]) -> list[Outgoing]:
    """Answer a candidate's requests, of a pre-vote first, with yes from all; gives what it sent then."""
    sent = requests
    for to, request in requests:
        if isinstance(request, PreVote):
            sent = candidate.step(PreVoteReply(to, request.term, request.request_id, vote_granted=True))
        elif isinstance(request, RequestVote):
            sent = candidate.step(RequestVoteReply(to, request.term, request.request_id, vote_granted=True))
        if candidate.state.leader is not None:
            return sent
        if sent and isinstance(request, PreVote):
            return grant_votes(candidate, sent)
    return sent


def accepted(leader: Server, source: ServerId, match_index: Index, **fields: object) -> AppendEntriesReply:
    """A follower's success, in answer to the newest request."""
    request_id = leader.state.request_counter
    return AppendEntriesReply(
        source, leader.state.current_term, request_id, success=True, match_index=match_index, **fields
    )


def refused(
    leader: Server,
    source: ServerId,
    prev_log_index: Index,
    conflict_term: Term,
    conflict_index: Index,
    disk_id: DiskId = 0,
) -> AppendEntriesReply:
    """A follower's mismatch, in answer to the newest request."""
    return AppendEntriesReply(
        source,
        leader.state.current_term,
        leader.state.request_counter,
        success=False,
        prev_log_index=prev_log_index,
        conflict_term=conflict_term,
        conflict_index=conflict_index,
        disk_id=disk_id,
    )


def append_entries(
    term: Term,
    prev: tuple[Index, Term] = (0, 0),
    terms: Iterable[Term] = (),
    *,
    commit: Index = 0,
    source: ServerId = 2,
    request_id: int = 7,
) -> AppendEntries:
    """AppendEntries of server 2: after `prev` (index and term) entries of these terms."""
    return AppendEntries(source, term, request_id, *prev, commit, tuple(log_of(*terms, base=prev[0])))


def success(term: Term, match_index: Index, *, to: ServerId = 2, request_id: int = 7) -> Outgoing:
    """What server 1 answers to `append_entries` that it accepts."""
    return to, AppendEntriesReply(1, term, request_id, success=True, match_index=match_index)


def mismatch(
    term: Term, prev_log_index: Index, conflict: tuple[Term, Index], *, to: ServerId = 2, request_id: int = 7
) -> Outgoing:
    """What server 1 answers to `append_entries` that it refuses: with the conflicting term and its first index."""
    conflict_term, conflict_index = conflict
    return to, AppendEntriesReply(
        1,
        term,
        request_id,
        success=False,
        prev_log_index=prev_log_index,
        conflict_term=conflict_term,
        conflict_index=conflict_index,
    )
