"""Elections: the campaign (C), the voter (RV), and both once more for the pre-vote (PV)."""

from oarlock.raft.messages import PreVote, PreVoteReply, RequestVote, RequestVoteReply
from oarlock.raft.quorum import VoteResult, vote_result
from oarlock.raft.roles import become_candidate, become_follower, become_leader, become_pre_candidate
from oarlock.raft.state import CandidateState, RaftState, Role
from oarlock.raft.types import DiskId, ServerId


def on_election_timeout(state: RaftState) -> None:
    """No leader for too long (F-2), or an election without result (C-4)."""
    if not state.is_voter and state.configuration_index <= state.commit_index:
        # Until its removal is committed it may be the only one whose log lets it win (dissertation 4.2.2).
        state.fire("MC-8", state.configuration_index)
        state.reset_election_timer()
        return
    if not state.has_word:
        # Not even its own vote would count; all whose words do can elect one of themselves.
        state.fire("NS-1", state.server_id, state.disk_id, state.configuration.disk_of(state.server_id))
        state.reset_election_timer()
        return
    if state.disk_is_stalled or state.snapshot_to_install is not None:
        state.reset_election_timer()
        return
    state.fire("C-4" if state.role is Role.CANDIDATE else "F-2", state.now - state.last_contact)
    if state.config.pre_vote:
        pre_campaign(state)
    else:
        campaign(state)


def pre_campaign(state: RaftState) -> None:
    """Ask all whether they would vote for this server in the next term (PV-1)."""
    candidate = become_pre_candidate(state)
    term = state.current_term + 1
    state.fire("PV-1", term)
    for peer in state.others:
        request = PreVote(state.server_id, term, candidate.request_id, state.log.last_index, state.log.last_term)
        state.send_after_persist(peer, request)
    _count_vote(state, candidate, state.server_id, state.disk_id, granted=True)


def campaign(state: RaftState, *, disrupt_leader: bool = False) -> None:
    """Start an election (C-1); with `disrupt_leader` at the leader's own wish (LT-3)."""
    state.fire("C-1", state.current_term)
    candidate = become_candidate(state)
    for peer in state.others:
        state.fire("C-1d", peer)
        request = RequestVote(
            state.server_id,
            state.current_term,
            candidate.request_id,
            state.log.last_index,
            state.log.last_term,
            disrupt_leader,
        )
        state.send_after_persist(peer, request)
    _count_vote(state, candidate, state.server_id, state.disk_id, granted=True)


def on_pre_vote(state: RaftState, message: PreVote) -> None:
    """Answer whether this server would vote; promises nothing and changes nothing."""
    if message.term < state.current_term:
        # Else a server with a longer log but an older term is refused by all and learns nothing (etcd issue 8501).
        state.fire("PV-5", message.term, state.current_term)
    is_own_leader = message.source == state.leader_id
    if is_own_leader:
        state.fire("PV-4", message.source)
    granted = (
        message.term > state.current_term
        and state.log.is_up_to_date(message.last_log_index, message.last_log_term)
        and (is_own_leader or not state.has_live_leader)
    )
    state.fire(
        "PV-2",
        message.source,
        message.term,
        (message.last_log_term, message.last_log_index),
        (state.log.last_term, state.log.last_index),
        state.has_live_leader,
        granted,
    )
    term = message.term if granted else state.current_term
    reply = PreVoteReply(state.server_id, term, message.request_id, granted, state.disk_id)
    state.send_when_true(message.source, reply)


def on_request_vote(state: RaftState, message: RequestVote) -> None:
    """Vote at most once per term, and only for a log at least as up to date as the own one."""
    if message.term < state.current_term:
        state.fire("RV-1", message.term, state.current_term)
        granted = False
    else:
        state.fire("F-1", message.source)
        granted = state.voted_for in (None, message.source) and state.log.is_up_to_date(
            message.last_log_index, message.last_log_term
        )
        state.fire(
            "RV-2",
            state.voted_for,
            (message.last_log_term, message.last_log_index),
            (state.log.last_term, state.log.last_index),
            granted,
        )
    if granted:
        state.voted_for = message.source
        state.reset_election_timer()
    reply = RequestVoteReply(state.server_id, state.current_term, message.request_id, granted, state.disk_id)
    state.send_when_true(message.source, reply)


def on_vote_reply(state: RaftState, message: RequestVoteReply | PreVoteReply) -> None:
    """Count a vote, if it answers this very campaign (G18, K6)."""
    asking = Role.CANDIDATE if isinstance(message, RequestVoteReply) else Role.PRE_CANDIDATE
    candidate = state.candidate
    if state.role is not asking or candidate is None or message.request_id != candidate.request_id:
        state.fire("RS-1", type(message).__name__, message.request_id)
        return
    _count_vote(state, candidate, message.source, message.disk_id, granted=message.vote_granted)


def _count_vote(
    state: RaftState, candidate: CandidateState, voter: ServerId, disk_id: DiskId, *, granted: bool
) -> None:
    if not state.configuration.counts(voter, disk_id):
        # On its admitted disk the voter may have acknowledged what this log lacks, or voted for another.
        state.fire("NS-1", voter, disk_id, state.configuration.disk_of(voter))
        return
    candidate.votes.setdefault(voter, granted)
    candidate.disks.setdefault(voter, disk_id)
    if state.configuration.is_joint:
        state.fire("MC-2", "vote")
    match vote_result(state.configuration, candidate.votes):
        case VoteResult.WON if state.role is Role.PRE_CANDIDATE:
            state.fire("PV-3", len(candidate.votes))
            campaign(state)
        case VoteResult.WON:
            state.fire("C-2", state.current_term, len(candidate.votes))
            become_leader(state)
        case VoteResult.LOST:
            become_follower(state, state.current_term, None)
        case VoteResult.PENDING:
            pass
