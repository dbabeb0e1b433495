"""The judge of versioned stores: what it lets pass, and what not."""

from typing import Any

import pytest

from oarlock.check.history import Operation
from oarlock.lab.suite.versioned import what_is_wrong_with


def _get(call: int, end: int, value: str, version: int) -> Operation:
    return Operation(client=1, kind="get", key="k", output=(value, version), call=call, return_=end)


def _put(call: int, end: int | None, value: str, version: int, error: str | None) -> Operation:
    asked: Any = {"value": value, "version": version}
    return Operation(client=2, kind="put", key="k", input=asked, output=error, call=call, return_=end)


@pytest.mark.parametrize(
    "operations",
    [
        [_put(0, 1, "a", 0, "OK"), _get(2, 3, "a", 1)],
        [_put(0, 1, "a", 0, "OK"), _put(2, 5, "b", 1, "ErrMaybe"), _put(3, 4, "c", 1, "OK"), _get(6, 7, "c", 2)],
        [_put(0, 1, "a", 0, "OK"), _put(2, 3, "b", 1, "ErrMaybe"), _get(4, 5, "b", 2)],
        [_put(0, None, "a", 0, None), _get(1, 2, "", 0), _get(3, 4, "a", 1)],
        [_put(0, 1, "a", 2, "ErrNoKey"), _put(2, 3, "a", 0, "OK"), _put(4, 5, "b", 7, "ErrVersion")],
    ],
    ids=["plain", "maybe-not", "maybe-done", "unknown-later", "refused"],
)
def test_what_a_store_could_have_answered_passes(operations: list[Operation]) -> None:
    """Puts that were perhaps done stand either way."""
    assert not what_is_wrong_with(operations)


@pytest.mark.parametrize(
    "operations",
    [
        [_put(0, 1, "a", 0, "OK"), _get(2, 3, "", 0)],
        [_put(0, 1, "a", 0, "OK"), _put(2, 3, "b", 0, "OK")],
        [_put(0, 1, "a", 0, "OK"), _get(2, 3, "a", 2)],
        [_put(0, 1, "a", 0, "OK"), _put(2, 3, "b", 1, "ErrVersion")],
        [_put(0, 1, "a", 0, "ErrNoKey")],
        [_put(0, 1, "a", 0, "OK"), _put(2, 3, "b", 1, "ErrMaybe"), _get(4, 5, "a", 1)],
    ],
    ids=[
        "lost",
        "twice",
        "version-skipped",
        "refused-for-nothing",
        "no-key-where-none-is-needed",
        "maybe-without-a-rival",
    ],
)
def test_what_no_store_could_have_answered_does_not(operations: list[Operation]) -> None:
    """A lost write, a double one, and refusals without reason are found."""
    assert "not linearizable" in what_is_wrong_with(operations)
