"""The deadlines of the calls in progress, kept in slots of time: adding and removing one costs a dictionary access.

A timer for each call would be the dearest part of a small one. A deadline is honoured at the end of its slot: never
early, late by at most `SLOT_S`.
"""

import asyncio
import heapq
from typing import Protocol

SLOT_S = 0.01


class Expiring(Protocol):
    """Something with a deadline."""

    deadline: float | None

    def expire(self) -> None:
        """The deadline has passed."""


class Deadlines:
    """Calls by the slot of their deadline, and one timer for the earliest slot."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._slots: dict[int, dict[Expiring, None]] = {}
        self._order: list[int] = []
        self._timer: asyncio.TimerHandle | None = None

    def add(self, call: Expiring) -> None:
        """Watch a call that has a deadline."""
        assert call.deadline is not None  # noqa: S101 - callers look first
        slot = int(call.deadline / SLOT_S) + 1
        calls = self._slots.get(slot)
        if calls is not None:
            calls[call] = None
            return
        self._slots[slot] = {call: None}
        heapq.heappush(self._order, slot)
        if self._order[0] == slot:
            self._arm()

    def discard(self, call: Expiring) -> None:
        """A watched call is over."""
        if call.deadline is not None:
            calls = self._slots.get(int(call.deadline / SLOT_S) + 1)
            if calls is not None:
                calls.pop(call, None)

    def close(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._slots.clear()
        self._order.clear()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._order[0] * SLOT_S, self._expire)

    def _expire(self) -> None:
        self._timer = None
        now = self._loop.time()
        while self._order and self._order[0] * SLOT_S <= now:
            for call in list(self._slots.pop(heapq.heappop(self._order))):
                call.expire()
        if self._order and self._timer is None:
            self._arm()
