"""Part 3B: leaders and logs that went astray come back."""

from oarlock.lab.suite.election import ELECTION_S
from oarlock.lab.suite.raft_harness import RaftHarness, raft_scenario

MANY = 50
"""Commands in each stretch."""


@raft_scenario("3B", "Rejoin", servers=3)
def rejoin(lab: RaftHarness) -> None:
    """A leader that was cut off, and took commands that cannot commit, follows when it is back."""
    lab.one(101, lab.size, retry=True)
    first = lab.check_one_leader()
    lab.disconnect(first)
    for command in (102, 103, 104):
        lab.start(first, command)
    lab.one(203, 2, retry=True)
    second = lab.check_one_leader()
    lab.disconnect(second)
    lab.connect(first)
    lab.one(204, 2, retry=True)
    lab.connect(second)
    lab.one(205, lab.size, retry=True)


@raft_scenario("3B", "Backup", servers=5, budgets=("each of 150 agreements in 10 s",))
def backup(lab: RaftHarness) -> None:
    """Followers with long tails of dead entries, of several terms, are brought back quickly."""
    lab.one(lab.new_command(), lab.size, retry=True)
    first = lab.check_one_leader()
    minority = [first, lab.after(first)]
    majority = [lab.after(first, distance) for distance in (2, 3, 4)]
    lab.disconnect(*majority)
    _start_many(lab, first)
    lab.sleep(ELECTION_S / 2)
    lab.disconnect(*minority)
    lab.connect(*majority)
    _agree_on_many(lab)
    second = lab.check_one_leader()
    other = next(server for server in majority if server != second)
    lab.disconnect(other)
    _start_many(lab, second)
    lab.sleep(ELECTION_S / 2)
    lab.disconnect(*lab.everyone)
    lab.connect(*minority, other)
    _agree_on_many(lab)
    lab.connect(*lab.everyone)
    lab.one(lab.new_command(), lab.size, retry=True)


def _start_many(lab: RaftHarness, server: int) -> None:
    for _ in range(MANY):
        lab.start(server, lab.new_command())


def _agree_on_many(lab: RaftHarness) -> None:
    for _ in range(MANY):
        lab.one(lab.new_command(), 3, retry=True)
