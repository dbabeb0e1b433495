"""A compaction in progress: the index forgets in slices, and each commit takes a slice's records out of the database.

Nothing waits for it: from the moment it is scheduled, reads below its revision are refused, and reads above see the
same with or without the garbage. After a crash the index is rebuilt with what garbage is left, and the compaction
starts over. Records go oldest first within a key, so an old value never outlives the deletion that hid it.
"""

from oarlock.mvcc.buffer import WriteBuffer
from oarlock.mvcc.index import KeyIndex
from oarlock.mvcc.revision import key_of

SLICE_REVISIONS = 5000
"""Revisions dropped, or keys looked at, per commit; a few milliseconds on the loop."""


class Compaction:
    """The keys that still may hold something to drop."""

    __slots__ = ("_keys", "revision")

    def __init__(self, revision: int, index: KeyIndex) -> None:
        self.revision = revision
        # Keys that become garbage later hold nothing at or below `revision` that may go.
        self._keys = list(index.garbage)
        self._keys.reverse()

    def advance(self, index: KeyIndex, buffer: WriteBuffer, uncommitted_from: int) -> bool:
        """Drop one slice.

        Args:
            index: the store's index.
            buffer: where the deletions are noted for the next commit.
            uncommitted_from: revisions from this on may still be in the buffer only.

        Returns:
            Whether it is finished.
        """
        budget, keys = SLICE_REVISIONS, self._keys
        while keys and budget > 0:
            dropped = index.compact(keys[-1], self.revision, budget)
            if len(dropped) < budget:
                keys.pop()
            budget -= len(dropped) + 1
            for revision in dropped:
                if revision < uncommitted_from or not buffer.drop(key_of(revision)):
                    buffer.deletions.append(revision)
        return not keys
