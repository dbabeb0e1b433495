"""Faults of single frames on a link: lost, doubled, late, out of order, damaged, cut short.

TCP does none of this to a stream, but what is above it must not depend on that: a proxy, a reconnect at a bad moment or
another transport may. Whole frames are told apart by the production framing; what is damaged must be noticed by it.
"""

import random
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from oarlock.sim.strikes import Strikes
from oarlock.transport.framing import HEADER_BYTES, MESSAGE, PAYLOAD_LIMIT_BYTES

_REMEMBERED: Final = 64
"""Frames of a link that may come again much later."""


class FrameFaults(msgspec.Struct, frozen=True):
    """How likely each fault is, per frame."""

    drop: float = 0.0
    duplicate: float = 0.0
    replay: float = 0.0
    """Of an older frame of this link, whichever connection it was on, to come before this one."""
    reorder: float = 0.0
    corrupt: float = 0.0
    truncate: float = 0.0
    kinds: tuple[int, ...] = ()
    """The message kinds concerned, by the tag of the payload; empty for every frame."""


def split(data: bytes) -> Iterator[bytes]:
    """The frames in what was written at once; production writes whole ones."""
    position = 0
    while len(data) - position >= HEADER_BYTES:
        word = int.from_bytes(data[position : position + 4], "little")
        end = position + HEADER_BYTES + (word & PAYLOAD_LIMIT_BYTES)
        yield data[position:end]
        position = end
    if position < len(data):
        yield data[position:]


def message_kind(frame: bytes) -> int | None:
    """The tag of the message in a frame; None for a frame of another kind."""
    if len(frame) < HEADER_BYTES + 2 or frame[3] >> 4 != MESSAGE:
        return None
    return frame[HEADER_BYTES + 1]


class FrameFilter:
    """Applies faults to the frames of one directed link.

    Args:
        rng: The link's own.
        strikes: Where to count.
    """

    __slots__ = ("_memory", "_rng", "_strikes", "active", "on_doubled", "on_lost")

    def __init__(self, rng: random.Random, strikes: Strikes) -> None:
        self._rng = rng
        self._strikes = strikes
        self._memory: list[bytes] = []
        self.active: list[FrameFaults] = []
        """All at once, each in its turn."""
        self.on_lost: Callable[[bytes, str], None] | None = None
        """For whoever records: told of each frame that will not be read, and of the cause."""
        self.on_doubled: Callable[[bytes], None] | None = None
        """The same, of each frame that comes once more."""

    def apply(self, data: bytes) -> list[bytes]:
        """What travels instead of `data`."""
        frames = list(split(data))
        for frame in frames:
            if message_kind(frame) is not None:
                self._remember(frame)
        for faults in self.active:
            out: list[bytes] = []
            for frame in frames:
                self._apply(faults, frame, out)
            frames = out
        return frames

    def _apply(self, faults: FrameFaults, frame: bytes, out: list[bytes]) -> None:
        rng = self._rng
        kind = message_kind(frame)
        if faults.kinds and kind not in faults.kinds:
            out.append(frame)
            return
        if kind is not None and rng.random() < faults.replay:
            self._strikes.hit("frame.replay")
            again = self._memory[rng.randrange(len(self._memory))]
            self._tell_doubled(again)
            out.append(again)
        if rng.random() < faults.drop:
            self._strikes.hit("frame.drop")
            self._tell_lost(frame, "lost")
            return
        if rng.random() < faults.corrupt:
            self._strikes.hit("frame.corrupt")
            damaged = self._damage(frame)
            if damaged != frame:
                self._tell_lost(frame, "corrupt")
            frame = damaged
        elif rng.random() < faults.truncate:
            self._strikes.hit("frame.truncate")
            self._tell_lost(frame, "corrupt")
            frame = frame[: rng.randrange(1, len(frame))]
        if kind is not None and out and rng.random() < faults.reorder:
            self._strikes.hit("frame.reorder")
            out.insert(rng.randrange(len(out)), frame)
        else:
            out.append(frame)
        if kind is not None and rng.random() < faults.duplicate:
            self._strikes.hit("frame.duplicate")
            self._tell_doubled(frame)
            out.append(frame)

    def _tell_lost(self, frame: bytes, cause: str) -> None:
        if self.on_lost is not None:
            self.on_lost(frame, cause)

    def _tell_doubled(self, frame: bytes) -> None:
        if self.on_doubled is not None:
            self.on_doubled(frame)

    def _remember(self, frame: bytes) -> None:
        memory = self._memory
        if len(memory) < _REMEMBERED:
            memory.append(frame)
        else:
            memory[self._rng.randrange(_REMEMBERED)] = frame

    def _damage(self, frame: bytes) -> bytes:
        """Flip up to three bits."""
        damaged = bytearray(frame)
        for _ in range(self._rng.randint(1, 3)):
            damaged[self._rng.randrange(len(damaged))] ^= 1 << self._rng.randrange(8)
        return bytes(damaged)
