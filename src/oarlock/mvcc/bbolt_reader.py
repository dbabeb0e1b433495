"""Reading a bbolt file that somebody else may have written: a backup of ours or of etcd's. `bbolt.py` has the format.

Nothing in the file is believed before it is checked: numbers of pages, offsets, lengths, the order of keys, and that no
page is part of two trees or of itself.
"""

import hashlib
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from oarlock.mvcc.errors import MvccError

_PAGE: Final = struct.Struct("<QHHI")
_LEAF_ELEMENT: Final = struct.Struct("<IIII")
_BRANCH_ELEMENT: Final = struct.Struct("<IIQ")
_META: Final = struct.Struct("<IIIIQQQQQ")
_CHECKSUM: Final = struct.Struct("<Q")
_BUCKET: Final = struct.Struct("<QQ")
_ELEMENT_BYTES: Final = 16
_BRANCH, _LEAF, _METAPAGE = 0x01, 0x02, 0x04
_BUCKET_ELEMENT: Final = 0x01
_MAGIC, _VERSION = 0xED0CDAED, 2

_PAGE_SIZES: Final = tuple(1 << power for power in range(9, 17))
"""Of every system there is; the file says which one it is."""
_MAX_DEPTH: Final = 32
_MAX_SPAN_BYTES: Final = 1 << 30
"""Of a page with its overflow; above any request size."""
_PIECE_BYTES: Final = 1 << 20
_DIGEST_BYTES: Final = hashlib.sha256().digest_size
_SECTOR: Final = 512


class BadFileError(MvccError):
    """The file is no bbolt file, or a damaged one; the message names it, and where."""


class BboltFile:
    """An open bbolt file, with or without the SHA-256 that `snapshot save` puts behind it. Close it in the end."""

    def __init__(self, path: Path) -> None:
        """Open it and find its root.

        Raises:
            BadFileError: It is none.
            OSError: It cannot be read.
        """
        self.path = path
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            size = os.fstat(self._descriptor).st_size
            self.has_digest = size % _SECTOR == _DIGEST_BYTES
            """Whether a digest stands behind the pages (etcd's rule: pages fill whole sectors)."""
            self.size_bytes = size - _DIGEST_BYTES * self.has_digest
            """Without the digest."""
            self._page_bytes, root, high_water = self._read_metas()
            self._pages = min(high_water, self.size_bytes // self._page_bytes)
            self._seen = bytearray(self._pages // 8 + 1)
            self._buckets = self._read_buckets(root)
        except BaseException:
            self.close()
            raise

    @property
    def buckets(self) -> list[str]:
        """The names of the buckets."""
        return sorted(self._buckets)

    def items(self, bucket: str) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values of a bucket, ascending; nothing where there is no such bucket. To be read once.

        Raises:
            BadFileError: While reading: the file is damaged.
        """
        if bucket in self._buckets:
            root, inline = self._buckets[bucket]
            for flags, key, value in self._inline(inline) if inline else self._tree(root, 0):
                if flags & _BUCKET_ELEMENT:
                    raise self._bad(f"bucket {bucket!r} has a bucket inside, which etcd's never have")
                yield key, value

    def digest(self) -> tuple[bytes, bool]:
        """The SHA-256 of all pages, and whether it is what stands behind them."""
        digest = hashlib.sha256()
        for offset in range(0, self.size_bytes, _PIECE_BYTES):
            digest.update(self._read(offset, min(_PIECE_BYTES, self.size_bytes - offset)))
        found = digest.digest()
        return found, self.has_digest and found == self._read(self.size_bytes, _DIGEST_BYTES)

    def close(self) -> None:
        """Give the file back."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- metas and buckets ---------------------------------------------------------------------------------------

    def _read_metas(self) -> tuple[int, int, int]:
        """The size of a page, the root tree's page and the number of pages, from the newer of the sound metas."""
        best: tuple[int, int, int, int] | None = None
        for offset in (0, *_PAGE_SIZES):
            meta = self._meta_at(offset)
            if meta is not None and (best is None or meta[0] > best[0]):
                best = meta
        if best is None:
            raise BadFileError(f"{self.path} is no bbolt file: it has no sound meta page")
        return best[1:]

    def _meta_at(self, offset: int) -> tuple[int, int, int, int] | None:
        data = self._read(offset, _PAGE.size + _META.size + _CHECKSUM.size)
        if len(data) < _PAGE.size + _META.size + _CHECKSUM.size:
            return None
        number, flags, _, _ = _PAGE.unpack_from(data)
        body = data[_PAGE.size : _PAGE.size + _META.size]
        magic, version, page_bytes, _, root, _, _, pages, transaction = _META.unpack(body)
        (checksum,) = _CHECKSUM.unpack_from(data, _PAGE.size + _META.size)
        is_sound = (
            (magic, version) == (_MAGIC, _VERSION)
            and flags == _METAPAGE
            and page_bytes in _PAGE_SIZES
            and number * page_bytes == offset
            and checksum == _fnv_1a(body)
        )
        return (transaction, page_bytes, root, pages) if is_sound else None

    def _read_buckets(self, root: int) -> dict[str, tuple[int, bytes]]:
        """Every bucket's name, with the page of its tree, or with the whole of it where it is small."""
        found: dict[str, tuple[int, bytes]] = {}
        for flags, key, value in self._tree(root, 0):
            if not flags & _BUCKET_ELEMENT or len(value) < _BUCKET.size:
                raise self._bad(f"the root tree holds {key[:64]!r}, which is no bucket")
            tree, _ = _BUCKET.unpack_from(value)
            found[key.decode(errors="backslashreplace")] = (tree, b"" if tree else value[_BUCKET.size :])
        return found

    # -- trees ---------------------------------------------------------------------------------------------------

    def _tree(self, number: int, depth: int) -> Iterator[tuple[int, bytes, bytes]]:
        """Flags, keys and values below a page, ascending."""
        last: bytes | None = None
        for flags, key, value in self._below(number, depth):
            if last is not None and key <= last:
                raise self._bad(f"page {number}: below it the key {key[:64].hex()} is out of order")
            last = key
            yield flags, key, value

    def _below(self, number: int, depth: int) -> Iterator[tuple[int, bytes, bytes]]:
        if depth > _MAX_DEPTH:
            raise self._bad(f"page {number} lies deeper than {_MAX_DEPTH} pages")
        flags, count, page = self._page(number)
        if flags == _LEAF:
            yield from self._leaf(page, count, f"page {number}")
        elif flags == _BRANCH:
            for position in range(count):
                _, _, child = _BRANCH_ELEMENT.unpack_from(page, _PAGE.size + position * _ELEMENT_BYTES)
                yield from self._below(child, depth + 1)
        else:
            raise self._bad(f"page {number} is of kind {flags:#x}, where a branch or a leaf belongs")

    def _inline(self, page: bytes) -> Iterator[tuple[int, bytes, bytes]]:
        """A bucket so small that it lies in the place of its page's number."""
        if len(page) < _PAGE.size:
            raise self._bad(f"a bucket of {len(page)} bytes is cut short")
        _, flags, count, _ = _PAGE.unpack_from(page)
        if flags != _LEAF or _PAGE.size + count * _ELEMENT_BYTES > len(page):
            raise self._bad("a small bucket is no leaf, or cut short")
        last: bytes | None = None
        for element in self._leaf(page, count, "a small bucket"):
            if last is not None and element[1] <= last:
                raise self._bad(f"in a small bucket the key {element[1][:64].hex()} is out of order")
            last = element[1]
            yield element

    def _leaf(self, page: bytes, count: int, where: str) -> Iterator[tuple[int, bytes, bytes]]:
        content = _PAGE.size + count * _ELEMENT_BYTES
        for offset in range(_PAGE.size, content, _ELEMENT_BYTES):
            flags, position, key_bytes, value_bytes = _LEAF_ELEMENT.unpack_from(page, offset)
            start = offset + position
            middle = start + key_bytes
            if start < content or middle + value_bytes > len(page):
                raise self._bad(f"{where}: an element reaches from byte {start} to {middle + value_bytes}")
            yield flags, page[start:middle], page[middle : middle + value_bytes]

    def _page(self, number: int) -> tuple[int, int, bytes]:
        """Kind, count of elements, and bytes of a page, overflow included; the first use of it."""
        if not 2 <= number < self._pages:
            raise self._bad(f"there is no page {number} among {self._pages}")
        if self._seen[number >> 3] >> (number & 7) & 1:
            raise self._bad(f"page {number} is used twice")
        self._seen[number >> 3] |= 1 << (number & 7)
        page = self._whole(number, self._page_bytes)
        found, flags, count, overflow = _PAGE.unpack_from(page)
        if found != number:
            raise self._bad(f"page {number} says that it is page {found}")
        if overflow:
            span = (overflow + 1) * self._page_bytes
            if number + overflow >= self._pages or span > _MAX_SPAN_BYTES:
                raise self._bad(f"page {number} with {overflow} more reaches beyond the end")
            page = self._whole(number, span)
        if _PAGE.size + count * _ELEMENT_BYTES > len(page):
            raise self._bad(f"page {number} cannot hold {count} elements")
        return flags, count, page

    def _whole(self, number: int, length: int) -> bytes:
        data = self._read(number * self._page_bytes, length)
        if len(data) < length:
            raise self._bad(f"page {number} is cut short")
        return data

    def _read(self, offset: int, length: int) -> bytes:
        """Bytes of the file, fewer where it ends."""
        pieces = []
        while length and (piece := os.pread(self._descriptor, length, offset)):
            pieces.append(piece)
            offset += len(piece)
            length -= len(piece)
        return b"".join(pieces)

    def _bad(self, what: str) -> BadFileError:
        return BadFileError(f"{self.path} is damaged: {what}")


def _fnv_1a(data: bytes) -> int:
    number = 0xCBF29CE484222325
    for byte in data:
        number = (number ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return number
