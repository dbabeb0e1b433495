"""A data directory made from a backup: the file that etcd's Snapshot call sends, of ours or of etcd's servers.

The server is a member of a new cluster, whose members are named by whoever restores; what the file says of the old
one's members is left out. Its log begins behind entry 1, which stands for the whole backup. The cluster's id depends on
the members and on the backup, so servers that hold other data, or none, are refused as strangers, even if they were
started with the same flags.
"""

import hashlib
import logging
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from oarlock.etcd.machine import EtcdMachine
from oarlock.etcd.proto.rpc_pb2 import AlarmMember
from oarlock.etcd.services.cluster import cluster_id
from oarlock.mvcc.bbolt_reader import BadFileError, BboltFile
from oarlock.mvcc.errors import CorruptStoreError
from oarlock.mvcc.lmdb_backend import LmdbBackend
from oarlock.mvcc.loading import APPLIED_INDEX, APPLIED_TERM, FINISHED_COMPACTION, SCHEDULED_COMPACTION
from oarlock.mvcc.revision import REVISION_BYTES
from oarlock.mvcc.store import Store
from oarlock.raft.types import Configuration, HardState, ServerId, SnapshotMetadata
from oarlock.storage.disk import PosixDisk, make_directory
from oarlock.storage.identity import Identity, write_identity
from oarlock.storage.origin import Restored, write_origin
from oarlock.storage.wal import WriteAheadLog

logger = logging.getLogger(__name__)

_INDEX: Final = 1
_TERM: Final = 1
"""Of the entry that stands for the backup."""


class RestoreError(Exception):
    """The backup cannot be restored there, or in this way; the message says why."""


class Content(msgspec.Struct, frozen=True):
    """What was restored."""

    cluster_id: int
    revision: int
    compact_revision: int
    keys: int
    hash: int
    """HashKV at that revision, to be compared with what the old cluster had."""
    sha256: str


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Whose directory is to be made, and how."""

    server_id: ServerId
    members: dict[ServerId, tuple[str, ...]]
    """Every member of the new cluster, with its peer URLs."""
    skip_hash_check: bool = False
    """Take a file without a digest behind it, or with a wrong one."""
    bump_revision: int = 0
    """By how much the revision rises, so that clients that saw more than the backup holds see none fall."""
    without_auth: bool = False
    """Take a backup in which authentication is enabled, which is lost then."""


def restore(source: Path, directory: Path, wal_dir: Path | None, wanted: Wanted, now: datetime) -> Content:
    """Make a data directory from a backup; it is there whole and durable, or not at all.

    Args:
        source: The file.
        directory: The data directory; must not exist, or be empty.
        wal_dir: Of the log, where it is to be elsewhere; the same.
        wanted: Whose it is.
        now: The time, for the note in the directory.

    Raises:
        RestoreError: It cannot be restored in this way.
        MvccError: The file is damaged, or the database cannot be written.
        StorageError, OSError: The disk refuses.
    """
    for target in (directory, *([wal_dir] if wal_dir else ())):
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise RestoreError(f"{target} exists and is not empty: nothing was changed")
    aside = _aside(directory)
    log_aside = _aside(wal_dir) if wal_dir else aside / "wal"
    try:
        with BboltFile(source) as file:
            digest = _check(file, wanted)
            content = _write_database(file, aside / "db", wanted, digest)
        _write_log(log_aside, wanted)
        disk = PosixDisk()
        origin = Restored(
            cluster_id=content.cluster_id,
            server_id=wanted.server_id,
            at=now.isoformat(timespec="seconds"),
            source=source.name,
            sha256=content.sha256,
            revision=content.revision,
        )
        write_origin(disk, aside, origin)
        write_identity(disk, aside, Identity(content.cluster_id, wanted.server_id))
        if wal_dir:
            _put_in_place(log_aside, wal_dir)
            log_aside = wal_dir
        _put_in_place(aside, directory)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        shutil.rmtree(log_aside, ignore_errors=True)
        raise
    return content


def _aside(directory: Path) -> Path:
    """An empty directory beside the one that is to be made."""
    aside = directory.absolute().with_name(f"{directory.absolute().name}.restoring")
    if aside.exists():
        shutil.rmtree(aside)  # of an attempt that was killed
    make_directory(PosixDisk(), aside)
    return aside


def _put_in_place(aside: Path, directory: Path) -> None:
    disk = PosixDisk()
    disk.fsync_directory(aside)
    try:
        aside.rename(directory)
    except OSError as error:
        raise RestoreError(
            f"{directory} cannot be replaced by what was restored ({error.strerror}): if something is mounted there, "
            f"name a directory below it"
        ) from error
    disk.fsync_directory(directory.absolute().parent)


def _check(file: BboltFile, wanted: Wanted) -> bytes:
    """See that the file is whole, and that nothing would be lost unnoticed; gives its digest."""
    digest, matches = file.digest()
    if not matches and not wanted.skip_hash_check:
        if file.has_digest:
            raise BadFileError(f"{file.path} is damaged: its SHA-256 does not match")
        raise BadFileError(
            f"{file.path} has no SHA-256 at its end, as `snapshot save` writes: for a copy of a server's own database "
            f"give --skip-hash-check"
        )
    if "key" not in file.buckets or "meta" not in file.buckets:
        raise BadFileError(f"{file.path} is no backup of etcd: it has the buckets {', '.join(file.buckets) or 'none'}")
    if dict(file.items("auth")).get(b"authEnabled") == b"\x01" and not wanted.without_auth:
        raise RestoreError(
            f"in {file.path} authentication is enabled, which Oarlock does not have: everybody could read and write. "
            f"To restore it all the same give --without-auth"
        )
    return digest


def _write_database(file: BboltFile, directory: Path, wanted: Wanted, digest: bytes) -> Content:
    backend = LmdbBackend(directory)
    try:
        backend.replace(_records(file), _meta(file))
        try:
            store = Store(backend)
        except CorruptStoreError as error:
            raise BadFileError(f"{file.path} is damaged: {error}") from error
        machine = EtcdMachine(store, wanted.server_id)
        machine.alarms = dict.fromkeys(_alarms(file))
        if wanted.bump_revision:
            store.current_revision += wanted.bump_revision
            store.compact(store.current_revision)
        store.set_applied(_INDEX, _TERM)
        store.commit()
        found = store.hash_kv()
        keys = store.index.count(b"\0", b"\0")
        revision, compact_revision = store.current_revision, store.compact_revision
    finally:
        backend.close()
    if leases := sum(1 for _ in file.items("lease")):
        logger.warning("the backup holds %d leases, which Oarlock does not have yet: their keys stay", leases)
    members = b"%016x" % cluster_id(wanted.members)
    data = hashlib.sha256(members + digest + b"%d" % revision).digest()
    return Content(
        cluster_id=int.from_bytes(data[:8], "big") or 1,
        revision=revision,
        compact_revision=compact_revision,
        keys=keys,
        hash=found.hash,
        sha256=digest.hex(),
    )


def _records(file: BboltFile) -> Iterator[tuple[bytes, bytes]]:
    """Every revision with its KeyValue, in the form the store has them; the store looks into them when it opens."""
    for key, value in file.items("key"):
        is_revision = len(key) == REVISION_BYTES or (len(key) == REVISION_BYTES + 1 and key.endswith(b"t"))
        if not is_revision or key[8:9] != b"_":
            raise BadFileError(f"{file.path} is no backup of etcd: the key {key[:64].hex()} is no revision")
        yield key, value


def _meta(file: BboltFile) -> dict[str, bytes]:
    found = {key.decode(errors="replace"): value for key, value in file.items("meta")}
    kept = {name: found[name] for name in (SCHEDULED_COMPACTION, FINISHED_COMPACTION) if name in found}
    for name, value in kept.items():
        if len(value) != REVISION_BYTES:
            raise BadFileError(f"{file.path} is no backup of etcd: its {name} has {len(value)} bytes")
    return kept | {APPLIED_INDEX: _INDEX.to_bytes(8, "big"), APPLIED_TERM: _TERM.to_bytes(8, "big")}


def _alarms(file: BboltFile) -> Iterator[tuple[int, int]]:
    for key, _ in file.items("alarm"):
        alarm = AlarmMember.FromString(key)
        logger.warning("the backup holds a raised alarm (%d): `etcdctl alarm disarm` ends it", alarm.alarm)
        yield alarm.alarm, alarm.memberID


def _write_log(directory: Path, wanted: Wanted) -> None:
    """A log that begins behind the entry that stands for the backup."""
    configuration = Configuration(
        voters=frozenset(wanted.members),
        addresses=tuple((server_id, wanted.members[server_id]) for server_id in sorted(wanted.members)),
    )
    wal, _ = WriteAheadLog.open(PosixDisk(), directory, log_id=wanted.server_id)
    try:
        wal.append(base=SnapshotMetadata(_INDEX, _TERM, configuration), hard_state=HardState(_TERM, None))
    finally:
        wal.close()
