"""Settings that runs differ in: leases within what clocks are said to do, and limits that production seldom reaches."""

import msgspec
import pytest
from tests.support.simulated import steady

from oarlock.sim import Fault, Simulation, generate, run_schedule
from oarlock.sim.faults import KINDS
from oarlock.sim.generate import KNOBS

SEEDS = [generate(seed) for seed in range(120)]

WITHIN = (0.95, 1.05)
"""The slowest and the fastest of clocks that differ by no more than a tenth."""


def _cut_off(slow: float, fast: float) -> list[Fault]:
    """The leader is cut off from all others; its clock is slow, theirs are fast."""
    others = [Fault(at=0.9, kind="drift", servers=(each,), seconds=2.0, value=fast) for each in (1, 2, 3)]
    leader = Fault(at=1.2, kind="drift", servers=(0,), seconds=2.0, value=slow)
    return [*others, leader, Fault(at=1.5, kind="isolate", servers=(0,), seconds=1.0)]


def test_leases_hold_within_the_drift_declared() -> None:
    """Reads under a lease are linearizable although clocks differ by all that is allowed."""
    report = run_schedule(steady(*_cut_off(*WITHIN), seconds=3.0, lease_reads=True))
    assert report.ok, report.violations
    assert report.strikes["lease.held"]
    assert report.elections > 1


def test_clocks_beyond_the_drift_are_noticed() -> None:
    """With clocks that differ by more, two leaders hold leases at a time, and that is found."""
    report = run_schedule(steady(*_cut_off(0.95, 4.0), seconds=3.0, lease_reads=True))
    assert {violation.name for violation in report.violations} & {"one lease holder", "real time", "linearizability"}


def test_seeds_read_under_leases_with_clocks_as_declared() -> None:
    """Some runs have leases; in these no fault bends time by more than is declared."""
    leased = [schedule for schedule in SEEDS if schedule.settings.lease_reads]
    assert len(leased) > 10
    faults = [fault for schedule in leased for fault in schedule.faults]
    assert not [fault for fault in faults if KINDS[fault.kind].bends_time]
    assert {fault.value for fault in faults if fault.kind == "drift"} <= set(WITHIN)
    assert all(schedule.settings.check_quorum for schedule in leased)


def test_seeds_turn_every_knob() -> None:
    """Every limit is reached in some run, and some runs have servers that differ."""
    assert {name for schedule in SEEDS for name in schedule.settings.knobs} == KNOBS.keys()
    assert any(schedule.settings.server_knobs for schedule in SEEDS)


@pytest.mark.parametrize("name", KNOBS)
def test_cluster_stands_the_least_of_each_limit(name: str) -> None:
    """With one limit at its least, on one server or on all, every property holds and the cluster is live."""
    least = min(KNOBS[name])
    fault = Fault(at=0.8, kind="isolate", servers=(1,), seconds=0.7)
    settings = {"snapshot_count": 10, "snapshot_tail": 0}
    everywhere = steady(fault, seconds=2.0, knobs={name: least}, **settings)
    there = steady(fault, seconds=2.0, server_knobs={2: {name: least}}, **settings)
    for schedule in (everywhere, there):
        report = run_schedule(schedule)
        assert report.ok, report.violations


def test_knobs_reach_their_servers() -> None:
    """Node, core and transport get what a schedule sets, each server its own first."""
    schedule = steady(
        knobs={"max_pending_reads": 9, "raft.max_pending_reads": 5, "transport.queue_messages": 7},
        server_knobs={2: {"raft.max_pending_reads": 3, "pre_vote": 0}},
    )
    schedule = msgspec.json.decode(msgspec.json.encode(schedule), type=type(schedule))
    servers = Simulation(schedule).servers
    assert [server.config.max_pending_reads for server in servers.values()] == [9, 9, 9]
    assert [server.config.raft().max_pending_reads for server in servers.values()] == [5, 3, 5]
    assert [bool(server.config.raft().pre_vote) for server in servers.values()] == [True, False, True]
    assert {server.options.queue_messages for server in servers.values()} == {7}
