"""What one append says, and what the log stands at after it."""

from collections.abc import Sequence

import msgspec

from oarlock.raft.types import Entry, HardState, Index, SnapshotMetadata


class Batch(msgspec.Struct, frozen=True, array_like=True):
    """The disk part of one `Ready`. Its parts take effect in this order: base, hard state, entries."""

    hard_state: HardState | None = None
    entries: Sequence[Entry] = ()
    """The first one's index, and everything after it in the log, are overwritten."""
    base: SnapshotMetadata | None = None
    """The log now starts behind this: entries up to it are dropped."""
    discard_log: bool = False
    """With `base`: entries behind it go too (IS-7); otherwise they stay (IS-6, compaction)."""


class LogBounds(msgspec.Struct, frozen=True, array_like=True):
    """All of the log's state but the entries themselves."""

    hard_state: HardState = HardState()
    base: SnapshotMetadata = SnapshotMetadata()
    last_index: Index = 0

    def after(self, batch: Batch) -> "LogBounds":
        """The bounds once `batch` has taken effect.

        Raises:
            ValueError: no correct sequence of effects contains this batch here (P-1, or a gap in the log).
        """
        base = self.base
        last_index = self.last_index
        if batch.base is not None:
            if batch.base.last_included_index < base.last_included_index:
                raise ValueError(
                    f"the log's base may not go back from {base.last_included_index} "
                    f"to {batch.base.last_included_index}"
                )
            base = batch.base
            last_index = base.last_included_index if batch.discard_log else max(last_index, base.last_included_index)
        elif batch.discard_log:
            raise ValueError("discard_log needs a base")
        if batch.entries:
            first, last = batch.entries[0].index, batch.entries[-1].index
            if last - first + 1 != len(batch.entries):
                raise ValueError(f"{len(batch.entries)} entries cannot run from {first} to {last}")
            if not base.last_included_index < first <= last_index + 1:
                raise ValueError(
                    f"entries from {first} do not follow a log of {base.last_included_index + 1}..{last_index}"
                )
            last_index = last
        return LogBounds(self._hard_state_after(batch.hard_state), base, last_index)

    def _hard_state_after(self, new: HardState | None) -> HardState:
        """The hard state after `new`: terms only rise, and a term's vote is never changed or taken back."""
        old = self.hard_state
        if new is None:
            return old
        if new.current_term < old.current_term:
            raise ValueError(f"the term may not go back from {old.current_term} to {new.current_term}")
        if new.current_term == old.current_term and old.voted_for not in (None, new.voted_for):
            raise ValueError(f"the vote of term {old.current_term} may not change from {old.voted_for}")
        return new
