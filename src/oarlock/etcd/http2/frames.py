"""The frame codec: nine bytes of header, and the payloads that have a shape (RFC 9113, sections 4 and 6)."""

import struct
from collections.abc import Iterable, Iterator

from oarlock.etcd.http2.errors import ConnectionFault, ErrorCode

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What every client sends first (RFC 9113, section 3.4)."""

DATA = 0x0
HEADERS = 0x1
PRIORITY = 0x2
RST_STREAM = 0x3
SETTINGS = 0x4
PUSH_PROMISE = 0x5
PING = 0x6
GOAWAY = 0x7
WINDOW_UPDATE = 0x8
CONTINUATION = 0x9

END_STREAM = 0x1
ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
PRIORITY_FLAG = 0x20

HEADER_BYTES = 9
MAX_STREAM_ID = 0x7FFFFFFF
MAX_WINDOW = 0x7FFFFFFF

FRAME_HEADER = struct.Struct(">HBBBL")
"""Length (its upper 16 bits, then its lower 8), type, flags, stream."""

_LONG = struct.Struct(">L")
_TWO_LONGS = struct.Struct(">LL")
_SETTING = struct.Struct(">HL")


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    """One frame, whole."""
    length = len(payload)
    return FRAME_HEADER.pack(length >> 8, length & 0xFF, kind, flags, stream_id) + payload


def settings(values: Iterable[tuple[int, int]]) -> bytes:
    """A SETTINGS frame of (identifier, value) pairs."""
    return frame(SETTINGS, 0, 0, b"".join(_SETTING.pack(identifier, value) for identifier, value in values))


def rst_stream(stream_id: int, code: int) -> bytes:
    """RST_STREAM: this stream is over."""
    return frame(RST_STREAM, 0, stream_id, _LONG.pack(code))


def window_update(stream_id: int, increment: int) -> bytes:
    """WINDOW_UPDATE: the receiver may take that many bytes more; stream 0 is the connection."""
    return frame(WINDOW_UPDATE, 0, stream_id, _LONG.pack(increment))


def goaway(last_stream_id: int, code: int, debug: bytes = b"") -> bytes:
    """GOAWAY: streams above `last_stream_id` were not and will not be looked at."""
    return frame(GOAWAY, 0, 0, _TWO_LONGS.pack(last_stream_id, code) + debug)


def parse_long(payload: bytes) -> int:
    """The 32 bits of RST_STREAM and WINDOW_UPDATE."""
    value: int = _LONG.unpack(payload)[0]
    return value


def parse_settings(payload: bytes) -> Iterator[tuple[int, int]]:
    """The (identifier, value) pairs of a SETTINGS payload, whose length is known to be a multiple of six."""
    return _SETTING.iter_unpack(payload)


def strip_padding(flags: int, payload: bytes) -> bytes:
    """The payload of DATA or HEADERS without its padding (RFC 9113, section 6.1).

    Raises:
        ConnectionFault: The padding is as long as the payload or longer.
    """
    if not flags & PADDED:
        return payload
    if not payload:
        raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "a padded frame without a pad length")
    padding = payload[0]
    if padding >= len(payload):
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"{padding} bytes of padding in {len(payload)}")
    return payload[1 : len(payload) - padding]
