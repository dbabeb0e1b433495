"""How a message's identity reaches its receiver: through a side table in one process, or at the payload's end.

An array in MessagePack may be longer than its reader knows: servers that do not trace, or do not know of stamps, take
a stamped payload as they take any other. So tracing may be switched on one server at a time. A stamp is an extension
type, so that a newer server, which looks for one of its fields at that place, cannot mistake it for a value.
"""

import struct
from typing import Any, Final, NamedTuple, Protocol

from oarlock.trace.schema import server_name


class Stamp(NamedTuple):
    """Which message it is, and its sender's Lamport clock when it left."""

    epoch: int
    number: int
    lc: int

    def message_id(self, source: int) -> str:
        """The id of the event by which `source` sent it."""
        return f"{server_name(source)}.{self.epoch}.{self.number}"


def copy_id(message_id: str, number: int) -> str:
    """The id of a message's first, second, ... copy."""
    return message_id if number == 1 else f"{message_id}#{number}"


class Addressed(Protocol):
    """What every message has."""

    @property
    def source(self) -> int:
        """The sender."""

    @property
    def request_id(self) -> int:
        """Pairs a reply with its request."""

    @property
    def term(self) -> int:
        """The sender's term."""


# An extension of 24 bytes in MessagePack: format, length, type, three 64-bit numbers.
_TAIL: Final = struct.Struct(">BBBQQQ")
_EXT_8: Final = 0xC7
_LENGTH: Final = 24
_TYPE: Final = ord("T")
_MARK: Final = bytes((_EXT_8, _LENGTH, _TYPE))
_FIXARRAY: Final = 0x90
_FIXARRAY_MOST: Final = 15
_MOST_EQUAL: Final = 16
"""Replies to one request that are remembered."""


def add_stamp(payload: bytes, stamp: Stamp) -> bytes:
    """Put a stamp at the end of a message encoded as a MessagePack array of fewer than 15 elements.

    Raises:
        ValueError: The payload is no such array.
    """
    if not payload or not _FIXARRAY <= payload[0] < _FIXARRAY + _FIXARRAY_MOST:
        raise ValueError("a stamp needs a message encoded as an array of fewer than 15 elements")
    return bytes((payload[0] + 1,)) + payload[1:] + _TAIL.pack(_EXT_8, _LENGTH, _TYPE, *stamp)


def read_stamp(payload: bytes, elements: int) -> Stamp | None:
    """The stamp at the end of a payload, if there is one.

    Args:
        payload: As it arrived.
        elements: How many elements the message has without a stamp, its tag included; a newer sender's may have more.
    """
    if len(payload) <= _TAIL.size or not _FIXARRAY + elements < payload[0] <= _FIXARRAY + _FIXARRAY_MOST:
        return None
    at = len(payload) - _TAIL.size
    return Stamp(*_TAIL.unpack_from(payload, at)[3:]) if payload.startswith(_MARK, at) else None


def strip_stamp(payload: bytes) -> bytes:
    """A payload without its stamp, if one seems to be there: for who cannot read it as it is."""
    at = len(payload) - _TAIL.size
    if at > 0 and _FIXARRAY < payload[0] <= _FIXARRAY + _FIXARRAY_MOST and payload.startswith(_MARK, at):
        return bytes((payload[0] - 1,)) + payload[1:at]
    return payload


class MessageTable:
    """The identities of messages under way, for receivers in the same process: nothing on the wire changes.

    Requests are told apart by their ids; equal replies, which only a doubled request can bring forth, are taken in
    the order in which they left.
    """

    def __init__(self, max_messages: int = 65_536) -> None:
        """Start empty.

        Args:
            max_messages: So many are remembered; the oldest are forgotten, and arrive without identity.
        """
        self._max_messages = max_messages
        self._sent: dict[tuple[int, int, str, int], list[_Sent]] = {}

    def remember(self, to: int, message: Addressed, stamp: Stamp) -> None:
        """A message left."""
        key = (message.source, to, type(message).__name__, message.request_id)
        equal = self._sent.setdefault(key, [])
        equal.append(_Sent(message, stamp))
        del equal[:-_MOST_EQUAL]
        if len(self._sent) > self._max_messages:
            del self._sent[next(iter(self._sent))]

    def find(self, to: int, message: Addressed) -> Stamp | None:
        """The stamp of a message under way; None if unknown."""
        sent = self._find(to, message)
        return None if sent is None else sent.stamp

    def recall(self, to: int, message: Addressed) -> tuple[Stamp, int] | None:
        """A message arrived: its stamp, and how many copies of it have arrived with this one; None if unknown."""
        sent = self._find(to, message)
        if sent is None:
            return None
        sent.copies += 1
        return sent.stamp, sent.copies

    def _find(self, to: int, message: Addressed) -> "_Sent | None":
        key = (message.source, to, type(message).__name__, message.request_id)
        equal = [sent for sent in self._sent.get(key, ()) if sent.message == message]
        return next((sent for sent in equal if not sent.copies), equal[0] if equal else None)


class _Sent:
    __slots__ = ("copies", "message", "stamp")

    def __init__(self, message: Any, stamp: Stamp) -> None:  # noqa: ANN401 - any message of the core
        self.message = message
        self.stamp = stamp
        self.copies = 0
