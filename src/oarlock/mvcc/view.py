"""A view: the whole store as it stood at one applied index, while writes go on."""

from collections.abc import Iterator
from itertools import chain

import msgspec

from oarlock.mvcc.backend import BackendView
from oarlock.mvcc.revision import key_of


class View(msgspec.Struct):
    """Pinned by `Store.begin_view`; read it in any one thread, then close it.

    It is the database's latest commit with the uncommitted records laid over it, so nothing need be committed first.
    """

    applied_index: int
    applied_term: int
    current_revision: int
    compact_revision: int
    meta: dict[str, bytes]
    """Every name of the `meta` database with its value at that moment."""
    base: BackendView
    overlay: dict[bytes, bytes]
    deletions: list[int]

    def records(self) -> Iterator[tuple[bytes, bytes]]:
        """Every revision key with its marshalled KeyValue, ascending."""
        # A commit may have landed since: then the base already holds the overlay's first records.
        last = self.base.last_key()
        newer = ((key, data) for key, data in self.overlay.items() if key > last)
        every = chain(self.base.records(), newer)
        if not self.deletions:
            return every
        deleted = set(map(key_of, self.deletions))
        return ((key, data) for key, data in every if key not in deleted)

    def close(self) -> None:
        """Let go of the pinned commit."""
        self.base.close()
