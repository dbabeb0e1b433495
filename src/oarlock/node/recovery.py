"""What a start finds on disk, in the order that makes each step safe, and whether it fits together.

Lock, identity, boot epoch, log, machine. State and snapshot can disagree only in the ways a crash can leave them:
the log's base moved to a received snapshot that the machine had not taken over yet (it is restored now), or the
machine a little behind the log (the log is applied again from there). Anything else is refused, with what and why.
"""

import asyncio
import logging
from concurrent.futures import Executor
from pathlib import Path
from typing import Final

import google_crc32c
import msgspec

from oarlock.machine.interface import StateMachine, carry_out
from oarlock.node.config import NodeConfig
from oarlock.node.errors import RecoveryError, ServerRemoved
from oarlock.node.quorum_loss import REMOVED, complete, tell
from oarlock.raft.types import DiskId, Index, SnapshotMetadata
from oarlock.storage.disk import DirectoryLock, Disk, make_directory
from oarlock.storage.identity import load_identity, load_or_create_identity
from oarlock.storage.origin import load_origin
from oarlock.storage.snapshots import SnapshotStore
from oarlock.storage.wal import Recovered, WriteAheadLog

logger = logging.getLogger(__name__)

_BOOT: Final = "boot"
_BOOT_BYTES: Final = 40
_START_ANEW: Final = (
    "remove this server from the cluster and add it again, with an empty directory; if only the directory is removed, "
    "the server joins anew, and its word counts for nothing until it has caught up and the leader has admitted it again"
)


class OpenedStorage(msgspec.Struct):
    """What lies under the data directory, opened; the machine aside."""

    lock: DirectoryLock
    wal: WriteAheadLog
    recovered: Recovered
    snapshots: SnapshotStore
    boot_epoch: int
    disk_id: DiskId
    """Tells this directory from every other that the server may have had."""

    def close(self) -> None:
        """Give everything back; blocking."""
        self.snapshots.close()
        self.wal.close()
        self.lock.release()


def open_storage(config: NodeConfig, disk: Disk, boot_epoch: int, new_disk_id: DiskId = 0) -> OpenedStorage:
    """Open or create what lies under `config.data_dir`; blocking.

    Args:
        config: Names the directory, the cluster and the server.
        disk: The files.
        boot_epoch: At least this; raised above that of the boot before.
        new_disk_id: What to call the directory if it has no disk id yet: random, never used before; 0 gives it none.

    Raises:
        ServerRemoved: This server was removed from the cluster.
        StorageError: The directory is in use, another server's, of a newer format, or damaged.
        OSError: The disk failed.
    """
    directory = Path(config.data_dir)
    make_directory(disk, directory)
    lock = disk.lock_directory(directory)
    try:
        if load_identity(disk, directory) is None:
            _make_log(config, disk, directory)
        identity = load_or_create_identity(disk, directory, config.cluster_id, config.server_id, new_disk_id)
        _refuse_removed(config, disk, directory)  # once it is known whose the mark is
        epoch = next_boot_epoch(disk, directory, boot_epoch)
        origin = load_origin(disk, directory, config.cluster_id)
        tell(origin)
        wal, recovered = _open_log(config, disk, directory, must_exist=True)
        try:
            recovered = complete(origin, wal, recovered)
            snapshots = SnapshotStore(disk, directory / "snapshots")
        except BaseException:
            wal.close()
            raise
    except BaseException:
        lock.release()
        raise
    return OpenedStorage(
        lock=lock,
        wal=wal,
        recovered=recovered,
        snapshots=snapshots,
        boot_epoch=epoch,
        disk_id=identity.disk_id,
    )


def _open_log(config: NodeConfig, disk: Disk, directory: Path, *, must_exist: bool) -> tuple[WriteAheadLog, Recovered]:
    return WriteAheadLog.open(
        disk,
        Path(config.wal_dir) if config.wal_dir else directory / "wal",
        segment_bytes=config.segment_bytes,
        log_id=config.server_id,
        must_exist=must_exist,
    )


def _make_log(config: NodeConfig, disk: Disk, directory: Path) -> None:
    """Begin the log with the servers the cluster was planned with; only then does the directory get its identity.

    So a directory with an identity always holds a log with a configuration, whenever the first start was killed.
    """
    wal, recovered = _open_log(config, disk, directory, must_exist=False)
    try:
        if not recovered.base.configuration.members:
            wal.append(base=SnapshotMetadata(configuration=config.initial_configuration()))
    finally:
        wal.close()


async def bring_together(
    opened: OpenedStorage,
    machine: StateMachine,
    data_dir: str,
    loop: asyncio.AbstractEventLoop,
    executor: Executor,
) -> Index:
    """See that log, snapshots and machine agree, and restore the machine where a crash left it behind.

    Args:
        opened: Log and snapshots.
        machine: As its own storage had it.
        data_dir: Named in messages.
        loop: The running loop.
        executor: Where a restore may block.

    Returns:
        The index the machine stands at, no-ops included.

    Raises:
        RecoveryError: They do not fit together.
        StorageError: The snapshot needed is damaged.
    """
    recovered = opened.recovered
    base = recovered.base.last_included_index
    last = base + len(recovered.entries)
    durable = machine.durable_index()
    if durable > last:
        raise RecoveryError(
            f"the data in {data_dir} stand at index {durable}, but the log ends at {last}: the log was lost or "
            f"replaced; {_START_ANEW}"
        )
    held = await loop.run_in_executor(executor, opened.snapshots.snapshots)
    usable = [stored.metadata for stored in held if _is_of_log(stored.metadata, recovered)]
    if durable < base or (durable == 0 and usable):
        if not usable:
            raise RecoveryError(
                f"the log in {data_dir} begins after index {base}, but the data stand at {durable} and no snapshot "
                f"leads from there to the log; {_START_ANEW}"
            )
        logger.info("restoring the machine from snapshot %d", usable[-1].last_included_index)
        await restore_machine(opened.snapshots, machine, usable[-1], loop, executor)
        durable = usable[-1].last_included_index
    applied = max(durable, base)
    logger.info(
        "recovered term %d, log %d to %d, machine at %d", recovered.hard_state.current_term, base, last, applied
    )
    return applied


def _is_of_log(snapshot: SnapshotMetadata, recovered: Recovered) -> bool:
    """Whether the log goes through the snapshot's last entry.

    A received snapshot whose base the log had not yet taken over may contradict the log: there, the log still counts.
    """
    index, base = snapshot.last_included_index, recovered.base
    if index == base.last_included_index:
        return snapshot.last_included_term == base.last_included_term
    position = index - base.last_included_index - 1
    if not 0 <= position < len(recovered.entries):
        return False
    return recovered.entries[position].term == snapshot.last_included_term


async def restore_machine(
    store: SnapshotStore,
    machine: StateMachine,
    metadata: SnapshotMetadata,
    loop: asyncio.AbstractEventLoop,
    executor: Executor,
) -> None:
    """Replace the machine's state by a stored snapshot, which is verified first.

    Raises:
        StorageError: The snapshot is damaged or not there.
        ValueError: The machine cannot read it.
    """
    source = await loop.run_in_executor(executor, store.open, metadata)
    try:
        await carry_out(machine.begin_restore(source, metadata.last_included_index), loop, executor)
    finally:
        source.close()


def _refuse_removed(config: NodeConfig, disk: Disk, directory: Path) -> None:
    if disk.exists(directory / REMOVED):
        raise ServerRemoved(
            f"this server, {config.server_id:x}, was removed from cluster {config.cluster_id:x}: remove {directory}, "
            f"and add the server anew"
        )


def mark_removed(config: NodeConfig, disk: Disk) -> None:
    """Note in the data directory that its server was removed from the cluster, so that it never starts again; blocking.

    Raises:
        OSError: The disk failed; it will then be told again.
    """
    directory = Path(config.data_dir)
    _write_aside(disk, directory, REMOVED, b"%x" % config.server_id)


def next_boot_epoch(disk: Disk, directory: Path, at_least: int) -> int:
    """Count this boot, durably: proposals of an earlier boot must not be taken for this one's (G28, G29).

    Args:
        disk: The files.
        directory: Of the server.
        at_least: A lower bound, above that of boots whose directory was lost.
    """
    path = directory / _BOOT
    last = _read_boot(disk, path)
    if last is None:
        last = _read_boot(disk, path)  # a disk that gave another place's bytes once gives the right ones now
    if last is None:
        logger.error("%s is damaged; this boot is counted by the date, and again if that turns out to be wrong", path)
        last = 0
    epoch = max(last + 1, at_least)
    _write_boot(disk, directory, epoch)
    return epoch


def raise_boot_epoch(config: NodeConfig, disk: Disk, epoch: int) -> None:
    """Have the next boot counted above this one, whatever its date; blocking.

    Raises:
        OSError: The disk failed.
    """
    directory = Path(config.data_dir)
    if (_read_boot(disk, directory / _BOOT) or 0) < epoch:
        _write_boot(disk, directory, epoch)


def _read_boot(disk: Disk, path: Path) -> int | None:
    """The last boot's number; 0 if there was none, None if it cannot be made out."""
    if not disk.exists(path):
        return 0
    file = disk.open(path)
    try:
        text = file.pread(_BOOT_BYTES, 0)
    finally:
        file.close()
    number, _, checksum = text.strip().partition(b" ")
    is_whole = number.isdigit() and checksum in (b"", _boot_checksum(number))  # earlier versions wrote none
    return int(number) if is_whole else None


def _write_boot(disk: Disk, directory: Path, epoch: int) -> None:
    number = b"%d" % epoch
    _write_aside(disk, directory, _BOOT, number + b" " + _boot_checksum(number))


def _boot_checksum(number: bytes) -> bytes:
    return b"%08x" % google_crc32c.value(number)


def _write_aside(disk: Disk, directory: Path, name: str, content: bytes) -> None:
    """Replace a small file, durably."""
    aside = directory / f"{name}.partial"
    file = disk.open(aside, create=True)
    try:
        file.truncate(0)
        file.pwrite(content, 0)
        file.fdatasync()
    finally:
        file.close()
    disk.rename(aside, directory / name)
    disk.fsync_directory(directory)
