"""The store beside a real etcd 3.5: the same random script, every range and every HashKV compared."""

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.mvcc.stores import Operation, commit_all, write
from tests.support.etcd_process import EtcdProcess, etcd_3_5
from tests.support.grpc_client import EtcdClient, Failure

from oarlock.etcd.proto import rpc_pb2
from oarlock.mvcc.errors import CompactedError, FutureRevisionError
from oarlock.mvcc.keyvalue import decode_key_value
from oarlock.mvcc.memory_backend import MemoryBackend
from oarlock.mvcc.ranges import RangeOptions, SortTarget
from oarlock.mvcc.store import Store

pytestmark = pytest.mark.differential

KEYS = [b"\0", b"a", b"a\0", b"aa", b"b", b"ba", b"c", b"\xff", b"\xff\xff"]
ENDS = [b"", b"\0", *KEYS]


@pytest.fixture
async def etcd(tmp_path: Path) -> AsyncIterator[EtcdClient]:
    """A real etcd, empty."""
    with EtcdProcess(etcd_3_5(), tmp_path) as server:
        async with EtcdClient(server.endpoint) as client:
            yield client


async def _write_both(etcd: EtcdClient, store: Store, operations: list[Operation]) -> None:
    request = rpc_pb2.TxnRequest()
    for operation in operations:
        if operation[1] is None:
            request.success.add().request_delete_range.CopyFrom(
                rpc_pb2.DeleteRangeRequest(key=operation[0], range_end=operation[2])
            )
        else:
            request.success.add().request_put.CopyFrom(rpc_pb2.PutRequest(key=operation[0], value=operation[1]))
    answer = await etcd.call("KV.Txn", request)
    assert not isinstance(answer, Failure)
    assert answer.header.revision == write(store, operations)


def _transaction(dice: random.Random) -> list[Operation]:
    """Distinct puts, or one deletion: what etcd allows in one transaction."""
    if dice.random() < 0.25:
        return [(dice.choice(KEYS), None, dice.choice(ENDS))]
    keys = dice.sample(KEYS, dice.choice([1, 1, 1, 2, 3]))
    return [(key, b"v" * dice.choice([0, 1, 5, 300]) + b"%d" % dice.randrange(9)) for key in keys]


async def _assert_same_hash(etcd: EtcdClient, store: Store, revision: int) -> None:
    theirs = await etcd.call("Maintenance.HashKV", rpc_pb2.HashKVRequest(revision=revision))
    assert not isinstance(theirs, Failure)
    ours = store.hash_kv(revision)
    assert (ours.hash, ours.compact_revision) == (theirs.hash, theirs.compact_revision), revision


async def test_hash_kv(etcd: EtcdClient) -> None:
    """HashKV is etcd's bit for bit at any revision, before, during and after compactions and with every key deleted."""
    dice = random.Random(3)
    store = Store(MemoryBackend())
    await _assert_same_hash(etcd, store, 0)
    for step in range(260):
        if step % 65 == 64:
            await _write_both(etcd, store, [(b"\0", None, b"\0")])
        else:
            await _write_both(etcd, store, _transaction(dice))
        if step % 20 == 19:
            revision = dice.randrange(max(store.compact_revision + 1, 1), store.current_revision + 1)
            revision = store.current_revision if step % 65 > 60 else revision
            await etcd.call("KV.Compact", rpc_pb2.CompactionRequest(revision=revision, physical=True))
            store.compact(revision)
            if step % 40 == 39:
                commit_all(store)
        await _assert_same_hash(etcd, store, 0)
        if store.current_revision > store.compact_revision:
            chosen = dice.randrange(max(store.compact_revision + 1, 1), store.current_revision + 1)
            await _assert_same_hash(etcd, store, chosen)


async def test_compaction_at_the_deletion_of_the_last_key(etcd: EtcdClient) -> None:
    """The corner of HashKV where nothing is left to keep: the deletion stands at the compact revision."""
    store = Store(MemoryBackend())
    await _write_both(etcd, store, [(b"k", b"v")])
    await _write_both(etcd, store, [(b"k", None, b"")])
    await etcd.call("KV.Compact", rpc_pb2.CompactionRequest(revision=3, physical=True))
    store.compact(3)
    await _assert_same_hash(etcd, store, 0)
    commit_all(store)
    await _assert_same_hash(etcd, store, 0)


def _options(dice: random.Random, current: int) -> RangeOptions:
    def revision() -> int:
        return dice.choice([0, 0, 0, dice.randrange(-1, current + 2)])

    return RangeOptions(
        revision=revision(),
        limit=dice.choice([0, 0, 1, 2, 5, -1]),
        sort_order=dice.choice([0, 0, 1, 2]),
        sort_target=dice.randrange(5),
        keys_only=dice.random() < 0.2,
        count_only=dice.random() < 0.1,
        min_mod_revision=revision(),
        max_mod_revision=revision(),
        min_create_revision=revision(),
        max_create_revision=revision(),
    )


async def test_ranges(etcd: EtcdClient) -> None:
    """Whatever a range asks for, results, order, count, `more`, header and errors are etcd's."""
    dice = random.Random(11)
    store = Store(MemoryBackend())
    for step in range(120):
        await _write_both(etcd, store, _transaction(dice))
        if step == 60:
            await etcd.call("KV.Compact", rpc_pb2.CompactionRequest(revision=30, physical=True))
            store.compact(30)
        for _ in range(6):
            key, end, options = dice.choice(KEYS), dice.choice(ENDS), _options(dice, store.current_revision)
            theirs = await etcd.call("KV.Range", _request(key, end, options))
            try:
                ours = store.range(key, end, options)
            except CompactedError:
                assert theirs == Failure("OUT_OF_RANGE", "etcdserver: mvcc: required revision has been compacted")
            except FutureRevisionError:
                assert theirs == Failure("OUT_OF_RANGE", "etcdserver: mvcc: required revision is a future revision")
            else:
                assert not isinstance(theirs, Failure), theirs
                _assert_same_results([kv.SerializeToString() for kv in theirs.kvs], ours.kvs, options)
                assert (theirs.count, theirs.more, theirs.header.revision) == (ours.count, ours.more, ours.revision)


def _assert_same_results(theirs: list[bytes], ours: list[bytes], options: RangeOptions) -> None:
    """Equal, except for the order of results that the sort target does not tell apart: etcd's sort is not stable."""
    if options.sort_target == SortTarget.KEY:
        assert theirs == ours, options
        return
    attribute = ("key", "version", "create_revision", "mod_revision", "value")[options.sort_target]
    sorted_by = [[getattr(decode_key_value(data), attribute) for data in side] for side in (theirs, ours)]
    assert sorted_by[0] == sorted_by[1], options
    if options.limit <= 0:
        assert sorted(theirs) == sorted(ours), options


def _request(key: bytes, end: bytes, options: RangeOptions) -> rpc_pb2.RangeRequest:
    return rpc_pb2.RangeRequest(
        key=key,
        range_end=end,
        revision=options.revision,
        limit=options.limit,
        sort_order=options.sort_order,
        sort_target=options.sort_target,
        keys_only=options.keys_only,
        count_only=options.count_only,
        min_mod_revision=options.min_mod_revision,
        max_mod_revision=options.max_mod_revision,
        min_create_revision=options.min_create_revision,
        max_create_revision=options.max_create_revision,
    )
