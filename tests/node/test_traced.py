"""Nodes that record what they do, beside others that do not."""

import asyncio
import random
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.support.node_cluster import NodeCluster

from oarlock.node.codec import BadMessage, NodeMessage, decode, encode
from oarlock.node.node import Node
from oarlock.raft.messages import AppendEntriesReply, InstallSnapshot
from oarlock.raft.types import SnapshotMetadata
from oarlock.trace.loaded import Trace
from oarlock.trace.merge import Merge
from oarlock.trace.provenance import why
from oarlock.trace.recorder import Recorder
from oarlock.trace.schema import VERSION, Event, Header, Kind, parse_id
from oarlock.trace.stamps import Stamp, add_stamp
from oarlock.trace.state import Replay

HEADER = Header(v=VERSION, run="test", kind="live", clock="wall")


class TracedCluster(NodeCluster):
    """Some of whose servers record, each for itself, as in processes of their own."""

    def __init__(self, directory: Path, traced: set[int], **settings: Any) -> None:
        super().__init__(directory, 3, **settings)
        self.traced = traced
        self.events: dict[int, list[Event]] = {server_id: [] for server_id in traced}

    def node(self, server_id: int, **settings: Any) -> Node:
        node = super().node(server_id, **settings)
        if server_id in self.traced:
            loop = asyncio.get_running_loop()
            keep = self.events[server_id].append
            node._open_trace = lambda epoch: Recorder(
                server_id, epoch, lambda event: keep(event) is None, loop.time, keyframe_every=64
            )
        return node

    async def work(self) -> None:
        """Proposals at every server, so that some are forwarded."""
        await self.leader()
        for number in range(30):
            nodes = list(self.nodes.values())
            await nodes[number % len(nodes)].propose(b"word %d" % number)

    def merged(self) -> Trace:
        merge = Merge([self.events[server_id] for server_id in sorted(self.traced)])
        trace = Trace(HEADER, merge)
        assert merge.forced == 0
        replay = Replay()
        for event in trace.events:
            replay.apply(event)
        return trace


async def test_live_nodes_record_whole_traces(tmp_path: Path) -> None:
    """Files of all servers fit together: each message taken was sent, states follow, and a commit is explained."""
    async with TracedCluster(tmp_path, {1, 2, 3}) as cluster:
        await cluster.work()
        follower = await cluster.follower()
        await cluster.stop(follower.config.server_id)
        await cluster.start(follower.config.server_id)
        await cluster.work()
        await cluster.all_applied()
    trace = cluster.merged()
    kinds = Counter(event.k for event in trace.events)
    assert kinds.keys() >= {Kind.RESTART, Kind.SEND, Kind.RECV, Kind.FSYNC, Kind.CLIENT, Kind.APPLY, Kind.KEY}
    assert kinds[Kind.RESTART] == 4
    for event in trace.events:
        if event.k is Kind.RECV:
            sent = trace.find(event.m)
            assert sent is not None
            assert (sent.src, sent.to) == (event.src, event.to)
            assert sent.lc < event.lc
    commit = next(event for event in reversed(trace.events) if "L-4" in event.r)
    explanation = why(trace, commit.id, "commit")
    assert len(explanation) <= 45
    assert not explanation.unresolved
    forwarded = [event for event in trace.events if "forward" in event.rd]
    assert forwarded
    assert all(trace.find(event.rd["forward"]).src == event.x["for"] for event in forwarded)


@pytest.mark.parametrize("tcp", [False, True])
async def test_traced_and_untraced_servers_understand_each_other(tmp_path: Path, tcp: bool) -> None:
    """One server of three records: nothing else differs, and it knows which messages it cannot know."""
    async with TracedCluster(tmp_path, {2}, tcp=tcp) as cluster:
        await cluster.work()
        await cluster.all_applied()
    trace = cluster.merged()
    received = [event for event in trace.events if event.k is Kind.RECV]
    assert received
    assert all(event.m == "" and event.x["type"] for event in received)
    assert {parse_id(event.id).lane for event in trace.events} == {"n2"}


async def test_snapshots_are_recorded(tmp_path: Path) -> None:
    """Chunks have their identity too, by the connection of their own."""
    settings = {"snapshot_count": 20, "snapshot_tail": 5, "snapshot_chunk_bytes": 256}
    async with TracedCluster(tmp_path, {1, 2, 3}, **settings) as cluster:
        await cluster.leader()
        away = (await cluster.follower()).config.server_id
        await cluster.stop(away)
        await cluster.work()
        await cluster.work()
        await cluster.start(away)
        await cluster.all_applied()
    trace = cluster.merged()
    chunks = [event for event in trace.events if event.k is Kind.SEND and event.x["type"] == "InstallSnapshot"]
    assert chunks
    taken = [end for event in chunks for end in trace.ends_of(event.id) if end.k is Kind.RECV]
    assert taken
    assert all(trace.find(event.by) is not None for event in chunks)


class _Newer(msgspec.Struct, frozen=True, array_like=True, tag_field="type", tag=6, gc=False):
    """`AppendEntriesReply` of a version to come, with one field more."""

    source: int
    term: int
    request_id: int
    success: bool
    match_index: int
    prev_log_index: int
    conflict_term: int
    conflict_index: int
    disk_id: int


def test_versions_may_differ_beside_tracing() -> None:
    """A stamp where this version has a field that an older one lacks is no value; nor is it lost on a longer message."""
    reply = AppendEntriesReply(2, 1, 7, success=True, match_index=3)
    fields = len(msgspec.structs.fields(AppendEntriesReply))
    stamp = Stamp(3, 4, 5)
    older = msgspec.msgpack.encode([6, *list(msgspec.structs.astuple(reply))[: fields - 1]])
    assert decode(add_stamp(older, stamp), 2) == reply
    recorder = Recorder(1, 1, lambda event: True, random.random)
    newer = msgspec.msgpack.encode([6, *msgspec.structs.astuple(reply), 99])
    message = decode(add_stamp(newer, stamp), 2)
    assert message == reply
    assert recorder.arrival(message, add_stamp(newer, stamp)).message_id == "n2.3.4"
    with pytest.raises(BadMessage):
        decode(add_stamp(b"\x92\x06\xa1x", stamp), 2)


def test_every_message_has_room_for_a_stamp() -> None:
    """No kind of message is so long that it could not carry one."""
    for kind in NodeMessage.__args__:
        assert len(msgspec.structs.fields(kind)) + 1 < 14, kind
    chunk = InstallSnapshot(1, 2, 3, SnapshotMetadata(), 0, b"data", done=True)
    assert decode(add_stamp(encode(chunk), Stamp(1, 2, 3)), 1) == chunk
