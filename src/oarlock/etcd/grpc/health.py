"""grpc.health.v1.Health: whether a service serves (gRPC, health-checking.md). Its two messages are one field each."""

import asyncio
from collections.abc import AsyncIterator, Callable
from enum import IntEnum

from oarlock.etcd.grpc.context import RpcContext
from oarlock.etcd.grpc.server import GrpcServer
from oarlock.etcd.grpc.status import RpcError, Status
from oarlock.etcd.grpc.streaming import RequestStream

WATCH_INTERVAL_S = 1.0
"""How often a watched service is looked at."""

_SERVICE_TAG = 0x0A
_STATUS_TAG = 0x08
_VARINT, _FIXED64, _LENGTH_DELIMITED, _FIXED32 = 0, 1, 2, 5


class ServingStatus(IntEnum):
    """HealthCheckResponse.ServingStatus."""

    UNKNOWN = 0
    SERVING = 1
    NOT_SERVING = 2
    SERVICE_UNKNOWN = 3


HealthOf = Callable[[str], ServingStatus]
"""A service's state by its name; the empty name is the whole server's. SERVICE_UNKNOWN for others."""


def add_health(server: GrpcServer, health_of: HealthOf) -> None:
    """Serve grpc.health.v1.Health from a callable that knows."""

    def check(message: bytes, context: RpcContext) -> bytes:  # noqa: ARG001
        status = health_of(decode_request(message))
        if status is ServingStatus.SERVICE_UNKNOWN:
            raise RpcError(Status.NOT_FOUND, "unknown service")
        return encode_response(status)

    async def watch(requests: RequestStream, context: RpcContext) -> AsyncIterator[bytes]:  # noqa: ARG001
        service = decode_request(await anext(requests, b""))
        last: ServingStatus | None = None
        while True:
            status = health_of(service)
            if status is not last:
                last = status
                yield encode_response(status)
            await asyncio.sleep(WATCH_INTERVAL_S)

    server.add_unary("/grpc.health.v1.Health/Check", check)
    server.add_stream("/grpc.health.v1.Health/Watch", watch, kind="server_stream")


def encode_response(status: ServingStatus) -> bytes:
    """HealthCheckResponse; the default value is not written."""
    return bytes([_STATUS_TAG, status]) if status else b""


def decode_request(message: bytes) -> str:
    """The service in a HealthCheckRequest; unknown fields are passed over.

    Raises:
        RpcError: INTERNAL, as grpc-go answers what is not protobuf.
    """
    service = b""
    at = 0
    try:
        while at < len(message):
            tag, at = _varint(message, at)
            kind = tag & 7
            if kind == _VARINT:
                _, at = _varint(message, at)
            elif kind == _LENGTH_DELIMITED:
                length, at = _varint(message, at)
                if tag == _SERVICE_TAG:
                    service = message[at : at + length]
                at += length
            else:
                at += {_FIXED64: 8, _FIXED32: 4}[kind]
        if at == len(message):
            return service.decode()
    except (IndexError, KeyError, UnicodeDecodeError):
        pass
    raise RpcError(Status.INTERNAL, "grpc: error while unmarshalling request: not a HealthCheckRequest")


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
