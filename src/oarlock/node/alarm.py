"""Two ways for one long-running task to sleep: until it is kicked, and until a deadline that may move."""

import asyncio
from typing import Final

NEVER: Final = float("inf")
_SLACK_S: Final = 0.001
"""Loops round timers to milliseconds; waking just before the deadline would mean sleeping twice."""


class Kick:
    """Wakes the one task that waits; kicks before it waits are remembered, many kicks are one (pitfall T4)."""

    __slots__ = ("_kicked", "_loop", "_waiter")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._kicked = False
        self._waiter: asyncio.Future[None] | None = None

    def set(self) -> None:
        """Wake the task, in the loop's next iteration."""
        if not self._kicked:
            self._kicked = True
            waiter = self._waiter
            if waiter is not None and not waiter.done():
                waiter.set_result(None)

    async def wait(self) -> None:
        """Sleep until the next kick, or not at all if there was one since the last."""
        if not self._kicked:
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        self._kicked = False


class Alarm:
    """Sleeps until a deadline. The deadline may be moved forward meanwhile: the sleeper looks again when it wakes."""

    __slots__ = ("_loop", "_waiter", "deadline")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiter: asyncio.Future[None] | None = None
        self.deadline = NEVER
        """When the present sleep ends by itself."""

    def ring(self) -> None:
        """End the sleep now, so that the sleeper looks at its deadline again."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def sleep_until(self, deadline: float) -> None:
        """Sleep until `deadline` of the loop's clock, or until rung."""
        self.deadline = deadline
        self._waiter = self._loop.create_future()
        timer = self._loop.call_at(deadline + _SLACK_S, self.ring) if deadline != NEVER else None
        try:
            await self._waiter
        finally:
            self._waiter = None
            self.deadline = NEVER
            if timer is not None:
                timer.cancel()
