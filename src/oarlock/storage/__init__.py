"""The log, snapshots and identity on disk."""

from oarlock.storage.batches import Batch
from oarlock.storage.disk import Disk, File, PosixDisk
from oarlock.storage.errors import (
    CorruptIdentity,
    CorruptLog,
    CorruptSnapshot,
    DirectoryLocked,
    DiskFull,
    LogMissing,
    NewerFormat,
    OutOfOrderChunk,
    ReadFailed,
    SnapshotNotFound,
    StorageError,
    WriteFailed,
    WrongIdentity,
)
from oarlock.storage.identity import Identity, load_identity, load_or_create_identity
from oarlock.storage.snapshots import SnapshotStore, StoredSnapshot
from oarlock.storage.wal import Recovered, WriteAheadLog

__all__ = [
    "Batch",
    "CorruptIdentity",
    "CorruptLog",
    "CorruptSnapshot",
    "DirectoryLocked",
    "Disk",
    "DiskFull",
    "File",
    "Identity",
    "LogMissing",
    "NewerFormat",
    "OutOfOrderChunk",
    "PosixDisk",
    "ReadFailed",
    "Recovered",
    "SnapshotNotFound",
    "SnapshotStore",
    "StorageError",
    "StoredSnapshot",
    "WriteAheadLog",
    "WriteFailed",
    "WrongIdentity",
    "load_identity",
    "load_or_create_identity",
]
