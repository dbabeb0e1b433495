"""`oarlock restore`: from backups of ours and of etcd's to data directories, whole or not at all."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from tests.mvcc.stores import delete, put
from tests.support.etcd_process import EtcdProcess, etcd_3_4, etcd_3_5, etcdctl_3_4, etcdctl_3_5
from tests.support.etcdctl import etcdctl
from tests.support.grpc_client import EtcdClient

from oarlock.cli.main import main
from oarlock.cli.settings import read_settings
from oarlock.etcd import restored
from oarlock.etcd.machine import alarm_member
from oarlock.etcd.proto import rpc_pb2
from oarlock.etcd.server import open_machine
from oarlock.mvcc.bbolt import BboltImage
from oarlock.mvcc.memory_backend import MemoryBackend
from oarlock.mvcc.store import Store
from oarlock.raft.types import HardState
from oarlock.storage.disk import PosixDisk
from oarlock.storage.identity import load_identity
from oarlock.storage.origin import Restored, load_origin
from oarlock.storage.wal import WriteAheadLog

MEMBERS = "a=http://127.0.0.1:11,b=http://127.0.0.1:12,c=http://127.0.0.1:13"


pytestmark = pytest.mark.usefixtures("keep_logging")


def some_store() -> Store:
    store = Store(MemoryBackend())
    store.set_applied(1234, 5)
    for number in range(30):
        put(store, b"k%d" % (number % 20), b"value %d" % number)
    delete(store, b"k3", b"k5")
    store.compact(10)
    return store


def save(
    store: Store, path: Path, buckets: dict[str, dict[bytes, bytes]] | None = None, *, digest: bool = True
) -> Path:
    """Write the store as `etcdctl snapshot save` would."""
    view = store.begin_view()
    data = b"".join(BboltImage(view, buckets or {}).pages())
    view.close()
    path.write_bytes(data + hashlib.sha256(data).digest() if digest else data)
    return path


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    return save(some_store(), tmp_path / "backup.db")


def restore(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    assert main(["restore", "--json", *map(str, arguments)]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def refused(capsys: pytest.CaptureFixture[str], *arguments: object, status: int = 1) -> str:
    assert main(["restore", *map(str, arguments)]) == status
    complaint = capsys.readouterr().err
    assert "Traceback" not in complaint
    return complaint.splitlines()[-1]


def member(name: str) -> list[str]:
    url = dict(item.split("=", 1) for item in MEMBERS.split(","))[name]
    return ["--name", name, "--initial-cluster", MEMBERS, "--initial-advertise-peer-urls", url]


def test_a_member_of_a_new_cluster(backup: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Data with the same HashKV; a log that begins behind them with the members; the id that `serve` computes; a note."""
    expected = some_store().hash_kv()
    data_dir = tmp_path / "a"
    shown = restore(capsys, backup, "--data-dir", data_dir, *member("a"))
    assert (shown["revision"], shown["compact_revision"], shown["keys"], shown["hash"]) == (32, 10, 18, expected.hash)
    settings = read_settings(member("a"), {})
    identity = load_identity(PosixDisk(), data_dir)
    assert identity is not None
    assert shown["server_id"] == f"{settings.server_id:x}" == f"{identity.server_id:x}"
    assert shown["cluster_id"] == f"{identity.cluster_id:x}"
    assert identity.cluster_id != settings.cluster_id, "one who starts with these flags and no data is a stranger"
    wal, found = WriteAheadLog.open(PosixDisk(), data_dir / "wal", log_id=settings.server_id, must_exist=True)
    wal.close()
    assert (found.base.last_included_index, found.base.last_included_term, found.entries) == (1, 1, [])
    assert found.hard_state == HardState(1, None)
    assert found.base.configuration.voters == {each.id for each in settings.members}
    assert dict(found.base.configuration.addresses)[settings.server_id] == ("http://127.0.0.1:11",)
    machine = open_machine(data_dir / "db", settings.server_id)
    assert machine.store.hash_kv() == expected
    assert machine.durable_index() == 1
    assert machine.store.get_key_value(b"k9").value == b"value 29"
    machine.store.close()
    origin = load_origin(PosixDisk(), data_dir, identity.cluster_id)
    assert isinstance(origin, Restored)
    assert (origin.source, origin.revision) == ("backup.db", 32)
    assert origin.sha256 == shown["sha256"] == hashlib.sha256(backup.read_bytes()[:-32]).hexdigest()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "backup.db"]


def test_members_of_one_backup_are_one_cluster(
    backup: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same file gives the same cluster; other data, a bumped revision, another token give other clusters."""
    ids = {restore(capsys, backup, "--data-dir", tmp_path / name, *member(name))["cluster_id"] for name in "abc"}
    assert len(ids) == 1
    store = some_store()
    put(store, b"one more", b"")
    other = save(store, tmp_path / "other.db")
    for source, more in (
        (other, []),
        (backup, ["--bump-revision", 5]),
        (backup, ["--initial-cluster-token", "another"]),
    ):
        shown = restore(capsys, source, "--data-dir", tmp_path / f"d{len(ids)}", *member("a"), *more)
        assert shown["cluster_id"] not in ids
        ids.add(shown["cluster_id"])


def test_where_it_goes(
    backup: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """NAME.etcd by default; an empty directory is taken, one that holds anything is not; the log may be elsewhere."""
    monkeypatch.chdir(tmp_path)
    restore(capsys, backup)
    assert (tmp_path / "default.etcd" / "identity").exists()
    assert "default.etcd exists and is not empty: nothing was changed" in refused(capsys, backup)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.restoring").mkdir()
    (tmp_path / "empty.restoring" / "left").write_text("by an attempt that was killed")
    restore(capsys, backup, "--data-dir", "empty", "--wal-dir", "log")
    assert not (tmp_path / "empty" / "wal").exists()
    assert not (tmp_path / "empty" / "left").exists()
    assert [path.suffix for path in (tmp_path / "log").iterdir()] == [".wal"]
    assert "log exists and is not empty" in refused(capsys, backup, "--data-dir", "third", "--wal-dir", "log")
    assert not (tmp_path / "third").exists()


def test_what_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No file, no backup, damage, no digest, authentication: one line that names the file; and nothing is left behind."""
    store = some_store()
    good = save(store, tmp_path / "good")
    text = tmp_path / "text"
    text.write_text("hello")
    damaged = tmp_path / "damaged"
    damaged.write_bytes(good.read_bytes()[:-1] + b"?")
    bare = save(store, tmp_path / "bare", digest=False)
    guarded = save(store, tmp_path / "guarded", {"auth": {b"authEnabled": b"\x01"}})
    foreign = tmp_path / "foreign"
    foreign.write_bytes(good.read_bytes().replace(b"key", b"kez"))
    wrong = tmp_path / "wrong"
    wrong.write_bytes(good.read_bytes().replace(b"\x09_\x00", b"\x09=\x00"))
    flags = ["--data-dir", tmp_path / "data"]
    for source, says, more in (
        (tmp_path / "nowhere", "nowhere: No such file or directory", []),
        (text, "text is no bbolt file", []),
        (damaged, "damaged is damaged: its SHA-256 does not match", []),
        (bare, "bare has no SHA-256 at its end", []),
        (guarded, "authentication is enabled, which Oarlock does not have", []),
        (foreign, "foreign is no backup of etcd: it has the buckets alarm", ["--skip-hash-check"]),
        (wrong, "is no revision", ["--skip-hash-check"]),
    ):
        assert says in refused(capsys, source, *flags, *more)
        assert not (tmp_path / "data").exists()
        assert not (tmp_path / "data.restoring").exists()
    for source, more in ((bare, "--skip-hash-check"), (damaged, "--skip-hash-check"), (guarded, "--without-auth")):
        assert restore(capsys, source, "--data-dir", tmp_path / f"{source.name}.etcd", more)["revision"] == 32


def test_a_record_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A KeyValue that cannot be read is found before anything is put in place."""
    store = some_store()
    data = save(store, tmp_path / "db", digest=False).read_bytes()
    broken = tmp_path / "broken"
    broken.write_bytes(data.replace(b"\n\x03k19", b"\x0f\x03k19"))
    assert f"{broken} is damaged: a KeyValue has a field" in refused(
        capsys, broken, "--data-dir", tmp_path / "data", "--skip-hash-check"
    )
    assert not (tmp_path / "data").exists()


def test_flags_that_cannot_be_used(backup: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What `serve` would refuse is refused, with its words and status 2."""
    for flags, says in (
        (["--name", "x", "--initial-cluster", MEMBERS], "does not name this member, 'x'"),
        (["--initial-cluster", "nothing"], "must have the form NAME=PEER-URL"),
        (["--bump-revision", -1], "--bump-revision must not be below 0"),
        (["--mark-compacted"], "--mark-compacted needs --bump-revision"),
    ):
        assert says in refused(capsys, backup, "--data-dir", tmp_path / "data", *flags, status=2)


def test_alarms_leases_and_a_bumped_revision(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Alarms stay raised and leases are told of; a bumped revision keeps every key, and what was before is compacted."""
    alarm = alarm_member(rpc_pb2.AlarmType.NOSPACE, 7).SerializeToString()
    source = save(some_store(), tmp_path / "db", {"alarm": {alarm: b""}, "lease": {b"\0" * 8: b""}})
    flags = ["--data-dir", tmp_path / "data", "--bump-revision", 1_000_000_000, "--mark-compacted"]
    assert main(["restore", str(source), *map(str, flags)]) == 0
    printed = capsys.readouterr()
    assert "the backup holds 1 leases" in printed.err
    assert "the backup holds a raised alarm (1)" in printed.err
    assert "Restored revision 1000000032, 18 keys" in printed.out
    machine = open_machine(tmp_path / "data" / "db", 1)
    assert machine.raised(0) == [(rpc_pb2.AlarmType.NOSPACE, 7)]
    store = machine.store
    assert (store.current_revision, store.compact_revision) == (1_000_000_032, 1_000_000_032)
    assert store.get_key_value(b"k9") == some_store().get_key_value(b"k9")
    put(store, b"next", b"")
    assert store.get_key_value(b"next").mod_revision == 1_000_000_033
    store.close()


def test_a_failure_at_the_end_leaves_nothing(
    backup: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the directory cannot be put in place, the log beside it goes too, and the next attempt succeeds."""
    put_in_place = restored._put_in_place

    def fails(aside: Path, directory: Path) -> None:
        if directory.name == "data":
            raise restored.RestoreError("something is mounted there")
        put_in_place(aside, directory)

    monkeypatch.setattr(restored, "_put_in_place", fails)
    flags = ["--data-dir", tmp_path / "data", "--wal-dir", tmp_path / "log"]
    assert "mounted there" in refused(capsys, backup, *flags)
    assert [path.name for path in tmp_path.iterdir()] == ["backup.db"]
    monkeypatch.undo()
    restore(capsys, backup, *flags)


@pytest.mark.differential
@pytest.mark.parametrize(
    ("program", "control"), [(etcd_3_4, etcdctl_3_4), (etcd_3_5, etcdctl_3_5)], ids=["etcd-3.4", "etcd-3.5"]
)
async def test_a_real_etcd_s_backup(program, control, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What `etcdctl snapshot save` writes of a real etcd is restored, with the very HashKV that etcd gives."""
    with EtcdProcess(program(), tmp_path) as server:
        async with EtcdClient(server.endpoint) as client:
            for number in range(200):
                await client.call("KV.Put", rpc_pb2.PutRequest(key=b"k%d" % (number % 30), value=bytes(number * 30)))
            await client.call("KV.DeleteRange", rpc_pb2.DeleteRangeRequest(key=b"k1", range_end=b"k2"))
            await client.call("KV.Compact", rpc_pb2.CompactionRequest(revision=100, physical=True))
            await client.call("KV.Put", rpc_pb2.PutRequest(key=b"after", value=b"compaction"))
            saved = await etcdctl(control(), server.endpoint, "snapshot", "save", str(tmp_path / "backup"))
            assert saved.status == 0, saved.complaint
            hashed = await client.call("Maintenance.HashKV", rpc_pb2.HashKVRequest(revision=0))
            found = await client.call("KV.Range", rpc_pb2.RangeRequest(key=b"\0", range_end=b"\0"))
    shown = restore(capsys, tmp_path / "backup", "--data-dir", tmp_path / "restored")
    assert (shown["hash"], shown["revision"]) == (hashed.hash, hashed.header.revision)
    assert (shown["compact_revision"], shown["keys"]) == (hashed.compact_revision, found.count)
    machine = open_machine(tmp_path / "restored" / "db", 1)
    for kv in found.kvs:
        assert machine.store.get(kv.key) == kv.SerializeToString()
    machine.store.close()
