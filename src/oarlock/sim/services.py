"""What one server offers its clients: the production services and their gRPC methods, put together as in production."""

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor
from typing import Final, cast

from oarlock.etcd.grpc import GrpcServer, RequestStream, RpcError, UnaryHandler
from oarlock.etcd.header import Headers
from oarlock.etcd.machine import EtcdMachine
from oarlock.etcd.proto.rpc_pb2 import Member, SnapshotResponse
from oarlock.etcd.requests import Kind, encode_command
from oarlock.etcd.services.calls import Limits, outcome_of
from oarlock.etcd.services.cluster import ClusterService
from oarlock.etcd.services.health import HealthService
from oarlock.etcd.services.kv import KvService
from oarlock.etcd.services.maintenance import MaintenanceService
from oarlock.etcd.services.quota import Quota
from oarlock.etcd.services.unimplemented import add_unimplemented
from oarlock.node.node import Node
from oarlock.sim.machine import DirectContext, RecordingCalls

logger = logging.getLogger(__name__)

_PUBLISH_PAUSE_S: Final = 0.5


class Services(GrpcServer):
    """The methods of one process, to be called by connections or directly.

    Args:
        loop: The process's.
        node: Started.
        limits: What clients may do.
        executor: For what reads the whole store.
        wall_clock: Seconds since 1970.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        node: Node,
        limits: Limits,
        executor: Executor,
        wall_clock: Callable[[], float],
    ) -> None:
        super().__init__(loop)
        self._unary: dict[str, UnaryHandler] = {}
        machine = node.machine
        assert isinstance(machine, EtcdMachine)  # noqa: S101 - what a simulated process opens
        config = node.config
        headers = Headers(config.cluster_id, config.server_id, lambda: node.term)
        self._node = node
        self.calls = RecordingCalls(loop, node, machine, headers, limits)
        KvService(self.calls, Quota(self.calls)).register(self)
        ClusterService(self.calls, wall_clock=wall_clock).register(self)
        self._maintenance = MaintenanceService(self.calls, executor)
        self._maintenance.register(self)
        HealthService().register(self)

    def add_unary(self, path: str, handler: UnaryHandler) -> None:
        """See `GrpcServer.add_unary`."""
        super().add_unary(path, handler)
        self._unary[path] = handler

    def open(self) -> None:
        """Be ready for connections: what etcd has and this version does not is refused by name."""
        add_unimplemented(self)

    def handler(self, path: str) -> UnaryHandler:
        """The handler of a unary method."""
        return self._unary[path]

    async def backup(self, deadline: float) -> bytes:
        """Take a backup, as `etcdctl snapshot save` does, and check the sum that comes with it; gives what was sent."""
        blobs = [
            SnapshotResponse.FromString(message)
            async for message in self._maintenance.snapshot(
                cast("RequestStream", _one_message(b"")), DirectContext("/etcdserverpb.Maintenance/Snapshot", deadline)
            )
        ]
        return whole_backup(blobs)

    async def publish(self, name: str) -> None:
        """Tell the cluster this server's name, as production does at each start, until it has taken it."""
        config = self._node.config
        member = Member(ID=config.server_id, name=name, clientURLs=[f"http://{name}:2379"])
        command = encode_command(Kind.MEMBER_ATTRIBUTES, member.SerializeToString())
        while True:
            proposed = self._node.propose(command, self.calls.limits.request_timeout_s)
            await asyncio.wait([proposed])
            try:
                outcome_of(proposed)
            except RpcError as error:
                logger.warning("could not publish this server's name yet: %s", error.message)
                await asyncio.sleep(_PUBLISH_PAUSE_S)
            else:
                return


def whole_backup(blobs: Sequence[SnapshotResponse]) -> bytes:
    """What was sent as a backup, which must have the sum that came with it."""
    data = b"".join(each.blob for each in blobs[:-1])
    if not data or hashlib.sha256(data).digest() != blobs[-1].blob:
        raise AssertionError(f"a backup of {len(data)} bytes does not have the sum that was sent with it")
    return data


async def _one_message(message: bytes) -> AsyncIterator[bytes]:
    yield message
