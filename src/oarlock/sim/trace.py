"""A run's fingerprint: one number for all that happened in it."""

import hashlib
import struct
from typing import Final

import msgspec

_FLUSH_BYTES: Final = 1 << 16
_pack_event = struct.Struct("<dQI").pack


class Trace:
    """Takes every event, with its time, and every state's digest into one hash."""

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=16)
        self._buffer = bytearray()

    def iteration(self, now: float, server_id: int, callbacks: int) -> None:
        """A server's loop has turned."""
        self._buffer += _pack_event(now, server_id, callbacks)
        if len(self._buffer) >= _FLUSH_BYTES:
            self._flush()

    def digest(self, data: bytes) -> None:
        """A state, or anything else that must be the same in every run."""
        self._buffer += data

    def event(self, now: float, event: str, **fields: object) -> None:
        """A fault, an operation, an election: what must be the same in every run."""
        self._buffer += msgspec.json.encode({"at": round(now, 9), "event": event, **fields})

    def hexdigest(self) -> str:
        """The fingerprint of all up to now."""
        self._flush()
        return self._hash.hexdigest()

    def _flush(self) -> None:
        self._hash.update(self._buffer)
        self._buffer.clear()
