"""Every fault strikes when it is asked for, and the cluster stands it."""

import re

import pytest
from tests.support.simulated import steady
from tests.support.source_tree import ROOT

from oarlock.sim.faults import CONNECTIONS, FORGETTING, KINDS
from oarlock.sim.generate import generate
from oarlock.sim.run import run_schedule
from oarlock.sim.schedule import Fault

EVIDENCE: dict[str, tuple[Fault, str]] = {
    "isolate": (Fault(at=1, kind="isolate", servers=(0,), seconds=1), "partition.isolate"),
    "split": (Fault(at=1, kind="split", servers=(2,), seconds=1), "partition.split"),
    "split3": (Fault(at=1, kind="split3", servers=(1, 2), seconds=1), "partition.split3"),
    "one_way": (Fault(at=1, kind="one_way", servers=(0,), seconds=1), "partition.one_way"),
    "deaf": (Fault(at=1, kind="deaf", servers=(0,), seconds=1), "partition.deaf"),
    "bridge": (Fault(at=1, kind="bridge", servers=(1,), seconds=1), "partition.bridge"),
    "ring": (Fault(at=1, kind="ring", servers=(1,), seconds=1), "partition.ring"),
    "client_cut": (Fault(at=1, kind="client_cut", servers=(1,), seconds=1), "client.request_lost"),
    "clog": (Fault(at=1, kind="clog", servers=(), seconds=1), "link.held"),
    "slow": (Fault(at=1, kind="slow", servers=(), seconds=1, value=20.0), "link.slow"),
    "narrow": (Fault(at=1, kind="narrow", servers=(), seconds=1, value=5000.0), "link.queued"),
    "reset": (Fault(at=1, kind="reset", servers=(0,)), "connection.reset"),
    "reset_midframe": (Fault(at=1, kind="reset_midframe", servers=(0,)), "connection.reset_midframe"),
    "half_open": (Fault(at=1, kind="half_open", servers=(0,)), "connection.half_open"),
    "frame_drop": (Fault(at=1, kind="frame_drop", seconds=2, value=0.1), "frame.drop"),
    "frame_duplicate": (Fault(at=1, kind="frame_duplicate", seconds=2, value=0.1), "frame.duplicate"),
    "frame_replay": (Fault(at=1, kind="frame_replay", seconds=2, value=0.1), "frame.replay"),
    "frame_reorder": (Fault(at=0.4, kind="frame_reorder", seconds=4, value=0.9), "frame.reorder"),
    "frame_corrupt": (Fault(at=1, kind="frame_corrupt", seconds=2, value=0.05), "frame.corrupt"),
    "frame_truncate": (Fault(at=1, kind="frame_truncate", seconds=2, value=0.05), "frame.truncate"),
    "drop_kind": (Fault(at=1, kind="drop_kind", seconds=1, value=6.0), "frame.drop"),
    "client_reset": (Fault(at=1, kind="client_reset", servers=(0,)), "client.reset"),
    "client_half_open": (Fault(at=1, kind="client_half_open", servers=(0,), value=0.0), "client.half_open"),
    "client_cut_short": (
        Fault(at=1, kind="client_cut_short", servers=(1, 2, 3), seconds=1, value=0.3),
        "client.cut_short",
    ),
    "client_slow": (Fault(at=1, kind="client_slow", servers=(1, 2, 3), seconds=1, value=20.0), "link.slow"),
    "client_clog": (Fault(at=1, kind="client_clog", servers=(1, 2, 3), seconds=1), "link.held"),
    "kill": (Fault(at=1, kind="kill", servers=(0,), seconds=1), "process.kill"),
    "power": (Fault(at=1, kind="power", servers=(1, 2, 3), seconds=1), "process.power"),
    "step_crash": (Fault(at=1, kind="step_crash", servers=(0,), seconds=1, value=9.0), "process.crash_at_step"),
    "restart": (Fault(at=1, kind="restart", servers=(0,), seconds=1), "process.restart"),
    "version": (Fault(at=1, kind="version", servers=(1,), seconds=0.2, value=1.0), "version.refused_newer_data"),
    "crash_loop": (Fault(at=1, kind="crash_loop", servers=(2,), seconds=0.1, value=5.0), "process.crash_loop"),
    "pause": (Fault(at=1, kind="pause", servers=(0,), seconds=1), "process.pause"),
    "busy": (Fault(at=1, kind="busy", servers=(0,), seconds=1), "process.blocked_loop"),
    "suspend": (Fault(at=1, kind="suspend", servers=(0,), seconds=1), "process.suspended"),
    "await_crash": (Fault(at=1, kind="await_crash", servers=(0,), seconds=1, value=41.0), "process.crash_at_await"),
    "cancel_calls": (Fault(at=1, kind="cancel_calls", servers=(0,), seconds=1, value=30.0), "process.call_cancelled"),
    "cancel_task": (Fault(at=1, kind="cancel_task", servers=(0,), value=30.0), "process.ended_cancelled"),
    "cancel_all": (Fault(at=1, kind="cancel_all", servers=(0,), value=30.0), "process.all_cancelled"),
    "lack_memory": (Fault(at=1, kind="lack_memory", servers=(0,), value=1.0), "process.ended_for_want_of_memory"),
    "eio_write": (Fault(at=1, kind="eio_write", servers=(0,), seconds=1), "disk.write_error"),
    "eio_sync": (Fault(at=1, kind="eio_sync", servers=(0,), seconds=1), "disk.sync_error"),
    "eio_read": (Fault(at=1, kind="eio_read", servers=(2,), seconds=1, value=2.0), "disk.read_error"),
    "misdirected_read": (
        Fault(at=1, kind="misdirected_read", servers=(2,), seconds=1, value=3.0),
        "disk.read_misdirected",
    ),
    "stale_read": (Fault(at=1, kind="stale_read", servers=(2,), seconds=1, value=3.0), "disk.read_stale"),
    "short_io": (Fault(at=1, kind="short_io", servers=(0,), seconds=1, value=50.0), "disk.short_write"),
    "full": (Fault(at=1, kind="full", servers=(0,), seconds=1), "disk.full"),
    "stall": (Fault(at=1, kind="stall", servers=(0,), seconds=1), "disk.stall"),
    "swap": (Fault(at=1, kind="swap", servers=(2, 3), seconds=1), "process.refused_anothers_disk"),
    "rot_log_header": (Fault(at=1, kind="rot_log_header", servers=(2,), seconds=0.1), "rot.log_header"),
    "rot_log_body": (Fault(at=1, kind="rot_log_body", servers=(2,), seconds=0.1), "rot.log_body"),
    "rot_hard_state": (Fault(at=1, kind="rot_hard_state", servers=(2,), seconds=0.1), "rot.hard_state"),
    "rot_log_tail": (Fault(at=1, kind="rot_log_tail", servers=(2,), seconds=0.1), "rot.log_tail"),
    "rot_boot": (Fault(at=1, kind="rot_boot", servers=(2,), seconds=0.1), "rot.boot"),
    "rot_identity": (Fault(at=1, kind="rot_identity", servers=(2,), seconds=0.1), "rot.identity"),
    "rot_snapshot": (Fault(at=1, kind="rot_snapshot", servers=(0,), seconds=2.0), "rot.snapshot"),
    "rot_database": (Fault(at=1, kind="rot_database", servers=(2,), seconds=0.1, value=1.0), "rot.database"),
    "lost_page": (Fault(at=1, kind="lost_page", servers=(2,), seconds=0.1, value=1.0), "rot.database_page"),
    "misdirected_write": (
        Fault(at=1, kind="misdirected_write", servers=(2,), seconds=0.5),
        "disk.write_misdirected",
    ),
    "lost_write": (Fault(at=1, kind="lost_write", servers=(2,), seconds=0.5), "disk.write_lost"),
    "lose_forever": (Fault(at=1, kind="lose_forever", servers=(0,)), "process.lost_forever"),
    "drift": (Fault(at=1, kind="drift", servers=(0,), seconds=1, value=0.0), "clock.stall"),
    "jump": (Fault(at=1, kind="jump", servers=(2,), value=30.0), "clock.jump"),
    "ticks": (Fault(at=1, kind="ticks", servers=(0,), seconds=1, value=0.1), "clock.ticks"),
    "wall_jump": (Fault(at=1, kind="wall_jump", servers=(2,), value=-3600.0), "clock.wall_jump"),
    "add_learner": (Fault(at=1, kind="add_learner", seconds=0.1), "members.add_learner"),
    "add_voter": (Fault(at=1, kind="add_voter", seconds=0.1), "members.add_voter"),
    "promote": (Fault(at=1.5, kind="promote"), "members.promote"),
    "demote": (Fault(at=1, kind="demote", servers=(1,), seconds=0.1, value=1.0), "members.demote"),
    "remove": (Fault(at=1, kind="remove", servers=(1,)), "members.remove"),
    "remove_leader": (Fault(at=1, kind="remove_leader", servers=(0,)), "members.remove_leader"),
    "replace": (Fault(at=1, kind="replace", servers=(1,), seconds=0.1, value=1.0), "members.replace"),
    "joint": (Fault(at=1, kind="joint", servers=(1,), seconds=0.1, value=1.0), "members.joint_change"),
    "come_back": (Fault(at=2.4, kind="come_back"), "members.came_back"),
    "transfer": (Fault(at=1, kind="transfer", servers=(1,)), "leader.transferred"),
    "forget_leader": (Fault(at=1, kind="forget_leader", servers=(1, 2, 3)), "leader.forgotten"),
    "alarm": (Fault(at=1, kind="alarm", servers=(1,), seconds=0.5), "alarm.raised"),
    "repeat_proposals": (Fault(at=1, kind="repeat_proposals", seconds=1, value=1.0), "proposal.applied_before"),
}

REFUSED = ("rot_log_header", "rot_log_body", "rot_hard_state", "rot_identity", "rot_database", "lost_page")
"""Damage that always keeps its server from starting."""

HELPERS = {
    "rot_snapshot": (Fault(at=0.6, kind="isolate", servers=(3,), seconds=1.2),),
    "promote": (Fault(at=1, kind="add_learner", seconds=0.1),),
    "come_back": (Fault(at=1, kind="remove", servers=(1,)),),
}
"""What else must happen for a fault to strike: a snapshot is made for one who lags, say."""

SETTINGS = {
    "rot_snapshot": {"snapshot_count": 10, "snapshot_tail": 0},
    **{kind: {"client_protocol": "http2"} for kind in CONNECTIONS},
}


def test_every_fault_is_proved_here() -> None:
    """No kind of fault is without a test; for those that break Raft's assumptions see `test_containment.py`."""
    assert EVIDENCE.keys() == KINDS.keys() - set(FORGETTING)


@pytest.mark.parametrize("kind", EVIDENCE)
def test_fault_strikes(kind: str) -> None:
    """With the fault asked for it does something, without it that never happens; either way every property holds."""
    fault, evidence = EVIDENCE[kind]
    servers = 5 if kind in {"ring", "split3"} else 3
    schedule = steady(fault, *HELPERS.get(kind, ()), servers=servers, seconds=2.5, **SETTINGS.get(kind, {}))
    report = run_schedule(schedule)
    assert report.ok, report.violations
    assert report.strikes[evidence]
    assert kind not in REFUSED or report.strikes["process.refused_damaged_disk"]


def test_nothing_strikes_by_itself() -> None:
    """Without faults, none of the evidence above is ever seen but of ordinary queueing."""
    report = run_schedule(steady(seconds=2.5))
    assert report.ok, report.violations
    ordinary = {"link.queued", "link.tail"}
    assert not ({evidence for _, evidence in EVIDENCE.values()} - ordinary) & report.strikes.keys()
    assert report.answered == report.operations


def test_seeds_draw_every_fault() -> None:
    """Among four hundred seeds there is every kind of fault, every size of cluster, and both ways of healing."""
    schedules = [generate(seed) for seed in range(400)]
    assert {fault.kind for schedule in schedules for fault in schedule.faults} == KINDS.keys()
    assert {schedule.settings.servers for schedule in schedules} == {1, 3, 5, 7}
    assert {schedule.settings.heal for schedule in schedules} == {"all", "majority"}


def test_every_fault_is_described() -> None:
    """The page on the simulator says of every kind of fault what happens, what is required, and how it is counted."""
    page = (ROOT / "docs/internals/simulation.md").read_text()
    described = {
        name for line in page.splitlines() if line.startswith("| ") for name in re.findall("`([a-z0-9_]+)`", line)
    }
    assert not KINDS.keys() - described
