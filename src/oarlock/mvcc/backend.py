"""What the store asks of a database: one atomic, durable batch at a time, and consistent views.

Two named databases: `key` maps revision keys to marshalled KeyValues, `meta` maps names to opaque bytes. Both keep what
they hold with checksums (see `checksums`), so that whatever reads may raise `CorruptStoreError`. Methods say which
thread may call them: "loop" is the thread that owns the store, "executor" any other, one at a time.
"""

from collections.abc import Iterable, Iterator
from typing import Protocol

import msgspec


class Batch(msgspec.Struct):
    """What one commit writes, all of it or nothing."""

    records: dict[bytes, bytes]
    """New revision keys with their KeyValues, ascending and above every key in the database."""
    deletions: list[int]
    """Revisions, as the index writes them, that a compaction dropped; they go after the records came."""
    meta: dict[str, bytes]
    """Names with their new values."""


class BackendView(Protocol):
    """The database as it was at one commit, unmoved by later ones; any one thread at a time may use it."""

    def records(self) -> Iterator[tuple[bytes, bytes]]:
        """Every revision key with its KeyValue, ascending.

        Raises:
            CorruptStoreError: while they are read: one is damaged; at the end: they are not those that were written.
        """

    def last_key(self) -> bytes:
        """The greatest revision key, empty when there is none."""

    def meta(self) -> dict[str, bytes]:
        """The whole `meta` database."""

    def close(self) -> None:
        """Let go of the pinned pages; may be called twice."""


class Backend(Protocol):
    """A database of revisions."""

    def get(self, key: bytes) -> bytes | None:
        """The KeyValue under a revision key, as of the last `refresh` (loop).

        Raises:
            CorruptStoreError: it is not what was written there.
        """

    def refresh(self) -> None:
        """Let `get` see the latest commit (loop)."""

    def write(self, batch: Batch) -> None:
        """Apply a batch in one transaction, durable on return (executor).

        Raises:
            StorageFullError: the disk is full; nothing changed.
            StorageBusyError: room must be made but a view is open; nothing changed.
            StorageFailedError: anything else.
        """

    def begin_view(self) -> BackendView:
        """Pin the latest commit (loop)."""

    def replace(self, records: Iterable[tuple[bytes, bytes]], meta: dict[str, bytes]) -> None:
        """Put an entirely new content in the place of the old one, atomically and durably (executor)."""

    def defragment(self) -> None:
        """Rewrite the database without its unused pages (executor)."""

    def size(self) -> int:
        """Bytes the database takes, unused pages included (loop)."""

    def size_in_use(self) -> int:
        """Bytes of it that hold data (loop)."""

    def close(self) -> None:
        """Release everything; open views become invalid (loop)."""
