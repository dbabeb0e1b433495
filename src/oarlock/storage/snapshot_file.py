"""The form of a snapshot file, and streams over it.

    magic 8 | length of the metadata 4 | CRC32C of the metadata 4 | metadata | payload | SHA-256 of all before 32

The file travels to followers as it is, trailer included, so what the sender wrote is what the receiver checks.
"""

import hashlib
import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, cast

import google_crc32c
import msgspec

from oarlock.raft.types import SnapshotMetadata
from oarlock.storage.disk import File
from oarlock.storage.errors import CorruptSnapshot, NewerFormat, ReadFailed, write_error

MAGIC = b"OARSNAP1"
MAX_METADATA_BYTES = 1 << 20
TRAILER_BYTES = hashlib.sha256().digest_size
PIECE_BYTES = 1 << 20
"""How much is read or written at a time."""

_FAMILY = MAGIC[:-1]
_PREFIX = struct.Struct("<8sII")
_encoder = msgspec.msgpack.Encoder(order="deterministic")
_decoder = msgspec.msgpack.Decoder(SnapshotMetadata)


def encode_header(metadata: SnapshotMetadata) -> bytes:
    """The bytes before the payload."""
    body = _encoder.encode(metadata)
    if len(body) > MAX_METADATA_BYTES:
        raise ValueError(f"snapshot metadata of {len(body)} bytes is over the limit of {MAX_METADATA_BYTES}")
    return _PREFIX.pack(MAGIC, len(body), google_crc32c.value(body)) + body


def read_header(file: File, path: Path) -> tuple[SnapshotMetadata, int]:
    """What a snapshot stands for, and the offset of its payload.

    Raises:
        CorruptSnapshot: the header is damaged.
        NewerFormat: a later version wrote it.
        ReadFailed: the disk refuses.
    """
    prefix = read(file, path, 0, _PREFIX.size)
    if len(prefix) < _PREFIX.size or not prefix.startswith(_FAMILY):
        raise CorruptSnapshot(path, "it does not start as a snapshot does")
    if not prefix.startswith(MAGIC):
        raise NewerFormat(f"{path} has a format that this version does not know")
    _, length, crc = _PREFIX.unpack(prefix)
    if length > MAX_METADATA_BYTES:
        raise CorruptSnapshot(path, f"metadata of {length} bytes is over the limit of {MAX_METADATA_BYTES}")
    body = read(file, path, _PREFIX.size, length)
    if google_crc32c.value(body) != crc:
        raise CorruptSnapshot(path, "the checksum of its metadata does not match")
    try:
        return _decoder.decode(body), _PREFIX.size + length
    except msgspec.MsgspecError as error:
        raise CorruptSnapshot(path, f"its metadata cannot be decoded: {error}") from error


def verify(file: File, path: Path, metadata: SnapshotMetadata) -> tuple[int, int]:
    """Read the whole file and check it.

    Args:
        file: the open snapshot.
        path: its name, for reports.
        metadata: what it must stand for.

    Returns:
        The offsets where the payload starts and where it ends.

    Raises:
        CorruptSnapshot: it is damaged, cut short, or another one.
        NewerFormat, ReadFailed: see `read_header`.
    """
    found, payload_start = read_header(file, path)
    if found != metadata:
        raise CorruptSnapshot(path, f"it stands for {found}, not for {metadata}")
    payload_end = file_size(file, path) - TRAILER_BYTES
    if payload_end < payload_start:
        raise CorruptSnapshot(path, "it is cut short")
    digest = hashlib.sha256()
    for offset in range(0, payload_end, PIECE_BYTES):
        digest.update(read(file, path, offset, min(PIECE_BYTES, payload_end - offset)))
    if read(file, path, payload_end, TRAILER_BYTES) != digest.digest():
        raise CorruptSnapshot(path, "its SHA-256 does not match")
    return payload_start, payload_end


def read(file: File, path: Path, offset: int, length: int) -> bytes:
    """Bytes of the file, fewer where it ends; `ReadFailed` where the disk refuses."""
    try:
        return file.pread(length, offset)
    except OSError as error:
        raise ReadFailed(path, offset, error) from error


def file_size(file: File, path: Path) -> int:
    """The file's size in bytes; `ReadFailed` where the disk refuses."""
    try:
        return file.size()
    except OSError as error:
        raise ReadFailed(path, 0, error) from error


class _PayloadReader(io.RawIOBase):
    """The payload as a stream; closes the file with itself."""

    def __init__(self, file: File, path: Path, start: int, end: int) -> None:
        self._file = file
        self._path = path
        self._position = start
        self._end = end

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: "memoryview", /) -> int:  # type: ignore[override]
        """Fill `buffer` as far as the payload goes."""
        data = read(self._file, self._path, self._position, min(len(buffer), self._end - self._position))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        """Give the file back."""
        if not self.closed:
            self._file.close()
        super().close()


def open_payload(file: File, path: Path, start: int, end: int) -> BinaryIO:
    """The payload between two offsets as a buffered stream that owns `file`."""
    return cast("BinaryIO", io.BufferedReader(_PayloadReader(file, path, start, end), PIECE_BYTES))


class _HashingWriter(io.RawIOBase):
    """Writes to a file one behind the other, in large pieces, and hashes what it writes."""

    def __init__(self, file: File, path: Path) -> None:
        self._file = file
        self._path = path
        self._digest = hashlib.sha256()
        self._waiting = bytearray()
        self._position = 0

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, data: "bytes | memoryview", /) -> int:  # type: ignore[override]
        """Take all of `data`."""
        self._waiting += data
        if len(self._waiting) >= PIECE_BYTES:
            self._write_waiting()
        return len(data)

    def finish(self) -> None:
        """Write what is left, and the trailer."""
        self._write_waiting()
        self._put(self._digest.digest())

    def _write_waiting(self) -> None:
        piece = bytes(self._waiting)
        self._waiting.clear()
        self._digest.update(piece)
        self._put(piece)

    def _put(self, piece: bytes) -> None:
        try:
            self._file.pwrite(piece, self._position)
        except OSError as error:
            raise write_error(error, self._path) from error
        self._position += len(piece)


def write_file(file: File, path: Path, metadata: SnapshotMetadata, write: Callable[[BinaryIO], object]) -> None:
    """Fill an empty file with a snapshot whose payload `write` produces. Does not sync.

    Raises:
        DiskFull, WriteFailed: the disk refuses. What `write` raises passes through.
    """
    out = _HashingWriter(file, path)
    out.write(encode_header(metadata))
    write(cast("BinaryIO", out))
    out.finish()
