"""Locks and what is made of them, as `threading` has them, for virtual threads.

A lock that is released wakes one of those who wait for it, drawn from the seed, but is not handed to it: who comes by
meanwhile may take it, as with real ones.
"""

from collections.abc import Callable
from types import TracebackType
from typing import ClassVar, TypeVar

from oarlock.lab.threads.events import Kind
from oarlock.lab.threads.scheduler import Scheduler
from oarlock.lab.threads.stacks import Site, site
from oarlock.lab.threads.task import Task

T = TypeVar("T")


class Shim:
    """What belongs to a runtime: each has subclasses of its own, which know its scheduler."""

    scheduler: ClassVar[Scheduler]
    made_at: Site


class Waiters:
    """Who waits for one thing."""

    __slots__ = ("_scheduler", "_subject", "_tasks")

    def __init__(self, scheduler: Scheduler, subject: object) -> None:
        self._scheduler = scheduler
        self._subject = subject
        self._tasks: list[Task] = []

    def __len__(self) -> int:
        return len(self._tasks)

    def wait(self, verb: str, timeout_s: float | None) -> bool:
        """Wait to be woken; False if the time is over."""
        me = self._scheduler.running()
        self._tasks.append(me)
        woken = False
        try:
            woken = self._scheduler.block(verb, self._subject, timeout_s)
        finally:
            if not woken and me in self._tasks:
                self._tasks.remove(me)
        return woken

    def wake_any(self) -> None:
        """Wake one, whoever it is."""
        if self._tasks:
            self._scheduler.wake(self._scheduler.draw(self._tasks))

    def wake_first(self, count: int) -> None:
        """Wake those who have waited longest."""
        woken, self._tasks = self._tasks[:count], self._tasks[count:]
        for task in woken:
            self._scheduler.wake(task)

    def wake_all(self) -> None:
        """Wake everyone."""
        self.wake_first(len(self._tasks))


class Deadline:
    """A timeout that is waited for in several parts."""

    __slots__ = ("_at_ns", "_scheduler")

    def __init__(self, scheduler: Scheduler, timeout_s: float | None) -> None:
        self._scheduler = scheduler
        self._at_ns = None if timeout_s is None else scheduler.now_ns + round(timeout_s * 1e9)

    def left_s(self) -> float | None:
        """What is left, at least 0; None for ever."""
        return None if self._at_ns is None else max(0, self._at_ns - self._scheduler.now_ns) / 1e9


class Lock(Shim):
    """As `threading.Lock`."""

    reentrant: ClassVar = False

    def __init__(self) -> None:
        self.owner: Task | None = None
        """Who holds it; None also if it was taken while nothing ran."""
        self.count = 0
        """How often it is held: 0 if it is free."""
        self.waiters = Waiters(self.scheduler, self)
        self.made_at = site()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take the lock; False if it is not to be had in time."""
        if not blocking and timeout != -1:
            raise ValueError("can't specify a timeout for a non-blocking call")
        if timeout < 0 and timeout != -1:
            raise ValueError("timeout value must be a non-negative number")
        self.scheduler.point()
        me = self.scheduler.current
        if self.count and self.reentrant and self.owner is me:
            self.count += 1
            return True
        if self.count and not self._wait(blocking, None if timeout == -1 else timeout):
            return False
        self.take(1)
        return True

    def _wait(self, blocking: bool, timeout_s: float | None) -> bool:
        if not blocking:
            return False
        self.scheduler.emit(Kind.LOCK_WAIT, self)
        deadline = Deadline(self.scheduler, timeout_s)
        while self.count:
            left_s = deadline.left_s()
            if left_s == 0 or not self.waiters.wait("acquire", left_s):
                return not self.count
        return True

    def release(self) -> None:
        """Give the lock back.

        Raises:
            RuntimeError: It is not held, or, of an `RLock`, not by this thread.
        """
        me = self.scheduler.current
        if not self.count or (self.reentrant and self.owner is not me):
            if me is not None and me.killed:
                return
            raise RuntimeError("cannot release un-acquired lock" if self.reentrant else "release unlocked lock")
        if self.count > 1:
            self.count -= 1
            return
        self.give_back()
        if me is not None and not me.killed:
            self.scheduler.point()

    def take(self, count: int) -> None:
        """The lock is free, and now it is the running thread's."""
        self.count = count
        self.owner = self.scheduler.current
        self.scheduler.emit(Kind.LOCK_ACQUIRED, self)

    def give_back(self) -> int:
        """Release it however often it is held; how often that was."""
        count, self.count = self.count, 0
        self.scheduler.emit(Kind.LOCK_RELEASED, self)
        self.owner = None
        self.waiters.wake_any()
        return count

    def retake(self, count: int) -> None:
        """Take it again after `give_back`, however long that takes."""
        if self.count:
            self._wait(blocking=True, timeout_s=None)
        self.take(count)

    def locked(self) -> bool:
        """Whether anybody holds it."""
        return self.count > 0

    def held(self) -> bool:
        """Whether a condition may wait on it now: a plain lock does not ask who holds it."""
        return self.count > 0 and (not self.reentrant or self.owner is self.scheduler.current)

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.release()

    def __repr__(self) -> str:
        state = f"held by {self.owner.name}" if self.owner else "held" if self.count else "free"
        return f"<{type(self).__name__} made at {self.made_at}, {state}>"


class RLock(Lock):
    """As `threading.RLock`."""

    reentrant: ClassVar = True


class Condition(Shim):
    """As `threading.Condition`."""

    default_lock: ClassVar[type[Lock]]

    def __init__(self, lock: Lock | None = None) -> None:
        self.lock = self.default_lock() if lock is None else lock
        self.waiters = Waiters(self.scheduler, self)
        self.made_at = site()
        self.acquire = self.lock.acquire
        self.release = self.lock.release

    def wait(self, timeout: float | None = None) -> bool:
        """Release the lock, wait to be notified, and take it again; False if the time was over first.

        Raises:
            RuntimeError: The lock is not held.
        """
        if not self.lock.held():
            raise RuntimeError("cannot wait on un-acquired lock")
        me = self.scheduler.running()
        count = self.lock.give_back()
        self.scheduler.emit(Kind.CONDITION_WAIT, self)
        try:
            return self.waiters.wait("wait for", timeout)
        finally:
            if not me.killed:
                self.scheduler.emit(Kind.CONDITION_WOKEN, self)
                self.lock.retake(count)

    def wait_for(self, predicate: Callable[[], T], timeout: float | None = None) -> T:
        """Wait until a predicate holds; what it said last."""
        deadline = Deadline(self.scheduler, timeout)
        result = predicate()
        while not result:
            left_s = deadline.left_s()
            if left_s == 0:
                break
            self.wait(left_s)
            result = predicate()
        return result

    def notify(self, n: int = 1) -> None:
        """Wake the first `n` that wait.

        Raises:
            RuntimeError: The lock is not held.
        """
        if not self.lock.held():
            raise RuntimeError("cannot notify on un-acquired lock")
        self.scheduler.emit(Kind.CONDITION_NOTIFY, self)
        self.waiters.wake_first(n)

    def notify_all(self) -> None:
        """Wake all that wait."""
        self.notify(len(self.waiters))

    notifyAll = notify_all  # noqa: N815 - the original still has it

    def __enter__(self) -> bool:
        return self.lock.__enter__()

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.lock.release()


class Event(Shim):
    """As `threading.Event`."""

    def __init__(self) -> None:
        self.waiters = Waiters(self.scheduler, self)
        self.made_at = site()
        self._set = False

    def is_set(self) -> bool:
        """Whether it happened."""
        self.scheduler.point()
        return self._set

    isSet = is_set  # noqa: N815 - the original still has it

    def set(self) -> None:
        """It happened: wake all that wait."""
        self.scheduler.emit(Kind.EVENT_SET, self)
        self._set = True
        self.waiters.wake_all()
        self.scheduler.point()

    def clear(self) -> None:
        """As if it had not happened."""
        self._set = False

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it has happened; whether it has."""
        self.scheduler.emit(Kind.EVENT_WAIT, self)
        self.scheduler.point()
        if not self._set:
            self.waiters.wait("wait for", timeout)
        self.scheduler.emit(Kind.EVENT_WOKEN, self)
        return self._set


class Semaphore(Shim):
    """As `threading.Semaphore`."""

    def __init__(self, value: int = 1) -> None:
        if value < 0:
            raise ValueError("semaphore initial value must be >= 0")
        self.value = value
        self.waiters = Waiters(self.scheduler, self)
        self.made_at = site()

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        """Take one; False if there is none in time."""
        if not blocking and timeout is not None:
            raise ValueError("can't specify timeout for non-blocking acquire")
        self.scheduler.emit(Kind.EVENT_WAIT, self)
        self.scheduler.point()
        deadline = Deadline(self.scheduler, timeout)
        while not self.value:
            left_s = deadline.left_s()
            if not blocking or left_s == 0 or not self.waiters.wait("acquire", left_s):
                return False
        self.value -= 1
        self.scheduler.emit(Kind.EVENT_WOKEN, self)
        return True

    def release(self, n: int = 1) -> None:
        """Give some back."""
        if n < 1:
            raise ValueError("n must be one or more")
        self.scheduler.emit(Kind.EVENT_SET, self)
        self.value += n
        for _ in range(n):
            self.waiters.wake_any()
        self.scheduler.point()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.release()


class BoundedSemaphore(Semaphore):
    """As `threading.BoundedSemaphore`."""

    def __init__(self, value: int = 1) -> None:
        super().__init__(value)
        self._most = value

    def release(self, n: int = 1) -> None:
        """Give some back, but never more than there were."""
        if self.value + n > self._most:
            raise ValueError("Semaphore released too many times")
        super().release(n)
