"""Starting from what a crash, or a person, left in the data directory."""

import shutil
from pathlib import Path

import msgspec
import pytest
from tests.support.node_cluster import CLUSTER_ID, NodeCluster, eventually

from oarlock.node.config import NodeConfig
from oarlock.node.errors import BootOutdated, RecoveryError, Stopped
from oarlock.node.recovery import next_boot_epoch, open_storage
from oarlock.raft.types import Entry, EntryKind, HardState, SnapshotMetadata
from oarlock.storage.batches import Batch
from oarlock.storage.disk import File, PosixDisk
from oarlock.storage.errors import DirectoryLocked, LogMissing, WrongIdentity
from oarlock.storage.snapshots import SnapshotStore


async def test_crash_of_everybody(tmp_path: Path) -> None:
    """All servers crash at once, unflushed: every acknowledged command is there afterwards, once."""
    async with NodeCluster(tmp_path, flush_interval_ms=60_000) as cluster:
        leader = await cluster.leader()
        for number in range(30):
            await leader.propose(b"%d" % number)
        for server_id in (1, 2, 3):
            await cluster.crash(server_id)
        for server_id in (1, 2, 3):
            await cluster.start(server_id)
            assert cluster.machine(server_id).words == [], "nothing had been flushed"
        await cluster.nodes[1].read_barrier()
        assert cluster.machine(1).words == [b"%d" % number for number in range(30)]
        await cluster.all_applied()


async def test_orderly_stop_leaves_nothing_to_apply(tmp_path: Path) -> None:
    """A server stopped in order starts with its machine where it was."""
    async with NodeCluster(tmp_path, 1) as cluster:
        node = await cluster.leader()
        await node.propose(b"kept")
        await cluster.stop(1)
        await cluster.start(1)
        assert cluster.machine(1).words == [b"kept"]


async def test_machine_ahead_of_the_log(tmp_path: Path) -> None:
    """Data beyond the log's end mean that the log was lost: refused, with what can be done."""
    cluster = NodeCluster(tmp_path, 1)
    node = await cluster.start(1)
    await node.propose(b"one")
    await cluster.stop(1)
    data_dir = cluster.data_dir(1)
    shutil.rmtree(data_dir / "wal")
    with pytest.raises(LogMissing):
        await cluster.start(1)
    (data_dir / "identity").unlink()
    with pytest.raises(RecoveryError, match=r"stand at index \d+, but the log ends at 0"):
        await cluster.start(1)


async def test_machine_behind_the_base(tmp_path: Path) -> None:
    """Data older than the log's first entry, with no snapshot between, are refused: entries would be skipped."""
    cluster = NodeCluster(tmp_path, 1, snapshot_count=10, snapshot_tail=2, flush_interval_ms=10)
    node = await cluster.start(1)
    for number in range(40):
        await node.propose(b"%d" % number)
    await compacted(cluster)
    await cluster.stop(1)
    (cluster.data_dir(1) / "words").unlink()
    with pytest.raises(RecoveryError, match="no snapshot"):
        await cluster.start(1)


async def compacted(cluster: NodeCluster) -> None:
    """Wait until every log has been cut."""
    await eventually(lambda: all(node.status().first_index > 1 for node in cluster.nodes.values()), "compaction")


async def test_snapshot_received_but_not_restored(tmp_path: Path) -> None:
    """A crash between the log's move to a snapshot and the machine's: the start completes it (G22)."""
    async with NodeCluster(
        tmp_path, 1, durable=False, snapshot_count=10, snapshot_tail=2, flush_interval_ms=10
    ) as source:
        node = await source.leader()
        for number in range(40):
            await node.propose(b"%d" % number)
        await compacted(source)
        expected = list(source.machine(1).words)
    # The directory as a follower's would be that received this snapshot: log moved, machine empty, on disk.
    cluster = NodeCluster(tmp_path, 1, durable=True)
    assert not (cluster.data_dir(1) / "words").exists()
    node = await cluster.start(1)
    await node.read_barrier()
    assert cluster.machine(1).words == expected
    await cluster.stop(1)


async def test_snapshot_that_the_log_contradicts(tmp_path: Path) -> None:
    """A received snapshot whose base the log had not taken over, and whose term it has not, is left alone (IS-7)."""
    cluster = NodeCluster(tmp_path, 1, durable=False)
    node = await cluster.start(1)
    for number in range(10):
        await node.propose(b"%d" % number)
    await cluster.stop(1)
    store = SnapshotStore(PosixDisk(), cluster.data_dir(1) / "snapshots")
    store.create(SnapshotMetadata(5, 99), lambda out: out.write(b"another history"))
    store.close()
    node = await cluster.start(1)
    await node.read_barrier()
    assert cluster.machine(1).words == [b"%d" % number for number in range(10)]
    await cluster.stop(1)


async def test_second_process_and_foreign_cluster(tmp_path: Path) -> None:
    """A directory in use is refused, and so is another cluster's or another server's; the first goes on unharmed."""
    async with NodeCluster(tmp_path, 1) as cluster:
        node = await cluster.leader()
        with pytest.raises(DirectoryLocked):
            await cluster.node(1).start()
        assert await node.propose(b"unharmed") == 1
        await cluster.stop(1)
        for wrong in ({"cluster_id": CLUSTER_ID + 1}, {"server_id": 2, "members": {2: (("127.0.0.1", 1),)}}):
            other = cluster.node(1)
            other.config = _with(other.config, wrong)
            with pytest.raises(WrongIdentity):
                await other.start()
        await cluster.start(1)


def _with(config: NodeConfig, changes: dict) -> NodeConfig:
    return msgspec.structs.replace(config, **changes)


def test_boot_epoch_rises(tmp_path: Path) -> None:
    """Every boot has a higher epoch than the last, whatever the clock that gives the lower bound does."""
    disk = PosixDisk()
    assert next_boot_epoch(disk, tmp_path, 1) == 1
    assert next_boot_epoch(disk, tmp_path, 1) == 2
    assert next_boot_epoch(disk, tmp_path, 1000) == 1000
    assert next_boot_epoch(disk, tmp_path, 7) == 1001
    (tmp_path / "boot").write_bytes(b"rubbish")
    assert next_boot_epoch(disk, tmp_path, 2000) == 2000
    (tmp_path / "boot").write_bytes(b"3000")  # as earlier versions wrote it
    assert next_boot_epoch(disk, tmp_path, 1) == 3001
    whole = (tmp_path / "boot").read_bytes()
    (tmp_path / "boot").write_bytes(whole.replace(b"3001", b"2001"))
    assert next_boot_epoch(disk, tmp_path, 1) == 1, "a damaged number is not believed"


class _MisreadOnce(PosixDisk):
    """Shows zeros where the number is, the first time it is read."""

    def __init__(self) -> None:
        self.reads = 0

    def open(self, path: Path, *, create: bool = False) -> File:
        file = super().open(path, create=create)
        if path.name == "boot" and not create:
            self.reads += 1
            if self.reads == 1:
                return _Zeros(file)
        return file


class _Zeros:
    def __init__(self, file: File) -> None:
        self._file = file

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)

    def pread(self, size: int, _offset: int) -> bytes:
        return bytes(size)


def test_boot_misread_once(tmp_path: Path) -> None:
    """One wrong read of the number does not have a boot counted below the one before."""
    assert next_boot_epoch(PosixDisk(), tmp_path, 1000) == 1000
    disk = _MisreadOnce()
    assert next_boot_epoch(disk, tmp_path, 1) == 1001
    assert disk.reads == 2


@pytest.mark.parametrize("what_counted", ["lost", "there"])
async def test_boot_counted_below_an_earlier_one(tmp_path: Path, what_counted: str) -> None:
    """A date that goes back while nothing else counts the boots costs one start, and no proposal waits for ever."""
    async with NodeCluster(tmp_path, 1) as cluster:
        cluster.boot_epoch = 5000
        await cluster.stop(1)
        node = await cluster.start(1)
        await node.propose(b"one")
        await cluster.stop(1)
        if what_counted == "lost":
            (cluster.data_dir(1) / "boot").unlink()
        cluster.boot_epoch = 100
        node = await cluster.start(1)
        waiting = node.propose(b"two")
        if what_counted == "lost":
            with pytest.raises(Stopped, match="the cluster has seen number 5000"):
                await waiting
            assert isinstance(cluster.failures[1], BootOutdated)
            await cluster.stop(1)
            node = await cluster.start(1)
            waiting = node.propose(b"two")
        await waiting
        assert cluster.machine(1).words == [b"one", b"two"]


def test_first_start_killed_at_any_point(tmp_path: Path) -> None:
    """The identity is written after a log with a configuration exists, so a killed first start can be repeated."""
    config = NodeConfig(
        cluster_id=1, server_id=1, data_dir=str(tmp_path / "a"), members={1: (("127.0.0.1", 1),)}, segment_bytes=1 << 16
    )
    disk = PosixDisk()
    for missing in (["identity"], ["identity", "boot"]):
        opened = open_storage(config, disk, 1, 5)
        assert opened.recovered.base.configuration.voters == {1}
        opened.close()
        for name in missing:
            (tmp_path / "a" / name).unlink(missing_ok=True)
    opened = open_storage(config, disk, 1, 5)
    opened.wal.append_many([Batch(HardState(3, 1), [Entry(1, 3, EntryKind.NOOP, b"")])])
    opened.close()
    again = open_storage(config, disk, 1, 5)
    assert again.recovered.hard_state == HardState(3, 1)
    assert again.recovered.base == SnapshotMetadata(configuration=config.initial_configuration())
    again.close()


async def test_failed_start_leaves_nothing_open(tmp_path: Path) -> None:
    """A start that fails releases the directory: after the cause is removed the server starts."""
    cluster = NodeCluster(tmp_path, 1)
    node = cluster.node(1)

    def refuse() -> None:
        raise ValueError("no machine today")

    node._open_machine = refuse
    with pytest.raises(ValueError, match="no machine today"):
        await node.start()
    await cluster.start(1)
    await cluster.stop(1)
