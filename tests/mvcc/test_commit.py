"""Commits: data, applied index and meta in one transaction; failures lose nothing."""

from pathlib import Path

import pytest
from tests.mvcc.stores import put

from oarlock.mvcc.backend import Batch
from oarlock.mvcc.errors import MvccError, StorageFullError
from oarlock.mvcc.lmdb_backend import LmdbBackend
from oarlock.mvcc.memory_backend import MemoryBackend
from oarlock.mvcc.store import Store


class FullBackend(MemoryBackend):
    """A disk with no room until `free`."""

    free = False

    def write(self, batch: Batch) -> None:
        if not self.free:
            raise StorageFullError("no room")
        super().write(batch)


def test_uncommitted_writes_are_lost_with_their_index(store: Store) -> None:
    """After a crash data and applied index stand at the last commit, together."""
    put(store, b"a")
    store.set_applied(7, 2)
    store.commit()
    assert store.durable_index == 7
    put(store, b"b")
    store.set_applied(8, 2)
    reopened = Store(store.backend)
    assert (reopened.applied_index, reopened.applied_term, reopened.current_revision) == (7, 2, 2)
    assert reopened.get(b"b") is None
    assert reopened.get(b"a") is not None


def test_writes_go_on_beside_a_commit(store: Store) -> None:
    """What is written while a commit runs waits for the next, and only what was committed counts as durable."""
    put(store, b"a")
    store.set_applied(1)
    commit = store.begin_commit()
    assert commit is not None
    put(store, b"b")
    store.set_applied(2)
    assert store.begin_commit() is None, "one at a time"
    with pytest.raises(MvccError, match="under way"):
        store.commit()
    commit.run()
    commit.finish()
    assert (store.durable_index, store.applied_index) == (1, 2)
    store.commit()
    assert store.durable_index == 2
    assert store.begin_commit() is None, "nothing is left"


def test_failed_commit_is_tried_again() -> None:
    """A full disk costs nothing: reads go on, and the batch goes with the next commit, before later ones."""
    backend = FullBackend()
    store = Store(backend)
    put(store, b"a", b"1")
    store.set_applied(1)
    commit = store.begin_commit()
    assert commit is not None
    with pytest.raises(StorageFullError):
        commit.run()
    put(store, b"a", b"2")
    commit.abandon()
    assert store.durable_index == 0
    assert store.get_key_value(b"a").value == b"2"  # type: ignore[union-attr]
    with pytest.raises(StorageFullError):
        store.commit()
    backend.free = True
    store.commit()
    reopened = Store(backend)
    assert reopened.hash_kv() == store.hash_kv()
    assert reopened.current_revision == 3


def test_commit_ended_twice_does_nothing(store: Store) -> None:
    """Only the commit under way can end, once."""
    put(store, b"a")
    store.set_applied(1)
    first = store.begin_commit()
    assert first is not None
    first.run()
    first.finish()
    put(store, b"b")
    second = store.begin_commit()
    first.abandon()
    first.finish()
    assert store.begin_commit() is None
    assert second is not None
    second.run()
    second.finish()
    assert len(Store(store.backend).index) == 2


def test_extra_meta_stands_beside_the_data(store: Store) -> None:
    """Opaque bytes are committed with the data, whether set once or asked for at each commit."""
    table = {"sessions": b"1"}
    store.meta_source = lambda: table
    store.set_extra("alarms", b"none")
    put(store, b"a")
    store.commit()
    table["sessions"] = b"2"
    put(store, b"b")
    store.set_extra("alarms", b"some")
    reopened = Store(store.backend)
    assert (reopened.get_extra("sessions"), reopened.get_extra("alarms")) == (b"1", b"none")
    assert reopened.get_extra("unknown") is None
    store.commit()
    reopened = Store(store.backend)
    assert (reopened.get_extra("sessions"), reopened.get_extra("alarms")) == (b"2", b"some")


def test_applied_index_alone_is_committed(store: Store) -> None:
    """Entries that write nothing still move the durable index."""
    store.set_applied(5, 1)
    store.commit()
    assert store.durable_index == 5
    assert Store(store.backend).applied_index == 5


def test_size_counts_what_waits(store: Store) -> None:
    """The figure for quotas grows with each write, before and after its commit."""
    empty = store.size()
    put(store, b"k", b"v" * 10_000)
    waiting = store.size()
    assert waiting - empty >= 10_000
    store.commit()
    assert store.size() >= empty + 10_000
    assert store.buffer.size_bytes == 0
    assert store.size_in_use() >= 10_000


def test_survives_the_process(tmp_path: Path) -> None:
    """A closed store is opened again with everything it committed."""
    store = Store(LmdbBackend(tmp_path))
    for number in range(100):
        put(store, b"k%d" % (number % 30), b"%d" % number)
    store.set_applied(100, 3)
    store.commit()
    expected = store.hash_kv()
    store.close()
    reopened = Store(LmdbBackend(tmp_path))
    assert reopened.hash_kv() == expected
    assert (len(reopened.index), reopened.applied_index, reopened.applied_term) == (30, 100, 3)
    reopened.close()
