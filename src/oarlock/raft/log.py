"""The entries after the snapshot, and what of them is durable.

Indices are the paper's, so a trimmed log is read with the same numbers as a whole one (pitfall B7); the entry at
`base_index` is known by its term alone.
"""

from collections.abc import Sequence

from oarlock.raft.types import Entry, Index, SnapshotMetadata, Term


class Log:
    """A log whose first held entry follows `base_index`.

    Args:
        base: What was compacted away, with the configuration in force there.
        entries: Contiguous from base + 1; durable.

    Raises:
        ValueError: The entries do not follow the base, or their terms fall.
    """

    __slots__ = ("_entries", "base", "base_index", "durable_index")

    def __init__(self, base: SnapshotMetadata | None = None, entries: Sequence[Entry] = ()) -> None:
        self.base = base or SnapshotMetadata()
        self.base_index: Index = self.base.last_included_index
        self._entries: list[Entry] = list(entries)
        term = self.base.last_included_term
        for index, entry in enumerate(self._entries, self.base_index + 1):
            if entry.index != index or entry.term < term:
                raise ValueError(f"log entry {entry.index} of term {entry.term} does not follow {index - 1} of {term}")
            term = entry.term
        self.durable_index: Index = self.last_index
        """The last index known to be on this server's disk."""

    @property
    def last_index(self) -> Index:
        """The index of the last entry, or of the base."""
        return self.base_index + len(self._entries)

    @property
    def last_term(self) -> Term:
        """The term of the last entry, or of the base."""
        return self._entries[-1].term if self._entries else self.base.last_included_term

    def term(self, index: Index) -> Term | None:
        """The term at `index`; None where the log does not know: below the base or past the end."""
        offset = index - self.base_index
        if 0 < offset <= len(self._entries):
            return self._entries[offset - 1].term
        return self.base.last_included_term if offset == 0 else None

    def entry(self, index: Index) -> Entry:
        """The entry at `index`, which must be held."""
        offset = index - self.base_index
        if offset < 1:
            raise IndexError(f"log entry {index} is at or below the base {self.base_index}")
        return self._entries[offset - 1]

    def slice(self, first: Index, last: Index) -> list[Entry]:
        """The entries from `first` to `last`, both included."""
        start = first - self.base_index - 1
        if start < 0:
            raise IndexError(f"log entry {first} is at or below the base {self.base_index}")
        return self._entries[start : last - self.base_index]

    def batch(self, first: Index, max_bytes: int) -> tuple[list[Entry], int]:
        """Entries from `first` on that fit in `max_bytes`, at least one, and their size (FC-3)."""
        start = first - self.base_index - 1
        size = 0
        count = 0
        for offset in range(start, len(self._entries)):
            entry_size = len(self._entries[offset].data)
            if count and size + entry_size > max_bytes:
                break
            size += entry_size
            count += 1
        return self._entries[start : start + count], size

    def append(self, entries: Sequence[Entry]) -> None:
        """Append entries that follow the last one."""
        if entries and entries[0].index != self.last_index + 1:
            raise ValueError(f"entry {entries[0].index} does not follow {self.last_index}")
        self._entries.extend(entries)

    def truncate_from(self, index: Index) -> None:
        """Delete the entry at `index` and all that follow (AE-3)."""
        if index <= self.base_index:
            raise ValueError(f"cannot truncate at {index}: the base is {self.base_index}")
        del self._entries[index - self.base_index - 1 :]
        self.durable_index = min(self.durable_index, index - 1)

    def compact(self, base: SnapshotMetadata) -> None:
        """Drop entries up to the new base; what follows stays, if the log goes on past it."""
        dropped = base.last_included_index - self.base_index
        if dropped < 0:
            raise ValueError(f"cannot move the base back from {self.base_index} to {base.last_included_index}")
        self._entries = self._entries[dropped:]
        self.base = base
        self.base_index = base.last_included_index

    def reset(self, base: SnapshotMetadata) -> None:
        """Drop everything: the log begins after `base` (IS-7)."""
        self._entries = []
        self.base = base
        self.base_index = base.last_included_index
        self.durable_index = 0

    def is_up_to_date(self, last_index: Index, last_term: Term) -> bool:
        """Whether a log ending so is at least as up to date as this one (RV-2; paper, section 5.4.1)."""
        return (last_term, last_index) >= (self.last_term, self.last_index)

    def first_index_of_term_at(self, index: Index) -> Index:
        """The first held index that has the same term as the entry at `index` (BT-1)."""
        term = self.term(index)
        while index - 1 > self.base_index and self.term(index - 1) == term:
            index -= 1
        return index

    def last_index_at_or_below_term(self, index: Index, term: Term) -> Index:
        """The last index not above `index` whose term is `term` or less; not below the base (BT-2)."""
        index = min(index, self.last_index)
        while index > self.base_index and self._entries[index - self.base_index - 1].term > term:
            index -= 1
        return index
