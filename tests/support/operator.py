"""Someone who changes the members of a cluster of processes, with etcdctl and what it prints."""

import json
import re

from tests.support.etcd_process import etcdctl_3_5
from tests.support.etcdctl import Ran, etcdctl
from tests.support.process_cluster import ProcessCluster, ServerProcess, until


class Operator:
    """Changes a cluster with etcdctl, asking one of its servers."""

    def __init__(self, cluster: ProcessCluster) -> None:
        self.cluster = cluster
        self.program = etcdctl_3_5()
        self.ids: dict[str, str] = {}

    async def run(self, *arguments: str, asked: ServerProcess | None = None) -> Ran:
        return await etcdctl(self.program, (asked or self.cluster.servers[0]).endpoint, *arguments)

    async def until_done(self, *arguments: str, asked: ServerProcess | None = None) -> str:
        """Run a command until it succeeds: the cluster may ask for patience; gives its output."""
        complaints: list[str] = []

        async def done() -> Ran | None:
            ran = await self.run(*arguments, asked=asked)
            complaints.append(ran.complaint)
            return ran if ran.status == 0 else None

        try:
            ran: Ran = await until(done, " ".join(arguments))
        except AssertionError:
            raise AssertionError(complaints[-1]) from None
        return ran.output

    async def add(self, name: str, *flags: str) -> ServerProcess:
        """Add a member and start it with just what `etcdctl member add` prints."""
        server = self.cluster.new_server(name)
        output = await self.until_done("member", "add", name, f"--peer-urls={server.peer_url}", *flags)
        found = re.search(r'ETCD_INITIAL_CLUSTER="([^"]+)"', output)
        assert found is not None, output
        assert 'ETCD_INITIAL_CLUSTER_STATE="existing"' in output
        server.initial_cluster = found[1]
        self.cluster.start(server)
        self.ids[name] = re.search(r"Member +([0-9a-f]+) added", output)[1]  # type: ignore[index]
        await until(lambda: server.said("ready to serve client requests"), f"{name} is part of the cluster")
        return server

    async def promote(self, name: str) -> None:
        await self.until_done("member", "promote", self.ids[name])

    async def remove(self, server: ServerProcess, asked: ServerProcess | None = None) -> None:
        """Remove a member; clients turn away from it first."""
        self.cluster.servers.remove(server)
        await self.until_done("member", "remove", (await self.members())[server.name]["ID"], asked=asked)

    async def members(self) -> dict[str, dict[str, str]]:
        """Members by name."""
        listed = json.loads(await self.until_done("member", "list", "-w", "json"))["members"]
        return {
            member.get("name", ""): {"ID": f"{member['ID']:x}", "learner": member.get("isLearner")} for member in listed
        }
