"""Puts and gets by etcd's gRPC API: one call, one connection (RFC 9113; gRPC over HTTP/2)."""

import asyncio
import struct
from typing import Final
from urllib.parse import unquote

import hpack

from oarlock.etcd.http2 import frames
from oarlock.etcd.proto.rpc_pb2 import PutRequest, PutResponse, RangeRequest, RangeResponse

_WINDOW_BYTES: Final = 8 << 20
_MAX_FRAME_BYTES: Final = 1 << 20
_INITIAL_WINDOW_SIZE: Final = 4
_STREAM: Final = 1
_PREFIX: Final = struct.Struct(">BL")
_PIECE_BYTES: Final = 16 << 10
"""The largest frame that every server takes."""


class CallFailed(Exception):
    """The server refused, could not, or was not reached; the text says which."""


async def put(port: int, key: bytes, value: bytes, timeout_s: float) -> int:
    """Write a key by the server at a port of 127.0.0.1.

    Returns:
        The revision.

    Raises:
        CallFailed: It did not, or nobody knows whether it did.
    """
    request = PutRequest(key=key, value=value)
    answer = PutResponse.FromString(await _call(port, "Put", request.SerializeToString(), timeout_s))
    return answer.header.revision


async def get(port: int, key: bytes, timeout_s: float) -> tuple[int, bytes | None]:
    """Read a key, linearizably.

    Returns:
        The store's revision, and the value; None if there is no such key.

    Raises:
        CallFailed: The server could not tell.
    """
    answer = RangeResponse.FromString(await _call(port, "Range", RangeRequest(key=key).SerializeToString(), timeout_s))
    return answer.header.revision, answer.kvs[0].value if answer.kvs else None


async def _call(port: int, method: str, request: bytes, timeout_s: float) -> bytes:
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(_request(port, method, request))
                return await _answer(reader, writer)
            finally:
                writer.close()
    except TimeoutError:
        raise CallFailed(f"no answer within {timeout_s:g} s; it may still take effect") from None
    except (OSError, EOFError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "it closed the connection"
        raise CallFailed(f"the server cannot be reached: {reason}") from None


def _request(port: int, method: str, request: bytes) -> bytes:
    head = hpack.Encoder().encode(
        [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", f"/etcdserverpb.KV/{method}"),
            (":authority", f"127.0.0.1:{port}"),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
        ]
    )
    body = _PREFIX.pack(0, len(request)) + request
    pieces = [body[at : at + _PIECE_BYTES] for at in range(0, len(body), _PIECE_BYTES)]
    return b"".join(
        [
            frames.PREFACE,
            frames.settings([(_INITIAL_WINDOW_SIZE, _WINDOW_BYTES)]),
            frames.window_update(0, _WINDOW_BYTES),
            frames.frame(frames.HEADERS, frames.END_HEADERS, _STREAM, head),
            *(frames.frame(frames.DATA, 0, _STREAM, piece) for piece in pieces),
            frames.frame(frames.DATA, frames.END_STREAM, _STREAM),
        ]
    )


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    decoder = hpack.Decoder()
    block, body = b"", b""
    fields: dict[str, str] = {}
    while True:
        high, low, kind, flags, stream = frames.FRAME_HEADER.unpack(await reader.readexactly(frames.HEADER_BYTES))
        length = high << 8 | low
        if length > _MAX_FRAME_BYTES or len(body) > _WINDOW_BYTES:
            raise CallFailed("the answer is too large")
        payload = await reader.readexactly(length)
        if kind in (frames.SETTINGS, frames.PING) and not flags & frames.ACK:
            writer.write(frames.frame(kind, frames.ACK, 0, payload if kind == frames.PING else b""))
        elif kind == frames.GOAWAY or (kind == frames.RST_STREAM and stream == _STREAM):
            raise CallFailed("the server broke the call off; it may still take effect")
        elif kind in (frames.HEADERS, frames.CONTINUATION):
            block += payload
            if flags & frames.END_HEADERS:
                fields.update((str(name), str(value)) for name, value in decoder.decode(block))
                block = b""
        elif kind == frames.DATA:
            body += payload
        if stream == _STREAM and flags & frames.END_STREAM and kind in (frames.HEADERS, frames.DATA):
            return _outcome(fields, body)


def _outcome(fields: dict[str, str], body: bytes) -> bytes:
    if fields.get("grpc-status", "") != "0":
        text = unquote(fields.get("grpc-message", "")) or f"status {fields.get('grpc-status', 'unknown')}"
        raise CallFailed(text)
    return body[_PREFIX.size :]
