"""Several cores on a simulated network: events in a heap, delays and faults drawn from one seed, Figure 3 checked.

Without faults a message takes a millisecond and disks are instant. With faults messages are lost, doubled, delayed
and overtaken, disks and machines lag behind and stall, servers take several events in one turn as the node does, and
a crash loses what was not synced. Time jumps from event to event.
"""

import random
from collections.abc import Callable, Iterable
from heapq import heappop, heappush

from tests.support.raft_server import Disk, Server, slot

from oarlock.raft.config import RaftConfig
from oarlock.raft.messages import RaftMessage
from oarlock.raft.ready import Outgoing
from oarlock.raft.state import MembershipRefused, NotLeader, Overloaded, Role
from oarlock.raft.types import Configuration, Entry, HardState, Index, ServerId, SnapshotMetadata, Term

_TICKS_AT_ONE_TIME = 100


class Cluster:
    """Servers on a network."""

    def __init__(
        self,
        size: int,
        seed: int = 0,
        *,
        faults: bool = False,
        configuration: Configuration | None = None,
        disk_ids: bool = False,
        **settings: object,
    ) -> None:
        self.rng = random.Random(seed)
        self.now = 0.0
        self.faults = faults
        configuration = configuration or Configuration(voters=frozenset(range(1, size + 1)))
        base = SnapshotMetadata(configuration=configuration)
        self.servers = {
            server_id: Server(
                RaftConfig(server_id=server_id, **settings),
                Disk(base, HardState(), [], ()),
                seed=seed,
                asynchronous=faults,
                disk_id=100 * server_id if disk_ids else 0,
            )
            for server_id in sorted(configuration.members)
        }
        self.down: set[ServerId] = set()
        self.cut: set[tuple[ServerId, ServerId]] = set()
        self.drop: Callable[[ServerId, ServerId, RaftMessage], bool] = lambda source, to, message: False
        """Messages a test does not let arrive."""
        self.leaders: dict[Term, ServerId] = {}
        self.applied: list[bytes] = []
        """What any server applied, by index: from the first moment on, for ever."""
        self.sequence = 0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._event_number = 0
        self._turn_due: set[ServerId] = set()
        self._apply_due: set[ServerId] = set()
        self._chunk_due: set[ServerId] = set()
        self._write_ends: dict[ServerId, float] = {}
        self._writes_scheduled: dict[ServerId, int] = {}
        self._deadlines: dict[ServerId, float] = {}
        self._reads: dict[int, tuple[ServerId, Index]] = {}
        self._checked: dict[ServerId, tuple[Term, Index, Entry | None, int]] = {}
        self.reads_answered = 0
        for server in self.servers.values():
            self._note_deadline(server)

    def __getitem__(self, server_id: ServerId) -> Server:
        return self.servers[server_id]

    # -- what tests look at --------------------------------------------------------------------------------------

    @property
    def live(self) -> list[Server]:
        """The servers that run."""
        return [server for server in self.servers.values() if server.id not in self.down]

    @property
    def leader(self) -> Server | None:
        """The live leader of the highest term."""
        leaders = [server for server in self.live if server.state.role is Role.LEADER]
        return max(leaders, key=lambda server: server.state.current_term, default=None)

    def rules(self) -> set[str]:
        """All rules fired by any server."""
        return set().union(*(server.rules() for server in self.servers.values()))

    # -- faults --------------------------------------------------------------------------------------------------

    def partition(self, *groups: Iterable[ServerId]) -> None:
        """Only servers of one group reach each other."""
        sides = [set(group) for group in groups]
        self.cut = {
            (one, other)
            for one in self.servers
            for other in self.servers
            if one != other and not any({one, other} <= side for side in sides)
        }

    def isolate(self, server_id: ServerId) -> None:
        """One server reaches nobody."""
        self.partition({server_id}, self.servers.keys() - {server_id})

    def heal(self) -> None:
        """All links work."""
        self.cut = set()

    def crash(self, server_id: ServerId) -> None:
        """Stop a server: what it had sent may still arrive; of writes under way any first part may be on the disk."""
        self.down.add(server_id)
        server = self.servers[server_id]
        while self.faults and server.writing and self.rng.random() < 0.5:
            server.disk.write(server.writing.popleft())
        self._note_deadline(server)

    def restart(self, server_id: ServerId) -> None:
        """Start a stopped server from its disk."""
        self.down.discard(server_id)
        for due in (self._turn_due, self._apply_due, self._chunk_due):
            due.discard(server_id)
        self._write_ends.pop(server_id, None)
        self._writes_scheduled.pop(server_id, None)
        self._checked.pop(server_id, None)
        self._reads = {context: read for context, read in self._reads.items() if read[0] != server_id}
        server = self.servers[server_id]
        server.start(self.now)
        self._note_deadline(server)

    def end_faults(self) -> None:
        """From here on everything works: the network heals, who is down starts, disks are instant."""
        self.heal()
        for server_id in sorted(self.down):
            self.restart(server_id)
        self.faults = False
        for server in self.servers.values():
            server.asynchronous = False
            self.carry_out(server)

    # -- events --------------------------------------------------------------------------------------------------

    def run_for(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        while self._next(end):
            pass
        self.now = end

    def run_until(self, condition: Callable[[], bool], limit: float = 60.0) -> None:
        """Let time pass until a condition holds."""
        end = self.now + limit
        while not condition():
            assert self._next(end), "not reached in time"

    def elect(self) -> Server:
        """Let time pass until there is a leader that has committed in its term."""

        def has_committed() -> bool:
            leader = self.leader
            return leader is not None and (
                leader.state.log.term(leader.state.commit_index) == leader.state.current_term
            )

        self.run_until(has_committed)
        assert self.leader is not None
        return self.leader

    def campaign(self, server_id: ServerId) -> Server:
        """Have one server time out now, and let time pass until it leads and has committed in its term."""
        for server in self.live:
            server.state.last_leader_contact = float("-inf")
        candidate = self.servers[server_id]
        candidate.state.last_contact = self.now - candidate.state.election_wait
        self._note_deadline(candidate)
        self.elect()
        assert self.leader is candidate
        return candidate

    def converge(self) -> None:
        """Let time pass until all live members have applied the leader's whole log, and no change is under way."""

        def has_converged() -> bool:
            leader = self.leader
            if leader is None or leader.state.configuration.is_joint:
                return False
            members = leader.state.configuration.members
            return all(
                len(server.machine) == leader.state.log.last_index for server in self.live if server.id in members
            )

        self.run_until(has_converged)

    def propose(self) -> bool:
        """Propose a new command to the present leader; False if there is none, or it is full."""
        leader = self.leader
        if leader is None:
            return False
        self.sequence += 1
        try:
            leader.raft.propose([b"c%d" % self.sequence])
        except (NotLeader, Overloaded):
            return False
        self.carry_out(leader)
        return True

    def change_membership(self, voters: Iterable[ServerId], learners: Iterable[ServerId] = ()) -> bool:
        """Begin a change of members at the present leader; False if there is none, or it refuses."""
        leader = self.leader
        if leader is None:
            return False
        try:
            leader.raft.change_membership(Configuration(voters=frozenset(voters), learners=frozenset(learners)))
        except (NotLeader, MembershipRefused):
            return False
        self.carry_out(leader)
        return True

    def transfer(self, to: ServerId) -> bool:
        """Ask the present leader to hand over; False if there is none, or `to` does not vote."""
        leader = self.leader
        if leader is None or to == leader.id or to not in leader.state.configuration.voters:
            return False
        leader.raft.transfer_leadership(to, self.now)
        self.carry_out(leader)
        return True

    def read(self, server_id: ServerId) -> None:
        """Read at one server; the answer, if one comes, is checked against what was applied before now."""
        self.sequence += 1
        self._reads[self.sequence] = (server_id, len(self.applied))
        server = self.servers[server_id]
        server.raft.read_index(self.sequence, self.now)
        self.carry_out(server)

    def _next(self, end: float) -> bool:
        """Take the next event that is due by `end`; False if there is none."""
        at = self._events[0][0] if self._events else end
        who = None
        first = min(self._deadlines, key=self._deadlines.__getitem__)
        if self._deadlines[first] < at:
            at, who = self._deadlines[first], self.servers[first]
        if at > end or (who is None and not self._events):
            return False
        self._ticks_here = self._ticks_here + 1 if who is not None and at <= self.now else 0
        assert self._ticks_here < _TICKS_AT_ONE_TIME, "a tick moves its deadline on"
        self.now = max(self.now, at)
        if who is None:
            heappop(self._events)[2]()
        else:
            who.raft.tick(self.now)
            self.carry_out(who)
        return True

    _ticks_here = 0

    def _later(self, at: float, event: Callable[[], None]) -> None:
        self._event_number += 1
        heappush(self._events, (at, self._event_number, event))

    def carry_out(self, server: Server) -> None:
        """See to a server's effects: at once; or, with faults, now or in a turn soon."""
        if server.id not in self.down:
            self._carry_out(server)
        self._note_deadline(server)

    def _note_deadline(self, server: Server) -> None:
        """When the server must be ticked next; not before its turn, as only that moves its deadlines on."""
        waits = server.id in self.down or server.id in self._turn_due
        raft = server.raft
        self._deadlines[server.id] = float("inf") if waits else min(raft.heartbeat_deadline(), raft.election_deadline())

    def _carry_out(self, server: Server) -> None:
        if not server.asynchronous:
            self._post(server, server.settle())
            self._check(server)
        elif server.id not in self._turn_due:
            if self.rng.random() < 0.25:
                self._turn_due.add(server.id)
                self._for_this_life(server, self.now + self.rng.expovariate(1 / 0.004), self._turn)
            else:
                self._turn(server)

    def _for_this_life(self, server: Server, at: float, event: Callable[[Server], None]) -> None:
        life = server.lives

        def if_alive() -> None:
            if server.lives == life and server.id not in self.down:
                event(server)

        self._later(at, if_alive)

    def _turn(self, server: Server) -> None:
        self._turn_due.discard(server.id)
        server.run()
        sent, server.outbox = server.outbox, []
        self._post(server, sent)
        for ready in list(server.writing):
            if ready.number > self._writes_scheduled.get(server.id, 0):
                self._writes_scheduled[server.id] = ready.number
                seconds = self.rng.expovariate(1 / 0.005) if self.rng.random() < 0.995 else self.rng.uniform(1, 3)
                ends = max(self._write_ends.get(server.id, 0.0), self.now) + seconds
                self._write_ends[server.id] = ends
                self._for_this_life(server, ends, self._written)
        self._see_to_chunks(server)
        self._see_to_applying(server)
        self._check(server)
        self._note_deadline(server)

    def _written(self, server: Server) -> None:
        if server.writing:
            server.complete_write()
            self.carry_out(server)

    def _see_to_chunks(self, server: Server) -> None:
        if server.chunks and server.id not in self._chunk_due:
            self._chunk_due.add(server.id)
            self._for_this_life(server, self.now + self.rng.expovariate(1 / 0.005), self._write_chunk)

    def _write_chunk(self, server: Server) -> None:
        self._chunk_due.discard(server.id)
        if server.chunks:
            server.write_chunk()
            self.carry_out(server)
            self._see_to_chunks(server)

    def _see_to_applying(self, server: Server) -> None:
        if server.can_apply and server.id not in self._apply_due:
            self._apply_due.add(server.id)
            self._for_this_life(server, self.now + self.rng.expovariate(1 / 0.003), self._apply)

    def _apply(self, server: Server) -> None:
        self._apply_due.discard(server.id)
        if server.can_apply:
            server.apply_next()
            self.carry_out(server)
            self._see_to_applying(server)

    def _post(self, server: Server, sent: list[Outgoing]) -> None:
        for to, message in sent:
            copies, delay = 1, 0.001
            if self.faults:
                copies = self.rng.choices((0, 1, 2), (8, 84, 8))[0]
            for _ in range(copies):
                if self.faults:
                    delay = self.rng.expovariate(1 / 0.01)
                    if self.rng.random() < 0.03:
                        delay += self.rng.uniform(0.1, 3)
                self._later(self.now + delay, lambda to=to, message=message: self._deliver(server.id, to, message))

    def _deliver(self, source: ServerId, to: ServerId, message: RaftMessage) -> None:
        if to in self.down or (source, to) in self.cut or self.drop(source, to, message):
            return
        self.servers[to].raft.step(message, self.now)
        self.carry_out(self.servers[to])

    # -- checks --------------------------------------------------------------------------------------------------

    def _check(self, server: Server) -> None:
        """After each event of a server: Figure 3, and that reads are linearizable."""
        state = server.state
        term, last_index, last, applied = self._checked.get(server.id, (0, 0, None, 0))
        is_leader = state.role is Role.LEADER
        if is_leader and term != state.current_term:
            self._check_election(server)
        elif is_leader and last is not None and last_index > state.log.base_index:
            assert state.log.entry(last_index) == last, "SP-2: a leader keeps what it has"
        machine = server.machine
        for index in range(min(applied, len(machine)), len(machine)):
            if index == len(self.applied):
                self.applied.append(machine[index])
            assert self.applied[index] == machine[index], "SP-5: the same entry at every applied index"
        log = state.log
        last = log.entry(log.last_index) if log.last_index > log.base_index else None
        self._checked[server.id] = (state.current_term if is_leader else 0, log.last_index, last, len(machine))
        reads, server.reads = server.reads, []
        for read in reads:
            reader, floor = self._reads.pop(read.context)
            assert reader == server.id
            if read.read_index is not None:
                self.reads_answered += 1
                assert floor <= read.read_index <= len(machine), "a read sees all that was applied before it began"

    def _check_election(self, server: Server) -> None:
        state = server.state
        assert self.leaders.setdefault(state.current_term, server.id) == server.id, "SP-1: one leader per term"
        for index in range(state.log.base_index + 1, len(self.applied) + 1):
            assert slot(state.log.entry(index)) == self.applied[index - 1], "SP-4: a leader has all committed entries"

    def check_logs(self) -> None:
        """SP-3 over all pairs; slow, so called now and then."""
        logs = [
            {entry.index: entry for entry in server.state.log.slice(server.state.log.base_index + 1, 1 << 62)}
            for server in self.servers.values()
        ]
        for one in logs:
            for other in logs:
                agreed = False
                for index in sorted(one.keys() & other.keys(), reverse=True):
                    agreed = agreed or one[index].term == other[index].term
                    assert not agreed or one[index] == other[index], "SP-3: equal below an equal entry"
