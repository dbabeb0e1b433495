"""One server as the properties look at it: plain data, worked out once for each state of a server."""

from typing import NamedTuple

from oarlock.explore.disk import Disk, term_at
from oarlock.explore.server import ServerState
from oarlock.raft.state import RaftState, Role
from oarlock.raft.types import Configuration, Entry, Index, ServerId, SnapshotMetadata, Term


class View(NamedTuple):
    """A server at rest."""

    id: ServerId
    role: Role
    current_term: Term
    voted_for: ServerId | None
    base: SnapshotMetadata
    entries: tuple[Entry, ...]
    commit_index: Index
    last_applied: Index
    configuration: Configuration
    configurations: tuple[tuple[Index, Configuration], ...]
    """The base's, and every later one that the core knows."""
    match_index: tuple[tuple[ServerId, Index], ...]
    votes: frozenset[ServerId]
    """Who has answered the present campaign."""
    disk: Disk
    durable_index: Index
    """What the core believes of its disk."""

    @property
    def is_leader(self) -> bool:
        """Whether it leads."""
        return self.role is Role.LEADER

    @property
    def base_index(self) -> Index:
        """The last index that the log no longer holds."""
        return self.base.last_included_index

    @property
    def last_index(self) -> Index:
        """Where the log ends."""
        return self.base.last_included_index + len(self.entries)

    def term(self, index: Index) -> Term | None:
        """The term of the entry at `index`, if the log knows it."""
        return term_at(self.base, self.entries, index)


def view_of(server: ServerState, state: RaftState) -> View:
    """A server, of whose core `state` is."""
    log = state.log
    leader = state.leader
    return View(
        server.id,
        state.role,
        state.current_term,
        state.voted_for,
        log.base,
        tuple(log.slice(log.base_index + 1, log.last_index)),
        state.commit_index,
        state.last_applied,
        state.configuration,
        tuple(state._configurations),  # noqa: SLF001 - nothing else names those that are not in force yet
        tuple([(peer, progress.match_index) for peer, progress in sorted(leader.peers.items())]) if leader else (),
        frozenset(state.candidate.votes) if state.candidate else frozenset(),
        server.disk,
        log.durable_index,
    )
