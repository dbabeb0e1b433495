"""Frames: how a stream of bytes is cut into messages, and how damage is noticed. Sans-IO.

A frame is a header of three little-endian 32-bit words and a payload::

    kind << 28 | length     the kind, and the payload's length in bytes
    the same ^ CHECK_MASK   guards the word above
    CRC32C of the payload   (RFC 3720, appendix B.4)

The length is guarded apart from the payload because a damaged length would otherwise be noticed only when that
many bytes have come, and on a link that carries only heartbeats that is hours of silence. The mask also makes a
run of zeros invalid. CRC32C costs 0.4 us for a small message, with the processor's instruction for it, and sees
every burst of up to 32 bits; TCP's own 16-bit sum misses about one damaged segment in 65536.
"""

import struct
from collections.abc import Iterator
from typing import Final

import google_crc32c

HELLO: Final = 1
"""Opens either direction: who speaks, and which versions."""
REFUSAL: Final = 2
"""Why the connection is being closed instead."""
MESSAGE: Final = 3
"""A payload for the other side's runtime."""
PING: Final = 4
"""Asks for a PONG with the same payload."""
PONG: Final = 5
"""A sign of life."""
QUESTION: Final = 6
"""Opens a connection of someone who is no peer yet, and asks what the cluster is."""
ANSWER: Final = 7
"""The answer to that."""

HEADER_BYTES: Final = 12
PAYLOAD_LIMIT_BYTES: Final = (1 << 28) - 1
"""The largest length that the header can say."""

CHECK_MASK: Final = 0xA5C3_965A
_KIND_SHIFT: Final = 28
_HEADER: Final = struct.Struct("<III")

_pack = _HEADER.pack
_unpack_from = _HEADER.unpack_from
_crc32c = google_crc32c.value


class FrameError(Exception):
    """The bytes are not a valid frame; the stream cannot be read any further."""


def encode_header(kind: int, payload: bytes) -> bytes:
    """Give the header that goes before `payload`.

    Raises:
        ValueError: The payload is longer than a frame can carry.
    """
    length = len(payload)
    if length > PAYLOAD_LIMIT_BYTES:
        raise ValueError(f"a frame carries at most {PAYLOAD_LIMIT_BYTES} bytes, not {length}")
    word = kind << _KIND_SHIFT | length
    return _pack(word, word ^ CHECK_MASK, _crc32c(payload))


def encode_frame(kind: int, payload: bytes) -> bytes:
    """Give a whole frame."""
    return encode_header(kind, payload) + payload


class FrameDecoder:
    """Cuts received bytes into frames, however they were split on the way.

    At most one frame is ever held back, and `max_payload_bytes` bounds it; it may be raised between frames.
    Every byte is copied at most twice after its arrival, so a large frame in many pieces costs linear time.
    """

    __slots__ = ("_needed", "_partial", "max_payload_bytes")

    def __init__(self, max_payload_bytes: int) -> None:
        self.max_payload_bytes = max_payload_bytes
        self._partial = bytearray()
        self._needed = 0
        """Length of the frame begun in `_partial`; HEADER_BYTES while even its header is incomplete."""

    @property
    def buffered_bytes(self) -> int:
        """Bytes of an unfinished frame held back."""
        return len(self._partial)

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield (kind, payload) of every frame that `data` completes. Exhaust it before feeding again.

        Raises:
            FrameError: A header or payload is damaged, or a payload is too long. Frames before it were yielded.
        """
        position = 0
        if self._partial:
            position = self._fill(data)
            if len(self._partial) < self._needed:
                return
            frame = bytes(self._partial)
            self._partial.clear()
            yield self._whole(frame)
        end = len(data)
        while end - position >= HEADER_BYTES:
            word, check, crc = _unpack_from(data, position)
            if word ^ check != CHECK_MASK:
                raise FrameError("damaged frame header, or a stream that is not ours")
            start = position + HEADER_BYTES
            stop = start + (word & PAYLOAD_LIMIT_BYTES)
            if stop - start > self.max_payload_bytes:
                raise self._too_long(stop - start)
            if stop > end:
                self._hold(data, position, stop - position)
                return
            payload = data[start:stop]
            if _crc32c(payload) != crc:
                raise FrameError(f"damaged frame: the CRC32C of its {stop - start} bytes does not match")
            position = stop
            yield word >> _KIND_SHIFT, payload
        if position < end:
            self._hold(data, position, HEADER_BYTES)

    def _hold(self, data: bytes, position: int, needed: int) -> None:
        self._needed = needed
        self._partial += memoryview(data)[position:]

    def _fill(self, data: bytes) -> int:
        """Move bytes of `data` into the frame begun, and tell how many."""
        taken = self._needed - len(self._partial)
        self._partial += memoryview(data)[:taken]
        if self._needed == HEADER_BYTES and len(self._partial) == HEADER_BYTES:
            length = self._length()
            self._needed += length
            self._partial += memoryview(data)[taken : taken + length]
            taken += length
        return taken

    def _length(self) -> int:
        """Judge the header in `_partial` as soon as it is there, before anything is kept for its payload."""
        word, check, _ = _unpack_from(self._partial)
        if word ^ check != CHECK_MASK:
            raise FrameError("damaged frame header, or a stream that is not ours")
        length: int = word & PAYLOAD_LIMIT_BYTES
        if length > self.max_payload_bytes:
            raise self._too_long(length)
        return length

    def _whole(self, frame: bytes) -> tuple[int, bytes]:
        word, _, crc = _unpack_from(frame)
        payload = frame[HEADER_BYTES:]
        if _crc32c(payload) != crc:
            raise FrameError(f"damaged frame: the CRC32C of its {len(payload)} bytes does not match")
        return word >> _KIND_SHIFT, payload

    def _too_long(self, length: int) -> FrameError:
        return FrameError(f"frame of {length} bytes, more than the {self.max_payload_bytes} allowed here")
