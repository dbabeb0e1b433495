"""What a simulated disk is made of: files and directories, each as a process sees it and as the device holds it."""

import random
from typing import Final

from oarlock.sim.strikes import Strikes

SECTOR: Final = 512
"""What the device writes as one, unless it is torn."""


class Inode:
    """A file's content: as the process sees it, and as the device holds it."""

    __slots__ = ("cache", "device", "dirty", "size_changed")

    def __init__(self) -> None:
        self.cache = bytearray()
        self.device = bytearray()
        self.dirty: dict[int, None] = {}
        """Numbers of the sectors that differ, in the order in which they were written."""
        self.size_changed = False

    def write(self, data: bytes, offset: int) -> None:
        """Change the cache."""
        end = offset + len(data)
        if end > len(self.cache):
            self.cache.extend(bytes(end - len(self.cache)))
            self.size_changed = True
        self.cache[offset:end] = data
        for sector in range(offset // SECTOR, -(-end // SECTOR)):
            self.dirty[sector] = None

    def resize(self, size: int) -> None:
        """Change the cache's size."""
        if size < len(self.cache):
            del self.cache[size:]
            self.dirty = {sector: None for sector in self.dirty if sector * SECTOR < size}
            if size % SECTOR:
                self.dirty[size // SECTOR] = None
        else:
            self.cache.extend(bytes(size - len(self.cache)))
        self.size_changed = True

    def sync(self) -> None:
        """Bring the device up to date."""
        self._fit(len(self.cache))
        for sector in self.dirty:
            start = sector * SECTOR
            self.device[start : start + SECTOR] = self.cache[start : start + SECTOR]
        self.clean()

    def clean(self) -> None:
        """Take everything for synced."""
        self.dirty.clear()
        self.size_changed = False

    def lose_power(self, rng: random.Random, strikes: Strikes) -> None:
        """Keep an arbitrary part of what was not synced."""
        if self.size_changed and rng.random() < 0.5:
            self._fit(len(self.cache))
            strikes.hit("disk.unsynced_size_kept")
        style = rng.choice(("none", "all", "any", "any", "torn"))
        for sector in self.dirty:
            if style == "none" or (style != "all" and rng.random() < 0.5):
                strikes.hit("disk.unsynced_sector_lost")
                continue
            start = sector * SECTOR
            new = self.cache[start : start + SECTOR]
            if style == "torn" and rng.random() < 0.5:
                strikes.hit("disk.sector_torn")
                cut = rng.randrange(len(new) + 1)
                old = self.device[start : start + SECTOR].ljust(len(new), b"\0")
                new = rng.choice(
                    (new[:cut] + old[cut:], old[:cut] + new[cut:], new[:cut] + rng.randbytes(len(new) - cut))
                )
            if start + len(new) <= len(self.device):
                self.device[start : start + len(new)] = new
        self.forget_cache()

    def forget_cache(self) -> None:
        """See what the device holds."""
        self.cache = bytearray(self.device)
        self.clean()

    def _fit(self, size: int) -> None:
        if size < len(self.device):
            del self.device[size:]
        else:
            self.device.extend(bytes(size - len(self.device)))


class Directory:
    """Names, as the process sees them and as the device holds them; what changed, in order."""

    __slots__ = ("changes", "device", "names")

    def __init__(self) -> None:
        self.names: dict[str, Inode | Directory] = {}
        self.device: dict[str, Inode | Directory] = {}
        self.changes: list[tuple[str | None, str | None, Inode | Directory]] = []
        """Name lost, name gained, and whose."""

    def change(self, lost: str | None, gained: str | None, what: "Inode | Directory") -> None:
        """Change a name."""
        self._apply(self.names, lost, gained, what)
        self.changes.append((lost, gained, what))

    def sync(self) -> None:
        """Bring the device up to date."""
        self.device = dict(self.names)
        self.changes.clear()

    def lose_power(self, rng: random.Random, strikes: Strikes) -> None:
        """Keep an arbitrary part of the changes: mostly the first few, as a journal does."""
        in_order = rng.random() < 0.7
        kept = rng.randrange(len(self.changes) + 1)
        for number, change in enumerate(self.changes):
            if number < kept if in_order else rng.random() < 0.5:
                self._apply(self.device, *change)
            else:
                strikes.hit("disk.name_change_lost")
        self.names = dict(self.device)
        self.changes.clear()

    @staticmethod
    def _apply(
        names: "dict[str, Inode | Directory]", lost: str | None, gained: str | None, what: "Inode | Directory"
    ) -> None:
        if lost is not None:
            names.pop(lost, None)
        if gained is not None:
            names[gained] = what
