"""A snapshot while it is being received: the file so far, and a note by which a later start can trust it."""

import contextlib
import struct
from pathlib import Path
from typing import Self

import google_crc32c

from oarlock.raft.types import SnapshotMetadata
from oarlock.storage.disk import Disk, File, remove_quietly, sync_directory, sync_file
from oarlock.storage.errors import StorageError, write_error
from oarlock.storage.snapshot_file import PIECE_BYTES, file_size, read, read_header

PARTIAL_SUFFIX = ".partial"
PROGRESS_SUFFIX = ".progress"

NOTE_EVERY_BYTES = 16 << 20
"""How much may have to be received again after a restart."""

_NOTE = struct.Struct("<8sQI")
_MAGIC = b"OARPART1"
_CRC = struct.Struct("<I")


class Partial:
    """The first `length` bytes of a snapshot file.

    Every `NOTE_EVERY_BYTES` the file is synced, and how long it then is and its CRC32C are noted beside it.
    """

    def __init__(
        self, disk: Disk, path: Path, metadata: SnapshotMetadata, file: File, length: int = 0, crc: int = 0
    ) -> None:
        self.path = path
        self.metadata = metadata
        self.file = file
        self.length = length
        self._disk = disk
        self._crc = crc
        self._noted = length

    @classmethod
    def resume(cls, disk: Disk, path: Path) -> Self | None:
        """Take up a file left by an earlier life, up to where its note vouches for it; None where nothing does."""
        progress_path = _progress_path(path)
        try:
            if not disk.exists(progress_path):
                return None
            with contextlib.closing(disk.open(progress_path)) as progress:
                note = progress.pread(_NOTE.size + _CRC.size, 0)
            if len(note) < _NOTE.size + _CRC.size:
                return None
            file = disk.open(path)
        except OSError:
            return None
        body = note[: _NOTE.size]
        magic, length, crc = _NOTE.unpack(body)
        (note_crc,) = _CRC.unpack_from(note, _NOTE.size)
        try:
            if magic == _MAGIC and google_crc32c.value(body) == note_crc and length <= file_size(file, path):
                found = 0
                for offset in range(0, length, PIECE_BYTES):
                    piece = read(file, path, offset, min(PIECE_BYTES, length - offset))
                    found = google_crc32c.extend(found, piece)
                metadata, _ = read_header(file, path)
                if found == crc:
                    file.truncate(length)
                    return cls(disk, path, metadata, file, length, crc)
        except (StorageError, OSError):
            pass  # what cannot be read is received again
        file.close()
        return None

    @property
    def progress_path(self) -> Path:
        """Where the note is."""
        return _progress_path(self.path)

    def append(self, data: bytes) -> None:
        """Add bytes at the end.

        Raises:
            DiskFull, WriteFailed: the disk refuses.
        """
        try:
            self.file.pwrite(data, self.length)
        except OSError as error:
            raise write_error(error, self.path) from error
        self.length += len(data)
        self._crc = google_crc32c.extend(self._crc, data)
        if self.length - self._noted >= NOTE_EVERY_BYTES:
            self._note()

    def remove(self) -> None:
        """Close and remove the file and its note."""
        self.file.close()
        remove_quietly(self._disk, self.path)
        remove_quietly(self._disk, self.progress_path)

    def _note(self) -> None:
        """Make what is here durable, and say so beside it."""
        sync_file(self.file, self.path)
        body = _NOTE.pack(_MAGIC, self.length, self._crc)
        try:
            progress = self._disk.open(self.progress_path, create=True)
        except OSError as error:
            raise write_error(error, self.progress_path) from error
        with contextlib.closing(progress):
            try:
                progress.pwrite(body + _CRC.pack(google_crc32c.value(body)), 0)
            except OSError as error:
                raise write_error(error, self.progress_path) from error
            sync_file(progress, self.progress_path)
        sync_directory(self._disk, self.path.parent)
        self._noted = self.length


def _progress_path(path: Path) -> Path:
    return path.with_name(path.name.removesuffix(PARTIAL_SUFFIX) + PROGRESS_SUFFIX)
