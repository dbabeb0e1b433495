"""Queues, as `queue` has them, for virtual threads."""

import heapq
import queue
from collections import deque
from typing import Any

from oarlock.lab.threads.events import Kind
from oarlock.lab.threads.locks import Deadline, Shim, Waiters
from oarlock.lab.threads.stacks import site


class Queue(Shim):
    """As `queue.Queue`."""

    def __init__(self, maxsize: int = 0) -> None:
        self.maxsize = maxsize
        self.queue: Any = self._empty()
        self.unfinished_tasks = 0
        self.made_at = site()
        self._getters = Waiters(self.scheduler, self)
        self._putters = Waiters(self.scheduler, self)
        self._joiners = Waiters(self.scheduler, self)

    # What kind of queue it is.

    def _empty(self) -> Any:  # noqa: ANN401 - a deque or a list
        return deque()

    def _put(self, item: Any) -> None:  # noqa: ANN401 - anything
        self.queue.append(item)

    def _get(self) -> Any:  # noqa: ANN401
        return self.queue.popleft()

    # What people call.

    def qsize(self) -> int:
        """How many items it holds."""
        self.scheduler.point()
        return len(self.queue)

    def empty(self) -> bool:
        """Whether it holds none."""
        return self.qsize() == 0

    def full(self) -> bool:
        """Whether it has no room."""
        return 0 < self.maxsize <= self.qsize()

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:  # noqa: ANN401
        """Add an item, when there is room.

        Raises:
            queue.Full: There was none in time.
        """
        if block:
            self.scheduler.emit(Kind.PUT, self)
        self.scheduler.point()
        deadline = _deadline(self, block=block, timeout=timeout)
        while 0 < self.maxsize <= len(self.queue):
            left_s = deadline.left_s()
            if not block or left_s == 0 or not self._putters.wait("put into", left_s):
                raise queue.Full
        self._put(item)
        self.unfinished_tasks += 1
        self.scheduler.emit(Kind.PUT_DONE, self)
        self._getters.wake_any()

    def get(self, block: bool = True, timeout: float | None = None) -> Any:  # noqa: ANN401
        """Take the next item, when there is one.

        Raises:
            queue.Empty: There was none in time.
        """
        if block:
            self.scheduler.emit(Kind.GET, self)
        self.scheduler.point()
        deadline = _deadline(self, block=block, timeout=timeout)
        while not self.queue:
            left_s = deadline.left_s()
            if not block or left_s == 0 or not self._getters.wait("get from", left_s):
                raise queue.Empty
        item = self._get()
        self.scheduler.emit(Kind.GET_DONE, self)
        self._putters.wake_any()
        return item

    def put_nowait(self, item: Any) -> None:  # noqa: ANN401
        """Add an item if there is room."""
        self.put(item, block=False)

    def get_nowait(self) -> Any:  # noqa: ANN401
        """Take the next item if there is one."""
        return self.get(block=False)

    def task_done(self) -> None:
        """What was taken is dealt with.

        Raises:
            ValueError: More often than items were added.
        """
        if not self.unfinished_tasks:
            raise ValueError("task_done() called too many times")
        self.unfinished_tasks -= 1
        if not self.unfinished_tasks:
            self._joiners.wake_all()

    def join(self) -> None:
        """Wait until everything added is dealt with."""
        self.scheduler.emit(Kind.GET, self)
        while self.unfinished_tasks:
            self._joiners.wait("join", None)


def _deadline(of: Queue, *, block: bool, timeout: float | None) -> Deadline:
    if timeout is not None and timeout < 0 and block:
        raise ValueError("'timeout' must be a non-negative number")
    return Deadline(of.scheduler, timeout)


class LifoQueue(Queue):
    """As `queue.LifoQueue`."""

    def _empty(self) -> list[Any]:
        return []

    def _get(self) -> Any:  # noqa: ANN401
        return self.queue.pop()


class PriorityQueue(Queue):
    """As `queue.PriorityQueue`."""

    def _empty(self) -> list[Any]:
        return []

    def _put(self, item: Any) -> None:  # noqa: ANN401
        heapq.heappush(self.queue, item)

    def _get(self) -> Any:  # noqa: ANN401
        return heapq.heappop(self.queue)


class SimpleQueue(Queue):
    """As `queue.SimpleQueue`: without bound."""

    def __init__(self) -> None:
        super().__init__(0)
        self.made_at = site()
