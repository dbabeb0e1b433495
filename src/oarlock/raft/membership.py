"""Changes of membership: one voter at a time directly, anything more through joint consensus (MC).

A configuration counts from the moment it is in the log (`RaftState.append_to_log`), and no more once it is truncated.
"""

import msgspec

from oarlock.raft.roles import become_follower
from oarlock.raft.state import LeaderState, MembershipRefused, NotLeader, RaftState
from oarlock.raft.transfer import hand_over
from oarlock.raft.types import Configuration, Index, ServerId, Term


def change_membership(state: RaftState, target: Configuration) -> tuple[Index, Term]:
    """Begin the change to `target`'s voters and learners; index and term identify the entry that begins it.

    Raises:
        NotLeader: With a hint where the leader is.
        MembershipRefused: Not now, or not in this way.
    """
    leader = state.leader
    if leader is None or leader.transfer_to is not None:
        raise NotLeader(state.leader_id if leader is None else leader.transfer_to)
    _refuse_if_impossible(state, target)
    if state.log.term(state.commit_index) != state.current_term:
        # Else two leaders in turn can each commit a change to disjoint majorities.
        state.fire("MC-3", state.commit_index, state.current_term)
        raise MembershipRefused("this leader has not committed an entry of its own term yet; try again soon")
    current = state.configuration
    if state.configuration_index > state.commit_index or current.is_joint:
        state.fire("MC-4", state.configuration_index, state.commit_index)
        raise MembershipRefused("another change of members is under way; try again when it is done")
    outgoing: frozenset[ServerId] = frozenset()
    if len(current.voters ^ target.voters) > 1:
        outgoing = current.voters
    else:
        state.fire("MC-5", sorted(current.voters ^ target.voters))
    # What learners answer from is known: those who get a vote are admitted with it (NS-2).
    disks = {peer: progress.disk_id for peer, progress in leader.peers.items() if progress.disk_id and progress.counts}
    changed = msgspec.structs.replace(target, voters_outgoing=outgoing, disks=current.disks)
    entry = state.append_configuration(changed.with_disks(disks))
    return entry.index, entry.term


def _refuse_if_impossible(state: RaftState, target: Configuration) -> None:
    current = state.configuration
    if target.is_joint:
        raise MembershipRefused("the target of a change cannot be joint itself")
    if not target.voters:
        raise MembershipRefused("a configuration needs a voter")
    if target.voters & target.learners:
        raise MembershipRefused(f"servers cannot both vote and learn: {sorted(target.voters & target.learners)}")
    if (target.voters, target.learners, target.addresses) == (current.voters, current.learners, current.addresses):
        raise MembershipRefused("these are the members already")


def follow_commit(state: RaftState) -> None:
    """The configuration in force is committed: leave joint consensus (MC-6)."""
    if state.configuration_index <= state.commit_index and state.configuration.is_joint:
        if (successor := state.told_successor) is not None:
            state.fire("LT-5", successor)
            return
        state.fire("MC-6", state.configuration_index)
        left = msgspec.structs.replace(state.configuration, voters_outgoing=frozenset())
        state.append_configuration(left.with_disks({}))


def leave_if_removed(state: RaftState, leader: LeaderState) -> None:
    """Step down once a configuration without this server is committed, and its news is on the way (MC-7)."""
    configuration = state.configuration
    if state.configuration_index > state.commit_index or state.server_id in configuration.all_voters:
        return
    state.fire("MC-7", state.configuration_index)
    successors = [peer for peer in sorted(configuration.voters & leader.peers.keys()) if leader.peers[peer].counts]
    best = max(successors, key=lambda peer: leader.peers[peer].match_index, default=None)
    if best is not None:
        hand_over(state, best)
    become_follower(state, state.current_term, None)
