"""The nouns of Figure 2: terms, indices, servers, entries, hard state, configurations."""

from collections.abc import Mapping
from enum import IntEnum

import msgspec

Term = int
"""A logical clock of elections; 0 before the first."""

Index = int
"""A position in the log; the first entry has index 1."""

ServerId = int
"""A server's 64-bit identity, unique in its cluster and never 0."""

DiskId = int
"""What a data directory was given when it was made, a random positive number of 63 bits: it tells one server's disks
apart. 0 where disks are not told apart."""

NO_DISK: DiskId = -1
"""In a configuration: the server's word counts from no disk."""


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
    disks: tuple[tuple[ServerId, DiskId], ...] = ()
    """The disk from which a voter's word counts, in the order of the servers (NS-1). Of a voter that is not named the
    word counts whatever its disk."""

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

    def disk_of(self, server_id: ServerId) -> DiskId | None:
        """The disk from which a server's word counts; None if any will do."""
        for named, disk_id in self.disks:
            if named == server_id:
                return disk_id
        return None

    def counts(self, server_id: ServerId, disk_id: DiskId) -> bool:
        """Whether a server's word counts when it comes from this disk (NS-1)."""
        return self.disk_of(server_id) in (None, disk_id)

    def with_disks(self, disks: Mapping[ServerId, DiskId]) -> "Configuration":
        """The same, with these voters' words counting from these disks; who has no vote is left out."""
        named = {**dict(self.disks), **disks}
        return msgspec.structs.replace(
            self, disks=tuple((voter, named[voter]) for voter in sorted(self.all_voters & named.keys()))
        )


class SnapshotMetadata(msgspec.Struct, frozen=True, array_like=True):
    """What a snapshot stands for: everything up to and with `last_included_index` (Figure 13)."""

    last_included_index: Index = 0
    last_included_term: Term = 0
    configuration: Configuration = Configuration()
