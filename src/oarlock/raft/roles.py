"""Who may become what: the table of legal role changes, and the one function for each role taken.

The documentation's state diagram is drawn from `TRANSITIONS`.
"""

from oarlock.raft.disks import admit
from oarlock.raft.messages import ReadIndexReply
from oarlock.raft.progress import Inflight, Progress
from oarlock.raft.ready import ReadState
from oarlock.raft.state import CandidateState, InvariantViolation, LeaderState, RaftState, Role
from oarlock.raft.types import NO_DISK, DiskId, Entry, EntryKind, ServerId, Term

TRANSITIONS: dict[tuple[Role, Role], str] = {
    (Role.FOLLOWER, Role.FOLLOWER): "learns of a newer term",
    (Role.FOLLOWER, Role.PRE_CANDIDATE): "times out, and asks first",
    (Role.FOLLOWER, Role.CANDIDATE): "times out, without pre-vote",
    (Role.PRE_CANDIDATE, Role.PRE_CANDIDATE): "times out, and asks again",
    (Role.PRE_CANDIDATE, Role.CANDIDATE): "a majority would vote for it",
    (Role.PRE_CANDIDATE, Role.FOLLOWER): "is refused, hears a leader, or learns of a newer term",
    (Role.CANDIDATE, Role.PRE_CANDIDATE): "times out, and asks first",
    (Role.CANDIDATE, Role.CANDIDATE): "times out, without pre-vote",
    (Role.CANDIDATE, Role.LEADER): "receives votes from a majority",
    (Role.CANDIDATE, Role.FOLLOWER): "is refused, hears a leader, or learns of a newer term",
    (Role.LEADER, Role.FOLLOWER): "learns of a newer term, or loses its majority or its disk",
}


def _become(state: RaftState, role: Role) -> None:
    if (state.role, role) not in TRANSITIONS:
        raise InvariantViolation(f"server {state.server_id} cannot turn from {state.role.value} to {role.value}")
    state.role = role
    state.candidate = None
    state.leader = None


def become_follower(state: RaftState, term: Term, leader_id: ServerId | None) -> None:
    """Follow in `term`. A newer term clears the vote; the same term never does (B1).

    The election timer goes on, so that candidates with stale logs cannot keep others from campaigning (G1); only a
    deposed leader, which had none running, starts one.
    """
    if term < state.current_term:
        raise InvariantViolation(f"server {state.server_id}: term would fall from {state.current_term} to {term}")
    deposed = state.leader
    _become(state, Role.FOLLOWER)
    forget_forwarded_reads(state)
    if term > state.current_term:
        _keep_promise(state)
        state.current_term = term
        state.voted_for = None
    state.leader_id = leader_id
    if deposed is not None:
        state.reset_election_timer()
        state.lost_leadership = True
        for read in [*deposed.reads, *deposed.reads_before_commit]:
            if read.source is None:
                state.reads.append(ReadState(read.context, None))
            else:
                refusal = ReadIndexReply(state.server_id, state.current_term, read.request_id, read.context, 0)
                state.send_when_true(read.source, refusal)


def forget_forwarded_reads(state: RaftState) -> None:
    """The leader asked leads no more, or in a newer term: its answers count for nothing, the reads are refused."""
    for context in state.forwarded_reads:
        state.reads.append(ReadState(context, None))
    state.forwarded_reads.clear()


def forget_leader(state: RaftState) -> None:
    """Have a follower vote, and be a candidate, as if it had never heard its leader (FL-1); else do nothing.

    Term and election timer stay: if the leader is there, its next heartbeat makes it known again. Under leases the
    promise that the leader reads by is kept; etcd forgets nothing then.
    """
    if state.role is not Role.FOLLOWER or state.leader_id is None:
        return
    state.fire("FL-1", state.leader_id)
    _keep_promise(state)
    state.leader_id = None


def _keep_promise(state: RaftState) -> None:
    """The leader heard last may read under a lease that this server confirmed: that outlives its being the leader."""
    if state.config.lease_reads:
        promised_until = state.last_leader_contact + state.config.election_timeout
        state.promised_until = max(state.promised_until, promised_until)


def become_pre_candidate(state: RaftState) -> CandidateState:
    """Ask whether an election could be won; term and vote stay (PV-1)."""
    _become(state, Role.PRE_CANDIDATE)
    forget_forwarded_reads(state)
    state.leader_id = None
    state.candidate = candidate = CandidateState(state.next_request_id())
    state.reset_election_timer()
    return candidate


def become_candidate(state: RaftState) -> CandidateState:
    """Begin an election: C-1a, C-1b and C-1c in one step, which no one can see half done (Locking rule 2)."""
    _become(state, Role.CANDIDATE)
    forget_forwarded_reads(state)
    state.leader_id = None
    state.current_term += 1
    state.fire("C-1a", state.current_term)
    state.voted_for = state.server_id
    state.fire("C-1b", state.server_id)
    state.candidate = candidate = CandidateState(state.next_request_id())
    state.reset_election_timer()
    state.fire("C-1c", state.last_contact)
    return candidate


def become_leader(state: RaftState) -> None:
    """Take the lead: fresh next_index and match_index (VL-1), and a no-op to open the term (NO-1)."""
    disks = state.candidate.disks if state.candidate is not None else {}
    _become(state, Role.LEADER)
    state.leader_id = state.server_id
    leader = LeaderState(state.next_request_id(), state.now)
    state.leader = leader
    state.fire("VL-1", state.log.last_index + 1)
    for peer in state.others:
        leader.peers[peer] = new_progress(state, peer, disks.get(peer, 0))
    leader.uncommitted_bytes = sum(
        len(entry.data) for entry in state.log.slice(state.commit_index + 1, state.log.last_index)
    )
    state.fire("NO-1", state.log.last_index + 1)
    state.append_to_log([Entry(state.log.last_index + 1, state.current_term, EntryKind.NOOP, b"")])
    admit(state, disks)


def new_progress(state: RaftState, peer: ServerId, disk_id: DiskId = 0) -> Progress:
    """A follower of which nothing is known yet, but perhaps the disk that it voted from."""
    inflight = Inflight(state.config.max_inflight_messages, state.config.max_inflight_bytes)
    progress = Progress(state.log.last_index + 1, inflight, state.now)
    progress.disk_id = state.configuration.disk_of(peer) or disk_id
    progress.counts = progress.disk_id != NO_DISK
    return progress
