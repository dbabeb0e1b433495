"""Heartbeats and elections, each in a long-running activity of its own (Structure Advice; pitfall T2).

Neither resets a timer when a message comes in: it sleeps until the deadline it knows, then looks at today's deadline,
which follows from the time of the last contact, and sleeps again if that moved on.
"""

import asyncio
from collections.abc import Callable

from oarlock.node.alarm import NEVER, Alarm


class Ticker:
    """One activity with one deadline."""

    __slots__ = ("_alarm", "_deadline", "_loop", "_tick")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, deadline: Callable[[], float], tick: Callable[[], None]
    ) -> None:
        """Prepare; `run` is the activity.

        Args:
            loop: Whose clock the deadlines are of.
            deadline: When there is next something to do; infinity when never.
            tick: Asks the owner to do what is due, in its own time.
        """
        self._loop = loop
        self._deadline = deadline
        self._tick = tick
        self._alarm = Alarm(loop)

    def look_again(self) -> None:
        """Called by the owner after every event: wakes the activity only where its deadline came nearer."""
        if self._deadline() < self._alarm.deadline:
            self._alarm.ring()

    async def run(self) -> None:
        """Sleep and tick, until cancelled."""
        while True:
            deadline = self._deadline()
            if deadline > self._loop.time():
                await self._alarm.sleep_until(deadline)
                continue
            self._tick()
            # The owner acts in its next turn and then has us look again; by then messages that arrived while this
            # process was suspended have been read, and may have moved the deadline.
            await self._alarm.sleep_until(NEVER)
