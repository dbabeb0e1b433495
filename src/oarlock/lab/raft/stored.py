"""What a server saves: term, vote and log (P-1), and a snapshot with the number of its last command."""

from typing import Final

import msgspec

from oarlock.raft.log import Log
from oarlock.raft.types import Configuration, Entry, EntryKind, HardState, Index, ServerId, SnapshotMetadata, Term


class StoredState(msgspec.Struct, frozen=True, array_like=True):
    """Raft's persistent state as bytes hold it. Indices follow from the base's."""

    current_term: Term = 0
    voted_for: ServerId | None = None
    base_index: Index = 0
    base_term: Term = 0
    base_number: int = 0
    """How many commands there are up to the base."""
    entries: list[tuple[Term, EntryKind, bytes]] = []


class NumberedSnapshot(msgspec.Struct, frozen=True, array_like=True):
    """A service's snapshot as it travels."""

    number: int
    """The labs' index: that of the last command in it."""
    data: bytes


_ENCODER: Final = msgspec.msgpack.Encoder()
_STATE: Final = msgspec.msgpack.Decoder(StoredState)
_SNAPSHOT: Final = msgspec.msgpack.Decoder(NumberedSnapshot)


def encode_state(hard_state: HardState, log: Log, base_number: int) -> bytes:
    """All of the persistent state."""
    entries = log.slice(log.base_index + 1, log.last_index)
    state = StoredState(
        hard_state.current_term,
        hard_state.voted_for,
        log.base_index,
        log.base.last_included_term,
        base_number,
        [(entry.term, entry.kind, entry.data) for entry in entries],
    )
    return _ENCODER.encode(state)


def decode_state(raft_state: bytes) -> StoredState:
    """What was saved; of a new server nothing was."""
    return _STATE.decode(raft_state) if raft_state else StoredState()


def log_of(state: StoredState, configuration: Configuration) -> Log:
    """The log as saved."""
    base = SnapshotMetadata(state.base_index, state.base_term, configuration)
    entries = [Entry(index, *entry) for index, entry in enumerate(state.entries, state.base_index + 1)]
    return Log(base, entries)


def encode_snapshot(number: int, data: bytes) -> bytes:
    """A snapshot for another server."""
    return _ENCODER.encode(NumberedSnapshot(number, data))


def decode_snapshot(payload: bytes) -> NumberedSnapshot:
    """A snapshot of another server."""
    return _SNAPSHOT.decode(payload)
