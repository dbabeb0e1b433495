"""Arguments and replies as bytes, so that servers never share memory (labrpc serialises too)."""

import typing
from collections.abc import Callable
from typing import Any, Final

import msgspec

_ENCODER: Final = msgspec.msgpack.Encoder()


class NotPlain(TypeError):
    """A value cannot travel: it is not made of plain data."""


def encode(value: Any, what: str) -> bytes:  # noqa: ANN401 - whatever a user hands over
    """A value as MessagePack.

    Args:
        value: None, bool, int, float, str, bytes, lists, tuples, dicts, dataclasses or `msgspec.Struct`s of these.
        what: Names it in errors.

    Raises:
        NotPlain: It is something else.
    """
    try:
        return _ENCODER.encode(value)
    except (TypeError, OverflowError, RecursionError) as error:
        raise NotPlain(f"{what} must be plain data, dataclasses or msgspec.Structs of it: {error}") from None


def decode(payload: bytes, type_: Any, what: str) -> Any:  # noqa: ANN401 - whatever a user asks for
    """A value of a type, or plain data where `type_` is None or Any.

    Raises:
        NotPlain: It is not of that type, or there is no reading such a type.
    """
    try:
        return msgspec.msgpack.decode(payload, type=Any if type_ is None else type_)
    except (TypeError, msgspec.DecodeError) as error:
        raise NotPlain(f"{what} cannot be read as {type_}: {error}") from None


def parameter_type(handler: Callable[..., Any]) -> Any:  # noqa: ANN401 - a type, or Any
    """What a handler annotates its one parameter with; Any where it does not, or not with a type that can be found."""
    try:
        hints = typing.get_type_hints(handler)
    except (NameError, TypeError, AttributeError):
        return Any
    return next((hint for name, hint in hints.items() if name != "return"), Any)
