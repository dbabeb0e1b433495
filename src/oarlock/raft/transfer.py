"""Handing over leadership (dissertation 3.10; LT)."""

from oarlock.raft.messages import TimeoutNow
from oarlock.raft.request_vote import campaign
from oarlock.raft.state import LeaderState, NotLeader, RaftState, Role
from oarlock.raft.types import ServerId


def transfer_leadership(state: RaftState, to: ServerId) -> None:
    """Stop taking commands, bring `to` up to date, and have it campaign (LT-1).

    Raises:
        NotLeader: With a hint where the leader is.
        ValueError: `to` is not another voter.
    """
    leader = state.leader
    if leader is None:
        raise NotLeader(state.leader_id)
    if to == state.server_id or to not in state.configuration.voters:
        raise ValueError(f"server {to:x} is not another voter of this cluster")
    state.fire("LT-1", to)
    leader.transfer_to = to
    leader.lease_until = float("-inf")
    leader.transfer_deadline = state.now + state.config.election_timeout
    continue_transfer(state)


def continue_transfer(state: RaftState) -> None:
    """Once the successor has the whole log, let it campaign; again at every sign of life, as that may be lost."""
    if (successor := state.told_successor) is not None:
        hand_over(state, successor)


def hand_over(state: RaftState, to: ServerId) -> None:
    """Ask `to` to campaign now (LT-2)."""
    state.fire("LT-2", to)
    state.send_when_true(to, TimeoutNow(state.server_id, state.current_term, state.next_request_id()))


def give_up_late_transfer(state: RaftState, leader: LeaderState) -> bool:
    """The successor did not take over in time: lead on (LT-4). It may still campaign, so there is no lease yet.

    Returns:
        Whether that is so, and what waited for the transfer goes on.
    """
    if leader.transfer_to is None or state.now < leader.transfer_deadline:
        return False
    state.fire("LT-4", leader.transfer_to)
    leader.transfer_to = None
    return True


def on_timeout_now(state: RaftState, message: TimeoutNow) -> None:
    """The current leader wants this server to succeed it: campaign without asking first (LT-3)."""
    if message.term < state.current_term or state.role is not Role.FOLLOWER or not (state.is_voter and state.has_word):
        state.fire("RS-1", "TimeoutNow", message.term)
        return
    state.fire("LT-3", message.source)
    campaign(state, disrupt_leader=True)
