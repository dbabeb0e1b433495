"""Checksums over what lies in a database, which itself has none: a record that is not what was written is never given.

Each record, and each name in `meta`, is stored with a CRC32C over its key and its value behind the value. So damage
within it shows, and so does a record that comes back under another's key. That all of them are there is vouched for by
their number and the sum of their checksums, kept beside them and changed in the same transaction: whoever reads all has
checked that nothing is missing, and that nothing is back that was deleted.
"""

import struct
from collections.abc import Iterable, Iterator
from typing import Final

import google_crc32c

from oarlock.mvcc.errors import CorruptStoreError

CHECKSUM_BYTES: Final = 4
TOTALS_NAME: Final = b"\0totals"
"""The name in `meta` under which a database keeps its totals; nobody else sees it."""

_RESIDUE: Final = 0x48674BC7
"""The CRC32C of any bytes that are followed by their own CRC32C, little-endian (a property of every CRC)."""
_TOTALS = struct.Struct(">QQQQ")
_MASK: Final = (1 << 64) - 1
_crc32c = google_crc32c.value


def seal(key: bytes, value: bytes) -> bytes:
    """A value as it is stored."""
    crc: int = _crc32c(key + value)
    return value + crc.to_bytes(CHECKSUM_BYTES, "little")


def unseal(key: bytes, stored: bytes) -> bytes:
    """The value that was stored under a key.

    Raises:
        CorruptStoreError: these bytes never were, or not under this key.
    """
    if _crc32c(key + stored) != _RESIDUE:
        raise _damaged(key)
    return stored[:-CHECKSUM_BYTES]


def _damaged(key: bytes) -> CorruptStoreError:
    return CorruptStoreError(f"the database's record {key.hex()} is damaged: its checksum does not match")


class Totals:
    """How many records and names there are, and the sums of their checksums."""

    __slots__ = ("meta", "meta_sum", "records", "records_sum")

    def __init__(self, records: int = 0, records_sum: int = 0, meta: int = 0, meta_sum: int = 0) -> None:
        self.records = records
        self.records_sum = records_sum
        self.meta = meta
        self.meta_sum = meta_sum

    @classmethod
    def decode(cls, stored: bytes | None) -> "Totals":
        """From what is stored under `TOTALS_NAME`; a database in which nothing is has nothing.

        Raises:
            CorruptStoreError: It is damaged.
        """
        if stored is None:
            return cls()
        data = unseal(TOTALS_NAME, stored)
        if len(data) != _TOTALS.size:
            raise CorruptStoreError(f"the database's totals have {len(data)} bytes instead of {_TOTALS.size}")
        return cls(*_TOTALS.unpack(data))

    def encode(self) -> bytes:
        """As it is stored."""
        return seal(TOTALS_NAME, _TOTALS.pack(self.records, self.records_sum, self.meta, self.meta_sum))

    def seal(self, records: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """Records as they are stored; from now on they count."""
        crc32c = _crc32c
        sealed = []
        total = self.records_sum
        for key, value in records:
            crc = crc32c(key + value)
            total += crc
            sealed.append((key, value + crc.to_bytes(4, "little")))
        self.records += len(sealed)
        self.records_sum = total & _MASK
        return sealed

    def remove_record(self, stored: bytes) -> None:
        """A record went."""
        self.records -= 1
        self.records_sum = self.records_sum - _checksum(stored) & _MASK

    def set_meta(self, old: bytes | None, new: bytes) -> None:
        """A name got a value."""
        if old is None:
            self.meta += 1
        else:
            self.meta_sum = self.meta_sum - _checksum(old) & _MASK
        self.meta_sum = self.meta_sum + _checksum(new) & _MASK


def _checksum(stored: bytes) -> int:
    return int.from_bytes(stored[-CHECKSUM_BYTES:], "little")


def checked_records(stored: Iterable[tuple[bytes, bytes]], totals: Totals) -> Iterator[tuple[bytes, bytes]]:
    """Every revision key with its KeyValue; whoever reads to the end knows that these are all.

    Raises:
        CorruptStoreError: while they are read: one is damaged; at the end: some are missing, or should not be there.
    """
    crc32c, residue = _crc32c, _RESIDUE
    count = total = 0
    for key, value in stored:
        if crc32c(key + value) != residue:
            raise _damaged(key)
        count += 1
        total += int.from_bytes(value[-CHECKSUM_BYTES:], "little")
        yield key, value[:-CHECKSUM_BYTES]
    if (count, total & _MASK) != (totals.records, totals.records_sum):
        raise CorruptStoreError(
            f"the database has {count} records of {totals.records} that were written, or not the same ones"
        )


def checked_meta(stored: Iterable[tuple[bytes, bytes]], totals: Totals) -> dict[str, bytes]:
    """All names with their values.

    Raises:
        CorruptStoreError: one is damaged, missing, or should not be there.
    """
    found: dict[str, bytes] = {}
    total = 0
    for name, value in stored:
        if name != TOTALS_NAME:
            found[name.decode()] = unseal(name, value)
            total += _checksum(value)
    if (len(found), total & _MASK) != (totals.meta, totals.meta_sum):
        raise CorruptStoreError(
            f"the database has {len(found)} names in its meta of {totals.meta} that were written, or older values"
        )
    return found
