"""A server whose cluster's majority is lost for good goes on alone, whenever the recovery is cut short."""

import random
from pathlib import Path

import msgspec
import pytest
from tests.storage.crashing_disk import Crash, CrashingDisk

from oarlock.node.config import NodeConfig
from oarlock.node.errors import RecoveryError
from oarlock.node.quorum_loss import REMOVED, alone, examine, recover_alone
from oarlock.node.recovery import OpenedStorage, open_storage
from oarlock.raft.types import NO_DISK, Configuration, Entry, EntryKind, HardState
from oarlock.storage.errors import CorruptIdentity, WrongIdentity
from oarlock.storage.identity import load_identity
from oarlock.storage.origin import GivenUp, Recovered, Restored, load_origin, write_origin

DIRECTORY = Path("/data/s3")
OLD, NEW_ID = 0xAB, 0xCD
AT = "2026-01-02T03:04:05+00:00"
ENTRIES = [
    Entry(1, 1, EntryKind.NOOP, b""),
    Entry(2, 1, EntryKind.COMMAND, b"x" * 100),
    Entry(3, 4, EntryKind.COMMAND, b"y"),
]


def config(cluster_id: int = OLD, **settings: object) -> NodeConfig:
    members = {server_id: (("10.0.0.1", 2380 + server_id),) for server_id in (1, 2, 3)}
    return NodeConfig(
        cluster_id=cluster_id, server_id=3, data_dir=str(DIRECTORY), members=members, segment_bytes=1 << 14, **settings
    )


def survivor_disk(*, members: dict[str, frozenset[int]] | None = None) -> CrashingDisk:
    """The disk of server 3, stopped, with some log."""
    disk = CrashingDisk()
    disk.mkdir(Path("/data"))
    opened = open_storage(config(), disk, 1)
    opened.wal.append(hard_state=HardState(5, 1), entries=ENTRIES)
    if members is not None:
        configuration = Configuration(**members, addresses=opened.recovered.base.configuration.addresses)
        opened.wal.append(entries=[Entry(4, 5, EntryKind.CONFIGURATION, msgspec.msgpack.encode(configuration))])
    opened.close()
    disk.settle()
    return disk


def recover(disk: CrashingDisk, cluster_id: int = NEW_ID) -> Recovered:
    survivor = examine(disk, DIRECTORY)
    return recover_alone(disk, DIRECTORY, survivor, wal_dir=None, cluster_id=cluster_id, committed=2, at=AT)


def in_force(opened: OpenedStorage) -> Configuration:
    found = opened.recovered
    changes = [entry for entry in found.entries if entry.kind is EntryKind.CONFIGURATION]
    return msgspec.msgpack.decode(changes[-1].data, type=Configuration) if changes else found.base.configuration


def test_the_survivor_is_the_only_voter_of_another_cluster() -> None:
    """Its log is kept whole, an entry of a term of its own follows, and the directory tells what was done."""
    disk = survivor_disk()
    origin = recover(disk)
    assert load_identity(disk, DIRECTORY).cluster_id == NEW_ID
    opened = open_storage(config(NEW_ID), disk, 1)
    assert opened.recovered.hard_state == HardState(6, 3)
    assert opened.recovered.entries[:-1] == ENTRIES
    assert (opened.recovered.entries[-1].index, opened.recovered.entries[-1].term) == (4, 6)
    configuration = in_force(opened)
    assert configuration.voters == configuration.members == {3}
    assert dict(configuration.addresses)[1] == ("10.0.0.1:2381",), "so the id is never used again"
    opened.close()
    assert load_origin(disk, DIRECTORY, NEW_ID) == origin
    assert load_origin(disk, DIRECTORY, OLD) is None
    assert (origin.previous_cluster_id, origin.server_id, origin.index, origin.term) == (OLD, 3, 4, 6)
    assert origin.given_up == (GivenUp(1, True, ("10.0.0.1:2381",)), GivenUp(2, True, ("10.0.0.1:2382",)))
    with pytest.raises(WrongIdentity, match="belongs to cluster cd"):
        open_storage(config(), disk, 1)


def test_a_crash_leaves_the_old_state_or_the_new() -> None:
    """Power fails at any operation, in any way: the directory starts as it was, or recovered; and can be recovered."""
    rng = random.Random(1)
    before = survivor_disk()
    states: set[int] = set()
    finished = False
    crash_at = 0
    while not finished:
        disk = before.copy()
        disk.crash_at = len(disk.operations) + crash_at
        try:
            recover(disk)
            finished = True
        except Crash:
            pass
        disk.locked.clear()
        for lost in disk.power_losses(rng, most=8):
            states.add(_check_either(lost.copy()))
            again = lost.copy()
            survivor = examine(again, DIRECTORY)
            if not survivor.is_alone:
                recover(again, 0xEF)
            assert _check_either(again) != OLD
        crash_at += 1
    assert states == {OLD, NEW_ID}


def _check_either(disk: CrashingDisk) -> int:
    """Start from a directory, old or new, and give its cluster's id."""
    cluster_id = load_identity(disk, DIRECTORY).cluster_id
    opened = open_storage(config(cluster_id), disk, 1)
    found = opened.recovered
    assert found.entries[:3] == ENTRIES
    if cluster_id == OLD:
        assert (found.hard_state, len(found.entries)) == (HardState(5, 1), 3)
        assert in_force(opened).voters == {1, 2, 3}
    else:
        assert (found.hard_state, len(found.entries)) == (HardState(6, 3), 4)
        assert in_force(opened).members == {3}
    opened.close()
    return cluster_id


def test_once_is_enough() -> None:
    """A server that is alone has nobody to give up; one that grew again, and lost its majority again, has."""
    disk = survivor_disk()
    recover(disk)
    assert examine(disk, DIRECTORY).is_alone
    opened = open_storage(config(NEW_ID), disk, 1)
    grown = Configuration(voters=frozenset({3, 7, 8}), addresses=((3, ("a:1",)), (7, ("b:1",)), (8, ("c:1",))))
    opened.wal.append(entries=[Entry(5, 6, EntryKind.CONFIGURATION, msgspec.msgpack.encode(grown))])
    opened.close()
    survivor = examine(disk, DIRECTORY)
    assert not survivor.is_alone
    assert survivor.unfinished is None
    assert [gone.server_id for gone in survivor.given_up()] == [7, 8]
    recover(disk, 0xEF)
    assert load_origin(disk, DIRECTORY, 0xEF).previous_cluster_id == NEW_ID
    assert load_origin(disk, DIRECTORY, NEW_ID).previous_cluster_id == OLD, "the first one stays on record"
    assert examine(disk, DIRECTORY).is_alone


def test_a_joint_configuration_and_a_learner() -> None:
    """Half-way through joint consensus, and for a learner too, the survivor alone remains."""
    joint = {"voters": frozenset({3, 4}), "voters_outgoing": frozenset({1, 3})}
    learner = {"voters": frozenset({1, 2}), "learners": frozenset({3})}
    for members, lost in ((joint, [(1, True), (4, True)]), (learner, [(1, True), (2, True)])):
        disk = survivor_disk(members=members)
        survivor = examine(disk, DIRECTORY)
        assert [(gone.server_id, gone.had_vote) for gone in survivor.given_up()] == lost
        recover(disk)
        opened = open_storage(config(NEW_ID), disk, 1)
        assert in_force(opened).voters == {3}
        assert not in_force(opened).is_joint
        assert not in_force(opened).learners
        opened.close()


def test_a_replaced_disk_is_told_of_and_counts_from_then_on() -> None:
    """A survivor whose log admits another disk may lack much; recovered, its word counts, else it would wait for ever."""
    disk = survivor_disk()
    assert not examine(disk, DIRECTORY).may_have_forgotten
    opened = open_storage(config(), disk, 1, 99)
    assert opened.disk_id == 99
    other = Configuration(voters=frozenset({1, 2, 3}), disks=((1, 7), (3, 98)))
    opened.wal.append(entries=[Entry(4, 5, EntryKind.CONFIGURATION, msgspec.msgpack.encode(other))])
    opened.close()
    assert examine(disk, DIRECTORY).may_have_forgotten
    recover(disk)
    opened = open_storage(config(NEW_ID), disk, 1)
    assert opened.disk_id == 99, "it is the same directory"
    assert in_force(opened).counts(3, 99)
    opened.close()
    assert not examine(disk, DIRECTORY).may_have_forgotten


def test_what_is_not_known_to_be_committed() -> None:
    """Entries behind what the data hold are named one by one."""
    survivor = examine(survivor_disk(), DIRECTORY)
    assert (survivor.last_index, survivor.last_term) == (3, 4)
    assert survivor.entries_after(0) == ENTRIES
    assert survivor.entries_after(2) == ENTRIES[2:]
    assert survivor.entries_after(3) == []


def test_nothing_to_go_on_with() -> None:
    """No data, no log, a server that was removed, one that never caught up: refused, with what is wrong."""
    empty = CrashingDisk()
    empty.mkdir(Path("/data"))
    with pytest.raises(RecoveryError, match="there is no identity in it"):
        examine(empty, DIRECTORY)
    without_log = survivor_disk()
    for path in without_log.files():
        if path.parent.name == "wal":
            without_log.remove(path)
    with pytest.raises(RecoveryError, match="/data/s3/wal holds no log"):
        examine(without_log, DIRECTORY)
    removed = survivor_disk()
    removed.open(DIRECTORY / REMOVED, create=True).close()
    with pytest.raises(RecoveryError, match="was removed from its cluster"):
        examine(removed, DIRECTORY)
    other = survivor_disk(members={"voters": frozenset({1, 2})})
    with pytest.raises(RecoveryError, match="is no member"):
        examine(other, DIRECTORY)


def test_alone_keeps_nothing_of_the_old_cluster_but_addresses() -> None:
    """No vote, no half of a joint configuration, no disk that would have to speak first."""
    before = Configuration(
        disks=((1, 7), (2, NO_DISK)),
        voters=frozenset({1, 2}),
        voters_outgoing=frozenset({2, 3}),
        learners=frozenset({4}),
        addresses=((1, ("a",)), (2, ("b",)), (9, ("gone",))),
    )
    assert alone(before, 2) == Configuration(
        voters=frozenset({2}), addresses=((2, ("b",)), (1, ("a",)), (9, ("gone",)))
    )


def test_a_note_of_origin_is_checked() -> None:
    """Notes of both kinds come back as written; damage of any byte is refused."""
    disk = survivor_disk()
    restored = Restored(cluster_id=0xEE, server_id=3, at=AT, source="backup.db", sha256="00" * 32, revision=12)
    write_origin(disk, DIRECTORY, restored)
    assert load_origin(disk, DIRECTORY, 0xEE) == restored
    path = DIRECTORY / f"origin-{0xEE:016x}"
    whole = bytes(disk.content(path))
    for position in range(len(whole) - 1):
        disk.content(path)[position] ^= 1
        with pytest.raises(CorruptIdentity):
            load_origin(disk, DIRECTORY, 0xEE)
        disk.content(path)[:] = whole
