"""The bbolt file, judged by the programs it is for: etcdctl, etcdutl and a real etcd."""

import hashlib
import json
import os
import random
import struct
import subprocess
from pathlib import Path

import pytest
from tests.mvcc.stores import delete, put
from tests.support.etcd_process import EtcdProcess, etcd_3_5, etcdctl_3_4, etcdutl_3_5
from tests.support.grpc_client import EtcdClient

from oarlock.etcd.proto import rpc_pb2
from oarlock.mvcc.bbolt import BUCKETS, PAGE_BYTES, BboltImage
from oarlock.mvcc.errors import MvccError
from oarlock.mvcc.memory_backend import MemoryBackend
from oarlock.mvcc.store import Store

MEMBERS = {
    "members": {b"8e9e05c52164694d": b'{"id":10276657743932975437,"peerURLs":["http://localhost:1"],"name":"a"}'},
    "cluster": {b"clusterVersion": b"3.5.0"},
}


SINGLE = (
    "--name=oracle",
    "--initial-cluster=oracle=http://127.0.0.1:1",
    "--initial-advertise-peer-urls=http://127.0.0.1:1",
)
"""How the restored cluster is told of its one member; nobody listens there."""


def _save(store: Store, path: Path) -> int:
    """Write the store as `etcdctl snapshot save` would; gives the image's size."""
    view = store.begin_view()
    image = BboltImage(view, MEMBERS)
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for page in image.pages():
            assert len(page) % PAGE_BYTES == 0
            digest.update(page)
            file.write(page)
        assert file.tell() == image.size_bytes
        file.write(digest.digest())
    view.close()
    return image.size_bytes


def _run(program: list[str], *arguments: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ETCD")}
    done = subprocess.run(
        [*program, *arguments],
        env=environment | {"ETCDCTL_API": "3"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _small() -> Store:
    store = Store(MemoryBackend())
    store.set_applied(77, 5)
    for number in range(20):
        put(store, b"k%02d" % number, b"value %d" % number, number % 2)
    delete(store, b"k03", b"k06")
    put(store, b"k01", b"again")
    return store


def _large() -> Store:
    """More than 30,000 records, so that branches have branches, and values that fill hundreds of pages."""
    store = Store(MemoryBackend())
    store.set_applied(5, 2)
    dice = random.Random(7)
    for number in range(30_000):
        put(store, b"/registry/%05d" % (number % 20_000), bytes(dice.randrange(20, 400)))
    for number in range(4):
        put(store, b"large%d" % number, dice.randbytes(1 << 20))
    for size in (4096 - 16 - 16 - 17 - 40, 4096, 3 * 4096, 65_536):
        for more in range(-3, 4):
            put(store, b"edge", bytes(size + more))
    return store


def _empty() -> Store:
    return Store(MemoryBackend())


@pytest.fixture(params=[_empty, _small, _large], ids=["empty", "small", "large"])
def source(request: pytest.FixtureRequest) -> Store:
    """What is to be saved."""
    return request.param()


@pytest.mark.parametrize("program", [etcdctl_3_4, etcdutl_3_5], ids=["etcdctl-3.4", "etcdutl-3.5"])
def test_status_accepts_it(source: Store, program, tmp_path: Path) -> None:
    """`snapshot status` checks every page and reference, and reports the store's revision and size."""
    size = _save(source, tmp_path / "db")
    status = json.loads(_run(program(), "snapshot", "status", str(tmp_path / "db"), "--write-out=json"))
    view = source.begin_view()
    records = sum(1 for _ in view.records())
    metas = sum(not name.startswith("extra/") for name in view.meta)
    assert status["revision"] == (source.current_revision if records else 0)
    assert status["totalKey"] == records + metas + 2
    assert status["totalSize"] == size


async def test_real_etcd_restores_and_serves_it(source: Store, tmp_path: Path) -> None:
    """A restored etcd has every key with its revisions and values, the same HashKV, and takes writes and deletions."""
    _save(source, tmp_path / "db")
    _run(etcdutl_3_5(), "snapshot", "restore", str(tmp_path / "db"), f"--data-dir={tmp_path / 'data'}", *SINGLE)
    with EtcdProcess(etcd_3_5(), tmp_path) as server:
        async with EtcdClient(server.endpoint) as client:
            found = await client.call("KV.Range", rpc_pb2.RangeRequest(key=b"\0", range_end=b"\0"))
            ours = source.range(b"\0", b"\0")
            assert (found.header.revision, found.count) == (ours.revision, ours.count)
            assert [kv.SerializeToString() for kv in found.kvs] == ours.kvs
            hashed = await client.call("Maintenance.HashKV", rpc_pb2.HashKVRequest())
            assert hashed.hash == source.hash_kv().hash
            # Enough change that every kind of page is split, merged and freed.
            await client.call(
                "KV.DeleteRange", rpc_pb2.DeleteRangeRequest(key=b"/registry/00500", range_end=b"/registry/09500")
            )
            for number in range(30):
                await client.call("KV.Put", rpc_pb2.PutRequest(key=b"new%d" % number, value=b"x" * 5000))
            revision = source.current_revision + 2
            await client.call("KV.Compact", rpc_pb2.CompactionRequest(revision=revision, physical=True))
            counted = await client.call("KV.Range", rpc_pb2.RangeRequest(key=b"new", range_end=b"nex"))
            assert counted.count == 30


def test_compaction_under_way_is_resumed_by_etcd(tmp_path: Path) -> None:
    """Records that a compaction has not scrubbed yet travel with its revision."""
    store = _small()
    store.compact(15)
    view = store.begin_view()
    assert view.meta["scheduledCompactRev"][:8] == (15).to_bytes(8, "big")
    image = b"".join(BboltImage(view, {}).pages())
    view.close()
    assert b"scheduledCompactRev" + view.meta["scheduledCompactRev"] in image
    assert b"consistent_index" + (77).to_bytes(8, "big") in image
    assert b"extra/" not in image


def test_header_is_bbolts() -> None:
    """Two metas with the right checksums, an empty freelist, and all buckets in the root."""
    view = _empty().begin_view()
    image = b"".join(BboltImage(view, {}).pages())
    assert len(image) == (3 + len(BUCKETS) + 1) * PAGE_BYTES
    for number in (0, 1):
        meta = image[number * PAGE_BYTES :][16:80]
        magic, version, size, _, root, _, freelist, high, transaction, checksum = struct.unpack("<IIIIQQQQQQ", meta)
        assert (magic, version, size, freelist, transaction) == (0xED0CDAED, 2, 4096, 2, number)
        assert (root, high) == (3 + len(BUCKETS), 4 + len(BUCKETS))
        fnv = 14695981039346656037
        for byte in meta[:56]:
            fnv = ((fnv ^ byte) * 1099511628211) % 2**64
        assert checksum == fnv


def test_view_that_changes_is_noticed() -> None:
    """If the second pass differs from the first, the file is refused rather than wrong."""
    store = _small()
    view = store.begin_view()
    image = BboltImage(view, {})
    put(store, b"large", b"x" * 20_000)
    view.overlay.update(store.buffer.records)
    with pytest.raises(MvccError, match="the view changed"):
        list(image.pages())
