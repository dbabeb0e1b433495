"""What travels between nodes, and what a node does with what it should not have received."""

import asyncio
import contextlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.node_cluster import NodeCluster, eventually

from oarlock.machine.exactly_once import seal
from oarlock.node.codec import BadMessage, Forward, ForwardOutcome, ForwardReply, decode, encode
from oarlock.node.sender import Sender, SnapshotSender
from oarlock.node.status import Counters
from oarlock.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    InstallSnapshot,
    InstallSnapshotReply,
    PreVote,
    PreVoteReply,
    ReadIndex,
    ReadIndexReply,
    RequestVote,
    RequestVoteReply,
)
from oarlock.raft.ready import SnapshotChunkRequest
from oarlock.raft.types import Configuration, Entry, EntryKind, SnapshotMetadata
from oarlock.storage.errors import CorruptSnapshot

METADATA = SnapshotMetadata(7, 3, Configuration(frozenset({1, 2, 3})))

MESSAGES = [
    RequestVote(1, 2, 3, last_log_index=4, last_log_term=2),
    RequestVoteReply(1, 2, 3, vote_granted=True),
    PreVote(1, 2, 3, last_log_index=4, last_log_term=2),
    PreVoteReply(1, 2, 3, vote_granted=False),
    AppendEntries(1, 2, 3, 4, 2, 4, (Entry(5, 2, EntryKind.COMMAND, b"data"), Entry(6, 2, EntryKind.NOOP, b""))),
    AppendEntriesReply(1, 2, 3, success=False, prev_log_index=4, conflict_term=1, conflict_index=2),
    InstallSnapshot(1, 2, 3, METADATA, 0, b"chunk", done=False),
    InstallSnapshotReply(1, 2, 3, 7, 5, done=False),
    ReadIndex(1, 2, 3, context=1 << 62),
    ReadIndexReply(1, 2, 3, context=9, read_index=4),
    Forward(1, 3, [seal(1, 1, 1, 1, b"one"), seal(1, 1, 2, 1, b"two")]),
    ForwardReply(1, 3, ForwardOutcome.OVERLOADED, 2),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_every_message_round_trips(message: object) -> None:
    """Each message is read as it was written."""
    assert decode(encode(message), 1) == message


@given(st.binary(max_size=60))
def test_rubbish_is_refused(payload: bytes) -> None:
    """Any bytes are a message or `BadMessage`; nothing else can happen."""
    with contextlib.suppress(BadMessage):
        decode(payload, 1)


@given(st.sampled_from(MESSAGES), st.data())
def test_damaged_messages_are_refused(message: object, data: st.DataObject) -> None:
    """A message cut short is refused; one with bytes changed is a message or `BadMessage`."""
    payload = bytearray(encode(message))
    with pytest.raises(BadMessage):
        decode(bytes(payload[: data.draw(st.integers(0, len(payload) - 1))]), 1)
    payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(BadMessage):
        decode(bytes(payload), 1)


def test_foreign_source_is_refused() -> None:
    """A peer cannot speak for another: the message's sender must be the connection's."""
    with pytest.raises(BadMessage, match="server 2 sent a ReadIndex of server 1"):
        decode(encode(ReadIndex(1, 2, 3, context=1)), 2)


@pytest.mark.parametrize("command", [b"", b"short", seal(2, 1, 1, 1, b"another server's")])
def test_forwarded_rubbish_is_refused(command: bytes) -> None:
    """What is no envelope of its sender never reaches the log, where it would end every server."""
    with pytest.raises(BadMessage, match="server 1 forwarded"):
        decode(encode(Forward(1, 3, [seal(1, 1, 1, 1, b"good"), command])), 1)


async def test_rubbish_ends_a_connection_and_nothing_else(tmp_path: Path) -> None:
    """Bytes that are no message close the connection that brought them; the cluster goes on."""
    async with NodeCluster(tmp_path, tcp=True) as cluster:
        leader = await cluster.leader()
        follower = await cluster.follower()
        for _ in range(3):
            follower.transport.send(leader.config.server_id, b"\xff rubbish")
            await asyncio.sleep(0.01)
        assert await follower.propose(b"goes on") == 1


async def test_a_later_versions_message_is_left_unheard(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A message of a kind that came later counts as lost: what travels with it arrives, and it is logged once."""
    async with NodeCluster(tmp_path, tcp=True) as cluster:
        leader = await cluster.leader()
        follower = await cluster.follower()
        later = msgspec.msgpack.encode([127, follower.config.server_id, "something new"])
        for _ in range(3):
            follower.transport.send(leader.config.server_id, later)
        assert await follower.propose(b"goes on") == 1
        unheard = [record for record in caplog.records if "kind 127" in record.message]
        assert len(unheard) == 1
        assert not [record for record in caplog.records if "could not be handled" in record.message]


class Line:
    """A transport that takes messages, or not."""

    def __init__(self) -> None:
        self.up = True
        self.sent: list[tuple[int, bytes]] = []

    def send(self, to: int, payload: bytes) -> bool:
        if self.up:
            self.sent.append((to, payload))
        return self.up

    send_bulk = send


def test_first_drop_is_reported_once() -> None:
    """The core learns that a peer loses messages once, not with each of them: probing again would be dropped as well."""
    line, dropped = Line(), []
    counters = Counters()
    sender = Sender(line, counters, dropped.append)
    message = ReadIndex(1, 2, 3, context=1)
    sender.send_all([(2, message)])
    line.up = False
    sender.send_all([(2, message), (2, message), (3, message)])
    assert dropped == [2, 3]
    line.up = True
    sender.send_all([(2, message)])
    line.up = False
    sender.send_all([(2, message)])
    assert dropped == [2, 3, 2]
    assert counters.messages_dropped == 4
    assert not sender.send(2, message)


async def test_snapshot_chunks_wait_for_their_line() -> None:
    """A chunk asked for before its connection is up is sent when it is; a newer request replaces an older one."""
    loop = asyncio.get_running_loop()
    line = Line()
    line.up = False
    with ThreadPoolExecutor(1) as executor:
        sender = SnapshotSender(
            loop, executor, line, 1, lambda _, offset, length: (bytes(length), False), print, 10, print
        )
        task = loop.create_task(sender.run())
        sender.request(SnapshotChunkRequest(2, 1, 5, METADATA, 0))
        await asyncio.sleep(0.02)
        sender.request(SnapshotChunkRequest(2, 1, 6, METADATA, 10))
        line.up = True
        await eventually(lambda: line.sent, "a chunk")
        task.cancel()
    message = decode(line.sent[-1][1], 1)
    assert message == InstallSnapshot(1, 1, 6, METADATA, 10, bytes(10), done=False)


async def test_snapshot_that_is_asked_for_again_is_checked() -> None:
    """A peer that was sent all and begins again may have found damage: it is not sent the same damaged file for ever."""
    loop = asyncio.get_running_loop()
    line = Line()
    checked: list[SnapshotMetadata] = []
    unreadable: list[int] = []

    def check(metadata: SnapshotMetadata) -> None:
        checked.append(metadata)
        if len(checked) == 2:
            raise CorruptSnapshot(Path("snapshot"), "its SHA-256 does not match")

    with ThreadPoolExecutor(1) as executor:
        sender = SnapshotSender(
            loop,
            executor,
            line,
            1,
            lambda _, offset, length: (bytes(length), offset == 10),
            check,
            10,
            unreadable.append,
        )
        task = loop.create_task(sender.run())
        for number, offset in enumerate((0, 10, 0, 10), 1):
            sender.request(SnapshotChunkRequest(2, 1, number, METADATA, offset))
            await eventually(lambda number=number: len(line.sent) == number, "a chunk")  # type: ignore[misc]
        assert len(checked) == 1
        sender.request(SnapshotChunkRequest(2, 1, 5, METADATA, 0))
        await eventually(lambda: unreadable, "a report")
        task.cancel()
    assert unreadable == [2]
    assert len(line.sent) == 4
