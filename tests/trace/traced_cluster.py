"""The cluster of cores, recorded: what a runtime or a simulator does with recorders, in forty lines."""

from collections.abc import Iterable

from tests.support.raft_cluster import Cluster
from tests.support.raft_server import Server

from oarlock.raft.messages import RaftMessage
from oarlock.raft.ready import Outgoing
from oarlock.raft.types import ServerId
from oarlock.trace.attach import attach
from oarlock.trace.lane import World
from oarlock.trace.payloads import Payloads
from oarlock.trace.recorder import Recorder
from oarlock.trace.schema import VERSION, Event, Header, ServerState, Sink, server_name
from oarlock.trace.stamps import MessageTable

HEADER = Header(v=VERSION, run="test", kind="sim", seed=1, nodes={"n1": "first"})


class TracedCluster(Cluster):
    """Each server with a recorder, all with one sink."""

    def __init__(self, size: int, seed: int = 0, *, sink: Sink | None = None, keyframe_every: int = 1024, **settings):
        super().__init__(size, seed, **settings)
        self.events: list[Event] = []
        self.table = MessageTable()
        self.payloads = Payloads()
        self.keyframe_every = keyframe_every
        self._keep: Sink = sink or self._append
        self.recorders: dict[ServerId, Recorder] = {}
        self.world = World(self._sink, self._clock)
        for server in self.servers.values():
            self._record(server)

    def _sink(self, event: Event) -> bool:
        return self._keep(event)

    def _append(self, event: Event) -> bool:
        self.events.append(event)
        return True

    def _keep_as(self, sink: Sink) -> None:
        """Give events to another sink from here on."""
        self._keep = sink

    def _clock(self) -> float:
        return self.now

    def _record(self, server: Server) -> None:
        recorder = Recorder(
            server.id,
            server.lives,
            self._sink,
            self._clock,
            table=self.table,
            payloads=self.payloads,
            repeat_fields=False,
            keyframe_every=self.keyframe_every,
            predecessor=self.recorders.get(server.id),
        )
        attach(recorder, server.raft)
        self.recorders[server.id] = recorder

    # -- what the network and the disk tell ----------------------------------------------------------------------

    def _post(self, server: Server, sent: list[Outgoing]) -> None:
        for to, message in sent:
            stamp = self.recorders[server.id].sent(to, message)
            before = self._event_number
            super()._post(server, [(to, message)])
            message_id = stamp.message_id(server.id)
            if self._event_number == before:
                self.world.dropped(message_id, "lost", source=server.id, to=to, seen=stamp.lc)
            for _ in range(self._event_number - before - 1):
                self.world.doubled(message_id, source=server.id, to=to, seen=stamp.lc)

    def _deliver(self, source: ServerId, to: ServerId, message: RaftMessage) -> None:
        causes = {"dst_down": to in self.down, "partition": (source, to) in self.cut}
        for cause, holds in causes.items():
            stamp = self.table.find(to, message) if holds else None
            if stamp is not None:
                self.world.dropped(stamp.message_id(source), cause, source=source, to=to, seen=stamp.lc)
                return
        super()._deliver(source, to, message)

    def partition(self, *groups: Iterable[ServerId]) -> None:
        super().partition(*groups)
        self.world.cut(sorted(self.cut))

    def heal(self) -> None:
        super().heal()
        self.world.healed()

    def crash(self, server_id: ServerId) -> None:
        super().crash(server_id)
        self.recorders[server_id].crashed()

    def restart(self, server_id: ServerId) -> None:
        super().restart(server_id)
        self._record(self.servers[server_id])


def real_state(server: Server) -> dict[str, object]:
    """A core's state, read field by field, not by the recorder's own code."""
    state = server.state
    log = state.log
    held: dict[str, object] = {
        "term": state.current_term,
        "vote": None if state.voted_for is None else server_name(state.voted_for),
        "role": state.role.value,
        "leader": None if state.leader_id is None else server_name(state.leader_id),
        "commit": state.commit_index,
        "handed": state.handed_to_apply,
        "applied": state.last_applied,
        "durable": log.durable_index,
        "timer": int((state.last_contact + state.election_wait) * 1e6),
        "base": (log.base.last_included_index, log.base.last_included_term),
        "log": [(entry.index, entry.term) for entry in log.slice(log.base_index + 1, log.last_index)],
        "voters": [server_name(voter) for voter in sorted(state.configuration.voters)],
        "outgoing": [server_name(voter) for voter in sorted(state.configuration.voters_outgoing)],
        "learners": [server_name(learner) for learner in sorted(state.configuration.learners)],
        "votes": {server_name(voter): vote for voter, vote in state.candidate.votes.items()} if state.candidate else {},
    }
    peers = state.leader.peers if state.leader is not None else {}
    held["next"] = {server_name(peer): progress.next_index for peer, progress in peers.items()}
    held["match"] = {server_name(peer): progress.match_index for peer, progress in peers.items()}
    held["mode"] = {server_name(peer): progress.mode.value for peer, progress in peers.items()}
    return held


def shown_state(state: ServerState) -> dict[str, object]:
    """A state from a trace, in the same form."""
    held: dict[str, object] = {
        name: getattr(state, name)
        for name in (
            *("term", "vote", "role", "leader", "commit", "handed", "applied", "durable", "timer", "base", "votes"),
            *("next", "match", "mode"),
        )
    }
    held["log"] = [(index, term) for first, last, term in state.log for index in range(first, last + 1)]
    held["voters"], held["outgoing"] = list(state.conf.voters), list(state.conf.outgoing)
    held["learners"] = list(state.conf.learners)
    return held
