"""Snapshots: a pinned view, its stream, and replacing everything by one."""

import io
import struct

import pytest
from tests.mvcc.stores import commit_all, delete, put, write

from oarlock.mvcc.errors import CorruptSnapshotError, MvccError
from oarlock.mvcc.hashing import hash_kv
from oarlock.mvcc.lmdb_backend import LmdbBackend
from oarlock.mvcc.memory_backend import MemoryBackend
from oarlock.mvcc.snapshot import MAGIC, write_snapshot
from oarlock.mvcc.store import Store


def _image(store: Store) -> bytes:
    view = store.begin_view()
    try:
        out = io.BytesIO()
        write_snapshot(view, out)
        return out.getvalue()
    finally:
        view.close()


@pytest.fixture
def filled(store: Store) -> Store:
    """Some keys, partly committed, a compaction under way, extra meta."""
    for number in range(40):
        put(store, b"k%d" % (number % 7), b"%d" % number)
    store.commit()
    delete(store, b"k3")
    write(store, [(b"x", b"1", 9), (b"y", b"2")])
    store.compact(20)
    store.set_extra("members", b"three")
    store.set_applied(50, 4)
    return store


def test_view_is_of_its_moment(filled: Store) -> None:
    """What is written, committed, compacted after a view is pinned does not show in it."""
    expected = filled.hash_kv().hash
    view = filled.begin_view()
    put(filled, b"later")
    filled.compact(filled.current_revision)
    commit_all(filled)
    put(filled, b"later still")
    assert hash_kv(view).hash == expected
    assert (view.applied_index, view.applied_term, view.current_revision, view.compact_revision) == (50, 4, 43, 20)
    view.close()
    view.close()


def test_view_between_write_and_finish_of_a_commit(store: Store) -> None:
    """Records that reached the database but still stand in the buffer appear once."""
    put(store, b"a")
    commit = store.begin_commit()
    assert commit is not None
    put(store, b"b")
    commit.run()
    view = store.begin_view()
    assert [key[7] for key, _ in view.records()] == [2, 3]
    view.close()
    commit.finish()


def test_restores_to_the_same(filled: Store) -> None:
    """A restored store has the same records, revisions, meta and applied index, and finishes the compaction."""
    image = _image(filled)
    other = Store(MemoryBackend())
    put(other, b"to be replaced")
    other.restore(io.BytesIO(image))
    assert other.hash_kv() == filled.hash_kv()
    assert other.hash() == filled.hash()
    assert (other.applied_index, other.applied_term, other.durable_index) == (50, 4, 50)
    assert (other.current_revision, other.compact_revision) == (43, 20)
    assert other.get_extra("members") == b"three"
    assert other.get(b"to be replaced") is None
    commit_all(other)
    commit_all(filled)
    assert _image(other) == _image(filled)


def test_restore_is_durable(filled: Store, tmp_path) -> None:
    """What was restored is there after a restart; the old content's file is gone."""
    store = Store(LmdbBackend(tmp_path / "other"))
    put(store, b"old")
    store.commit()
    store.restore(io.BytesIO(_image(filled)))
    expected = store.hash_kv()
    store.close()
    assert sorted(path.name for path in (tmp_path / "other").iterdir()) == [
        "CURRENT",
        "store-000002.mdb",
        "store-000002.mdb-lock",
    ]
    store = Store(LmdbBackend(tmp_path / "other"))
    assert store.hash_kv() == expected == filled.hash_kv()
    store.close()


def test_damage_is_found_and_replaces_nothing(filled: Store) -> None:
    """A stream with any byte changed, or cut anywhere, is refused, and the store goes on with what it has."""
    image = _image(filled)
    other = Store(MemoryBackend())
    put(other, b"kept")
    expected = other.hash_kv()
    damaged = [image[:at] + bytes([image[at] ^ 1]) + image[at + 1 :] for at in range(0, len(image), 7)]
    for data in [*damaged, *(image[:length] for length in range(0, len(image), 11)), b"", b"nonsense" * 100]:
        with pytest.raises(CorruptSnapshotError):
            other.restore(io.BytesIO(data))
    assert other.hash_kv() == expected
    put(other, b"goes on")
    other.commit()


@pytest.mark.parametrize(
    ("frame", "complaint"),
    [
        (struct.pack(">BII", 9, 1, 1) + b"ab", "unknown kind 9"),
        (struct.pack(">BII", 2, 1, 1) + b"ab", "out of order"),
        ((struct.pack(">BII", 2, 17, 0) + bytes(16) + b"1") * 2, "out of order"),
        (struct.pack(">BII", 2, 1 << 20, 0), "claims a length"),
        (struct.pack(">BII", 1, 1, 1 << 31), "claims a length"),
        (struct.pack(">BII", 1, 1, 0) + b"\xff", "no UTF-8"),
    ],
)
def test_nonsense_is_named(frame: bytes, complaint: str) -> None:
    """A frame that no store writes is refused with what is wrong, without asking for its memory."""
    with pytest.raises(CorruptSnapshotError, match=complaint):
        Store(MemoryBackend()).restore(io.BytesIO(MAGIC + frame))


def test_no_commit_beside_a_restore(store: Store) -> None:
    """While the content is being replaced commits wait, and a restore waits for a commit."""
    put(store, b"a")
    commit = store.begin_commit()
    with pytest.raises(MvccError, match="under way"):
        store.begin_restore(io.BytesIO())
    assert commit is not None
    commit.run()
    commit.finish()
    restore = store.begin_restore(io.BytesIO(_image(store)))
    put(store, b"b")
    assert store.begin_commit() is None
    with pytest.raises(MvccError, match="not run"):
        restore.finish()
    restore.abandon()
    assert store.begin_commit() is not None
