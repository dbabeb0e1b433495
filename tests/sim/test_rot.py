"""Where bits rot: each region is what its name says, and the server's own code is made to notice."""

import random
from pathlib import Path

import pytest

from oarlock.mvcc.backend import Batch as Records
from oarlock.mvcc.errors import CorruptStoreError
from oarlock.mvcc.store import Store
from oarlock.raft.types import Entry, EntryKind, HardState
from oarlock.sim.backend import SimBackend
from oarlock.sim.disk import SimDisk
from oarlock.sim.rot import Region, records, rot
from oarlock.sim.strikes import Strikes
from oarlock.storage.disk import make_directory
from oarlock.storage.errors import CorruptLog
from oarlock.storage.records import HEADER_BYTES
from oarlock.storage.wal import Recovered, WriteAheadLog

LOG = Path("/data/wal")


def _disk(seed: int, *, seal: bool = False) -> SimDisk:
    """With a log of a few appends, the last of which nothing follows but, if asked for, a seal."""
    disk = SimDisk(random.Random(seed), Strikes())
    make_directory(disk, LOG)
    log, _ = WriteAheadLog.open(disk, LOG, segment_bytes=8192)
    for index in range(1, 6):
        log.append(
            hard_state=HardState(index, 1) if index % 2 else None,
            entries=[Entry(index, index, EntryKind.COMMAND, b"command" * 20)],
        )
    if seal:
        log.seal()
    disk.end_process()
    return disk


def _open(disk: SimDisk) -> Recovered:
    return WriteAheadLog.open(disk, LOG, segment_bytes=8192)[1]


@pytest.mark.parametrize("region", ["log_header", "log_body", "hard_state"])
def test_damage_within_the_log_is_refused(region: Region) -> None:
    """One bit in a record's header, in its body, or in the hard state at the body's head, is noticed at every start."""
    for seed in range(25):
        disk = _disk(seed)
        before = {id(record.inode): bytes(record.inode.device) for record in records(disk)}
        starts = [record.offset for record in records(disk)]
        assert rot(disk, region)
        changed = [
            at
            for inode in {id(record.inode): record.inode for record in records(disk)}.values()
            for at, byte in enumerate(inode.device)
            if byte != before[id(inode)][at]
        ]
        assert len(changed) <= 1
        if changed:
            within = changed[0] - max(start for start in starts if start <= changed[0])
            assert (within < HEADER_BYTES) is (region == "log_header")
            assert region != "hard_state" or within < HEADER_BYTES + 6
        with pytest.raises(CorruptLog):
            _open(disk)
        assert disk.strikes[f"rot.{region}"] == 1


@pytest.mark.parametrize("seal", [False, True], ids=["", "sealed"])
def test_damage_behind_the_log_is_harmless(seal: bool) -> None:
    """Behind the last record, and in a seal, nothing was promised: the log opens with all that it held."""
    for seed in range(25):
        disk = _disk(seed, seal=seal)
        assert rot(disk, "log_tail")
        assert len(_open(disk).entries) == 5


def test_damage_to_the_last_record_is_a_torn_write() -> None:
    """It cannot be told from one, unless a seal follows: then that region does not exist."""
    for seed in range(10):
        disk = _disk(seed)
        assert rot(disk, "last_record")
        assert len(_open(disk).entries) == 4
    assert not rot(_disk(0, seal=True), "last_record")


def test_what_is_not_there_cannot_rot() -> None:
    """A region that a disk does not have yet is passed over."""
    disk = SimDisk(random.Random(1), Strikes())
    make_directory(disk, LOG)
    for region in ("log_header", "log_body", "hard_state", "log_tail", "last_record", "snapshot", "identity", "boot"):
        assert not rot(disk, region)
    assert not SimBackend(disk).rot()
    assert not SimBackend(disk).lose_page()


@pytest.mark.parametrize("damage", ["rot", "lose_page"])
def test_damage_to_the_database_is_refused(damage: str) -> None:
    """A bit of a record or of its meta, or records that are gone: no store opens on it."""
    for seed in range(20):
        backend = SimBackend(SimDisk(random.Random(seed), Strikes()))
        store = Store(backend)
        for number in range(5):
            writer = store.begin_write()
            writer.put(b"key%d" % number, b"value", 0)
            writer.end()
        store.commit()
        assert getattr(backend, damage)()
        with pytest.raises(CorruptStoreError):
            Store(backend)
        with pytest.raises(CorruptStoreError):  # nor a copy of it
            Store(backend.after_power_loss())


def test_lying_disk_forgets_what_the_database_was_told() -> None:
    """Since the lie began nothing of the database is on the device; once syncs are honest again, all is."""
    disk = SimDisk(random.Random(1), Strikes())
    backend = SimBackend(disk)
    backend.write(Records({b"k" * 17: b"1"}, [], {}))
    disk.lies = True
    backend.write(Records({b"l" * 17: b"2"}, [], {}))
    assert backend.after_power_loss().get(b"l" * 17) is None
    disk.lies = False
    backend.write(Records({b"m" * 17: b"3"}, [], {}))
    assert backend.after_power_loss().get(b"l" * 17) == b"2"
