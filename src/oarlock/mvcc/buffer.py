"""What is applied but not yet committed; reads look here before they look into the database."""

from oarlock.mvcc.backend import Batch


class WriteBuffer:
    """The batch that fills and, while a commit runs elsewhere, the batch being written."""

    __slots__ = ("committing", "deletions", "meta", "records", "size_bytes")

    def __init__(self) -> None:
        self.records: dict[bytes, bytes] = {}
        """In order of revision, because revisions only grow."""
        self.deletions: list[int] = []
        self.meta: dict[str, bytes] = {}
        self.size_bytes = 0
        """Bytes of keys and values in `records`."""
        self.committing: Batch | None = None

    def get(self, key: bytes) -> bytes | None:
        """The KeyValue under a revision key, if it is not committed yet."""
        value = self.records.get(key)
        if value is None and self.committing is not None:
            value = self.committing.records.get(key)
        return value

    def take(self) -> Batch | None:
        """Hand out what has gathered, to be written; None when nothing has."""
        if not (self.records or self.deletions or self.meta):
            return None
        self.committing = Batch(self.records, self.deletions, self.meta)
        self.records, self.deletions, self.meta, self.size_bytes = {}, [], {}, 0
        return self.committing

    def put_back(self) -> None:
        """The batch handed out was not written: take it back, before what came since."""
        batch, self.committing = self.committing, None
        if batch is not None:
            self.size_bytes += sum(len(key) + len(value) for key, value in batch.records.items())
            self.records = batch.records | self.records
            self.deletions = batch.deletions + self.deletions
            self.meta = batch.meta | self.meta

    def drop(self, revision_key: bytes) -> bool:
        """Forget a record that no commit has taken yet; False when there is none."""
        value = self.records.pop(revision_key, None)
        if value is None:
            return False
        self.size_bytes -= len(revision_key) + len(value)
        return True

    def overlay(self) -> tuple[dict[bytes, bytes], list[int]]:
        """Copies of every record and deletion that may not be in the database yet."""
        if self.committing is None:
            return dict(self.records), list(self.deletions)
        return self.committing.records | self.records, self.committing.deletions + self.deletions
