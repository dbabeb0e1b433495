"""Revisions: as etcd's 17 or 18 bytes in the database, as one integer in the index.

A revision is a pair (main, sub): the number of the write transaction and the position in it. The database orders
records by the bytes, the index by the integer; both give the same order.
"""

import struct

_KEY = struct.Struct(">QcQ")
_TOMBSTONE_KEY = struct.Struct(">QcQc")

REVISION_BYTES = 17
"""Length of a revision key; a tombstone's has one byte more."""

MAIN_SHIFT = 33
"""An index revision is `main << 33 | sub << 1 | tombstone`; sub keeps 32 bits."""

_SUB_MASK = 0xFFFFFFFF


def revision_key(main: int, sub: int) -> bytes:
    """The database key of a put (etcd, mvcc/revision.go): main, "_", sub, both big-endian."""
    return _KEY.pack(main, b"_", sub)


def tombstone_key(main: int, sub: int) -> bytes:
    """The database key of a deletion: a revision key followed by "t"."""
    return _TOMBSTONE_KEY.pack(main, b"_", sub, b"t")


def is_tombstone(key: bytes) -> bool:
    """Whether a database key is a deletion's."""
    return len(key) > REVISION_BYTES


def main_of(key: bytes) -> int:
    """The main revision in a database key."""
    return int.from_bytes(key[:8], "big")


def encode(main: int, sub: int, *, tombstone: bool = False) -> int:
    """The integer by which the index knows a revision."""
    return main << MAIN_SHIFT | sub << 1 | tombstone


def encode_key(key: bytes) -> int:
    """The index's integer for a database key."""
    main, _, sub = _KEY.unpack_from(key)
    number: int = main << MAIN_SHIFT | sub << 1 | (len(key) > REVISION_BYTES)
    return number


def key_of(revision: int) -> bytes:
    """The database key for an index's integer."""
    if revision & 1:
        return _TOMBSTONE_KEY.pack(revision >> MAIN_SHIFT, b"_", revision >> 1 & _SUB_MASK, b"t")
    return _KEY.pack(revision >> MAIN_SHIFT, b"_", revision >> 1 & _SUB_MASK)
