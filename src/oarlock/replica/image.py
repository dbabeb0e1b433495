"""A snapshot of the library's machine: a head with what is kept beside the state, then the state itself."""

import struct
from collections.abc import Callable, Mapping
from typing import BinaryIO, Final

import msgspec

from oarlock.raft.types import Index
from oarlock.replica import codec
from oarlock.replica.codec import Value

_MAGIC: Final = b"oarlock replica 1\n"
_LENGTH: Final = struct.Struct(">Q")
_CHUNK_BYTES: Final = 1 << 20
_MAX_PART_BYTES: Final = 1 << 40


def write_part(out: BinaryIO, data: bytes) -> None:
    """Write bytes with their length, in chunks."""
    out.write(_LENGTH.pack(len(data)))
    view = memoryview(data)
    out.writelines(bytes(view[start : start + _CHUNK_BYTES]) for start in range(0, len(data), _CHUNK_BYTES))


def read_part(source: BinaryIO) -> bytes:
    """Read what `write_part` wrote.

    Raises:
        ValueError: It ends too soon.
    """
    header = source.read(_LENGTH.size)
    if len(header) < _LENGTH.size:
        raise ValueError("the image ends within a length")
    (length,) = _LENGTH.unpack(header)
    if length > _MAX_PART_BYTES:
        raise ValueError(f"the image claims a part of {length} bytes")
    parts = []
    while length:
        part = source.read(min(length, _CHUNK_BYTES))
        if not part:
            raise ValueError(f"the image ends {length} bytes too soon")
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def write_head(out: BinaryIO, index: Index, beside: bytes) -> None:
    """Begin an image."""
    out.write(_MAGIC + _LENGTH.pack(index))
    write_part(out, beside)


def read_head(source: BinaryIO, index: Index) -> bytes:
    """Read what `write_head` wrote; what is kept beside the state.

    Raises:
        ValueError: It is no image of ours, or stands at another index.
    """
    head = source.read(len(_MAGIC) + _LENGTH.size)
    if not head.startswith(_MAGIC) or len(head) < len(_MAGIC) + _LENGTH.size:
        raise ValueError("not an image of this version of oarlock's library")
    (stands_at,) = _LENGTH.unpack_from(head, len(_MAGIC))
    if stands_at > index:
        raise ValueError(f"the image stands at index {stands_at}, its snapshot at {index}")
    return read_part(source)


class MemoryView:
    """The state of all objects, encoded."""

    def __init__(self, index: Index, beside: bytes, images: Mapping[str, bytes]) -> None:
        self._index = index
        self._beside = beside
        self._images = dict(images)

    @property
    def index(self) -> Index:
        """See `SnapshotView.index`."""
        return self._index

    def write(self, out: BinaryIO) -> None:
        """See `SnapshotView.write`."""
        write_head(out, self._index, self._beside)
        write_part(out, msgspec.msgpack.encode(len(self._images)))
        for name, image in self._images.items():
            write_part(out, name.encode())
            write_part(out, image)

    def close(self) -> None:
        """See `SnapshotView.close`."""
        self._images = {}


class Restoring:
    """Reads an image in a thread, and hands it over on the loop."""

    def __init__(
        self, source: BinaryIO, index: Index, take_over: Callable[[Index, bytes, Mapping[str, Value]], None]
    ) -> None:
        self._source = source
        self._index = index
        self._take_over = take_over
        self._beside = b""
        self._images: dict[str, Value] = {}

    def run(self) -> None:
        """See `Job.run`."""
        self._beside = read_head(self._source, self._index)
        try:
            count = msgspec.msgpack.decode(read_part(self._source), type=int)
            for _ in range(count):
                name = read_part(self._source).decode()
                self._images[name] = codec.decode(read_part(self._source))
        except (msgspec.DecodeError, UnicodeError) as error:
            raise ValueError(f"the image for index {self._index} is damaged: {error}") from None

    def finish(self) -> None:
        """See `Job.finish`."""
        self._take_over(self._index, self._beside, self._images)

    def abandon(self) -> None:
        """See `Job.abandon`."""
