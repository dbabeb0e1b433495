"""The log and the snapshots never disagree after a crash, when used in the documented order.

Compaction: snapshot in place, then the log's base, then older snapshots go. Installing: chunks, finish, then the
log's base, then (not here) the machine. At each instant the newest snapshot reaches the log's base or lies above it,
so that snapshot and log together hold everything acknowledged.
"""

import random
from pathlib import Path

import pytest
from tests.storage.crashing_disk import Crash, CrashingDisk
from tests.storage.log_model import entries, open_log, snapshot_at
from tests.storage.test_snapshots import chunks

from oarlock.raft.types import HardState
from oarlock.storage import SnapshotStore

SNAPSHOTS = Path("/data/snapshots")


def state(index: int) -> bytes:
    """The machine's state after applying up to `index`."""
    return b" ".join(b"%d" % i for i in range(1, index + 1))


def compact(disk: CrashingDisk, acknowledged: list[int]) -> None:
    """Append and compact in turns."""
    log, _ = open_log(disk)
    store = SnapshotStore(disk, SNAPSHOTS)
    for step in range(1, 5):
        log.append(hard_state=HardState(step, 1), entries=entries(4 * step - 3, 4, size=400))
        acknowledged[0] = 4 * step
        metadata = snapshot_at(4 * step - 2)
        store.create(metadata, lambda out, step=step: out.write(state(4 * step - 2)))
        log.append(base=metadata)
        store.remove_older(metadata.last_included_index)


def install(disk: CrashingDisk, acknowledged: list[int]) -> None:
    """A divergent log is replaced by a received snapshot."""
    log, _ = open_log(disk)
    store = SnapshotStore(disk, SNAPSHOTS)
    log.append(hard_state=HardState(1, 1), entries=entries(1, 9, size=400))
    acknowledged[0] = 0  # none of these is committed
    metadata = snapshot_at(5)
    for offset, data in chunks(5):
        store.write_chunk(metadata, offset, data)
    store.finish(metadata)
    log.append(base=metadata, discard_log=True)
    acknowledged[0] = 5
    log.append(entries=entries(6, 2, 2))
    acknowledged[0] = 7


@pytest.mark.parametrize("script", [compact, install])
def test_power_loss_at_every_operation(script) -> None:
    """Whenever power is lost, a sound snapshot at or above the log's base exists, and everything acknowledged is there."""
    rng = random.Random(1)
    crash_at = 0
    while True:
        disk = CrashingDisk()
        disk.mkdir(Path("/data"))
        disk.settle()
        disk.operations.clear()
        disk.crash_at = crash_at
        acknowledged = [0]
        try:
            script(disk, acknowledged)
            finished = True
        except Crash:
            finished = False
        for survivor in [disk.killed(), *disk.power_losses(rng, most=16, garbage=True)]:
            _, recovered = open_log(survivor)
            store = SnapshotStore(survivor, SNAPSHOTS)
            latest = store.latest()
            base = recovered.base.last_included_index
            reached = 0
            if latest is not None:
                reached = latest.metadata.last_included_index
                with store.open(latest.metadata) as stream:
                    assert script is install or stream.read() == state(reached)
            assert reached >= base
            assert [e.index for e in recovered.entries] == list(range(base + 1, base + 1 + len(recovered.entries)))
            assert max(reached, base + len(recovered.entries)) >= acknowledged[0]
        if finished:
            return
        crash_at += 1
