"""The plan of a cluster on this machine: names, ports, directories, and the command line of each server."""

import socket
import sys
from pathlib import Path
from typing import Final

import msgspec

from oarlock.cli.flags import FlagError
from oarlock.etcd.services.cluster import member_id
from oarlock.raft.types import ServerId

MAX_SERVERS: Final = 9
_PORTS_A_SERVER: Final = 10
"""Clients' port, then peers', then two for `--dashboard`; the rest keeps the numbers readable: 2379, 2389, 2399."""
STOP_WITH_PARENT: Final = "OARLOCK_STOP_ON_EOF"
"""Environment variable that has a server stop when its standard input ends, so that none outlives `oarlock up`."""
TOKEN: Final = "oarlock-up"  # noqa: S105 - no secret: it tells clusters apart
_PLAN: Final = "cluster.json"


class LocalServer(msgspec.Struct, frozen=True):
    """One server of it."""

    name: str
    client_port: int
    peer_port: int

    @property
    def client_url(self) -> str:
        """Where clients find it."""
        return f"http://127.0.0.1:{self.client_port}"

    @property
    def peer_url(self) -> str:
        """Where the others find it."""
        return f"http://127.0.0.1:{self.peer_port}"

    @property
    def hidden_peer_port(self) -> int:
        """Where it listens for the others when a proxy stands at its peer port: what it advertises stays the same."""
        return self.peer_port + 1

    @property
    def dashboard_port(self) -> int:
        """Where it tells `oarlock up --dashboard` what happens."""
        return self.peer_port + 2

    @property
    def server_id(self) -> ServerId:
        """Its id in a new cluster."""
        return member_id([self.peer_url], TOKEN)


class LocalCluster(msgspec.Struct, frozen=True):
    """What the data directory remembers: ids follow from names and ports, so they must stay."""

    servers: int
    port: int

    @property
    def dashboard_port(self) -> int:
        """Where the page of all is, if no other port is asked for."""
        return self.port + 5

    def members(self) -> list[LocalServer]:
        """All servers, in order."""
        return [
            LocalServer(f"s{number + 1}", port, port + 1)
            for number in range(self.servers)
            for port in [self.port + _PORTS_A_SERVER * number]
        ]


def plan(data_dir: Path, servers: int | None, port: int | None) -> LocalCluster:
    """Decide what to start: what the directory holds, else what is asked for, else three servers at etcd's port.

    Raises:
        FlagError: The numbers are out of range, or the directory holds another cluster.
    """
    file = data_dir / _PLAN
    if file.exists():
        try:
            held = msgspec.json.decode(file.read_bytes(), type=LocalCluster)
        except msgspec.MsgspecError as error:
            raise FlagError(f"{file} is damaged: {error}") from None
        wanted = LocalCluster(servers or held.servers, port or held.port)
        if wanted != held:
            raise FlagError(
                f"{data_dir} holds a cluster of {held.servers} at port {held.port}; "
                f"start that one without --servers and --port, or name another --data-dir"
            )
        return held
    cluster = LocalCluster(3 if servers is None else servers, 2379 if port is None else port)
    if not 1 <= cluster.servers <= MAX_SERVERS:
        raise FlagError(f"--servers must be between 1 and {MAX_SERVERS}, not {cluster.servers}")
    last = cluster.port + _PORTS_A_SERVER * (cluster.servers - 1) + 1
    if not (cluster.port > 0 and last < 1 << 16):
        raise FlagError(f"--port {cluster.port}: the ports up to {last} must lie between 1 and 65535")
    return cluster


def remember(data_dir: Path, cluster: LocalCluster) -> None:
    """Note the plan, for later starts."""
    data_dir.mkdir(parents=True, exist_ok=True)
    (data_dir / _PLAN).write_bytes(msgspec.json.encode(cluster) + b"\n")


def check_ports(cluster: LocalCluster, data_dir: Path, *, dashboard: bool = False) -> None:
    """See that every port is free.

    Args:
        cluster: Its ports.
        data_dir: Where it lives; a cluster that has lived there before cannot move to other ports.
        dashboard: Whether the ports for that are needed too.

    Raises:
        FlagError: One is not; the message names it.
    """
    for server in cluster.members():
        needed = [(server.client_port, "clients"), (server.peer_port, "the other servers")]
        if dashboard:
            needed += [(server.hidden_peer_port, "--dashboard"), (server.dashboard_port, "--dashboard")]
        for port, use in needed:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError as error:
                    reason = (error.strerror or str(error)).lower()
                    advice = (
                        f"is the cluster of {data_dir} running already? Another one needs --data-dir and --port"
                        if (data_dir / _PLAN).exists()
                        else "choose another with --port"
                    )
                    raise FlagError(f"port {port}, which {server.name} needs for {use}: {reason}; {advice}") from None


def command(
    cluster: LocalCluster, server: LocalServer, data_dir: Path, more: list[str], *, dashboard: bool = False
) -> list[str]:
    """The command line of one server.

    Args:
        cluster: Its cluster.
        server: Which.
        data_dir: The cluster's.
        more: Further flags.
        dashboard: Whether it stands behind a proxy, and tells what happens.
    """
    listen_peer = f"http://127.0.0.1:{server.hidden_peer_port}" if dashboard else server.peer_url
    if dashboard:
        more = [*more, "--dashboard-listen", f"127.0.0.1:{server.dashboard_port}"]
    return [
        sys.executable,
        "-m",
        "oarlock.cli.main",
        "serve",
        "--name",
        server.name,
        "--data-dir",
        str(data_dir / server.name),
        "--listen-client-urls",
        server.client_url,
        "--advertise-client-urls",
        server.client_url,
        "--listen-peer-urls",
        listen_peer,
        "--initial-advertise-peer-urls",
        server.peer_url,
        "--initial-cluster",
        ",".join(f"{member.name}={member.peer_url}" for member in cluster.members()),
        "--initial-cluster-token",
        TOKEN,
        "--log-format",
        "json",
        *more,
    ]
