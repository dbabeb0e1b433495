"""Retried proposals, applied once (paper, section 8: serial numbers in the state machine).

A proposal that timed out on its way may be in the log all the same, so a server that tries again may put it
there twice. Every command therefore travels in an envelope that names the server it came from (`origin`),
that server's boot (`epoch`, rising with every start), a `sequence` rising with every proposal of that boot,
and a `floor`: the lowest sequence the origin still waits for. The table of what was applied is part of the
machine's state: every server keeps the same one, persists it with the data it describes, and sends it along
in snapshots.

The table is bounded: sequences below the floor are forgotten, since nobody waits for them, and anything that
still arrives from below it is refused.
"""

import struct
from collections.abc import Callable
from typing import Final

import msgspec

from oarlock.raft.types import Index, ServerId

ENVELOPE_VERSION: Final = 1
_HEADER: Final = struct.Struct(">BQQQQ")
HEADER_BYTES: Final = _HEADER.size
"""How much longer than its command an envelope is."""


class EnvelopeError(ValueError):
    """A log entry is not an envelope this version can read."""


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """Who proposed a command, and which of its proposals it is."""

    origin: ServerId
    epoch: int
    sequence: int
    floor: int
    """The lowest sequence of this boot whose outcome the origin still waits for; at most `sequence`."""


class AlreadyApplied(msgspec.Struct, frozen=True):
    """The result of a duplicate: nothing was done this time."""

    result: object | None
    """What the first application returned, where it is still at hand; None otherwise."""
    later_epoch: int = 0
    """Of a boot of the proposing server that counts as later than the entry's; 0 if the entry's is the latest."""


def seal(origin: ServerId, epoch: int, sequence: int, floor: int, command: bytes) -> bytes:
    """Put a command into its envelope.

    Args:
        origin: The proposing server.
        epoch: Its boot, above that of every earlier boot of the same server.
        sequence: Rising from 1 within the boot; the same for every retry of one proposal.
        floor: The lowest sequence still waited for.
        command: What to apply.
    """
    return _HEADER.pack(ENVELOPE_VERSION, origin, epoch, sequence, floor) + command


def read_envelope(data: bytes) -> Envelope:
    """Read who proposed an entry, without its command.

    Raises:
        EnvelopeError: The data is too short or of another version.
    """
    _, origin, epoch, sequence, floor = _unpack(data)
    return Envelope(origin, epoch, sequence, floor)


def _unpack(data: bytes) -> tuple[int, int, int, int, int]:
    if len(data) < HEADER_BYTES:
        raise EnvelopeError(f"an entry of {len(data)} bytes is shorter than an envelope's {HEADER_BYTES}")
    if data[0] != ENVELOPE_VERSION:
        raise EnvelopeError(f"envelope version {data[0]}; this server reads version {ENVELOPE_VERSION}")
    return _HEADER.unpack_from(data)


class _Session:
    """One origin's current epoch: below `floor` all is refused, at or above it `applied` tells."""

    __slots__ = ("applied", "epoch", "floor", "last_index")

    def __init__(self, epoch: int, floor: int) -> None:
        self.epoch = epoch
        self.floor = floor
        self.last_index = 0
        self.applied: dict[int, object | None] = {}

    def raise_floor(self, floor: int) -> None:
        """Forget what lies below `floor`: nobody waits for it any more."""
        applied = self.applied
        if floor - self.floor > len(applied):
            self.applied = {sequence: result for sequence, result in applied.items() if sequence >= floor}
        else:
            for sequence in range(self.floor, floor):
                applied.pop(sequence, None)
        self.floor = floor


class ExactlyOnce:
    """The table of applied proposals: the part of the machine's state that recognises duplicates."""

    def __init__(
        self, local_origin: ServerId | None = None, *, max_origins: int = 256, max_window: int = 1 << 17
    ) -> None:
        """Start with an empty table.

        Args:
            local_origin: This server; results are kept for its proposals only. None keeps everybody's.
            max_origins: How many servers' sessions are kept; the one idle for longest makes room for a new
                one.
            max_window: How many applied sequences one origin may have at or above its floor. Beyond it the
                older half is forgotten as if the floor had been raised, so a retry from there is refused.
        """
        self._local_origin = local_origin
        self._max_origins = max_origins
        self._max_window = max_window
        self._sessions: dict[ServerId, _Session] = {}

    def apply(self, index: Index, data: bytes, execute: Callable[[bytes, bool], object]) -> object:
        """Execute the command in an envelope unless that was done before.

        Args:
            index: The entry's log index.
            data: The envelope.
            execute: Called with the command and whether its result is wanted on this server.

        Returns:
            What `execute` returned, or `AlreadyApplied`.

        Raises:
            EnvelopeError: The data is not an envelope.
        """
        _, origin, epoch, sequence, floor = _unpack(data)
        session = self._sessions.get(origin)
        if session is None or epoch > session.epoch:
            session = self._open(origin, epoch, floor)
        elif epoch < session.epoch:
            return AlreadyApplied(None, session.epoch)  # of a boot that is over: its waiters died with it
        elif sequence < session.floor:
            return AlreadyApplied(None)
        elif sequence in session.applied:
            return AlreadyApplied(session.applied[sequence])
        if floor > session.floor:
            session.raise_floor(floor)
        wanted = self._local_origin is None or origin == self._local_origin
        result = execute(data[HEADER_BYTES:], wanted)
        session.last_index = index
        session.applied[sequence] = result if wanted else None
        if len(session.applied) > self._max_window:
            session.raise_floor(sorted(session.applied)[self._max_window // 2])
        return result

    def _open(self, origin: ServerId, epoch: int, floor: int) -> _Session:
        if origin not in self._sessions and len(self._sessions) >= self._max_origins:
            idle = min(self._sessions, key=lambda known: (self._sessions[known].last_index, known))
            del self._sessions[idle]
        session = _Session(epoch, floor)
        self._sessions[origin] = session
        return session

    def dump(self) -> list[tuple[ServerId, int, int, Index, list[int]]]:
        """The table as plain data, the same on every server that applied the same entries; without results.

        Returns:
            Origin, epoch, floor, last index and the applied sequences in order, for each origin in order.
        """
        return [
            (origin, session.epoch, session.floor, session.last_index, sorted(session.applied))
            for origin, session in sorted(self._sessions.items())
        ]

    def load(self, table: list[tuple[ServerId, int, int, Index, list[int]]]) -> None:
        """Replace the table by a dumped one."""
        self._sessions = {}
        for origin, epoch, floor, last_index, sequences in table:
            session = _Session(epoch, floor)
            session.last_index = last_index
            session.applied = dict.fromkeys(sequences)
            self._sessions[origin] = session
