"""One step of one server: the production core is put together, given an event, and taken apart again."""

import random
from typing import NamedTuple

import msgspec

from oarlock.explore.bounds import Bounds
from oarlock.explore.disk import EMPTY_SNAPSHOT, Disk, Write, write_of
from oarlock.explore.events import (
    Change,
    Compact,
    Crash,
    Deliver,
    EndWrite,
    Event,
    Fatal,
    Heartbeat,
    LoseMajority,
    News,
    Propose,
    TimeOut,
)
from oarlock.explore.frozen import LATE, Freezer, Frozen, bring_to_rest
from oarlock.explore.identifiers import REPLIES, Frame, frame_of
from oarlock.explore.promises import check_promise
from oarlock.explore.violation import Broken, Require, requirement
from oarlock.raft.config import RaftConfig
from oarlock.raft.messages import InstallSnapshot, RaftMessage, TimeoutNow
from oarlock.raft.raft import Raft
from oarlock.raft.ready import Outgoing, Ready
from oarlock.raft.state import MembershipRefused, NotLeader, Overloaded, Tracer
from oarlock.raft.types import HardState, ServerId, SnapshotMetadata


class ServerState(NamedTuple):
    """A server at rest between two steps."""

    id: ServerId
    core: Frozen
    disk: Disk
    writing: tuple[Write, ...] = ()
    """Under way to the disk, the oldest first."""


class Send(NamedTuple):
    """A message that leaves."""

    to: ServerId
    message: RaftMessage
    held: int
    """How many writes of its sender must end before it does."""


class Outcome(NamedTuple):
    """What one event makes of a server."""

    server: ServerState
    sends: tuple[Send, ...] = ()
    frame: Frame | None = None
    """What the server now compares ids with, as ids were before the event; None if nothing changed."""
    ended_writes: int = 0
    crashed: bool = False
    """Whether messages that waited for the disk are lost."""
    begun_writes: int = 0
    """In each of which the process may die."""


class Stepper:
    """Steps servers of a cluster.

    Args:
        bounds: Whose settings the servers have.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._require = requirement(bounds.ignored)
        self._base = SnapshotMetadata(configuration=bounds.configuration)
        self._freezers = {server_id: Freezer(_config(bounds, server_id)) for server_id in bounds.ids}

    def first(self, server_id: ServerId) -> ServerState:
        """A server that starts for the first time."""
        return self._start(server_id, Disk(HardState(), self._base))

    def thaw(self, server: ServerState, tracer: Tracer | None = None) -> Raft:
        """A server's core."""
        return self._freezers[server.id].thaw(server.core, tracer)

    def step(self, server: ServerState, event: Event | Fatal, tracer: Tracer | None = None) -> Outcome | None:
        """What an event makes of a server; None if it cannot happen to it now.

        Raises:
            Broken: The step breaks a property, or the core raises.
        """
        dies_at = None
        if isinstance(event, Fatal):
            event, dies_at = event
        if isinstance(event, Crash):
            return Outcome(self._start(server.id, server.disk, tracer), (), _NOTHING_AWAITED, crashed=True)
        turn = self.turn(server, self.thaw(server, tracer), dies_at)
        before = frame_of(turn.raft.state)
        try:
            if not turn.take(event):
                return None
        except Died:
            return self._died(turn, tracer)
        except (Broken, NotLeader, Overloaded):
            raise
        except Exception as error:
            raise Broken("no call raises", f"server {server.id}: {type(error).__name__}: {error}") from error
        if dies_at is not None or len(turn.writing) > self._bounds.writes:
            return None
        after = frame_of(turn.raft.state)
        sends = tuple([_normal(send, after) for send in turn.sends])
        bring_to_rest(turn.raft, self._bounds)
        core = self._freezers[server.id].freeze(turn.raft)
        state = ServerState(server.id, core, turn.disk, tuple(turn.writing))
        frame = after if after != before else None
        return Outcome(state, sends, frame, turn.ended_writes, begun_writes=turn.begun_writes)

    def _died(self, turn: "Turn", tracer: Tracer | None) -> Outcome:
        # Ids of the life that ended answer nothing in the next.
        ended = tuple([_normal(send, _NOTHING_AWAITED) for send in turn.sends])
        return Outcome(self._start(turn.server.id, turn.disk, tracer), ended, _NOTHING_AWAITED, crashed=True)

    def begin(
        self, server_id: ServerId, disk: Disk, tracer: Tracer | None = None, rng: random.Random | None = None
    ) -> Raft:
        """A core that begins a life: the state machine is what the newest snapshot holds.

        Raises:
            Broken: No snapshot leads to the log.
        """
        newest = disk.newest_snapshot()
        applied = newest.last_included_index if newest is not None else 0
        is_led_to = newest is not None or not disk.base.last_included_index
        self._require(is_led_to, "no call raises", f"server {server_id} has no snapshot that leads to its log's base")
        raft = self._freezers[server_id].start(disk.hard_state, disk.base, disk.entries, applied, tracer, rng)
        if newest is not None:
            raft.snapshot_taken(newest)
        return raft

    def turn(self, server: ServerState, raft: Raft, dies_at: int | None = None) -> "Turn":
        """What gives a core an event; of `server` only what is beside the core counts."""
        return Turn(self._bounds, server, raft, self._require, dies_at)

    def _start(self, server_id: ServerId, disk: Disk, tracer: Tracer | None = None) -> ServerState:
        raft = self.begin(server_id, disk, tracer)
        turn = self.turn(ServerState(server_id, (), disk), raft)
        turn.run()
        self._require(
            not turn.sends and not turn.writing, "no call raises", f"the start of server {server_id} has effects"
        )
        bring_to_rest(raft, self._bounds)
        return ServerState(server_id, self._freezers[server_id].freeze(raft), disk)


_NOTHING_AWAITED = Frame(None, None, ())


class Died(BaseException):
    """The process of a turn ends here."""


class Turn:
    """One event, with all that follows from it."""

    def __init__(
        self, bounds: Bounds, server: ServerState, raft: Raft, require: Require, dies_at: int | None = None
    ) -> None:
        self.bounds = bounds
        self.server = server
        self.raft = raft
        self.disk = server.disk
        self.writing = list(server.writing)
        self.sends: list[Send] = []
        self.ended_writes = 0
        self._require = require
        self._dies_at = dies_at
        self.begun_writes = 0

    def take(self, event: Event) -> bool:
        """Carry out an event; False if it cannot happen now."""
        raft = self.raft
        state = raft.state
        term = state.current_term
        match event:
            case Deliver(message, late):
                if isinstance(message, TimeoutNow) and not self.bounds.may_campaign(self.server.id, term + 1):
                    return False
                raft.step(message, LATE if late else 0.0)
            case TimeOut():
                if state.leader is not None or not self.bounds.may_campaign(self.server.id, term + 1):
                    return False
                raft.tick(LATE)
            case Heartbeat() if state.leader is not None:
                raft.tick(state.config.heartbeat_interval)
            case News() if state.leader is not None and raft.heartbeat_deadline() <= 0.0:
                raft.tick(0.0)
            case LoseMajority() if state.leader is not None and state.config.check_quorum:
                raft.tick(LATE)
            case Propose(command) if state.leader is not None:
                raft.propose([command])
            case Change(target) if state.leader is not None:
                try:
                    raft.change_membership(target)
                except MembershipRefused:
                    return False
            case Compact() if state.last_applied > state.log.base_index:
                self._take_snapshot()
                raft.compact(state.last_applied)
            case EndWrite() if self.writing:
                self._end_write()
            case _:
                return False
        self.run()
        return True

    def run(self) -> None:
        """Carry out effects, in the order in which the runtime does."""
        while self.raft.has_ready():
            ready = self.raft.ready()
            self._send(ready.messages, 0)
            if ready.must_persist:
                self._write(ready)
            self._send(ready.messages_after_persist, len(self.writing))
            self._apply(ready)
            self._move_snapshots(ready)

    def _write(self, ready: Ready) -> None:
        if self.begun_writes == self._dies_at:
            raise Died
        self.begun_writes += 1
        self.writing.append(write_of(ready))
        if not self.bounds.writes:
            self._end_write()
            self.ended_writes = 0

    def _end_write(self) -> None:
        write = self.writing.pop(0)
        self.disk = self.disk.after(write, self._require)
        self.ended_writes += 1
        self.raft.advance(self.raft.state.disk_writes[0].number)
        if write.restores:
            self.raft.applied(self.raft.state.handed_to_apply)

    def _send(self, outgoing: list[Outgoing], held: int) -> None:
        disk = self.disk
        for write in self.writing[:held] if outgoing else ():
            disk = disk.after(write, self._require)
        for to, message in outgoing:
            check_promise(message, to, disk, self.raft.state, self._require)
            self.sends.append(Send(to, message, held))

    def _apply(self, ready: Ready) -> None:
        state = self.raft.state
        sentence = f"server {self.server.id} learns that of {ready.lost_data} what they acknowledged is gone"
        self._require(not ready.lost_data, "match_index is durable", sentence)
        expected = state.last_applied + 1
        for entry in ready.committed_entries:
            self._require(
                entry.index == expected or self._restores,
                "applied in order, once",
                f"server {self.server.id} is given index {entry.index} to apply, when {expected} was next",
            )
            expected = entry.index + 1
            self._require(
                self.disk.term(entry.index) == entry.term,
                "nothing promised before it is durable",
                f"server {self.server.id} is given index {entry.index} to apply, which its disk has not",
            )
        if not self._restores:
            self.raft.applied(state.handed_to_apply)

    @property
    def _restores(self) -> bool:
        """Whether the state machine waits for a snapshot."""
        return any(write.restores for write in self.writing)

    # -- snapshots -------------------------------------------------------------------------------------------------

    def _move_snapshots(self, ready: Ready) -> None:
        for request in ready.chunk_requests:
            message = InstallSnapshot(
                self.server.id, request.term, request.request_id, request.metadata, request.offset, EMPTY_SNAPSHOT, True
            )
            self.sends.append(Send(request.to, message, 0))
        for chunk in ready.chunks:
            self.disk = self.disk.with_snapshot(chunk.metadata)
            self.raft.snapshot_chunk_written(chunk)
        if ready.snapshot_wanted:
            self._take_snapshot()

    def _take_snapshot(self) -> None:
        metadata = self.raft.metadata_at(self.raft.state.last_applied)
        self.disk = self.disk.with_snapshot(metadata)
        self.raft.snapshot_taken(metadata)


def _normal(send: Send, frame: Frame) -> Send:
    """With the lowest id that compares alike; an answer's is the asker's."""
    message = send.message
    if isinstance(message, REPLIES):
        return send
    request_id = frame.normal(message, send.to)
    return send._replace(message=msgspec.structs.replace(message, request_id=request_id))


def _config(bounds: Bounds, server_id: ServerId) -> RaftConfig:
    return RaftConfig(
        server_id=server_id,
        pre_vote=bounds.pre_vote,
        check_quorum=bounds.check_quorum,
        max_message_bytes=1 if bounds.one_entry_messages else 1 << 20,
    )
