"""What commands and snapshots may carry: plain data in msgpack, nothing that would arrive as something else.

msgspec would write a date as text and an enumeration as its value, and nobody would turn them back: a command would
find another type than its caller gave. So everything but msgpack's own types is refused where it is given. The one
liberty: a tuple arrives as a list, and as a tuple where it is the key of a mapping.
"""

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import msgspec

from oarlock.replica.errors import NotEncodable

Value: TypeAlias = Any
"""None, a boolean, a number, text, bytes, or lists and mappings of these."""

SCALARS: Final = frozenset({type(None), bool, int, float, str, bytes})
"""Types of what is plain and has no parts."""
NOT_MSGPACK: Final = (OverflowError, UnicodeError, TypeError, ValueError)
"""What the encoder raises at plain data that msgpack cannot hold, such as a number beyond 64 bits."""
_MAX_DEPTH: Final = 200

_encoder: Final = msgspec.msgpack.Encoder()
_canonical: Final = msgspec.msgpack.Encoder(order="deterministic")
_decoder: Final = msgspec.msgpack.Decoder()


encode_plain: Final[Callable[[Value], bytes]] = _encoder.encode
"""A value whose types are known to be plain; raises one of `NOT_MSGPACK`."""


def encode(value: Value, what: str) -> bytes:
    """A value in msgpack.

    Args:
        value: What to encode.
        what: Names it, for the error.

    Raises:
        NotEncodable: It holds something else than plain data; the text says what, and where.
    """
    check(value, what)
    return encode_checked(value, what)


def encode_checked(value: Value, what: str) -> bytes:
    """As `encode`, of a value whose types are known to be plain.

    Raises:
        NotEncodable: A number is beyond 64 bits, or a text is not Unicode.
    """
    try:
        return encode_plain(value)
    except NOT_MSGPACK as error:
        raise NotEncodable(f"{what} cannot be encoded: {error}") from None


decode: Final[Callable[[bytes], Value]] = _decoder.decode
"""What `encode` has encoded; raises `msgspec.DecodeError` if it is not msgpack."""


def canonical(value: Value, what: str) -> bytes:
    """As `encode`, but alike for mappings that differ only in their order, as far as their keys can be sorted.

    Raises:
        NotEncodable: As `encode`.
    """
    check(value, what)
    try:
        return _canonical.encode(value)
    except NOT_MSGPACK:
        return encode_checked(value, what)


def copied(value: Value) -> Value:
    """A value as it may be handed out: apart from whoever else holds it, where it is plain data; else the value."""
    if type(value) in SCALARS:
        return value
    try:
        check(value, "value")
        return _decoder.decode(_encoder.encode(value))
    except (NotEncodable, *NOT_MSGPACK):
        return value


def check(value: Value, what: str, *parts: object) -> None:
    """See that a value is plain data.

    Args:
        value: Any.
        what: Names it, for the error; with `%` for each of the parts.
        parts: Of the name.

    Raises:
        NotEncodable: It is not; the text says what, and where.
    """
    if type(value) not in SCALARS:
        _check_parts(value, what % parts if parts else what, 0)


def _check_parts(value: Value, where: str, depth: int) -> None:
    kind = type(value)
    if depth > _MAX_DEPTH:
        raise NotEncodable(f"{where} is nested more than {_MAX_DEPTH} deep")
    if kind is list or kind is tuple:
        for position, part in enumerate(value):
            if type(part) not in SCALARS:
                _check_parts(part, f"{where}[{position}]", depth + 1)
    elif kind is dict:
        for key, part in value.items():
            if type(key) not in SCALARS:
                _check_key(key, where, depth)
            if type(part) not in SCALARS:
                _check_parts(part, f"{where}[{key!r}]", depth + 1)
    else:
        raise NotEncodable(
            f"{where} is of type {_name(kind)}: only None, bool, int, float, str, bytes, list, tuple and dict can be "
            f"replicated"
        )


def _check_key(key: Value, where: str, depth: int) -> None:
    if type(key) is not tuple:
        raise NotEncodable(f"a key of {where} is of type {_name(type(key))}: only plain data can be replicated")
    for part in key:
        if type(part) not in SCALARS:
            if depth > _MAX_DEPTH:
                raise NotEncodable(f"a key of {where} is nested more than {_MAX_DEPTH} deep")
            _check_key(part, where, depth + 1)


def _name(kind: type) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
