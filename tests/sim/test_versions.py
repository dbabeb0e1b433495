"""Clusters whose servers are of different versions: upgraded and rolled back one by one, while they serve."""

import msgspec
import pytest
from tests.support.simulated import steady

from oarlock.node.codec import AmIRemoved, UnknownMessage, decode, encode
from oarlock.raft.messages import AppendEntriesReply, RequestVote
from oarlock.sim import Fault, generate, run_schedule
from oarlock.sim.strikes import Strikes
from oarlock.sim.versions import Version, incoming, outgoing

_REPLY = AppendEntriesReply(7, 3, 11, success=True, match_index=5, disk_id=1 << 40)


def _changes(version: Version, *servers: int, first_at: float = 0.8) -> list[Fault]:
    """One after the other is stopped and started as that version."""
    return [
        Fault(at=first_at + 0.6 * number, kind="version", servers=(server,), seconds=0.1, value=float(version))
        for number, server in enumerate(servers)
    ]


def test_versions_send_and_understand_what_they_know() -> None:
    """Whatever a version leaves out or adds, every other reads the rest of it."""
    payload = encode(_REPLY)
    assert outgoing(Version.CURRENT, payload) == payload
    before = outgoing(Version.BEFORE, payload)
    assert before is not None
    assert decode(before, 7) == msgspec.structs.replace(_REPLY, disk_id=0)
    for version in (Version.STAMPING, Version.NEXT):
        changed = outgoing(version, payload)
        assert changed not in (None, payload)
        assert changed is not None
        assert decode(changed, 7) == _REPLY
    question = encode(RequestVote(7, 3, 11, 4, 2))
    assert outgoing(Version.BEFORE, question) == question


def test_first_version_does_not_know_what_came_later() -> None:
    """Kinds of messages that came later are neither sent nor understood by a server of the first version."""
    payload = encode(AmIRemoved(7))
    assert outgoing(Version.BEFORE, payload) is None
    with pytest.raises(UnknownMessage, match="kind 127"):
        decode(incoming(Version.BEFORE, payload, Strikes()), 7)
    assert incoming(Version.NEXT, payload, Strikes()) == payload


@pytest.mark.parametrize("old", [Version.BEFORE, Version.STAMPING, Version.NEXT])
def test_rolling_change_of_version(old: Version) -> None:
    """A cluster goes to the current version server by server; with newer data that is refused, and it goes on as it was."""
    faults = _changes(Version.CURRENT, 1, 2, 3)
    report = run_schedule(steady(*faults, seconds=3.5, versions={1: old, 2: old, 3: old}))
    assert report.ok, report.violations
    assert report.strikes["version.changed_to_current"] == 3
    assert report.strikes[f"version.sent_by_{old.name.lower()}"]
    assert bool(report.strikes.get("version.refused_newer_data")) is (old is Version.NEXT)


def test_upgrade_and_way_back() -> None:
    """Upgraded data cannot be taken back to an older version, which says so; rolled forward again, nothing is lost."""
    faults = [*_changes(Version.NEXT, 1, 2), *_changes(Version.CURRENT, 1, first_at=2.4)]
    report = run_schedule(steady(*faults, seconds=3.8))
    assert report.ok, report.violations
    assert report.strikes["version.refused_newer_data"] == 1
    assert report.strikes["version.sent_by_next"]


def test_removed_server_of_the_first_version() -> None:
    """One that knows of no word that it was removed stays harmless, and the others put up with its silence."""
    removal = (Fault(at=1.2, kind="remove", servers=(1,)), Fault(at=1.0, kind="isolate", servers=(1,), seconds=1.0))
    report = run_schedule(steady(*removal, seconds=3.0, versions={1: 1}))
    assert report.ok, report.violations
    assert report.strikes["members.remove"] == 1


def test_seeds_mix_versions() -> None:
    """Some runs begin with servers of other versions, and some change them on the way."""
    schedules = [generate(seed) for seed in range(120)]
    first = {version for schedule in schedules for version in schedule.settings.versions.values()}
    later = {fault.value for schedule in schedules for fault in schedule.faults if fault.kind == "version"}
    assert first == {1, 2, 3}
    assert later == {0.0, 1.0, 2.0, 3.0}
    contained = [schedule for schedule in schedules if schedule.settings.mode == "contained"]
    assert not any(schedule.settings.versions for schedule in contained)
