"""The store as a stream: what a follower that is too far behind is sent, and what it rebuilds itself from.

Layout: the magic; frames of one byte kind, the lengths of key and value as 32-bit big-endian numbers, key and value;
first the meta, then the records in order of revision, then one end frame whose value holds the number of frames before
it and the CRC32C of every byte before it.
"""

import struct
from collections.abc import Iterator
from typing import BinaryIO

import google_crc32c

from oarlock.mvcc.errors import CorruptSnapshotError
from oarlock.mvcc.view import View

MAGIC = b"oarlock-mvcc-1\n"

_FRAME = struct.Struct(">BII")
_END = struct.Struct(">QI")
_META_KIND, _RECORD_KIND, _END_KIND = 1, 2, 3
_WRITE_BYTES = 1 << 18
"""Bytes gathered before they are written and enter the CRC."""
_MAXIMUM_KEY_BYTES = 1 << 10
_MAXIMUM_VALUE_BYTES = 1 << 30
"""Above any request size; a damaged length must not make a reader ask for memory that is not there."""


def write_snapshot(view: View, out: BinaryIO) -> int:
    """Write a view as a stream; blocking.

    Returns:
        The applied index at which the image stands.
    """
    crc = 0
    frames = 0
    chunk = [MAGIC]
    chunk_bytes = len(MAGIC)
    for key, value, kind in _frames(view):
        frames += 1
        chunk += (_FRAME.pack(kind, len(key), len(value)), key, value)
        chunk_bytes += len(value) + 32
        if chunk_bytes >= _WRITE_BYTES:
            data = b"".join(chunk)
            crc = google_crc32c.extend(crc, data)
            out.write(data)
            chunk, chunk_bytes = [], 0
    chunk.append(_FRAME.pack(_END_KIND, 0, _END.size))
    data = b"".join(chunk)
    crc = google_crc32c.extend(crc, data)
    out.write(data + _END.pack(frames, crc))
    return view.applied_index


def read_snapshot(source: BinaryIO) -> tuple[dict[str, bytes], Iterator[tuple[bytes, bytes]]]:
    """Begin to read a stream.

    Returns:
        The meta, and the records still to be read; whoever reads them to their end has checked the whole stream.

    Raises:
        CorruptSnapshotError: at once or while the records are read: damaged, cut short, or of another format.
    """
    reader = _Reader(source)
    if reader.take(len(MAGIC)) != MAGIC:
        raise CorruptSnapshotError("this is no snapshot of the store, or one of another format")
    meta: dict[str, bytes] = {}
    while True:
        kind, key, value = reader.frame()
        if kind != _META_KIND:
            return meta, _records(reader, kind, key, value)
        try:
            meta[key.decode()] = value
        except UnicodeDecodeError:
            raise CorruptSnapshotError(f"frame {reader.frames} names its meta in no UTF-8") from None


def _frames(view: View) -> Iterator[tuple[bytes, bytes, int]]:
    for name, value in view.meta.items():
        yield name.encode(), value, _META_KIND
    for key, data in view.records():
        yield key, data, _RECORD_KIND


def _records(reader: "_Reader", kind: int, key: bytes, value: bytes) -> Iterator[tuple[bytes, bytes]]:
    last = b""
    while kind == _RECORD_KIND:
        if key <= last or len(key) not in (17, 18):
            raise CorruptSnapshotError(f"frame {reader.frames} holds the revision {key.hex()} out of order")
        last = key
        yield key, value
        kind, key, value = reader.frame()
    if kind != _END_KIND:
        raise CorruptSnapshotError(f"frame {reader.frames} is of the unknown kind {kind}")


class _Reader:
    """Takes a stream apart and keeps its CRC."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._crc = 0
        self._unchecked: list[bytes] = []
        self._unchecked_bytes = 0
        self.frames = 0

    def take(self, length: int) -> bytes:
        """The next bytes, which then count in the CRC."""
        data = self._source.read(length)
        if len(data) != length:
            raise CorruptSnapshotError(f"the snapshot ends after {self.frames} frames")
        self._unchecked.append(data)
        self._unchecked_bytes += length
        if self._unchecked_bytes >= _WRITE_BYTES:
            self._check()
        return data

    def frame(self) -> tuple[int, bytes, bytes]:
        """The next frame; an end frame only if the stream was whole and its CRC right."""
        kind, key_bytes, value_bytes = _FRAME.unpack(self.take(_FRAME.size))
        if key_bytes > _MAXIMUM_KEY_BYTES or value_bytes > _MAXIMUM_VALUE_BYTES:
            raise CorruptSnapshotError(f"frame {self.frames + 1} claims a length of {key_bytes}+{value_bytes}")
        if kind == _END_KIND:
            self._check()
            expected = (self.frames, self._crc)
            if value_bytes != _END.size or _END.unpack(self.take(_END.size)) != expected:
                raise CorruptSnapshotError(f"the snapshot's checksum is wrong after {self.frames} frames")
            return kind, b"", b""
        self.frames += 1
        data = self.take(key_bytes + value_bytes)
        return kind, data[:key_bytes], data[key_bytes:]

    def _check(self) -> None:
        self._crc = google_crc32c.extend(self._crc, b"".join(self._unchecked))
        self._unchecked.clear()
        self._unchecked_bytes = 0
