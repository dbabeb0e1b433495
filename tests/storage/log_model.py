"""What a log must hold after each append: the oracle of this room's tests, and builders."""

from pathlib import Path

from tests.storage.crashing_disk import CrashingDisk

from oarlock.raft.types import Configuration, Entry, EntryKind, HardState, SnapshotMetadata
from oarlock.storage import Batch, Recovered, WriteAheadLog

DIRECTORY = Path("/data/wal")
SEGMENT_BYTES = 4096


def entry(index: int, term: int = 1, size: int = 20) -> Entry:
    """An entry whose data differs from every other's."""
    return Entry(index, term, EntryKind.COMMAND, (b"%d.%d " % (index, term)).ljust(size, b"."))


def entries(first: int, count: int, term: int = 1, size: int = 20) -> list[Entry]:
    """`count` entries from `first`."""
    return [entry(index, term, size) for index in range(first, first + count)]


def snapshot_at(index: int, term: int = 1) -> SnapshotMetadata:
    """Metadata of a snapshot of a three-server cluster."""
    return SnapshotMetadata(index, term, Configuration(voters=frozenset({1, 2, 3})))


class LogModel:
    """Hard state, base and entries, kept the obvious way."""

    def __init__(self) -> None:
        self.hard_state = HardState()
        self.base = SnapshotMetadata()
        self.entries: list[Entry] = []

    def apply(self, batch: Batch) -> None:
        if batch.base is not None:
            self.base = batch.base
            self.entries = [
                e for e in self.entries if e.index > batch.base.last_included_index and not batch.discard_log
            ]
        if batch.hard_state is not None:
            self.hard_state = batch.hard_state
        if batch.entries:
            self.entries = [e for e in self.entries if e.index < batch.entries[0].index] + list(batch.entries)

    def image(self) -> tuple[HardState, SnapshotMetadata, list[Entry]]:
        return self.hard_state, self.base, list(self.entries)


def image(recovered: Recovered) -> tuple[HardState, SnapshotMetadata, list[Entry]]:
    """What was recovered, as `LogModel.image` says it."""
    return recovered.hard_state, recovered.base, recovered.entries


def images(appends: list[list[Batch]]) -> list[tuple[HardState, SnapshotMetadata, list[Entry]]]:
    """What the log must hold before the first append and after each."""
    model = LogModel()
    found = [model.image()]
    for batches in appends:
        for batch in batches:
            model.apply(batch)
        found.append(model.image())
    return found


def open_log(disk: CrashingDisk, **options: object) -> tuple[WriteAheadLog, Recovered]:
    """The log of these tests, in small segments."""
    return WriteAheadLog.open(disk, DIRECTORY, segment_bytes=SEGMENT_BYTES, **options)


def new_disk() -> CrashingDisk:
    """A disk with the data directory."""
    disk = CrashingDisk()
    disk.mkdir(DIRECTORY.parent)
    disk.settle()
    disk.operations.clear()
    return disk


SCRIPT: list[list[Batch]] = [
    [Batch(HardState(1, 2))],
    [Batch(None, entries(1, 3))],
    [Batch(None, entries(4, 2, size=700))],  # several sectors
    [Batch(None, entries(6, 1)), Batch(HardState(2, None), entries(7, 1, 2)), Batch(None, entries(7, 2, 2))],
    [Batch(HardState(2, 3), entries(8, 4, 2, size=300))],
    [Batch(None, entries(6, 2, 2))],  # a shorter log: 8 to 11 are gone
    [Batch(None, [], snapshot_at(5))],  # compaction
    [Batch(None, entries(8, 3, 2, size=400))],
    [Batch(HardState(3, 1), entries(40, 2, 3), snapshot_at(39, 3), discard_log=True)],  # installed snapshot
    [Batch(None, entries(42, 1, 3, size=5000))],  # larger than a segment
    [Batch(None, [], snapshot_at(41, 3))],
    [Batch(None, entries(43, 1, 3))],
]
"""Every kind of append, over several small segments."""
