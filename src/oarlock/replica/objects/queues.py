"""Queues: first in, first out, or by priority."""

import heapq
import math
from collections import deque
from collections.abc import Awaitable, Callable
from queue import Empty, Full
from typing import Generic, TypeVar

from oarlock.replica.codec import Value
from oarlock.replica.object import ReplicatedObject, replicated
from oarlock.replica.objects.values import MAX_ITEMS, handed_out, positive
from oarlock.replica.objects.waiting import Bell, Deadline

T = TypeVar("T")


class _WaitingQueue(ReplicatedObject, Generic[T]):
    """What both queues share: room for so many items, and waiting for an item or for room."""

    def __init__(self, name: str, *, maxsize: int = MAX_ITEMS) -> None:
        """Start empty.

        Args:
            name: The object's name, alike on all servers.
            maxsize: How many items there may be; alike on all servers.
        """
        super().__init__(name)
        self.maxsize = positive(maxsize, "maxsize")
        self._bell = Bell()
        self._room = Bell()

    def __len__(self) -> int:
        raise NotImplementedError

    def qsize(self) -> int:
        """How many items there are, as far as this server knows."""
        return len(self)

    def empty(self) -> bool:
        """Whether there are none, as far as this server knows."""
        return len(self) == 0

    def full(self) -> bool:
        """Whether there is no room, as far as this server knows."""
        return len(self) >= self.maxsize

    def on_stop(self) -> None:
        """Nothing comes any more, and nothing goes."""
        self._bell.close()
        self._room.close()

    def _check_room(self, count: int) -> None:
        if len(self) + count > self.maxsize:
            raise Full(f"{self.name}: {len(self)} items; its limit is {self.maxsize}")

    async def _take(self, take: Callable[[], Awaitable[T]], deadline: Deadline) -> T:
        while True:
            if len(self):  # else not worth a command
                try:
                    return await take()
                except Empty:
                    pass
                except BaseException:
                    self._bell.ring(1)  # the item is still there, for all that is known
                    raise
            if deadline.is_over():
                raise Empty(f"{self.name}: nothing came in time")
            if not len(self):
                await self._bell.wait(deadline.left_s())

    async def _give(self, give: Callable[[], Awaitable[None]], deadline: Deadline) -> None:
        while True:
            try:
                return await give()
            except Full:
                if deadline.is_over():
                    raise
            except BaseException:
                self._room.ring(1)
                raise
            if self.full():
                await self._room.wait(deadline.left_s())


class ReplicatedQueue(_WaitingQueue[T]):
    """First in, first out, as `queue.Queue` and `asyncio.Queue`.

    Each item is handed to one getter. A getter that dies with the item has taken it along: where that matters, keep
    the item elsewhere until the work is done, or work under a `ReplicatedLock`.
    """

    def __init__(self, name: str, *, maxsize: int = MAX_ITEMS) -> None:
        super().__init__(name, maxsize=maxsize)
        self._items: deque[T] = deque()

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}: {len(self)} items>"

    def peek(self) -> T:
        """The oldest item, as far as this server knows.

        Raises:
            queue.Empty: There is none.
        """
        if not self._items:
            raise Empty(f"{self.name} is empty")
        return handed_out(self._items[0])

    def copy(self) -> list[T]:
        """All items, the oldest first."""
        return [handed_out(item) for item in self._items]

    @replicated
    def put_nowait(self, item: T) -> None:
        """Add an item.

        Raises:
            queue.Full: There is no room.
        """
        self._check_room(1)
        self._items.append(item)
        self._bell.ring(1)

    @replicated
    def put_many(self, items: list[T]) -> None:
        """Add many items, nothing between them; all or, where there is no room, none.

        Raises:
            queue.Full: There is no room.
        """
        self._check_room(len(items))
        self._items.extend(items)
        self._bell.ring(len(items))

    @replicated
    def get_nowait(self) -> T:
        """Take the oldest item.

        Raises:
            queue.Empty: There is none.
        """
        if not self._items:
            raise Empty(f"{self.name} is empty")
        self._room.ring(1)
        return self._items.popleft()

    @replicated
    def clear(self) -> int:
        """Take everything away; how many items that was."""
        count = len(self._items)
        self._items.clear()
        self._room.ring(count)
        return count

    async def put(self, item: T, timeout_s: float | None = None) -> None:
        """Add an item as soon as there is room.

        Raises:
            queue.Full: There was none in time.
        """
        await self._give(lambda: self.put_nowait(item), Deadline(timeout_s))

    async def get(self, timeout_s: float | None = None) -> T:
        """Take the oldest item as soon as there is one.

        Raises:
            queue.Empty: There was none in time.
        """
        return await self._take(self.get_nowait, Deadline(timeout_s))

    def snapshot(self) -> object:
        """All items, the oldest first."""
        return list(self._items)

    def restore(self, image: Value) -> None:
        """Take over all items; whoever waits looks again."""
        self._items = deque(image)
        self._bell.ring()
        self._room.ring()


class ReplicatedPriorityQueue(_WaitingQueue[T]):
    """The item with the lowest priority number comes first; among equals, the one that came first.

    Unlike with `queue.PriorityQueue` the priority is an argument of its own, so items need not be comparable.
    """

    def __init__(self, name: str, *, maxsize: int = MAX_ITEMS) -> None:
        super().__init__(name, maxsize=maxsize)
        self._heap: list[tuple[float, int, T]] = []
        self._arrivals = 0

    def __len__(self) -> int:
        return len(self._heap)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}: {len(self)} items>"

    def peek(self) -> T:
        """The item that comes next, as far as this server knows.

        Raises:
            queue.Empty: There is none.
        """
        if not self._heap:
            raise Empty(f"{self.name} is empty")
        return handed_out(self._heap[0][2])

    def copy(self) -> list[T]:
        """All items in the order in which they would come."""
        return [handed_out(item) for _, _, item in sorted(self._heap, key=lambda entry: entry[:2])]

    @replicated
    def put_nowait(self, item: T, priority: float = 0) -> None:
        """Add an item.

        Raises:
            queue.Full: There is no room.
            TypeError, ValueError: The priority is no number.
        """
        if not isinstance(priority, int | float):
            raise TypeError(f"priority must be a number, not {type(priority).__name__}")
        if math.isnan(priority):
            raise ValueError("priority is not a number")
        self._check_room(1)
        self._arrivals += 1
        heapq.heappush(self._heap, (priority, self._arrivals, item))
        self._bell.ring(1)

    @replicated
    def get_nowait(self) -> T:
        """Take the item that comes next.

        Raises:
            queue.Empty: There is none.
        """
        if not self._heap:
            raise Empty(f"{self.name} is empty")
        self._room.ring(1)
        return heapq.heappop(self._heap)[2]

    @replicated
    def clear(self) -> int:
        """Take everything away; how many items that was."""
        count = len(self._heap)
        self._heap.clear()
        self._room.ring(count)
        return count

    async def put(self, item: T, priority: float = 0, timeout_s: float | None = None) -> None:
        """Add an item as soon as there is room.

        Raises:
            queue.Full: There was none in time.
        """
        await self._give(lambda: self.put_nowait(item, priority), Deadline(timeout_s))

    async def get(self, timeout_s: float | None = None) -> T:
        """Take the item that comes next as soon as there is one.

        Raises:
            queue.Empty: There was none in time.
        """
        return await self._take(self.get_nowait, Deadline(timeout_s))

    def snapshot(self) -> object:
        """How many ever came, and the heap."""
        return [self._arrivals, self._heap]

    def restore(self, image: Value) -> None:
        """Take over the heap; whoever waits looks again."""
        self._arrivals, heap = image
        self._heap = [(priority, arrival, item) for priority, arrival, item in heap]
        self._bell.ring()
        self._room.ring()
