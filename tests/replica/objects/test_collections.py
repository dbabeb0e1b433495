"""Counter, dictionary, set, list and queues against Python's own: answers, errors, order, snapshots."""

import copy
import heapq
import math
from collections import deque
from collections.abc import Callable
from queue import Empty, Full
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.alone import image_of, outcome, restored

from oarlock.replica.objects.counter import ReplicatedCounter
from oarlock.replica.objects.dictionary import ReplicatedDict
from oarlock.replica.objects.errors import TooManyItems
from oarlock.replica.objects.lists import ReplicatedList
from oarlock.replica.objects.queues import ReplicatedPriorityQueue, ReplicatedQueue
from oarlock.replica.objects.sets import ReplicatedSet
from oarlock.replica.objects.values import MAX_INTEGER, MIN_INTEGER

LIMIT = 4
KEYS = st.sampled_from(["a", "b", "c", "d", "e", 1, 2])
VALUES = st.one_of(st.none(), st.integers(-3, 3), st.sampled_from(["x", "y"]), st.lists(st.integers(0, 2), max_size=2))
Call = tuple[Any, ...]


def expected(model: Callable[[], Any]) -> tuple[str, Any]:
    """What the model answers, in the form of `outcome`, errors without their text."""
    try:
        return "is", model()
    except (KeyError, IndexError, ValueError, TypeError, OverflowError, TooManyItems, Empty, Full) as error:
        return "raises", type(error)


def without_text(answer: tuple[str, Any]) -> tuple[str, Any]:
    """An outcome whose error has no text."""
    kind, value = answer
    return (kind, value[0]) if kind == "raises" else answer


def compare(make: Callable[[], Any], model: Any, calls: list[Call], restart: int, state: Callable[[Any], Any]) -> None:
    """The object answers as the model does, keeps its state across a snapshot, and a second copy stays alike."""
    obj, twin = make(), make()
    for number, (method, *args) in enumerate(calls):
        if number == restart:
            obj = restored(make(), image_of(obj))
        before = image_of(obj)
        answer = outcome(obj, method, *args)
        assert outcome(twin, method, *args) == answer
        assert without_text(answer) == expected(lambda m=method, a=args: getattr(model, m)(*copy.deepcopy(a)))
        if answer[0] == "raises":
            assert image_of(obj) == before
        assert state(obj) == state(model)
    assert image_of(obj) == image_of(twin)


class CounterModel:
    """A number that refuses what does not fit."""

    def __init__(self) -> None:
        self.value = 0

    def _become(self, value: int) -> int:
        if not MIN_INTEGER <= value <= MAX_INTEGER:
            raise OverflowError
        self.value = value
        return value

    def add(self, amount: int) -> int:
        return self._become(self.value + amount)

    def subtract(self, amount: int) -> int:
        return self._become(self.value - amount)

    def set(self, value: int) -> int:
        old = self.value
        self._become(value)
        return old

    def compare_and_set(self, expected: int, value: int) -> bool:
        if self.value != expected:
            return False
        self._become(value)
        return True


NUMBERS = st.one_of(st.integers(-2, 2), st.sampled_from([MAX_INTEGER, MIN_INTEGER]))


@given(
    st.lists(
        st.one_of(
            st.tuples(st.sampled_from(["add", "subtract", "set"]), NUMBERS),
            st.tuples(st.just("compare_and_set"), NUMBERS, NUMBERS),
        ),
        max_size=20,
    ),
    st.integers(0, 20),
)
def test_counter_is_what_the_model_says(calls: list[Call], restart: int) -> None:
    """A counter adds up, and refuses to leave 64 bits without changing."""
    compare(lambda: ReplicatedCounter("c"), CounterModel(), calls, restart, lambda c: c.value)


class DictModel(dict[Any, Any]):
    """A dictionary with a limit, and what Python's has no method for."""

    def _check(self, keys: set[Any]) -> None:
        if len(self.keys() | keys) > LIMIT and not keys <= self.keys():
            raise TooManyItems

    def set(self, key: Any, value: Any) -> None:
        self._check({key})
        self[key] = value

    def setdefault(self, key: Any, default: Any = None) -> Any:
        self._check({key})
        return super().setdefault(key, default)

    def update(self, items: Any) -> None:
        if len(self.keys() | dict(items).keys()) > LIMIT:
            raise TooManyItems
        super().update(items)

    def delete(self, key: Any) -> None:
        del self[key]

    def popitem(self) -> Any:
        return list(super().popitem())

    def compare_and_set(self, key: Any, old: Any, value: Any) -> bool:
        if key not in self or self[key] != old:
            return False
        self[key] = value
        return True

    def compare_and_delete(self, key: Any, old: Any) -> bool:
        if key not in self or self[key] != old:
            return False
        del self[key]
        return True


@given(
    st.lists(
        st.one_of(
            st.tuples(st.sampled_from(["set", "setdefault", "pop", "compare_and_delete"]), KEYS, VALUES),
            st.tuples(st.sampled_from(["delete", "pop"]), KEYS),
            st.tuples(st.just("update"), st.dictionaries(KEYS, VALUES, max_size=3)),
            st.tuples(st.just("compare_and_set"), KEYS, VALUES, VALUES),
            st.tuples(st.sampled_from(["popitem", "clear"])),
        ),
        max_size=30,
    ),
    st.integers(0, 30),
)
def test_dictionary_is_what_python_s_is(calls: list[Call], restart: int) -> None:
    """Each method answers and raises as that of `dict`, in the same order of keys."""

    def state(d: Any) -> Any:
        return list(d.items()), len(d), [d.get(key, "none") for key in ("a", 1)]

    compare(lambda: ReplicatedDict("d", max_items=LIMIT), DictModel(), calls, restart, state)


class SetModel(dict[Any, None]):
    """A set in the order of insertion."""

    def add(self, element: Any) -> bool:
        if element in self:
            return False
        if len(self) == LIMIT:
            raise TooManyItems
        self[element] = None
        return True

    def update(self, elements: Any) -> int:  # type: ignore[override]
        new = dict.fromkeys(element for element in elements if element not in self)
        if len(self) + len(new) > LIMIT:
            raise TooManyItems
        super().update(new)
        return len(new)

    def remove(self, element: Any) -> None:
        del self[element]

    def discard(self, element: Any) -> bool:
        return self.pop_one(element)

    def pop_one(self, element: Any) -> bool:
        there = element in self
        super().pop(element, None)
        return there

    def pop(self) -> Any:  # type: ignore[override]
        if not self:
            raise KeyError
        first = next(iter(self))
        del self[first]
        return first


ELEMENTS = st.one_of(KEYS, st.tuples(st.integers(0, 1), st.integers(0, 1)))


@given(
    st.lists(
        st.one_of(
            st.tuples(st.sampled_from(["add", "remove", "discard"]), ELEMENTS),
            st.tuples(st.just("update"), st.lists(ELEMENTS, max_size=3)),
            st.tuples(st.sampled_from(["pop", "clear"])),
        ),
        max_size=30,
    ),
    st.integers(0, 30),
)
def test_set_is_what_python_s_is(calls: list[Call], restart: int) -> None:
    """Each method answers and raises as that of a set that keeps the order of insertion; tuples stay tuples."""
    compare(lambda: ReplicatedSet("s", max_items=LIMIT), SetModel(), calls, restart, list)


class ListModel(list[Any]):
    """A list with a limit."""

    def _check(self, count: int) -> None:
        if len(self) + count > LIMIT:
            raise TooManyItems

    def append(self, item: Any) -> int:  # type: ignore[override]
        self._check(1)
        super().append(item)
        return len(self) - 1

    def extend(self, items: Any) -> None:
        self._check(len(items))
        super().extend(items)

    def insert(self, position: Any, item: Any) -> None:
        self._check(1)
        super().insert(position, item)

    def set(self, position: int, item: Any) -> None:
        self[position] = item

    def compare_and_set(self, position: int, old: Any, item: Any) -> bool:
        if self[position] != old:
            return False
        self[position] = item
        return True

    def delete(self, position: int) -> None:
        del self[position]

    def sort(self) -> None:  # type: ignore[override]
        self[:] = sorted(self)


PLACES = st.integers(-5, 5)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.sampled_from(["append", "remove"]), VALUES),
            st.tuples(st.just("extend"), st.lists(VALUES, max_size=3)),
            st.tuples(st.sampled_from(["insert", "set"]), PLACES, VALUES),
            st.tuples(st.just("compare_and_set"), PLACES, VALUES, VALUES),
            st.tuples(st.sampled_from(["delete", "pop"]), PLACES),
            st.tuples(st.sampled_from(["pop", "clear", "sort", "reverse"])),
        ),
        max_size=30,
    ),
    st.integers(0, 30),
)
def test_list_is_what_python_s_is(calls: list[Call], restart: int) -> None:
    """Each method answers and raises as that of `list`, and what raises changes nothing."""
    compare(lambda: ReplicatedList("l", max_items=LIMIT), ListModel(), calls, restart, list)


class QueueModel(deque[Any]):
    """A bounded queue."""

    def put_nowait(self, item: Any) -> None:
        self.put_many([item])

    def put_many(self, items: list[Any]) -> None:
        if len(self) + len(items) > LIMIT:
            raise Full
        self.extend(items)

    def get_nowait(self) -> Any:
        if not self:
            raise Empty
        return self.popleft()

    def copy(self) -> Any:
        return list(self)

    def clear(self) -> int:  # type: ignore[override]
        count = len(self)
        super().clear()
        return count


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("put_nowait"), VALUES),
            st.tuples(st.just("put_many"), st.lists(VALUES, max_size=3)),
            st.tuples(st.sampled_from(["get_nowait", "get_nowait", "clear"])),
        ),
        max_size=30,
    ),
    st.integers(0, 30),
)
def test_queue_is_first_in_first_out(calls: list[Call], restart: int) -> None:
    """Items leave once, in the order of arrival; beyond the limit all or nothing is refused."""
    compare(lambda: ReplicatedQueue("q", maxsize=LIMIT), QueueModel(), calls, restart, lambda q: q.copy())


class PriorityModel(list[Any]):
    """A sorted list."""

    def put_nowait(self, item: Any, priority: Any) -> None:
        if isinstance(priority, str):
            raise TypeError
        if math.isnan(priority):
            raise ValueError
        if len(self) == LIMIT:
            raise Full
        places = [entry[0] for entry in self]
        self.insert(sum(place <= priority for place in places), (priority, item))

    def get_nowait(self) -> Any:
        if not self:
            raise Empty
        return self.pop(0)[1]

    def copy(self) -> Any:
        return [item for _, item in self]

    def clear(self) -> int:  # type: ignore[override]
        count = len(self)
        super().clear()
        return count


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("put_nowait"), VALUES, st.sampled_from([0, 1, -1, 0.5, float("nan"), "high"])),
            st.tuples(st.sampled_from(["get_nowait", "clear"])),
        ),
        max_size=30,
    ),
    st.integers(0, 30),
)
def test_priority_queue_gives_the_lowest_first(calls: list[Call], restart: int) -> None:
    """The lowest number leaves first, among equals the oldest; items are never compared."""
    compare(lambda: ReplicatedPriorityQueue("p", maxsize=LIMIT), PriorityModel(), calls, restart, lambda q: q.copy())


def test_what_is_handed_out_changes_no_replica() -> None:
    """Lists and dictionaries that callers get, by reading, from commands or in a snapshot, are their own."""
    d = ReplicatedDict[str, Any]("d")
    outcome(d, "set", "k", [1])
    image = d.snapshot()
    d["k"].append(2)
    d.get("k").append(2)
    d.copy()["k"].append(2)
    outcome(d, "setdefault", "k", [])[1].append(2)
    next(iter(d.values())).append(2)
    assert d["k"] == [1]
    outcome(d, "set", "k", [3])
    assert image == [["k", [1]]]
    items = ReplicatedList[Any]("l")
    outcome(items, "append", {"a": 1})
    items[0]["a"] = 2
    items[0:1][0]["a"] = 2
    assert items[0] == {"a": 1}
    queue = ReplicatedQueue[Any]("q")
    outcome(queue, "put_nowait", [1])
    queue.peek().append(2)
    assert queue.peek() == [1]


def test_reading_is_as_with_python_s_own() -> None:
    """Operators of mappings, sets and sequences work on this server's copy."""
    d = ReplicatedDict[Any, Any]("d")
    outcome(d, "update", {"a": 1, "b": 2})
    assert (d["a"], "b" in d, "c" in d, len(d), list(d), dict(d)) == (1, True, False, 2, ["a", "b"], {"a": 1, "b": 2})
    with pytest.raises(KeyError, match="c"):
        d["c"]
    s = ReplicatedSet[Any]("s")
    outcome(s, "update", [1, 2, (3, 4)])
    assert s & {1, 9} == {1}
    assert {1} <= s
    assert (3, 4) in s
    items = ReplicatedList[Any]("l")
    outcome(items, "extend", [5, 6, 7])
    assert (items[1], items[-1], items[1:], items.index(6), 7 in items) == (6, 7, [6, 7], 1, True)


def test_iterating_goes_through_what_was_there() -> None:
    """Commands that are applied meanwhile, as to whoever awaits within a loop, neither break it nor show in it."""
    d = ReplicatedDict[str, int]("d")
    outcome(d, "update", {"a": 1, "b": 2})
    views = [iter(d), iter(d.keys()), iter(d.values()), iter(d.items())]
    assert [next(view) for view in views] == ["a", "a", 1, ("a", 1)]
    outcome(d, "clear")
    assert [list(view) for view in views] == [["b"], ["b"], [2], [("b", 2)]]
    s, items = ReplicatedSet[int]("s"), ReplicatedList[int]("l")
    outcome(s, "update", [1, 2])
    outcome(items, "extend", [1, 2])
    loops = [iter(s), iter(items)]
    assert [next(loop) for loop in loops] == [1, 1]
    outcome(s, "clear")
    outcome(items, "clear")
    assert [list(loop) for loop in loops] == [[2], [2]]


def test_errors_say_what_python_s_say() -> None:
    """Texts of errors are those that a user of dict, set and list knows."""
    assert outcome(ReplicatedDict("d"), "delete", "k") == ("raises", (KeyError, "'k'"))
    assert outcome(ReplicatedDict("d"), "popitem") == ("raises", (KeyError, "'popitem(): dictionary is empty'"))
    assert outcome(ReplicatedSet("s"), "pop") == ("raises", (KeyError, "'pop from an empty set'"))
    assert outcome(ReplicatedSet("s"), "add", {"a": 1}) == ("raises", (TypeError, "unhashable type: 'dict'"))
    assert outcome(ReplicatedList("l"), "pop") == ("raises", (IndexError, "pop from empty list"))
    assert outcome(ReplicatedQueue("jobs"), "get_nowait") == ("raises", (Empty, "jobs is empty"))
    full = ReplicatedDict[Any, Any]("small", max_items=1)
    outcome(full, "set", 1, 1)
    assert outcome(full, "set", 2, 2) == ("raises", (TooManyItems, "small: 2 items; its limit is 1"))


def test_a_heap_is_the_same_on_every_server() -> None:
    """Two heaps with the same items can differ inside; two servers' never do, also when one began from a snapshot."""
    first = ReplicatedPriorityQueue[int]("p")
    for number in (5, 3, 8, 1, 9, 2):
        outcome(first, "put_nowait", number, number)
    second = restored(ReplicatedPriorityQueue[int]("p"), image_of(first))
    for queue in (first, second):
        outcome(queue, "get_nowait")
        outcome(queue, "put_nowait", 4, 4)
    assert image_of(first) == image_of(second)
    assert heapq.nsmallest(3, first.copy()) == [2, 3, 4]
