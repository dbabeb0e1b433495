"""What the observer remembers: a copy of every server's log, and how all entries ever seen hang together."""

from collections.abc import Iterator
from typing import NamedTuple

from oarlock.check.observed import Digest, Observed, ObservedEntry
from oarlock.raft.types import Configuration, Index, ServerId, SnapshotMetadata, Term


class Tail(NamedTuple):
    """The end of a log: by log matching, it stands for all of it."""

    at: Index
    term: Term


class Chain:
    """Every entry ever seen in any log, by index and term: its digest, and the term of the entry before it.

    If each pair of index and term always has the same digest and the same predecessor, then logs that share an entry
    are equal up to it: log matching, checked for one entry at a time.
    """

    def __init__(self) -> None:
        self._links: dict[tuple[Index, Term], tuple[Digest, Term]] = {}

    def __len__(self) -> int:
        return len(self._links)

    def add(self, entry: ObservedEntry, previous_term: Term) -> tuple[Digest, Term] | None:
        """Record an entry; gives the record that contradicts it, if one does."""
        link = (entry.digest, previous_term)
        known = self._links.setdefault((entry.index, entry.term), link)
        return None if known == link else known

    def contains(self, tail: Tail, index: Index, term: Term) -> bool:
        """Whether a log with that end has the entry of `term` at `index`."""
        at, of = tail
        if index > at:
            return False
        while at > index:
            link = self._links.get((at, of))
            if link is None:
                return True  # forgotten, because all agree there
            at, of = at - 1, link[1]
        return of == term

    def forget(self, index: Index) -> None:
        """Drop what is at or below `index`, where all agree."""
        self._links = {key: link for key, link in self._links.items() if key[0] > index}


class Mirror:
    """One server: the copy of its log, and its latest observation."""

    def __init__(self, first: Observed) -> None:
        self._highest_durable = first.durable_index or 0
        self.seen = first
        """The latest observation."""
        self.base = first.base
        self.entries: list[ObservedEntry] = []
        self.configurations: list[tuple[Index, Configuration]] = [
            (first.base.last_included_index, first.base.configuration)
        ]
        """In the order of the log, the base's first."""
        self.installing: Index = 0
        """The index of a snapshot that the state machine is still being restored from."""

    @property
    def last_index(self) -> Index:
        """The last index of the copy."""
        return self.base.last_included_index + len(self.entries)

    @property
    def tail(self) -> Tail:
        """The end of the copy."""
        if self.entries:
            return Tail(self.entries[-1].index, self.entries[-1].term)
        return Tail(self.base.last_included_index, self.base.last_included_term)

    @property
    def configuration(self) -> Configuration:
        """The newest in the log."""
        return self.configurations[-1][1]

    def entry(self, index: Index) -> ObservedEntry | None:
        """The entry at `index`, if the log holds it."""
        offset = index - self.base.last_included_index
        return self.entries[offset - 1] if 0 < offset <= len(self.entries) else None

    def term(self, index: Index) -> Term | None:
        """The term at `index`, if the log knows it."""
        if index == self.base.last_included_index:
            return self.base.last_included_term
        entry = self.entry(index)
        return entry.term if entry else None

    @property
    def durable_index(self) -> Index | None:
        """Up to where the disk holds the log or a snapshot of it; None if that was not looked at.

        Until a snapshot that was just installed is durable as the log's base, what was there before it still is.
        """
        durable = self.seen.durable_index
        base_index = self.base.last_included_index
        if durable is None or durable >= base_index:
            return durable
        return max(durable, min(base_index, self._highest_durable))

    def see(self, now: Observed) -> None:
        """Take an observation for the latest."""
        self.seen = now
        self._highest_durable = max(self._highest_durable, now.durable_index or 0)

    def durable_tail(self) -> Tail | None:
        """The end of what is on the server's disk; None if that is nothing, not looked at, or within the base."""
        durable = self.seen.durable_index
        term = self.term(durable) if durable else None
        return None if durable is None or term is None else Tail(durable, term)

    def holds_durably(self, index: Index, term: Term) -> bool:
        """Whether the disk holds the entry of `term` at `index`, or a snapshot of it."""
        return index <= (self.durable_index or 0) and (
            index < self.base.last_included_index or self.term(index) == term
        )

    def follow(self, observed: Observed) -> Iterator[tuple[ObservedEntry, Term]]:
        """Bring the copy up to date; gives each entry written, with the term before it.

        Raises:
            ValueError: The observation is no continuation of those before it: the observer missed something.
        """
        self._move_base(observed.base)
        written = observed.entries
        keep = (written[0].index if written else observed.last_index + 1) - self.base.last_included_index - 1
        if not 0 <= keep <= len(self.entries):
            raise ValueError(
                f"server {observed.server_id}: observed up to {observed.last_index}, which does not follow "
                f"{self.last_index}"
            )
        if keep < len(self.entries):
            del self.entries[keep:]
            while len(self.configurations) > 1 and self.configurations[-1][0] > self.last_index:
                self.configurations.pop()
        previous_term = self.tail.term
        for entry in written:
            if entry.index != self.last_index + 1:
                raise ValueError(f"server {observed.server_id}: entry {entry.index} follows {self.last_index}")
            self.entries.append(entry)
            if entry.configuration is not None:
                self.configurations.append((entry.index, entry.configuration))
            yield entry, previous_term
            previous_term = entry.term
        if self.last_index != observed.last_index:
            raise ValueError(
                f"server {observed.server_id}: its log is said to end at {observed.last_index}, but what was observed "
                f"of it at {self.last_index}"
            )

    def _move_base(self, base: SnapshotMetadata) -> None:
        if base is self.base or base == self.base:
            return
        index = base.last_included_index
        dropped = index - self.base.last_included_index
        if dropped < 0 or self.term(index) != base.last_included_term:
            self.entries.clear()
            self.configurations = [(index, base.configuration)]
        else:
            del self.entries[:dropped]
            later = [(at, held) for at, held in self.configurations if at > index]
            self.configurations = [(index, base.configuration), *later]
        self.base = base


Mirrors = dict[ServerId, Mirror]
"""Every server observed so far."""
