"""The threads of a simulated process: blocking work is done at once, when its time has passed."""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

from oarlock.node.executors import settle
from oarlock.sim.loop import SimLoop


class SimThread(Executor):
    """One simulated thread: does its jobs one after the other."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.jobs: deque[tuple[asyncio.Future[Any], Callable[..., Any], tuple[Any, ...]]] = deque()

    def do_first(self, loop: SimLoop) -> None:
        """Do the first job, and have its future settled; a `PowerLoss` leaves it where it is."""
        future, function, args = self.jobs[0]
        try:
            result = function(*args)
        except Exception as error:  # noqa: BLE001 - as an executor does
            loop.call_soon(settle, future, None, error)
        else:
            loop.call_soon(settle, future, result, None)
        self.jobs.popleft()


def hand_over(
    executor: Executor | None, future: "asyncio.Future[Any]", function: Callable[..., Any], args: tuple[Any, ...]
) -> SimThread | None:
    """Give a simulated thread a job; gives the thread if it was idle, for it to be begun.

    Raises:
        TypeError: It is not one that the process was handed.
    """
    if not isinstance(executor, SimThread):
        raise TypeError("blocking work must name the executor it was handed")
    executor.jobs.append((future, function, args))
    return executor if len(executor.jobs) == 1 else None
