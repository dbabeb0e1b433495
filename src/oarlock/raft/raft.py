"""One server's Raft: a facade that looks terms over once for all messages (ALL-2), and a dispatch table.

Sans-I/O: events go in by `step`, `tick` and the calls below, effects come out of `ready`. No call waits, and between
two calls nothing changes: the guide's "no concurrency inside a Raft at all".
"""

import math
import random
from collections.abc import Callable
from typing import Any

from oarlock.raft import invariants
from oarlock.raft.append_entries import on_append_entries
from oarlock.raft.config import RaftConfig
from oarlock.raft.install_snapshot import (
    compact,
    on_chunk_written,
    on_install_snapshot,
    on_install_snapshot_reply,
    on_more_wanted,
)
from oarlock.raft.log import Log
from oarlock.raft.membership import change_membership
from oarlock.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    InstallSnapshot,
    InstallSnapshotReply,
    Message,
    PreVote,
    PreVoteReply,
    RaftMessage,
    ReadIndex,
    ReadIndexReply,
    RequestVote,
    RequestVoteReply,
    TimeoutNow,
)
from oarlock.raft.progress import Mode
from oarlock.raft.reads import on_read_index, on_read_index_reply, read_index, release_reads
from oarlock.raft.ready import Ready, SnapshotChunk
from oarlock.raft.replication import (
    advance_commit_index,
    on_append_entries_reply,
    on_disk_stall,
    on_leader_tick,
    propose,
    replicate,
)
from oarlock.raft.request_vote import on_election_timeout, on_pre_vote, on_request_vote, on_vote_reply
from oarlock.raft.roles import become_follower, forget_leader
from oarlock.raft.state import DiskWrite, RaftState, Tracer
from oarlock.raft.transfer import on_timeout_now, transfer_leadership
from oarlock.raft.types import Configuration, DiskId, Entry, HardState, Index, ServerId, SnapshotMetadata, Term

_HANDLERS: dict[type[Message], Callable[[RaftState, Any], None]] = {
    AppendEntries: on_append_entries,
    RequestVote: on_request_vote,
    PreVote: on_pre_vote,
    RequestVoteReply: on_vote_reply,
    PreVoteReply: on_vote_reply,
    InstallSnapshot: on_install_snapshot,
    ReadIndex: on_read_index,
    ReadIndexReply: on_read_index_reply,
    TimeoutNow: on_timeout_now,
}
"""What every server does with a message; each handler takes just its own kind."""

_REPLIES = (AppendEntriesReply, InstallSnapshotReply, RequestVoteReply, PreVoteReply, ReadIndexReply)


class Raft:
    """The algorithm of one server.

    Args:
        config: Limits and timeouts.
        rng: The only source of randomness.
        now: The clock's present, in seconds; every later `now` comes from the same monotonic clock.
        hard_state: Term and vote as the disk had them.
        log: The log as the disk had it.
        applied_index: How far the state machine's own durable state had come.
        disk_id: Of the disk that all this was read from; every disk that the server ever has needs its own (NS-1).
            0 if disks are not told apart.
        tracer: Called for every rule that acts; None costs next to nothing.
        check_invariants: Check every state and step; for tests and simulation.

    Raises:
        ValueError: The state machine is ahead of the log, or behind its base: one of them is not this server's.
    """

    def __init__(
        self,
        config: RaftConfig,
        *,
        rng: random.Random,
        now: float,
        hard_state: HardState,
        log: Log,
        applied_index: Index,
        disk_id: DiskId = 0,
        tracer: Tracer | None = None,
        check_invariants: bool = False,
    ) -> None:
        if not log.base_index <= applied_index <= log.last_index:
            raise ValueError(
                f"the state machine stands at index {applied_index}, but the log holds {log.base_index} to "
                f"{log.last_index}"
            )
        self.state = state = RaftState(config, rng, now, hard_state, log, applied_index, tracer, disk_id)
        self._ready_number = 0
        self._has_news = False
        self._check_invariants = check_invariants
        self._before = invariants.moment(state) if check_invariants else None
        is_settled = state.configuration_index <= state.commit_index
        if state.configuration.members == {config.server_id} and (is_settled or not state.has_live_leader):
            # Alone there is no one to wait for, unless one whose removal may not be committed reads by a lease (LS-1).
            state.election_wait = 0.0

    # -- events --------------------------------------------------------------------------------------------------

    def step(self, message: RaftMessage, now: float) -> None:
        """Take a message from another server."""
        state = self.state
        state.now = now
        kind = type(message)
        if isinstance(message, RequestVote) and self._must_ignore(message):
            state.fire("CQ-2", message.source, message.term)
        elif message.source == state.server_id:
            state.fire("RS-1", kind.__name__, message.request_id)
        else:
            self._look_over_term(message)
            if message.term < state.current_term and isinstance(message, _REPLIES):
                state.fire("RS-1", kind.__name__, message.term)
            elif (handler := _HANDLERS.get(kind)) is not None:
                handler(state, message)
            elif state.leader is None or message.source not in state.leader.peers:
                state.fire("RS-1", kind.__name__, message.request_id)
            elif isinstance(message, AppendEntriesReply):
                self._conclude(is_news=on_append_entries_reply(state, state.leader, message))
                return
            elif isinstance(message, InstallSnapshotReply):
                on_install_snapshot_reply(state, state.leader, message)
        self._conclude()

    def _must_ignore(self, message: RequestVote) -> bool:
        """Whether a live leader makes this campaign a disturbance, its term included (CQ-2).

        The leader that was promised a lease may be of an earlier term than this one (LS-1).
        """
        state = self.state
        is_promised = message.term == state.current_term and state.now < state.promised_until
        return (
            state.config.check_quorum
            and not message.disrupt_leader
            and (message.term > state.current_term or is_promised)
            and state.has_live_leader
            and message.source != state.leader_id
        )

    def _look_over_term(self, message: RaftMessage) -> None:
        """ALL-2, before anything else (G4). A pre-vote's term is only a question, and so is its grant's."""
        state = self.state
        if message.term <= state.current_term:
            return
        if isinstance(message, PreVote) or (isinstance(message, PreVoteReply) and message.vote_granted):
            return
        state.fire("ALL-2", message.term, state.current_term)
        become_follower(state, message.term, None)

    def tick(self, now: float) -> None:
        """Do what has become due."""
        state = self.state
        state.now = now
        if state.leader is not None:
            if state.disk_is_stalled:
                on_disk_stall(state)
            else:
                on_leader_tick(state, state.leader)
        elif now >= state.last_contact + state.election_wait:
            on_election_timeout(state)
        self._conclude()

    def heartbeat_deadline(self) -> float:
        """When `tick` has a heartbeat, or news of commitment, to send; infinity unless leader."""
        leader = self.state.leader
        if leader is None:
            return math.inf
        return min(leader.last_heartbeat + self.state.config.heartbeat_interval, leader.news_deadline)

    def election_deadline(self) -> float:
        """When `tick` has an election to start or, on a leader, its majority and its disk to look after."""
        state = self.state
        if state.leader is None:
            return state.last_contact + state.election_wait
        if not state.config.check_quorum:
            return state.disk_stall_deadline
        return min(state.disk_stall_deadline, state.leader.last_quorum_check + state.config.election_timeout)

    def propose(self, commands: list[bytes], awaited_by: ServerId | None = None) -> list[tuple[Index, Term]]:
        """Append commands to the log; index and term identify each. Committing them is not promised.

        Args:
            commands: For the state machine.
            awaited_by: The follower that forwarded them, and is to learn of their commitment at once.

        Raises:
            NotLeader: With a hint where the leader is.
            Overloaded: Too much awaits commitment; nothing was taken.
        """
        placed = propose(self.state, commands, awaited_by)
        self._conclude()
        return placed

    def change_membership(self, target: Configuration) -> tuple[Index, Term]:
        """Begin a change to `target`'s voters and learners, done when a configuration that is not joint commits.

        Raises:
            NotLeader: With a hint where the leader is.
            MembershipRefused: Not now, or not in this way; the message says why.
        """
        placed = change_membership(self.state, target)
        self._conclude()
        return placed

    def transfer_leadership(self, to: ServerId, now: float) -> None:
        """Hand over to another voter. No commands are taken until it leads, or an election timeout has passed.

        Raises:
            NotLeader: With a hint where the leader is.
            ValueError: `to` is not another voter.
        """
        self.state.now = now
        transfer_leadership(self.state, to)
        self._conclude()

    def forget_leader(self) -> None:
        """Have a follower forget its leader until it is heard again: it may vote for another at once.

        Under leases it keeps its promise to vote for nobody. On others nothing happens.
        """
        forget_leader(self.state)
        self._conclude()

    def read_index(self, context: int, now: float, *, may_use_lease: bool = True) -> None:
        """Ask for an index at which a read is linearizable; a `ReadState` with `context` answers.

        Every attempt must bring a context of its own. Where leaders have leases, one will do only with `may_use_lease`.
        """
        self.state.now = now
        read_index(self.state, context, may_use_lease=may_use_lease)
        self._conclude()

    def is_confirmed(self, context: int) -> bool:
        """Whether the index of a read is known already, and only the state machine has to come that far (CL-Q5)."""
        return any(read.context == context for read in self.state.reads_before_apply)

    def applied(self, index: Index) -> None:
        """The state machine has applied everything up to `index`, or was restored to it."""
        self.state.last_applied = max(self.state.last_applied, index)
        release_reads(self.state)
        self._conclude(is_news=False)

    def peer_unreachable(self, server_id: ServerId) -> None:
        """The link to a server broke: what was in flight is not counted on."""
        leader = self.state.leader
        if leader is not None and server_id in leader.peers:
            progress = leader.peers[server_id]
            if progress.mode is Mode.REPLICATE:
                progress.become_probe()
            progress.probe_outstanding = False
            # A chunk may be lost with the link: ask for it again soon, but not at every message that is dropped.
            config = self.state.config
            soon = self.state.now + config.election_timeout - config.snapshot_retry_ms / 1000
            progress.chunk_sent_at = min(progress.chunk_sent_at, soon)
            self._conclude()

    # -- snapshots -----------------------------------------------------------------------------------------------

    def snapshot_taken(self, metadata: SnapshotMetadata) -> None:
        """A snapshot is at hand, as a file, for followers that need one."""
        self.state.snapshot = metadata
        self._conclude()

    def snapshot_unavailable(self, to: ServerId) -> None:
        """The snapshot being sent to a server cannot be read: begin again, with a new one if it is the newest."""
        leader = self.state.leader
        if leader is not None and to in leader.peers and leader.peers[to].mode is Mode.SNAPSHOT:
            progress = leader.peers[to]
            if progress.snapshot == self.state.snapshot:
                self.state.snapshot = None
            progress.become_probe()
            self._conclude()

    def snapshot_chunk_written(self, chunk: SnapshotChunk) -> None:
        """A received chunk is on disk; after the last, the whole file is verified, synced and in place."""
        on_chunk_written(self.state, chunk)
        self._conclude()

    def snapshot_chunk_failed(self, chunk: SnapshotChunk, next_offset: int = 0) -> None:
        """A chunk did not fit what is there, or the whole did not verify: continue at `next_offset`."""
        on_more_wanted(self.state, chunk, next_offset)
        self._conclude()

    def metadata_at(self, index: Index) -> SnapshotMetadata:
        """The metadata of a snapshot of the state machine at `index`, which the log must still know.

        Raises:
            ValueError: The log does not reach there.
        """
        term = self.state.log.term(index)
        if term is None:
            raise ValueError(f"the log knows no entry {index}")
        return SnapshotMetadata(index, term, self.state.configuration_at(index))

    def compact(self, index: Index) -> None:
        """Drop the log up to `index`, whose effects must be durable outside it.

        Raises:
            ValueError: Not all of that has been applied.
        """
        compact(self.state, index)
        self._conclude()

    # -- effects -------------------------------------------------------------------------------------------------

    def has_ready(self) -> bool:
        """Whether anything happened since the last `ready`."""
        return self._has_news

    def ready(self) -> Ready:
        """Take all pending effects, in the order in which they must be carried out."""
        state = self.state
        if state.leader is not None:
            replicate(state, state.leader)
        self._has_news = False
        self._ready_number += 1
        ready = Ready(
            number=self._ready_number,
            messages=state.messages,
            snapshot=state.snapshot_to_install,
            discard_log=state.discard_log,
            hard_state=self._take_hard_state(),
            entries=state.log.slice(state.first_unsaved, state.log.last_index),
            messages_after_persist=state.messages_after_persist,
            committed_entries=self._take_committed(),
            reads=state.reads,
            chunk_requests=state.chunk_requests,
            chunks=state.chunks,
            snapshot_wanted=state.snapshot_wanted,
            compact_to=state.compact_to,
            lost_data=state.lost_data,
            other_disks=state.other_disks,
            lost_leadership=state.lost_leadership,
        )
        state.messages, state.messages_after_persist = [], []
        state.reads, state.chunk_requests, state.chunks = [], [], []
        state.lost_data, state.other_disks = [], []
        state.snapshot_to_install, state.compact_to = None, None
        state.discard_log = state.snapshot_wanted = state.lost_leadership = False
        state.first_unsaved = state.log.last_index + 1
        if ready.must_persist:
            has_hard_state = ready.hard_state is not None
            state.hard_state_writes += has_hard_state
            state.disk_writes.append(DiskWrite(ready.number, state.log.last_index, has_hard_state, state.now))
        return ready

    def _take_hard_state(self) -> HardState | None:
        state = self.state
        hard_state = HardState(state.current_term, state.voted_for)
        if hard_state == state.saved_hard_state:
            return None
        state.saved_hard_state = hard_state
        return hard_state

    def _applicable_index(self) -> Index:
        """Committed, and on this disk: else a crash could leave the state machine ahead of the log."""
        return min(self.state.commit_index, self.state.log.durable_index)

    def _take_committed(self) -> list[Entry]:
        state = self.state
        first, last = state.handed_to_apply + 1, self._applicable_index()
        if last < first:
            return []
        state.fire("ALL-1", first, last)
        state.handed_to_apply = last
        return state.log.slice(first, last)

    def advance(self, number: int) -> None:
        """The disk part of every `Ready` up to `number` is durable."""
        state = self.state
        while state.disk_writes and state.disk_writes[0].number <= number:
            write = state.disk_writes.popleft()
            state.hard_state_writes -= write.has_hard_state
            state.log.durable_index = max(state.log.durable_index, write.last_index)
            state.last_persisted = state.now
        if state.leader is not None and state.log.durable_index > state.commit_index:
            advance_commit_index(state, state.leader)
        self._conclude(is_news=self._applicable_index() > state.handed_to_apply)

    def _conclude(self, *, is_news: bool = True) -> None:
        """End an event: there may be effects, in any case if messages or reads wait, and the state must make sense."""
        if is_news or self.state.messages or self.state.messages_after_persist or self.state.reads:
            self._has_news = True
        if self._check_invariants:
            invariants.check(self.state, self._before)
            self._before = invariants.moment(self.state)
