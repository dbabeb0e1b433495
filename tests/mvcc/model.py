"""A store so naive that it is plainly right: every change ever made, searched from the beginning each time."""

from collections.abc import Iterable

import google_crc32c
from tests.mvcc.stores import Operation

from oarlock.etcd.proto import kv_pb2
from oarlock.mvcc.keyvalue import KeyValue
from oarlock.mvcc.revision import revision_key, tombstone_key


def inside(key: bytes, first: bytes, range_end: bytes) -> bool:
    """Whether a key lies in a range, in etcd's forms of one."""
    if not range_end:
        return key == first
    return key >= first and (range_end == b"\0" or key < range_end)


class Model:
    """Changes as (main, sub, the KeyValue or the key deleted)."""

    def __init__(self) -> None:
        self.changes: list[tuple[int, int, KeyValue | bytes]] = []
        self.current = 1
        self.compacted = -1

    def copy(self) -> "Model":
        twin = Model()
        twin.changes, twin.current, twin.compacted = list(self.changes), self.current, self.compacted
        return twin

    def write(self, operations: Iterable[Operation]) -> int:
        """Apply a transaction; gives the revision after it."""
        main, sub = self.current + 1, 0
        for operation in operations:
            now = self.visible(main)
            key = operation[0]
            if operation[1] is None:
                for found in sorted(now):
                    if inside(found, key, operation[2]):
                        self.changes.append((main, sub, found))
                        sub += 1
            else:
                lease = operation[2] if len(operation) > 2 else 0
                old = now.get(key)
                created, version = (old.create_revision, old.version + 1) if old else (main, 1)
                self.changes.append((main, sub, KeyValue(key, created, main, version, operation[1], lease)))
                sub += 1
        if sub:
            self.current = main
        return self.current

    def visible(self, revision: int) -> dict[bytes, KeyValue]:
        """What exists at a revision."""
        seen: dict[bytes, KeyValue] = {}
        for main, _, change in self.changes:
            if main > revision:
                break
            if isinstance(change, bytes):
                seen.pop(change, None)
            else:
                seen[change.key] = change
        return seen

    def range(self, key: bytes, range_end: bytes, revision: int) -> list[KeyValue]:
        """A range at a revision, in key order."""
        seen = self.visible(revision)
        return [seen[found] for found in sorted(seen) if inside(found, key, range_end)]

    def hash_kv(self, revision: int) -> int:
        """HashKV by its definition."""
        kept = {(kv.mod_revision, kv.key) for kv in self.visible(revision).values()}
        if not kept:
            kept = {(kv.mod_revision, kv.key) for kv in self.visible(self.compacted).values()}
        last = {(main, _key_of(change)): sub for main, sub, change in self.changes}
        data = b"key"
        for main, sub, change in self.changes:
            named = (main, _key_of(change))
            if main > revision or (main <= self.compacted and (named not in kept or last[named] != sub)):
                continue
            data += tombstone_key(main, sub) if isinstance(change, bytes) else revision_key(main, sub)
            data += _marshalled(change)
        return google_crc32c.value(data)


def _key_of(change: KeyValue | bytes) -> bytes:
    return change if isinstance(change, bytes) else change.key


def _marshalled(change: KeyValue | bytes) -> bytes:
    if isinstance(change, bytes):
        return kv_pb2.KeyValue(key=change).SerializeToString()
    return kv_pb2.KeyValue(
        key=change.key,
        create_revision=change.create_revision,
        mod_revision=change.mod_revision,
        version=change.version,
        value=change.value,
        lease=change.lease,
    ).SerializeToString()
