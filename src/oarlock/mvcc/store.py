"""The multi-version store: etcd's revisions over an ordered index in memory and a database of records.

One thread, the loop's, owns a store. Applied writes go into a buffer that reads see; commits write the buffer, the
applied index and the meta in one transaction of the database, in another thread, while the next buffer fills. What a
crash takes from the buffer, the log brings back: the applied index in the database says from where.
"""

from collections.abc import Callable, Mapping
from typing import BinaryIO

from oarlock.mvcc.backend import Backend
from oarlock.mvcc.buffer import WriteBuffer
from oarlock.mvcc.compaction import Compaction
from oarlock.mvcc.errors import CompactedError, CorruptStoreError, FutureRevisionError, MvccError
from oarlock.mvcc.hashing import KeyValueHash, hash_kv, hash_view
from oarlock.mvcc.index import KeyIndex
from oarlock.mvcc.jobs import Commit, Restore
from oarlock.mvcc.keyvalue import KeyValue, decode_key_value
from oarlock.mvcc.loading import (
    APPLIED_INDEX,
    APPLIED_TERM,
    FINISHED_COMPACTION,
    SCHEDULED_COMPACTION,
    Loaded,
    load,
)
from oarlock.mvcc.ranges import DEFAULT_OPTIONS, RangeOptions, RangeResult, shape
from oarlock.mvcc.revision import encode, key_of, main_of, revision_key
from oarlock.mvcc.transaction import WriteTransaction
from oarlock.mvcc.view import View

EXTRA_PREFIX = "extra/"
"""Set before a caller's names in `meta`, so that they never meet the store's own."""


class Store:
    """Keys with all their versions since the last compaction."""

    index: KeyIndex
    current_revision: int
    """The main revision of the last write; 1 in an empty store."""
    compact_revision: int
    """Reads below it are refused; -1 when there was no compaction."""
    finished_compaction: int
    """The last compaction whose every record is durably gone."""
    applied_index: int
    applied_term: int
    durable_index: int
    """The applied index that a crash leaves."""
    _meta: dict[str, bytes]
    _commit: Commit | None
    _compaction: Compaction | None
    _uncommitted_from: int

    def __init__(self, backend: Backend) -> None:
        """Read the database and, if a compaction was under way, go on with it.

        Raises:
            CorruptStoreError: the database holds what this store never writes.
        """
        self.backend = backend
        self.buffer = WriteBuffer()
        self.on_events: Callable[[int, list[tuple[bytes, bytes]]], None] | None = None
        """Called at the end of each write with its revision and (revision key, KeyValue) of each change."""
        self.meta_source: Callable[[], Mapping[str, bytes]] | None = None
        """Asked at each commit and view for extra meta that should stand beside the data at that moment."""
        self._restoring = False
        self._install(load(backend))

    # Reading

    def get(self, key: bytes) -> bytes | None:
        """The marshalled KeyValue that `key` has now; None when it does not exist."""
        entry = self.index.entries.get(key)
        if entry is None or not entry.version:
            return None
        return self._record(entry.modified)

    def get_key_value(self, key: bytes) -> KeyValue | None:
        """The KeyValue that `key` has now; None when it does not exist."""
        data = self.get(key)
        return None if data is None else decode_key_value(data)

    def range(self, key: bytes, range_end: bytes = b"", options: RangeOptions = DEFAULT_OPTIONS) -> RangeResult:
        r"""The keys of a range at one revision.

        Args:
            key: the first key, or the only one.
            range_end: empty for `key` alone, `\0` for every key from `key` on, else the first key not in the range.
            options: revision, limit, order, filters, what to return.

        Raises:
            CompactedError: `options.revision` lies below the compact revision.
            FutureRevisionError: it has not been written yet.
        """
        return self.range_at(key, range_end, options, self.current_revision)

    def range_at(self, key: bytes, range_end: bytes, options: RangeOptions, current: int) -> RangeResult:
        """`range` as seen from a transaction whose revision is `current`."""
        self.check_revision(options.revision, current)
        if 0 < options.revision < current:
            revisions = self._visible(key, range_end, options.revision)
            count = len(revisions)
        elif range_end:
            count = self.index.count(key, range_end)
            revisions = [] if options.count_only else self._latest(key, range_end, options.fetch_limit())
        else:
            entry = self.index.entries.get(key)
            revisions = [entry.modified] if entry is not None and entry.version else []
            count = len(revisions)
        if options.count_only:
            return RangeResult([], count, more=False, revision=current)
        wanted = options.fetch_limit()
        if wanted:
            del revisions[wanted:]
        found = [self._record(revision) for revision in revisions]
        if options is DEFAULT_OPTIONS:
            return RangeResult(found, count, more=False, revision=current)
        kvs, more = shape(found, options)
        return RangeResult(kvs, count, more, current)

    def check_revision(self, revision: int, current: int | None = None) -> None:
        """Whether a read may name this revision; 0 or less means now and always may.

        Raises:
            CompactedError, FutureRevisionError: it may not.
        """
        if revision > (self.current_revision if current is None else current):
            raise FutureRevisionError(self.current_revision)
        if 0 < revision < self.compact_revision:
            raise CompactedError(self.compact_revision)

    # Writing

    def begin_write(self) -> WriteTransaction:
        """Begin a write; it must end before anything else uses the store."""
        return WriteTransaction(self)

    def compact(self, revision: int) -> None:
        """Give up every revision below `revision` that no later reader sees.

        Reads below it are refused at once; the records go with the next commits, see `compaction_pending`.

        Raises:
            CompactedError: it is at or below the compact revision.
            FutureRevisionError: it has not been written yet.
        """
        if revision <= self.compact_revision:
            raise CompactedError(self.compact_revision)
        if revision > self.current_revision:
            raise FutureRevisionError(self.current_revision)
        self.compact_revision = revision
        self._set_meta(SCHEDULED_COMPACTION, revision_key(revision, 0))
        self._compaction = Compaction(revision, self.index)

    @property
    def compaction_pending(self) -> bool:
        """Whether records of the last compaction are still to go; each commit takes some."""
        return self.finished_compaction < self.compact_revision

    # Beside the data

    def set_applied(self, index: int, term: int | None = None) -> None:
        """Note that the log entry `index` has been applied; commits carry it, and the term, with the data."""
        self.applied_index = index
        if term is not None:
            self.applied_term = term

    def set_extra(self, name: str, value: bytes) -> None:
        """Keep opaque bytes beside the data, committed with it and part of every snapshot."""
        self._set_meta(EXTRA_PREFIX + name, value)

    def get_extra(self, name: str) -> bytes | None:
        """Opaque bytes kept with `set_extra`."""
        return self._meta.get(EXTRA_PREFIX + name)

    def size(self) -> int:
        """Bytes the store takes, for quotas and Status: the database's file and what waits to be written."""
        return self.backend.size() + self.buffer.size_bytes

    def size_in_use(self) -> int:
        """Bytes of `size` that hold data."""
        return self.backend.size_in_use() + self.buffer.size_bytes

    # Committing

    def begin_commit(self) -> Commit | None:
        """Take what has gathered for the database, and a slice of a pending compaction.

        Returns:
            The commit to run; None when nothing changed, or one is under way, or the content is being replaced.
        """
        if self._commit is not None or self._restoring:
            return None
        self._advance_compaction()
        self._gather_meta()
        batch = self.buffer.take()
        if batch is None:
            return None
        finished = batch.meta.get(FINISHED_COMPACTION)
        self._uncommitted_from = encode(self.current_revision + 1, 0)
        self._commit = Commit(
            self,
            self.backend,
            batch,
            self.applied_index,
            self.finished_compaction if finished is None else main_of(finished),
        )
        return self._commit

    def end_commit(self, commit: Commit, *, written: bool) -> None:
        """Called by a commit that finishes or is abandoned."""
        if commit is not self._commit:
            return
        self._commit = None
        if not written:
            self.buffer.put_back()
            return
        self.buffer.committing = None
        self.backend.refresh()
        self.durable_index = commit.applied_index
        self.finished_compaction = commit.finished_compaction

    def commit(self) -> None:
        """Commit everything now; blocking, for start-up, shutdown and tests.

        Raises:
            As `Commit.run`; the batch then waits for the next commit.
        """
        if self._commit is not None:
            raise MvccError("a commit is already under way")
        commit = self.begin_commit()
        if commit is None:
            return
        try:
            commit.run()
        except BaseException:
            commit.abandon()
            raise
        commit.finish()

    def close(self) -> None:
        """Release the database; what was not committed is for the log to bring back."""
        self.backend.close()

    # The whole

    def begin_view(self) -> View:
        """Pin the store as it is now; read it in an executor, then close it."""
        self._gather_meta()
        overlay, deletions = self.buffer.overlay()
        return View(
            applied_index=self.applied_index,
            applied_term=self.applied_term,
            current_revision=self.current_revision,
            compact_revision=self.compact_revision,
            meta=dict(self._meta),
            base=self.backend.begin_view(),
            overlay=overlay,
            deletions=deletions,
        )

    def hash_kv(self, revision: int = 0) -> KeyValueHash:
        """HashKV as etcd defines it; blocking, for a large store use `hashing.hash_kv` on a view in an executor.

        Raises:
            CompactedError, FutureRevisionError: the revision cannot be read.
        """
        view = self.begin_view()
        try:
            return hash_kv(view, revision)
        finally:
            view.close()

    def hash(self) -> int:
        """A CRC over all records and the meta that servers share; blocking, see `hashing.hash_view`."""
        view = self.begin_view()
        try:
            return hash_view(view)
        finally:
            view.close()

    def begin_restore(self, source: BinaryIO) -> Restore:
        """Begin to replace everything by a snapshot; until it ends there are no commits and must be no writes.

        Raises:
            MvccError: a commit or another restore is under way; let it end first.
        """
        if self._commit is not None or self._restoring:
            raise MvccError("the store cannot be replaced while a commit or a restore is under way")
        self._restoring = True
        return Restore(self, self.backend, source)

    def end_restore(self, loaded: Loaded | None) -> None:
        """Called by a restore that finishes, or is abandoned and brings nothing."""
        self._restoring = False
        if loaded is not None:
            self.buffer = WriteBuffer()
            self._install(loaded)

    def restore(self, source: BinaryIO) -> None:
        """Replace everything by a snapshot, blocking; durable on return.

        Raises:
            CorruptSnapshotError: nothing was replaced.
        """
        restore = self.begin_restore(source)
        try:
            restore.run()
        except BaseException:
            restore.abandon()
            raise
        restore.finish()

    def _install(self, loaded: Loaded) -> None:
        self.backend.refresh()
        self.index = loaded.index
        self.current_revision = loaded.current_revision
        self.compact_revision = max(loaded.scheduled_compaction, loaded.finished_compaction)
        self.finished_compaction = loaded.finished_compaction
        self.applied_index = self.durable_index = loaded.applied_index
        self.applied_term = loaded.applied_term
        self._meta = loaded.meta
        self._commit = None
        self._compaction = None
        self._uncommitted_from = encode(self.current_revision + 1, 0)
        if self.compaction_pending:
            self._compaction = Compaction(self.compact_revision, self.index)

    def _record(self, revision: int) -> bytes:
        key = key_of(revision)
        data = self.buffer.get(key)
        if data is None:
            data = self.backend.get(key)
            if data is None:
                raise CorruptStoreError(f"the database lacks the record {key.hex()} that the index names")
        return data

    def _latest(self, key: bytes, range_end: bytes, wanted: int) -> list[int]:
        entries = self.index.entries
        revisions: list[int] = []
        for found in self.index.keys(key, range_end):
            revisions.append(entries[found].modified)
            if len(revisions) == wanted:
                break
        return revisions

    def _visible(self, key: bytes, range_end: bytes, main: int) -> list[int]:
        if range_end:
            return self.index.visible_range(key, range_end, main)
        revision = self.index.visible(key, main)
        return [revision] if revision else []

    def _set_meta(self, name: str, value: bytes) -> None:
        if self._meta.get(name) != value:
            self._meta[name] = value
            self.buffer.meta[name] = value

    def _gather_meta(self) -> None:
        if self.meta_source is not None:
            for name, value in self.meta_source().items():
                self._set_meta(EXTRA_PREFIX + name, value)
        self._set_meta(APPLIED_INDEX, self.applied_index.to_bytes(8, "big"))
        self._set_meta(APPLIED_TERM, self.applied_term.to_bytes(8, "big"))

    def _advance_compaction(self) -> None:
        compaction = self._compaction
        if compaction is not None and compaction.advance(self.index, self.buffer, self._uncommitted_from):
            self._compaction = None
            self._set_meta(FINISHED_COMPACTION, revision_key(compaction.revision, 0))
