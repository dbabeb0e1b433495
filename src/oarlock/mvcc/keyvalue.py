"""`mvccpb.KeyValue` by hand: the bytes in the database are the bytes on the wire.

Fields: key = 1, create_revision = 2, mod_revision = 3, version = 4, value = 5, lease = 6. Zero values are left out and
fields stand in the order of their numbers, which is what etcd's own encoder does, so the bytes (and every hash over
them) are etcd's, and a Range response can carry them as they are.
"""

import msgspec

from oarlock.mvcc.errors import CorruptStoreError


class KeyValue(msgspec.Struct, frozen=True, gc=False):
    """One version of one key."""

    key: bytes
    create_revision: int = 0
    mod_revision: int = 0
    version: int = 0
    value: bytes = b""
    lease: int = 0


def _short_varint(number: int) -> bytes:
    return bytes([number]) if number < 0x80 else bytes([number & 0x7F | 0x80, number >> 7])


# Two table look-ups encode any number below 2**28; a loop per number would be half the cost of a put.
_SMALL = [_short_varint(number) for number in range(1 << 14)]
_CONTINUED = [bytes([number & 0x7F | 0x80, number >> 7 | 0x80]) for number in range(1 << 14)]


def varint(number: int) -> bytes:
    """A protobuf varint; a negative int64 takes ten bytes."""
    if 0 <= number < 0x4000:
        return _SMALL[number]
    if number < 0:
        number += 1 << 64
    return _CONTINUED[number & 0x3FFF] + varint(number >> 14)


def encode_key_value(
    key: bytes, create_revision: int, mod_revision: int, version: int, value: bytes, lease: int
) -> bytes:
    """Marshalled `mvccpb.KeyValue`."""
    if key and value and not lease:
        # Revisions and versions of a stored put are never zero.
        return b"".join(
            (
                b"\n",
                varint(len(key)),
                key,
                b"\x10",
                varint(create_revision),
                b"\x18",
                varint(mod_revision),
                b" ",
                varint(version),
                b"*",
                varint(len(value)),
                value,
            )
        )
    parts = [b"\n", varint(len(key)), key] if key else []
    for tag, number in ((b"\x10", create_revision), (b"\x18", mod_revision), (b" ", version)):
        if number:
            parts += (tag, varint(number))
    if value:
        parts += (b"*", varint(len(value)), value)
    if lease:
        parts += (b"0", varint(lease))
    return b"".join(parts)


def encode_tombstone(key: bytes) -> bytes:
    """What a deletion stores: a KeyValue that has only its key."""
    return b"\n" + varint(len(key)) + key if key else b""


def _long_varint(data: bytes, position: int, number: int) -> tuple[int, int]:
    """The rest of a varint whose first byte was `number`, and where it ends."""
    number &= 0x7F
    shift = 7
    while True:
        byte = data[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, position
        shift += 7
        if shift > 63:
            raise CorruptStoreError(f"a KeyValue has a number of more than ten bytes before its byte {position}")


def _fields(data: bytes, *, with_value: bool) -> tuple[bytes, int, int, int, bytes, int]:
    key = value = b""
    created = modified = version = lease = 0
    position, end = 0, len(data)
    try:
        while position < end:
            tag = data[position]
            number = data[position + 1]
            position += 2
            if number >= 0x80:
                number, position = _long_varint(data, position, number)
            if tag == 0x10:
                created = number
            elif tag == 0x18:
                modified = number
            elif tag == 0x20:
                version = number
            elif tag == 0x30:
                lease = number if number < 1 << 63 else number - (1 << 64)
            elif tag not in (0x0A, 0x2A):
                raise CorruptStoreError(f"a KeyValue has a field with the unknown tag {tag:#x}")
            elif position + number > end:
                raise CorruptStoreError(f"a KeyValue of {end} bytes ends inside a field of {number}")
            else:
                if tag == 0x0A:
                    key = data[position : position + number]
                elif with_value:
                    value = data[position : position + number]
                position += number
    except IndexError:
        raise CorruptStoreError(f"a KeyValue of {end} bytes ends inside a number") from None
    return key, created, modified, version, value, lease


def decode_key_value(data: bytes) -> KeyValue:
    """The KeyValue in marshalled bytes.

    Raises:
        CorruptStoreError: the bytes are not a KeyValue.
    """
    return KeyValue(*_fields(data, with_value=True))


def decode_without_value(data: bytes) -> KeyValue:
    """The KeyValue in marshalled bytes, its value left empty and not copied."""
    return KeyValue(*_fields(data, with_value=False))


def decode_key(data: bytes) -> bytes:
    """Only the key in marshalled bytes; what an index is rebuilt from."""
    if data[:1] == b"\n":
        length = data[1]
        if length < 0x80:
            return data[2 : 2 + length]
    return _fields(data, with_value=False)[0]


def without_value(data: bytes) -> bytes:
    """The same KeyValue marshalled with its value left out (Range's keys_only)."""
    key, create_revision, mod_revision, version, _, lease = _fields(data, with_value=False)
    return encode_key_value(key, create_revision, mod_revision, version, b"", lease)
