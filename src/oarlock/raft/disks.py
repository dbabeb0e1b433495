"""Whose word counts: a server may come back on another disk, and has then forgotten what it promised (NS).

Votes, acknowledgements and confirmations stand for what is on a disk. A configuration names, for each voter, the disk
whose word counts; it is in the log as all of it, so truncation, snapshots and recovery need nothing of their own. For
why this is safe see docs/adr/0004-whose-word-counts.md; in short:

- To name a disk where none was named changes no quorum, as long as no other disk of that server has spoken: it needs no
  caution, and may be done while members change, and before this term has committed anything (NS-2).
- To put a new disk in the place of an old one changes quorums as much as to remove a voter and to add another, so it is
  done in these two steps, each under the rules for changes of members (NS-3; MC-3, MC-4). Meanwhile neither counts, but
  the voter is still counted among those of whom a majority is needed. So quorums before and after each step overlap in
  a server other than this one, even if the old disk comes back, or never went away.
"""

from collections.abc import Mapping

from oarlock.raft.messages import AppendEntriesReply, InstallSnapshotReply
from oarlock.raft.progress import Progress
from oarlock.raft.state import LeaderState, RaftState
from oarlock.raft.types import NO_DISK, DiskId, ServerId


def admit(state: RaftState, disks: Mapping[ServerId, DiskId]) -> None:
    """Name the disks of voters for which none is named yet (NS-2)."""
    configuration = state.configuration
    unnamed = {
        server_id: disk_id
        for server_id, disk_id in sorted(disks.items())
        if disk_id and server_id in configuration.all_voters and configuration.disk_of(server_id) is None
    }
    if unnamed:
        state.fire("NS-2", state.log.last_index + 1, tuple(unnamed))
        state.append_configuration(configuration.with_disks(unnamed))


def note_disk(state: RaftState, progress: Progress, message: AppendEntriesReply | InstallSnapshotReply) -> bool:
    """A follower answers from another disk than was known: what the one acknowledged, the other may not have (NS-1).

    Returns:
        Whether it is to be heard: not if it has answered a later request from the known disk (RS-1), nor while the
        successor may campaign, if its disk is not named yet (LT-5).
    """
    peer, disk_id = message.source, message.disk_id
    if message.request_id < progress.acknowledged_request_id:
        state.fire("RS-1", type(message).__name__, message.request_id)
        return False
    admitted = state.configuration.disk_of(peer)
    progress.counts = admitted in (None, disk_id)
    is_to_be_named = admitted is None and peer in state.configuration.all_voters
    if is_to_be_named and (successor := state.told_successor) is not None:
        # That takes an entry; the peer is heard again when the transfer is done, or given up.
        state.fire("LT-5", successor)
        return False
    if not progress.counts:
        state.fire("NS-1", peer, disk_id, admitted)
    is_first = progress.disk_id == 0
    if not is_first:
        if state.now - progress.reported_at > state.config.election_timeout * _QUIET_TIMEOUTS:
            progress.reported_at = state.now
            state.other_disks.append(peer)
        progress.forget_all()
    progress.disk_id = disk_id
    progress.disk_since = state.now
    progress.disk_goal = state.log.last_index
    admit(state, {peer: disk_id})
    return True


def replace_disks(state: RaftState, leader: LeaderState) -> None:
    """Have the word of followers that came back on other disks count again, once they have caught up (NS-3)."""
    for peer, progress in leader.peers.items():
        if not progress.counts and _may_replace(state, leader, peer, progress):
            is_withdrawn = state.configuration.disk_of(peer) == NO_DISK
            named = progress.disk_id if is_withdrawn else NO_DISK
            state.fire("NS-3", peer, named)
            state.append_configuration(state.configuration.with_disks({peer: named}))
            progress.counts = is_withdrawn


def _may_replace(state: RaftState, leader: LeaderState, peer: ServerId, progress: Progress) -> bool:
    """Whether the follower has spoken from this one disk for a while, is no burden to a quorum, and it is the time."""
    timeout = state.config.election_timeout
    return (
        progress.disk_id > 0
        and state.now - progress.disk_since >= timeout
        and state.now - progress.last_heard < timeout
        and progress.match_index >= progress.disk_goal
        and peer in state.configuration.all_voters
        and leader.transfer_to is None
        and state.may_change_configuration
    )


_QUIET_TIMEOUTS = 10
"""For how many election timeouts nobody is told again that a follower has another disk: two servers that share an
identity by mistake take turns at answering."""
