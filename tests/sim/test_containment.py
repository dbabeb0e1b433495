"""One server's disk forgets, or two machines take one name: the others lose nothing, in the circumstances that are said."""

import pytest
from tests.support.simulated import steady

from oarlock.sim.faults import FORGETTING, is_alone
from oarlock.sim.faults.forgetting import (
    AT_ONCE,
    COPY,
    EMPTY,
    OLD_COPY,
    SUPERSEDED,
    TAKES_ADDRESS,
)
from oarlock.sim.generate import generate
from oarlock.sim.run import Report, run_schedule
from oarlock.sim.schedule import Fault

EVIDENCE = {
    "lie": "disk.sync_lie",
    "old_disk": "disk.rolled_back",
    "forget_last": "rot.last_record",
    "wipe": "disk.wiped",
    "twin": "twin.started",
}


def _run(kind: str, value: float, *others: Fault, server: int = 3, seconds: float = 3.0) -> Report:
    fault = Fault(at=1.0, kind=kind, servers=(server,), seconds=0.8, value=value)
    return run_schedule(steady(fault, *others, seconds=seconds, mode="contained"))


def test_every_forgetting_fault_is_proved_here() -> None:
    """None is without a test."""
    assert EVIDENCE.keys() == set(FORGETTING)


@pytest.mark.parametrize("server", [0, 3], ids=["leader", "server3"])
@pytest.mark.parametrize("value", [AT_ONCE, SUPERSEDED], ids=["at once", "superseded"])
@pytest.mark.parametrize("kind", ["lie", "old_disk", "forget_last"])
def test_disk_that_forgot_harms_its_own_server_at_most(kind: str, value: float, server: int) -> None:
    """Back while another leads, in a cluster otherwise well: all properties hold, and all answers are right."""
    report = _run(kind, value, server=server)
    assert report.ok, report.violations
    assert report.strikes[EVIDENCE[kind]]
    assert report.strikes["contained.superseded"] == 1
    assert "contained.not_owed" not in report.strikes


@pytest.mark.parametrize("kind", ["lie", "old_disk", "forget_last"])
def test_superseded_disk_may_come_back_whatever_else_happens(kind: str) -> None:
    """Held back until a majority without it has all it can have promised, it is no danger in elections to come."""
    others = [
        Fault(at=at, kind=kind_, servers=(0,), seconds=0.4)
        for at, kind_ in (
            (1.2, "power"),
            (1.9, "isolate"),
            (2.5, "power"),
            (3.1, "isolate"),
            (3.6, "power"),
            (4.3, "isolate"),
        )
    ]
    report = _run(kind, SUPERSEDED, *others, seconds=5.2)
    assert report.ok, report.violations
    assert report.strikes[EVIDENCE[kind]]
    assert report.elections >= 2
    assert report.strikes["contained.superseded"] == 1


def test_election_while_two_speak_in_one_name_is_beyond_containment() -> None:
    """If the leader is lost while a copy of a disk is in use beside it, nothing is owed, and nothing is claimed."""
    report = _run("twin", COPY, Fault(at=1.2, kind="kill", servers=(0,), seconds=1.0))
    assert report.ok
    assert report.strikes["contained.not_owed"] == 1


@pytest.mark.parametrize("server", [0, 3], ids=["leader", "server3"])
def test_wiped_disk_harms_nobody(server: int) -> None:
    """An empty disk under an old name has no say until the log admits it, even if the leader is lost meanwhile."""
    others = [Fault(at=at, kind="isolate", servers=(0,), seconds=0.4) for at in (1.81, 2.4)]
    report = _run("wipe", SUPERSEDED, *others, server=server, seconds=4.0)
    assert report.ok, report.violations
    assert report.strikes["disk.wiped"] == 1


@pytest.mark.parametrize("address", [0.0, TAKES_ADDRESS], ids=["aside", "in its place"])
@pytest.mark.parametrize("content", [COPY, OLD_COPY, EMPTY], ids=["copy", "old copy", "empty"])
def test_second_machine_under_one_name_harms_nobody(content: float, address: float) -> None:
    """Two processes with one server's identity, from copies of its disk or an empty one: the others lose nothing."""
    report = _run("twin", content + address)
    assert report.ok, report.violations
    assert report.strikes["twin.started"] == 1
    assert ("twin.took_the_address" in report.strikes) is (address > 0)


def test_seeds_draw_every_way_to_forget() -> None:
    """Runs that owe containment have one such fault each, alone where the others are exposed."""
    drawn = {}
    for schedule in map(generate, range(400)):
        forgetting = [fault for fault in schedule.faults if fault.kind in FORGETTING]
        assert len(forgetting) == (schedule.settings.mode == "contained")
        for fault in forgetting:
            assert len(schedule.faults) == 1 or not is_alone(fault)
            drawn[fault.kind, fault.value] = None
    assert {kind for kind, _ in drawn} == set(FORGETTING)
    assert len(drawn) >= 8  # of 2 for each of three, 1 for the wiped disk, 6 for twins
