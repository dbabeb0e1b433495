"""A whole server of ours in this process, over a local node."""

from pathlib import Path
from typing import Any, Self

from tests.support.local_node import CLUSTER_ID, SERVER_ID, LocalNode

from oarlock.etcd.machine import EtcdMachine
from oarlock.etcd.server import EtcdServer, ServerConfig, open_machine
from oarlock.etcd.services.calls import Limits


class LocalServer:
    """Serves on a free port of 127.0.0.1."""

    def __init__(self, directory: Path, *, max_concurrent_streams: int = 1024, **limits: Any) -> None:
        """Prepare a server with its database in `directory`; `limits` are those of `Limits`."""
        self.node = LocalNode(lambda: open_machine(directory, SERVER_ID))
        config = ServerConfig(
            name="ours",
            cluster_id=CLUSTER_ID,
            server_id=SERVER_ID,
            listen_client_urls=["http://127.0.0.1:0"],
            advertise_client_urls=["http://127.0.0.1:2379"],
            limits=Limits(**limits),
            max_concurrent_streams=max_concurrent_streams,
        )
        self.server = EtcdServer(config, self.node)

    @property
    def endpoint(self) -> str:
        """host:port."""
        host, port = self.server.addresses[0]
        return f"{host}:{port}"

    @property
    def machine(self) -> EtcdMachine:
        """The state machine."""
        return self.server.machine

    async def __aenter__(self) -> Self:
        await self.server.start()
        await self.server.ready.wait()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.server.stop(0.1)
