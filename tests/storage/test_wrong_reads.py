"""A device that once answers a read with the wrong bytes makes the log refuse to open; it never makes it forget."""

import random
from collections.abc import Iterator
from pathlib import Path

from tests.storage.crashing_disk import CrashingDisk, CrashingFile
from tests.storage.log_model import DIRECTORY, SEGMENT_BYTES, entries, image, images, new_disk, open_log

from oarlock.raft.types import HardState
from oarlock.storage import Batch, CorruptLog, ReadFailed, WriteAheadLog
from oarlock.storage.records import SECTOR

APPENDS = [
    [Batch(HardState(1, 2), entries(1, 2))],
    [Batch(None, entries(3, 1, size=1200))],
    [Batch(HardState(2, None), entries(4, 1, 2))],
]


class WrongOnce:
    """A disk of which one read, by its number, has a sector of zeros or of another place."""

    def __init__(self, disk: CrashingDisk, wrong_read: int, rng: random.Random) -> None:
        self._disk = disk
        self.wrong_read = wrong_read
        self.rng = rng
        self.reads = 0
        self.has_struck = False

    def __getattr__(self, name: str) -> object:
        return getattr(self._disk, name)

    def open(self, path: Path, *, create: bool = False) -> "WrongFile":
        return WrongFile(self, self._disk.open(path, create=create))


class WrongFile:
    """One of its files."""

    def __init__(self, disk: WrongOnce, file: CrashingFile) -> None:
        self._disk = disk
        self._file = file

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)

    def pread(self, length: int, offset: int) -> bytes:
        data = self._file.pread(length, offset)
        disk = self._disk
        disk.reads += 1
        if disk.reads - 1 != disk.wrong_read or not any(data):
            return data
        written = [at for at in range(0, len(data), SECTOR) if any(data[at : at + SECTOR])]
        at = disk.rng.choice(written)
        size = len(data[at : at + SECTOR])
        elsewhere = self._file.pread(size, disk.rng.choice(written) + offset).ljust(size, b"\0")
        other = disk.rng.choice([bytes(size), elsewhere])
        disk.has_struck = data[at : at + size] != other
        return data[:at] + other + data[at + size :]


def _written(count: int) -> CrashingDisk:
    """A log that was killed after so many appends: the last record is no seal."""
    disk = new_disk()
    log, _ = open_log(disk)
    for batches in APPENDS[:count]:
        log.append_many(batches)
    disk.settle()
    return disk


def _opened_wrongly() -> Iterator[tuple[int, CrashingDisk, object]]:
    """How many appends there were, the disk, and what the log held, or why it refused."""
    for count in range(1, len(APPENDS) + 1):
        for wrong_read in range(12):
            for seed in range(8):
                disk = _written(count)
                wrong = WrongOnce(disk, wrong_read, random.Random(seed))
                try:
                    found: object = image(
                        WriteAheadLog.open(wrong, DIRECTORY, segment_bytes=SEGMENT_BYTES)[1]  # type: ignore[arg-type]
                    )
                except (CorruptLog, ReadFailed) as refusal:
                    found = refusal
                if wrong.has_struck:
                    yield count, disk, found


def test_wrong_read_never_shortens_the_log() -> None:
    """Whichever read it is, the log opens with all that it held, or not now; and the next time with all."""
    held = images(APPENDS)
    outcomes = []
    for count, disk, found in _opened_wrongly():
        assert isinstance(found, CorruptLog | ReadFailed) or found == held[count]
        assert image(open_log(disk)[1]) == held[count]
        outcomes.append(type(found))
    assert outcomes.count(CorruptLog) >= 5
    assert outcomes.count(ReadFailed) >= 5
