"""What objects ask of their arguments."""

from typing import Final, TypeVar

from oarlock.replica.codec import Value, copied
from oarlock.replica.objects.errors import TooManyItems

T = TypeVar("T")

MIN_INTEGER: Final = -(1 << 63)
MAX_INTEGER: Final = (1 << 63) - 1
"""What every reader of msgpack understands as a whole number."""

MAX_ITEMS: Final = 1_000_000
"""How many items a collection may have unless it was made with another limit."""


def handed_out(value: T) -> T:
    """A value as callers may have it: a copy, unless nothing can change it, for the state is not theirs to change."""
    own: T = copied(value)
    return own


def as_key(value: Value) -> Value:
    """A value as an element of a set or the key of a mapping: lists become tuples, as msgpack knows no tuples.

    Raises:
        TypeError: It cannot be hashed; names the type.
    """
    if isinstance(value, list | tuple):
        return tuple(as_key(part) for part in value)
    if isinstance(value, dict):
        raise TypeError("unhashable type: 'dict'")
    return value


def whole(value: object, what: str) -> int:
    """A whole number of 64 bits.

    Raises:
        TypeError: It is something else; names it.
        OverflowError: It is too large or too small.
    """
    if type(value) is not int:
        raise TypeError(f"{what} must be an int, not {type(value).__name__}")
    if not MIN_INTEGER <= value <= MAX_INTEGER:
        raise OverflowError(f"{what} {value} does not fit 64 bits")
    return value


def positive(value: object, what: str) -> int:
    """A whole number above 0.

    Raises:
        TypeError, OverflowError: As `whole`.
        ValueError: It is 0 or less.
    """
    number = whole(value, what)
    if number <= 0:
        raise ValueError(f"{what} must be above 0, not {number}")
    return number


def check_room(count: int, limit: int, name: str) -> None:
    """Refuse growth beyond a collection's limit.

    Raises:
        TooManyItems: `count` items are more than `limit`.
    """
    if count > limit:
        raise TooManyItems(f"{name}: {count} items; its limit is {limit}")
