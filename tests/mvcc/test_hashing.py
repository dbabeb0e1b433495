"""HashKV against its definition, and the hash of everything."""

import google_crc32c
import pytest
from tests.mvcc.model import Model
from tests.mvcc.stores import commit_all, delete, put

from oarlock.mvcc.errors import CompactedError, FutureRevisionError
from oarlock.mvcc.keyvalue import encode_key_value
from oarlock.mvcc.revision import revision_key
from oarlock.mvcc.store import Store


def test_is_the_crc_of_the_records(store: Store) -> None:
    """CRC32C over "key" and every revision key with its KeyValue; the answer names the revisions."""
    assert store.hash_kv().hash == google_crc32c.value(b"key")
    put(store, b"a", b"1")
    put(store, b"b", b"2")
    first = revision_key(2, 0) + encode_key_value(b"a", 2, 2, 1, b"1", 0)
    second = revision_key(3, 0) + encode_key_value(b"b", 3, 3, 1, b"2", 0)
    at_two = store.hash_kv(2)
    assert at_two.hash == google_crc32c.value(b"key" + first)
    assert (at_two.hash_revision, at_two.current_revision, at_two.compact_revision) == (2, 3, -1)
    assert store.hash_kv(0).hash == store.hash_kv(3).hash == google_crc32c.value(b"key" + first + second)


def test_bounds(store: Store) -> None:
    """A future revision and one below the compact revision have no hash."""
    for _ in range(3):
        put(store, b"k")
    with pytest.raises(FutureRevisionError):
        store.hash_kv(5)
    store.compact(3)
    assert store.hash_kv(3).hash_revision == 3
    with pytest.raises(CompactedError):
        store.hash_kv(2)


def test_scrubbing_leaves_it_alone(store: Store) -> None:
    """Before and after the records of a compaction are gone the hash is the same, at every revision."""
    model = Model()
    for number in range(12):
        operations = [(b"k%d" % (number % 3), b"%d" % number)]
        model.write(operations)
        put(store, *operations[0])
    delete(store, b"k1")
    model.write([(b"k1", None, b"")])
    store.commit()
    store.compact(8)
    model.compacted = 8
    before = [store.hash_kv(revision).hash for revision in range(8, 15)]
    assert before == [model.hash_kv(revision) for revision in range(8, 15)]
    commit_all(store)
    assert [store.hash_kv(revision).hash for revision in range(8, 15)] == before


def test_store_without_keys_leaves_nothing_out(store: Store) -> None:
    """When the hash's revision sees no key, etcd counts what the compaction left below it; so it is here."""
    put(store, b"k", b"1")
    put(store, b"k", b"2")
    delete(store, b"k")
    store.compact(3)
    kept = revision_key(3, 0) + encode_key_value(b"k", 2, 3, 2, b"2", 0)
    tombstone = revision_key(4, 0) + b"t" + b"\n\1k"
    assert store.hash_kv(4).hash == google_crc32c.value(b"key" + kept + tombstone)
    commit_all(store)
    assert store.hash_kv(4).hash == google_crc32c.value(b"key" + kept + tombstone)


def test_hash_of_everything(store: Store) -> None:
    """It changes with records and shared meta, not with what each server has of its own."""
    put(store, b"k")
    put(store, b"k")
    store.set_applied(3, 1)
    before = store.hash()
    store.set_applied(9, 2)
    store.commit()
    assert store.hash() == before
    store.set_extra("alarms", b"1")
    changed = store.hash()
    assert changed != before
    store.compact(3)
    compacted = store.hash()
    commit_all(store)
    assert store.hash() == compacted
    put(store, b"k")
    assert store.hash() != compacted
