"""Messages between nodes as bytes: those of the core, and proposals on their way to the leader."""

from enum import IntEnum
from typing import Final

import msgspec

from oarlock.machine.exactly_once import EnvelopeError, read_envelope
from oarlock.raft.messages import RaftMessage
from oarlock.raft.types import ServerId, Term


class ForwardOutcome(IntEnum):
    """What became of forwarded proposals at the server asked."""

    ACCEPTED = 0
    """In its log; they commit unless it loses its leadership."""
    NOT_LEADER = 1
    OVERLOADED = 2
    DISK_FULL = 3


class Forward(msgspec.Struct, frozen=True, array_like=True, tag_field="type", tag=64, gc=False):
    """Proposals, sealed in their envelopes, for the leader to append."""

    source: ServerId
    request_id: int
    commands: list[bytes]


class ForwardReply(msgspec.Struct, frozen=True, array_like=True, tag_field="type", tag=65, gc=False):
    """What became of a `Forward`, in the term of the server that answers."""

    source: ServerId
    request_id: int
    outcome: ForwardOutcome
    term: Term


NodeMessage = RaftMessage | Forward | ForwardReply
"""Anything one node sends another."""

_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final[msgspec.msgpack.Decoder[NodeMessage]] = msgspec.msgpack.Decoder(NodeMessage)

encode = _encoder.encode
"""Message to payload."""


class BadMessage(ValueError):
    """A payload is not a message this version knows."""


def decode(payload: bytes, source: ServerId) -> NodeMessage:
    """Read a payload.

    Args:
        payload: As it came from the transport.
        source: The server the transport says it came from, which the message must name too.

    Raises:
        BadMessage: It is not a message this version knows, or names another sender; the text says which.
    """
    try:
        message = _decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:  # ValidationError is a DecodeError
        raise BadMessage(f"{len(payload)} bytes from server {source:x} are not a message: {error}") from error
    if message.source != source:
        raise BadMessage(f"server {source:x} sent a {type(message).__name__} of server {message.source:x}")
    if type(message) is Forward:
        _check_envelopes(message)
    return message


def _check_envelopes(forward: Forward) -> None:
    """What is not an envelope must not reach the log: applying it would end every server."""
    for command in forward.commands:
        try:
            origin = read_envelope(command).origin
        except EnvelopeError as error:
            raise BadMessage(f"server {forward.source:x} forwarded {error}") from error
        if origin != forward.source:
            raise BadMessage(f"server {forward.source:x} forwarded a command of server {origin:x}")
