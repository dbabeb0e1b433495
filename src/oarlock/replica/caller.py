"""Who waits for a command: somebody on the program's loop, or nobody."""

import asyncio
from collections.abc import Callable
from typing import Any

from oarlock.replica.crossing import Crossing
from oarlock.replica.errors import translated
from oarlock.replica.failures import Failure


class Caller:
    """One command that somebody waits for; see `oarlock.node.proposals.Waiter`.

    One small object is all there is of it beside its future, on both loops: there is one for every command.
    """

    __slots__ = ("_future", "_leader", "home")

    def __init__(self, future: asyncio.Future[Any], leader: Callable[[], str | None]) -> None:
        """Begin to wait.

        Args:
            future: To be settled on its own loop.
            leader: Tells where the leader is reached, for hints.
        """
        self._future = future
        self._leader = leader
        self.home: Crossing | None = None
        """The way to the future's loop for who tells it from another."""

    def done(self) -> bool:
        """Whether it is told, or waits no more."""
        return self._future.done()

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
        """The result, on the future's loop: what is told first counts."""
        future = self._future
        if future.done():
            return  # it was told, or whoever waited was cancelled
        if type(result) is Failure:
            future.set_exception(result.error)
        else:
            future.set_result(result)

    def _tell_error(self, error: BaseException) -> None:
        if not self._future.done():
            self._future.set_exception(translated(error, self._leader()))


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
