"""Linearizable reads without a log write: the read index (dissertation 6.4; CL-Q).

Confirmation needs no context in the heartbeats: request ids rise, so an answer to any request sent after the read
arrived shows that the follower still followed then. A retried read is a new one, and old answers cannot confirm it.
"""

from oarlock.raft.messages import ReadIndex, ReadIndexReply
from oarlock.raft.quorum import agreed_value
from oarlock.raft.ready import ReadState
from oarlock.raft.state import LeaderState, PendingRead, RaftState
from oarlock.raft.types import ServerId


def read_index(state: RaftState, context: int, *, may_use_lease: bool) -> None:
    """A client of this server wants to read; the answer comes as a `ReadState`."""
    if state.leader is not None:
        _begin(state, state.leader, PendingRead(context, None, 0, may_use_lease))
        return
    state.fire("CL-Q1", state.leader_id)
    if state.leader_id is None:
        state.reads.append(ReadState(context, None))
        return
    if len(state.forwarded_reads) >= state.config.max_pending_reads:
        # The oldest goes, not this one: its request or answer may have been lost, and would hold its place for ever.
        state.fire("FC-4", len(state.forwarded_reads))
        oldest = next(iter(state.forwarded_reads))
        del state.forwarded_reads[oldest]
        state.reads.append(ReadState(oldest, None))
    state.fire("RI-1", state.leader_id, context)
    request_id = state.next_request_id()
    state.forwarded_reads[context] = request_id
    message = ReadIndex(state.server_id, state.current_term, request_id, context, may_use_lease)
    state.send_when_true(state.leader_id, message)


def on_read_index(state: RaftState, message: ReadIndex) -> None:
    """A follower forwards a read."""
    if state.leader is None or message.term < state.current_term:
        state.fire("CL-Q1", state.leader_id)
        refusal = ReadIndexReply(state.server_id, state.current_term, message.request_id, message.context, 0)
        state.send_when_true(message.source, refusal)
        return
    read = PendingRead(message.context, message.source, message.request_id, message.may_use_lease)
    _begin(state, state.leader, read)


def on_read_index_reply(state: RaftState, message: ReadIndexReply) -> None:
    """The leader's answer; only to the very request that asked."""
    if state.forwarded_reads.get(message.context) != message.request_id:
        state.fire("RS-1", "ReadIndexReply", message.request_id)
        return
    del state.forwarded_reads[message.context]
    if message.read_index:
        _release_when_applied(state, ReadState(message.context, message.read_index))
    else:
        state.reads.append(ReadState(message.context, None))


def _begin(state: RaftState, leader: LeaderState, read: PendingRead) -> None:
    if len(leader.reads) + len(leader.reads_before_commit) >= state.config.max_pending_reads:
        state.fire("FC-4", len(leader.reads))
        _answer(state, read, confirmed=False)
    elif state.log.term(state.commit_index) != state.current_term:
        # Its commit_index may lag behind what an earlier leader acknowledged (etcd issue 7331).
        state.fire("CL-Q2", state.commit_index, state.current_term)
        leader.reads_before_commit.append(read)
    elif read.may_use_lease and state.config.lease_reads and state.now < leader.lease_until:
        state.fire("LS-1", state.now, leader.lease_until)
        read.read_index = state.commit_index
        _answer(state, read, confirmed=True)
    else:
        _await_confirmation(state, leader, read)


def _await_confirmation(state: RaftState, leader: LeaderState, read: PendingRead) -> None:
    state.fire("CL-Q3", state.commit_index)
    read.read_index = state.commit_index
    read.confirmed_by = state.next_request_id()
    state.fire("RI-2", read.confirmed_by)
    leader.reads.append(read)
    leader.heartbeat_due = True
    confirm_reads(state, leader)


def begin_waiting_reads(state: RaftState, leader: LeaderState) -> None:
    """The leader has committed in its own term: reads that waited for it begin (CL-Q2)."""
    waiting, leader.reads_before_commit = leader.reads_before_commit, []
    for read in waiting:
        _await_confirmation(state, leader, read)


def _confirmed_request_id(state: RaftState, leader: LeaderState) -> int:
    """The newest request id such that a quorum followed this leader when it was sent."""
    acknowledged: dict[ServerId, int] = {
        peer: progress.acknowledged_request_id for peer, progress in leader.peers.items() if progress.counts
    }
    acknowledged[state.server_id] = state.request_counter
    return agreed_value(state.configuration, acknowledged)


def confirm_reads(state: RaftState, leader: LeaderState) -> None:
    """Answer the reads that a quorum's replies confirm (CL-Q4), by the function that also commits entries."""
    if not leader.reads:
        return
    confirmed = _confirmed_request_id(state, leader)
    while leader.reads and leader.reads[0].confirmed_by <= confirmed:
        state.fire("CL-Q4", leader.reads[0].confirmed_by, confirmed)
        _answer(state, leader.reads.popleft(), confirmed=True)


def note_lease_round(state: RaftState, leader: LeaderState) -> None:
    """A round of heartbeats leaves: answered by a quorum, it renews the lease from now on."""
    if state.config.lease_reads:
        leader.lease_rounds.append((state.request_counter, state.now))


def renew_lease(state: RaftState, leader: LeaderState) -> None:
    """A quorum that answered refuses votes for an election timeout after it heard: later than the round left (LS-1).

    A leader that handed over, or tried to, has told a voter to break that promise: no lease again in this term (LS-2).
    """
    if not leader.lease_rounds:
        return
    confirmed = _confirmed_request_id(state, leader)
    while leader.lease_rounds and leader.lease_rounds[0][0] < confirmed:
        left_at = leader.lease_rounds.popleft()[1]
        if leader.transfer_deadline:
            state.fire("LS-2", leader.transfer_to)
        else:
            leader.lease_until = left_at + state.config.election_timeout * (1 - state.config.max_clock_drift)


def _answer(state: RaftState, read: PendingRead, *, confirmed: bool) -> None:
    if read.source is None and confirmed:
        _release_when_applied(state, ReadState(read.context, read.read_index))
    elif read.source is None:
        state.reads.append(ReadState(read.context, None))
    else:
        index = read.read_index if confirmed else 0
        if state.leader is not None and read.source in state.leader.peers:
            state.leader.peers[read.source].awaited_index = max(state.leader.peers[read.source].awaited_index, index)
        reply = ReadIndexReply(state.server_id, state.current_term, read.request_id, read.context, index)
        state.send_when_true(read.source, reply)


def _release_when_applied(state: RaftState, read: ReadState) -> None:
    state.reads_before_apply.append(read)
    release_reads(state)


def release_reads(state: RaftState) -> None:
    """The reads whose index is applied may run now (CL-Q5)."""
    waiting = []
    for read in state.reads_before_apply:
        if read.read_index is not None and read.read_index <= state.last_applied:
            state.fire("CL-Q5", read.read_index, state.last_applied)
            state.reads.append(read)
        else:
            waiting.append(read)
    state.reads_before_apply = waiting
