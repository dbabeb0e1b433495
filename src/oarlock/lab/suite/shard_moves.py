"""Part 5A: the sharded key-value service of 2025, whose shards a controller moves."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from oarlock.lab.group import Service
from oarlock.lab.interface import ClientEnd, Make, Persister, Runtime
from oarlock.lab.services.interface import Error, Services
from oarlock.lab.services.kv import Clerk, start_kv_server
from oarlock.lab.services.shard_config import NOBODY, ShardConfig, joined, left, rebalance
from oarlock.lab.services.shard_control import ShardControl
from oarlock.lab.suite.shard_harness import ShardHarness
from oarlock.lab.suite.table import Scenario, scenario

SHARDS: Final = 12
KEYS_EACH: Final = 5
BETWEEN_S: Final = 0.2
"""Between changes."""
QUIET_S: Final = 2.0
MOST_GROWTH: Final = 10_000
MANY: Final = tuple(range(2, 9))


class ControlledHarness(ShardHarness):
    """Groups, and a key-value store of one server that holds configurations; any number of controllers."""

    def __init__(
        self, runtime: Runtime, implementation: Services | Make, *, reliable: bool = True, max_raft_state: int = -1
    ) -> None:
        super().__init__(runtime, implementation, shards=SHARDS, reliable=reliable, max_raft_state=max_raft_state)
        self.store = self.add_group("store", 1, self._start_store)
        self.store.start(0)
        self.store.connect(0)
        self.names_of: dict[int, tuple[str, ...]] = {1: self.make_group(1)}
        self.control = self.controller("control")
        self.leader(1)
        self.control.init_config(ShardConfig(num=1, shards=(1,) * SHARDS, groups=self.names_of))

    def _start_store(self, peers: Sequence[ClientEnd], me: int, persister: Persister) -> Mapping[str, Service]:
        return start_kv_server(self.make_rsm, peers, me, persister, -1)

    def controller(self, owner: str) -> ShardControl:
        """A new controller, whose ways `cut_off` and `let_back` know by this name."""
        reach = self.reach_from(owner)
        clerk = Clerk(self.runtime, [reach(self.store.server_name(0))], lambda: self.is_over)
        return ShardControl(self.runtime, clerk, reach, lambda: self.is_over)

    def query(self, owner: str) -> Callable[[], ShardConfig]:
        """See `ShardHarness.query`."""
        return self.controller(owner).query

    def with_groups(self, groups: Iterable[int]) -> dict[int, tuple[str, ...]]:
        """Groups' servers, which are started where they are new."""
        for group in groups:
            if group not in self.names_of:
                self.names_of[group] = self.make_group(group)
        return {group: self.names_of[group] for group in groups}

    def join_group(self, group: int, control: ShardControl | None = None) -> bool:
        """Have a group join; whether it did."""
        chosen = control or self.control
        servers = self.with_groups([group])
        return chosen.change_to(joined(chosen.query(), servers))

    def leave_group(self, group: int, control: ShardControl | None = None) -> bool:
        """Have a group leave; whether it did."""
        chosen = control or self.control
        return chosen.change_to(left(chosen.query(), [group]))

    def check_config(self, config: ShardConfig) -> None:
        """Each shard must be in one of the groups, and none must have many more than another.

        Raises:
            LabFailure: It is not so.
        """
        self.require(NOBODY not in config.shards, f"configuration {config.num} has shards in no group")
        self.require(rebalance(config.shards, config.groups) == config.shards, f"{config.shards} is uneven")

    def come_and_go(self, groups: Sequence[int]) -> None:
        """All of some groups join, then leave, one after the other."""
        for group in groups:
            self.require(self.join_group(group), f"group {group} could not join")
            self.sleep(BETWEEN_S)
        self.check_config(self.control.query())
        for group in groups:
            self.require(self.leave_group(group), f"group {group} could not leave")
            self.sleep(BETWEEN_S)


def prepare(runtime: Runtime, implementation: Any, entry: Scenario, max_raft_state: int = 1000) -> ControlledHarness:  # noqa: ANN401
    """The world of a scenario: one group has all shards."""
    return ControlledHarness(runtime, implementation, reliable=entry.reliable, max_raft_state=max_raft_state)


moves_scenario = partial(scenario, servers=3, prepare=prepare, snapshots=True)
"""As `table.scenario`, for shards that a controller moves."""
_scenario = partial(moves_scenario, "5A")


@_scenario("InitQuery", budgets=("the first configuration has number 1",))
def init_query(lab: ControlledHarness) -> None:
    """Another controller finds what the first initialised."""
    config = lab.controller("other").query()
    lab.require(config.num == 1, f"the configuration has number {config.num}, not 1")
    lab.check_config(config)


@_scenario("StaticOneShardGroup", budgets=("all is answered without the leader",))
def static_one_shard_group(lab: ControlledHarness) -> None:
    """One group serves all shards, and goes on without its leader."""
    clerk = lab.clerk()
    values = lab.fill(clerk, lab.shard_keys(KEYS_EACH))
    lab.check_all(clerk, values)
    lab.shut_down(1, lab.leader(1))
    lab.check_all(clerk, values)
    answered = lab.answered(list(values), QUIET_S + 3)
    lab.measure("keys answered without the leader", len(answered), least=len(values))


@_scenario("JoinBasic", budgets=("not all is answered while a group is down",))
def join_basic(lab: ControlledHarness) -> None:
    """A group that joins gets shards, with what they hold."""
    clerk = lab.clerk()
    values = lab.fill(clerk, lab.shard_keys(KEYS_EACH))
    lab.require(lab.join_group(2), "a group could not join")
    config = lab.control.query()
    lab.require(set(config.shards) == {1, 2}, f"shards are at {config.shards}")
    lab.check_config(config)
    lab.check_all(clerk, values)
    lab.shut_down(2)
    answered = lab.answered(lab.shard_keys(), QUIET_S)
    lab.measure("shards answered without one of two groups", len(answered), least=SHARDS // 2, most=SHARDS // 2)
    lab.start(2)
    lab.check_all(clerk, values)


@_scenario("JoinLeaveBasic", budgets=("all is answered by who is left",))
def join_leave_basic(lab: ControlledHarness) -> None:
    """A group that leaves gives its shards to the others, and is needed no more."""
    clerk = lab.clerk()
    values = lab.fill(clerk, lab.shard_keys(KEYS_EACH))
    lab.require(lab.join_group(2), "a group could not join")
    lab.append_all(clerk, values)
    lab.require(lab.leave_group(1), "a group could not leave")
    lab.append_all(clerk, values)
    lab.shut_down(1)
    lab.check_all(clerk, values)
    lab.start(1)
    lab.require(lab.join_group(1), "a group could not join again")
    lab.check_all(clerk, values)


def _many_join_leave(lab: ControlledHarness) -> None:
    clerk = lab.clerk()
    values = lab.fill(clerk, lab.shard_keys(KEYS_EACH))
    lab.come_and_go(MANY)
    lab.check_all(clerk, values)


@_scenario("ManyJoinLeaveReliable", budgets=("8 groups, data intact",))
def many_join_leave_reliable(lab: ControlledHarness) -> None:
    """Eight groups come and go."""
    _many_join_leave(lab)


@_scenario("ManyJoinLeaveUnreliable", reliable=False, budgets=("8 groups, data intact",))
def many_join_leave_unreliable(lab: ControlledHarness) -> None:
    """Eight groups come and go, on a network that loses requests and replies."""
    _many_join_leave(lab)


@_scenario("DeleteBasic", budgets=("snapshots grow by 10,000 bytes at most",))
def delete_basic(lab: ControlledHarness) -> None:
    """What a group gave away it forgets."""
    clerk = lab.clerk()
    values = lab.fill(clerk, lab.shard_keys(KEYS_EACH), size=1000)
    lab.sleep(1)
    before = lab.by_id[1].largest_snapshot()
    lab.require(lab.join_group(2), "a group could not join")
    lab.check_all(clerk, values)  # and servers take snapshots anew
    lab.append_all(clerk, values)
    lab.sleep(1)
    after = lab.by_id[1].largest_snapshot() + lab.by_id[2].largest_snapshot()
    lab.measure("bytes by which snapshots grew", after - before, most=MOST_GROWTH)


@_scenario("Shutdown")
def shutdown(lab: ControlledHarness) -> None:
    """Nothing is lost when all groups restart."""
    clerk = lab.clerk()
    values = lab.fill(clerk, lab.shard_keys(KEYS_EACH))
    lab.require(lab.join_group(2), "a group could not join")
    lab.restart_all()
    lab.check_all(clerk, values)


@_scenario("ProgressShutdown", budgets=("live groups answer within 2 s",))
def progress_shutdown(lab: ControlledHarness) -> None:
    """Groups that are up serve while others are down."""
    clerk = lab.clerk()
    lab.fill(clerk, lab.shard_keys())
    for group in (2, 3, 4):
        lab.require(lab.join_group(group), "a group could not join")
    config = lab.control.query()
    lab.shut_down(3)
    lab.shut_down(4)
    served = [key for shard, key in enumerate(lab.shard_keys()) if config.shards[shard] in (1, 2)]
    answered = lab.answered(served, QUIET_S)
    lab.measure("keys of live groups answered", len(answered), least=len(served))


@_scenario("ProgressJoin", budgets=("100 gets in 4 s of shards that stay",))
def progress_join(lab: ControlledHarness) -> None:
    """Shards that do not move are served while others do."""
    clerk = lab.clerk()
    lab.fill(clerk, lab.shard_keys())
    lab.require(lab.join_group(2), "a group could not join")
    before = lab.control.query()
    after = joined(before, lab.with_groups([3]))
    stays = [key for shard, key in enumerate(lab.shard_keys()) if before.shards[shard] == after.shards[shard]]
    is_over = lab.runtime.threading.Event()
    done: list[str] = []

    def change() -> None:
        while not is_over.is_set():
            lab.join_group(3)
            lab.sleep(BETWEEN_S)
            lab.leave_group(3)
            lab.sleep(BETWEEN_S)

    def ask() -> None:
        own = lab.clerk()
        while not is_over.is_set():
            for key in stays:
                own.get(key)
                done.append(key)
                lab.sleep(0.01)

    threads = [lab.spawn(change), lab.spawn(ask)]
    lab.sleep(4)
    is_over.set()
    lab.join_all(threads)
    lab.measure("gets answered meanwhile", len(done), least=100)


def work_during(lab: ControlledHarness, clerks: int, change: Callable[[], None], *, think_ms: int = 200) -> None:
    """Clients read and write while something happens; then what they saw is judged."""
    keys = lab.shard_keys()
    is_over = lab.runtime.threading.Event()
    threads = [lab.spawn(lab.work, keys, is_over, think_ms) for _ in range(clerks)]
    change()
    is_over.set()
    lab.join_all(threads)
    lab.check_linearizable()
    done = sum(operation.kind == "put" and operation.output == Error.OK for operation in lab.operations)
    lab.measure("puts answered OK", done, least=1 if clerks else 0)


def _clerks(lab: ControlledHarness, clerks: int) -> None:
    def change() -> None:
        deadline = lab.now() + 20
        while lab.now() < deadline:
            lab.come_and_go(MANY)

    work_during(lab, clerks, change)


_WITH_CLERKS: Final = ("8 groups come and go for 20 s", "clients' history linearizable")


@_scenario("OneConcurrentClerkReliable", budgets=_WITH_CLERKS)
def one_concurrent_clerk_reliable(lab: ControlledHarness) -> None:
    """One client works while groups come and go."""
    _clerks(lab, 1)


@_scenario("ManyConcurrentClerkReliable", budgets=_WITH_CLERKS)
def many_concurrent_clerk_reliable(lab: ControlledHarness) -> None:
    """Ten clients work while groups come and go."""
    _clerks(lab, 10)


@_scenario("OneConcurrentClerkUnreliable", reliable=False, budgets=_WITH_CLERKS)
def one_concurrent_clerk_unreliable(lab: ControlledHarness) -> None:
    """One client works while groups come and go, on a network that loses requests and replies."""
    _clerks(lab, 1)


@_scenario("ManyConcurrentClerkUnreliable", reliable=False, budgets=_WITH_CLERKS)
def many_concurrent_clerk_unreliable(lab: ControlledHarness) -> None:
    """Ten clients work while groups come and go, on a network that loses requests and replies."""
    _clerks(lab, 10)
