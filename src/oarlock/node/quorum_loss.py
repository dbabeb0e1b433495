"""Going on without a majority that is lost for good: one server, stopped, is made the only voter of a new cluster.

Raft cannot do this: what the lost servers acknowledged and this one never received is gone, and nobody can tell what
that was. So it is done by a person, on a stopped server, and never by a server itself.

The steps, each durable before the next: the note that says what is to be done (`storage.origin`); the identity with
the new cluster's id; the entry that makes this server the only voter. The second is the one that counts. Before it the
directory is what it was; from it on every start does what is missing before anything else. A new id, since servers of
the old cluster that come back after all are then refused at the first word, whatever their terms and logs say.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from oarlock.node.errors import RecoveryError
from oarlock.raft.types import Configuration, Entry, EntryKind, HardState, Index, ServerId, SnapshotMetadata, Term
from oarlock.storage.disk import Disk
from oarlock.storage.identity import Identity, load_identity, write_identity
from oarlock.storage.origin import GivenUp, Recovered, Restored, load_origin, write_origin
from oarlock.storage.recovery import recover as read_log
from oarlock.storage.wal import Recovered as FoundLog
from oarlock.storage.wal import WriteAheadLog

logger = logging.getLogger(__name__)

REMOVED: Final = "removed"
"""The file that says that the server was removed from its cluster."""


class Survivor(msgspec.Struct, frozen=True):
    """What a stopped server's directory holds, the machine aside."""

    identity: Identity
    hard_state: HardState
    base: SnapshotMetadata
    entries: Sequence[Entry]
    configuration: Configuration
    """In force at the log's end, committed or not."""
    unfinished: Recovered | None
    """A recovery that was cut short, and has already taken effect: the next start, or the next recovery, ends it."""

    @property
    def last_index(self) -> Index:
        """Where the log ends."""
        return self.base.last_included_index + len(self.entries)

    @property
    def last_term(self) -> Term:
        """The term of the last entry: of two survivors, the one where this and `last_index` are higher has more."""
        return self.entries[-1].term if self.entries else self.base.last_included_term

    @property
    def is_alone(self) -> bool:
        """Whether it is the only voter already, with nobody to give up."""
        return self.configuration.members == {self.identity.server_id}

    @property
    def may_have_forgotten(self) -> bool:
        """Whether its disk was replaced, and it has not been admitted again since: it may lack what it acknowledged."""
        return not self.configuration.counts(self.identity.server_id, self.identity.disk_id)

    def given_up(self) -> tuple[GivenUp, ...]:
        """The other members."""
        addresses = dict(self.configuration.addresses)
        return tuple(
            GivenUp(server_id, server_id in self.configuration.all_voters, addresses.get(server_id, ()))
            for server_id in sorted(self.configuration.members - {self.identity.server_id})
        )

    def entries_after(self, committed_index: Index) -> Sequence[Entry]:
        """The entries of which nothing shows that they are committed."""
        return self.entries[max(0, committed_index - self.base.last_included_index) :]


def examine(disk: Disk, directory: Path, wal_dir: Path | None = None) -> Survivor:
    """Read a stopped server's directory, whose lock the caller holds; changes no more than a start: a torn end is cut.

    Args:
        disk: The files.
        directory: The data directory.
        wal_dir: Of the log, where it is elsewhere.

    Raises:
        RecoveryError: There is nothing to go on with.
        StorageError: What is there is damaged, or of a newer format.
    """
    identity = load_identity(disk, directory)
    if identity is None:
        raise RecoveryError(f"{directory} holds no server's data: there is no identity in it")
    if disk.exists(directory / REMOVED):
        raise RecoveryError(
            f"server {identity.server_id:x} was removed from its cluster, and what {directory} holds is older than that"
        )
    log_directory = wal_dir or directory / "wal"
    found = read_log(disk, log_directory, identity.server_id) if disk.exists(log_directory) else None
    if found is None:
        raise RecoveryError(f"{log_directory} holds no log")
    configuration = _in_force(found.bounds.base, found.entries)
    origin = load_origin(disk, directory, identity.cluster_id)
    if identity.server_id not in configuration.members:
        raise RecoveryError(
            f"server {identity.server_id:x} is no member of the cluster that its log tells of: it never caught up"
        )
    return Survivor(
        identity=identity,
        hard_state=found.bounds.hard_state,
        base=found.bounds.base,
        entries=found.entries,
        configuration=configuration,
        unfinished=origin if isinstance(origin, Recovered) and origin.index > found.bounds.last_index else None,
    )


def recover_alone(
    disk: Disk, directory: Path, survivor: Survivor, *, wal_dir: Path | None, cluster_id: int, committed: Index, at: str
) -> Recovered:
    """Make the server the only voter of a new cluster; durable on return. A crash leaves the old state or the new one.

    A recovery that was cut short is ended instead, whatever the other arguments say.

    Args:
        disk: The files.
        directory: The data directory; its lock is held by the caller.
        survivor: What `examine` found there just now.
        wal_dir: Of the log, where it is elsewhere.
        cluster_id: The new cluster's, never used before.
        committed: Up to where entries are known to be committed, for the note.
        at: The time, for the note.

    Raises:
        StorageError: The disk refuses.
    """
    origin = survivor.unfinished or Recovered(
        cluster_id=cluster_id,
        previous_cluster_id=survivor.identity.cluster_id,
        server_id=survivor.identity.server_id,
        at=at,
        index=survivor.last_index + 1,
        term=survivor.hard_state.current_term + 1,
        committed_index=committed,
        given_up=survivor.given_up(),
    )
    if survivor.unfinished is None:
        write_origin(disk, directory, origin)
        write_identity(disk, directory, msgspec.structs.replace(survivor.identity, cluster_id=cluster_id))
    log_directory = wal_dir or directory / "wal"
    wal, found = WriteAheadLog.open(disk, log_directory, log_id=origin.server_id, must_exist=True)
    try:
        complete(origin, wal, found)
    finally:
        wal.close()
    return origin


def complete(origin: Recovered | Restored | None, wal: WriteAheadLog, found: FoundLog) -> FoundLog:
    """Do what a recovery that was cut short left to be done; what the log then holds.

    Args:
        origin: What `load_origin` says of the directory, which is locked.
        wal: The log.
        found: What it held when it was opened.

    Raises:
        StorageError: The disk refuses.
    """
    if not isinstance(origin, Recovered) or wal.last_index >= origin.index:
        return found
    hard_state = HardState(origin.term, origin.server_id)  # as if all had elected it
    configuration = alone(_in_force(found.base, found.entries), origin.server_id)
    entry = Entry(origin.index, origin.term, EntryKind.CONFIGURATION, msgspec.msgpack.encode(configuration))
    wal.append(hard_state=hard_state, entries=[entry])
    return msgspec.structs.replace(found, hard_state=hard_state, entries=[*found.entries, entry])


def alone(configuration: Configuration, server_id: ServerId) -> Configuration:
    """The configuration of a cluster whose only member is a server; the others count as removed, and keep their ids.

    It names no disk: this server's word counts whatever it once forgot, else it could wait for nobody for ever (NS-1).
    """
    others = tuple(known for known in configuration.addresses if known[0] != server_id)
    own = tuple(known for known in configuration.addresses if known[0] == server_id)
    return Configuration(voters=frozenset({server_id}), addresses=own + others)


def _in_force(base: SnapshotMetadata, entries: Sequence[Entry]) -> Configuration:
    for entry in reversed(entries):
        if entry.kind is EntryKind.CONFIGURATION:
            return msgspec.msgpack.decode(entry.data, type=Configuration)
    return base.configuration


def tell(origin: Recovered | Restored | None) -> None:
    """Log, loudly, that a server goes on after a recovery, or from a backup."""
    if isinstance(origin, Recovered):
        logger.warning(
            "this server was made the only voter on %s, as the majority of cluster %x was lost: the cluster is %x "
            "since, and began at entry %d. Given up: %s. What they alone held is lost; their data directories must "
            "never be used again",
            origin.at,
            origin.previous_cluster_id,
            origin.cluster_id,
            origin.index,
            ", ".join(f"{gone.server_id:x} ({', '.join(gone.addresses)})" for gone in origin.given_up),
        )
    elif origin is not None:
        logger.warning(
            "this server's data were restored on %s from the snapshot %s, revision %d",
            origin.at,
            origin.source,
            origin.revision,
        )
