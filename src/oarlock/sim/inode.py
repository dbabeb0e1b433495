"""What a simulated disk is made of: files and directories, each as a process sees it and as the device holds it."""

import random
from typing import Final

from oarlock.sim.strikes import Strikes

SECTOR: Final = 512
"""What the device writes as one, unless it is torn."""


class Inode:
    """A file's content: as the process sees it, and as the device holds it."""

    __slots__ = ("cache", "device", "dirty", "earlier", "sizes")

    def __init__(self) -> None:
        self.cache = bytearray()
        self.device = bytearray()
        self.dirty: dict[int, None] = {}
        """Numbers of the sectors that were written since the last sync, in the order in which they were."""
        self.earlier: dict[int, list[bytes]] = {}
        """What was in such a sector before it was written again: the device may have that, too."""
        self.sizes: list[int] = []
        """Every size that the file was given since the last sync."""

    @property
    def is_clean(self) -> bool:
        """Whether a sync has nothing to do."""
        return not self.dirty and not self.sizes

    def write(self, data: bytes | memoryview, offset: int) -> None:
        """Change the cache."""
        end = offset + len(data)
        if end > len(self.cache):
            self.cache.extend(bytes(end - len(self.cache)))
            self.sizes.append(end)
        dirty = self.dirty
        for sector in range(offset // SECTOR, -(-end // SECTOR)):
            if sector in dirty:
                self.earlier.setdefault(sector, []).append(bytes(self.cache[sector * SECTOR : (sector + 1) * SECTOR]))
            dirty[sector] = None
        self.cache[offset:end] = data

    def resize(self, size: int) -> None:
        """Change the cache's size."""
        if size < len(self.cache):
            del self.cache[size:]
            self.dirty = {sector: None for sector in self.dirty if sector * SECTOR < size}
            if size % SECTOR:
                self.dirty[size // SECTOR] = None
        else:
            self.cache.extend(bytes(size - len(self.cache)))
        self.sizes.append(size)

    def sync(self, lost: int | None = None) -> None:
        """Bring the device up to date.

        Args:
            lost: a sector that the device leaves as it was, though it claims to have written it.
        """
        for size in self.sizes:
            self._fit(size)
        for sector in self.dirty:
            if sector != lost:
                start = sector * SECTOR
                self.device[start : start + SECTOR] = self.cache[start : start + SECTOR]
        self.clean()

    def clean(self) -> None:
        """Take everything for synced."""
        self.dirty.clear()
        self.earlier.clear()
        self.sizes.clear()

    def lose_power(self, rng: random.Random, strikes: Strikes) -> None:
        """Keep an arbitrary part of what was not synced: each sector as it was at any moment since, or torn."""
        if self.sizes:
            self._keep_sizes(rng, strikes)
        style = rng.choice(("none", "all", "any", "any", "torn"))
        for sector in self.dirty:
            if style == "none" or (style != "all" and rng.random() < 0.5):
                strikes.hit("disk.unsynced_sector_lost")
                continue
            start = sector * SECTOR
            new = bytes(self.cache[start : start + SECTOR])
            if sector in self.earlier and rng.random() < 0.5:
                strikes.hit("disk.later_write_lost")
                new = rng.choice(self.earlier[sector])[: len(new)].ljust(len(new), b"\0")
            if style == "torn" and rng.random() < 0.5:
                old = bytes(self.device[start : start + SECTOR]).ljust(len(new), b"\0")
                new = _torn(new, old, rng, strikes)
            if start + len(new) <= len(self.device):
                self.device[start : start + len(new)] = new
        self.forget_cache()

    def _keep_sizes(self, rng: random.Random, strikes: Strikes) -> None:
        """Of the changes of the size the first few, as a journal does; half the time all."""
        kept = len(self.sizes) if rng.random() < 0.5 else rng.randrange(len(self.sizes) + 1)
        for size in self.sizes[:kept]:
            self._fit(size)
        if kept < len(self.sizes):
            is_shorter = min(self.sizes[kept:]) < len(self.device)
            strikes.hit("disk.truncate_lost" if is_shorter else "disk.growth_lost")

    def forget_cache(self) -> None:
        """See what the device holds."""
        self.cache = bytearray(self.device)
        self.clean()

    def _fit(self, size: int) -> None:
        if size < len(self.device):
            del self.device[size:]
        else:
            self.device.extend(bytes(size - len(self.device)))


def _torn(new: bytes, old: bytes, rng: random.Random, strikes: Strikes) -> bytes:
    """A sector that was being written: its first part is new, or its last one, and the rest old, or garbage."""
    cut = rng.randrange(len(new) + 1)
    how = rng.choice(("prefix", "suffix", "garbage"))
    strikes.hit(f"disk.torn_{how}")
    if how == "prefix":
        return new[:cut] + old[cut:]
    if how == "suffix":
        return old[:cut] + new[cut:]
    return new[:cut] + rng.randbytes(len(new) - cut)


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
                lost, gained, _ = change
                strikes.hit(f"disk.{'creation' if lost is None else 'removal' if gained is None else 'rename'}_lost")
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
