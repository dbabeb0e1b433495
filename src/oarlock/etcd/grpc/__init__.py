"""gRPC for servers, on `oarlock.etcd.http2`."""

from oarlock.etcd.grpc.context import PeerInfo, RpcContext
from oarlock.etcd.grpc.health import ServingStatus, add_health
from oarlock.etcd.grpc.route import MethodStats, StreamHandler, UnaryHandler
from oarlock.etcd.grpc.server import GrpcConnection, GrpcServer, Traffic, is_grpc
from oarlock.etcd.grpc.status import RpcError, Status
from oarlock.etcd.grpc.streaming import RequestStream

__all__ = [
    "GrpcConnection",
    "GrpcServer",
    "MethodStats",
    "PeerInfo",
    "RequestStream",
    "RpcContext",
    "RpcError",
    "ServingStatus",
    "Status",
    "StreamHandler",
    "Traffic",
    "UnaryHandler",
    "add_health",
    "is_grpc",
]
