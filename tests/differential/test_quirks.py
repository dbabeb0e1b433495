"""Where we differ from etcd 3.5.1 on purpose: both answers, and why."""

from pathlib import Path

import pytest
from tests.support.etcd_process import EtcdProcess, etcd_3_5
from tests.support.grpc_client import EtcdClient, Failure
from tests.support.pair import Call, Pair, compact, delete, get, put, txn

from oarlock.etcd.proto.rpc_pb2 import AlarmRequest, AlarmType, HashKVRequest, RequestOp, TxnRequest

pytestmark = [pytest.mark.differential, pytest.mark.asyncio(loop_scope="package")]

NO_SPACE = Failure("RESOURCE_EXHAUSTED", "etcdserver: mvcc: database space exceeded")
CORRUPT = Failure("DATA_LOSS", "etcdserver: corrupt cluster")


async def both(pair: Pair, call: Call) -> tuple[object, object]:
    """Etcd's answer and ours."""
    return await pair.etcd.call(*call), await pair.ours.call(*call)


def alarm(action: int, kind: int) -> Call:
    return Call("Maintenance.Alarm", AlarmRequest(action=action, memberID=5, alarm=kind))


async def test_hash_kv_at_the_compact_revision(pair: Pair) -> None:
    """3.5.1 refuses it; later releases answer, since that revision can still be read, and so do we."""
    await pair.play(put(b"a", b"1"), put(b"a", b"2"), compact(pair.base + 1))
    theirs, ours = await both(pair, Call("Maintenance.HashKV", HashKVRequest(revision=pair.base + 1)))
    assert theirs == Failure("OUT_OF_RANGE", "etcdserver: mvcc: required revision has been compacted")
    assert ours.compact_revision == pair.base + 1


async def test_corruption_outweighs_want_of_space(pair: Pair) -> None:
    """Etcd applies what the alarm raised last forbids, until it is restarted; ours forbids what all of them do."""
    await pair.play(alarm(AlarmRequest.ACTIVATE, AlarmType.CORRUPT), alarm(AlarmRequest.ACTIVATE, AlarmType.NOSPACE))
    assert await both(pair, put(b"a")) == (NO_SPACE, CORRUPT)
    await pair.same(alarm(AlarmRequest.DEACTIVATE, AlarmType.CORRUPT))
    # Lowering any alarm lets etcd forget the other one's effect.
    theirs, ours = await both(pair, put(b"a"))
    assert theirs.header.revision == pair.base + 1
    assert ours == NO_SPACE


async def test_nested_puts_need_space_too(pair: Pair) -> None:
    """Etcd counts only the puts of the outermost level, so a full database takes nested ones; ours does not."""
    await pair.play(alarm(AlarmRequest.ACTIVATE, AlarmType.NOSPACE))
    theirs, ours = await both(pair, txn(None, [txn(None, [put(b"a")])]))
    assert theirs.succeeded
    assert ours == NO_SPACE


async def test_deep_nesting(pair: Pair) -> None:
    """Protobuf's parser for Python goes a hundred messages deep, so transactions nest about fifty deep here."""
    request = TxnRequest(success=[RequestOp(request_range=get(b"a").request)])
    for _ in range(47):
        request = TxnRequest(success=[RequestOp(request_txn=request)])
    assert (await pair.same(Call("KV.Txn", request))).succeeded
    # One level more cannot even be built here, so it is written by hand.
    data = request.SerializeToString()
    for _ in range(5):
        operation = b"\x22" + _length(data) + data
        data = b"\x12" + _length(operation) + operation
    theirs, ours = [await _raw(client, "/etcdserverpb.KV/Txn", data) for client in (pair.etcd, pair.ours)]
    assert theirs == "OK"
    assert ours == "INTERNAL"


def _length(data: bytes) -> bytes:
    return bytes((len(data),)) if len(data) < 0x80 else bytes((len(data) & 0x7F | 0x80, len(data) >> 7))


async def _raw(client: EtcdClient, path: str, data: bytes) -> str:
    import grpc

    try:
        await client._channel.unary_unary(path)(data, timeout=10)
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return "OK"


async def test_a_put_that_ignores_what_its_transaction_deleted(pair: Pair, tmp_path: Path) -> None:
    """It ends a real etcd: it has checked that the key exists, deletes it, and panics. Ours puts an empty value."""
    call = txn(None, [delete(b"a", b"\0"), put(b"a", ignore_value=True)])
    with EtcdProcess(etcd_3_5(), tmp_path) as victim:
        async with EtcdClient(victim.endpoint) as client:
            await client.call(*put(b"a", b"1"))
            assert (await client.call(*call)).code == "UNAVAILABLE"
        assert "unexpected error during txn" in victim.log_tail()
    await pair.same(put(b"a", b"1"))
    assert (await pair.ours.call(*call)).succeeded
    assert (await pair.ours.call(*get(b"a"))).kvs[0].value == b""


async def test_equals_stay_in_order_of_key(pair: Pair) -> None:
    """How etcd orders keys that are equal in what is sorted by depends on its sorting routine; ours goes by key."""
    keys = [b"k%02d" % number for number in range(20)]
    for key in keys:
        await pair.same(put(key, b"v"))
    for order in (1, 2):
        request = get(b"\0", b"\0", sort_order=order, sort_target=4)
        theirs, ours = await both(pair, request)
        assert [pair.key for pair in ours.kvs] == keys
        assert sorted(pair.key for pair in theirs.kvs) == keys
