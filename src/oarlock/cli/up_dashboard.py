"""What surrounds the servers of `oarlock up`: the network between them, the page, the record of what is done."""

import asyncio
import secrets
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from oarlock.cli.local_cluster import LocalCluster, LocalServer
from oarlock.dashboard.cluster import ClusterDashboard, Watched
from oarlock.dashboard.proxy import Cuts, PeerProxy
from oarlock.dashboard.world import WorldLane
from oarlock.etcd.services.cluster import cluster_id
from oarlock.trace.schema import VERSION, Header, server_name
from oarlock.trace.writer import TraceWriter

RECORD = "network.jsonl"
"""Beside the servers' own files: kills, pauses and cuts, which no server can record."""


class Processes(Protocol):
    """Who runs the servers."""

    def state(self, name: str) -> str:
        """How a server is."""

    def act(self, action: str, name: str) -> None:
        """Kill, pause, resume or restart one."""


class Outside:
    """One cluster's; without a dashboard it only records, and without a trace not even that."""

    def __init__(self, cluster: LocalCluster, trace_dir: Path | None) -> None:
        self._members = cluster.members()
        ids = [member.server_id for member in self._members]
        self._cluster_id = cluster_id(ids)
        self._header = Header(
            v=VERSION,
            run=f"cluster-{self._cluster_id:x}",
            kind="live",
            nodes={server_name(member.server_id): member.name for member in self._members},
            clock="wall",
            features=("pre_vote",),
        )
        self._world = WorldLane()
        self._cuts = Cuts()
        self._proxies: list[PeerProxy] = []
        self._token = secrets.token_urlsafe(24)
        self._processes: Processes | None = None
        self._dashboard: ClusterDashboard | None = None
        self._executor: ThreadPoolExecutor | None = None
        self._writer: TraceWriter | None = None
        if trace_dir is not None:
            self._executor = ThreadPoolExecutor(1, "oarlock-trace")
            self._writer = writer = TraceWriter(trace_dir / RECORD, self._header, self._executor.submit, flush_bytes=1)
            writer.open()
            self._world.listeners.append(lambda event, _: writer(event))

    async def open(self, processes: Processes, port: int) -> int:
        """Put proxies between the servers and serve the page.

        Args:
            processes: Who runs the servers.
            port: For the page, on 127.0.0.1.

        Returns:
            The page's port.

        Raises:
            OSError: A port cannot be listened on.
        """
        loop = asyncio.get_running_loop()
        self._processes = processes
        for member in self._members:
            proxy = PeerProxy(loop, self._cuts, self._cluster_id, member.server_id, member.hidden_peer_port)
            await proxy.start(member.peer_port)
            self._proxies.append(proxy)
        watched = [
            Watched(member.name, server_name(member.server_id), member.client_port, member.dashboard_port)
            for member in self._members
        ]
        self._dashboard = ClusterDashboard(loop, self._header, watched, self, self._world, self._token)
        return await self._dashboard.start(port)

    async def close(self) -> None:
        """Once the servers have ended."""
        if self._dashboard is not None:
            await self._dashboard.close()
        for proxy in self._proxies:
            proxy.close()
        if self._writer is not None and self._executor is not None:
            self._executor.shutdown()
            self._writer.close()

    def address(self, port: int) -> str:
        """The page's, with what lets one in."""
        return f"http://127.0.0.1:{port}/?token={self._token}"

    def changed(self) -> None:
        """A server's state is another."""
        if self._dashboard is not None:
            self._dashboard.servers_changed()

    # -- what happens to servers -----------------------------------------------------------------------------------

    def ended(self, server: LocalServer, why: str) -> None:
        """Its process is gone."""
        self._world.resumed(server_name(server.server_id))
        self._world.ended(server_name(server.server_id), why)
        self.changed()

    def started(self, server: LocalServer) -> None:
        """It has a process."""
        self._world.started(server_name(server.server_id))
        self.changed()

    def paused(self, server: LocalServer) -> None:
        """Its process stands still."""
        self._world.paused(server_name(server.server_id))

    def resumed(self, server: LocalServer) -> None:
        """It goes on."""
        self._world.resumed(server_name(server.server_id))

    # -- the supervisor that the dashboard knows -------------------------------------------------------------------

    def state(self, name: str) -> str:
        """How a server is."""
        return self._processes.state(name) if self._processes is not None else "down"

    def act(self, action: str, name: str) -> None:
        """Do something to a server."""
        if self._processes is not None:
            self._processes.act(action, name)

    def partition(self, names: Sequence[str]) -> None:
        """Cut some servers off from the rest."""
        some = [member.server_id for member in self._members if member.name in names]
        rest = [member.server_id for member in self._members if member.name not in names]
        links = self._cuts.cut(some, rest)
        if links:
            self._world.cut(links)

    def heal(self) -> None:
        """Let all servers talk to each other."""
        self._cuts.heal()
        self._world.healed()
