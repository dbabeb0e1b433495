"""All servers of a run, from the first to those added later: how each is set up, and which of them a number means."""

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from msgspec import field, structs

from oarlock.etcd.http2 import Limits
from oarlock.node.config import NodeConfig
from oarlock.raft.config import RaftConfig
from oarlock.raft.types import ServerId
from oarlock.sim.clock import Clock
from oarlock.sim.disk import SimDisk
from oarlock.sim.durable import DurableLog
from oarlock.sim.network import Host, Network
from oarlock.sim.process import PEER_PORT, DiskSpeed, Server
from oarlock.sim.schedule import Settings
from oarlock.sim.strikes import Strikes
from oarlock.sim.versions import Version
from oarlock.sim.watcher import Watcher
from oarlock.transport.options import TransportOptions

CLUSTER_ID: Final = 0xC1

MAX_ADDED: Final = 12
"""Servers that may be added in one run."""


class Fleet:
    """The servers.

    Args:
        settings: Of the run.
        seed: From which every server's chance is made.
        network: Where their hosts are.
        strikes: Where to count.
        watcher: Told of what they do.
    """

    def __init__(self, settings: Settings, seed: str, network: Network, strikes: Strikes, watcher: Watcher) -> None:
        self._settings = settings
        self._seed = seed
        self._network = network
        self._strikes = strikes
        self._watcher = watcher
        self.servers: dict[ServerId, Server] = {}
        """Every server there ever was, by its id."""
        self.retired: dict[ServerId, None] = {}
        """Those whose machine serves another purpose by now."""
        self.twins: list[Server] = []
        """Machines under the id of another that runs."""
        self._numbers: dict[int, ServerId] = {}
        self._next_number = settings.servers + 1
        self._port_limits: Limits | None = None
        if settings.client_protocol == "http2":
            self._port_limits = _draw_port_limits(random.Random(f"{seed}/port"))  # noqa: S311
        for number in range(1, settings.servers + 1):
            self._make(number, number, self._planned(number), ())

    @property
    def ids(self) -> list[ServerId]:
        """Every server there still is, the oldest first."""
        return [server_id for server_id in self.servers if server_id not in self.retired]

    def of_number(self, number: int) -> ServerId:
        """The server that a schedule's number means; if that is gone or was never made, another one."""
        server_id = self._numbers.get(number)
        if server_id is not None and server_id not in self.retired:
            return server_id
        ids = self.ids
        return ids[number % len(ids)]

    def reserve(self) -> int | None:
        """The number of the next server to be added; None once there were enough."""
        if self._next_number > self._settings.servers + MAX_ADDED:
            return None
        self._next_number += 1
        return self._next_number - 1

    def add(self, server_id: ServerId, number: int, contacts: Sequence[str]) -> Server:
        """A fresh server of a running cluster.

        Args:
            server_id: As the cluster has told it.
            number: Reserved for it; or another server's, which is retired and whose machine it gets.
            contacts: Peer URLs of members it may ask.
        """
        former = self._numbers.get(number)
        if former is not None:
            self.servers[former].kill(power=True)
            self.retired[former] = None
        url = peer_url(number)
        config = self._config(number, server_id, {server_id: url}, joins=True)
        return self._make(number, server_id, config, contacts)

    def number_at(self, urls: Sequence[str]) -> int:
        """The number whose peer URL is one of these."""
        numbers = range(1, self._next_number)
        return next(number for number in numbers if peer_url(number) in urls)

    def urls(self) -> list[str]:
        """The peer URLs of all servers there are."""
        return [peer_url(self.servers[server_id].number) for server_id in self.ids]

    def add_twin(self, server: Server, watcher: Watcher) -> Server:
        """Another machine that takes itself for a server that there is.

        Args:
            server: Whom.
            watcher: Is told of it.
        """
        name = f"{server.host.name}twin{len(self.twins) + 1}"
        twin = self._set_up(server.number, server.config, server.contacts, self._network.host(name), watcher, name)
        self.twins.append(twin)
        return twin

    # -- how each is set up ------------------------------------------------------------------------------------------

    def _planned(self, number: int) -> NodeConfig:
        return self._config(number, number, {each: peer_url(each) for each in range(1, self._settings.servers + 1)})

    def _config(
        self, number: int, server_id: ServerId, urls: dict[ServerId, str], *, joins: bool = False
    ) -> NodeConfig:
        settings = self._settings
        config = SimConfig(
            cluster_id=CLUSTER_ID,
            server_id=server_id,
            data_dir="/data",
            members={each: ((_host_of(url), PEER_PORT),) for each, url in urls.items()},
            addresses={each: (url,) for each, url in urls.items()},
            joins=joins,
            max_learners=settings.max_learners,
            election_timeout_ms=settings.election_timeout_ms,
            heartbeat_interval_ms=settings.heartbeat_interval_ms,
            pre_vote=settings.pre_vote,
            check_quorum=settings.check_quorum,
            proposal_timeout_ms=settings.proposal_timeout_ms,
            read_timeout_ms=settings.proposal_timeout_ms,
            snapshot_count=settings.snapshot_count,
            snapshot_tail=settings.snapshot_tail,
            snapshot_chunk_bytes=settings.snapshot_chunk_bytes,
            segment_bytes=settings.segment_bytes,
            flush_interval_ms=settings.flush_interval_ms,
            lease_reads=settings.lease_reads,
            max_clock_drift=settings.max_clock_drift,
            core=self._knobs(number, "raft."),
        )
        return structs.replace(config, **self._knobs(number, ""))

    def _knobs(self, number: int, prefix: str) -> dict[str, int]:
        """What was turned, of the settings whose names begin so; those of the node have no prefix."""
        knobs = {**self._settings.knobs, **self._settings.server_knobs.get(number, {})}
        named = {name.rpartition("."): value for name, value in knobs.items()}
        return {name: value for (room, dot, name), value in named.items() if room + dot == prefix}

    def _make(self, number: int, server_id: ServerId, config: NodeConfig, contacts: Sequence[str]) -> Server:
        host = self._network.host(host_name(number))
        server = self._set_up(number, config, contacts, host, self._watcher, str(server_id))
        server.port_limits = self._port_limits
        server.version = server.last_version = Version(self._settings.versions.get(number, Version.CURRENT))
        self.servers[server_id] = server
        self._numbers[number] = server_id
        return server

    def _set_up(
        self, number: int, config: NodeConfig, contacts: Sequence[str], host: Host, watcher: Watcher, stream: str
    ) -> Server:
        """A server with chance of its own, from a stream."""
        settings = self._settings
        rng = random.Random(f"{self._seed}/server/{stream}")  # noqa: S311
        durable = DurableLog()
        return Server(
            config,
            number=number,
            host=host,
            contacts=contacts,
            network=self._network,
            disk=SimDisk(random.Random(f"{self._seed}/disk/{stream}"), self._strikes, durable),  # noqa: S311
            durable=durable,
            clock=Clock(self._network.scheduler.now, rng.random() * 1e6),
            speed=DiskSpeed(mean_s=settings.disk_mean_s),
            options=self._options(number),
            rng=rng,
            watcher=watcher,
        )

    def _options(self, number: int) -> TransportOptions:
        timeout_ms = self._settings.election_timeout_ms
        options = TransportOptions(
            connect_timeout_ms=4 * timeout_ms,
            handshake_timeout_ms=4 * timeout_ms,
            backoff_max_ms=timeout_ms,
            ping_interval_ms=timeout_ms,
        )
        return replace(options, **self._knobs(number, "transport."))


def _draw_port_limits(rng: random.Random) -> Limits:
    """What a run's ports allow: in many runs few streams, in others little patience with clients."""
    limits = Limits(max_concurrent_streams=rng.choice((1024, 1024, 2)), put_off_bytes=rng.choice((1 << 24, 0)))
    if rng.random() < 0.6:
        return limits
    return structs.replace(
        limits,
        preface_timeout_s=1.0,
        frame_timeout_s=1.0,
        idle_timeout_s=0.5,
        keepalive_interval_s=1.0,
        keepalive_timeout_s=1.0,
        stall_timeout_s=1.0,
    )


class SimConfig(NodeConfig, frozen=True, kw_only=True):
    """A node's settings, with those of the core that production leaves as they are."""

    core: dict[str, int] = field(default_factory=dict)
    """By their names in `RaftConfig`."""

    def raft(self) -> RaftConfig:
        """See `NodeConfig.raft`."""
        return structs.replace(super().raft(), **self.core)


def host_name(number: int) -> str:
    """The host of a server."""
    return f"server{number}"


def peer_url(number: int) -> str:
    """Where the other servers reach one."""
    return f"http://{host_name(number)}:{PEER_PORT}"


def _host_of(url: str) -> str:
    return url.removeprefix("http://").rpartition(":")[0]
