"""Nothing is promised before it is durable: what a message claims must be on its sender's disk when it leaves."""

from oarlock.explore.disk import Disk
from oarlock.explore.violation import Require
from oarlock.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    InstallSnapshotReply,
    PreVote,
    PreVoteReply,
    RaftMessage,
    RequestVote,
    RequestVoteReply,
)
from oarlock.raft.state import RaftState
from oarlock.raft.types import ServerId

_NAME = "nothing promised before it is durable"


def check_promise(message: RaftMessage, to: ServerId, disk: Disk, state: RaftState, require: Require) -> None:
    """Check a message against the disk as it is when the message leaves.

    Raises:
        Broken: The disk lacks what the message claims.
    """
    voted_for, match_index = None, 0
    match message:
        case PreVote() | AppendEntries() | PreVoteReply(vote_granted=True):
            return  # questions, and what leads to them; a leader's entries are its own business until others have them
        case RequestVote():
            voted_for = message.source
        case RequestVoteReply(vote_granted=True):
            voted_for = to
        case AppendEntriesReply(success=True):
            match_index = message.match_index
        case InstallSnapshotReply(done=True):
            match_index = message.last_included_index
        case _:
            pass
    term, vote = disk.hard_state.current_term, disk.hard_state.voted_for
    who = f"server {message.source}"
    require(term >= message.term, _NAME, f"{who} sent a message of term {message.term}, with term {term} on disk")
    require(
        voted_for is None or term > message.term or voted_for == vote,
        _NAME,
        f"{who} gave {voted_for} its vote in term {message.term}, with one for {vote} on disk",
    )
    base = disk.base.last_included_index
    holds = match_index <= base or disk.term(match_index) == state.log.term(match_index)
    require(holds, _NAME, f"{who} acknowledged index {match_index}, with {disk.last_index} entries on disk")
