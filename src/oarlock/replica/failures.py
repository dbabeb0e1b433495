"""What a command raised, as data: it is kept for sessions, and handed out on whichever server asks."""

import builtins
from typing import Any, Final, TypeVar

import msgspec

from oarlock.replica import codec
from oarlock.replica.errors import CommandFailed, NotEncodable

_E = TypeVar("_E", bound=type[BaseException])

_registered: Final[dict[str, type[BaseException]]] = {
    kind.__qualname__: kind
    for kind in vars(builtins).values()
    if isinstance(kind, type) and issubclass(kind, Exception) and kind is not StopIteration
}


class Failure(msgspec.Struct, frozen=True):
    """The outcome of a command that raised."""

    error: BaseException


class Outcomes(msgspec.Struct, frozen=True):
    """Of commands that are one entry: what each returned, or its `Failure`."""

    each: list[object]


def name_of(kind: type) -> str:
    """A class's name, with its module unless it is Python's own."""
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def register_error(kind: _E) -> _E:
    """Make an exception class known, so that sessions raise it and not `CommandFailed`; a decorator.

    Python's own are known already. Do so on all servers, with a class that is made from its `args`.
    """
    _registered[name_of(kind)] = kind
    return kind


register_error(NotEncodable)


def failure_of(error: Exception) -> Failure:
    """What to hand out for an exception; a future cannot raise `StopIteration`."""
    if isinstance(error, StopIteration):
        return Failure(CommandFailed("StopIteration", str(error)))
    return Failure(error)


def to_data(error: BaseException) -> list[Any]:
    """An exception as plain data: its name, its text, and its arguments where they are plain."""
    if isinstance(error, CommandFailed):
        return [error.type_name, error.text, None]
    try:
        codec.encode(list(error.args), "arguments")
    except NotEncodable:
        return [name_of(type(error)), str(error), None]
    return [name_of(type(error)), str(error), list(error.args)]


def from_data(data: list[Any]) -> BaseException:
    """The exception, as far as its class is known and can be made; `CommandFailed` otherwise."""
    name, text, arguments = data
    kind = _registered.get(name)
    if kind is not None and arguments is not None:
        try:
            error = kind(*arguments)
        except Exception:  # noqa: BLE001 - a constructor that does not take its own args
            return CommandFailed(name, text)
        if str(error) == text:
            return error
    return CommandFailed(name, text)
