"""Reading a database into memory: the key index, the revisions, the meta."""

import msgspec

from oarlock.mvcc.backend import Backend
from oarlock.mvcc.errors import CorruptStoreError
from oarlock.mvcc.index import KeyEntry, KeyIndex
from oarlock.mvcc.keyvalue import decode_key, decode_without_value
from oarlock.mvcc.revision import encode_key, main_of

SCHEDULED_COMPACTION = "scheduledCompactRev"
FINISHED_COMPACTION = "finishedCompactRev"
APPLIED_INDEX = "consistent_index"
APPLIED_TERM = "term"
"""Names in `meta`, the same as in etcd's bucket of that name."""

NEVER_COMPACTED = -1
"""The compact revision of a store that was never compacted, as etcd shows it."""


class Loaded(msgspec.Struct):
    """A database's content, as far as the store keeps it in memory."""

    index: KeyIndex
    meta: dict[str, bytes]
    current_revision: int
    scheduled_compaction: int
    finished_compaction: int
    applied_index: int
    applied_term: int


def load(backend: Backend) -> Loaded:
    """Scan a whole database; blocking, about two microseconds a record.

    Raises:
        CorruptStoreError: a record is not what the store writes.
    """
    view = backend.begin_view()
    try:
        meta = view.meta()
        entries: dict[bytes, KeyEntry] = {}
        latest: dict[bytes, bytes] = {}
        revision_key = b""
        for revision_key, data in view.records():
            key = decode_key(data)
            revision = encode_key(revision_key)
            entry = entries.get(key)
            if entry is None:
                entries[key] = KeyEntry(revision, 0, 0)
            elif entry.older is None:
                entry.older = [entry.modified]
                entry.modified = revision
            else:
                entry.older.append(entry.modified)
                entry.modified = revision
            if revision & 1:
                latest.pop(key, None)
            else:
                latest[key] = data
    except (IndexError, ValueError) as error:
        raise CorruptStoreError(f"record {revision_key.hex()} cannot be read: {error}") from error
    finally:
        view.close()
    for key, data in latest.items():
        found = decode_without_value(data)
        entries[key].created, entries[key].version = found.create_revision, found.version
    scheduled = _compact_revision(meta, SCHEDULED_COMPACTION)
    finished = _compact_revision(meta, FINISHED_COMPACTION)
    return Loaded(
        index=KeyIndex.build(entries),
        meta=meta,
        current_revision=max(1, main_of(revision_key) if revision_key else 1, scheduled, finished),
        scheduled_compaction=scheduled,
        finished_compaction=finished,
        applied_index=_number(meta, APPLIED_INDEX),
        applied_term=_number(meta, APPLIED_TERM),
    )


def _compact_revision(meta: dict[str, bytes], name: str) -> int:
    data = meta.get(name)
    return NEVER_COMPACTED if data is None else main_of(data)


def _number(meta: dict[str, bytes], name: str) -> int:
    data = meta.get(name, b"")
    if len(data) not in (0, 8):
        raise CorruptStoreError(f"meta {name!r} holds {len(data)} bytes instead of 8")
    return int.from_bytes(data, "big")
