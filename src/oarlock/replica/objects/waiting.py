"""Waiting for an object to change: every server applies every command, so each can wake its own waiters.

Nothing here is replicated. A waiter that was woken looks again, with a command of its own: only the log decides.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from oarlock.replica.deadline import time_left
from oarlock.replica.errors import NoLeader, OarlockError, Overloaded, Stopped, Timeout

T = TypeVar("T")

_PAUSE_S: Final = 0.2
_STOPPED: Final = "the node has stopped: what is waited for cannot come any more"


class Bell:
    """Wakes those who wait on this server, oldest first."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._waiting)

    def ring(self, most: int | None = None) -> None:
        """Wake the oldest waiters.

        Args:
            most: How many; None for all.
        """
        while self._waiting and (most is None or most > 0):
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                if most is not None:
                    most -= 1

    def close(self) -> None:
        """The node has stopped: nothing will happen here any more."""
        self._is_closed = True
        self.ring()

    async def wait(self, timeout_s: float | None) -> bool:
        """Wait to be woken; False where the time was up first.

        A waiter that is cancelled after it was woken wakes the next in its place: what it was woken for is still there.

        Raises:
            Stopped: The node has stopped.
        """
        if self._is_closed:
            raise Stopped(_STOPPED)
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        self._waiting.append(waiter)
        try:
            done, _ = await asyncio.wait([waiter], timeout=timeout_s)
        except asyncio.CancelledError:
            if waiter.done():
                self.ring(1)
            raise
        finally:
            if not waiter.done():
                self._waiting.remove(waiter)
                waiter.cancel()
        if self._is_closed:
            raise Stopped(_STOPPED)
        return bool(done)


class Deadline:
    """A moment of the loop's clock until which something may take."""

    def __init__(self, timeout_s: float | None) -> None:
        """Start to count.

        Args:
            timeout_s: How long; None for ever. A `deadline` around the call counts as well.
        """
        self._clock = asyncio.get_running_loop().time
        left_s = time_left(self._clock, timeout_s)
        self._end = None if left_s is None else self._clock() + left_s

    def left_s(self) -> float | None:
        """How much time is left; None for no end."""
        return None if self._end is None else max(0.0, self._end - self._clock())

    def left_of(self, most_s: float) -> float:
        """How much time is left, but not more than so much."""
        left_s = self.left_s()
        return most_s if left_s is None else min(left_s, most_s)

    def is_over(self) -> bool:
        """Whether the time is up."""
        return self._end is not None and self._clock() >= self._end


async def persistently(ask: Callable[[], Awaitable[T]], deadline: Deadline) -> T:
    """Ask what may be asked twice until there is an answer: nobody who waits has to know of an election.

    Raises:
        Timeout, NoLeader, Overloaded: As the last attempt ended, when the time was up.
    """
    while True:
        try:
            return await ask()
        except (Timeout, NoLeader, Overloaded):
            if deadline.is_over():
                raise
            await asyncio.sleep(deadline.left_of(_PAUSE_S))


def behind(call: Callable[[], Awaitable[Any]]) -> None:
    """Have a command carried out that nobody waits for, and whose failure harms nobody."""
    with contextlib.suppress(OarlockError):
        asyncio.ensure_future(call()).add_done_callback(_heard)


def _heard(future: asyncio.Future[Any]) -> None:
    if not future.cancelled():
        future.exception()
