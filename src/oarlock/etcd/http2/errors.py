"""What can go wrong on an HTTP/2 connection, and how far the damage reaches (RFC 9113, sections 5.4 and 7)."""

from enum import IntEnum


class ErrorCode(IntEnum):
    """The codes of RST_STREAM and GOAWAY (RFC 9113, section 7)."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    SETTINGS_TIMEOUT = 0x4
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    CONNECT_ERROR = 0xA
    ENHANCE_YOUR_CALM = 0xB
    INADEQUATE_SECURITY = 0xC
    HTTP_1_1_REQUIRED = 0xD


class Http2Error(Exception):
    """The peer broke a rule.

    Attributes:
        code: What GOAWAY or RST_STREAM will carry.
        reason: What was wrong, for the log and GOAWAY's debug data.
    """

    def __init__(self, code: ErrorCode, reason: str) -> None:
        super().__init__(f"{code.name}: {reason}")
        self.code = code
        self.reason = reason


class ConnectionFault(Http2Error):
    """Ends the connection with GOAWAY (RFC 9113, section 5.4.1)."""


class StreamFault(Http2Error):
    """Ends one stream with RST_STREAM (RFC 9113, section 5.4.2)."""


class HeadersTooLarge(StreamFault):
    """A field section above the advertised limit, which could still be decoded; answered with status 431."""

    def __init__(self, reason: str) -> None:
        super().__init__(ErrorCode.ENHANCE_YOUR_CALM, reason)
