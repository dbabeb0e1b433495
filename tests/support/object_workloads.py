"""Clients of replicated objects that write down what they asked and were told, for the checkers to judge.

A workload works on any cluster, real or simulated: it is given the objects of one server after the other, and draws
everything from one generator.
"""

import random
from collections.abc import Awaitable, Callable
from queue import Empty
from typing import Any, NamedTuple

from oarlock.check import Call, Recorder
from oarlock.replica.errors import OarlockError
from oarlock.replica.object import ReplicatedObject
from oarlock.replica.objects import (
    ReplicatedCounter,
    ReplicatedDict,
    ReplicatedList,
    ReplicatedLock,
    ReplicatedPriorityQueue,
    ReplicatedQueue,
    ReplicatedSet,
)

Step = Callable[[Any, Recorder, str, random.Random], Awaitable[None]]
LONG_LEASE_MS = 10_000_000
"""No lease ends within a test, so a history holds no release that nobody asked for."""


class Workload(NamedTuple):
    """What clients do with one kind of object, and the model that judges it."""

    make: Callable[[], ReplicatedObject]
    step: Step
    model: str
    operations: int = 60
    """Asked by all clients together; queues are costly to judge."""


async def noted(call: Call, ask: Callable[[], Awaitable[Any]], told: Callable[[Any], Any] = lambda value: value) -> Any:
    """Ask, and note the answer; or that nothing was done; or, saying nothing, that this is not known."""
    try:
        value = await ask()
    except OarlockError as error:
        if not error.outcome_unknown:
            call.fails()
        return None
    call.returns(told(value))
    return value


async def count(counter: ReplicatedCounter, recorder: Recorder, client: str, rng: random.Random) -> None:
    """Adds, and reads."""
    if rng.random() < 0.6:
        amount = rng.randint(1, 5)
        await noted(recorder.call(client, "add", amount), lambda: counter.add(amount))
    else:
        await noted(recorder.call(client, "read"), lambda: counter.read("get"))


async def use_dictionary(d: ReplicatedDict[str, int], recorder: Recorder, client: str, rng: random.Random) -> None:
    """Each key is a register with compare-and-set."""
    key, value = rng.choice("ab"), rng.randint(1, 4)
    match rng.randrange(3):
        case 0:
            await noted(recorder.call(client, "write", value, key=key), lambda: d.set(key, value))
        case 1:
            old = rng.randint(1, 4)
            call = recorder.call(client, "cas", {"expected": old, "new": value}, key=key)
            await noted(call, lambda: d.compare_and_set(key, old, value))
        case _:
            await noted(recorder.call(client, "read", key=key), lambda: d.read("get", key))


async def use_set(s: ReplicatedSet[int], recorder: Recorder, client: str, rng: random.Random) -> None:
    """Adds, discards, and looks."""
    element = rng.randint(1, 3)
    match rng.randrange(4):
        case 0:
            await noted(recorder.call(client, "add", element), lambda: s.add(element))
        case 1:
            await noted(recorder.call(client, "remove", element), lambda: s.discard(element))
        case 2:
            await noted(recorder.call(client, "contains", element), lambda: s.read("contains", element))
        case _:
            await noted(recorder.call(client, "read"), lambda: s.read("elements"), sorted)


async def use_list(items: ReplicatedList[int], recorder: Recorder, client: str, rng: random.Random) -> None:
    """Appends; the positions count up, as a counter's sum does."""
    if rng.random() < 0.7:
        await noted(recorder.call(client, "add", 1), lambda: items.append(0), lambda position: position + 1)
    else:
        await noted(recorder.call(client, "read"), lambda: items.read(items.__len__))


async def use_queue(q: Any, recorder: Recorder, client: str, rng: random.Random) -> None:
    """Puts values of which there is but one each, and takes; at one priority, where there are priorities."""
    if rng.random() < 0.55:
        value = rng.randrange(1 << 40)
        await noted(recorder.call(client, "enqueue", value), lambda: q.put_nowait(value))
        return

    async def get() -> Any:
        try:
            return await q.get_nowait()
        except Empty:
            return None

    await noted(recorder.call(client, "dequeue"), get)


async def use_lock(lock: ReplicatedLock, recorder: Recorder, client: str, rng: random.Random) -> None:
    """Tries to get it, and gives back what it may have."""
    if rng.random() < 0.6:
        call = recorder.call(client, "acquire", {"owner": client})
        await noted(call, lambda: lock.try_acquire(client, LONG_LEASE_MS), lambda token: token or False)
    else:
        await noted(recorder.call(client, "release", {"owner": client}), lambda: lock.try_release(client))


WORKLOADS: dict[str, Workload] = {
    "counter": Workload(lambda: ReplicatedCounter("counter"), count, "counter"),
    "dict": Workload(lambda: ReplicatedDict("dict"), use_dictionary, "cas-register"),
    "set": Workload(lambda: ReplicatedSet("set"), use_set, "set"),
    "list": Workload(lambda: ReplicatedList("list"), use_list, "counter"),
    "queue": Workload(lambda: ReplicatedQueue("queue"), use_queue, "queue"),
    "priority queue": Workload(lambda: ReplicatedPriorityQueue("priority queue"), use_queue, "queue"),
    "lock": Workload(lambda: ReplicatedLock("lock"), use_lock, "lock"),
}
