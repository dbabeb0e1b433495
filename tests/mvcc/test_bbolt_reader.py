"""Reading bbolt files: ours and a real etcd's come back whole, and no damage does anything but be refused."""

import hashlib
import random
import struct
from pathlib import Path

import pytest
from tests.mvcc.stores import delete, put
from tests.support.etcd_process import EtcdProcess, etcd_3_4, etcd_3_5
from tests.support.grpc_client import EtcdClient

from oarlock.etcd.proto import rpc_pb2
from oarlock.mvcc import bbolt_reader
from oarlock.mvcc.bbolt import PAGE_BYTES, BboltImage
from oarlock.mvcc.bbolt_reader import BadFileError, BboltFile
from oarlock.mvcc.keyvalue import decode_key_value
from oarlock.mvcc.memory_backend import MemoryBackend
from oarlock.mvcc.store import Store

OTHERS = {"members": {b"8e9e05c52164694d": b"{}"}, "cluster": {b"clusterVersion": b"3.5.0"}}


def store_of(records: int, size: int = 20) -> Store:
    store = Store(MemoryBackend())
    store.set_applied(77, 5)
    for number in range(records):
        put(store, b"/registry/%06d" % number, bytes(size + number % 50))
    if records:
        delete(store, b"/registry/000000")
    return store


def save(store: Store, path: Path, *, digest: bool = True) -> dict[bytes, bytes]:
    """Write the store as `snapshot save` would; gives its records."""
    view = store.begin_view()
    data = b"".join(BboltImage(view, OTHERS).pages())
    path.write_bytes(data + hashlib.sha256(data).digest() if digest else data)
    records = dict(view.records())
    view.close()
    return records


@pytest.mark.parametrize("records", [0, 1, 50, 30_000], ids=str)
def test_what_we_write_is_read(records: int, tmp_path: Path) -> None:
    """Every record and bucket, from an empty file to one whose branches have branches, with and without a digest."""
    store = store_of(records)
    for digest in (True, False):
        expected = save(store, tmp_path / "db", digest=digest)
        with BboltFile(tmp_path / "db") as file:
            assert file.has_digest is digest
            assert file.size_bytes % PAGE_BYTES == 0
            assert file.digest()[1] is digest
            assert dict(file.items("key")) == expected
            assert {"key", "meta", "members", "cluster", "lease", "auth", "alarm"} <= set(file.buckets)
            assert dict(file.items("members")) == OTHERS["members"]
            assert dict(file.items("meta"))[b"consistent_index"] == (77).to_bytes(8, "big")
            assert list(file.items("lease")) == list(file.items("no such")) == []


def test_values_larger_than_pages(tmp_path: Path) -> None:
    """Values at and around the size of one and several pages, and of a megabyte."""
    store = Store(MemoryBackend())
    for size in (0, 4000, 4019, 4020, 4096, 8192, 65_536, 1 << 20):
        for more in (-1, 0, 1):
            put(store, b"edge", bytes(max(0, size + more)))
    expected = save(store, tmp_path / "db")
    with BboltFile(tmp_path / "db") as file:
        assert dict(file.items("key")) == expected


@pytest.mark.differential
@pytest.mark.parametrize("program", [etcd_3_4, etcd_3_5], ids=["etcd-3.4", "etcd-3.5"])
async def test_a_real_etcd_s_database(program, tmp_path: Path) -> None:
    """The file of a stopped etcd, free pages, small buckets in place and all, holds what it answered."""
    with EtcdProcess(program(), tmp_path) as server:
        async with EtcdClient(server.endpoint) as client:
            for number in range(300):
                await client.call("KV.Put", rpc_pb2.PutRequest(key=b"k%d" % (number % 40), value=bytes(number)))
            await client.call("KV.DeleteRange", rpc_pb2.DeleteRangeRequest(key=b"k1", range_end=b"k2"))
            await client.call("KV.Compact", rpc_pb2.CompactionRequest(revision=100, physical=True))
            found = await client.call("KV.Range", rpc_pb2.RangeRequest(key=b"\0", range_end=b"\0"))
            # So that it has been committed before it is killed.
            await client.call("Maintenance.Hash", rpc_pb2.HashRequest())
    with BboltFile(tmp_path / "data" / "member" / "snap" / "db") as file:
        assert not file.has_digest
        values = {}
        for revision, data in file.items("key"):
            kv = decode_key_value(data)
            values.pop(kv.key, None)
            if len(revision) == 17:
                values[kv.key] = (kv.value, kv.mod_revision)
        assert values == {kv.key: (kv.value, kv.mod_revision) for kv in found.kvs}
        assert b"finishedCompactRev" in dict(file.items("meta"))


def read_everything(path: Path) -> dict[str, dict[bytes, bytes]]:
    with BboltFile(path) as file:
        return {bucket: dict(file.items(bucket)) for bucket in file.buckets}


def test_damage_is_refused_or_seen_nowhere(tmp_path: Path) -> None:
    """Bytes changed, numbers made huge, pages swapped, the file cut: an error that names it, and never another one."""
    dice = random.Random(3)
    path = tmp_path / "db"
    save(store_of(400, 90), path, digest=False)
    whole = path.read_bytes()
    intact = read_everything(path)
    refused = 0
    for _ in range(500):
        data = bytearray(whole)
        match dice.randrange(4):
            case 0:
                data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
            case 1:  # a number in the head of a page or of one of its elements
                offset = dice.randrange(len(data) // PAGE_BYTES) * PAGE_BYTES + 4 * dice.randrange(40)
                struct.pack_into("<I", data, offset, dice.choice((0, 1, 7, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)))
            case 2:
                first, second = (dice.randrange(len(data) // PAGE_BYTES) * PAGE_BYTES for _ in range(2))
                data[first : first + PAGE_BYTES] = whole[second : second + PAGE_BYTES]
            case 3:
                del data[dice.randrange(len(data)) :]
        path.write_bytes(data)
        try:
            read_everything(path)
        except BadFileError as error:
            assert str(path) in str(error)  # noqa: PT017 - one of two allowed outcomes
            refused += 1
    assert refused > 150
    path.write_bytes(whole)
    assert read_everything(path) == intact


def test_each_lie_is_named(tmp_path: Path) -> None:
    """A loop, a page in two places, a wrong kind, an element beyond its page, keys out of order, a bucket in a bucket."""
    path = tmp_path / "db"
    save(store_of(400, 90), path, digest=False)
    whole = path.read_bytes()
    numbers = range(2, len(whole) // PAGE_BYTES)
    branch = PAGE_BYTES * next(n for n in numbers if struct.unpack_from("<H", whole, n * PAGE_BYTES + 8)[0] == 1)
    first, second, third = (struct.unpack_from("<Q", whole, branch + offset)[0] for offset in (24, 40, 56))
    leaf = second * PAGE_BYTES
    for offset, form, value, says in (
        (branch + 16 + 8, "<Q", branch // PAGE_BYTES, "is used twice"),
        (branch + 32 + 8, "<Q", first, "is used twice"),
        (branch + 16 + 8, "<Q", 1 << 40, "there is no page"),
        (branch + 16 + 8, "<Q", 1, "there is no page 1"),
        (leaf + 8, "<H", 0x10, "where a branch or a leaf belongs"),
        (leaf, "<Q", 5, "says that it is page 5"),
        (leaf + 10, "<H", 0xFFFF, "cannot hold 65535 elements"),
        (leaf + 12, "<I", 1 << 20, "reaches beyond the end"),
        (leaf + 16 + 12, "<I", 1 << 30, "an element reaches from byte"),
        (leaf + 16 + 4, "<I", 0, "an element reaches from byte"),
        (leaf + 16, "<I", 1, "a bucket inside"),
        (branch + 16 + 8, "<Q", third, "out of order"),
    ):
        data = bytearray(whole)
        struct.pack_into(form, data, offset, value)
        path.write_bytes(data)
        with pytest.raises(BadFileError, match=says):
            read_everything(path)


def test_no_bbolt_file(tmp_path: Path) -> None:
    """Empty, text, zeros, another version, both metas damaged: refused; with one meta sound it is read."""
    path = tmp_path / "db"
    store = store_of(10)
    save(store, path, digest=False)
    whole = path.read_bytes()
    for content in (b"", b"hello", bytes(20_000), bytes(PAGE_BYTES)):
        path.write_bytes(content)
        with pytest.raises(BadFileError, match="is no bbolt file"):
            BboltFile(path)
    for damaged, sound in (((0,), True), ((1,), True), ((0, 1), False)):
        data = bytearray(whole)
        for number in damaged:
            data[number * PAGE_BYTES + 40] ^= 1
        path.write_bytes(data)
        if sound:
            assert read_everything(path)
        else:
            with pytest.raises(BadFileError, match="no sound meta"):
                BboltFile(path)


def test_depth_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tree deeper than any honest one is refused, not followed."""
    path = tmp_path / "db"
    save(store_of(400, 90), path, digest=False)
    monkeypatch.setattr(bbolt_reader, "_MAX_DEPTH", 0)
    with pytest.raises(BadFileError, match="lies deeper"):
        read_everything(path)
