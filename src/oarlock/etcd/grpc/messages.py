"""Messages out of a request's body: the five-byte prefix, limits, gzip (gRPC, PROTOCOL-HTTP2.md)."""

import struct
import zlib

from oarlock.etcd.grpc.status import RpcError, Status

PREFIX = struct.Struct(">BL")
"""Whether the message is compressed, and its length."""

PREFIX_BYTES = 5
_GZIP_WINDOW_BITS = 31


class MessageAssembler:
    """Cuts a body, which may come in any pieces, into messages.

    Args:
        max_bytes: The largest message taken, before and after decompression.
        encoding: The request's `grpc-encoding`.

    Attributes:
        buffered_bytes: Of a message that is not complete.
        needed_bytes: The length of that message with its prefix, as far as it is known.
    """

    __slots__ = ("_chunks", "_encoding", "_max_bytes", "buffered_bytes", "needed_bytes")

    def __init__(self, max_bytes: int, encoding: str) -> None:
        self._max_bytes = max_bytes
        self._encoding = encoding
        self._chunks: list[bytes] = []
        self.needed_bytes = PREFIX_BYTES
        self.buffered_bytes = 0

    @property
    def missing_bytes(self) -> int:
        """How many bytes of the message are still to come."""
        return self.needed_bytes - self.buffered_bytes

    def feed(self, data: bytes, *, ended: bool) -> list[bytes]:
        """Take in a piece of the body; `ended` with the last.

        Returns:
            The messages that it completes.

        Raises:
            RpcError: A message is too large, or compressed in a way it must not be, or cut off by the end.
        """
        messages = self._cut(data)
        if ended and self.buffered_bytes:
            raise RpcError(Status.INTERNAL, "grpc: the request ended within a message")
        return messages

    def _cut(self, data: bytes) -> list[bytes]:
        self._chunks.append(data)
        self.buffered_bytes += len(data)
        if self.buffered_bytes < self.needed_bytes:
            return []
        buffer = b"".join(self._chunks)
        size = len(buffer)
        messages: list[bytes] = []
        at = 0
        while size - at >= PREFIX_BYTES:
            flag, length = PREFIX.unpack_from(buffer, at)
            check_length(length, self._max_bytes)
            end = at + PREFIX_BYTES + length
            if end > size:
                self.needed_bytes = end - at
                break
            messages.append(self._decode(flag, buffer[at + PREFIX_BYTES : end]))
            at = end
        else:
            self.needed_bytes = PREFIX_BYTES
        self._chunks = [buffer[at:]] if at < size else []
        self.buffered_bytes = size - at
        return messages

    def _decode(self, flag: int, payload: bytes) -> bytes:
        if flag == 0:
            return payload
        if flag != 1:
            raise RpcError(Status.INTERNAL, f"grpc: received unexpected payload format {flag}")
        if self._encoding != "gzip":
            raise RpcError(Status.INTERNAL, "grpc: compressed flag set with identity or empty encoding")
        return decompress(payload, self._max_bytes)


def check_length(length: int, max_bytes: int) -> None:
    """Refuse a message above the limit, in grpc-go's words.

    Raises:
        RpcError: RESOURCE_EXHAUSTED.
    """
    if length > max_bytes:
        raise RpcError(Status.RESOURCE_EXHAUSTED, f"grpc: received message larger than max ({length} vs. {max_bytes})")


def decompress(payload: bytes, max_bytes: int) -> bytes:
    """A gzip message, of one member or more; no more than `max_bytes` are ever made of it.

    Raises:
        RpcError: INTERNAL for what is not gzip, RESOURCE_EXHAUSTED for too much.
    """
    parts: list[bytes] = []
    total = 0
    while True:
        member = zlib.decompressobj(wbits=_GZIP_WINDOW_BITS)
        try:
            parts.append(member.decompress(payload, max_bytes - total + 1))
        except zlib.error as error:
            raise RpcError(Status.INTERNAL, "grpc: failed to decompress the received message") from error
        total += len(parts[-1])
        check_length(total, max_bytes)
        if not member.eof:
            raise RpcError(Status.INTERNAL, "grpc: failed to decompress the received message: unexpected EOF")
        payload = member.unused_data
        if not payload:
            return b"".join(parts)
