"""How receivers know messages: on the wire, and beside it."""

import msgspec
import pytest

from oarlock.raft.messages import AppendEntries, AppendEntriesReply, InstallSnapshot, RaftMessage, RequestVote
from oarlock.raft.types import Entry, EntryKind, SnapshotMetadata
from oarlock.trace.stamps import MessageTable, Stamp, add_stamp, read_stamp

STAMP = Stamp(3, 187, 1 << 40)
MESSAGES = [
    RequestVote(1, 2, 3, 4, 5),
    AppendEntries(1, 2, 3, 4, 5, 6, (Entry(5, 2, EntryKind.COMMAND, b"x"),)),
    InstallSnapshot(1, 2, 3, SnapshotMetadata(), 0, b"data", done=True),
]
DECODER = msgspec.msgpack.Decoder(RaftMessage)


def _elements(message: msgspec.Struct) -> int:
    return len(message.__struct_fields__) + 1


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_stamped_payload_is_read_by_those_who_know_no_stamps(message: RaftMessage) -> None:
    """A stamp changes nothing for a server that does not trace, and is found by one that does."""
    payload = msgspec.msgpack.encode(message)
    stamped = add_stamp(payload, STAMP)
    assert DECODER.decode(stamped) == message
    assert read_stamp(stamped, _elements(message)) == STAMP
    assert read_stamp(payload, _elements(message)) is None
    assert len(stamped) == len(payload) + 27


def test_payload_that_ends_like_a_stamp_has_none() -> None:
    """Only the array's length says that there is a stamp, never the bytes of a client."""
    tail = add_stamp(b"\x90", STAMP)[1:]
    message = AppendEntries(1, 2, 3, 4, 5, 6, (Entry(5, 2, EntryKind.COMMAND, tail),))
    payload = msgspec.msgpack.encode(message)
    assert payload.endswith(tail)
    assert read_stamp(payload, _elements(message)) is None


@pytest.mark.parametrize("payload", [b"", b"\x9f" + bytes(15), b"\xdc\x00\x10", b"\x80"])
def test_only_short_arrays_are_stamped(payload: bytes) -> None:
    """What has no room for one more element, or is no array, is refused."""
    with pytest.raises(ValueError, match="fewer than 15 elements"):
        add_stamp(payload, STAMP)


def test_copies_and_equal_replies_are_told_apart() -> None:
    """A second arrival is a copy; two equal replies are taken in the order in which they left."""
    table = MessageTable()
    reply = AppendEntriesReply(2, 1, 7, success=True, match_index=3)
    table.remember(1, reply, Stamp(1, 10, 1))
    assert table.recall(1, reply) == (Stamp(1, 10, 1), 1)
    assert table.recall(1, reply) == (Stamp(1, 10, 1), 2)
    table.remember(1, reply, Stamp(1, 11, 2))
    assert table.recall(1, reply) == (Stamp(1, 11, 2), 1)
    assert table.recall(2, reply) is None
    assert table.recall(1, AppendEntriesReply(2, 1, 7, success=True, match_index=4)) is None


def test_table_is_bounded() -> None:
    """The oldest are forgotten; they arrive without identity, not with a wrong one."""
    table = MessageTable(max_messages=2)
    for request_id in range(3):
        table.remember(1, RequestVote(2, 1, request_id, 0, 0), Stamp(1, request_id, 1))
    assert table.find(1, RequestVote(2, 1, 0, 0, 0)) is None
    assert table.find(1, RequestVote(2, 1, 2, 0, 0)) == Stamp(1, 2, 1)
