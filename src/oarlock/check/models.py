"""Small sequential objects: registers, a lock with fencing, a queue, a counter, a set."""

from bisect import bisect_left
from collections import Counter as Counts
from collections.abc import Hashable, Mapping, Sequence
from itertools import accumulate
from operator import or_
from typing import Any, ClassVar

import msgspec

from oarlock.check.history import Operation
from oarlock.check.model import UNKNOWN, Action, Input, Interval, Kind, Model, Output, Part, Value, convert


class Register(Model[Value]):
    """One value, null at first: `write` replaces it, `read` answers it."""

    name = "register"
    kinds: ClassVar[Mapping[str, Kind]] = {"read": Kind(None, Value), "write": Kind(Value, None)}
    read_only_kinds = frozenset({"read"})

    def init(self) -> Value:
        """No value."""
        return None

    def step(self, state: Value, asked: Input, answer: Output) -> tuple[bool, Value]:
        """Reads answer the last write."""
        if asked.kind == "write":
            return True, asked.argument
        return answer == state or answer is UNKNOWN, state


class CompareAndSet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The argument of `cas`."""

    expected: Value
    new: Value


class CasRegister(Register):
    """A register with `cas`, which writes `new` and answers true if it finds `expected`, else answers false."""

    name = "cas-register"
    kinds: ClassVar[Mapping[str, Kind]] = {**Register.kinds, "cas": Kind(CompareAndSet, bool)}

    def step(self, state: Value, asked: Input, answer: Output) -> tuple[bool, Value]:
        """As a register; a `cas` succeeds exactly if the value is the expected one."""
        if asked.kind != "cas":
            return super().step(state, asked, answer)
        argument: CompareAndSet = asked.argument
        succeeds = state == argument.expected
        return answer in (succeeds, UNKNOWN), argument.new if succeeds else state

    def is_read_only(self, asked: Input, answer: Output) -> bool:
        """Also a `cas` that answered false."""
        return asked.kind == "read" or answer is False


class Holder(msgspec.Struct, frozen=True):
    """A lock's state: who holds it, and the highest fencing token given out."""

    owner: Value = None
    """None while the lock is free."""
    token: int | None = None
    """The holder's, if anyone saw it."""
    floor: int = 0
    """The next token must be higher."""


class Acquire(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The argument of `acquire`; in a file `owner` may be left out, for the client itself."""

    owner: Value


class Release(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The argument of `release`; in a file `owner` may be left out, for the client itself."""

    owner: Value
    token: int | None = None
    """The token to be given back; left out, whichever the owner holds."""


class Lock(Model[Holder]):
    """A lock that one owner holds at a time, under fencing tokens that only rise.

    `acquire` answers the token (or true, where there are none), or false if another holds the lock. The holder may
    ask again and is answered the same token. `release` answers whether the owner held the lock. A lease that expires
    is a `release` by whoever expires it, with the holder as `owner`.
    """

    name = "lock"
    kinds: ClassVar[Mapping[str, Kind]] = {"acquire": Kind(Acquire, bool | int), "release": Kind(Release, bool)}

    def init(self) -> Holder:
        """Free."""
        return Holder()

    def parse(self, operation: Operation) -> Action:
        """As every model; the owner is the client unless it is named."""
        argument = convert({} if operation.input is None else operation.input, dict[str, Any], "input")
        return super().parse(msgspec.structs.replace(operation, input={"owner": operation.client, **argument}))

    def step(self, state: Holder, asked: Input, answer: Output) -> tuple[bool, Holder]:
        """One holder at a time; a token is higher than all before it."""
        owner = asked.argument.owner
        if asked.kind == "release":
            token = asked.argument.token
            holds = state.owner == owner and (token is None or state.token is None or token == state.token)
            return answer in (holds, UNKNOWN), Holder(None, None, state.floor) if holds else state
        if state.owner is None:
            return self._grant(state, owner, answer)
        if state.owner != owner:
            return answer is False or answer is UNKNOWN, state
        if answer is UNKNOWN or answer is True:
            return True, state
        if state.token is None and answer is not False:
            # The first that is seen of the token under which the owner holds the lock.
            return answer >= state.floor, Holder(owner, answer, answer)
        return answer is not False and answer == state.token, state

    @staticmethod
    def _grant(state: Holder, owner: Value, answer: Output) -> tuple[bool, Holder]:
        if answer is False:
            return False, state
        if answer is True:
            return True, Holder(owner, None, state.floor)
        if answer is UNKNOWN:
            # Some token was used up, at least the next one.
            return True, Holder(owner, None, state.floor + 1)
        return answer > state.floor, Holder(owner, answer, answer)

    def is_read_only(self, asked: Input, answer: Output) -> bool:  # noqa: ARG002 - only the answer tells
        """Whatever was refused."""
        return answer is False

    def describe_state(self, state: Holder) -> str:
        """Who holds the lock."""
        if state.owner is None:
            return f"free, last token {state.floor}"
        return f"held by {state.owner} under token {'?' if state.token is None else state.token}"


class Queue(Model[tuple[Value, ...]]):
    """First in, first out: `enqueue` takes a value, `dequeue` answers the oldest, or null if there is none."""

    name = "queue"
    kinds: ClassVar[Mapping[str, Kind]] = {"enqueue": Kind(str | int, None), "dequeue": Kind(None, Value)}

    def __init__(self, staying: frozenset[Value] = frozenset(), leaving: frozenset[Value] = frozenset()) -> None:
        self._staying = staying
        """Values that nobody sees leave: all alike, and null stands in their place."""
        self._leaving = leaving
        """Values that arrive once and are seen to leave."""

    def init(self) -> tuple[Value, ...]:
        """Empty."""
        return ()

    def step(self, state: tuple[Value, ...], asked: Input, answer: Output) -> tuple[bool, tuple[Value, ...]]:
        """Each value leaves once, in the order of arrival."""
        if asked.kind == "enqueue":
            stays = asked.argument in self._staying
            return not stays or answer is not UNKNOWN, (*state, None if stays else asked.argument)
        if not state:
            return answer in (None, UNKNOWN), state
        if answer is UNKNOWN:
            return state[0] not in self._leaving, state[1:]
        return answer is not None and answer == state[0], state[1:]

    def for_history(self, intervals: Sequence[Interval]) -> "Queue":
        """Of unknown outcomes: values arrive only if they are seen to leave, and none leaves unseen that is seen to.

        Nothing else can help: a value that nobody sees leave only stands in the way.
        """
        arriving = Counts(i.action.input.argument for i in intervals if i.action.input.kind == "enqueue")
        leaving = Counts(
            i.action.output for i in intervals if i.action.input.kind == "dequeue" and i.return_ is not None
        )
        once = frozenset(value for value, count in leaving.items() if count == arriving[value] == 1)
        return Queue(frozenset(arriving.keys() - leaving.keys()), once)

    def predecessors(self, intervals: Sequence[Interval]) -> list[int]:
        """A value that left before another was asked for arrived before it; likewise if the other never left.

        Without this a search would try every order in which values arrived at once, and learn only much later, when
        they leave, which one it was.
        """
        enqueued: dict[Value, list[int]] = {}
        dequeued: dict[Value, list[Interval]] = {}
        all_seen = True
        for position, interval in enumerate(intervals):
            kind, value = interval.action.input
            if kind == "enqueue":
                enqueued.setdefault(value, []).append(position)
            elif interval.return_ is None:
                all_seen = False
            else:
                dequeued.setdefault(interval.action.output, []).append(interval)
        once = {
            value: (positions[0], dequeued.get(value))
            for value, positions in enqueued.items()
            if len(positions) == 1 and len(dequeued.get(value, ())) <= 1
        }
        left = sorted((leave[0].return_ or 0, position) for position, leave in once.values() if leave)
        moments = [moment for moment, _ in left]
        sets = list(accumulate((1 << position for _, position in left), or_, initial=0))
        before = [0] * len(intervals)
        for position, leave in once.values():
            if leave:
                before[position] = sets[bisect_left(moments, leave[0].call)]
            elif all_seen:
                before[position] = sets[-1]
        return before

    def is_read_only(self, asked: Input, answer: Output) -> bool:
        """Finding nothing."""
        return asked.kind == "dequeue" and answer is None


class Counter(Model[int]):
    """A sum, 0 at first: `add` answers the new one, or null if it was not asked for; `read` answers it."""

    name = "counter"
    kinds: ClassVar[Mapping[str, Kind]] = {"add": Kind(int, int | None), "read": Kind(None, int)}
    read_only_kinds = frozenset({"read"})

    def init(self) -> int:
        """Zero."""
        return 0

    def step(self, state: int, asked: Input, answer: Output) -> tuple[bool, int]:
        """Every addition counts once."""
        after = state + (asked.argument or 0)
        return answer in (after, UNKNOWN) or (answer is None and asked.kind == "add"), after


class Set(Model[frozenset[Hashable]]):
    """Elements: `add` and `remove` answer whether that changed anything, or null if it was not asked for.

    `contains` asks for one element; `read` answers all of them. Elements are independent unless a `read` joins them.
    """

    name = "set"
    kinds: ClassVar[Mapping[str, Kind]] = {
        "add": Kind(str | int, bool | None),
        "remove": Kind(str | int, bool | None),
        "contains": Kind(str | int, bool),
        "read": Kind(None, frozenset[str | int]),
    }
    read_only_kinds = frozenset({"contains", "read"})

    def init(self) -> frozenset[Hashable]:
        """Empty."""
        return frozenset()

    def partition(self, actions: Sequence[Action]) -> list[Part[frozenset[Hashable]]]:
        """By key, and by element where no `read` of the key is answered."""
        joined = {action.key for action in actions if action.input.kind == "read" and action.output is not UNKNOWN}
        groups: dict[str, list[int]] = {}
        for position, action in enumerate(actions):
            element = "" if action.key in joined else f"{action.key}[{action.input.argument!r}]"
            groups.setdefault(element or action.key, []).append(position)
        return [Part(name, members, self.init()) for name, members in groups.items()]

    def step(self, state: frozenset[Hashable], asked: Input, answer: Output) -> tuple[bool, frozenset[Hashable]]:
        """A mathematical set."""
        kind, element = asked
        if kind == "read":
            return answer in (state, UNKNOWN), state
        is_in = element in state
        if kind == "contains":
            return answer in (is_in, UNKNOWN), state
        changes = is_in is (kind == "remove")
        after = state ^ {element} if changes else state
        return answer in (changes, UNKNOWN) or answer is None, after

    def is_read_only(self, asked: Input, answer: Output) -> bool:
        """Also an `add` or `remove` that changed nothing."""
        return asked.kind in self.read_only_kinds or answer is False
