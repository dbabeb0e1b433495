"""Methods that etcd has and this version does not: each says so, rather than being unknown."""

from collections.abc import AsyncIterator
from typing import Final

from google.protobuf.descriptor import FileDescriptor, MethodDescriptor

from oarlock.etcd import errors
from oarlock.etcd.errors import ApiError
from oarlock.etcd.grpc import GrpcServer, RequestStream, RpcContext, StreamHandler, UnaryHandler
from oarlock.etcd.proto import election_pb2, lock_pb2, rpc_pb2

_PACKAGE_PREFIX: Final = "oarlock."
_FILES: Final[tuple[FileDescriptor, ...]] = (
    rpc_pb2.DESCRIPTOR,
    lock_pb2.DESCRIPTOR,
    election_pb2.DESCRIPTOR,
)
_WHOLE_SERVICES: Final = frozenset({"Watch", "Lease", "Auth", "Lock", "Election"})


def every_method() -> dict[str, MethodDescriptor]:
    """Every method of etcd's API by its path on the wire, such as `/etcdserverpb.KV/Put`."""
    return {
        f"/{service.full_name.removeprefix(_PACKAGE_PREFIX)}/{method.name}": method
        for file in _FILES
        for service in file.services_by_name.values()
        for method in service.methods
    }


def add_unimplemented(server: GrpcServer) -> None:
    """Answer UNIMPLEMENTED to every method of etcd's API that has no handler yet."""
    served = {f"/{stats.service}/{stats.method}" for stats in server.statistics()}
    for path, method in every_method().items():
        if path in served:
            continue
        service = method.containing_service.name
        error = errors.unimplemented(service if service in _WHOLE_SERVICES else method.name)
        if method.client_streaming or method.server_streaming:
            server.add_stream(path, _refuse_stream(error), kind=_kind(method))
        else:
            server.add_unary(path, _refuse(error))


def _kind(method: MethodDescriptor) -> str:
    if method.client_streaming:
        return "bidi_stream" if method.server_streaming else "client_stream"
    return "server_stream"


def _refuse(error: ApiError) -> UnaryHandler:
    def handler(_data: bytes, _context: RpcContext) -> bytes:
        raise error.exception()

    return handler


def _refuse_stream(error: ApiError) -> StreamHandler:
    def handler(requests: RequestStream, _context: RpcContext) -> AsyncIterator[bytes]:
        return _Refusal(requests, error)

    return handler


class _Refusal(AsyncIterator[bytes]):
    """Fails once the client has said something: some take an end that comes before as a failure of their own."""

    def __init__(self, requests: RequestStream, error: ApiError) -> None:
        self._requests = requests
        self._error = error

    async def __anext__(self) -> bytes:
        await anext(self._requests, None)
        raise self._error.exception()
