"""What the monitor makes of disks: whose word counts, and how one takes another's place."""

import pytest
from msgspec.structs import replace

from oarlock.check.invariants import Monitor
from oarlock.check.membership import is_admission, is_safe_change
from oarlock.check.observed import LEADER, Observed, ObservedEntry
from oarlock.raft.types import NO_DISK, Configuration, HardState, SnapshotMetadata

VOTERS = frozenset({1, 2, 3})
NAMED = Configuration(voters=VOTERS, disks=((1, 10), (2, 20)))
WITHDRAWN = NAMED.with_disks({2: NO_DISK})
JOINT = Configuration(voters=VOTERS, voters_outgoing=frozenset({3, 4, 5}))


@pytest.mark.parametrize(
    ("old", "new", "is_safe"),
    [
        (NAMED, NAMED.with_disks({3: 30}), True),
        (JOINT, JOINT.with_disks({3: 30, 4: 40}), True),
        (NAMED, WITHDRAWN, True),
        (WITHDRAWN, NAMED.with_disks({2: 21}), True),
        (NAMED, NAMED.with_disks({2: 21}), False),
        (NAMED, replace(NAMED, disks=((1, 10),)), False),
        (WITHDRAWN, replace(NAMED, disks=((1, 10),)), False),
        (NAMED, NAMED.with_disks({1: NO_DISK, 2: NO_DISK}), False),
        (NAMED, replace(WITHDRAWN, voters=VOTERS | {4}), False),
        (JOINT.with_disks({3: 30}), JOINT.with_disks({3: NO_DISK}), False),
        (NAMED, replace(NAMED, voters=frozenset({1, 3})).with_disks({}), True),
    ],
)
def test_disks_are_replaced_one_step_at_a_time(old: Configuration, new: Configuration, *, is_safe: bool) -> None:
    """Naming a disk is always safe; another takes its place in two steps, of one voter, apart from other changes."""
    assert is_safe_change(old, new) is is_safe


def test_an_admission_is_no_change() -> None:
    """Only where disks are named that were not, several may be under way."""
    assert is_admission(NAMED, NAMED.with_disks({3: 30}))
    assert not is_admission(NAMED, WITHDRAWN)
    assert not is_admission(NAMED, replace(NAMED, learners=frozenset({4})))


def entry(index: int) -> ObservedEntry:
    return ObservedEntry(index, 1, f"entry {index}")


@pytest.mark.parametrize(("disk_id", "properties"), [(20, []), (21, ["committed on a durable quorum"])])
def test_only_admitted_disks_make_a_quorum(disk_id: int, properties: list[str]) -> None:
    """An entry that only another disk has beside the leader's is not committed."""
    monitor = Monitor()
    base = SnapshotMetadata(configuration=NAMED)
    held = {"current_term": 1, "base": base, "last_index": 1, "entries": (entry(1),), "durable_index": 1}
    seen = [
        Observed(server_id=1, disk_id=10, role=LEADER, voted_for=1, durable_hard_state=HardState(1, 1), **held),
        Observed(server_id=2, disk_id=disk_id, **held),
    ]
    seen.append(replace(seen[0], entries=(), commit_index=1))
    found = [violation.name for each in seen for violation in monitor.observe(each)]
    assert found == properties


def test_what_a_lost_disk_had_acknowledged_counts() -> None:
    """A disk is replaced after its word was taken: what that committed is committed, and match_index may fall."""
    monitor = Monitor()
    base = SnapshotMetadata(configuration=NAMED)
    held = {"current_term": 1, "base": base, "last_index": 1, "entries": (entry(1),), "durable_index": 1}
    leader = Observed(server_id=1, disk_id=10, role=LEADER, voted_for=1, durable_hard_state=HardState(1, 1), **held)
    seen = [
        leader,
        Observed(server_id=2, disk_id=20, **held),
        replace(leader, entries=(), match_index=((2, 1),)),
        Observed(server_id=2, disk_id=21, incarnation=1, disk_is_intact=False, current_term=0, base=base, last_index=0),
        replace(leader, entries=(), match_index=((2, 0),)),
        replace(leader, entries=(), match_index=((2, 0),), commit_index=1),
    ]
    assert [violation for each in seen for violation in monitor.observe(each)] == []
