"""A run of cores as data: its settings, and what is done to it at which step. What is data can be made shorter."""

from typing import Any

import msgspec

from oarlock.raft.types import ServerId
from oarlock.zoo.core.cluster import Cluster


class Act(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing done to a cluster; nothing where it makes no sense, such as a crash of a server that is down."""

    step: int
    """When, in steps of 50 milliseconds."""
    do: str
    """`propose`, `read`, `partition`, `heal`, `crash`, `restart`, `compact`, `chunk_fails`, `unreachable`, `change` of
    members, or `transfer` of the lead."""
    server: ServerId = 0
    servers: list[ServerId] = []
    """One side of a partition, the other being all others; or the new voters."""
    learners: list[ServerId] = []
    times: int = 1
    """How often; of `compact`, how many entries are kept."""
    snapshot: bool = False
    """Whether the compaction makes a snapshot, or the machine has a storage of its own."""


class Play(msgspec.Struct, frozen=True, kw_only=True):
    """One run."""

    seed: int
    """Of the network, the disks and the servers."""
    members: int = 0
    """Which of the configurations that runs begin with."""
    faults: bool = True
    """Whether messages are lost, doubled and overtaken by themselves, and disks and machines are slow."""
    settings: dict[str, Any]
    acts: list[Act] = []


def perform(cluster: Cluster, act: Act) -> None:
    """Do it."""
    one, ids = act.server, cluster.servers.keys()
    is_up = one in ids and one not in cluster.down
    match act.do:
        case "propose":
            for _ in range(act.times):
                cluster.propose()
        case "read" if is_up:
            for _ in range(act.times):
                cluster.read(one)
        case "partition":
            side = set(act.servers)
            cluster.partition(side, ids - side)
        case "heal":
            cluster.heal()
        case "crash" if is_up:
            cluster.crash(one)
        case "restart" if one in cluster.down:
            cluster.restart(one)
        case "compact" if is_up:
            cluster[one].compact(keep=act.times, snapshot=act.snapshot)
            cluster.carry_out(cluster[one])
        case "chunk_fails" if one in ids:
            cluster[one].failing_chunks = 1
        case "unreachable" if one in ids:
            leader = cluster.leader
            if leader is not None:
                leader.raft.peer_unreachable(one)
                cluster.carry_out(leader)
        case "change":
            cluster.change_membership(act.servers, act.learners)
        case "transfer":
            cluster.transfer(one)
