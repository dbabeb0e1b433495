"""Part 4B: the key-value service without snapshots."""

from typing import Final

from oarlock.lab.services.interface import Error
from oarlock.lab.suite.kv_harness import QUIET_S, KvHarness, kv_scenario

ONE: Final = ("k",)
MANY: Final = tuple(f"k{number}" for number in range(100))
_LINEARIZABLE: Final = "clients' history linearizable"
_UPSTREAM_TIMEOUT: Final = "a search that does not end is a failure; upstream passes it"
OPERATIONS: Final = 1000
MOST_MS: Final = 33.3
MINORITY_S: Final = 1.0
APPENDS: Final = 10


@kv_scenario("Basic", budgets=(_LINEARIZABLE,), repaired=_UPSTREAM_TIMEOUT)
def basic(lab: KvHarness) -> None:
    """One client reads what it wrote."""
    lab.work(1, ONE)


@kv_scenario("Speed", servers=3, budgets=("1,000 operations at 33.3 ms each at most",))
def speed(lab: KvHarness) -> None:
    """Agreement does not wait for heartbeats."""
    measure_speed(lab)


def measure_speed(lab: KvHarness) -> None:
    """A thousand operations of one client, each as quick as the labs want."""
    clerk, _ = lab.clerk()
    version = lab.put(clerk, "x", "0")
    began = lab.now()
    for number in range(OPERATIONS // 2):
        lab.require(clerk.put("x", str(number), version) == Error.OK, "a put without rivals was refused")
        version += 1
        lab.check_get(clerk, "x", str(number))
    lab.measure("milliseconds for an operation", (lab.now() - began) * 1000 / OPERATIONS, most=MOST_MS)


@kv_scenario("Concurrent", budgets=(_LINEARIZABLE,))
def concurrent(lab: KvHarness) -> None:
    """Five clients write one key."""
    lab.work(5, ONE)


@kv_scenario("Unreliable", reliable=False, budgets=(_LINEARIZABLE,))
def unreliable(lab: KvHarness) -> None:
    """Five clients write one key over a network that loses requests and replies."""
    lab.work(5, ONE)


@kv_scenario(
    "UnreliableOneKey",
    servers=3,
    reliable=False,
    budgets=("50 appends, each once, each client's in order",),
    repaired="an append is a get and a put of the next version, until one fits",
)
def unreliable_one_key(lab: KvHarness) -> None:
    """Five clients add to one key over a network that loses requests and replies, and nothing is added twice."""

    def work(client: int) -> None:
        clerk, _ = lab.clerk()
        for number in range(APPENDS):
            word = f"{client}.{number} "
            while True:
                value, version, _ = clerk.get("k")
                # A put that was perhaps done was done if the word is there.
                if word in value or clerk.put("k", value + word, version) == Error.OK:
                    break

    lab.join([lab.spawn(work, client) for client in range(5)], 60, "five clients' appends")
    words = lab.clerk()[0].get("k")[0].split()
    for client in range(5):
        own = [word for word in words if word.startswith(f"{client}.")]
        expected = [f"{client}.{number}" for number in range(APPENDS)]
        lab.require(own == expected, f"client {client} added {own}, not {expected}")
    lab.check_linearizable()


@kv_scenario(
    "OnePartition",
    reliable=False,
    budgets=("the minority answers nothing for 1 s", "and within 3 s when it is back"),
    repaired="the minority's get is held to that as well; upstream lets it pass",
)
def one_partition(lab: KvHarness) -> None:
    """A majority serves, a minority does not, and when it is back whoever waited is answered."""
    clerk, _ = lab.clerk()
    version = lab.put(clerk, "1", "13")
    leader = lab.leader()
    minority = [leader, (leader + 1) % lab.size]
    majority = [server for server in lab.everyone if server not in minority]
    lab.group.partition(minority, majority)
    inside, _ = lab.clerk(majority)
    outside, ends = lab.clerk(minority)
    other, other_ends = lab.clerk(minority)
    version = lab.put(inside, "1", "14")
    lab.check_get(inside, "1", "14")
    done: list[str] = []
    threads = [
        lab.spawn(lambda: done.append(f"put: {outside.put('1', '15', version)}")),
        lab.spawn(lambda: done.append(f"get: {other.get('1')}")),
    ]
    lab.sleep(MINORITY_S)
    lab.require(not done, f"a minority answered {done}")
    lab.check_get(inside, "1", "14")
    lab.group.heal()
    lab.group.connect_client(ends, lab.everyone)
    lab.group.connect_client(other_ends, lab.everyone)
    lab.sleep(QUIET_S)
    healed = lab.now()
    lab.join(threads, 3, "requests of clients that were with the minority")
    lab.measure("seconds until the clients were answered", lab.now() - healed, most=3)
    lab.check_get(inside, "1", "15")
    lab.check_linearizable()


@kv_scenario("ManyPartitionsOneClient", budgets=(_LINEARIZABLE,))
def many_partitions_one_client(lab: KvHarness) -> None:
    """One client works while servers are split in two again and again."""
    lab.work(1, ONE, partitions=True)


@kv_scenario("ManyPartitionsManyClients", budgets=(_LINEARIZABLE,))
def many_partitions_many_clients(lab: KvHarness) -> None:
    """Five clients work while servers are split in two again and again."""
    lab.work(5, ONE, partitions=True)


@kv_scenario("PersistOneClient", budgets=(_LINEARIZABLE,))
def persist_one_client(lab: KvHarness) -> None:
    """Nothing is lost when all servers crash."""
    lab.work(1, ONE, crashes=True)


@kv_scenario("PersistConcurrent", budgets=(_LINEARIZABLE,))
def persist_concurrent(lab: KvHarness) -> None:
    """Nothing of five clients' work is lost when all servers crash."""
    lab.work(5, ONE, crashes=True)


@kv_scenario("PersistConcurrentUnreliable", reliable=False, budgets=(_LINEARIZABLE,))
def persist_concurrent_unreliable(lab: KvHarness) -> None:
    """All servers crash, and the network loses requests and replies."""
    lab.work(5, ONE, crashes=True)


@kv_scenario("PersistPartition", budgets=(_LINEARIZABLE,))
def persist_partition(lab: KvHarness) -> None:
    """Servers are split, and crash."""
    lab.work(5, ONE, crashes=True, partitions=True)


@kv_scenario("PersistPartitionUnreliable", reliable=False, budgets=(_LINEARIZABLE,))
def persist_partition_unreliable(lab: KvHarness) -> None:
    """Servers are split, and crash, and the network loses requests and replies."""
    lab.work(5, ONE, crashes=True, partitions=True)


@kv_scenario(
    "PersistPartitionUnreliableLinearizable",
    servers=7,
    reliable=False,
    budgets=(_LINEARIZABLE,),
    repaired=_UPSTREAM_TIMEOUT,
)
def persist_partition_unreliable_linearizable(lab: KvHarness) -> None:
    """All of it with fifteen clients, seven servers and a hundred keys."""
    lab.work(15, MANY, crashes=True, partitions=True)
