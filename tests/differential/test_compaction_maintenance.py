"""KV.Compact, and the Maintenance and Cluster services."""

import hashlib
from typing import Any

import pytest
from tests.support.grpc_client import EtcdClient
from tests.support.pair import ALL_KEYS, Call, Pair, compact, delete, get, put, txn

from oarlock.etcd.proto import rpc_pb2 as rpc
from oarlock.etcd.proto.rpc_pb2 import AlarmRequest, AlarmType, HashKVRequest

pytestmark = [pytest.mark.differential, pytest.mark.asyncio(loop_scope="package")]


async def test_which_revisions_can_be_compacted(pair: Pair) -> None:
    """Up to the current one, never again below or at the last."""
    await pair.play(put(b"a", b"1"), put(b"a", b"2"), put(b"b"), delete(b"b"), put(b"a", b"3"))
    for revision in (pair.base + 6, pair.base + 2, pair.base + 2, pair.base + 1, 0, -1, pair.base + 5, pair.base + 5):
        await pair.same(compact(revision))
        await pair.same(compact(revision, physical=False))
    await pair.play(get(**ALL_KEYS), put(b"a"), compact(pair.base + 6), get(b"a", revision=pair.base + 6))


async def test_what_a_compaction_leaves(pair: Pair) -> None:
    """The newest version at or below it stays, and a key deleted there is gone for good."""
    await pair.play(
        put(b"a", b"1"), put(b"a", b"2"), put(b"b", b"1"), delete(b"b"), put(b"c"), put(b"b", b"2"), delete(b"c")
    )
    await pair.same(compact(pair.base + 5))
    for revision in range(pair.base + 4, pair.base + 9):
        for key in (b"a", b"b", b"c"):
            await pair.same(get(key, revision=revision))
        await pair.same(get(**ALL_KEYS, revision=revision))
        await pair.same(txn(success=[get(b"a", revision=revision)]))


async def hash_kv(client: EtcdClient, revision: int) -> Any:
    return await client.call("Maintenance.HashKV", HashKVRequest(revision=revision))


async def test_hash_kv_without_compaction(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The hash of every revision is etcd's, bit for bit, over puts, deletes and transactions."""
    from tests.support.etcd_process import EtcdProcess, etcd_3_5
    from tests.support.local_server import LocalServer

    with EtcdProcess(etcd_3_5(), tmp_path_factory.mktemp("etcd")) as process:
        async with (
            LocalServer(tmp_path_factory.mktemp("ours")) as server,
            EtcdClient(process.endpoint) as theirs,
            EtcdClient(server.endpoint) as ours,
        ):
            pair = Pair(theirs, ours)
            await pair.same(Call("Maintenance.HashKV", HashKVRequest()))
            await pair.play(
                put(b"a", b"1"),
                put(b"a", b"2" * 500),
                put(b"\xff\0", b""),
                delete(b"a"),
                txn(success=[put(b"b", b"x"), put(b"c"), delete(b"\xff\0")]),
                delete(b"\0", b"\0"),
                put(b"a", b"again"),
            )
            for revision in range(11):
                await pair.same(Call("Maintenance.HashKV", HashKVRequest(revision=revision)))
            await pair.same(compact(5))
            for revision in (0, 3, 4, 6, 7, 8, 9):
                await pair.same(Call("Maintenance.HashKV", HashKVRequest(revision=revision)))


async def test_alarms(pair: Pair) -> None:
    """They are raised, listed and lowered by type and member; NOSPACE stops puts and nothing else."""

    def alarm(action: int, member: int, kind: int) -> Call:
        return Call("Maintenance.Alarm", AlarmRequest(action=action, memberID=member, alarm=kind))

    everything, raise_it, lower = AlarmRequest.GET, AlarmRequest.ACTIVATE, AlarmRequest.DEACTIVATE
    await pair.play(put(b"a", b"1"), alarm(everything, 0, 0), alarm(lower, 5, AlarmType.NOSPACE))
    await pair.play(alarm(raise_it, 5, AlarmType.NOSPACE), alarm(raise_it, 5, AlarmType.NOSPACE))
    await pair.play(
        alarm(everything, 0, 0),
        alarm(everything, 0, AlarmType.NOSPACE),
        alarm(everything, 0, AlarmType.CORRUPT),
        alarm(everything, 7, AlarmType.NOSPACE),
        put(b"a", b"2"),
        put(b"b"),
        put(b""),
        put(b"x", ignore_value=True),
        get(**ALL_KEYS),
        get(**ALL_KEYS, serializable=True),
        txn(success=[put(b"c")]),
        txn(success=[], failure=[put(b"c")]),
        txn(success=[get(b"a"), delete(b"nothing")]),
        txn(success=[get(b"a")]),
        compact(pair.base + 1),
        delete(b"a"),
        alarm(lower, 0, AlarmType.NOSPACE),
        put(b"a", b"3"),
        alarm(lower, 5, AlarmType.NOSPACE),
        put(b"a", b"4"),
        alarm(raise_it, 0, AlarmType.NOSPACE),
        put(b"a", b"5"),
        alarm(lower, 0, AlarmType.NOSPACE),
        alarm(everything, 0, 0),
    )
    await pair.play(
        alarm(raise_it, 5, AlarmType.CORRUPT),
        put(b"a"),
        get(b"a"),
        delete(b"a"),
        txn(success=[get(b"a")]),
        txn(success=[get(b"a"), delete(b"a")]),
        compact(pair.base + 2),
        alarm(lower, 5, AlarmType.CORRUPT),
        put(b"a"),
        get(**ALL_KEYS),
    )


async def test_status_names_alarms(pair: Pair) -> None:
    """The alarms are among the errors, in etcd's words."""
    seen = []
    for client in (pair.etcd, pair.ours):
        for kind in (AlarmType.NOSPACE, AlarmType.CORRUPT):
            request = AlarmRequest(action=AlarmRequest.ACTIVATE, memberID=9, alarm=kind)
            await client.call("Maintenance.Alarm", request)
        status = await client.call("Maintenance.Status", rpc.StatusRequest())
        seen.append(sorted(status.errors))
        for kind in (AlarmType.NOSPACE, AlarmType.CORRUPT):
            request = AlarmRequest(action=AlarmRequest.DEACTIVATE, memberID=9, alarm=kind)
            await client.call("Maintenance.Alarm", request)
    assert seen[0] == seen[1]


async def test_status(pair: Pair) -> None:
    """The same fields are set, the member leads itself, and sizes are plausible."""
    theirs, ours = [await client.call("Maintenance.Status", rpc.StatusRequest()) for client in (pair.etcd, pair.ours)]
    assert [field.name for field, _ in ours.ListFields()] == [field.name for field, _ in theirs.ListFields()]
    assert ours.leader == ours.header.member_id
    assert ours.header.revision == theirs.header.revision
    assert 0 < ours.dbSizeInUse <= ours.dbSize
    assert ours.raftAppliedIndex == ours.raftIndex > 0


async def test_member_list_has_no_revision(pair: Pair) -> None:
    """Headers of the Cluster service leave the revision out; every field of a member is filled in."""
    theirs, ours = [
        await client.call("Cluster.MemberList", rpc.MemberListRequest(linearizable=linearizable))
        for client, linearizable in ((pair.etcd, True), (pair.ours, True))
    ]
    assert ours.header.revision == theirs.header.revision == 0
    assert len(ours.members) == len(theirs.members) == 1
    fields = [[field.name for field, _ in answer.members[0].ListFields()] for answer in (theirs, ours)]
    assert fields[0] == fields[1]


async def test_answers_without_a_header(pair: Pair) -> None:
    """Defragment's is empty."""
    await pair.same(Call("Maintenance.Defragment", rpc.DefragmentRequest()))
    await pair.same(get(**ALL_KEYS))


async def test_hash(pair: Pair) -> None:
    """Hash tells a number, and the current revision."""
    theirs, ours = [await client.call("Maintenance.Hash", rpc.HashRequest()) for client in (pair.etcd, pair.ours)]
    assert ours.header.revision == theirs.header.revision
    assert ours.hash
    assert theirs.hash


async def test_snapshot_framing(pair: Pair) -> None:
    """Blobs of 32 KiB counting down to nothing, then the SHA-256 of them all; no header anywhere."""
    for number in range(40):
        await pair.same(put(b"k%d" % number, b"v" * 4000))
    for client in (pair.etcd, pair.ours):
        parts = [part async for part in client.stream("Maintenance.Snapshot", rpc.SnapshotRequest())]
        *blobs, last = parts
        assert not any(part.HasField("header") for part in parts)
        assert all(len(part.blob) == 32 * 1024 for part in blobs[:-1])
        data = b"".join(part.blob for part in blobs)
        total = len(data)
        for part in blobs:
            total -= len(part.blob)
            assert part.remaining_bytes == total
        assert last.blob == hashlib.sha256(data).digest()
        assert last.remaining_bytes == 0
        assert len(data) % 512 == 0
