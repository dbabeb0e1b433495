"""Parts 5B and 5C: controllers that fail amid a change, come back late, and work against each other."""

from functools import partial
from typing import Any, Final

from oarlock.lab.suite.shard_moves import BETWEEN_S, KEYS_EACH, QUIET_S, ControlledHarness, moves_scenario, work_during

RELIABLE_TIMES: Final = 5
UNRELIABLE_TIMES: Final = 3
RIVALS: Final = 4
_5b = partial(moves_scenario, "5B")
_5c = partial(moves_scenario, "5C")


@_5b(
    "JoinLeave",
    budgets=("a change waits for a group that is down", "and ends within 2 s of its revival"),
    repaired="the wait is two seconds; upstream's is two nanoseconds",
)
def join_leave(lab: ControlledHarness) -> None:
    """A change that needs a group waits until the group is up."""
    clerk = lab.clerk()
    values = lab.fill(clerk, lab.shard_keys(KEYS_EACH))
    lab.with_groups([2])
    lab.shut_down(1)
    done: list[bool] = []
    thread = lab.spawn(lambda: done.append(lab.join_group(2)))
    lab.sleep(QUIET_S)
    lab.require(not done, "a group joined, and got shards of a group that is down")
    lab.start(1)
    revived = lab.now()
    lab.join([thread], 10, "the change")
    lab.measure("seconds from the revival to the end of the change", lab.now() - revived, most=2)
    lab.check_all(clerk, values)
    lab.require(lab.leave_group(1), "a group could not leave")
    lab.check_all(clerk, values)


def _recover(lab: ControlledHarness, number: int, *, lets_back: bool) -> None:
    """A controller is cut off amid a change, and another one finishes it; the first may come back."""
    group = 10 + number
    name = f"doomed{number}"
    doomed = lab.controller(name)
    lab.with_groups([group])
    lab.shut_down(group)  # so that it cannot be done before it is cut off
    thread = lab.spawn(lab.join_group, group, doomed)
    lab.sleep(0.5)
    lab.cut_off(name)
    lab.start(group)
    successor = lab.controller(f"successor{number}")
    successor.init_controller()
    config = successor.query()
    lab.require(group in config.groups, f"group {group}'s joining was not finished by the next controller")
    lab.check_config(config)
    if lets_back:
        lab.require(lab.leave_group(group, successor), f"group {group} could not leave")
        lab.let_back(name)
        lab.join([thread], 20, "the controller that came back")
        after = successor.query()
        lab.require(group not in after.groups, f"a controller that came back undid configuration {after.num}")


@_5b("RecoverCtrler", budgets=("5 times",))
def recover_controller(lab: ControlledHarness) -> None:
    """A controller that begins finishes what another one left half done."""
    clerk = lab.clerk()
    values = lab.fill(clerk, lab.shard_keys(KEYS_EACH))
    for number in range(RELIABLE_TIMES):
        _recover(lab, number, lets_back=False)
        lab.check_all(clerk, values)


def _rivals(lab: ControlledHarness, seconds: float) -> None:
    deadline = lab.now() + seconds

    def work(number: int) -> None:
        control = lab.controller(f"rival{number}")
        group = 20 + number
        lab.with_groups([group])
        while lab.now() < deadline:
            control.init_controller()
            if group in control.query().groups:
                lab.leave_group(group, control)
            else:
                lab.join_group(group, control)
            lab.sleep(lab.random.randint(1, 50) / 1000)

    lab.join([lab.spawn(work, number) for number in range(RIVALS)], 60, "the rivals' last changes")
    lab.control.init_controller()


@_5c("ConcurrentReliable", budgets=("4 controllers for 2 s", "data intact"))
def concurrent_reliable(lab: ControlledHarness) -> None:
    """Of several controllers at a time one changes the configuration, and the others help."""
    clerk = lab.clerk()
    values = lab.fill(clerk, lab.shard_keys(KEYS_EACH))
    before = lab.control.query()
    _rivals(lab, 2)
    after = lab.control.query()
    lab.measure("changes", after.num - before.num, least=1)
    lab.check_config(after)
    lab.check_all(clerk, values)


@_5c("ConcurrentUnreliable", reliable=False, budgets=("4 controllers for 2 s", "data intact"))
def concurrent_unreliable(lab: ControlledHarness) -> None:
    """The same on a network that loses requests and replies (upstream's AcquireLockConcurrentUnreliable)."""
    concurrent_reliable(lab)


@_5c("PartitionControllerJoin", budgets=("a controller that comes back changes nothing",))
def partition_controller_join(lab: ControlledHarness) -> None:
    """What a controller does late, by a configuration that is history, the groups refuse."""
    clerk = lab.clerk()
    values = lab.fill(clerk, lab.shard_keys(KEYS_EACH))
    _recover(lab, 0, lets_back=True)
    lab.append_all(clerk, values)
    lab.check_all(clerk, values)


def _partition_recovery(lab: ControlledHarness, times: int, clerks: int) -> None:
    clerk = lab.clerk()
    values = lab.fill(clerk, [f"own-{key}" for key in lab.shard_keys()])

    def change() -> None:
        for number in range(times):
            _recover(lab, number, lets_back=True)
            lab.sleep(BETWEEN_S)

    work_during(lab, clerks, change)
    lab.check_all(clerk, values)


def _register(name: str, clerks: int, times: int, *, reliable: bool) -> None:
    def run(lab: Any) -> None:  # noqa: ANN401 - a ControlledHarness
        _partition_recovery(lab, times, clerks)

    run.__doc__ = f"{times} controllers in turn are cut off amid a change and come back, with {clerks} clients at work."
    budgets = (f"{times} times", *(("clients' history linearizable",) if clerks else ()))
    _5c(name, reliable=reliable, budgets=budgets)(run)


for _clients, _words in ((0, "NoClerk"), (5, "Clerks")):
    _register(f"PartitionRecoveryReliable{_words}", _clients, RELIABLE_TIMES, reliable=True)
    _register(f"PartitionRecoveryUnreliable{_words}", _clients, UNRELIABLE_TIMES, reliable=False)
