"""grpc.health.v1.Health: load balancers and gRPC clients ask whether a server serves."""

import asyncio
from collections.abc import AsyncIterator

from oarlock.etcd.errors import ApiError
from oarlock.etcd.grpc import GrpcServer, RequestStream, RpcContext, Status
from oarlock.etcd.proto.health_pb2 import HealthCheckRequest, HealthCheckResponse
from oarlock.etcd.requests import parse

UNKNOWN_SERVICE = ApiError(Status.NOT_FOUND, "unknown service")


class HealthService:
    """Knows one service, the empty name, which stands for the whole server."""

    def __init__(self) -> None:
        self._serving = True
        self._changed: set[asyncio.Event] = set()

    def register(self, server: GrpcServer) -> None:
        """Add the handlers to a server."""
        server.add_unary("/grpc.health.v1.Health/Check", self.check)
        server.add_stream("/grpc.health.v1.Health/Watch", self.watch, kind="server_stream")

    def stop_serving(self) -> None:
        """Tell everyone who asks or watches that the server is going down."""
        self._serving = False
        for changed in self._changed:
            changed.set()

    def check(self, data: bytes, _context: RpcContext) -> bytes:
        """Check."""
        if parse(HealthCheckRequest, data).service:
            raise UNKNOWN_SERVICE.exception()
        return self._response()

    async def watch(self, requests: RequestStream, _context: RpcContext) -> AsyncIterator[bytes]:
        """Watch: the status now, and every change of it until the client leaves."""
        data = await anext(requests, None)
        if data is not None and parse(HealthCheckRequest, data).service:
            yield HealthCheckResponse(status=HealthCheckResponse.SERVICE_UNKNOWN).SerializeToString()
            await asyncio.Event().wait()
        changed = asyncio.Event()
        self._changed.add(changed)
        try:
            while True:
                yield self._response()
                await changed.wait()
                changed.clear()
        finally:
            self._changed.discard(changed)

    def _response(self) -> bytes:
        status = HealthCheckResponse.SERVING if self._serving else HealthCheckResponse.NOT_SERVING
        return HealthCheckResponse(status=status).SerializeToString()
