"""`threading.Barrier` for virtual threads."""

import threading
from collections.abc import Callable
from typing import ClassVar

from oarlock.lab.threads.locks import Condition, Shim
from oarlock.lab.threads.stacks import site


class Barrier(Shim):
    """A place where a number of threads wait for each other, round after round."""

    condition: ClassVar[type[Condition]]

    def __init__(self, parties: int, action: Callable[[], object] | None = None, timeout: float | None = None) -> None:
        self.parties = parties
        self.made_at = site()
        self._action = action
        self._timeout = timeout
        self._changed = self.condition()
        self._arrived = 0
        self._round = 0
        self._broken_in = -1
        """The round that is broken; it stays so until `reset`."""

    @property
    def n_waiting(self) -> int:
        """Who has arrived in this round."""
        return self._arrived

    @property
    def broken(self) -> bool:
        """Whether waiting raises."""
        return self._broken_in == self._round

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the others; the number of this thread among them.

        Raises:
            BrokenBarrierError: Another gave up, the time was over, or it was reset or aborted.
        """
        with self._changed:
            self._check(self._round)
            mine, number = self._round, self._arrived
            self._arrived += 1
            if self._arrived == self.parties:
                try:
                    if self._action is not None:
                        self._action()
                except BaseException:
                    self._break()
                    raise
                self._next_round()
                return number
            limit = self._timeout if timeout is None else timeout
            if not self._changed.wait_for(lambda: self._round != mine or self.broken, limit):
                self._break()
            self._check(mine)
            return number

    def reset(self) -> None:
        """Begin anew; those who wait get an error."""
        with self._changed:
            if self._arrived:
                self._break()
            self._next_round()

    def abort(self) -> None:
        """Break it until it is reset."""
        with self._changed:
            self._break()

    def _check(self, mine: int) -> None:
        if self._broken_in == mine:
            raise threading.BrokenBarrierError

    def _break(self) -> None:
        self._broken_in = self._round
        self._changed.notify_all()

    def _next_round(self) -> None:
        self._round += 1
        self._arrived = 0
        self._changed.notify_all()
