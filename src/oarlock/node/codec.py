"""Messages between nodes as bytes: those of the core, and what servers ask of their leader."""

import contextlib
from enum import IntEnum
from typing import Final, get_args

import msgspec

from oarlock.machine.exactly_once import EnvelopeError, read_envelope
from oarlock.node.members import Change
from oarlock.raft.messages import RaftMessage
from oarlock.raft.types import Index, ServerId, Term
from oarlock.trace.stamps import strip_stamp


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


class ChangeMembers(msgspec.Struct, frozen=True, array_like=True, tag_field="type", tag=66, gc=False):
    """A change of members, for the leader to begin."""

    source: ServerId
    request_id: int
    changes: tuple[Change, ...]
    strict: bool
    """Whether the leader is to refuse what could cost the cluster its majority."""
    retried: bool
    """Whether it may have been made already."""


class ChangeOutcome(IntEnum):
    """What became of a change of members at the server asked."""

    ACCEPTED = 0
    """Begun by the entry of the index and term given, which commits unless the server loses its leadership."""
    NOT_NOW = 1
    """The server does not lead, or another change is under way; try again."""
    REFUSED = 2


class ChangeMembersReply(msgspec.Struct, frozen=True, array_like=True, tag_field="type", tag=67, gc=False):
    """What became of a `ChangeMembers`."""

    source: ServerId
    request_id: int
    outcome: ChangeOutcome
    index: Index = 0
    term: Term = 0
    refusal: int = 0
    """A `Refusal`, with its text, where refused."""
    text: str = ""


class Removed(msgspec.Struct, frozen=True, array_like=True, tag_field="type", tag=68, gc=False):
    """To a server that was removed from the cluster: by a configuration that is committed."""

    source: ServerId
    server_id: ServerId
    """The one removed."""


class AmIRemoved(msgspec.Struct, frozen=True, array_like=True, tag_field="type", tag=69, gc=False):
    """From a server whose log removes it, but that cannot know whether this was committed."""

    source: ServerId


class ReachMe(msgspec.Struct, frozen=True, array_like=True, tag_field="type", tag=70, gc=False):
    """To a member that may not know the sender, as its log may not have come so far: where to answer."""

    source: ServerId
    addresses: tuple[str, ...]


BetweenNodes = Forward | ForwardReply | ChangeMembers | ChangeMembersReply | Removed | AmIRemoved | ReachMe
"""What is not the core's."""

NodeMessage = RaftMessage | BetweenNodes
"""Anything one node sends another."""

_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final[msgspec.msgpack.Decoder[NodeMessage]] = msgspec.msgpack.Decoder(NodeMessage)

encode = _encoder.encode
"""Message to payload."""

_KNOWN: Final = frozenset(kind.__struct_config__.tag for kind in get_args(NodeMessage))
"""Tags of messages."""


class BadMessage(ValueError):
    """A payload is not a message this version knows."""


class UnknownMessage(BadMessage):
    """It is a message of a kind that came with a later version: to be left unheard, as if it had been lost."""


def decode(payload: bytes, source: ServerId) -> NodeMessage:
    """Read a payload.

    Args:
        payload: As it came from the transport.
        source: The server the transport says it came from, which the message must name too.

    Raises:
        UnknownMessage: It is of a kind that this version does not know.
        BadMessage: It is not a message, or names another sender; the text says which.
    """
    try:
        message = _decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:  # ValidationError is a DecodeError
        message = _decode_unstamped(payload, source, error)
    if message.source != source:
        raise BadMessage(f"server {source:x} sent a {type(message).__name__} of server {message.source:x}")
    if type(message) is Forward:
        _check_envelopes(message)
    return message


def _decode_unstamped(payload: bytes, source: ServerId, error: Exception) -> NodeMessage:
    """An older version's trace stamp may lie where this version has a field that the older one lacks."""
    plain = strip_stamp(payload)
    if plain is not payload:
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
            return _decoder.decode(plain)
    kind = _kind(payload)
    if kind is not None and kind not in _KNOWN:
        raise UnknownMessage(f"server {source:x} sent a message of kind {kind}, which this version does not know")
    raise BadMessage(f"{len(payload)} bytes from server {source:x} are not a message: {error}") from error


def _kind(payload: bytes) -> int | None:
    """The tag by which a message of whatever version says of what kind it is; None if it is no message at all."""
    try:
        content = msgspec.msgpack.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return content[0] if isinstance(content, list) and content and isinstance(content[0], int) else None


def _check_envelopes(forward: Forward) -> None:
    """What is not an envelope must not reach the log: applying it would end every server."""
    for command in forward.commands:
        try:
            origin = read_envelope(command).origin
        except EnvelopeError as error:
            raise BadMessage(f"server {forward.source:x} forwarded {error}") from error
        if origin != forward.source:
            raise BadMessage(f"server {forward.source:x} forwarded a command of server {origin:x}")
