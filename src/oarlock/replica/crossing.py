"""The way from one loop to another, in another thread."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import ParamSpec

P = ParamSpec("P")


class Crossing:
    """One way between two loops: many things handed over are one wake-up, and keep their order."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Lead to a loop.

        Args:
            loop: Where things are called.
        """
        self._loop = loop
        self._calls: deque[tuple[Callable[..., object], tuple[object, ...]]] = deque()
        self._woken = False
        """Whether what is put is going to be seen without another wake-up."""
        self._wake_is_due = False
        self._end_is_due = False
        self._at_the_end: deque[Callable[[], object]] = deque()

    def put(self, function: Callable[P, object], *args: P.args, **_: P.kwargs) -> None:
        """Have something called on the other loop, with these arguments by position; for callbacks of a loop."""
        self._calls.append((function, args))
        if not self._woken:
            self._woken = self._wake_is_due = True
            self._end_soon()

    def at_the_end(self, function: Callable[[], object]) -> None:
        """Have something called here when this iteration is over: what it puts is part of the same wake-up."""
        self._at_the_end.append(function)
        self._end_soon()

    def _end_soon(self) -> None:
        if not self._end_is_due:
            self._end_is_due = True
            # When this iteration is over: a thread that wakes before would only wait for the interpreter.
            asyncio.get_running_loop().call_soon(self._end)

    def _end(self) -> None:
        try:
            while self._at_the_end:
                self._at_the_end.popleft()()
        finally:
            self._end_is_due = False
            if self._wake_is_due:
                self._wake_is_due = False
                with contextlib.suppress(RuntimeError):  # the loop is closed: there is nobody to tell
                    self._loop.call_soon_threadsafe(self._take)

    def _take(self) -> None:
        self._woken = False  # first: what is put from here on wakes again
        calls = self._calls
        for _ in range(len(calls)):
            function, args = calls.popleft()
            try:
                function(*args)
            except Exception as error:  # noqa: BLE001 - the others must not suffer from it
                self._loop.call_exception_handler({"message": "a call between loops failed", "exception": error})
