"""Cores on a simulated network and disk, for tests of the algorithm alone: no sockets, no files, no clock.

`Server` runs one core with a disk that keeps only what was synced. `Cluster` moves messages between several, with
drops, duplicates, delays, partitions and crashes drawn from one seed, and checks the paper's Figure 3 as it goes.
"""

import random
from collections import defaultdict, deque
from collections.abc import Iterable

from oarlock.raft.config import RaftConfig
from oarlock.raft.log import Log
from oarlock.raft.messages import InstallSnapshot, RaftMessage
from oarlock.raft.raft import Raft
from oarlock.raft.ready import Outgoing, ReadState, Ready
from oarlock.raft.state import Role
from oarlock.raft.types import Configuration, Entry, EntryKind, HardState, SnapshotMetadata

CHUNK = 64


class Disk:
    """What one server's disk holds for certain, and the writes that may still be lost."""

    def __init__(self, base: SnapshotMetadata) -> None:
        self.hard_state = HardState()
        self.base = base
        self.entries: list[Entry] = []
        self.snapshot: tuple[SnapshotMetadata, tuple[bytes, ...]] | None = None

    def write(self, ready: Ready) -> None:
        """Make one `Ready` durable."""
        if ready.hard_state is not None:
            self.hard_state = ready.hard_state
        if ready.snapshot is not None:
            self._move_base(ready.snapshot, discard=ready.discard_log)
        if ready.entries:
            keep = ready.entries[0].index - self.base.last_included_index - 1
            assert 0 <= keep <= len(self.entries), "entries follow the stored log"
            self.entries[keep:] = ready.entries
        if ready.compact_to is not None and ready.compact_to.last_included_index > self.base.last_included_index:
            self._move_base(ready.compact_to, discard=False)

    def _move_base(self, base: SnapshotMetadata, *, discard: bool) -> None:
        dropped = base.last_included_index - self.base.last_included_index
        self.entries = [] if discard else self.entries[dropped:]
        self.base = base


class Server:
    """One core, its disk, and a state machine that is the list of the commands applied (one slot per index)."""

    def __init__(self, config: RaftConfig, voters: Iterable[int], seed: int = 0, *, disk_delay: bool = False) -> None:
        self.config = config
        self.rng = random.Random(seed * 1_000_003 + config.server_id)
        self.disk = Disk(SnapshotMetadata(0, 0, Configuration(voters=frozenset(voters))))
        self.disk_delay = disk_delay
        self.fired: list[tuple[str, tuple[object, ...]]] = []
        self.outbox: list[Outgoing] = []
        self.reads: list[ReadState] = []
        self.lives = 0
        self.start(0.0)

    def start(self, now: float) -> None:
        """Begin a life from what the disk holds."""
        self.lives += 1
        self.writing: deque[Ready] = deque()
        self.outbox.clear()
        self.partial: dict[SnapshotMetadata, dict[int, bytes]] = defaultdict(dict)
        base, slots = self.disk.snapshot or (self.disk.base, ())
        entries = self.disk.entries
        self.machine: list[bytes] = list(slots)
        if base.last_included_index > self.disk.base.last_included_index:
            last = {entry.index: entry.term for entry in entries}.get(base.last_included_index)
            kept = last == base.last_included_term
            entries = [entry for entry in entries if kept and entry.index > base.last_included_index]
            self.disk.base, self.disk.entries = base, list(entries)
        self.raft = Raft(
            self.config,
            rng=self.rng,
            now=now,
            hard_state=self.disk.hard_state,
            log=Log(base, entries),
            applied_index=len(self.machine),
            tracer=lambda rule, operands: self.fired.append((rule, operands)),
            check_invariants=True,
        )
        if self.disk.snapshot is not None:
            self.raft.snapshot_taken(self.disk.snapshot[0])

    @property
    def state(self):
        """The core's state."""
        return self.raft.state

    @property
    def id(self) -> int:
        """The server's id."""
        return self.config.server_id

    def rules(self) -> set[str]:
        """The ids of all rules fired so far."""
        return {rule for rule, _ in self.fired}

    def step(self, message: RaftMessage, now: float = 0.0) -> list[RaftMessage]:
        """Take a message, carry out its effects at once, and return the messages sent."""
        self.raft.step(message, now)
        return self.settle()

    def tick(self, now: float) -> list[RaftMessage]:
        """Let time pass, carry out the effects at once, and return the messages sent."""
        self.raft.tick(now)
        return self.settle()

    def settle(self) -> list[RaftMessage]:
        """Carry out all effects, the disk's included, and return (and forget) the messages sent."""
        self.run()
        while self.writing:
            self.complete_write()
            self.run()
        sent = [message for _, message in self.outbox]
        self.outbox = []
        return sent

    def run(self) -> None:
        """Carry out effects, leaving disk writes under way."""
        while self.raft.has_ready():
            ready = self.raft.ready()
            self.outbox += ready.messages
            for entry in ready.committed_entries:
                assert entry.index == len(self.machine) + 1, "applied in order, each index once (ALL-1, G12)"
                self.machine.append(b"%d:%d:%s" % (entry.term, entry.kind, entry.data))
            for request in ready.chunk_requests:
                self._send_chunk(request)
            for chunk in ready.chunks:
                self._take_chunk(chunk)
            if ready.snapshot is not None:
                self.machine = list(self._slots(ready.snapshot))
                self.disk.snapshot = (ready.snapshot, tuple(self.machine))
            if ready.committed_entries or ready.snapshot is not None:
                self.raft.applied(len(self.machine))
            if ready.snapshot_wanted:
                self.take_snapshot()
            self.reads += ready.reads
            if ready.must_persist or self.writing:
                self.writing.append(ready)
                while self.writing and not self.disk_delay:
                    self.complete_write()
            else:
                self.outbox += ready.messages_after_persist

    def complete_write(self) -> None:
        """The oldest write under way is durable."""
        ready = self.writing.popleft()
        self.disk.write(ready)
        self.outbox += ready.messages_after_persist
        self.raft.advance(ready.number)

    def take_snapshot(self) -> None:
        """Save the state machine as a snapshot."""
        metadata = self.raft.metadata_at(len(self.machine))
        self.disk.snapshot = (metadata, tuple(self.machine))
        self.raft.snapshot_taken(metadata)

    def compact(self, keep: int = 0) -> None:
        """Take a snapshot and compact the log, but for the newest `keep` entries."""
        index = len(self.machine)
        if index > self.state.log.base_index:
            self.take_snapshot()
            self.raft.compact(max(self.state.log.base_index, index - keep))

    @staticmethod
    def _encode(slots: Iterable[bytes]) -> bytes:
        return b"\n".join(slots)

    def _send_chunk(self, request) -> None:
        assert self.disk.snapshot is not None
        if self.disk.snapshot[0] != request.metadata:
            self.raft.snapshot_unavailable(request.to)
            return
        image = self._encode(self.disk.snapshot[1])
        data = image[request.offset : request.offset + CHUNK]
        done = request.offset + CHUNK >= len(image)
        message = InstallSnapshot(
            self.id, request.term, request.request_id, request.metadata, request.offset, data, done
        )
        self.outbox.append((request.to, message))

    def _take_chunk(self, chunk) -> None:
        parts = self.partial[chunk.metadata]
        if chunk.offset == 0:
            parts.clear()
        expected = sum(map(len, parts.values()))
        if chunk.offset not in parts and chunk.offset != expected:
            self.raft.snapshot_chunk_failed(chunk, expected)
            return
        parts[chunk.offset] = chunk.data
        if chunk.done:
            slots = self._slots(chunk.metadata)
            assert len(slots) == chunk.metadata.last_included_index
        self.raft.snapshot_chunk_written(chunk)

    def _slots(self, metadata: SnapshotMetadata) -> tuple[bytes, ...]:
        parts = self.partial[metadata]
        return tuple(b"".join(parts[offset] for offset in sorted(parts)).split(b"\n"))


class Cluster:
    """Servers on a network whose faults are drawn from a seed."""

    def __init__(self, size: int, seed: int = 0, *, faults: bool = False, **settings: object) -> None:
        self.rng = random.Random(seed)
        self.now = 0.0
        self.faults = faults
        ids = range(1, size + 1)
        self.servers = {i: Server(RaftConfig(server_id=i, **settings), ids, seed, disk_delay=faults) for i in ids}
        self.down: set[int] = set()
        self.cut: set[tuple[int, int]] = set()
        self.traffic: list[tuple[float, int, int, RaftMessage]] = []
        self.leaders: dict[int, int] = {}
        self.applied: list[bytes] = []
        self.sequence = 0

    def __getitem__(self, server_id: int) -> Server:
        return self.servers[server_id]

    @property
    def leader(self) -> Server | None:
        """The live leader of the highest term."""
        leaders = [s for s in self.servers.values() if s.id not in self.down and s.state.role is Role.LEADER]
        return max(leaders, key=lambda s: s.state.current_term, default=None)

    def partition(self, *groups: Iterable[int]) -> None:
        """Only servers of one group reach each other."""
        sides = [set(group) for group in groups]
        self.cut = {
            (a, b) for a in self.servers for b in self.servers if a != b and not any({a, b} <= side for side in sides)
        }

    def heal(self) -> None:
        """All links work."""
        self.cut = set()

    def crash(self, server_id: int) -> None:
        """Stop a server: what it had not synced is lost, what it had sent may still arrive."""
        self.down.add(server_id)

    def restart(self, server_id: int) -> None:
        """Start a stopped server from its disk."""
        self.down.discard(server_id)
        self.servers[server_id].start(self.now)

    def run_for(self, seconds: float, step: float = 0.01) -> None:
        """Let time pass."""
        end = self.now + seconds
        while self.now < end:
            self.advance(step)

    def run_until(self, condition, limit: float = 60.0) -> None:
        """Let time pass until a condition holds."""
        end = self.now + limit
        while not condition():
            assert self.now < end, "not reached in time"
            self.advance(0.01)

    def elect(self) -> Server:
        """Let time pass until there is a leader that has committed in its term."""
        self.run_until(
            lambda: (
                self.leader is not None
                and self.leader.state.log.term(self.leader.state.commit_index) == self.leader.state.current_term
            )
        )
        assert self.leader is not None
        return self.leader

    def advance(self, step: float) -> None:
        """One step of time: deliver what is due, tick, carry out effects, check Figure 3."""
        self.now += step
        due = [item for item in self.traffic if item[0] <= self.now]
        self.traffic = [item for item in self.traffic if item[0] > self.now]
        if self.faults:
            self.rng.shuffle(due)
        for _, source, to, message in due:
            if to not in self.down and (source, to) not in self.cut:
                self.servers[to].raft.step(message, self.now)
                self._collect(self.servers[to])
        for server in self.servers.values():
            if server.id not in self.down:
                server.raft.tick(self.now)
                self._collect(server)
        self.check()

    def _collect(self, server: Server) -> None:
        server.run()
        while server.writing and (not self.faults or self.rng.random() < 0.7):
            server.complete_write()
            server.run()
        for to, message in server.outbox:
            copies = 1
            if self.faults:
                copies = self.rng.choices((0, 1, 2), (10, 80, 10))[0]
            for _ in range(copies):
                delay = self.rng.expovariate(1 / 0.02) if self.faults else 0.001
                if self.faults and self.rng.random() < 0.02:
                    delay += self.rng.uniform(0.5, 5)
                self.traffic.append((self.now + delay, server.id, to, message))
        server.outbox = []

    def check(self) -> None:
        """Figure 3's properties, from the states alone (SP-1, SP-3, SP-4, SP-5)."""
        for server in self.servers.values():
            state = server.state
            if state.role is Role.LEADER and server.id not in self.down:
                assert self.leaders.setdefault(state.current_term, server.id) == server.id, "SP-1: one leader per term"
            for index, slot in enumerate(server.machine):
                if index == len(self.applied):
                    self.applied.append(slot)
                assert self.applied[index] == slot, "SP-5: the same entry at every applied index"

    def check_logs(self) -> None:
        """SP-3 over all pairs; slow, so called now and then."""
        logs = [
            {entry.index: entry for entry in s.state.log.slice(s.state.log.base_index + 1, s.state.log.last_index)}
            for s in self.servers.values()
        ]
        for one in logs:
            for other in logs:
                shared = sorted(one.keys() & other.keys(), reverse=True)
                agreed = False
                for index in shared:
                    agreed = agreed or one[index].term == other[index].term
                    assert not agreed or one[index] == other[index], "SP-3: equal below an equal entry"

    def propose(self) -> bool:
        """Propose a new command to the present leader."""
        leader = self.leader
        if leader is None:
            return False
        self.sequence += 1
        leader.raft.propose([b"c%d" % self.sequence])
        self._collect(leader)
        return True


def log_of(*terms: int) -> list[Entry]:
    """Entries 1, 2, ... of the given terms."""
    return [Entry(index, term, EntryKind.COMMAND, b"%d@%d" % (index, term)) for index, term in enumerate(terms, 1)]
