"""The multi-version key-value store: etcd's revisions, ranges, transactions, compaction and hashes, on LMDB."""

from oarlock.mvcc.backend import Backend, Batch
from oarlock.mvcc.errors import (
    CompactedError,
    CorruptSnapshotError,
    CorruptStoreError,
    FutureRevisionError,
    MvccError,
    StorageBusyError,
    StorageFailedError,
    StorageFullError,
    StoreClosedError,
)
from oarlock.mvcc.hashing import KeyValueHash, hash_kv, hash_view
from oarlock.mvcc.keyvalue import KeyValue, decode_key_value, encode_key_value
from oarlock.mvcc.lmdb_backend import LmdbBackend
from oarlock.mvcc.memory_backend import MemoryBackend
from oarlock.mvcc.ranges import RangeOptions, RangeResult, SortOrder, SortTarget
from oarlock.mvcc.snapshot import write_snapshot
from oarlock.mvcc.store import Commit, Store
from oarlock.mvcc.transaction import WriteTransaction
from oarlock.mvcc.view import View

__all__ = [
    "Backend",
    "Batch",
    "Commit",
    "CompactedError",
    "CorruptSnapshotError",
    "CorruptStoreError",
    "FutureRevisionError",
    "KeyValue",
    "KeyValueHash",
    "LmdbBackend",
    "MemoryBackend",
    "MvccError",
    "RangeOptions",
    "RangeResult",
    "SortOrder",
    "SortTarget",
    "StorageBusyError",
    "StorageFailedError",
    "StorageFullError",
    "Store",
    "StoreClosedError",
    "View",
    "WriteTransaction",
    "decode_key_value",
    "encode_key_value",
    "hash_kv",
    "hash_view",
    "write_snapshot",
]
