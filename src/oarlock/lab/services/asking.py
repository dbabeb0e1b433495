"""Which server a client asks, and when it stops asking."""

from collections.abc import Callable, Sequence
from typing import Final

from oarlock.lab.interface import ClientEnd, Runtime

PAUSE_S: Final = 0.05
"""Before all servers are asked once more."""


class Interrupted(Exception):
    """The client's scenario is over."""


class Asking:
    """The servers of a group, of which the one that answered last is asked first. For one thread at a time.

    Args:
        runtime: Where time comes from.
        ends: To all servers.
        is_over: Tells to stop asking.
    """

    def __init__(self, runtime: Runtime, ends: Sequence[ClientEnd], is_over: Callable[[], bool]) -> None:
        self._runtime = runtime
        self._ends = ends
        self._is_over = is_over
        self._leader = 0

    @property
    def end(self) -> ClientEnd:
        """To the server to be asked now."""
        return self._ends[self._leader]

    def try_another(self) -> None:
        """That server is none that can answer: go on to the next, after a pause if all were asked.

        Raises:
            Interrupted: It is over.
        """
        if self._is_over():
            raise Interrupted
        self._leader = (self._leader + 1) % len(self._ends)
        if self._leader == 0:
            self._runtime.time.sleep(PAUSE_S)
