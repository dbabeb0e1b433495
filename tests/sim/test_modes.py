"""What a run owes beside availability: safety alone, whatever is damaged."""

from tests.support.simulated import steady

from oarlock.sim.generate import generate
from oarlock.sim.run import run_schedule
from oarlock.sim.schedule import Fault


def _rot(*servers: int) -> list[Fault]:
    return [Fault(at=1.0 + server / 10, kind="rot_log_body", servers=(server,), seconds=0.1) for server in servers]


def test_majority_of_damaged_disks_is_refused() -> None:
    """With the logs of two out of three damaged nobody leads any more: refused, and nothing is lost in silence."""
    report = run_schedule(steady(*_rot(2, 3), seconds=2.5, mode="safe"))
    assert report.ok, report.violations
    assert report.strikes["process.refused_damaged_disk"] == 2
    assert report.strikes["safe.refused"] == 1


def test_minority_of_damaged_disks_is_served_past() -> None:
    """With one damaged log the others go on, and what they serve is judged."""
    report = run_schedule(steady(*_rot(3), seconds=2.5, mode="safe"))
    assert report.ok, report.violations
    assert report.strikes["process.refused_damaged_disk"] == 1
    assert report.strikes["safe.served"] == 1


def test_atlas_spares_a_majority_where_availability_is_owed() -> None:
    """The same two faults strike but once in a run that must stay available."""
    report = run_schedule(steady(*_rot(2, 3), seconds=2.5))
    assert report.ok, report.violations
    assert report.strikes["process.refused_damaged_disk"] == 1


def test_seeds_draw_every_mode() -> None:
    """Most seeds owe availability, some only safety, some containment."""
    modes = [generate(seed).settings.mode for seed in range(100)]
    assert 60 < modes.count("available") < 95
    assert modes.count("safe") >= 3
    assert modes.count("contained") >= 3
