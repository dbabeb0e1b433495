"""Arguments and replies travel as MessagePack, and arrive as what the reader asks for."""

from dataclasses import dataclass
from typing import Any

import pytest

from oarlock.lab.wire import NotPlain, decode, encode, parameter_type


@dataclass
class Args:
    """As a learner writes it."""

    term: int
    entries: list[tuple[int, str]]


class Service:
    """Handlers, with and without annotations."""

    def typed(self, args: Args) -> int:
        return args.term

    def untyped(self, args):
        return args

    def unknown(self, args: "NoSuchType") -> int:  # noqa: F821 - that is the point
        return 0


def test_dataclasses_arrive_as_what_the_handler_annotates() -> None:
    """A handler that annotates its parameter is given that type, with all that is nested in it."""
    args = Args(3, [(1, "a")])
    assert decode(encode(args, "args"), parameter_type(Service().typed), "args") == args


@pytest.mark.parametrize("handler", [Service().untyped, Service().unknown])
def test_others_are_given_plain_data(handler: Any) -> None:
    """Without an annotation that can be found, arguments arrive as dictionaries, lists, numbers and text."""
    plain = decode(encode(Args(3, [(1, "a")]), "args"), parameter_type(handler), "args")
    assert plain == {"term": 3, "entries": [[1, "a"]]}


def test_what_cannot_travel_is_named() -> None:
    """An object that is no plain data is refused by the caller's side, with its name."""
    with pytest.raises(NotPlain, match="the argument of vote must be plain data"):
        encode(object(), "the argument of vote")


def test_what_is_of_another_type_is_named() -> None:
    """A reply that does not fit the type asked for says where."""
    with pytest.raises(NotPlain, match="the reply of vote cannot be read"):
        decode(encode("x", "reply"), Args, "the reply of vote")
