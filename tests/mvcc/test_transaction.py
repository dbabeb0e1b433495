"""Write transactions: versions, sub-revisions, own writes, what moves the revision."""

import pytest
from tests.mvcc.stores import delete, put, write

from oarlock.mvcc.errors import FutureRevisionError
from oarlock.mvcc.keyvalue import KeyValue, decode_key_value
from oarlock.mvcc.ranges import RangeOptions
from oarlock.mvcc.revision import revision_key, tombstone_key
from oarlock.mvcc.store import Store


def test_first_write_is_revision_two(store: Store) -> None:
    """An empty store stands at revision 1, its first write at 2, as etcd's."""
    assert store.current_revision == 1
    assert store.compact_revision == -1
    assert put(store, b"k") == 2


def test_versions_count_until_deletion(store: Store) -> None:
    """Each put raises the version; a deletion ends the generation and the next put starts at 1."""
    put(store, b"k", b"1")
    put(store, b"k", b"1")
    assert store.get_key_value(b"k") == KeyValue(b"k", 2, 3, 2, b"1")
    assert delete(store, b"k") == 4
    assert store.get(b"k") is None
    assert put(store, b"k", b"2") == 5
    assert store.get_key_value(b"k") == KeyValue(b"k", 5, 5, 1, b"2")


def test_lease_is_of_the_last_put(store: Store) -> None:
    """A put without a lease detaches the key from the one it had; negative leases are allowed."""
    put(store, b"k", b"v", -3)
    assert store.get_key_value(b"k") == KeyValue(b"k", 2, 2, 1, b"v", -3)
    put(store, b"k", b"v")
    assert store.get_key_value(b"k") == KeyValue(b"k", 2, 3, 2, b"v", 0)


def test_nothing_written_moves_nothing(store: Store) -> None:
    """Deleting what is not there leaves the revision alone."""
    put(store, b"k")
    assert delete(store, b"absent") == 2
    assert delete(store, b"x", b"z") == 2
    transaction = store.begin_write()
    transaction.range(b"k")
    assert transaction.end() == 2


def test_one_transaction_is_one_revision(store: Store) -> None:
    """All changes of a transaction share the main revision; the sub-revision tells their order."""
    put(store, b"old")
    assert write(store, [(b"b", b"1"), (b"a", b"2"), (b"old", None, b"")]) == 3
    assert list(store.buffer.records)[1:] == [revision_key(3, 0), revision_key(3, 1), tombstone_key(3, 2)]
    assert store.get_key_value(b"a") == KeyValue(b"a", 3, 3, 1, b"2")


def test_delete_range_deletes_in_key_order(store: Store) -> None:
    """Every key of the range that exists gets its tombstone, ascending, and the count is returned."""
    write(store, [(b"c", b"1"), (b"a", b"1"), (b"b", b"1"), (b"d", b"1")])
    delete(store, b"b")
    transaction = store.begin_write()
    assert transaction.delete_range(b"a", b"d") == 2
    assert transaction.end() == 4
    deleted = [decode_key_value(data).key for key, data in store.buffer.records.items() if key > revision_key(4, 0)]
    assert deleted == [b"a", b"c"]
    assert store.range(b"\0", b"\0").count == 1


def test_transaction_sees_its_own_writes(store: Store) -> None:
    """Reads in it see what it wrote and the new revision, but before its first write the old one."""
    put(store, b"k", b"0")
    transaction = store.begin_write()
    assert transaction.range(b"k").revision == 2
    with pytest.raises(FutureRevisionError):
        transaction.range(b"k", b"", RangeOptions(revision=3))
    transaction.put(b"k", b"1")
    result = transaction.range(b"k")
    assert (result.revision, decode_key_value(result.kvs[0]).value) == (3, b"1")
    old = transaction.range(b"k", b"", RangeOptions(revision=2))
    assert decode_key_value(old.kvs[0]).value == b"0"
    assert transaction.delete_range(b"k") == 1
    assert transaction.get(b"k") is None
    assert transaction.end() == 3


def test_key_twice_in_one_revision(store: Store) -> None:
    """A key put, deleted and put again in one transaction ends as new, and older revisions stay readable."""
    put(store, b"k", b"0")
    write(store, [(b"k", b"1"), (b"k", None, b""), (b"k", b"2")])
    assert store.get_key_value(b"k") == KeyValue(b"k", 3, 3, 1, b"2")
    old = store.range(b"k", b"", RangeOptions(revision=2))
    assert decode_key_value(old.kvs[0]).value == b"0"


def test_events_tell_every_change(store: Store) -> None:
    """Whoever listens gets each transaction's changes once, with revision keys, at its end."""
    put(store, b"before")
    told: list[tuple[int, list[tuple[bytes, bytes]]]] = []
    store.on_events = lambda revision, events: told.append((revision, events))
    write(store, [(b"a", b"1"), (b"before", None, b"")])
    delete(store, b"absent")
    assert [(revision, [key for key, _ in events]) for revision, events in told] == [
        (3, [revision_key(3, 0), tombstone_key(3, 1)])
    ]
    assert [decode_key_value(data).key for _, data in told[0][1]] == [b"a", b"before"]
