"""Part 3C: servers crash, and go on from what they saved."""

from oarlock.lab.suite.election import ELECTION_S
from oarlock.lab.suite.raft_harness import RaftHarness, raft_scenario


@raft_scenario("3C", "Persist1", servers=3)
def persist_1(lab: RaftHarness) -> None:
    """Whoever crashes, all servers, the leader, or a follower, agreement goes on from where it was."""
    lab.one(11, lab.size, retry=True)
    lab.restart_everyone()
    lab.one(12, lab.size, retry=True)
    first = lab.check_one_leader()
    lab.crash(first)
    lab.restart(first)
    lab.one(13, lab.size, retry=True)
    second = lab.check_one_leader()
    lab.crash(second)
    lab.one(14, lab.size - 1, retry=True)
    lab.restart(second)
    lab.wait(4, lab.size)
    follower = lab.after(lab.check_one_leader())
    lab.crash(follower)
    lab.one(15, lab.size - 1, retry=True)
    lab.restart(follower)
    lab.one(16, lab.size, retry=True)


@raft_scenario("3C", "Persist2", servers=5)
def persist_2(lab: RaftHarness) -> None:
    """Majorities that share just one server with the one before, five times over, lose nothing."""
    for _ in range(5):
        lab.one(lab.new_command(), lab.size, retry=True)
        leader = lab.check_one_leader()
        crashed = [lab.after(leader, distance) for distance in (1, 2)]
        others = [lab.after(leader, distance) for distance in (3, 4, 0)]
        lab.crash(*crashed)
        lab.one(lab.new_command(), 3, retry=True)
        lab.crash(*others)
        lab.restart(*crashed)
        lab.sleep(ELECTION_S)
        lab.restart(others[0])
        lab.one(lab.new_command(), 3, retry=True)
        lab.restart(*others[1:])
    lab.one(1000, lab.size, retry=True)


@raft_scenario("3C", "Persist3", servers=3)
def persist_3(lab: RaftHarness) -> None:
    """A leader that crashed, and one that was cut off before its last commands, agree on what comes next."""
    lab.one(101, lab.size, retry=True)
    leader = lab.check_one_leader()
    cut = lab.after(leader, 2)
    lab.disconnect(cut)
    lab.one(102, 2, retry=True)
    lab.crash(leader, lab.after(leader))
    lab.connect(cut)
    lab.restart(leader)
    lab.one(103, 2, retry=True)
    lab.restart(lab.after(leader))
    lab.one(104, lab.size, retry=True)
