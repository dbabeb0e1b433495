"""Messages: what is not said of a thing says nothing, on the wire as in memory."""

import msgspec

from oarlock.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    InstallSnapshotReply,
    Message,
    PreVoteReply,
    RaftMessage,
    RequestVote,
    RequestVoteReply,
)
from oarlock.raft.types import SnapshotMetadata


def test_what_is_left_out_claims_nothing() -> None:
    """AE-2, NS-1, LT-3: a refusal acknowledges no entry, no reply names a disk and no campaign is the leader's wish."""
    assert msgspec.structs.astuple(AppendEntriesReply(1, 2, 3, success=False)) == (1, 2, 3, False, 0, 0, 0, 0, 0)
    assert AppendEntries(1, 2, 3, 4, 2, 4).entries == ()
    assert RequestVoteReply(1, 2, 3, vote_granted=True).disk_id == 0
    assert PreVoteReply(1, 2, 3, vote_granted=True).disk_id == 0
    assert InstallSnapshotReply(1, 2, 3, 4, 5, done=True).disk_id == 0
    assert RequestVote(1, 2, 3, 4, 2).disrupt_leader is False


def test_an_empty_snapshot_stands_for_nothing() -> None:
    """B7: before the first entry there is index 0 of term 0, and nobody votes."""
    nothing = SnapshotMetadata()
    assert (nothing.last_included_index, nothing.last_included_term) == (0, 0)
    assert nothing.configuration.members == frozenset()


def test_every_kind_is_told_apart() -> None:
    """RS-1: servers of one cluster must agree on what a message is: tags are part of the protocol."""
    kinds: tuple[type[Message], ...] = RaftMessage.__args__  # type: ignore[attr-defined]
    assert [kind.__struct_config__.tag for kind in kinds] == list(range(1, 12))
