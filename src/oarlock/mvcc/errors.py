"""What can go wrong in the store; the texts of the first two are etcd's own."""


class MvccError(Exception):
    """Any failure of the multi-version store."""


class CompactedError(MvccError):
    """The revision asked for lies below the compacted one."""

    def __init__(self, compact_revision: int) -> None:
        super().__init__("mvcc: required revision has been compacted")
        self.compact_revision = compact_revision


class FutureRevisionError(MvccError):
    """The revision asked for has not been written yet."""

    def __init__(self, current_revision: int) -> None:
        super().__init__("mvcc: required revision is a future revision")
        self.current_revision = current_revision


class StorageFullError(MvccError):
    """The disk has no room for the batch; nothing of it was written, so it may be tried again later."""


class StorageBusyError(MvccError):
    """The memory map must grow but a pinned view forbids it; try the batch again after the view is closed."""


class StorageFailedError(MvccError):
    """The database could not be read or written; what it holds can no longer be trusted to be current."""


class CorruptStoreError(MvccError):
    """The database holds something this store never writes; the text names the place."""


class CorruptSnapshotError(MvccError, ValueError):
    """A snapshot stream is damaged, cut short or of an unknown format; nothing was replaced."""


class StoreClosedError(MvccError):
    """The store was used after `close`."""
