"""The handshake: both sides say who they are before anything else is believed. Sans-IO.

The dialling side sends a HELLO and the answering side judges it; it answers with its own HELLO, which the dialling
side judges, or with a REFUSAL. Whoever refuses tells the other why, so both can log the same sentence. The layout
of frames, of the first 12 bytes of a hello (magic, versions) and of a refusal never changes between versions; a
hello may grow at its end.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from oarlock.raft.types import ServerId
from oarlock.transport.framing import HELLO, REFUSAL, encode_frame
from oarlock.transport.interface import Channel

PROTOCOL_VERSION_MIN: Final = 1
PROTOCOL_VERSION_MAX: Final = 1
HELLO_LIMIT_BYTES: Final = 1024
"""Bound on any payload before the handshake is done."""

_MAGIC: Final = b"OARLOCK\n"
_VERSIONS: Final = struct.Struct("<8sHH")
_IDENTITY: Final = struct.Struct("<B3xQQQQ")
_REASON_TEXT_LIMIT: Final = 512
_UINT64: Final = 1 << 64


class RefusalReason(IntEnum):
    """Why a handshake failed; the number goes over the wire."""

    MALFORMED = 1
    UNSUPPORTED_VERSION = 2
    WRONG_CLUSTER = 3
    WRONG_SERVER = 4
    OWN_ID = 5


class HandshakeRefused(Exception):
    """One side will not talk to the other.

    Attributes:
        reason: The cause.
        by_peer: Whether the other side refused; otherwise `refusal_frame` is to be sent to it.
    """

    def __init__(self, reason: RefusalReason, text: str, *, by_peer: bool = False) -> None:
        super().__init__(text)
        self.reason = reason
        self.by_peer = by_peer

    def refusal_frame(self) -> bytes:
        """Give the frame that tells the other side."""
        text = str(self).encode("utf-8", "replace")[:_REASON_TEXT_LIMIT]
        return encode_frame(REFUSAL, bytes([self.reason]) + text)


@dataclass(frozen=True, slots=True)
class Hello:
    """One side's introduction."""

    cluster_id: int
    server_id: ServerId
    epoch: int
    """Drawn at every start of the process; tells a reconnect from a restart."""
    expected_server_id: ServerId
    """The server that the speaker believes to be speaking to."""
    channel: Channel
    version_min: int = PROTOCOL_VERSION_MIN
    version_max: int = PROTOCOL_VERSION_MAX

    def __post_init__(self) -> None:
        for name in ("cluster_id", "server_id", "epoch", "expected_server_id"):
            value = getattr(self, name)
            if not 0 <= value < _UINT64:
                raise ValueError(f"{name} must be an unsigned 64-bit number, not {value}")

    def encode(self) -> bytes:
        """Give the hello as a frame."""
        return encode_frame(
            HELLO,
            _VERSIONS.pack(_MAGIC, self.version_min, self.version_max)
            + _IDENTITY.pack(self.channel, self.cluster_id, self.server_id, self.expected_server_id, self.epoch),
        )


def answer(own: Hello, kind: int, payload: bytes) -> tuple[Hello, bytes]:
    """Judge the dialling side's first frame; `own` is ours, its channel and expected server being ignored.

    Returns:
        The dialling side's hello and the frame to answer with.

    Raises:
        HandshakeRefused: We will not talk to it; send it `refusal_frame()`.
    """
    theirs = _read_hello(own, kind, payload)
    _judge(own=own, theirs=theirs, dialling=theirs, answering=own)
    if theirs.expected_server_id != own.server_id:
        raise HandshakeRefused(
            RefusalReason.WRONG_SERVER,
            f"wrong server: server {theirs.server_id:x} dialled server {theirs.expected_server_id:x}, "
            f"but server {own.server_id:x} answers at this address",
        )
    reply = Hello(own.cluster_id, own.server_id, own.epoch, theirs.server_id, theirs.channel)
    return theirs, reply.encode()


def conclude(own: Hello, kind: int, payload: bytes) -> Hello:
    """Judge the answer to our hello `own`, and give the answering side's hello.

    Raises:
        HandshakeRefused: It refused (`by_peer`), or we do; then send it `refusal_frame()`.
    """
    if kind == REFUSAL:
        raise read_refusal(payload)
    theirs = _read_hello(own, kind, payload)
    _judge(own=own, theirs=theirs, dialling=own, answering=theirs)
    if theirs.server_id != own.expected_server_id:
        raise HandshakeRefused(
            RefusalReason.WRONG_SERVER,
            f"wrong server: server {own.server_id:x} dialled server {own.expected_server_id:x}, "
            f"but server {theirs.server_id:x} answers at this address",
        )
    if theirs.expected_server_id != own.server_id or theirs.channel != own.channel:
        raise HandshakeRefused(RefusalReason.MALFORMED, "the answer's hello belongs to another connection")
    return theirs


def read_refusal(payload: bytes) -> HandshakeRefused:
    """Decode a REFUSAL's payload; its text is foreign, so it is cut and made printable before anyone logs it."""
    text = payload[1 : 1 + _REASON_TEXT_LIMIT].decode("utf-8", "replace")
    printable = "".join(character if character.isprintable() else "?" for character in text)
    try:
        reason = RefusalReason(payload[0] if payload else 0)
    except ValueError:
        reason = RefusalReason.MALFORMED
    return HandshakeRefused(reason, printable or "refused without a reason", by_peer=True)


def _judge(*, own: Hello, theirs: Hello, dialling: Hello, answering: Hello) -> None:
    if theirs.cluster_id != own.cluster_id:
        raise HandshakeRefused(
            RefusalReason.WRONG_CLUSTER,
            f"wrong cluster: dialling server {dialling.server_id:x} is of cluster {dialling.cluster_id:x}, "
            f"answering server {answering.server_id:x} of cluster {answering.cluster_id:x}",
        )
    if theirs.server_id == own.server_id:
        raise HandshakeRefused(
            RefusalReason.OWN_ID,
            f"own id: both sides are server {own.server_id:x}; a server has dialled itself, or two share one id",
        )


def _read_hello(own: Hello, kind: int, payload: bytes) -> Hello:
    if kind != HELLO:
        raise HandshakeRefused(RefusalReason.MALFORMED, f"expected a hello, got a frame of kind {kind}")
    if len(payload) < _VERSIONS.size or not payload.startswith(_MAGIC):
        raise HandshakeRefused(RefusalReason.MALFORMED, "the hello does not begin with our magic bytes")
    _, version_min, version_max = _VERSIONS.unpack_from(payload)
    if version_max < own.version_min or version_min > own.version_max:
        raise HandshakeRefused(
            RefusalReason.UNSUPPORTED_VERSION,
            f"unsupported version: one side speaks protocol {version_min} to {version_max}, "
            f"the other (server {own.server_id:x}) {own.version_min} to {own.version_max}",
        )
    if len(payload) < _VERSIONS.size + _IDENTITY.size:
        raise HandshakeRefused(RefusalReason.MALFORMED, f"a hello of {len(payload)} bytes is too short")
    channel, cluster_id, server_id, expected, epoch = _IDENTITY.unpack_from(payload, _VERSIONS.size)
    try:
        known_channel = Channel(channel)
    except ValueError:
        raise HandshakeRefused(RefusalReason.MALFORMED, f"unknown channel {channel}") from None
    if server_id == 0:
        raise HandshakeRefused(RefusalReason.MALFORMED, "server id 0 is nobody's")
    return Hello(cluster_id, server_id, epoch, expected, known_channel, version_min, version_max)
