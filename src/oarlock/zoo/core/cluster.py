"""Cores on a simulated network: events in a heap, delays and faults from one seed, a look at the server after each.

Without faults a message takes a millisecond and disks are instant. With faults messages are lost, doubled, delayed
and overtaken, disks and machines lag and stall, servers take several events in a turn, and a crash loses what was not
synced.
"""

import random
from collections.abc import Callable, Iterable
from heapq import heappop, heappush

from oarlock.raft.config import RaftConfig
from oarlock.raft.messages import AppendEntries, RaftMessage
from oarlock.raft.ready import Outgoing
from oarlock.raft.state import MembershipRefused, NotLeader, Overloaded
from oarlock.raft.types import Configuration, ServerId, SnapshotMetadata
from oarlock.zoo.core.broken import Broken, require
from oarlock.zoo.core.server import Server
from oarlock.zoo.core.trail import trail_of
from oarlock.zoo.core.watch import Watch

_TICKS_AT_ONE_TIME = 100

Drop = Callable[[ServerId, ServerId, RaftMessage], bool]
"""Whether a message is lost: its source, whom it is for, itself."""


class Cluster:
    """Servers on a network.

    Args:
        members: An initial configuration, or how many voters.
        seed: Of all chance.
        faults: Whether things go wrong by themselves.
        own: Settings that one server has different.
        ignored: Properties that the run breaks on purpose.
        disk_ids: Whether disks are told apart.
        settings: Of every server's `RaftConfig`.
    """

    def __init__(
        self,
        members: Configuration | int,
        seed: int = 0,
        *,
        faults: bool = False,
        own: dict[ServerId, dict[str, object]] | None = None,
        ignored: tuple[str, ...] = (),
        disk_ids: bool = False,
        **settings: object,
    ) -> None:
        self.rng = random.Random(f"zoo/{seed}")  # noqa: S311
        self.now = 0.0
        self.faults = faults
        if isinstance(members, int):
            members = Configuration(voters=frozenset(range(1, members + 1)))
        base = SnapshotMetadata(configuration=members)
        self.watch = Watch(ignored)
        self.servers: dict[ServerId, Server] = {}
        for server_id in sorted(members.members):
            config = RaftConfig(server_id=server_id, **{**settings, **(own or {}).get(server_id, {})})  # type: ignore[arg-type]
            rng = random.Random(f"zoo/{seed}/{server_id}")  # noqa: S311
            self.servers[server_id] = Server(config, base, rng, 100 * server_id if disk_ids else 0)
        self.down: set[ServerId] = set()
        self.cut: set[tuple[ServerId, ServerId]] = set()
        self.drop: Drop = lambda source, to, message: False  # noqa: ARG005
        self.delay: Callable[[ServerId, ServerId, RaftMessage], float] = lambda source, to, message: 0.001  # noqa: ARG005
        self.stalled: set[ServerId] = set()
        """Servers whose disks do not answer; without faults."""
        self.sequence = 0
        self.messages = 0
        """How many were posted."""
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._event_number = 0
        self._ticks_here = 0
        self._due: dict[str, set[ServerId]] = {"turn": set(), "apply": set(), "chunk": set()}
        self._write_ends: dict[ServerId, float] = {}
        self._writes_scheduled: dict[ServerId, int] = {}
        self._deadlines: dict[ServerId, float] = dict.fromkeys(self.servers, 0.0)
        self.trail = trail_of(self)
        if self.trail is not None:
            for server in self.servers.values():
                self.trail.began(server)

    def __getitem__(self, server_id: ServerId) -> Server:
        return self.servers[server_id]

    @property
    def live(self) -> list[Server]:
        """The servers that run."""
        return [server for server in self.servers.values() if server.id not in self.down]

    @property
    def leader(self) -> Server | None:
        """The live leader of the highest term."""
        leaders = [server for server in self.live if server.state.leader is not None]
        return max(leaders, key=lambda server: server.state.current_term, default=None)

    def others(self, *servers: Server | None) -> list[Server]:
        """All servers but these."""
        return [server for server in self.servers.values() if server not in servers]

    # -- faults --------------------------------------------------------------------------------------------------------

    def partition(self, *groups: Iterable[ServerId]) -> None:
        """Only servers of one group reach each other."""
        sides = [set(group) for group in groups]
        pairs = [(one, other) for one in self.servers for other in self.servers if one != other]
        self.cut = {pair for pair in pairs if not any(set(pair) <= side for side in sides)}

    def isolate(self, *servers: ServerId) -> None:
        """Some servers reach nobody."""
        self.partition(self.servers.keys() - set(servers))

    def heal(self) -> None:
        """All links work."""
        self.cut = set()

    def crash(self, server_id: ServerId) -> None:
        """Stop a server: what it sent may still arrive; of writes under way any first part may be on the disk."""
        self.down.add(server_id)
        server = self.servers[server_id]
        while self.faults and server.writing and self.rng.random() < 0.5:
            server.disk.write(server.writing.popleft())
        self.watch.look(server, self.now)
        if self.trail is not None:
            self.trail.crashed(server_id)
        self._note_deadline(server)

    def restart(self, server_id: ServerId) -> None:
        """Start a stopped server from its disk."""
        self.down.discard(server_id)
        for due in self._due.values():
            due.discard(server_id)
        self._write_ends.pop(server_id, None)
        self._writes_scheduled.pop(server_id, None)
        self.watch.crashed(server_id)
        server = self.servers[server_id]
        server.start(self.now)
        if self.trail is not None:
            self.trail.began(server)
        self.watch.look(server, self.now)
        self._note_deadline(server)

    def end_faults(self) -> None:
        """From here on everything works."""
        self.heal()
        for server_id in sorted(self.down):
            self.restart(server_id)
        self.faults = False
        for server in self.servers.values():
            self.carry_out(server)

    # -- time ----------------------------------------------------------------------------------------------------------

    def run_for(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        while self._next(end):
            pass
        self.now = end

    def run_until(self, condition: Callable[[], object], limit_s: float, name: str) -> None:
        """Let time pass until a condition holds.

        Raises:
            Broken: With this name; it does not in time.
        """
        end = self.now + limit_s
        while not condition():
            if not self._next(end):
                raise Broken(name, f"not within {limit_s:g} s: {self.describe()}")

    def describe(self) -> str:
        """Where all servers stand."""
        parts = []
        for server in self.servers.values():
            state = server.state
            role = "down" if server.id in self.down else state.role.value
            parts.append(
                f"{server.id} {role} of term {state.current_term}, log {state.log.base_index} to "
                f"{state.log.last_index}, committed {state.commit_index}, applied {len(server.machine)}"
            )
        return "; ".join(parts)

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
        require(self._ticks_here < _TICKS_AT_ONE_TIME, "no busy loop", "a tick does not move its deadline on")
        self.now = max(self.now, at)
        if who is None:
            heappop(self._events)[2]()
        else:
            who.raft.tick(self.now)
            self.carry_out(who)
        return True

    def at(self, moment: float, event: Callable[[], None]) -> None:
        """Have something happen."""
        self._event_number += 1
        heappush(self._events, (moment, self._event_number, event))

    # -- what clients and operators do ---------------------------------------------------------------------------------

    def propose(self, size: int = 0) -> bool:
        """Propose a new command to the present leader; False if there is none, or it is full."""
        leader = self.leader
        if leader is None:
            return False
        self.sequence += 1
        try:
            leader.raft.propose([b"c%d" % self.sequence + bytes(size)])
        except (NotLeader, Overloaded):
            return False
        self.carry_out(leader)
        return True

    def read(self, server_id: ServerId) -> None:
        """Read at one server."""
        self.sequence += 1
        self.watch.asked(self.sequence, server_id)
        server = self.servers[server_id]
        server.raft.read_index(self.sequence, self.now)
        self.carry_out(server)

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

    def time_out(self, server_id: ServerId) -> None:
        """Have one server's election timer run out now."""
        server = self.servers[server_id]
        server.state.last_contact = self.now - server.state.election_wait
        self._note_deadline(server)

    # -- effects -------------------------------------------------------------------------------------------------------

    def carry_out(self, server: Server) -> None:
        """See to a server's effects: at once; or, with faults, now or in a turn soon."""
        if server.id not in self.down:
            if not self.faults:
                if server.id in self.stalled:
                    server.run()
                sent = server.take_sent() if server.id in self.stalled else server.settle()
                self._look(server, sent)
                self._post(server, sent)
            elif server.id not in self._due["turn"]:
                if self.rng.random() < 0.25:
                    self._soon(server, "turn", 0.004, self._turn)
                else:
                    self._turn(server)
        self._note_deadline(server)

    def _note_deadline(self, server: Server) -> None:
        """When the server must be ticked next; not before its turn, as only that moves its deadlines on."""
        waits = server.id in self.down or server.id in self._due["turn"]
        raft = server.raft
        self._deadlines[server.id] = float("inf") if waits else min(raft.heartbeat_deadline(), raft.election_deadline())

    def _soon(self, server: Server, what: str, mean_s: float, event: Callable[[Server], None]) -> None:
        self._due[what].add(server.id)
        self._for_this_life(server, self.now + self.rng.expovariate(1 / mean_s), event)

    def _for_this_life(self, server: Server, at: float, event: Callable[[Server], None]) -> None:
        life = server.lives

        def if_alive() -> None:
            if server.lives == life and server.id not in self.down:
                event(server)

        self.at(at, if_alive)

    def _turn(self, server: Server) -> None:
        self._due["turn"].discard(server.id)
        server.run()
        sent = server.take_sent()
        self._look(server, sent)
        self._post(server, sent)
        for ready in list(server.writing):
            if ready.number > self._writes_scheduled.get(server.id, 0):
                self._writes_scheduled[server.id] = ready.number
                seconds = self.rng.expovariate(1 / 0.005) if self.rng.random() < 0.995 else self.rng.uniform(1, 3)
                ends = max(self._write_ends.get(server.id, 0.0), self.now) + seconds
                self._write_ends[server.id] = ends
                self._for_this_life(server, ends, self._written)
        if server.chunks and server.id not in self._due["chunk"]:
            self._soon(server, "chunk", 0.005, self._write_chunk)
        if server.can_apply and server.id not in self._due["apply"]:
            self._soon(server, "apply", 0.003, self._apply)
        self._note_deadline(server)

    def _written(self, server: Server) -> None:
        if server.writing:
            server.complete_write()
            self.carry_out(server)

    def _write_chunk(self, server: Server) -> None:
        self._due["chunk"].discard(server.id)
        if server.chunks:
            server.write_chunk()
            self.carry_out(server)

    def _apply(self, server: Server) -> None:
        self._due["apply"].discard(server.id)
        if server.can_apply:
            server.apply_next()
            self.carry_out(server)

    def _look(self, server: Server, sent: list[Outgoing]) -> None:
        """Hold a server to what it owes, what it sent included: that has left it, even if the run ends here."""
        try:
            self._check_reports(server)
            self.watch.look(server, self.now, sent)
        except Broken:
            if self.trail is not None:
                for to, message in sent:
                    self.trail.posted(server.id, to, message, 1)
            raise

    def _check_reports(self, server: Server) -> None:
        """Nobody's disk is said to have lost data, or to be another, unless it has or is."""
        for peer in server.denied:
            sentence = f"server {server.id} says it of server {peer}"
            require(self.servers[peer].is_wiped, "who lost no data is not accused", sentence)
        for peer in server.moved:
            sentence = f"server {server.id} says it of server {peer}"
            require(self.servers[peer].disk_id % 100 > 0, "who has one disk is not accused", sentence)

    def _post(self, server: Server, sent: list[Outgoing]) -> None:
        for to, message in sent:
            self.messages += 1
            if isinstance(message, AppendEntries) and len(message.entries) > 1:
                size = sum(len(entry.data) for entry in message.entries)
                limit = server.config.max_message_bytes
                require(size <= limit, "limits hold", f"a message carries {size} bytes of entries, not {limit}")
            copies, delay = 1, self.delay(server.id, to, message)
            if self.faults:
                copies = self.rng.choices((0, 1, 2), (8, 84, 8))[0]
            if self.trail is not None:
                self.trail.posted(server.id, to, message, copies)
            for _ in range(copies):
                if self.faults:
                    delay = self.rng.expovariate(1 / 0.01)
                    if self.rng.random() < 0.03:
                        delay += self.rng.uniform(0.1, 3)
                self.at(self.now + delay, lambda to=to, message=message: self.deliver(server.id, to, message))  # type: ignore[misc]

    def deliver(self, source: ServerId, to: ServerId, message: RaftMessage) -> None:
        """A message arrives, unless its way is blocked."""
        if to in self.down or (source, to) in self.cut or self.drop(source, to, message):
            if self.trail is not None:
                cause = "dst_down" if to in self.down else "partition" if (source, to) in self.cut else "lost"
                self.trail.lost(source, to, message, cause)
            return
        if to in self.servers:
            self.servers[to].raft.step(message, self.now)
            self.carry_out(self.servers[to])
