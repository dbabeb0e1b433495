"""Clients of replicated objects that write down what they asked and were told, for the checkers to judge.

A workload works on any cluster, real or simulated: it is given the objects of one server after the other, and draws
everything from one generator.
"""

import random
from collections.abc import Awaitable, Callable
from queue import Empty
from typing import Any, NamedTuple, Protocol

from tests.support.object_models import Permits, Priorities

from oarlock.check import Recorder
from oarlock.check.model import Model
from oarlock.replica.errors import OarlockError
from oarlock.replica.object import ReplicatedObject
from oarlock.replica.objects import (
    ReplicatedCounter,
    ReplicatedDict,
    ReplicatedList,
    ReplicatedLock,
    ReplicatedPriorityQueue,
    ReplicatedQueue,
    ReplicatedSemaphore,
    ReplicatedSet,
)

LONG_LEASE_MS = 10_000_000
"""No lease ends within a test, so a history holds no release that nobody asked for."""


class Operate(Protocol):
    """Does one thing and notes it, in the words of the model that judges."""

    async def __call__(self, kind: str, given: Any, call: Callable[[], Awaitable[Any]], key: str = "") -> Any:
        """The answer.

        Raises:
            OarlockError: It failed.
        """


Step = Callable[[Any, Operate, str, random.Random], Awaitable[object]]


class Workload(NamedTuple):
    """What clients do with one kind of object, and the model that judges it."""

    make: Callable[[], ReplicatedObject]
    step: Step
    model: str | Model[Any]
    operations: int = 60
    """Asked by all clients together; queues are costly to judge."""


def noting(recorder: Recorder, client: str) -> Operate:
    """Notes what one client does, and minds no error of the library."""

    async def operate(kind: str, given: Any, call: Callable[[], Awaitable[Any]], key: str = "") -> Any:
        asked = recorder.call(client, kind, given, key=key)
        try:
            answer = await call()
        except OarlockError as error:
            if not error.outcome_unknown:
                asked.fails()
            return
        asked.returns(answer)

    return operate


def told(call: Callable[[], Awaitable[Any]], words: Callable[[Any], Any]) -> Callable[[], Awaitable[Any]]:
    """A call whose answer is put into the model's words."""

    async def ask() -> Any:
        return words(await call())

    return ask


async def count(counter: ReplicatedCounter, operate: Operate, _own: str, rng: random.Random) -> None:
    """Adds, and reads."""
    if rng.random() < 0.6:
        amount = rng.randint(1, 5)
        await operate("add", amount, lambda: counter.add(amount))
    else:
        await operate("read", None, lambda: counter.read("get"))


async def use_dictionary(d: ReplicatedDict[str, int], operate: Operate, _own: str, rng: random.Random) -> None:
    """Each key is a register with compare-and-set."""
    key, value = rng.choice("ab"), rng.randint(1, 4)
    match rng.randrange(3):
        case 0:
            await operate("write", value, lambda: d.set(key, value), key)
        case 1:
            old = rng.randint(1, 4)
            await operate("cas", {"expected": old, "new": value}, lambda: d.compare_and_set(key, old, value), key)
        case _:
            await operate("read", None, lambda: d.read("get", key), key)


async def use_set(s: ReplicatedSet[int], operate: Operate, _own: str, rng: random.Random) -> None:
    """Adds, discards, and looks."""
    element = rng.randint(1, 3)
    match rng.randrange(4):
        case 0:
            await operate("add", element, lambda: s.add(element))
        case 1:
            await operate("remove", element, lambda: s.discard(element))
        case 2:
            await operate("contains", element, lambda: s.read("contains", element))
        case _:
            await operate("read", None, lambda: s.read("elements"))


async def use_list(items: ReplicatedList[int], operate: Operate, _own: str, rng: random.Random) -> None:
    """Appends; the positions count up, as a counter's sum does."""
    if rng.random() < 0.7:
        await operate("add", 1, told(lambda: items.append(0), lambda position: position + 1))
    else:
        await operate("read", None, lambda: items.read(items.__len__))


async def use_queue(q: Any, operate: Operate, _own: str, rng: random.Random) -> None:
    """Puts values of which there is but one each, and takes."""
    if rng.random() < 0.55:
        value = rng.randrange(1 << 40)
        await operate("enqueue", value, lambda: q.put_nowait(value))
    else:
        await operate("dequeue", None, lambda: _taken(q))


async def use_priorities(q: Any, operate: Operate, _own: str, rng: random.Random) -> None:
    """The same, with priorities of which many are equal."""
    if rng.random() < 0.55:
        priority, value = rng.randrange(3), rng.randrange(1 << 40)
        await operate("enqueue", [priority, value], lambda: q.put_nowait(value, priority))
    else:
        await operate("dequeue", None, lambda: _taken(q))


async def _taken(q: Any) -> Any:
    """What a queue gives; None if it is empty."""
    try:
        return await q.get_nowait()
    except Empty:
        return None


async def use_lock(lock: ReplicatedLock, operate: Operate, own: str, rng: random.Random) -> None:
    """Tries to get it, and gives back what it may have."""
    given = {"owner": own}
    if rng.random() < 0.6:
        await operate(
            "acquire", given, told(lambda: lock.try_acquire(own, LONG_LEASE_MS), lambda token: token or False)
        )
    else:
        await operate("release", given, lambda: lock.try_release(own))


async def use_semaphore(permits: ReplicatedSemaphore, operate: Operate, own: str, rng: random.Random) -> None:
    """Tries to get a permit for one of several owners, and gives back what that may have."""
    owner = f"{own} {rng.randrange(2)}"
    if rng.random() < 0.6:
        await operate("acquire", owner, told(lambda: permits.try_acquire(owner, LONG_LEASE_MS), bool))
    else:
        await operate("release", owner, lambda: permits.try_release(owner))


WORKLOADS: dict[str, Workload] = {
    "counter": Workload(lambda: ReplicatedCounter("counter"), count, "counter"),
    "dict": Workload(lambda: ReplicatedDict("dict"), use_dictionary, "cas-register"),
    "set": Workload(lambda: ReplicatedSet("set"), use_set, "set"),
    "list": Workload(lambda: ReplicatedList("list"), use_list, "counter"),
    "queue": Workload(lambda: ReplicatedQueue("queue"), use_queue, "queue"),
    "priority queue": Workload(lambda: ReplicatedPriorityQueue("priority queue"), use_priorities, Priorities()),
    "lock": Workload(lambda: ReplicatedLock("lock"), use_lock, "lock"),
    "semaphore": Workload(lambda: ReplicatedSemaphore("semaphore", 2), use_semaphore, Permits(2)),
}
