"""What each side lets the other do: our limits, and the peer's SETTINGS (RFC 9113, section 6.5)."""

import msgspec

from oarlock.etcd.http2 import frames
from oarlock.etcd.http2.errors import ConnectionFault, ErrorCode

HEADER_TABLE_SIZE = 0x1
ENABLE_PUSH = 0x2
MAX_CONCURRENT_STREAMS = 0x3
INITIAL_WINDOW_SIZE = 0x4
MAX_FRAME_SIZE = 0x5
MAX_HEADER_LIST_SIZE = 0x6

DEFAULT_WINDOW = 65_535
DEFAULT_FRAME_SIZE = 16_384
LARGEST_FRAME_SIZE = (1 << 24) - 1


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a client could make grow, and how far it may.

    Attributes:
        max_concurrent_streams: Requests open at once on one connection; more are refused, to be retried.
        stream_window_bytes: Bytes of one request that may come before its receiver allows more.
        connection_window_bytes: Bytes in flight towards us on one connection.
        max_pending_bytes: Bytes of responses waiting for the peer above which new streams are refused.
        put_off_bytes: The same, above which no more answers are made that may be large.
        max_header_list_bytes: Size of a field section as HPACK counts it; more is answered with status 431.
        max_header_block_bytes: Encoded size of a field section; more ends the connection.
        max_continuations: CONTINUATION frames in one field section (CVE-2024-27316).
        control_burst: Frames without progress (PING, SETTINGS, empty DATA...) accepted in one burst.
        control_per_second: How fast that allowance comes back, besides what requests earn.
        reset_burst: Streams the peer may reset before they were answered, in one burst (CVE-2023-44487).
        reset_per_second: How fast that allowance comes back, besides what answered requests earn.
        preface_timeout_s: From connecting to the client's first SETTINGS.
        frame_timeout_s: How long a frame or a field section may stay unfinished.
        idle_timeout_s: Without any open stream; then the connection is drained.
        keepalive_interval_s: Of silence, after which the peer is pinged.
        keepalive_timeout_s: For the answer to that ping.
        stall_timeout_s: How long the peer may take nothing at all of what waits for it.
        pressed_stall_timeout_s: How long it may take next to nothing while all clients together leave too much.
    """

    max_concurrent_streams: int = 1024
    stream_window_bytes: int = 64 * 1024
    connection_window_bytes: int = 4 * 1024 * 1024
    max_pending_bytes: int = 64 * 1024 * 1024
    put_off_bytes: int = 16 * 1024 * 1024
    max_header_list_bytes: int = 64 * 1024
    max_header_block_bytes: int = 64 * 1024
    max_continuations: int = 32
    control_burst: int = 2000
    control_per_second: float = 200.0
    reset_burst: int = 2000
    reset_per_second: float = 200.0
    preface_timeout_s: float = 10.0
    frame_timeout_s: float = 30.0
    idle_timeout_s: float = 3600.0
    keepalive_interval_s: float = 7200.0
    keepalive_timeout_s: float = 20.0
    stall_timeout_s: float = 300.0
    pressed_stall_timeout_s: float = 5.0

    def announcement(self) -> list[tuple[int, int]]:
        """The SETTINGS we send.

        The header table is announced as empty. A client then writes each field in full, the bytes of a request's
        field section depend on nothing before them, and one dictionary look-up replaces decoding (`headers.py`).
        """
        return [
            (HEADER_TABLE_SIZE, 0),
            (MAX_CONCURRENT_STREAMS, self.max_concurrent_streams),
            (INITIAL_WINDOW_SIZE, self.stream_window_bytes),
            (MAX_HEADER_LIST_SIZE, self.max_header_list_bytes),
        ]


class PeerSettings:
    """What the client last announced, beginning with the defaults of RFC 9113, section 6.5.2."""

    __slots__ = ("initial_window", "max_frame_size", "max_header_list_size")

    def __init__(self) -> None:
        self.initial_window = DEFAULT_WINDOW
        self.max_frame_size = DEFAULT_FRAME_SIZE
        self.max_header_list_size: int | None = None

    def update(self, payload: bytes) -> int:
        """Take over a SETTINGS payload.

        Returns:
            By how much the window of every open stream changes; it may be negative (section 6.9.2).

        Raises:
            ConnectionFault: A value is outside what the RFC allows.
        """
        before = self.initial_window
        for identifier, value in frames.parse_settings(payload):
            if identifier == INITIAL_WINDOW_SIZE:
                if value > frames.MAX_WINDOW:
                    raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, f"INITIAL_WINDOW_SIZE of {value}")
                self.initial_window = value
            elif identifier == MAX_FRAME_SIZE:
                if not DEFAULT_FRAME_SIZE <= value <= LARGEST_FRAME_SIZE:
                    raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"MAX_FRAME_SIZE of {value}")
                self.max_frame_size = value
            elif identifier == ENABLE_PUSH:
                if value > 1:
                    raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"ENABLE_PUSH of {value}")
            elif identifier == MAX_HEADER_LIST_SIZE:
                self.max_header_list_size = value
        return self.initial_window - before
