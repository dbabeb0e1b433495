"""The nouns of Figure 2: terms, indices, servers, entries, hard state, configurations."""

from enum import IntEnum

import msgspec

Term = int
"""A logical clock of elections; 0 before the first."""

Index = int
"""A position in the log; the first entry has index 1."""

ServerId = int
"""A server's 64-bit identity, unique in its cluster and never 0."""


class EntryKind(IntEnum):
    """What an entry's data is for."""

    NOOP = 0
    """Opens a leader's term, so that earlier entries can commit (paper, section 8)."""
    COMMAND = 1
    """For the state machine."""
    CONFIGURATION = 2
    """A `Configuration`, encoded with MessagePack; in force from the moment it is appended."""


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One log entry: Figure 2's command, with the term when the leader received it."""

    index: Index
    term: Term
    kind: EntryKind
    data: bytes


class HardState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The part of Figure 2's persistent state beside the log (P-1)."""

    current_term: Term = 0
    voted_for: ServerId | None = None


class Configuration(msgspec.Struct, frozen=True, array_like=True):
    """Who votes and who only learns; `voters_outgoing` is non-empty while joint (paper, section 6)."""

    voters: frozenset[ServerId] = frozenset()
    voters_outgoing: frozenset[ServerId] = frozenset()
    learners: frozenset[ServerId] = frozenset()
    addresses: tuple[tuple[ServerId, tuple[str, ...]], ...] = ()
    """Where each member is reached, for whoever moves messages; the algorithm does not look at it."""

    @property
    def is_joint(self) -> bool:
        """Whether both halves must agree."""
        return bool(self.voters_outgoing)

    @property
    def all_voters(self) -> frozenset[ServerId]:
        """Every server that votes in either half."""
        return self.voters | self.voters_outgoing

    @property
    def members(self) -> frozenset[ServerId]:
        """Every server that receives the log."""
        return self.voters | self.voters_outgoing | self.learners


class SnapshotMetadata(msgspec.Struct, frozen=True, array_like=True):
    """What a snapshot stands for: everything up to and with `last_included_index` (Figure 13)."""

    last_included_index: Index = 0
    last_included_term: Term = 0
    configuration: Configuration = Configuration()
