"""Prometheus metrics, under etcd's names where they mean the same.

Everything is read from plain counters when a page is asked for, so that nothing on the hot paths knows of it.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Protocol

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from oarlock import __version__
from oarlock.etcd.endpoints import SERVER_VERSION, Endpoints
from oarlock.etcd.grpc import GrpcServer, MethodStats, Status
from oarlock.etcd.machine import EtcdMachine
from oarlock.node.status import Counters, NodeStatus
from oarlock.raft.types import ServerId

_CODES: Final = (
    "OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound", "AlreadyExists",
    "PermissionDenied", "ResourceExhausted", "FailedPrecondition", "Aborted", "OutOfRange", "Unimplemented",
    "Internal", "Unavailable", "DataLoss", "Unauthenticated",
)  # fmt: skip
"""gRPC's status codes as Go, and so etcd's metrics, spell them."""


class PeerTraffic(Protocol):
    """Bytes exchanged with one peer."""

    @property
    def sent_bytes(self) -> int:
        """Bytes sent."""

    @property
    def received_bytes(self) -> int:
        """Bytes received."""


class Measured(Protocol):
    """What the metrics ask of the node."""

    counters: Counters

    def status(self) -> NodeStatus:
        """What the node says about itself."""

    def peer_traffic(self) -> Mapping[ServerId, PeerTraffic]:
        """Bytes exchanged with each peer."""


class Metrics(Collector):
    """One server's metrics, in a registry of their own."""

    def __init__(self, node: Measured, machine: EtcdMachine, grpc: GrpcServer) -> None:
        """Register the server and its process.

        Args:
            node: The node.
            machine: Its state machine.
            grpc: The gRPC server.
        """
        self._node = node
        self._machine = machine
        self._grpc = grpc
        self.endpoints: Endpoints | None = None
        """Set once they exist, since they serve these metrics."""
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def page(self, accept: str) -> tuple[str, bytes]:
        """The metrics as text.

        Args:
            accept: The request's Accept header; chooses between Prometheus' formats.

        Returns:
            Content type and body.
        """
        encoder, content_type = choose_encoder(accept)
        return content_type, encoder(self._registry)

    def describe(self) -> Iterable[Metric]:
        """Nothing: the names need not be known before the first page."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Read every counter."""
        yield from self._server_metrics()
        yield from self._storage_metrics()
        yield from self._traffic_metrics()
        yield from _grpc_metrics(self._grpc.statistics())

    def _server_metrics(self) -> Iterator[Metric]:
        status, counters = self._node.status(), self._node.counters
        version = GaugeMetricFamily(
            "etcd_server_version",
            "Which etcd's API is served, and by what.",
            labels=["server_version", "oarlock_version"],
        )
        version.add_metric([SERVER_VERSION, __version__], 1)
        yield version
        yield _gauge("etcd_server_has_leader", "Whether a leader is known.", status.leader_id is not None)
        yield _gauge("etcd_server_is_leader", "Whether this member leads.", status.leader_id == status.server_id)
        yield _gauge("etcd_server_is_learner", "Whether this member has no vote.", status.is_learner)
        yield _counter("etcd_server_leader_changes_seen", "Leader changes seen.", counters.leader_changes)
        # Gauges in etcd too, though their names end like a counter's: the log index stands for the number.
        yield _gauge("etcd_server_proposals_committed_total", "Consensus proposals committed.", status.commit_index)
        yield _gauge("etcd_server_proposals_applied_total", "Consensus proposals applied.", status.applied_index)
        yield _gauge("etcd_server_proposals_pending", "Proposals waiting here.", status.pending_proposals)
        yield _counter("etcd_server_proposals_failed", "Proposals failed here.", counters.proposals_failed)
        yield _counter("oarlock_server_proposals_retried", "Proposals sent again.", counters.proposals_retried)
        yield _counter("oarlock_server_reads_received", "Linearizable reads asked for.", counters.reads_received)
        yield _counter("oarlock_server_reads_failed", "Linearizable reads failed.", counters.reads_failed)
        yield _counter("oarlock_server_slow_log_writes", "Log writes that took too long.", counters.slow_writes)
        if self.endpoints is not None:
            yield _counter("etcd_server_health_success", "Health checks passed.", self.endpoints.health_success)
            yield _counter("etcd_server_health_failures", "Health checks failed.", self.endpoints.health_failures)

    def _storage_metrics(self) -> Iterator[Metric]:
        counters, machine = self._node.counters, self._machine
        full = self._node.status().disk_full
        yield _gauge("oarlock_disk_full", "Whether space lacks for writes: this member gives up leadership.", full)
        yield _duration(
            "etcd_disk_wal_fsync_duration_seconds",
            "Writes of the log made durable.",
            counters.wal_writes,
            counters.wal_seconds,
        )
        yield _duration(
            "etcd_disk_backend_commit_duration_seconds",
            "Commits of the database.",
            machine.commits,
            machine.commit_seconds,
        )
        if machine.restored is None:
            store = machine.store
            yield _gauge("etcd_mvcc_db_total_size_in_bytes", "Database, allocated.", store.size())
            yield _gauge("etcd_mvcc_db_total_size_in_use_in_bytes", "Database, in use.", store.size_in_use())
            yield _gauge("etcd_debugging_mvcc_current_revision", "Current revision.", store.current_revision)
            yield _gauge("etcd_debugging_mvcc_compact_revision", "Compacted revision.", store.compact_revision)
            yield _gauge("etcd_debugging_mvcc_keys_total", "Keys.", len(store.index))

    def _traffic_metrics(self) -> Iterator[Metric]:
        traffic = self._grpc.traffic
        yield _counter("etcd_network_client_grpc_received_bytes", "Bytes from clients.", traffic.received_bytes)
        yield _counter("etcd_network_client_grpc_sent_bytes", "Bytes to clients.", traffic.sent_bytes)
        sent = CounterMetricFamily("etcd_network_peer_sent_bytes", "Bytes to peers.", labels=["To"])
        received = CounterMetricFamily("etcd_network_peer_received_bytes", "Bytes from peers.", labels=["From"])
        for peer, bytes_of in self._node.peer_traffic().items():
            sent.add_metric([f"{peer:x}"], bytes_of.sent_bytes)
            received.add_metric([f"{peer:x}"], bytes_of.received_bytes)
        yield sent
        yield received


def _grpc_metrics(statistics: list[MethodStats]) -> Iterator[Metric]:
    labels = ["grpc_service", "grpc_method", "grpc_type"]
    started = CounterMetricFamily("grpc_server_started", "Calls begun.", labels=labels)
    handled = CounterMetricFamily("grpc_server_handled", "Calls ended.", labels=[*labels, "grpc_code"])
    received = CounterMetricFamily("grpc_server_msg_received", "Messages from clients.", labels=labels)
    sent = CounterMetricFamily("grpc_server_msg_sent", "Messages to clients.", labels=labels)
    for method in statistics:
        values = [method.service, method.method, method.kind]
        started.add_metric(values, method.started)
        received.add_metric(values, method.received)
        sent.add_metric(values, method.sent)
        for code in Status:
            if code is Status.OK or method.handled[code]:
                handled.add_metric([*values, _CODES[code]], method.handled[code])
    yield from (started, handled, received, sent)


def _gauge(name: str, help_text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, help_text, value=value)


def _counter(name: str, help_text: str, value: float) -> Metric:
    return CounterMetricFamily(name, help_text, value=value)


def _duration(name: str, help_text: str, count: int, seconds: float) -> Metric:
    """Number and sum, from which rates and averages follow; there are no finer buckets."""
    return HistogramMetricFamily(name, help_text, buckets=[("+Inf", count)], sum_value=seconds)
