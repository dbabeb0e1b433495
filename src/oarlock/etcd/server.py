"""One member as its clients see it: a node, the services over its state machine, and the port that serves them."""

import asyncio
import logging
import ssl
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Final, Protocol

import msgspec

from oarlock.etcd import http2
from oarlock.etcd.endpoints import Endpoints
from oarlock.etcd.errors import ApiError
from oarlock.etcd.grpc import GrpcServer, RpcError
from oarlock.etcd.header import Headers
from oarlock.etcd.http1 import Router
from oarlock.etcd.machine import EtcdMachine
from oarlock.etcd.metrics import Measured, Metrics
from oarlock.etcd.port import PortServer
from oarlock.etcd.proto.rpc_pb2 import AlarmType, Member
from oarlock.etcd.requests import Kind, encode_command
from oarlock.etcd.services.calls import Calls, Cluster, Limits, failure_of, outcome_of
from oarlock.etcd.services.cluster import ClusterService
from oarlock.etcd.services.health import HealthService
from oarlock.etcd.services.kv import KvService
from oarlock.etcd.services.maintenance import MaintenanceService
from oarlock.etcd.services.quota import Quota
from oarlock.etcd.services.unimplemented import add_unimplemented
from oarlock.machine.interface import StateMachine
from oarlock.mvcc.lmdb_backend import LmdbBackend
from oarlock.mvcc.store import Store
from oarlock.raft.types import ServerId

logger = logging.getLogger(__name__)

GRPC_OVERHEAD_BYTES: Final = 512 * 1024
"""What a message may have beside the largest request before the transport refuses it."""

_PUBLISH_PAUSE_S: Final = 0.5


class ServerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What clients see of one member, and what they may do."""

    name: str
    cluster_id: int
    server_id: ServerId
    listen_client_urls: Sequence[str]
    advertise_client_urls: Sequence[str]
    strict_reconfig_check: bool = True
    """Refuse changes of members that could cost the cluster its majority."""
    limits: Limits = Limits()
    tls: ssl.SSLContext | None = None
    """For the listening URLs that are https."""
    max_concurrent_streams: int = http2.Limits().max_concurrent_streams
    """Requests open at once on one connection of a client."""


class Node(Cluster, Measured, Protocol):
    """What the server needs of `oarlock.node.node.Node`."""

    machine: StateMachine
    """There once it is started."""

    async def start(self) -> None:
        """Recover, and take part in the cluster."""

    async def stop(self) -> None:
        """Stop taking part."""


def open_machine(directory: Path, server_id: ServerId) -> EtcdMachine:
    """Open the state machine that keeps its store in a directory; blocking.

    Args:
        directory: Made when it does not exist.
        server_id: This server.
    """
    return EtcdMachine(Store(LmdbBackend(directory)), server_id)


class EtcdServer:
    """One member. `start` it, and `stop` it."""

    def __init__(self, config: ServerConfig, node: Node, *, executor: Executor | None = None) -> None:
        """Put it together; nothing runs yet.

        Args:
            config: What clients see.
            node: Not started; its machine must be an `EtcdMachine`.
            executor: For calls that read the whole store; a thread of its own where None.
        """
        self._config = config
        self._node = node
        self._executor = executor or ThreadPoolExecutor(1, "oarlock-maintenance")
        self._owns_executor = executor is None
        self._health = HealthService()
        self._port: PortServer | None = None
        self._publishing: asyncio.Task[None] | None = None
        self.ready = asyncio.Event()
        """Set once the cluster has taken this member's name and client URLs, so once it can write."""
        self.addresses: list[tuple[str, int]] = []
        """Where clients are served, with the ports that were chosen for 0."""

    async def start(self) -> None:
        """Start the node and serve clients; returns when the ports are open, `ready` tells when writes work.

        Raises:
            OSError: A port cannot be opened.
            Exception: Whatever the node's start raises; nothing is left running.
        """
        try:
            await self._node.start()
        except BaseException:
            machine = getattr(self._node, "machine", None)
            if isinstance(machine, EtcdMachine):
                machine.store.close()
            raise
        try:
            await self._serve()
        except BaseException:
            await self.stop(0)
            raise

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        config, node, machine = self._config, self._node, self.machine
        headers = Headers(config.cluster_id, config.server_id, lambda: node.term)
        self._calls = calls = Calls(loop, node, machine, headers, config.limits)
        grpc = GrpcServer(loop, max_receive_bytes=config.limits.max_request_bytes + GRPC_OVERHEAD_BYTES)
        KvService(calls, Quota(calls)).register(grpc)
        ClusterService(calls, strict=config.strict_reconfig_check).register(grpc)
        MaintenanceService(calls, self._executor).register(grpc)
        self._health.register(grpc)
        add_unimplemented(grpc)
        metrics = Metrics(node, machine, grpc)
        metrics.endpoints = Endpoints(_Probe(calls), metrics.page)
        router = Router()
        metrics.endpoints.register(router)
        limits = http2.Limits(max_concurrent_streams=config.max_concurrent_streams)
        self._port = PortServer(loop, grpc, router, limits=limits)
        for url in config.listen_client_urls:
            self.addresses += await self._port.start_url(url, tls=config.tls)
        self._publishing = loop.create_task(self._publish(), name="oarlock-publish")

    @property
    def machine(self) -> EtcdMachine:
        """The node's state machine."""
        machine = self._node.machine
        assert isinstance(machine, EtcdMachine)  # noqa: S101 - what this server is for
        return machine

    async def _publish(self) -> None:
        """Tell the cluster this member's name and client URLs, until it has taken them."""
        config = self._config
        member = Member(ID=config.server_id, name=config.name, clientURLs=config.advertise_client_urls)
        command = encode_command(Kind.MEMBER_ATTRIBUTES, member.SerializeToString())
        while True:
            proposed = self._node.propose(command, config.limits.request_timeout_s)
            await asyncio.wait([proposed])
            try:
                outcome_of(proposed)
            except RpcError as error:
                logger.warning("could not publish this member's name yet: %s", error.message)
                await asyncio.sleep(_PUBLISH_PAUSE_S)
            else:
                break
        self.ready.set()
        logger.info("ready to serve client requests")

    async def stop(self, grace_s: float = 5.0) -> None:
        """Stop serving, and then the node.

        Args:
            grace_s: How long calls under way may take to end.
        """
        if self._publishing is not None:
            self._publishing.cancel()
            await asyncio.gather(self._publishing, return_exceptions=True)
        self._health.stop_serving()
        if self._port is not None:
            await self._port.drain(grace_s)
        await self._node.stop()
        self.machine.store.close()
        if self._owns_executor:
            self._executor.shutdown()


class _Probe:
    """What the health endpoints look at."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def alarms(self) -> list[int]:
        return [alarm for alarm, _ in self._calls.machine.raised(AlarmType.NONE)]

    def has_leader(self) -> bool:
        return self._calls.cluster.leader_id is not None

    def is_learner(self) -> bool:
        return self._calls.cluster.status().is_learner

    def is_disk_full(self) -> bool:
        return self._calls.cluster.status().disk_full

    async def read(self, *, serializable: bool) -> ApiError | None:
        if serializable:
            return None  # this server's own state can always be read
        barrier = self._calls.cluster.read_barrier(self._calls.limits.request_timeout_s)
        await asyncio.wait([barrier])
        failure = barrier.exception()
        return None if failure is None else failure_of(failure)
