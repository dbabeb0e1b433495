"""What scenes share: a small cluster with short timeouts, and how a leader is chosen."""

from oarlock.raft.types import Configuration, ServerId, Term
from oarlock.zoo.core.broken import require
from oarlock.zoo.core.cluster import Cluster
from oarlock.zoo.core.server import Server

TIMEOUT_S = 0.3
HEARTBEAT_S = 0.06
SOON_S = 10 * TIMEOUT_S
"""In this time a whole cluster has a leader, and everybody has what it has."""
AT_ONCE_S = 0.02
"""In this time, with messages that take a millisecond, all is done that no timeout is waited for."""

LEADER_IN_TIME = "leader in time"
CATCH_UP = "laggards catch up"


def make(members: Configuration | int, seed: int, **settings: object) -> Cluster:
    """A cluster in which nothing goes wrong by itself."""
    return Cluster(members, seed, **{"election_timeout_ms": 300, "heartbeat_interval_ms": 60, **settings})  # type: ignore[arg-type]


def elect(cluster: Cluster, server_id: ServerId) -> Server:
    """Have a server time out now, and lead; again as often as somebody else is faster."""
    server = cluster[server_id]
    for _ in range(5):
        for other in cluster.live:
            other.state.last_leader_contact = float("-inf")
        cluster.time_out(server_id)
        cluster.run_for(AT_ONCE_S)
        if server.is_leading:
            return server
    cluster.run_until(lambda: server.is_leading, SOON_S, LEADER_IN_TIME)
    return server


def lead(cluster: Cluster, server: Server) -> Server:
    """Have a server win an election, whether or not it can commit then."""
    for _ in range(10):
        if server.state.leader is not None:
            return server
        for other in cluster.live:
            other.state.last_leader_contact = float("-inf")
        cluster.time_out(server.id)
        cluster.run_for(0.005)
    require(server.state.leader is not None, "leader in time", cluster.describe())
    return server


def campaign_up_to(cluster: Cluster, server_id: ServerId, term: Term) -> None:
    """Have a server campaign, in vain but for the last time, until it has reached a term."""
    reachable = cluster.cut
    cluster.partition()
    server = cluster[server_id]
    while server.state.current_term < term - 1:
        cluster.time_out(server_id)
        cluster.run_for(0.002)
    cluster.cut = reachable
    cluster.time_out(server_id)
    cluster.run_for(0.01)


def someone_leads(cluster: Cluster, *, without: ServerId = 0, limit_s: float = SOON_S) -> Server:
    """Let time pass until a server, other than one, leads and has committed in its term."""
    found: list[Server] = []

    def leads() -> bool:
        found[:] = [server for server in cluster.live if server.is_leading and server.id != without]
        return bool(found)

    cluster.run_until(leads, limit_s, LEADER_IN_TIME)
    return found[0]


def propose(cluster: Cluster, times: int, size: int = 0) -> None:
    """Some commands, each on its own."""
    for _ in range(times):
        cluster.propose(size)


def converge(cluster: Cluster, limit_s: float = SOON_S, name: str = CATCH_UP) -> None:
    """Let time pass until all who are up have applied the leader's whole log."""

    def has_converged() -> bool:
        leader = cluster.leader
        if leader is None:
            return False
        members = leader.state.configuration.members
        last = leader.state.log.last_index
        return all(len(server.machine) == last for server in cluster.live if server.id in members)

    cluster.run_until(has_converged, limit_s, name)


def in_agreement(seed: int) -> Cluster:
    """Three servers without pre-vote and check-quorum, of which the first leads, and all have the same log."""
    cluster = make(3, seed, pre_vote=False, check_quorum=False)
    elect(cluster, 1)
    converge(cluster)
    return cluster
