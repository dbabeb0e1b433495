"""Our Raft passes every scenario of the labs, on virtual time and on real time."""

import pytest

from oarlock.lab.suite.catalogue import SCENARIOS
from oarlock.lab.suite.run import Outcome
from oarlock.lab.suite.session import Session
from oarlock.lab.suite.table import choose

RAFT = [entry.id for entry in choose(["3"])]
LONG = ["3C-ReliableChurn"]
"""On virtual time too: clients without a pause."""
SHORT = ["3A-InitialElection", "3B-BasicAgree", "3B-RPCBytes", "3B-Count", "3C-UnreliableAgree", "3D-SnapshotBasic"]
"""Seconds on real time."""


def passes(outcome: Outcome) -> None:
    assert outcome.passed, outcome.failure
    assert outcome.seconds <= 120
    assert outcome.rpcs > 0


@pytest.mark.parametrize("scenario", [each for each in RAFT if each not in LONG])
def test_virtual(scenario: str) -> None:
    """On virtual time, from one seed."""
    passes(Session("oarlock.lab.raft:make", 1).run(SCENARIOS[scenario]))


@pytest.mark.parametrize("scenario", ["3A-ReElection", "3A-ManyElections", "3B-Backup", "3C-Figure8Unreliable"])
def test_with_pre_votes(scenario: str) -> None:
    """With pre-votes too."""
    passes(Session("oarlock.lab.raft:make_with_pre_vote", 1).run(SCENARIOS[scenario]))


@pytest.mark.cluster
@pytest.mark.parametrize("scenario", LONG)
def test_virtual_long(scenario: str) -> None:
    """On virtual time, what takes long all the same."""
    passes(Session("oarlock.lab.raft:make", 1).run(SCENARIOS[scenario]))


@pytest.mark.cluster
@pytest.mark.parametrize("scenario", SHORT)
def test_real(scenario: str) -> None:
    """On real threads and real time."""
    passes(Session("oarlock.lab.raft:make", None).run(SCENARIOS[scenario]))


def test_a_seed_repeats() -> None:
    """The same seed gives the same run, to the byte; another seed another one; and recording changes nothing."""
    entry = SCENARIOS["3C-Persist2"]
    one, again = (Session("oarlock.lab.raft:make", 5).run(entry) for _ in range(2))
    other = Session("oarlock.lab.raft:make", 6).run(entry)
    recorded, trace = Session("oarlock.lab.raft:make", 5).run_recorded(entry)

    def figures(outcome: Outcome) -> tuple[float, int, int]:
        return outcome.seconds, outcome.rpcs, outcome.bytes

    assert figures(one) == figures(again) == figures(recorded)
    assert figures(one) != figures(other)
    assert trace is not None
    assert {event.k.value for event in trace.events} >= {"send", "recv", "crash", "restart", "part", "heal", "fsync"}
