"""A run's fingerprint, and on request its events in words."""

import hashlib
import struct
from typing import IO, Final

import msgspec

_FLUSH_BYTES: Final = 1 << 16
_pack_event = struct.Struct("<dQI").pack

FORMAT: Final = "oarlock-sim-trace/1"


class Trace:
    """Takes every event, with its time, and every state's digest into one hash.

    Args:
        out: Where to write each event as a line of JSON; None for nowhere.
    """

    def __init__(self, out: IO[bytes] | None = None) -> None:
        self._hash = hashlib.blake2b(digest_size=16)
        self._buffer = bytearray()
        self._out = out
        if out is not None:
            out.write(msgspec.json.encode({"format": FORMAT}) + b"\n")

    @property
    def is_written(self) -> bool:
        """Whether events are written as lines too."""
        return self._out is not None

    def iteration(self, now: float, server_id: int, callbacks: int) -> None:
        """A server's loop has turned."""
        self._buffer += _pack_event(now, server_id, callbacks)
        if len(self._buffer) >= _FLUSH_BYTES:
            self._flush()

    def digest(self, data: bytes) -> None:
        """A state, or anything else that must be the same in every run."""
        self._buffer += data

    def event(self, now: float, event: str, **fields: object) -> None:
        """A fault, an operation, an election: what a person wants to read."""
        line = msgspec.json.encode({"at": round(now, 9), "event": event, **fields})
        self._buffer += line
        if self._out is not None:
            self._out.write(line + b"\n")

    def hexdigest(self) -> str:
        """The fingerprint of all up to now."""
        self._flush()
        return self._hash.hexdigest()

    def _flush(self) -> None:
        self._hash.update(self._buffer)
        self._buffer.clear()
