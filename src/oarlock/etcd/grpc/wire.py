"""gRPC's own words on HTTP/2: response blocks, trailers, metadata, timeouts (gRPC, PROTOCOL-HTTP2.md)."""

import base64
import binascii
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from oarlock.etcd.grpc.status import RpcError, Status
from oarlock.etcd.http2.headers import Fields, HeaderBlock

Metadata = Iterable[tuple[str, str | bytes]]
"""Names in lower case; those that end in `-bin` have values of bytes."""

MAX_MESSAGE_CHARACTERS = 4096
"""Of `grpc-message`: clients limit the size of trailers."""

_CONTENT_TYPE = (b"content-type", b"application/grpc")
_ACCEPT_ENCODING = (b"grpc-accept-encoding", b"gzip,identity")
_RESERVED = frozenset({"content-type", "te", "user-agent", "grpc-encoding", "grpc-accept-encoding", "grpc-timeout"})
_UNIT_SECONDS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}

RESPONSE_HEADERS = HeaderBlock([(b":status", b"200"), _CONTENT_TYPE])
OK_TRAILERS = HeaderBlock([(b"grpc-status", b"0")])


def response_headers(metadata: Metadata) -> HeaderBlock:
    """A response's head with metadata of the handler's."""
    return HeaderBlock([(b":status", b"200"), _CONTENT_TYPE, *_encode_metadata(metadata)])


def trailers(code: Status, message: str = "", metadata: Metadata = ()) -> HeaderBlock:
    """The fields that end a response."""
    return HeaderBlock(_status_fields(code, message, metadata))


def trailers_only(code: Status, message: str, metadata: Metadata = (), *, http_status: int = 200) -> HeaderBlock:
    """A response that is nothing but its end; with `http_status` for what is not gRPC at all."""
    fields = [(b":status", b"%d" % http_status), _CONTENT_TYPE]
    if code is Status.UNIMPLEMENTED:
        fields.append(_ACCEPT_ENCODING)
    return HeaderBlock(fields + _status_fields(code, message, metadata))


def _status_fields(code: Status, message: str, metadata: Metadata) -> list[tuple[bytes, bytes]]:
    fields = [(b"grpc-status", b"%d" % code)]
    if message:
        fields.append((b"grpc-message", percent_encode(message[:MAX_MESSAGE_CHARACTERS])))
    fields += _encode_metadata(metadata)
    return fields


def percent_encode(message: str) -> bytes:
    """A status message as its trailer may hold it: printable ASCII, `%` and all else as %XX of its UTF-8."""
    raw = message.encode("utf-8", "replace")
    return b"".join(b"%c" % byte if 0x20 <= byte <= 0x7E and byte != 0x25 else b"%%%02X" % byte for byte in raw)


def _encode_metadata(metadata: Metadata) -> list[tuple[bytes, bytes]]:
    fields = []
    for name, value in metadata:
        if isinstance(value, bytes):
            fields.append((name.encode(), base64.b64encode(value).rstrip(b"=")))
        else:
            fields.append((name.encode(), value.encode()))
    return fields


def decode_metadata(fields: Fields) -> Mapping[str, tuple[str | bytes, ...]]:
    """A request's metadata by name, values in order; those of `-bin` names as bytes.

    Raises:
        RpcError: INTERNAL for a `-bin` value that is not base64.
    """
    metadata: dict[str, tuple[str | bytes, ...]] = {}
    for name, value in fields:
        if name in _RESERVED and name != "user-agent":
            continue
        values: tuple[str | bytes, ...] = (value,)
        if name.endswith("-bin"):
            values = tuple(_decode_binary(name, part) for part in value.split(","))
        metadata[name] = metadata.get(name, ()) + values
    return MappingProxyType(metadata)


def _decode_binary(name: str, value: str) -> bytes:
    text = value.strip().rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise RpcError(Status.INTERNAL, f"malformed binary metadata in header {name!r}") from error


def parse_timeout(value: str) -> float:
    """The seconds in a `grpc-timeout`: at most eight digits and a unit.

    Raises:
        RpcError: INTERNAL, as grpc-go answers, when it is something else.
    """
    digits, unit = value[:-1], value[-1:]
    if unit not in _UNIT_SECONDS or not (digits.isascii() and digits.isdigit()) or len(digits) > 8:
        raise RpcError(Status.INTERNAL, f"malformed grpc-timeout: {value[:64]!r}")
    return int(digits) * _UNIT_SECONDS[unit]
