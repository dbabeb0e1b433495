"""A runtime whose time is virtual and whose order of events follows from a seed."""

from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeVar

from oarlock.lab.threads.events import Observer
from oarlock.lab.threads.limits import Limits
from oarlock.lab.threads.loading import PrivateModules
from oarlock.lab.threads.modules import datetime_module, queue_module, random_module, threading_module, time_module
from oarlock.lab.threads.runtime import ThreadFailure
from oarlock.lab.threads.scheduler import START_NS, Scheduler
from oarlock.lab.threads.target import parse_target
from oarlock.lab.threads.task import Task

T = TypeVar("T")


class VirtualRuntime:
    """Threads one at a time, on a clock of their own.

    The same seed gives the same order of events, in any process, to a program that does nothing that this runtime does
    not see: no other sources of time or chance, and no order that hangs on hashes of strings or on addresses.

    Args:
        seed: Of everything that is drawn.
        preemption: The chance that another thread is let in where a thread takes or gives back a lock, or looks at a
            clock or at a thing that others change. Where a thread waits another one is always let in.
        limits: How far it may go.
    """

    def __init__(self, seed: int, *, preemption: float = 0.05, limits: Limits | None = None) -> None:
        if not 0 <= preemption <= 1:
            raise ValueError(f"preemption is a chance from 0 to 1, not {preemption}")
        self.seed = seed
        self.scheduler = Scheduler(seed, preemption, limits or Limits())
        self._main = Task(0, "MainThread", _nothing)
        self.threading: Any = threading_module(self.scheduler, self._main)
        self.time: Any = time_module(self.scheduler)
        self.queue: Any = queue_module(self.scheduler)
        self.random: Any = random_module(seed)
        shims = (self.threading, self.time, self.queue, self.random, datetime_module(self.scheduler))
        self._modules = PrivateModules({shim.__name__: shim for shim in shims})

    @property
    def failures(self) -> list[ThreadFailure]:
        """What ended threads other than the main one, in order."""
        return self.scheduler.failures

    @property
    def now_s(self) -> float:
        """Virtual seconds since the runtime was made."""
        return (self.scheduler.now_ns - START_NS) / 1e9

    def load(self, target: str) -> Callable[..., Any]:
        """Import a copy of a user's module, and of those beside it, on this runtime's modules; see `Runtime.load`.

        The copies last as long as the runtime does.
        """
        function: Callable[..., Any] = self._modules.load(parse_target(target))
        return function

    def modules(self) -> list[ModuleType]:
        """The copies made so far."""
        return self._modules.copies()

    def run(self, function: Callable[[], T]) -> T:
        """Run a function as the main thread; threads that are left when it is done are killed.

        Raises:
            Deadlock: Every thread waits, and no timer is set.
            LimitExceeded: More steps, time or threads than `limits` allows.
            Stuck: A thread lets no other in.
            RuntimeError: It runs already.
        """
        return self.scheduler.run(self._main, function)

    def observe(self, observer: Observer) -> None:
        """Tell somebody of every event from now on."""
        self.scheduler.observers.append(observer)

    def stacks(self) -> str:
        """Where each thread is now, and what it waits for."""
        return self.scheduler.stacks()


def _nothing() -> None:
    """The main task has no body: `run` is called with one."""
