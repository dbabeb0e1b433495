"""A server's disk as a value: what is on it for certain.

A write is there whole or not at all, and writes keep their order. That is what the log on disk gives: each write is one
record behind a checksum, and a torn one ends the log.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from oarlock.explore.violation import Require
from oarlock.raft.ready import Ready
from oarlock.raft.types import Entry, HardState, Index, SnapshotMetadata, Term


def term_at(base: SnapshotMetadata, entries: Sequence[Entry], index: Index) -> Term | None:
    """The term of the entry at `index`, in a log of `entries` behind `base`; None if it is not there."""
    offset = index - base.last_included_index
    if offset == 0:
        return base.last_included_term
    return entries[offset - 1].term if 0 < offset <= len(entries) else None


class Write(NamedTuple):
    """The disk part of one `Ready`."""

    hard_state: HardState | None
    entries: tuple[Entry, ...]
    base: SnapshotMetadata | None
    discards_log: bool
    restores: bool
    """Whether the state machine becomes what a received snapshot holds."""


class Disk(NamedTuple):
    """What a crash leaves."""

    hard_state: HardState
    base: SnapshotMetadata
    entries: tuple[Entry, ...] = ()
    snapshots: tuple[SnapshotMetadata, ...] = ()
    """Files, the newest last."""

    @property
    def base_index(self) -> Index:
        """The last index that the log no longer holds."""
        return self.base.last_included_index

    @property
    def last_index(self) -> Index:
        """Where the log ends."""
        return self.base.last_included_index + len(self.entries)

    def term(self, index: Index) -> Term | None:
        """The term of the entry at `index`, if the disk knows it."""
        return term_at(self.base, self.entries, index)

    def after(self, write: Write, require: Require) -> "Disk":
        """With one write more."""
        hard_state, base, entries, snapshots = self
        if write.base is not None:
            dropped = write.base.last_included_index - base.last_included_index
            require(dropped >= 0, "order of indices", "the log's base on disk moves back")
            base, entries = write.base, () if write.discards_log else entries[dropped:]
        if write.hard_state is not None:
            _check_order(hard_state, write.hard_state, require)
            hard_state = write.hard_state
        if write.entries:
            keep = write.entries[0].index - base.last_included_index - 1
            require(0 <= keep <= len(entries), "no call raises", "entries do not follow the log on disk")
            entries = (*entries[:keep], *write.entries)
        return Disk(hard_state, base, entries, snapshots)

    def with_snapshot(self, metadata: SnapshotMetadata) -> "Disk":
        """With one file more; older ones go."""
        if metadata in self.snapshots:
            return self
        newer = [each for each in self.snapshots if each.last_included_index > metadata.last_included_index]
        return self._replace(snapshots=(metadata, *newer))

    def newest_snapshot(self) -> SnapshotMetadata | None:
        """The newest file that the log leads on from."""
        usable = [each for each in self.snapshots if self.term(each.last_included_index) == each.last_included_term]
        return usable[-1] if usable else None


def _check_order(old: HardState, new: HardState, require: Require) -> None:
    require(
        new.current_term >= old.current_term,
        "monotone term",
        f"its disk went back from term {old.current_term} to {new.current_term}",
    )
    require(
        new.current_term > old.current_term or old.voted_for in (None, new.voted_for),
        "one vote a term",
        f"had a vote for {old.voted_for} on disk, then {new.voted_for}, in term {old.current_term}",
    )


def write_of(ready: Ready) -> Write:
    """What a `Ready` has to be made durable."""
    return Write(
        ready.hard_state,
        tuple(ready.entries),
        ready.snapshot or ready.compact_to,
        ready.discard_log,
        ready.snapshot is not None,
    )


EMPTY_SNAPSHOT: Final = b""
"""A snapshot's bytes: what they hold follows from the log, so none need be moved about."""
