"""Clients that try again: elsewhere, later, or without knowing what became of the last try; and what operators ask."""

import msgspec
from tests.support.simulated import steady

from oarlock.sim import Fault, Schedule, generate, run_schedule
from oarlock.sim.operations import UPKEEP
from oarlock.sim.schedule import ClientOperation


def _with(schedule: Schedule, *operations: ClientOperation) -> Schedule:
    return msgspec.structs.replace(schedule, operations=(*schedule.operations, *operations))


def _retrying(schedule: Schedule, retries: int) -> Schedule:
    operations = tuple(msgspec.structs.replace(each, retries=retries) for each in schedule.operations)
    return msgspec.structs.replace(schedule, operations=operations)


def test_clients_fail_over() -> None:
    """With a server down its clients turn to the next one, and reads that fail are repeated: all get answers."""
    faults = (Fault(at=1, kind="kill", servers=(0,), seconds=1), Fault(at=1.2, kind="kill", servers=(2,), seconds=0.1))
    report = run_schedule(steady(*faults, seconds=3.0, client_failover=True))
    assert report.ok, report.violations
    assert report.strikes["client.failed_over"]
    without = run_schedule(steady(*faults, seconds=3.0))
    assert without.ok, without.violations
    assert "client.failed_over" not in without.strikes
    assert report.answered > without.answered


def test_failed_reads_are_repeated() -> None:
    """A read whose server cannot confirm it goes to another server."""
    fault = Fault(at=1, kind="isolate", servers=(2,), seconds=2.5)
    schedule = steady(fault, seconds=4.0, proposal_timeout_ms=400, client_failover=True)
    report = run_schedule(schedule)
    assert report.ok, report.violations
    assert report.strikes["client.read_again"]


def test_clients_ask_again_after_unknown_outcomes() -> None:
    """A write of which nobody can tell is asked anew, as a request of its own; each acts at most once."""
    faults = (
        Fault(at=1, kind="client_cut", servers=(1, 2, 3), seconds=0.8),
        Fault(at=1, kind="isolate", servers=(0,), seconds=1),
    )
    report = run_schedule(_retrying(steady(*faults, seconds=3.0, proposal_timeout_ms=400), 2))
    assert report.ok, report.violations
    assert report.strikes["client.asked_again"]


def test_operators_questions_are_answered() -> None:
    """Status, members, alarms, hashes, defragmentation and backups are answered by every server, faults or not."""
    asked = [
        ClientOperation(at=0.9 + 0.1 * number, client=10 + number, server=server, kind=kind)
        for number, kind in enumerate(UPKEEP)
        for server in (1, 2, 3)
    ]
    quiet = run_schedule(_with(steady(seconds=3.0), *asked))
    assert quiet.ok, quiet.violations
    assert quiet.answered == quiet.operations
    faults = (Fault(at=1, kind="power", servers=(0,), seconds=0.5), Fault(at=1, kind="remove", servers=(2,)))
    report = run_schedule(_with(steady(*faults, seconds=3.0, snapshot_count=10, snapshot_tail=0), *asked))
    assert report.ok, report.violations


def test_puts_are_refused_under_an_alarm() -> None:
    """While there is said to be no space puts fail and change nothing; afterwards they work again."""
    alarm = Fault(at=1, kind="alarm", servers=(1,), seconds=0.5)
    report = run_schedule(steady(alarm, seconds=3.0))
    assert report.ok, report.violations
    assert report.strikes["alarm.raised"] == 1
    assert report.answered < report.operations


def test_seeds_have_clients_of_every_kind() -> None:
    """Some runs have clients that fail over, some that ask again, and all that operators ask is asked."""
    schedules = [generate(seed) for seed in range(150)]
    assert {schedule.settings.client_failover for schedule in schedules} == {True, False}
    operations = [operation for schedule in schedules for operation in schedule.operations]
    assert {operation.retries for operation in operations} == {0, 1, 2}
    assert {operation.kind for operation in operations} >= set(UPKEEP)
