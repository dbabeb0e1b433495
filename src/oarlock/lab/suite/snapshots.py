"""Part 3D: the service takes snapshots, logs are cut, and who lags is sent a snapshot."""

from functools import partial
from typing import Final

from oarlock.lab.suite.applied import SNAPSHOT_EVERY
from oarlock.lab.suite.raft_harness import RaftHarness, raft_scenario

ROUNDS: Final = 30
MOST_RAFT_STATE: Final = 2000
"""Bytes that a server may have persisted beside its snapshot."""

snapshot_scenario = partial(raft_scenario, "3D", servers=3, snapshots=True)
_SIZE: Final = "persisted Raft state always below 2,000 bytes"
_EVERY_ROUND: Final = "the size is checked on every server and at all times, and against what persist_bytes says"


def _rounds(lab: RaftHarness, *, cut: bool = False, crash: bool = False) -> None:
    lab.one(lab.new_command(), lab.size, retry=True)
    leader = lab.check_one_leader()
    most = 0
    for round_ in range(ROUNDS):
        sender, victim = leader, lab.after(leader)
        if round_ % 3 == 1:
            sender, victim = victim, sender
        if cut:
            lab.disconnect(victim)
        if crash:
            lab.crash(victim)
        if cut or crash:
            lab.one(lab.new_command(), lab.size - 1, retry=True)
        for _ in range(_commands_of_a_round(lab)):
            lab.start(sender, lab.new_command())
        present = lab.size - 1 if cut or crash else lab.size
        lab.one(lab.new_command(), present, retry=True)
        most = max(most, _largest(lab))
        lab.require(most < MOST_RAFT_STATE, f"{most} bytes of Raft state are persisted in round {round_}")
        if cut:
            lab.connect(victim)
        if crash:
            lab.restart(victim)
        if cut or crash:
            lab.one(lab.new_command(), lab.size, retry=True)
            leader = lab.check_one_leader()
    lab.measure("largest persisted Raft state in bytes", most, most=MOST_RAFT_STATE - 1)


def _commands_of_a_round(lab: RaftHarness) -> int:
    """About as many as there are between two snapshots."""
    number: int = SNAPSHOT_EVERY // 2 + lab.random.randint(0, SNAPSHOT_EVERY - 1)
    return number


def _largest(lab: RaftHarness) -> int:
    said = [lab.raft(server).persist_bytes() for server in lab.everyone if lab.group.lives_now(server)]
    return max(*said, lab.group.largest_raft_state_ever())


@snapshot_scenario("SnapshotBasic", budgets=(_SIZE,), repaired=_EVERY_ROUND)
def snapshot_basic(lab: RaftHarness) -> None:
    """Snapshots keep the persisted log short while all keep up."""
    _rounds(lab)


@snapshot_scenario("SnapshotInstall", budgets=(_SIZE,), repaired=_EVERY_ROUND)
def snapshot_install(lab: RaftHarness) -> None:
    """Who was cut off for longer than the log reaches back catches up by a snapshot."""
    _rounds(lab, cut=True)


@snapshot_scenario("SnapshotInstallUnreliable", reliable=False, budgets=(_SIZE,), repaired=_EVERY_ROUND)
def snapshot_install_unreliable(lab: RaftHarness) -> None:
    """Who was cut off catches up by a snapshot, on a network that loses and delays."""
    _rounds(lab, cut=True)


@snapshot_scenario("SnapshotInstallCrash", budgets=(_SIZE,), repaired=_EVERY_ROUND)
def snapshot_install_crash(lab: RaftHarness) -> None:
    """Who crashed begins from its own snapshot, and catches up by another's."""
    _rounds(lab, crash=True)


@snapshot_scenario("SnapshotInstallUnCrash", reliable=False, budgets=(_SIZE,), repaired=_EVERY_ROUND)
def snapshot_install_unreliable_crash(lab: RaftHarness) -> None:
    """Who crashed catches up by a snapshot, on a network that loses and delays."""
    _rounds(lab, crash=True)


@snapshot_scenario(
    "SnapshotAllCrash",
    budgets=("the next index at least one more than before",),
    repaired="on a reliable network for certain: the meaning of upstream's flag was turned round in 2025",
)
def snapshot_all_crash(lab: RaftHarness) -> None:
    """When all crash, they begin from their snapshots and logs, and indices go on rising."""
    lab.one(lab.new_command(), lab.size, retry=True)
    for _ in range(5):
        for _ in range(_commands_of_a_round(lab)):
            lab.one(lab.new_command(), lab.size, retry=True)
        before = lab.one(lab.new_command(), lab.size, retry=True)
        lab.restart_everyone()
        after = lab.one(lab.new_command(), lab.size, retry=True)
        lab.require(after > before, f"index {after} comes after {before}")


@snapshot_scenario("SnapshotInit")
def snapshot_init(lab: RaftHarness) -> None:
    """A server that restarts from a snapshot saves it again with its next state, and restarts from it once more."""
    for _ in range(SNAPSHOT_EVERY + 4):
        lab.one(lab.new_command(), lab.size, retry=True)
    lab.restart_everyone()
    lab.one(lab.new_command(), lab.size, retry=True)
    lab.restart_everyone()
    lab.one(lab.new_command(), lab.size, retry=True)
