"""One core, its disk, which keeps only what was synced, and its machine, which is the list of what was applied.

The part of a node that the algorithm needs, in the order that `Ready` gives; without files, so it is fast.
"""

import random
from collections import deque
from collections.abc import Iterable

from oarlock.raft.config import RaftConfig
from oarlock.raft.log import Log
from oarlock.raft.messages import InstallSnapshot
from oarlock.raft.raft import Raft
from oarlock.raft.ready import Outgoing, ReadState, Ready, SnapshotChunk, SnapshotChunkRequest
from oarlock.raft.state import RaftState
from oarlock.raft.types import DiskId, Entry, HardState, Index, ServerId, SnapshotMetadata
from oarlock.zoo.core.broken import Broken, require

CHUNK_BYTES = 64
_TURNS_AT_ONCE = 100

Slots = tuple[bytes, ...]
"""A state machine: what was applied at index 1, 2, ..."""


def slot(entry: Entry) -> bytes:
    """What applying an entry leaves behind."""
    return b"%d:%d:%s" % (entry.term, entry.kind, entry.data.hex().encode())


class Disk:
    """What one server's disk holds for certain."""

    def __init__(self, base: SnapshotMetadata) -> None:
        self.hard_state = HardState()
        self.base = base
        self.entries: list[Entry] = []
        self.machine: Slots = ()
        """As last flushed by a machine with a storage of its own."""
        self.snapshots: dict[SnapshotMetadata, Slots] = {}

    @property
    def last_index(self) -> Index:
        """Where the stored log ends."""
        return self.base.last_included_index + len(self.entries)

    def write(self, ready: Ready) -> None:
        """Make one `Ready` durable: base, hard state, entries."""
        base = ready.snapshot or ready.compact_to
        if base is not None:
            dropped = base.last_included_index - self.base.last_included_index
            require(dropped >= 0, "order of indices", "the log's base on disk would move back")
            self.entries = [] if ready.discard_log else self.entries[dropped:]
            self.base = base
        if ready.hard_state is not None:
            self.hard_state = ready.hard_state
        if ready.entries:
            keep = ready.entries[0].index - self.base.last_included_index - 1
            require(0 <= keep <= len(self.entries), "log without gaps", "entries do not follow the log on disk")
            self.entries[keep:] = ready.entries

    def _leads_on_from(self, held: SnapshotMetadata) -> bool:
        offset = held.last_included_index - self.base.last_included_index
        if offset == 0:
            return held.last_included_term == self.base.last_included_term
        return 0 < offset <= len(self.entries) and self.entries[offset - 1].term == held.last_included_term

    def newest_snapshot(self) -> SnapshotMetadata | None:
        """The newest that the log leads on from."""
        usable = [held for held in self.snapshots if self._leads_on_from(held)]
        return max(usable, key=lambda held: held.last_included_index, default=None)

    def recover(self) -> None:
        """What a start does: a machine behind the log's base is restored from a snapshot."""
        base = self.base.last_included_index
        if len(self.machine) < base or not self.machine:
            newest = self.newest_snapshot()
            require(newest is not None or not base, "recovers", "no snapshot leads to the log's base")
            self.machine = self.snapshots[newest] if newest is not None else ()
        require(base <= len(self.machine) <= self.last_index, "recovers", "machine and log do not fit together")


class Server:
    """A core, and what carries out its effects."""

    def __init__(self, config: RaftConfig, base: SnapshotMetadata, rng: random.Random, disk_id: DiskId = 0) -> None:
        self.id: ServerId = config.server_id
        self.config = config
        self.first_base = base
        self.disk = Disk(base)
        self.rng = rng
        self.lives = 0
        self.disk_id = disk_id
        """Tells its disk from others that it has had; 0 if disks are not told apart."""
        self.is_wiped = False
        """Whether the disk has lost all that it held."""
        self.failing_chunks = 0
        self.rules: dict[str, int] = {}
        """How often each rule acted."""
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
        self.partial: dict[SnapshotMetadata, bytes] = {}
        self.applied: list[Entry] = []
        """Since it was last looked at."""
        self.denied: list[ServerId] = []
        """Followers that deny what they had acknowledged, as it reported."""
        self.moved: list[ServerId] = []
        """Followers that are on other disks, as it reported."""
        self.disk.recover()
        self.machine: list[bytes] = list(self.disk.machine)
        self.raft = Raft(
            self.config,
            rng=self.rng,
            now=now,
            hard_state=self.disk.hard_state,
            log=Log(self.disk.base, self.disk.entries),
            applied_index=len(self.machine),
            tracer=self._count,
            disk_id=self.disk_id,
        )
        newest = self.disk.newest_snapshot()
        if newest is not None:
            self.raft.snapshot_taken(newest)

    def replace_disk(self) -> None:
        """Begin the next start on another disk, which is empty."""
        self.lose_data()
        self.disk_id += 1

    def lose_data(self) -> None:
        """Have the disk forget all it holds but which disk it is, for the next start."""
        self.disk = Disk(self.first_base)
        self.is_wiped = True

    def _count(self, rule: str, _operands: tuple[object, ...]) -> None:
        self.rules[rule] = self.rules.get(rule, 0) + 1

    @property
    def state(self) -> RaftState:
        """The core's state."""
        return self.raft.state

    @property
    def is_leading(self) -> bool:
        """Whether it leads and has committed in its term."""
        state = self.state
        return state.leader is not None and state.log.term(state.commit_index) == state.current_term

    # -- effects -------------------------------------------------------------------------------------------------------

    def settle(self) -> list[Outgoing]:
        """Carry out all effects, the disk's and the machine's included; gives what was sent."""
        self.run()
        while self.writing or self.can_apply or self.chunks:
            if self.writing:
                self.complete_write()
            elif self.can_apply:
                self.apply_next()
            else:
                self.write_chunk()
            self.run()
        return self.take_sent()

    def take_sent(self) -> list[Outgoing]:
        """What was sent since this was last asked."""
        sent, self.outbox = self.outbox, []
        return sent

    def run(self) -> None:
        """Carry out effects, but leave disk and machine under way."""
        turns = 0
        while self.raft.has_ready():
            turns += 1
            require(turns < _TURNS_AT_ONCE, "no busy loop", "effects that are carried out bring others, and so on")
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
            self.denied += ready.lost_data
            self.moved += ready.other_disks
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
        """Whether the machine has something to do: a snapshot waits for the log's base to be durable."""
        if not self.to_apply:
            return False
        due = self.to_apply[0]
        return isinstance(due, Entry) or due.number <= self.durable_number

    def apply_next(self) -> None:
        """Apply the next entry, or restore the next snapshot."""
        due = self.to_apply.popleft()
        if isinstance(due, Entry):
            name = "applied in order, once"
            require(due.index == len(self.machine) + 1, name, f"index {due.index} follows {len(self.machine)}")
            require(due.index <= self.disk.last_index, "applied only what is on disk", f"index {due.index} is not")
            self.machine.append(slot(due))
            self.applied.append(due)
        elif due.snapshot is not None:
            self._restore(due.snapshot)
        self.raft.applied(len(self.machine))

    def _restore(self, metadata: SnapshotMetadata) -> None:
        index = metadata.last_included_index
        require(index >= len(self.machine), "monotone applied_index", f"a snapshot takes it back to {index}")
        image = self.disk.snapshots.get(metadata)
        if image is None:
            raise Broken("a snapshot is whole when it is installed", f"snapshot {index} is not there")
        self.machine = list(image)
        self.disk.machine = image
        self.applied.clear()
        held = self.disk.snapshots
        self.disk.snapshots = {each: slots for each, slots in held.items() if each.last_included_index >= index}

    # -- snapshots -----------------------------------------------------------------------------------------------------

    def take_snapshot(self) -> None:
        """Save the machine, unless it is behind a base that is about to be installed."""
        if len(self.machine) >= self.state.log.base_index:
            metadata = self.raft.metadata_at(len(self.machine))
            self.disk.snapshots[metadata] = tuple(self.machine)
            self.raft.snapshot_taken(metadata)

    def compact(self, keep: int = 0, *, snapshot: bool = True) -> None:
        """Make the machine durable, as a snapshot or in its own storage, and drop the log but for its last entries."""
        index = len(self.machine) - keep
        if index > self.state.log.base_index:
            if snapshot:
                self.take_snapshot()
            else:
                self.disk.machine = tuple(self.machine)
            self.raft.compact(index)

    def _send_chunk(self, request: SnapshotChunkRequest) -> None:
        slots = self.disk.snapshots.get(request.metadata)
        if slots is None:
            self.raft.snapshot_unavailable(request.to)
            return
        image = encode(slots)
        end = request.offset + CHUNK_BYTES
        data, done = image[request.offset : end], end >= len(image)
        term, number = request.term, request.request_id
        message = InstallSnapshot(self.id, term, number, request.metadata, request.offset, data, done)
        self.outbox.append((request.to, message))

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
        held += chunk.data[len(held) - chunk.offset :]
        self.partial[chunk.metadata] = held
        if chunk.done:
            slots = tuple(self.partial.pop(chunk.metadata).split(b"\n"))
            if len(slots) != chunk.metadata.last_included_index:
                self.raft.snapshot_chunk_failed(chunk)  # as a file whose checksum is wrong
                return
            self.disk.snapshots[chunk.metadata] = slots
        self.raft.snapshot_chunk_written(chunk)


def encode(slots: Iterable[bytes]) -> bytes:
    """A snapshot's bytes."""
    return b"\n".join(slots)
