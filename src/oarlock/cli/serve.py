"""`oarlock serve`: one server in this process, from its flags to its end."""

import asyncio
import gc
import logging
import os
import random
import re
import secrets
import signal
import ssl
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import uvloop

from oarlock import __version__
from oarlock.cli import logs
from oarlock.cli.etcd_flags import help_text
from oarlock.cli.flags import FlagError
from oarlock.cli.joining import JoinError, Place, find_place
from oarlock.cli.local_cluster import STOP_WITH_PARENT
from oarlock.cli.settings import ServeSettings, TlsFiles, read_settings
from oarlock.cli.tracing import LiveTrace
from oarlock.dashboard.server import ServerDashboard
from oarlock.etcd.joining import description_of
from oarlock.etcd.port import server_tls_context
from oarlock.etcd.server import EtcdServer, ServerConfig, open_machine
from oarlock.etcd.services.calls import Limits
from oarlock.mvcc.errors import MvccError
from oarlock.node.config import NodeConfig
from oarlock.node.errors import NodeError
from oarlock.node.node import Node
from oarlock.storage.disk import PosixDisk
from oarlock.storage.errors import StorageError
from oarlock.transport.interface import OnMessage, OnUnreachable
from oarlock.transport.options import TransportOptions
from oarlock.transport.tcp import TcpTransport
from oarlock.transport.tls import PeerTls, TlsError

logger = logging.getLogger(__name__)

USAGE_ERROR: Final = 2
FAILURE: Final = 1

_GC_THRESHOLDS: Final = (50_000, 50, 100)
"""Next to nothing here is cyclic, so the collector should rarely interrupt."""
_COMMAND_OVERHEAD_BYTES: Final = 64 << 10


def serve(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a server until it is told to stop.

    Args:
        arguments: Those after `serve`.
        environment: Its `ETCD_*` variables count as flags.

    Returns:
        The exit status: 0 after SIGTERM or SIGINT, 1 when the server cannot run, 2 for flags that cannot be used.
    """
    if any(argument in ("-h", "-help", "--help") for argument in arguments):
        print(help_text())
        return 0
    if any(argument in ("-version", "--version") for argument in arguments):
        print(f"oarlock {__version__}")
        return 0
    try:
        settings = read_settings(arguments, environment)
        logs.set_up(settings.log_level, settings.log_outputs, settings.log_format)
    except FlagError as error:
        print(f"oarlock serve: {error}", file=sys.stderr)
        return USAGE_ERROR
    except OSError as error:
        print(f"oarlock serve: --log-outputs: {error.filename}: {error.strerror}", file=sys.stderr)
        return USAGE_ERROR
    for warning in settings.warnings:
        logger.warning("%s", warning)
    gc.set_threshold(*_GC_THRESHOLDS)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(settings, stop_on_eof=STOP_WITH_PARENT in environment))


async def _serve(settings: ServeSettings, *, stop_on_eof: bool) -> int:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _on_signal, number, stop)
    if stop_on_eof:
        loop.add_reader(sys.stdin.fileno(), _on_input, loop, stop)
    trace: LiveTrace | None = None
    dashboard: ServerDashboard | None = None
    try:
        place = await find_place(settings, _peer_tls(settings.peer_tls))
        logger.info(
            "oarlock %s: member %s (%x) of cluster %x, data in %s",
            __version__,
            settings.name,
            place.server_id,
            place.cluster_id,
            settings.data_dir,
        )
        if settings.trace or settings.dashboard is not None:
            trace = await loop.run_in_executor(None, LiveTrace, settings, place, loop)
        server = make_server(settings, place, loop, on_removed=stop.set, trace=trace)
        if trace is not None and settings.dashboard is not None:
            dashboard = await _open_dashboard(settings, settings.dashboard, trace, loop)
        await server.start()
    except (JoinError, NodeError, StorageError, MvccError, TlsError, OSError, ValueError) as error:
        logger.critical("cannot start: %s", describe(error))
        await _close(dashboard, trace)
        return FAILURE
    gc.collect()
    gc.freeze()  # what was recovered lives on: the collector need not look at it again
    logger.info("listening for clients on %s", ", ".join(url.bind_url for url in settings.listen_client))
    await stop.wait()
    await server.stop()
    await _close(dashboard, trace)
    logger.info("stopped")
    return 0


async def _open_dashboard(
    settings: ServeSettings, address: tuple[str, int], trace: LiveTrace, loop: asyncio.AbstractEventLoop
) -> ServerDashboard:
    """Open the port; what happens before somebody looks costs little."""
    dashboard = ServerDashboard(loop, trace.header, settings.name)
    trace.on_begun, trace.on_event = dashboard.watch, dashboard.publish
    host, port = await dashboard.start(*address)
    logger.info("dashboard on http://%s:%d/", f"[{host}]" if ":" in host else host, port)
    return dashboard


async def _close(dashboard: ServerDashboard | None, trace: LiveTrace | None) -> None:
    if dashboard is not None:
        await dashboard.close()
    if trace is not None:
        await trace.close()


def _on_signal(number: int, stop: asyncio.Event) -> None:
    """The first asks for an orderly end, the second for an immediate one."""
    if stop.is_set():
        logger.warning("second signal, ending at once")
        logging.shutdown()
        os._exit(128 + number)
    logger.info("%s: finishing what is under way, then stopping", signal.Signals(number).name)
    stop.set()


def _on_input(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """Whoever started this server has ended."""
    if not os.read(sys.stdin.fileno(), 4096):
        loop.remove_reader(sys.stdin.fileno())
        logger.info("standard input has ended: stopping")
        stop.set()


def _end_at_once(trace: LiveTrace | None, _: BaseException) -> None:
    """The node cannot go on and has said why; whatever this process still did could only claim too much."""
    if trace is not None:
        trace.end_at_once()
    logging.shutdown()
    os._exit(FAILURE)


def make_server(
    settings: ServeSettings,
    place: Place,
    loop: asyncio.AbstractEventLoop,
    on_removed: Callable[[], None],
    trace: LiveTrace | None = None,
) -> EtcdServer:
    """Put the server together; nothing runs yet.

    Args:
        settings: From the flags.
        place: Who the server is.
        loop: The running loop.
        on_removed: Called when the server was removed from the cluster and has to stop.
        trace: Where to record it.

    Raises:
        TlsError, OSError: A certificate, key or CA cannot be used.
        ValueError: A setting is out of range.
    """
    rng = random.Random(secrets.randbits(128))  # noqa: S311 - for jitter and timeouts
    peer_tls = _peer_tls(settings.peer_tls)
    options = TransportOptions(max_message_bytes=max(16 << 20, 2 * settings.max_request_bytes))

    def open_transport(on_message: OnMessage, on_unreachable: OnUnreachable) -> TcpTransport:
        transport = TcpTransport(
            loop,
            place.cluster_id,
            place.server_id,
            rng,
            peer_tls,
            on_message,
            on_unreachable,
            options=options,
        )
        transport.describe_by(lambda: description_of(place.cluster_id, node))
        return transport

    node = Node(
        _node_config(settings, place),
        disk=PosixDisk(),
        rng=rng,
        open_transport=open_transport,
        open_machine=lambda: open_machine(Path(settings.data_dir) / "db", place.server_id),
        listen=[url.bind_address for url in settings.listen_peer],
        # Above that of every earlier boot even where the data directory was lost; the node raises it where it is not.
        boot_epoch=time.time_ns() // 1_000_000,
        on_fatal=partial(_end_at_once, trace),
        on_removed=on_removed,
        open_trace=trace.begin if trace is not None else None,
    )
    config = ServerConfig(
        name=settings.name,
        cluster_id=place.cluster_id,
        server_id=place.server_id,
        listen_client_urls=[url.bind_url for url in (*settings.listen_client, *settings.listen_metrics)],
        advertise_client_urls=[url.text for url in settings.advertise_client],
        strict_reconfig_check=settings.strict_reconfig_check,
        limits=Limits(
            max_request_bytes=settings.max_request_bytes,
            max_txn_operations=settings.max_txn_ops,
            quota_bytes=settings.quota_bytes,
            request_timeout_s=_request_timeout_ms(settings) / 1000,
        ),
        tls=_client_tls(settings.client_tls),
        max_concurrent_streams=settings.max_concurrent_streams,
    )
    return EtcdServer(config, node)


def _request_timeout_ms(settings: ServeSettings) -> int:
    """Etcd's rule: five seconds, and time for an election that fails once."""
    return 5000 + 2 * settings.election_ms


def _node_config(settings: ServeSettings, place: Place) -> NodeConfig:
    return NodeConfig(
        cluster_id=place.cluster_id,
        server_id=place.server_id,
        data_dir=settings.data_dir,
        wal_dir=settings.wal_dir,
        members={member: tuple(url.address for url in urls) for member, urls in place.peer_urls.items()},
        addresses={member: tuple(url.text for url in urls) for member, urls in place.peer_urls.items()},
        joins=place.joins,
        max_learners=settings.max_learners,
        lease_reads=settings.lease_reads,
        max_clock_drift=settings.max_clock_drift,
        election_timeout_ms=settings.election_ms,
        heartbeat_interval_ms=settings.heartbeat_ms,
        pre_vote=settings.pre_vote,
        proposal_timeout_ms=_request_timeout_ms(settings),
        read_timeout_ms=_request_timeout_ms(settings),
        max_command_bytes=settings.max_request_bytes + _COMMAND_OVERHEAD_BYTES,
        snapshot_count=settings.snapshot_count,
        snapshot_tail=settings.snapshot_tail,
        flush_interval_ms=settings.flush_interval_ms,
        flush_entries=settings.flush_entries,
    )


def _peer_tls(files: TlsFiles | None) -> PeerTls | None:
    if files is None:
        return None
    return PeerTls(files.cert_file, files.key_file, files.ca_file or None)


def _client_tls(files: TlsFiles | None) -> ssl.SSLContext | None:
    if files is None:
        return None
    try:
        return server_tls_context(
            Path(files.cert_file),
            Path(files.key_file),
            trusted_ca_file=Path(files.ca_file) if files.ca_file else None,
            client_cert_auth=bool(files.ca_file),
        )
    except OSError as error:  # OpenSSL's own words name no file
        used = [files.cert_file, files.key_file, *([files.ca_file] if files.ca_file else [])]
        raise TlsError(f"the TLS files for clients, {', '.join(used)}, cannot be used: {error}") from error


def describe(error: BaseException) -> str:
    """One line for a person: what failed and where."""
    text = str(error)
    bound = re.search(r"address \('([^']+)', (\d+)", text)
    if bound:
        return f"cannot listen on {bound[1]}:{bound[2]}: {text.rpartition(': ')[2]}"
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return text
