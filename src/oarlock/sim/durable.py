"""What a server's disk really holds of its log, read from the bytes that were synced and not from any claim."""

from typing import Final

from oarlock.raft.log import Log
from oarlock.raft.types import HardState, Index, Term
from oarlock.sim.disk import DiskListener
from oarlock.sim.inode import Inode
from oarlock.storage.batches import Batch
from oarlock.storage.records import HEADER_BYTES, RecordType, decode_batches, decode_header

_WAL: Final = "/wal/"


class DurableLog(DiskListener):
    """Follows the writes and syncs of the log's files."""

    def __init__(self) -> None:
        self.hard_state = HardState()
        self.base_index: Index = 0
        self.terms: list[Term] = []
        """Of the entries behind the base."""
        self.version = 0
        """Rises with every change."""
        self._written: dict[Inode, list[list[Batch]]] = {}
        self._nameless: dict[Inode, list[list[Batch]]] = {}
        """Synced in a file whose name is not."""
        self._named: dict[Inode, None] = {}

    @property
    def last_index(self) -> Index:
        """Of the last entry, or of the base."""
        return self.base_index + len(self.terms)

    def written(self, path: str, inode: Inode, offset: int, data: bytes) -> None:  # noqa: ARG002
        """See `DiskListener.written`."""
        if _WAL not in path:
            return
        position = 0
        while position + HEADER_BYTES <= len(data):
            header = decode_header(data[position : position + HEADER_BYTES])
            if header is None:
                return
            if header.type == RecordType.APPEND:
                start = position + HEADER_BYTES
                batches = decode_batches(data[start : start + header.length])
                self._written.setdefault(inode, []).append(batches)
            elif header.type == RecordType.SEGMENT:
                self._named.pop(inode, None)
                self._written[inode] = []
            position += header.record_bytes
        if not path.endswith(".tmp"):
            self._named[inode] = None

    def synced(self, inode: Inode) -> None:
        """See `DiskListener.synced`."""
        records = self._written.pop(inode, None)
        if records is None:
            return
        if inode in self._named:
            self._apply(records)
        else:
            self._nameless.setdefault(inode, []).extend(records)

    def names_synced(self, directory: str) -> None:
        """See `DiskListener.names_synced`."""
        if _WAL in f"{directory}/":
            for inode, records in self._nameless.items():
                self._named[inode] = None
                self._apply(records)
            self._nameless.clear()

    def restart(self, hard_state: HardState, log: Log) -> None:
        """A process has recovered; what it found is on the device from now on."""
        self._written.clear()
        self._nameless.clear()
        self.hard_state = hard_state
        self.base_index = log.base_index
        self.terms = [entry.term for entry in log.slice(log.base_index + 1, log.last_index)]
        self.version += 1

    def common_index(self, log: Log) -> Index:
        """Up to where the device holds a log as it is in memory; 0 if nothing of it."""
        index = min(self.base_index + len(self.terms), log.last_index)
        while index > max(self.base_index, log.base_index):
            if self.terms[index - self.base_index - 1] == log.term(index):
                return index
            index -= 1
        return index if self.base_index <= index else 0

    def _apply(self, records: list[list[Batch]]) -> None:
        self.version += 1
        for batches in records:
            for batch in batches:
                self._apply_batch(batch)

    def _apply_batch(self, batch: Batch) -> None:
        if batch.base is not None:
            base = batch.base.last_included_index
            dropped = base - self.base_index
            self.terms = [] if batch.discard_log else self.terms[max(dropped, 0) :]
            self.base_index = max(base, self.base_index)
        if batch.hard_state is not None:
            self.hard_state = batch.hard_state
        if batch.entries:
            del self.terms[batch.entries[0].index - self.base_index - 1 :]
            self.terms.extend(entry.term for entry in batch.entries)
