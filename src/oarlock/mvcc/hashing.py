"""The two hashes by which servers compare their content; both run over a view, in any thread.

HashKV is etcd's, bit for bit (server/mvcc/kvstore.go, HashByRev): CRC32C over the bucket's name and then every record
up to a revision, leaving out what the last compaction may have taken already.
"""

from collections.abc import Iterable

import google_crc32c
import msgspec

from oarlock.mvcc.errors import CompactedError, FutureRevisionError
from oarlock.mvcc.keyvalue import decode_key
from oarlock.mvcc.loading import APPLIED_INDEX, APPLIED_TERM, FINISHED_COMPACTION
from oarlock.mvcc.revision import is_tombstone, revision_key
from oarlock.mvcc.view import View

_CHUNK_RECORDS = 1024
"""Records joined before the CRC takes them in; one call per record would cost more than the CRC."""


class KeyValueHash(msgspec.Struct, frozen=True):
    """The answer to HashKV."""

    hash: int
    compact_revision: int
    """-1 when the store was never compacted."""
    hash_revision: int
    """The revision up to which records were hashed."""
    current_revision: int


def hash_kv(view: View, revision: int = 0) -> KeyValueHash:
    """Hash every record up to `revision`, 0 for the view's current one.

    Raises:
        CompactedError: `revision` lies below the compact revision.
        FutureRevisionError: it has not been written yet.
    """
    if 0 < revision < view.compact_revision:
        raise CompactedError(view.compact_revision)
    if revision > view.current_revision:
        raise FutureRevisionError(view.current_revision)
    upto = revision if revision > 0 else view.current_revision
    after = revision_key(upto + 1, 0)
    compacted_before = revision_key(view.compact_revision + 1, 0) if view.compact_revision >= 0 else b""
    keep = _kept(view, after, compacted_before) if compacted_before else frozenset()
    crc: int = google_crc32c.extend(0, b"key")
    chunk: list[bytes] = []
    for key, data in view.records():
        if key >= after:
            break
        if key < compacted_before and key not in keep:
            continue
        chunk += (key, data)
        if len(chunk) >= 2 * _CHUNK_RECORDS:
            crc = google_crc32c.extend(crc, b"".join(chunk))
            chunk.clear()
    crc = google_crc32c.extend(crc, b"".join(chunk))
    return KeyValueHash(crc, view.compact_revision, upto, view.current_revision)


def hash_view(view: View) -> int:
    """CRC32C over every record and the meta that all servers share, whatever a compaction has scrubbed so far."""
    crc: int = google_crc32c.extend(0, hash_kv(view).hash.to_bytes(4, "big"))
    # The applied index moves with entries that change nothing, and scrubbing has its own pace on each server.
    private = {APPLIED_INDEX, APPLIED_TERM, FINISHED_COMPACTION}
    for name in sorted(view.meta.keys() - private):
        crc = google_crc32c.extend(crc, name.encode() + b"\0" + view.meta[name])
    return crc


def _kept(view: View, after: bytes, compacted_before: bytes) -> frozenset[bytes]:
    """The records at or below the compact revision that count.

    Those that a reader at the hash's revision sees. If such a reader sees nothing at all, etcd leaves nothing out, and
    then those count that the compaction left: what a reader at the compact revision sees.
    """
    seen: dict[bytes, bytes] = {}
    at_compaction: Iterable[bytes] = ()
    crossed = False
    for key, data in view.records():
        if not crossed and key >= compacted_before:
            crossed = True
            at_compaction = list(seen.values())
        if key >= after:
            break
        if is_tombstone(key):
            seen.pop(decode_key(data), None)
        else:
            seen[decode_key(data)] = key
    if not crossed:
        at_compaction = seen.values()
    return frozenset(seen.values() if seen else at_compaction)
