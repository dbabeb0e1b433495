"""Part SC: the shard controller of 2021 to 2024 (lab 4A, then 5A)."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from oarlock.lab.group import Service
from oarlock.lab.interface import ClientEnd, Persister, Runtime
from oarlock.lab.services.shard_config import NOBODY, ShardConfig, rebalance
from oarlock.lab.services.shard_controller import ConfigStore, ControllerClerk, ControllerServer
from oarlock.lab.suite.service_harness import GroupHarness
from oarlock.lab.suite.table import Scenario, scenario

SHARDS: Final = 10
END_S: Final = 30.0


class ControllerHarness(GroupHarness):
    """One group of controllers."""

    def start_server(self, peers: Sequence[ClientEnd], me: int, persister: Persister) -> Mapping[str, Service]:
        """See `GroupHarness.start_server`."""
        return start_controller(self, peers, me, persister)

    def clerk(self) -> ControllerClerk:
        """A new client of all servers."""
        return ControllerClerk(self.runtime, self.group.client_ends(), lambda: self.is_over)

    def check_config(self, clerk: ControllerClerk, groups: Sequence[int]) -> ShardConfig:
        """The newest configuration must have just these groups, each shard in one of them, and none much more.

        Raises:
            LabFailure: It has not.
        """
        config = clerk.query()
        self.require(sorted(config.groups) == sorted(groups), f"groups {sorted(config.groups)}, not {sorted(groups)}")
        if groups:
            orphans = [shard for shard, group in enumerate(config.shards) if group not in config.groups]
            self.require(not orphans, f"shards {orphans} of configuration {config.num} are in no group")
            counts = [config.shards.count(group) for group in config.groups]
            self.require(max(counts) - min(counts) <= 1, f"groups have {counts} shards: more than one apart")
        return config

    def check_few_moves(self, before: ShardConfig, after: ShardConfig) -> None:
        """Only the shards of groups that left may move, or what groups that joined must get.

        Raises:
            LabFailure: Others did.
        """
        must = sum(old not in after.groups for old in before.shards)
        must += sum(after.shards.count(group) for group in after.groups if group not in before.groups)
        did = sum(old != new for old, new in zip(before.shards, after.shards, strict=True))
        self.require(did <= must, f"{did} shards moved from configuration {before.num} to {after.num}; {must} had to")


def start_controller(
    lab: Any,  # noqa: ANN401 - any harness of services
    peers: Sequence[ClientEnd],
    me: int,
    persister: Persister,
) -> Mapping[str, Service]:
    """A life of a controller's server."""
    rsm = lab.make_rsm(peers, me, persister, -1, ConfigStore(SHARDS))
    return {"Raft": rsm.raft, "Controller": ControllerServer(rsm)}


def _prepare(runtime: Runtime, implementation: Any, entry: Scenario) -> ControllerHarness:  # noqa: ANN401
    lab = ControllerHarness(runtime, implementation, entry.servers, reliable=entry.reliable)
    lab.restart_everyone()
    return lab


_controller_scenario = partial(scenario, "SC", servers=3, prepare=_prepare)


def servers_of(group: int) -> tuple[str, ...]:
    """Names for a group's servers."""
    return tuple(f"{group}{letter}" for letter in "abc")


def _join(clerk: ControllerClerk, *groups: int) -> None:
    clerk.join({group: servers_of(group) for group in groups})


@_controller_scenario("Basic", budgets=("no two groups more than one shard apart", "no more moves than needed"))
def basic(lab: ControllerHarness) -> None:
    """Groups join and leave, shards are moved by hand, and old configurations can be asked for."""
    clerk = lab.clerk()
    seen = [lab.check_config(clerk, [])]
    for groups in ([1], [1, 2]):
        _join(clerk, groups[-1])
        seen.append(lab.check_config(clerk, groups))
    for group in (1, 2):
        names = seen[-1].groups[group]
        lab.require(names == servers_of(group), f"group {group} has servers {names}")
    for gone in (1, 2):
        clerk.leave(gone)
        seen.append(lab.check_config(clerk, [2] if gone == 1 else []))
    for server in lab.everyone:
        lab.group.crash(server)
        for config in seen:
            found = clerk.query(config.num)
            lab.require(found == config, f"configuration {config.num} is not what it was: {found}")
        lab.restart(server)
    _moves_by_hand(lab, clerk)
    _many_clerks(lab, clerk)


def _moves_by_hand(lab: ControllerHarness, clerk: ControllerClerk) -> None:
    _join(clerk, 503, 504)
    for shard in range(SHARDS):
        before = clerk.query()
        clerk.move(shard, 503 if shard < SHARDS // 2 else 504)
        after = clerk.query()
        if before.shards[shard] != after.shards[shard]:
            lab.require(after.num > before.num, "the configuration's number did not rise with a move")
    config = clerk.query()
    expected = tuple(503 if shard < SHARDS // 2 else 504 for shard in range(SHARDS))
    lab.require(config.shards == expected, f"shards are at {config.shards} after they were moved to {expected}")
    clerk.leave(503, 504)
    lab.check_config(clerk, [])


def _many_clerks(lab: ControllerHarness, clerk: ControllerClerk) -> None:
    """Ten clients at once, each with groups of its own, of which one stays."""

    def work(number: int) -> None:
        own = lab.clerk()
        _join(own, number + 1000)
        _join(own, number)
        own.leave(number + 1000)

    groups = list(range(1, 11))
    lab.join([lab.spawn(work, number) for number in groups], END_S, "ten clients of the controller")
    before = lab.check_config(clerk, groups)
    for number in groups[:5]:
        _join(clerk, number + 100)
        after = clerk.query()
        lab.check_few_moves(before, after)
        before = after
    for number in groups[:5]:
        clerk.leave(number + 100)
        after = clerk.query()
        lab.check_few_moves(before, after)
        before = after


@_controller_scenario("MinimalAgain", budgets=("no more moves than needed",))
def minimal_again(lab: ControllerHarness) -> None:
    """Only the shards that must move do, when many groups join and leave one by one."""
    clerk = lab.clerk()
    before = clerk.query()
    there: list[int] = []
    for group in range(1, SHARDS + 4):
        _join(clerk, group)
        there.append(group)
        after = lab.check_config(clerk, there)
        lab.check_few_moves(before, after)
        before = after
    while len(there) > 1:
        clerk.leave(there.pop(lab.random.randint(0, len(there) - 1)))
        after = lab.check_config(clerk, there)
        lab.check_few_moves(before, after)
        before = after


@_controller_scenario("Multi", budgets=("the same configuration from another leader",))
def multi(lab: ControllerHarness) -> None:
    """Several groups at once join and leave, and every server works out the same configuration."""
    clerk = lab.clerk()
    _join(clerk, 1, 2)
    lab.check_config(clerk, [1, 2])
    _join(clerk, 3)
    lab.check_config(clerk, [1, 2, 3])
    clerk.leave(1, 3)
    config = lab.check_config(clerk, [2])
    lab.require(config.groups[2] == servers_of(2), f"group 2 has servers {config.groups[2]}")
    clerk.leave(2)

    def work(number: int) -> None:
        own = lab.clerk()
        _join(own, number, number + 1000, number + 2000)
        own.leave(number + 1000, number + 2000)

    groups = list(range(1, 11))
    lab.join([lab.spawn(work, number) for number in groups], END_S, "ten clients of the controller")
    before = lab.check_config(clerk, groups)
    _join(clerk, 101, 102, 103, 104, 105)
    after = clerk.query()
    lab.check_few_moves(before, after)
    clerk.leave(101, 102, 103, 104, 105)
    lab.check_few_moves(after, clerk.query())
    config = lab.check_config(clerk, groups)
    lab.group.crash(lab.leader())
    found = clerk.query()
    lab.require(found == config, f"another leader has another configuration: {found}, not {config}")
    lab.require(NOBODY not in rebalance(config.shards, config.groups), "a shard is in no group")
