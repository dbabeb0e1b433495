"""Part 4C: the key-value service with snapshots."""

from typing import Final

from oarlock.lab.suite.kv import MANY, ONE, measure_speed
from oarlock.lab.suite.kv_harness import QUIET_S, KvHarness, snapshot_scenario

MOST_SNAPSHOT: Final = 500
ELECTIONS: Final = 30
"""A server that is as good as another one wins about half of them."""
_BUDGETS: Final = ("at most 8,000 bytes of Raft state", "clients' history linearizable")


@snapshot_scenario(
    "SnapshotRPC",
    servers=3,
    budgets=("at most 8,000 bytes of Raft state",),
    repaired="the server that was sent the snapshot is made to lead, and asked",
)
def snapshot_rpc(lab: KvHarness) -> None:
    """A server that was away while the log was compacted is sent a snapshot, and can then be part of a majority."""
    clerk, ends = lab.clerk()
    lab.put(clerk, "a", "A")
    lab.group.partition([0, 1], [2])
    lab.group.connect_client(ends, [0, 1])
    for number in range(50):
        lab.put(clerk, str(number), str(number))
    lab.sleep(QUIET_S)
    lab.put(clerk, "b", "B")
    lab.check_log_size()
    lab.group.partition([0, 2], [1])
    lab.group.connect_client(ends, [0, 2])
    lab.put(clerk, "c", "C")
    lab.put(clerk, "d", "D")
    for key, value in (("a", "A"), ("b", "B"), ("1", "1"), ("49", "49"), ("c", "C")):
        lab.check_get(clerk, key, value)
    lab.group.heal()
    lab.group.connect_client(ends, lab.everyone)
    lab.put(clerk, "e", "E")
    _make_lead(lab, 2)
    for key, value in (("c", "C"), ("e", "E"), ("1", "1")):
        lab.check_get(clerk, key, value)


def _make_lead(lab: KvHarness, wanted: int) -> None:
    """Cut leaders off until a server leads that is as good as they are."""
    for _ in range(ELECTIONS):
        leader = lab.leader()
        if leader == wanted:
            return
        lab.group.disconnect(leader)
        lab.leader()
        lab.group.connect(leader)
        lab.sleep(QUIET_S)
    lab.require(False, f"server {wanted} was elected in none of {ELECTIONS} elections")


@snapshot_scenario(
    "SnapshotSize", servers=3, budgets=("at most 8,000 bytes of Raft state", "at most 500 bytes of snapshot")
)
def snapshot_size(lab: KvHarness) -> None:
    """What is persisted stays small when little is held."""
    clerk, _ = lab.clerk()
    for _ in range(200):
        for value in ("0", "1"):
            lab.put(clerk, "x", value)
            lab.check_get(clerk, "x", value)
    lab.check_log_size()
    lab.measure("most bytes of a snapshot", lab.group.largest_snapshot(), most=MOST_SNAPSHOT)


@snapshot_scenario("SnapshotSpeed", servers=3, budgets=("1,000 operations at 33.3 ms each at most",))
def snapshot_speed(lab: KvHarness) -> None:
    """Snapshots do not hold up agreement."""
    measure_speed(lab)


@snapshot_scenario("SnapshotRecover", budgets=_BUDGETS)
def snapshot_recover(lab: KvHarness) -> None:
    """Nothing is lost when all servers crash."""
    lab.work(1, ONE, crashes=True)


@snapshot_scenario("SnapshotRecoverManyClients", budgets=_BUDGETS)
def snapshot_recover_many_clients(lab: KvHarness) -> None:
    """Nothing of twenty clients' work is lost when all servers crash."""
    lab.work(20, MANY, crashes=True)


@snapshot_scenario("SnapshotUnreliable", reliable=False, budgets=_BUDGETS)
def snapshot_unreliable(lab: KvHarness) -> None:
    """Five clients write over a network that loses requests and replies."""
    lab.work(5, MANY)


@snapshot_scenario("SnapshotUnreliableRecover", reliable=False, budgets=_BUDGETS)
def snapshot_unreliable_recover(lab: KvHarness) -> None:
    """All servers crash, and the network loses requests and replies."""
    lab.work(5, MANY, crashes=True)


@snapshot_scenario("SnapshotUnreliableRecoverConcurrentPartition", reliable=False, budgets=_BUDGETS)
def snapshot_unreliable_recover_concurrent_partition(lab: KvHarness) -> None:
    """Servers are split, and crash, and the network loses requests and replies."""
    lab.work(5, MANY, crashes=True, partitions=True)


@snapshot_scenario(
    "SnapshotUnreliableRecoverConcurrentPartitionLinearizable", servers=7, reliable=False, budgets=_BUDGETS
)
def snapshot_all_linearizable(lab: KvHarness) -> None:
    """All of it with fifteen clients, seven servers and a hundred keys."""
    lab.work(15, MANY, crashes=True, partitions=True)
