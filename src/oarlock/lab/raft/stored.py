"""What a server saves: term, vote and log (P-1), and a snapshot with the number of its last command."""

from struct import Struct
from typing import Final

import msgspec

from oarlock.lab.raft.numbering import Numbering
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
_ARRAY: Final = Struct(">BI")
_ARRAY_32: Final = 0xDD
"""The first byte of a MessagePack array with a length of 32 bits."""
_STATE: Final = msgspec.msgpack.Decoder(StoredState)
_SNAPSHOT: Final = msgspec.msgpack.Decoder(NumberedSnapshot)


class Ledger:
    """The log as it is saved: each entry is encoded once, and numbered as the labs count.

    Args:
        log: The core's, durable.
        base_number: How many commands there are up to its base.
    """

    def __init__(self, log: Log, base_number: int) -> None:
        entries = log.slice(log.base_index + 1, log.last_index)
        self.numbers = Numbering(log.base_index, base_number, entries)
        self._pieces = [_encode_entry(entry) for entry in entries]

    def overwrite(self, entries: list[Entry]) -> None:
        """These entries take the place of whatever stood there and after."""
        self.numbers.overwrite(entries)
        del self._pieces[entries[0].index - self.numbers.base - 1 :]
        self._pieces += map(_encode_entry, entries)

    def compact(self, base: Index) -> None:
        """The log up to an index is dropped; what follows stays."""
        del self._pieces[: base - self.numbers.base]
        self.numbers.compact(base)

    def encode(self, hard_state: HardState, base_term: Term) -> bytes:
        """All of the persistent state, as bytes that `decode_state` reads."""
        entries = msgspec.Raw(_ARRAY.pack(_ARRAY_32, len(self._pieces)) + b"".join(self._pieces))
        numbers = self.numbers
        return _ENCODER.encode(
            [hard_state.current_term, hard_state.voted_for, numbers.base, base_term, numbers.base_number, entries]
        )


def _encode_entry(entry: Entry) -> bytes:
    return _ENCODER.encode((entry.term, entry.kind, entry.data))


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
