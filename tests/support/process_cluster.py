"""A cluster of real `oarlock serve` processes on 127.0.0.1, to be killed, stopped, suspended and started again."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

from tests.support.grpc_client import EtcdClient, Failure
from tests.support.ports import free_ports

from oarlock.etcd.proto.rpc_pb2 import HashKVRequest, StatusRequest

DEADLINE_S = 30.0
"""For anything that must come true on a busy machine."""


async def until(condition: Any, what: str, deadline_s: float = DEADLINE_S) -> Any:
    """Wait until `condition()`, which may be a coroutine, gives something true; gives that."""
    loop = asyncio.get_running_loop()
    end = loop.time() + deadline_s
    while True:
        value = condition()
        if asyncio.iscoroutine(value):
            value = await value
        if value:
            return value
        assert loop.time() < end, f"not within {deadline_s:.0f} s: {what}"
        await asyncio.sleep(0.05)


class ServerProcess:
    """One server: its ports and directory stay, its process comes and goes."""

    def __init__(self, name: str, client_port: int, peer_port: int, directory: Path) -> None:
        self.name = name
        self.client_port = client_port
        self.peer_port = peer_port
        self.data_dir = directory / name
        self.log = directory / f"{name}.log"
        self.initial_cluster: str | None = None
        """Set for a server that joins the running cluster."""
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self.client_port}"

    @property
    def peer_url(self) -> str:
        return f"http://127.0.0.1:{self.peer_port}"

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self, arguments: list[str]) -> None:
        """Start the process; its log goes on in the same file."""
        assert not self.running
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ETCD_")}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "oarlock.cli.main", "serve", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
            )

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """Kill -9, and reap it."""
        self.signal(signal.SIGKILL)
        assert self.process is not None
        self.process.wait()

    def terminate(self) -> int:
        """SIGTERM, and the exit status."""
        self.signal(signal.SIGTERM)
        assert self.process is not None
        return self.process.wait(timeout=DEADLINE_S)

    def records(self) -> list[dict[str, str]]:
        """Its log so far."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    def said(self, message: str) -> int:
        """How many lines of its log begin with `message`."""
        return sum(record["msg"].startswith(message) for record in self.records())


class ProcessCluster:
    """Servers s1 to s3 (or however many)."""

    def __init__(self, directory: Path, size: int = 3, *flags: str) -> None:
        ports = free_ports(2 * size)
        self.servers = [
            ServerProcess(f"s{number + 1}", ports[2 * number], ports[2 * number + 1], directory)
            for number in range(size)
        ]
        self.directory = directory
        self.planned = list(self.servers)
        """The servers that the cluster began with."""
        self.flags = ["--election-timeout", "500", "--heartbeat-interval", "50", *flags]
        self.clients: dict[str, EtcdClient] = {}

    async def __aenter__(self) -> Self:
        for server in self.servers:
            self.start(server)
        try:
            await self.ready()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *exception: object) -> None:
        for client in self.clients.values():
            await client.close()
        for server in self.servers:
            if server.running:
                server.signal(signal.SIGCONT)
                server.kill()
        if exception and exception[0] is not None:
            for server in self.servers:
                print(f"--- {server.name}\n" + "\n".join(server.log.read_text().splitlines()[-25:]))

    def new_server(self, name: str) -> ServerProcess:
        """A server that is none of the cluster's yet."""
        return ServerProcess(name, *free_ports(2), self.directory)

    def start(self, server: ServerProcess) -> None:
        url, peer_url = f"http://{server.endpoint}", server.peer_url
        planned = ",".join(f"{each.name}={each.peer_url}" for each in self.planned)
        server.start(
            [
                *("--name", server.name, "--data-dir", str(server.data_dir)),
                *("--listen-client-urls", url, "--advertise-client-urls", url),
                *("--listen-peer-urls", peer_url, "--initial-advertise-peer-urls", peer_url),
                *("--initial-cluster", server.initial_cluster or planned),
                *(("--initial-cluster-state", "existing") if server.initial_cluster else ()),
                *self.flags,
            ]
        )

    async def ready(self) -> None:
        """Wait until every running server answers with a leader."""
        for server in self.servers:
            if server.running:
                await until(lambda server=server: self._answers(server), f"{server.name} is ready")

    async def _answers(self, server: ServerProcess) -> bool:
        assert server.running, server.log.read_text()[-2000:]
        status = await self.status(server)
        return not isinstance(status, Failure) and status.leader != 0

    def client(self, server: ServerProcess) -> EtcdClient:
        """A client of one server, kept."""
        if server.name not in self.clients:
            self.clients[server.name] = EtcdClient(server.endpoint)
        return self.clients[server.name]

    async def status(self, server: ServerProcess) -> Any:
        return await self.client(server).call("Maintenance.Status", StatusRequest(), timeout_s=1)

    async def leader(self) -> ServerProcess:
        """The running server that leads, by its own account and with the highest term."""

        async def find() -> ServerProcess | None:
            found: dict[int, ServerProcess] = {}
            for server in self.servers:
                if server.running:
                    status = await self.status(server)
                    if not isinstance(status, Failure) and status.leader == status.header.member_id:
                        found[status.raftTerm] = server
            return found[max(found)] if found else None

        return await until(find, "a leader")

    async def agree(self) -> int:
        """Wait until all members have the same revision and HashKV; gives the revision."""

        async def same() -> int | None:
            answers = [
                await self.client(server).call("Maintenance.HashKV", HashKVRequest(revision=0), timeout_s=5)
                for server in self.servers
            ]
            if any(isinstance(answer, Failure) for answer in answers):
                return None
            states = {(answer.header.revision, answer.hash) for answer in answers}
            return states.pop()[0] if len(states) == 1 else None

        revision: int = await until(same, "all members agree on HashKV")
        return revision
