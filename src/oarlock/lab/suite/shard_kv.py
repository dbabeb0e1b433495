"""Part SK: the sharded key-value service of 2021 to 2024 (lab 4B, then 5B): groups fetch their shards themselves.

Upstream's clients append; here a put names the version that it replaces, and to append is to read, and to put until
the version fits.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from oarlock.lab.group import Service
from oarlock.lab.interface import Make, Runtime
from oarlock.lab.services.interface import Services
from oarlock.lab.services.shard_config import ShardConfig
from oarlock.lab.services.shard_controller import ControllerClerk
from oarlock.lab.services.shard_puller import Puller
from oarlock.lab.services.shard_server import ShardServer
from oarlock.lab.services.shard_store import ShardStore
from oarlock.lab.suite.shard_controller import SHARDS, start_controller
from oarlock.lab.suite.shard_harness import GROUP_SIZE, ShardHarness
from oarlock.lab.suite.table import Scenario, scenario

GROUPS: Final = (100, 101, 102)
QUIET_S: Final = 2.0
"""In which live groups must answer, and dead ones do not."""
MOST_PERSISTED: Final = 117_000


class PullingHarness(ShardHarness):
    """Three groups and their replicated controller."""

    def __init__(
        self, runtime: Runtime, implementation: Services | Make, *, reliable: bool = True, max_raft_state: int = -1
    ) -> None:
        super().__init__(runtime, implementation, shards=SHARDS, reliable=reliable, max_raft_state=max_raft_state)
        self.controllers = self.add_group("controller", GROUP_SIZE, partial(start_controller, self))
        for server in self.controllers.everyone:
            self.controllers.start(server)
            self.controllers.connect(server)
        for group in GROUPS:
            self.make_group(group)
        self.admin = self.controller_clerk("admin")

    def beside(self, group: int, me: int, raft: Any, server: ShardServer, store: ShardStore) -> Mapping[str, Service]:  # noqa: ANN401
        """Each server has a puller."""
        owner = self.by_id[group].server_name(me) if group in self.by_id else f"g{group}-{me}"
        clerk = self.controller_clerk(owner)
        return {"Puller": Puller(self.runtime, server, store, raft, clerk.query, self.reach_from(owner))}

    def controller_clerk(self, owner: str) -> ControllerClerk:
        """A client of the controller, somewhere."""
        reach = self.reach_from(owner)
        ends = [reach(self.controllers.server_name(server)) for server in self.controllers.everyone]
        return ControllerClerk(self.runtime, ends, lambda: self.is_over)

    def query(self, owner: str) -> Callable[[], ShardConfig]:
        """See `ShardHarness.query`."""
        return self.controller_clerk(owner).query

    def join_groups(self, *groups: int) -> None:
        """Groups join, in one step."""
        self.admin.join({group: self.names(group) for group in groups})

    def leave_groups(self, *groups: int) -> None:
        """Groups leave, in one step."""
        self.admin.leave(*groups)

    def all_at(self, group: int) -> Callable[[], ShardConfig]:
        """What a wrong controller says: one group has everything."""
        config = ShardConfig(num=1, shards=(group,) * SHARDS, groups={group: self.names(group)})
        return lambda: config


def _prepare(runtime: Runtime, implementation: Any, entry: Scenario, max_raft_state: int) -> PullingHarness:  # noqa: ANN401
    return PullingHarness(runtime, implementation, reliable=entry.reliable, max_raft_state=max_raft_state)


def _pulling_scenario(
    name: str,
    max_raft_state: int,
    *,
    reliable: bool = True,
    budgets: Sequence[str] = ("data intact",),
    repaired: str = "",
) -> Callable[[Callable[[Any], None]], Callable[[Any], None]]:
    return scenario(
        "SK",
        name,
        servers=GROUP_SIZE,
        prepare=partial(_prepare, max_raft_state=max_raft_state),
        reliable=reliable,
        budgets=budgets,
        repaired=repaired,
        snapshots=max_raft_state >= 0,
    )


A, B, C = GROUPS


@_pulling_scenario("StaticShards", -1, budgets=("just the live group's half answers in 2 s",))
def static_shards(lab: PullingHarness) -> None:
    """A group that is down holds up its own shards and no others."""
    clerk = lab.clerk()
    lab.join_groups(A)
    lab.join_groups(B)
    keys = lab.shard_keys()
    values = lab.fill(clerk, keys)
    lab.check_all(clerk, values)
    lab.shut_down(B)
    answered = lab.answered(keys, QUIET_S)
    lab.measure("keys answered without one group", len(answered), least=len(keys) // 2, most=len(keys) // 2)
    lab.start(B)
    lab.check_all(clerk, values)


@_pulling_scenario("Rejection", -1, budgets=("just the half that the group has is answered",))
def rejection(lab: PullingHarness) -> None:
    """A group refuses keys of shards that it has not, whoever says that it had."""
    clerk = lab.clerk()
    lab.join_groups(A, B)
    keys = lab.shard_keys()
    values = lab.fill(clerk, keys)
    answered = lab.answered(keys, QUIET_S, lab.all_at(A))
    lab.measure("keys that the wrong group answers", len(answered), least=len(keys) // 2, most=len(keys) // 2)
    lab.check_all(clerk, values)


@_pulling_scenario("JoinLeave", -1)
def join_leave(lab: PullingHarness) -> None:
    """Shards follow when a group joins and another leaves, which is then needed no more."""
    clerk = lab.clerk()
    lab.join_groups(A)
    values = lab.fill(clerk, lab.shard_keys())
    lab.join_groups(B)
    lab.append_all(clerk, values)
    lab.leave_groups(A)
    lab.append_all(clerk, values)
    lab.sleep(1)
    lab.check_log_size()
    lab.shut_down(A)
    lab.check_all(clerk, values)


@_pulling_scenario("Snapshot", 1000, budgets=("at most 8,000 bytes of Raft state",))
def snapshot(lab: PullingHarness) -> None:
    """Shards that moved are there after all groups restart from snapshots."""
    clerk = lab.clerk()
    lab.join_groups(A)
    values = lab.fill(clerk, lab.shard_keys(3))
    lab.join_groups(B)
    lab.join_groups(C)
    lab.leave_groups(A)
    lab.append_all(clerk, values)
    lab.leave_groups(B)
    lab.join_groups(A)
    lab.append_all(clerk, values)
    lab.sleep(1)
    lab.check_all(clerk, values)
    lab.check_log_size()
    lab.restart_all()
    lab.check_all(clerk, values)


@_pulling_scenario("MissChange", 1000)
def miss_change(lab: PullingHarness) -> None:
    """Servers that were down while configurations changed catch up, and no change is skipped."""
    clerk = lab.clerk()
    lab.join_groups(A)
    values = lab.fill(clerk, lab.shard_keys())
    lab.join_groups(B)
    _without(lab, 0)
    lab.join_groups(C)
    lab.leave_groups(B)
    lab.leave_groups(A)
    lab.append_all(clerk, values)
    lab.join_groups(B)
    lab.append_all(clerk, values)
    for group in GROUPS:
        lab.start(group, 0)
    lab.append_all(clerk, values)
    lab.sleep(2)
    _without(lab, 1)
    lab.join_groups(A, B)
    lab.append_all(clerk, values)
    for group in GROUPS:
        lab.start(group, 1)
    lab.check_all(clerk, values)


def _without(lab: PullingHarness, server: int) -> None:
    for group in GROUPS:
        lab.shut_down(group, server)


@_pulling_scenario("Concurrent1", 100)
def concurrent_1(lab: PullingHarness) -> None:
    """Clients write while groups join, leave and restart."""

    def change() -> None:
        lab.sleep(0.15)
        for join in (B, C):
            lab.join_groups(join)
            lab.sleep(0.5)
        lab.leave_groups(A)
        for group in GROUPS:
            lab.shut_down(group)
            lab.sleep(0.1)
        lab.leave_groups(C)
        lab.sleep(0.1)
        for group in GROUPS:
            lab.start(group)
        lab.sleep(0.1)
        lab.join_groups(A)
        lab.leave_groups(B)
        lab.sleep(0.5)
        lab.join_groups(B)
        lab.sleep(1)

    _append_during(lab, [A], change)


@_pulling_scenario("Concurrent2", -1)
def concurrent_2(lab: PullingHarness) -> None:
    """Clients write while shards wander from group to group, one of which restarts meanwhile."""

    def change() -> None:
        for leave, join in (((A, C), ()), ((), (A, C)), ((B,), ())):
            if leave:
                lab.leave_groups(*leave)
            if join:
                lab.join_groups(*join)
            lab.sleep(3)
        lab.join_groups(B)
        lab.leave_groups(A)
        lab.sleep(2)
        lab.shut_down(B)
        lab.sleep(1)
        lab.shut_down(C)
        lab.sleep(1)
        lab.start(B)
        lab.start(C)
        lab.sleep(2)

    _append_during(lab, [A, B, C], change)


@_pulling_scenario("Concurrent3", 300)
def concurrent_3(lab: PullingHarness) -> None:
    """Twelve seconds of changes, and of restarts of everything."""

    def change() -> None:
        deadline = lab.now() + 12
        while lab.now() < deadline:
            lab.join_groups(B)
            lab.join_groups(C)
            lab.sleep(lab.random.randint(0, 899) / 1000)
            lab.restart_all()
            lab.sleep(lab.random.randint(0, 899) / 1000)
            lab.leave_groups(B)
            lab.leave_groups(C)
            lab.sleep(lab.random.randint(0, 899) / 1000)
        lab.sleep(2)

    _append_during(lab, [A], change)


def _append_during(lab: PullingHarness, groups: Sequence[int], change: Callable[[], None]) -> None:
    clerk = lab.clerk()
    lab.join_groups(*groups)
    values = lab.fill(clerk, lab.shard_keys())
    is_over = lab.runtime.threading.Event()
    threads = lab.appending(values, is_over)
    change()
    is_over.set()
    lab.join_all(threads)
    lab.check_all(clerk, values)
    lab.check_linearizable()


def _wander(lab: PullingHarness) -> None:
    lab.sleep(0.15)
    for join in (B, C):
        lab.join_groups(join)
        lab.sleep(0.5)
    for leave in (A, B):
        lab.leave_groups(leave)
        lab.sleep(0.5)
    lab.join_groups(B)
    lab.join_groups(A)
    lab.sleep(2)


@_pulling_scenario("Unreliable1", 100, reliable=False)
def unreliable_1(lab: PullingHarness) -> None:
    """Shards follow over a network that loses requests and replies."""
    clerk = lab.clerk()
    lab.join_groups(A)
    values = lab.fill(clerk, lab.shard_keys())
    lab.join_groups(B, C)
    lab.leave_groups(A)
    lab.append_all(clerk, values)
    lab.join_groups(A)
    lab.leave_groups(B)
    lab.check_all(clerk, values)


@_pulling_scenario("Unreliable2", 100, reliable=False)
def unreliable_2(lab: PullingHarness) -> None:
    """Clients write over such a network while groups come and go."""
    _append_during(lab, [A], partial(_wander, lab))


@_pulling_scenario(
    "Unreliable3",
    100,
    reliable=False,
    budgets=("clients' history linearizable",),
    repaired="a search that does not end is a failure; upstream passes it",
)
def unreliable_3(lab: PullingHarness) -> None:
    """Clients read and write over such a network while groups come and go."""
    lab.join_groups(A)
    keys = lab.shard_keys()
    is_over = lab.runtime.threading.Event()
    threads = [lab.spawn(lab.work, keys, is_over) for _ in range(10)]
    _wander(lab)
    is_over.set()
    lab.join_all(threads)
    lab.check_linearizable()


@_pulling_scenario("Challenge1Delete", 1, budgets=("at most 117,000 bytes persisted by all",))
def challenge_1_delete(lab: PullingHarness) -> None:
    """What a group gave away it forgets."""
    clerk = lab.clerk()
    lab.join_groups(A)
    values = lab.fill(clerk, lab.shard_keys(3), size=1000)
    for _ in range(3):
        lab.join_groups(B, C)
        lab.sleep(0.2)
        lab.leave_groups(A)
        lab.sleep(0.2)
        lab.join_groups(A)
        lab.leave_groups(B)
        lab.sleep(0.2)
        lab.leave_groups(C)
    lab.join_groups(B, C)
    lab.check_all(clerk, values)
    lab.sleep(3)
    persisted = sum(lab.by_id[group].persisted_bytes() for group in GROUPS)
    lab.measure("bytes persisted by all", persisted, most=MOST_PERSISTED)


@_pulling_scenario("Challenge2Unaffected", 100, reliable=False, budgets=("shards that stay are served at once",))
def challenge_2_unaffected(lab: PullingHarness) -> None:
    """Shards that a group has already are served while it waits for others from a dead group."""
    clerk = lab.clerk()
    lab.join_groups(A)
    values = lab.fill(clerk, lab.shard_keys())
    lab.join_groups(B)
    lab.sleep(1)
    lab.append_all(clerk, values)
    config = lab.admin.query()
    stays = _keys_at(lab, config, [B])
    lab.shut_down(A)
    lab.leave_groups(A)
    lab.sleep(0.4)
    answered = lab.answered(stays, QUIET_S)
    lab.measure("keys answered that did not move", len(answered), least=len(stays))
    other = lab.clerk()
    lab.append_all(other, {key: values[key] for key in stays})


@_pulling_scenario("Challenge2Partial", 100, reliable=False, budgets=("shards that arrived are served at once",))
def challenge_2_partial(lab: PullingHarness) -> None:
    """Shards that arrived are served while others of the same change are awaited from a dead group."""
    clerk = lab.clerk()
    lab.join_groups(A, B, C)
    values = lab.fill(clerk, lab.shard_keys())
    lab.sleep(1)
    lab.check_all(clerk, values)
    config = lab.admin.query()
    arrive = _keys_at(lab, config, [B, C])
    lab.shut_down(A)
    lab.leave_groups(A, C)
    lab.sleep(1)
    answered = lab.answered(arrive, QUIET_S)
    lab.measure("keys answered that stayed or arrived", len(answered), least=len(arrive))


def _keys_at(lab: PullingHarness, config: ShardConfig, groups: Sequence[int]) -> list[str]:
    """One key of each shard that these groups have."""
    return [key for shard, key in enumerate(lab.shard_keys()) if config.shards[shard] in groups]
