"""The one task that owns the Raft: nobody else touches it (Locking rules 1 to 3).

Everybody hands events in; an event is one synchronous call that never awaits. All that came in since the last turn is
stepped, then the effects are taken once and carried out in the order `Ready` gives: so everything proposed, received
and written in one iteration of the loop travels, and is synced, together.
"""

import asyncio
import logging
from collections.abc import Callable

from oarlock.node.alarm import Kick
from oarlock.node.applier import Applier
from oarlock.node.changes import Changes
from oarlock.node.codec import (
    AmIRemoved,
    BetweenNodes,
    ChangeMembers,
    ChangeMembersReply,
    Forward,
    ForwardOutcome,
    ForwardReply,
    NodeMessage,
    ReachMe,
    Removed,
    UnknownMessage,
    decode,
)
from oarlock.node.errors import NodeError, Overloaded
from oarlock.node.forwarded import ForwardedBatches
from oarlock.node.peers import Peers
from oarlock.node.proposals import Proposals
from oarlock.node.reads import ReadBarriers
from oarlock.node.sender import Sender
from oarlock.node.status import Counters
from oarlock.node.ticker import Ticker
from oarlock.node.wiring import SnapshotEffects
from oarlock.node.writer import Writer
from oarlock.raft.messages import AppendEntriesReply, Message, RaftMessage
from oarlock.raft.progress import Mode
from oarlock.raft.raft import Raft
from oarlock.raft.ready import Ready
from oarlock.raft.state import Overloaded as RaftOverloaded
from oarlock.raft.state import RaftState, Role
from oarlock.raft.types import Index, ServerId, Term
from oarlock.trace.recorder import Recorder

logger = logging.getLogger(__name__)


class Owner:
    """Holds the Raft, takes events, carries out effects."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        raft: Raft,
        kick: Kick,
        proposals: Proposals,
        reads: ReadBarriers,
        changes: Changes,
        counters: Counters,
        trace: Recorder | None = None,
    ) -> None:
        """Take the Raft; what carries out effects is connected before `run`.

        Args:
            loop: The loop.
            raft: From here on only this task's.
            kick: Wakes this task.
            proposals: Where commands come from.
            reads: Where read requests come from.
            changes: Where changes of members come from.
            counters: Running totals.
            trace: This life's recorder, if there is one.
        """
        self._loop = loop
        self._raft = raft
        self._trace = trace
        self._proposals = proposals
        self._reads = reads
        self._changes = changes
        self._counters = counters
        self._kick = kick
        self.wake = kick.set
        """Has the owner take a turn in the loop's next iteration; many calls are one turn."""
        self._messages: list[RaftMessage] = []
        self._forwarded = ForwardedBatches()
        self._is_newer: set[ServerId] = set()
        """Who sent what only a later version knows; as many as the transport lets in."""
        self._calls: list[Callable[[], None]] = []
        self._unreachable: set[ServerId] = set()
        self._persisted = 0
        self._advanced = 0
        self._applied: Index = 0
        self._tick_due = False
        self._leader: tuple[ServerId | None, Term] = (None, raft.state.current_term)
        self.refusal: NodeError | None = None
        """Why nothing is appended while this server leads; set for want of space."""
        self.heartbeats = Ticker(loop, raft.heartbeat_deadline, self.tick)
        self.elections = Ticker(loop, raft.election_deadline, self.tick)

    def connect(
        self, sender: Sender, writer: Writer, applier: Applier, snapshots: SnapshotEffects, peers: Peers
    ) -> None:
        """Set what carries out effects."""
        self._peers = peers
        self._sender = sender
        self._writer = writer
        self._applier = applier
        self._snapshots = snapshots

    # -- events, from any callback on the loop -------------------------------------------------------------------

    def receive(self, source: ServerId, payload: bytes) -> None:
        """A payload arrived.

        Raises:
            BadMessage: It is not a message, or claims another sender: the connection that brought it ends.
        """
        try:
            message = decode(payload, source)
        except UnknownMessage as error:
            if source not in self._is_newer:
                self._is_newer.add(source)
                logger.warning("left unheard, as all such will be: %s", error)
            return
        if self._trace is not None:
            self._note_arrival(self._trace, message, payload)
        if source not in self._peers:
            self._peers.heard_from_stranger(source, self._raft.state)
        if isinstance(message, Message):
            self._messages.append(message)
            if type(message) is not AppendEntriesReply or not self._is_no_news(message):
                self.wake()
        else:
            self._receive_other(message)

    @staticmethod
    def _note_arrival(trace: Recorder, message: NodeMessage, payload: bytes) -> None:
        if isinstance(message, Message):
            trace.opened(message, payload)
        else:
            trace.taken(message, payload)

    def _receive_other(self, message: BetweenNodes) -> None:
        match message:
            case Forward():
                if self._forwarded.add(message, is_member=message.source in self._peers):
                    self.wake()
            case ForwardReply():
                self._proposals.on_forward_reply(message)
            case ChangeMembers():
                self._changes.on_request(message)
                self.wake()
            case ChangeMembersReply():
                self._changes.on_reply(message)
            case Removed():
                self._peers.on_removed(message)
            case ReachMe():
                self._peers.on_reach_me(message, self._raft.state)
            case AmIRemoved():
                pass  # if it is, it was a stranger, and is being told

    def _is_no_news(self, message: AppendEntriesReply) -> bool:
        """Whether a reply makes no difference to what the leader does now: it can wait for the next turn.

        So it is with the reply of the slower followers, once an entry is committed, and with every follower's reply
        to the message that tells of the commit.
        """
        state = self._raft.state
        leader = state.leader
        if leader is None or leader.reads or leader.transfer_to is not None:
            return False
        if not message.success or message.term > state.current_term:
            return False
        progress = leader.peers.get(message.source)
        return (
            progress is not None
            and progress.mode is Mode.REPLICATE
            and message.match_index <= state.commit_index
            and not progress.inflight.is_full
        )

    def unreachable(self, server_id: ServerId) -> None:
        """The link to a peer broke, or dropped a message."""
        self._unreachable.add(server_id)
        self.wake()

    def persisted(self, number: int) -> None:
        """The disk part of every `Ready` up to `number` is durable.

        If there is no entry to be applied now, and none that a leader's own disk completes a quorum for, there is
        nothing to do about it before the next turn.
        """
        self._persisted = number
        state = self._raft.state
        if state.commit_index > state.handed_to_apply or self._may_complete_quorum(state):
            self.wake()

    @staticmethod
    def _may_complete_quorum(state: RaftState) -> bool:
        """Whether what became durable here may commit, or elect: it does neither before another has acknowledged it."""
        if state.leader is None:
            return state.role is not Role.FOLLOWER
        committed = state.commit_index
        acknowledged = any(progress.match_index > committed for progress in state.leader.peers.values())
        return acknowledged or len(state.configuration.all_voters) == 1

    def applied(self, index: Index) -> None:
        """The machine stands at `index`. Only reads and changes of members are in a hurry to know."""
        self._applied = index
        if self._is_index_awaited:
            self.wake()

    def tick(self) -> None:
        """A deadline passed."""
        self._tick_due = True
        self.wake()

    def call(self, event: Callable[[], None]) -> None:
        """Have any other event delivered to the core in the next turn."""
        self._calls.append(event)
        self.wake()

    # -- what others may know, between two turns (pitfall K2) -------------------------------------------------------

    @property
    def raft(self) -> Raft:
        """For reading only."""
        return self._raft

    @property
    def _is_index_awaited(self) -> bool:
        """Whether something here waits for the machine to stand at some index."""
        return len(self._reads) > 0 or self._changes.has_work or self._peers.is_leaving

    @property
    def _is_awaited(self) -> bool:
        """Whether somebody here waits for what is applied."""
        return len(self._proposals) > 0 or self._is_index_awaited

    # -- the task ------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Take turns until cancelled."""
        while True:
            self._turn()
            await self._kick.wait()

    def _turn(self) -> None:
        raft = self._raft
        now = self._loop.time()
        self._step_all(now)
        if self._changes.has_work:
            self._changes.turn(raft, self._sender.send)
        self._propose_all(now)
        attempt = self._reads.take(now)
        if attempt is not None:
            raft.read_index(attempt[0], now, may_use_lease=attempt[1])
        if self._applier.has_work and self._is_awaited:
            self._applier.go_on()
        self._peers.follow(raft.state)  # before anything is sent to whom it adds
        if raft.has_ready():
            self._carry_out(raft.ready())
            # Where there was nothing to write, the next effects may be there already.
            while self._advance():
                self._carry_out(raft.ready())
        self._note_leader()
        self.heartbeats.look_again()
        self.elections.look_again()

    def _step_all(self, now: float) -> None:
        """Every event since the last turn: disk and machine first, time last, as messages may have moved deadlines."""
        raft = self._raft
        self._advance()
        if self._applied > raft.state.last_applied:
            raft.applied(self._applied)
        if self._calls:
            calls, self._calls = self._calls, []
            for call in calls:
                call()
        if self._messages:
            messages, self._messages = self._messages, []
            for message in messages:
                raft.step(message, now)
        if self._unreachable:
            for server_id in sorted(self._unreachable):
                raft.peer_unreachable(server_id)
            self._unreachable.clear()
        if self._tick_due:
            self._tick_due = False
            raft.tick(now)

    def _advance(self) -> bool:
        """Tell the core how far the disk has come; whether that was news."""
        if self._persisted <= self._advanced:
            return False
        self._advanced = self._persisted
        self._raft.advance(self._advanced)
        return True

    # -- proposals -----------------------------------------------------------------------------------------------

    def _propose_all(self, now: float) -> None:
        """Hand all waiting commands, forwarded ones among them, to the core at once, or to the leader."""
        forwards = self._forwarded.take()
        if not (self._proposals.has_unsent or forwards):
            return
        state = self._raft.state
        leader_id, term = state.leader_id, state.current_term
        if state.leader is None or state.leader.transfer_to is not None:
            for forward in forwards:
                self._answer(forward, ForwardOutcome.NOT_LEADER)
            if leader_id is not None and state.leader is None:
                for message in self._proposals.forward(self._proposals.take_unsent(), leader_id, term):
                    self._sender.send(leader_id, message)
            return
        batch = self._proposals.take_unsent()
        if batch and self.refusal is not None:
            self._proposals.refused_here(batch, self.refusal)
        elif batch:
            try:
                self._raft.propose([proposal.envelope for proposal in batch])
            except RaftOverloaded as error:
                self._proposals.refused_here(batch, Overloaded(str(error)))
            else:
                self._proposals.proposed_here(batch, term, now)
        for forward in forwards:
            self._answer(forward, self._append_forwarded(forward))

    def _append_forwarded(self, forward: Forward) -> ForwardOutcome:
        if self.refusal is not None:
            return ForwardOutcome.DISK_FULL
        try:
            self._raft.propose(forward.commands, awaited_by=forward.source)
        except RaftOverloaded:
            return ForwardOutcome.OVERLOADED
        return ForwardOutcome.ACCEPTED

    def _answer(self, forward: Forward, outcome: ForwardOutcome) -> None:
        state = self._raft.state
        reply = ForwardReply(state.server_id, forward.request_id, outcome, state.current_term)
        self._sender.send(forward.source, reply)

    # -- effects -------------------------------------------------------------------------------------------------

    def _carry_out(self, ready: Ready) -> None:
        """In the order in which `Ready` lists them."""
        if ready.messages:
            self._sender.send_all(ready.messages)
        if ready.snapshot is not None:
            self._snapshots.install(ready.snapshot, ready.number)
        if ready.must_persist or self._writer.is_busy:
            self._writer.submit(ready)
        else:
            self._sender.send_all(ready.messages_after_persist)
            self._advanced = self._persisted = ready.number
        if ready.committed_entries:
            # First the disk, for which the leader waits: the machine competes with its thread for the interpreter.
            self._applier.commit(ready.committed_entries, may_wait=self._writer.is_writing and not self._is_awaited)
        if ready.reads:
            self._reads.answered(ready.reads)
        for request in ready.chunk_requests:
            self._snapshots.send_chunk(request)
        for chunk in ready.chunks:
            self._snapshots.write_chunk(chunk)
        if ready.snapshot_wanted:
            self._snapshots.take()
        for server_id in ready.lost_data:
            logger.error(
                "server %x denies entries that it had acknowledged: its disk lost data, or an old copy was restored; "
                "it is sent them anew",
                server_id,
            )
        for server_id in ready.other_disks:
            logger.error(
                "server %x is on another data directory than the one that counts: its disk was replaced, or two "
                "servers run under its name; its word counts for nothing until it has caught up and is admitted anew",
                server_id,
            )

    def _note_leader(self) -> None:
        state = self._raft.state
        leader = (state.leader_id, state.current_term)
        if leader == self._leader:
            return
        before, self._leader = self._leader, leader
        leader_id, term = leader
        self._proposals.leader_is(leader_id, term)
        fields = {"server_id": state.server_id, "term": term, "role": state.role.value, "leader_id": leader_id}
        if leader_id is None:
            if before[0] is not None:
                logger.info("lost leader %x in term %d; now %s", before[0], term, state.role.value, extra=fields)
            return
        if leader_id != before[0] or term != before[1]:
            self._counters.leader_changes += 1
            if leader_id == state.server_id:
                logger.info("became leader in term %d", term, extra=fields)
            else:
                logger.info("following leader %x in term %d", leader_id, term, extra=fields)
        self._reads.leader_changed()
        if self._proposals.has_unsent:
            self.wake()
