"""The labs' indices: they count commands alone, while the core's log also holds the no-op of each new leader (NO-1)."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable

from oarlock.raft.types import Entry, EntryKind, Index


class Numbering:
    """Which command stands where in a log.

    Args:
        base: The core's index up to which the log is compacted away.
        base_number: How many commands there were up to and with it.
        entries: All that follow.
    """

    def __init__(self, base: Index, base_number: int, entries: Iterable[Entry] = ()) -> None:
        self.base = base
        self.base_number = base_number
        self._others: list[Index] = [entry.index for entry in entries if entry.kind is not EntryKind.COMMAND]
        """Entries after the base that are no commands, in order."""

    def number_at(self, index: Index) -> int:
        """How many commands the log has up to and with a core index, which must not be below the base."""
        return self.base_number + index - self.base - bisect_right(self._others, index)

    def index_of(self, number: int) -> Index:
        """Where the command of a number stands, or will stand; the number must be above the base's."""
        index = self.base + number - self.base_number
        for other in self._others:
            if other > index:
                break
            index += 1
        return index

    def overwrite(self, entries: list[Entry]) -> None:
        """These entries were written, in place of whatever stood there and after."""
        del self._others[bisect_left(self._others, entries[0].index) :]
        self._others += [entry.index for entry in entries if entry.kind is not EntryKind.COMMAND]

    def compact(self, base: Index) -> None:
        """The log up to an index, which it has, is dropped; what follows stays."""
        self.base_number = self.number_at(base)
        self.base = base
        del self._others[: bisect_right(self._others, base)]
