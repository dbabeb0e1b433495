"""Compaction: what is refused at once, what goes when, and what a crash in between leaves."""

from itertools import pairwise

import pytest
from tests.mvcc.stores import commit_all, delete, put, write

from oarlock.mvcc import compaction
from oarlock.mvcc.errors import CompactedError, FutureRevisionError
from oarlock.mvcc.keyvalue import decode_key_value
from oarlock.mvcc.memory_backend import MemoryBackend
from oarlock.mvcc.ranges import RangeOptions
from oarlock.mvcc.revision import revision_key, tombstone_key
from oarlock.mvcc.store import Store


def _stored(store: Store) -> list[bytes]:
    view = store.begin_view()
    try:
        return [key for key, _ in view.records()]
    finally:
        view.close()


def test_bounds(store: Store) -> None:
    """At or below the compact revision is compacted, above the current is future, the current is fine."""
    put(store, b"k")
    put(store, b"k")
    with pytest.raises(FutureRevisionError):
        store.compact(4)
    store.compact(3)
    assert store.compact_revision == 3
    for revision in (3, 2, 0):
        with pytest.raises(CompactedError):
            store.compact(revision)


def test_keeps_what_later_readers_see(store: Store) -> None:
    """Superseded revisions go, the one that a reader at the compact revision sees stays."""
    for value in (b"1", b"2", b"3", b"4"):
        put(store, b"k", value)
    store.commit()
    store.compact(4)
    commit_all(store)
    assert _stored(store) == [revision_key(4, 0), revision_key(5, 0)]
    assert decode_key_value(store.range(b"k", b"", RangeOptions(revision=4)).kvs[0]).value == b"3"
    assert store.get_key_value(b"k").version == 4  # type: ignore[union-attr]


def test_deleted_key_goes_whole(store: Store) -> None:
    """A key deleted before the compact revision leaves nothing behind."""
    put(store, b"k")
    delete(store, b"k")
    put(store, b"other")
    store.compact(4)
    commit_all(store)
    assert _stored(store) == [revision_key(4, 0)]
    assert b"k" not in store.index.entries
    assert put(store, b"k") == 5


def test_tombstone_at_the_compact_revision_stays(store: Store) -> None:
    """A watch may start at the compact revision, so a deletion there is kept until the next compaction."""
    put(store, b"k")
    delete(store, b"k")
    store.compact(3)
    commit_all(store)
    assert _stored(store) == [tombstone_key(3, 0)]
    assert store.range(b"\0", b"\0", RangeOptions(revision=3)).count == 0
    put(store, b"other")
    store.compact(4)
    commit_all(store)
    assert _stored(store) == [revision_key(4, 0)]


def test_old_generations_go(store: Store) -> None:
    """Of a key deleted and created again, only the generation in force is left."""
    put(store, b"k", b"1")
    delete(store, b"k")
    put(store, b"k", b"2")
    put(store, b"k", b"3")
    store.compact(4)
    commit_all(store)
    assert _stored(store) == [revision_key(4, 0), revision_key(5, 0)]


def test_tombstone_between_generations_goes(store: Store) -> None:
    """A deletion before the compact revision goes even if the key was created again after it."""
    put(store, b"k", b"1")
    delete(store, b"k")
    put(store, b"other")
    put(store, b"k", b"2")
    store.compact(4)
    commit_all(store)
    assert _stored(store) == [revision_key(4, 0), revision_key(5, 0)]
    assert store.range(b"k", b"", RangeOptions(revision=4)).count == 0


def test_uncommitted_records_never_reach_the_database(store: Store) -> None:
    """What is compacted before it was committed is simply not written."""
    put(store, b"k", b"1")
    put(store, b"k", b"2")
    store.compact(3)
    store.commit()
    assert _stored(store) == [revision_key(3, 0)]
    assert not store.compaction_pending


def test_dropped_buffer_records_weigh_nothing(store: Store) -> None:
    """The size of what waits to be committed falls with what a compaction takes out of it."""
    for _ in range(5):
        put(store, b"k", b"v" * 1000)
    store.compact(6)
    commit = store.begin_commit()
    assert commit is not None
    commit.abandon()
    assert store.buffer.size_bytes == sum(map(len, next(iter(store.buffer.records.items()))))


def test_view_leaves_out_what_is_being_dropped(store: Store) -> None:
    """A view pinned while a finished compaction is still on its way to the database shows it finished."""
    for value in (b"1", b"2", b"3"):
        put(store, b"k", value)
    store.commit()
    store.compact(4)
    commit = store.begin_commit()
    assert commit is not None
    assert _stored(store) == [revision_key(4, 0)]
    commit.run()
    commit.finish()
    assert _stored(store) == [revision_key(4, 0)]


def test_goes_on_in_slices(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each commit drops a bounded number of revisions; reads and hashes do not change meanwhile."""
    monkeypatch.setattr(compaction, "SLICE_REVISIONS", 3)
    for number in range(20):
        put(store, b"hot", b"%d" % number)
        put(store, b"k%d" % (number % 5))
    delete(store, b"k1")
    store.commit()
    store.compact(store.current_revision)
    expected = store.hash_kv()
    left = [len(_stored(store))]
    while store.compaction_pending:
        store.commit()
        left.append(len(_stored(store)))
        assert store.hash_kv() == expected
        assert store.range(b"\0", b"\0").count == 5
    assert len(left) > 8
    assert all(0 <= before - after <= 4 for before, after in pairwise(left))
    assert left[-1] == 6, "five keys and the tombstone at the compact revision"
    assert store.finished_compaction == store.compact_revision


def test_later_compaction_takes_over(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A compaction scheduled before the last one is done finishes both."""
    monkeypatch.setattr(compaction, "SLICE_REVISIONS", 2)
    for number in range(12):
        put(store, b"k", b"%d" % number)
    store.compact(6)
    store.commit()
    assert store.compaction_pending
    store.compact(12)
    commit_all(store)
    assert _stored(store) == [revision_key(12, 0), revision_key(13, 0)]
    assert store.finished_compaction == 12


@pytest.mark.parametrize("commits", range(8))
def test_resumes_after_a_crash(monkeypatch: pytest.MonkeyPatch, commits: int) -> None:
    """Wherever a crash interrupts it, a compaction is finished by the next start, to the same end."""
    monkeypatch.setattr(compaction, "SLICE_REVISIONS", 2)
    backend = MemoryBackend()
    store = Store(backend)
    for number in range(8):
        put(store, b"a", b"%d" % number)
        write(store, [(b"b", b"x"), (b"c", b"y")] if number % 3 else [(b"b", None, b"d")])
    store.commit()
    store.compact(12)
    expected = store.hash_kv()
    for _ in range(commits):
        store.commit()
    again = Store(backend)
    if commits:
        assert again.compact_revision == 12
    else:
        again.compact(12)
    assert again.hash_kv() == expected
    commit_all(again)
    commit_all(store)
    assert again.hash_kv() == expected
    assert _stored(again) == _stored(store)
    assert again.current_revision == store.current_revision


def test_revision_survives_when_every_record_is_gone(store: Store) -> None:
    """A store compacted to nothing does not fall back to earlier revisions."""
    put(store, b"k")
    delete(store, b"k")
    put(store, b"l")
    delete(store, b"l")
    store.compact(5)
    commit_all(store)
    reopened = Store(store.backend)
    assert (reopened.current_revision, reopened.compact_revision) == (5, 5)
