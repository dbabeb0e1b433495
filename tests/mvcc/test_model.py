"""Any sequence of writes, reads, compactions, commits, crashes, snapshots: the store is always as a naive model is."""

import io
import shutil
import tempfile
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.mvcc.model import Model
from tests.mvcc.stores import Operation

from oarlock.mvcc import compaction
from oarlock.mvcc.backend import Backend
from oarlock.mvcc.errors import CompactedError, FutureRevisionError
from oarlock.mvcc.hashing import hash_kv
from oarlock.mvcc.jobs import Commit
from oarlock.mvcc.keyvalue import decode_key_value
from oarlock.mvcc.lmdb_backend import LmdbBackend
from oarlock.mvcc.memory_backend import MemoryBackend
from oarlock.mvcc.ranges import RangeOptions
from oarlock.mvcc.snapshot import write_snapshot
from oarlock.mvcc.store import Store
from oarlock.mvcc.view import View

KEYS = st.sampled_from([b"\0", b"a", b"a\0", b"aa", b"b", b"ba", b"c", b"\xff", b"\xff\xff"])
ENDS = st.one_of(st.just(b""), st.just(b"\0"), KEYS)
PUTS = st.tuples(KEYS, st.sampled_from([b"", b"1", b"22", b"333"]), st.sampled_from([0, 0, 5, -1]))
DELETIONS = st.tuples(KEYS, st.none(), ENDS)
TRANSACTIONS = st.lists(st.one_of(PUTS, PUTS, DELETIONS), max_size=4)
REVISIONS = st.integers(0, 1000)

Entry = list[Operation] | int
"""A log entry: a transaction, or the revision of a compaction."""


class StoreMachine(RuleBasedStateMachine):
    """The store beside the model; the log of entries brings back what a crash takes."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[Entry] = []
        self.model = Model()
        self.commit: Commit | None = None
        self.written = False
        self.view: tuple[View, Model] | None = None

    def new_backend(self) -> Backend:
        return MemoryBackend()

    def reopened_backend(self) -> Backend:
        return self.store.backend

    @initialize()
    def open(self) -> None:
        self.store = Store(self.new_backend())

    def apply(self, index: int) -> None:
        entry = self.log[index - 1]
        if isinstance(entry, int):
            # On redo a compaction may be known already: it was in a committed batch with its index, or not at all.
            self.store.compact(entry)
        else:
            transaction = self.store.begin_write()
            for operation in entry:
                if operation[1] is None:
                    transaction.delete_range(operation[0], operation[2])
                else:
                    transaction.put(*operation)
            transaction.end()
        self.store.set_applied(index, 1)

    @rule(operations=TRANSACTIONS)
    def write(self, operations: list[Operation]) -> None:
        self.model.write(operations)
        self.log.append(operations)
        self.apply(len(self.log))

    @rule(choice=REVISIONS)
    def compact(self, choice: int) -> None:
        revision = choice % (self.model.current + 2)
        if revision <= self.model.compacted:
            with pytest.raises(CompactedError):
                self.store.compact(revision)
        elif revision > self.model.current:
            with pytest.raises(FutureRevisionError):
                self.store.compact(revision)
        else:
            self.model.compacted = revision
            self.log.append(revision)
            self.apply(len(self.log))

    @precondition(lambda self: self.commit is None)
    @rule()
    def begin_commit(self) -> None:
        self.commit = self.store.begin_commit()

    @precondition(lambda self: self.commit is not None and not self.written)
    @rule()
    def run_commit(self) -> None:
        assert self.commit is not None
        self.commit.run()
        self.written = True

    @precondition(lambda self: self.commit is not None)
    @rule()
    def end_commit(self) -> None:
        assert self.commit is not None
        if self.written:
            self.commit.finish()
        else:
            self.commit.abandon()
        self.commit, self.written = None, False

    @rule()
    def crash(self) -> None:
        """Lose what is not committed; a commit under way may or may not have reached the disk."""
        self.commit, self.written = None, False
        self.close_view()
        self.store = Store(self.reopened_backend())
        for index in range(self.store.applied_index + 1, len(self.log) + 1):
            self.apply(index)

    @precondition(lambda self: self.commit is None)
    @rule()
    def replace_by_own_snapshot(self) -> None:
        """A snapshot restores to what it was taken from, whatever was committed."""
        view = self.store.begin_view()
        out = io.BytesIO()
        assert write_snapshot(view, out) == len(self.log)
        view.close()
        out.seek(0)
        if self.view is None:
            self.store.restore(out)
        else:
            # A view of the old content stays open beside the new.
            pinned, then = self.view
            self.store.restore(out)
            assert hash_kv(pinned).hash == then.hash_kv(then.current)

    @precondition(lambda self: self.view is None)
    @rule()
    def begin_view(self) -> None:
        self.view = (self.store.begin_view(), self.model.copy())

    @rule()
    def read_view(self) -> None:
        """A view shows what was there when it was pinned, whatever has happened since."""
        if self.view is not None:
            view, model = self.view
            assert view.current_revision == model.current
            assert hash_kv(view).hash == model.hash_kv(model.current)
            self.close_view()

    def close_view(self) -> None:
        if self.view is not None:
            self.view[0].close()
            self.view = None

    @precondition(lambda self: self.commit is None)
    @rule()
    def defragment(self) -> None:
        self.store.backend.defragment()

    @rule(key=KEYS, range_end=ENDS, choice=REVISIONS, limit=st.integers(0, 3))
    def range(self, key: bytes, range_end: bytes, choice: int, limit: int) -> None:
        revision = choice % (self.model.current + 1)
        if 0 < revision < self.model.compacted:
            with pytest.raises(CompactedError):
                self.store.range(key, range_end, RangeOptions(revision=revision))
            return
        expected = self.model.range(key, range_end, revision or self.model.current)
        result = self.store.range(key, range_end, RangeOptions(revision=revision, limit=limit))
        assert [decode_key_value(data) for data in result.kvs] == expected[: limit or None]
        assert (result.count, result.more) == (len(expected), 0 < limit < len(expected))
        counted = self.store.range(key, range_end, RangeOptions(revision=revision, count_only=True))
        assert counted.count == len(expected)

    @rule(choice=REVISIONS)
    def hash_at(self, choice: int) -> None:
        revision = choice % (self.model.current + 1)
        if 0 < revision < self.model.compacted:
            with pytest.raises(CompactedError):
                self.store.hash_kv(revision)
        else:
            assert self.store.hash_kv(revision).hash == self.model.hash_kv(revision or self.model.current)

    @invariant()
    def same_state(self) -> None:
        if not hasattr(self, "store"):
            return
        assert self.store.current_revision == self.model.current
        assert self.store.compact_revision == self.model.compacted
        assert self.store.applied_index == len(self.log)
        found = self.store.range(b"\0", b"\0")
        assert [decode_key_value(data) for data in found.kvs] == self.model.range(b"\0", b"\0", self.model.current)
        assert len(self.store.index) == found.count

    def teardown(self) -> None:
        self.close_view()


class LmdbStoreMachine(StoreMachine):
    """The same on LMDB, where a crash is a closed environment."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="oarlock-mvcc-"))

    def new_backend(self) -> Backend:
        return LmdbBackend(self.directory / "db")

    def reopened_backend(self) -> Backend:
        self.store.close()
        return self.new_backend()

    def teardown(self) -> None:
        super().teardown()
        if hasattr(self, "store"):
            self.store.close()
        shutil.rmtree(self.directory)


@pytest.mark.parametrize(
    ("machine", "examples", "steps"), [(StoreMachine, 50, 40), (LmdbStoreMachine, 15, 30)], ids=["memory", "lmdb"]
)
def test_store_is_as_the_model(machine: type[StoreMachine], examples: int, steps: int) -> None:
    """Reads, hashes, revisions and the applied index are the model's after every step, and after every crash."""
    with patch.object(compaction, "SLICE_REVISIONS", 2):
        run_state_machine_as_test(
            machine,
            settings=settings(max_examples=examples, stateful_step_count=steps, deadline=None, derandomize=True),
        )
