"""Request ids without their numbers: of an id only its relation to what its server remembers counts.

Ids rise with every message, so no state would ever come again. But a core only compares them: a vote answers the
campaign with just that id; an answer to AppendEntries is of this term if its id is above the leader's first, and tells
of lost data only if it is above the newest when match_index became known; a chunk's answer has the chunk's very id.
After each step ids are replaced by the lowest numbers that compare alike, in the core and in its messages under way.
Whatever is sent later is above them all, so what compares alike now always will.
"""

from typing import Final, NamedTuple

from oarlock.explore.bounds import Renaming
from oarlock.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    InstallSnapshot,
    InstallSnapshotReply,
    Message,
    PreVote,
    PreVoteReply,
    RequestVote,
    RequestVoteReply,
)
from oarlock.raft.state import RaftState
from oarlock.raft.types import ServerId

STALE: Final = 0
"""Answers nothing any more."""
ANCHOR: Final = 1
"""Of the present campaign, or a leader's first."""
KNOWN: Final = 2
"""Of this leader, sent before match_index became known."""
NEWER: Final = 3
"""Of this leader, sent after that."""
CHUNK: Final = 4
"""Of the chunk that is awaited."""

_VOTES = (RequestVote, RequestVoteReply, PreVote, PreVoteReply)
_ENTRIES = (AppendEntries, AppendEntriesReply)
_CHUNKS = (InstallSnapshot, InstallSnapshotReply)
REPLIES: Final = (RequestVoteReply, PreVoteReply, AppendEntriesReply, InstallSnapshotReply)
"""Their ids are those of whom they are for."""


class Frame(NamedTuple):
    """What a server compares ids with."""

    campaign: int | None
    first: int | None
    peers: tuple[tuple[ServerId, int, int], ...]
    """Of each follower, when match_index became known, and which chunk is awaited."""

    def normal(self, message: Message, peer: ServerId) -> int:
        """The lowest number that compares like a message's id, as this server sees it; `peer` is the other end."""
        id_ = message.request_id
        if isinstance(message, _VOTES):
            return ANCHOR if id_ == self.campaign else STALE
        if self.first is None:
            return STALE
        for follower, known_at, chunk in self.peers:
            if follower == peer:
                if isinstance(message, _CHUNKS):
                    return CHUNK if id_ == chunk else STALE
                if not isinstance(message, _ENTRIES) or id_ <= self.first:
                    return STALE
                return KNOWN if id_ <= known_at and isinstance(message, AppendEntriesReply) else NEWER
        return STALE

    def renamed(self, renaming: Renaming) -> "Frame":
        """With other names for the servers."""
        peers = sorted([(renaming[peer - 1], known_at, chunk) for peer, known_at, chunk in self.peers])
        return self._replace(peers=tuple(peers))


FOLLOWING: Final = Frame(None, None, ())
"""Of a server that awaits no answer."""


def frame_of(state: RaftState) -> Frame:
    """What a server compares ids with now."""
    campaign = state.candidate.request_id if state.candidate is not None else None
    if state.leader is None:
        return Frame(campaign, None, ())
    return Frame(
        campaign,
        state.leader.first_request_id,
        tuple(
            (peer, progress.known_at_request_id, progress.chunk_request_id if progress.snapshot is not None else 0)
            for peer, progress in sorted(state.leader.peers.items())
        ),
    )


def settle_ids(state: RaftState) -> None:
    """Give a core's own ids their lowest numbers; those of its messages are given by the frame it had until now."""
    state.request_counter = STALE
    if state.candidate is not None:
        state.candidate.request_id = state.request_counter = ANCHOR
    if state.leader is not None:
        first = state.leader.first_request_id
        for progress in state.leader.peers.values():
            progress.known_at_request_id = KNOWN if progress.known_at_request_id > first else STALE
            progress.chunk_request_id = CHUNK if progress.snapshot is not None else STALE
            progress.acknowledged_request_id = STALE  # only reads and leases look at it
        state.leader.first_request_id = ANCHOR
        state.request_counter = CHUNK
