"""gRPC for servers, on `oarlock.etcd.http2`."""

from oarlock.etcd.grpc.context import PeerInfo, RpcContext
from oarlock.etcd.grpc.route import MethodStats, StreamHandler, UnaryHandler
from oarlock.etcd.grpc.server import GrpcConnection, GrpcServer, Traffic
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
    "Status",
    "StreamHandler",
    "Traffic",
    "UnaryHandler",
]
