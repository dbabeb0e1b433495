"""Prometheus metrics of a library node, under etcd's names where they mean the same.

Everything is read from plain counters when a page is asked for, so that nothing on the hot paths knows of it.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from oarlock.node.status import Counters, NodeStatus
from oarlock.raft.types import ServerId
from oarlock.replica.caller import Totals
from oarlock.transport.stats import PeerStats


class Measured(Protocol):
    """What the metrics ask of a node."""

    @property
    def counters(self) -> Counters:
        """Running totals."""

    @property
    def command_totals(self) -> Totals:
        """Commands of this program."""

    @property
    def slow_commands(self) -> int:
        """Commands that took long."""

    @property
    def open_sessions(self) -> int:
        """Sessions of clients."""

    @property
    def staleness_s(self) -> float:
        """By how much the state is surely not more stale."""

    def status(self) -> NodeStatus:
        """What the node says about itself."""

    def peer_traffic(self) -> Mapping[ServerId, PeerStats]:
        """Bytes exchanged with each peer."""


class Metrics(Collector):
    """One node's metrics; a collector for any registry of `prometheus_client`."""

    def __init__(self, node: Measured) -> None:
        self._node = node

    def page(self) -> str:
        """The metrics as text."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return generate_latest(registry).decode()

    def describe(self) -> Iterable[Metric]:
        """Nothing: the names need not be known before the first page."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Read every counter."""
        status, counters, totals = self._node.status(), self._node.counters, self._node.command_totals
        for name, text, value in (
            ("etcd_server_has_leader", "Whether a leader is known.", status.leader_id is not None),
            ("etcd_server_is_leader", "Whether this server leads.", status.leader_id == status.server_id),
            ("etcd_server_is_learner", "Whether this server has no vote.", status.is_learner),
            ("etcd_server_proposals_committed_total", "Index up to which the log is committed.", status.commit_index),
            ("etcd_server_proposals_applied_total", "Index up to which the log is applied.", status.applied_index),
            ("etcd_server_proposals_pending", "Commands waiting here.", totals.waiting),
            ("oarlock_disk_full", "Whether space lacks for writes.", status.disk_full),
            ("oarlock_library_sessions", "Sessions of clients.", self._node.open_sessions),
            ("oarlock_library_staleness_seconds", "Since the state was known up to date.", self._node.staleness_s),
        ):
            yield GaugeMetricFamily(name, text, value=value)
        for name, text, value in (
            ("etcd_server_leader_changes_seen", "Leader changes seen.", counters.leader_changes),
            ("etcd_server_proposals_failed", "Commands failed here.", totals.failed),
            ("oarlock_server_proposals_retried", "Entries proposed again.", counters.proposals_retried),
            ("oarlock_server_reads_received", "Read barriers asked for.", counters.reads_received),
            ("oarlock_server_reads_failed", "Read barriers failed.", counters.reads_failed),
            ("oarlock_server_slow_log_writes", "Log writes that took too long.", counters.slow_writes),
            ("oarlock_library_commands", "Commands called here.", totals.called),
            ("oarlock_library_slow_commands", "Commands whose code took long.", self._node.slow_commands),
            ("oarlock_library_entries_applied", "Entries applied here.", counters.entries_applied),
        ):
            yield CounterMetricFamily(name, text, value=value)
        yield HistogramMetricFamily(
            "etcd_disk_wal_fsync_duration_seconds",
            "Writes of the log made durable.",
            buckets=[("+Inf", counters.wal_writes)],
            sum_value=counters.wal_seconds,
        )
        yield from self._traffic()

    def _traffic(self) -> Iterator[Metric]:
        sent = CounterMetricFamily("etcd_network_peer_sent_bytes", "Bytes to peers.", labels=["To"])
        received = CounterMetricFamily("etcd_network_peer_received_bytes", "Bytes from peers.", labels=["From"])
        for peer, stats in self._node.peer_traffic().items():
            sent.add_metric([f"{peer:x}"], stats.sent_bytes)
            received.add_metric([f"{peer:x}"], stats.received_bytes)
        yield from (sent, received)
