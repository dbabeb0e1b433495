"""Who waits for commands: somebody on the program's loop, or nobody."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from oarlock.replica.crossing import Crossing
from oarlock.replica.errors import translated
from oarlock.replica.failures import Failure, Outcomes


class Totals(msgspec.Struct):
    """Commands of a program, counted one by one, however many of them are one entry."""

    called: int = 0
    waiting: int = 0
    """Of those the ones whose outcome is not known yet."""
    failed: int = 0
    """Those that were refused or given up; not those whose code raised."""


class Callers:
    """Whoever waits for the commands of one entry; see `oarlock.node.proposals.Waiter`.

    All there is of a command beside its future is its share of this object, on both loops.
    """

    __slots__ = ("_is_told", "_leader", "_totals", "futures", "home")

    def __init__(self, futures: list[asyncio.Future[Any]], totals: Totals, leader: Callable[[], str | None]) -> None:
        """Begin to wait.

        Args:
            futures: Of the commands in their order, at least one; to be settled on their own loop.
            totals: Where the commands are counted as waiting.
            leader: Tells where the leader is reached, for hints.
        """
        self.futures = futures
        self._totals = totals
        self._leader = leader
        self._is_told = False
        self.home: Crossing | None = None
        """The way to the futures' loop for who tells them from another."""

    def done(self) -> bool:
        """Whether they are told. Those who were cancelled are told as well: their commands are under way till then."""
        return self._is_told

    def set_result(self, result: object) -> None:
        """See `Waiter.set_result`."""
        if self.home is None:
            self.tell(result)
        else:
            self.home.put(self.tell, result)

    def set_exception(self, error: BaseException) -> None:
        """See `Waiter.set_exception`."""
        if self.home is None:
            self._tell_error(error)
        else:
            self.home.put(self._tell_error, error)

    def tell(self, result: object) -> None:
        """The outcome of the only command, or the `Outcomes`, on the futures' loop: what is told first counts."""
        if self._end():
            outcomes = result.each if type(result) is Outcomes else (result,)
            for future, outcome in zip(self.futures, outcomes, strict=True):
                if future.done():
                    continue  # whoever waited was cancelled
                if type(outcome) is Failure:
                    future.set_exception(outcome.error)
                else:
                    future.set_result(outcome)

    def _tell_error(self, error: BaseException) -> None:
        if self._end():
            self._totals.failed += len(self.futures)
            for future in self.futures:
                if not future.done():
                    future.set_exception(translated(error, self._leader()))
                    error = type(error)(*error.args)  # one exception object cannot be raised by many waiters

    def _end(self) -> bool:
        """Whether this is the first time that they are told."""
        if self._is_told:
            return False
        self._is_told = True
        self._totals.waiting -= len(self.futures)
        return True


class Nobody:
    """Nobody waits; see `oarlock.node.proposals.Waiter`."""

    __slots__ = ("home",)

    def __init__(self) -> None:
        """Wait for nothing."""
        self.home: Crossing | None = None

    def done(self) -> bool:
        """Always: there is nobody to be told."""
        return True

    def set_result(self, result: object) -> None:
        """Of no interest."""

    def set_exception(self, error: BaseException) -> None:
        """Of no interest."""
