"""Models of objects that the checkers' own do not know: permits of which there are several, and queues with priorities."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from oarlock.check.model import UNKNOWN, Input, Interval, Kind, Model, Output


class Permits(Model[frozenset[str]]):
    """As many owners at a time as there are permits; who has one may ask again."""

    name = "permits"
    kinds: ClassVar[Mapping[str, Kind]] = {"acquire": Kind(str, bool), "release": Kind(str, bool)}

    def __init__(self, permits: int) -> None:
        self._permits = permits

    def init(self) -> frozenset[str]:
        """All are free."""
        return frozenset()

    def step(self, state: frozenset[str], asked: Input, answer: Output) -> tuple[bool, frozenset[str]]:
        """Granted while there is one; given back by whoever has one."""
        owner = asked.argument
        if asked.kind == "release":
            return answer in (owner in state, UNKNOWN), state - {owner}
        is_granted = owner in state or len(state) < self._permits
        return answer in (is_granted, UNKNOWN), state | {owner} if is_granted else state


Item = tuple[int, int]
"""A priority and a value."""


class Priorities(Model[tuple[Item, ...]]):
    """The lowest number first; among equals, the one that came first. Each value is put in once."""

    name = "priorities"
    kinds: ClassVar[Mapping[str, Kind]] = {"enqueue": Kind(tuple[int, int], None), "dequeue": Kind(None, Any)}

    def __init__(self, seen_leaving: frozenset[int] = frozenset()) -> None:
        self._seen_leaving = seen_leaving

    def init(self) -> tuple[Item, ...]:
        """Empty."""
        return ()

    def step(self, state: tuple[Item, ...], asked: Input, answer: Output) -> tuple[bool, tuple[Item, ...]]:
        """Each value leaves once, in the order of priorities."""
        if asked.kind == "enqueue":
            priority, value = asked.argument
            place = sum(1 for held, _ in state if held <= priority)
            is_of_use = answer is not UNKNOWN or value in self._seen_leaving
            return is_of_use, (*state[:place], (priority, value), *state[place:])
        if not state:
            return answer in (None, UNKNOWN), state
        if answer is UNKNOWN:
            return state[0][1] not in self._seen_leaving, state[1:]
        return answer == state[0][1], state[1:]

    def for_history(self, intervals: Sequence[Interval]) -> "Priorities":
        """Of unknown outcomes: a value arrives only if it is seen to leave, and none leaves unseen that is seen to."""
        return Priorities(
            frozenset(i.action.output for i in intervals if i.action.input.kind == "dequeue" and i.return_ is not None)
        )
