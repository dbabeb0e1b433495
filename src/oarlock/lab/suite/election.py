"""Part 3A: leaders are elected, and elected again."""

from oarlock.lab.suite.raft_harness import RaftHarness, raft_scenario

ELECTION_S = 1.0
"""The labs' unit of waiting: generous for an election."""


@raft_scenario("3A", "InitialElection", servers=3, budgets=("a leader in 5 s",))
def initial_election(lab: RaftHarness) -> None:
    """A leader is elected, all agree on its term, and without failures it stays."""
    lab.check_one_leader()
    lab.sleep(0.05)  # a server that was slow to vote may learn of the term only now
    term = lab.check_terms()
    lab.require(term >= 1, f"the term is {term} after an election")
    lab.sleep(2 * ELECTION_S)
    later = lab.check_terms()
    if later != term:
        lab.warn(f"the term went from {term} to {later} without any failure")
    lab.check_one_leader()


@raft_scenario("3A", "ReElection", servers=3, budgets=("each new leader in 5 s",))
def re_election(lab: RaftHarness) -> None:
    """A new leader takes over from one cut off, whose return does no harm; without a majority there is no leader."""
    first = lab.check_one_leader()
    lab.disconnect(first)
    lab.check_one_leader()
    lab.connect(first)
    second = lab.check_one_leader()
    lab.disconnect(second, lab.after(second))
    lab.sleep(2 * ELECTION_S)
    lab.check_no_leader()
    lab.connect(lab.after(second))
    lab.check_one_leader()
    lab.connect(second)
    lab.check_one_leader()


@raft_scenario("3A", "ManyElections", servers=7, budgets=("each new leader in 5 s",))
def many_elections(lab: RaftHarness) -> None:
    """Whichever three of seven are cut off, nine times over, the others have or elect one leader."""
    lab.check_one_leader()
    for _ in range(9):
        cut = lab.random.sample(list(lab.everyone), 3)
        lab.disconnect(*cut)
        lab.check_one_leader()
        lab.connect(*cut)
    lab.check_one_leader()
