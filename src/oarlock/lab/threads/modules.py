"""The modules that a program on virtual time imports: the same names, bound to one scheduler."""

import datetime as dt
import queue
import random
import threading
import time
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, Final, TypeVar

from oarlock.lab.threads import barrier, locks, queues, thread
from oarlock.lab.threads.scheduler import START_NS, Scheduler
from oarlock.lab.threads.task import Task

C = TypeVar("C", bound=type)

WALL_S: Final = 1_704_067_200
"""What `time.time()` says at first: the beginning of 2024, UTC."""


class VirtualModule(ModuleType):
    """A module that says so when a name is asked for that has no virtual twin."""

    def __init__(self, name: str, members: Mapping[str, object]) -> None:
        super().__init__(name, f"`{name}` on virtual time.")
        self.__dict__.update(members)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - never returns
        raise AttributeError(f"{self.__name__}.{name} is not there on virtual time")


def threading_module(scheduler: Scheduler, main: Task) -> VirtualModule:
    """`threading`, with the main task's thread in place."""

    def bound(shim: C, **members: object) -> Any:  # noqa: ANN401 - a class like the one given
        return type(shim.__name__, (shim,), {"scheduler": scheduler, "__doc__": shim.__doc__, **members})

    rlock = bound(locks.RLock)
    condition = bound(locks.Condition, default_lock=rlock)
    event = bound(locks.Event)
    thread_class = bound(thread.Thread, names={})
    timer = type("Timer", (thread.Timer, thread_class), {"event": event})
    main_thread = thread_class(name="MainThread")
    main_thread.be(main)

    def current_thread() -> Any:  # noqa: ANN401 - a Thread of this runtime
        return main_thread if scheduler.current is None else scheduler.current.thread

    def get_ident() -> int:
        return 1 if scheduler.current is None else scheduler.current.number + 1

    def enumerate_threads() -> list[Any]:
        return [task.thread for task in scheduler.live.values()]

    return VirtualModule(
        "threading",
        {
            "Thread": thread_class,
            "Timer": timer,
            "Lock": bound(locks.Lock),
            "RLock": rlock,
            "Condition": condition,
            "Event": event,
            "Semaphore": bound(locks.Semaphore),
            "BoundedSemaphore": bound(locks.BoundedSemaphore),
            "Barrier": bound(barrier.Barrier, condition=condition),
            "BrokenBarrierError": threading.BrokenBarrierError,
            "ThreadError": threading.ThreadError,
            "TIMEOUT_MAX": threading.TIMEOUT_MAX,
            "local": bound(thread.local),
            "current_thread": current_thread,
            "currentThread": current_thread,
            "main_thread": lambda: main_thread,
            "get_ident": get_ident,
            "get_native_id": get_ident,
            "enumerate": enumerate_threads,
            "active_count": lambda: len(scheduler.live),
        },
    )


def time_module(scheduler: Scheduler) -> VirtualModule:
    """`time`: the clocks are virtual, what only formats is the original."""

    def sleep(seconds: float, /) -> None:
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        scheduler.sleep(seconds)

    def monotonic_ns() -> int:
        scheduler.point()
        return scheduler.now_ns

    def monotonic() -> float:
        return monotonic_ns() / 1e9

    def time_ns() -> int:
        return wall_ns(scheduler)

    def now() -> float:
        return time_ns() / 1e9

    def at_now(function: Callable[[float], Any]) -> Callable[..., Any]:
        return lambda seconds=None: function(now() if seconds is None else seconds)

    clocks = ("monotonic", "perf_counter", "process_time", "thread_time")
    return VirtualModule(
        "time",
        {
            "sleep": sleep,
            **dict.fromkeys(clocks, monotonic),
            **dict.fromkeys([f"{clock}_ns" for clock in clocks], monotonic_ns),
            "time": now,
            "time_ns": time_ns,
            "gmtime": at_now(time.gmtime),
            "localtime": at_now(time.localtime),
            "ctime": at_now(time.ctime),
            "strftime": lambda form, at=None: time.strftime(form, time.localtime(now()) if at is None else at),
            "asctime": lambda at=None: time.asctime(time.localtime(now()) if at is None else at),
            "mktime": time.mktime,
            "strptime": time.strptime,
            "struct_time": time.struct_time,
            "timezone": time.timezone,
            "altzone": time.altzone,
            "daylight": time.daylight,
            "tzname": time.tzname,
        },
    )


def wall_ns(scheduler: Scheduler) -> int:
    """The virtual wall clock, in nanoseconds since 1970."""
    scheduler.point()
    return scheduler.now_ns - START_NS + WALL_S * 10**9


def datetime_module(scheduler: Scheduler) -> VirtualModule:
    """`datetime`, whose now is virtual."""

    class Datetime(dt.datetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> "Datetime":
            return cls.fromtimestamp(wall_ns(scheduler) / 1e9, tz)

        @classmethod
        def utcnow(cls) -> "Datetime":
            return cls.now(dt.UTC).replace(tzinfo=None)

        @classmethod
        def today(cls) -> "Datetime":
            return cls.now()

    class Date(dt.date):
        @classmethod
        def today(cls) -> "Date":
            return cls.fromtimestamp(wall_ns(scheduler) / 1e9)

    Datetime.__name__, Date.__name__ = "datetime", "date"
    originals = {name: getattr(dt, name) for name in dt.__all__}
    return VirtualModule("datetime", {**originals, "datetime": Datetime, "date": Date})


def queue_module(scheduler: Scheduler) -> VirtualModule:
    """`queue`."""
    kinds = (queues.Queue, queues.LifoQueue, queues.PriorityQueue, queues.SimpleQueue)
    bound = {kind.__name__: type(kind.__name__, (kind,), {"scheduler": scheduler}) for kind in kinds}
    plain = bound["Queue"]
    # `isinstance(x, queue.Queue)` holds for the others too, as it does with the originals.
    for name in ("LifoQueue", "PriorityQueue"):
        bound[name] = type(name, (bound[name], plain), {})
    return VirtualModule("queue", {**bound, "Empty": queue.Empty, "Full": queue.Full})


def random_module(seed: int) -> VirtualModule:
    """`random`: what is not seeded by the program is seeded by the runtime."""
    seeds = random.Random(f"random {seed}")  # noqa: S311 - is to be repeatable

    class Seeded(random.Random):
        def __init__(self, x: float | str | bytes | bytearray | None = None) -> None:
            super().__init__(seeds.getrandbits(64) if x is None else x)

        def seed(self, a: Any = None, version: int = 2) -> None:  # noqa: ANN401 - as the original
            super().seed(seeds.getrandbits(64) if a is None else a, version)

    Seeded.__name__ = "Random"
    shared = Seeded()
    names = [name for name in random.__all__ if name not in {"Random", "SystemRandom"}]
    functions = {name: getattr(shared, name) for name in names}
    return VirtualModule("random", {**functions, "Random": Seeded, "SystemRandom": Seeded})
