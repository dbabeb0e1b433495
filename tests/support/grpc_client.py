"""A plain gRPC client for any etcd server, on grpcio: requests and answers are messages, errors are values."""

from collections.abc import AsyncIterator, Iterable
from typing import Any, NamedTuple, Self

import grpc.aio
from google.protobuf.message import Message

import grpc
from oarlock.etcd.proto import rpc_pb2

_PREFIX = "oarlock."
"""Our package names carry it; the names on the wire do not."""


class Failure(NamedTuple):
    """How a call failed."""

    code: str
    message: str


class EtcdClient:
    """Calls any method of etcd's API by its short name, such as "KV.Put"."""

    def __init__(self, endpoint: str) -> None:
        """Make a client of the server at host:port; it connects with the first call."""
        self._channel = grpc.aio.insecure_channel(
            endpoint,
            options=[
                ("grpc.max_receive_message_length", -1),
                ("grpc.max_send_message_length", -1),
                ("grpc.enable_retries", 0),
            ],
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection."""
        await self._channel.close()

    async def call(
        self,
        method: str,
        request: Message,
        *,
        timeout_s: float = 20,
        metadata: Iterable[tuple[str, str]] = (),
    ) -> Any:
        """Gives the answer, or a `Failure`."""
        path, response = resolve(method)
        stub = self._channel.unary_unary(
            path,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=response.FromString,
        )
        try:
            return await stub(request, timeout=timeout_s, metadata=tuple(metadata))
        except grpc.aio.AioRpcError as error:
            return Failure(error.code().name, error.details() or "")

    async def stream(self, method: str, request: Message, *, timeout_s: float = 20) -> AsyncIterator[Any]:
        """Gives the answers of a server-streaming call, and a `Failure` last if it fails."""
        path, response = resolve(method)
        stub = self._channel.unary_stream(
            path,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=response.FromString,
        )
        try:
            async for answer in stub(request, timeout=timeout_s):
                yield answer
        except grpc.aio.AioRpcError as error:
            yield Failure(error.code().name, error.details() or "")


def resolve(method: str) -> tuple[str, type[Message]]:
    """Gives the path of "Service.Method" and the class of its answers."""
    service, name = method.split(".")
    descriptor = rpc_pb2.DESCRIPTOR.services_by_name[service]
    answer = descriptor.methods_by_name[name].output_type.name
    return f"/{descriptor.full_name.removeprefix(_PREFIX)}/{name}", getattr(rpc_pb2, answer)
