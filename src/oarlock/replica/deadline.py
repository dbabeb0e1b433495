"""How long calls may take, set around them."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Final

_deadline: Final[ContextVar[float | None]] = ContextVar("oarlock_deadline", default=None)
"""In the running loop's time."""


@contextlib.contextmanager
def deadline(timeout_s: float) -> Iterator[None]:
    """Give up what is called in this block after so many seconds, counted from its beginning, with `Timeout`.

    Within another such block the earlier end counts.
    """
    try:
        now = asyncio.get_running_loop().time()
    except RuntimeError:
        now = time.monotonic()  # of a thread that blocks; what loops count by as well
    end = now + timeout_s
    outer = _deadline.get()
    token = _deadline.set(end if outer is None else min(end, outer))
    try:
        yield
    finally:
        _deadline.reset(token)


def time_left(clock: Callable[[], float], timeout_s: float | None) -> float | None:
    """How long a call may take, in seconds; None for the configured time.

    Args:
        clock: The running loop's; asked only where there is such a block.
        timeout_s: That the call itself brings.
    """
    return time_until(end_of_block(), clock, timeout_s)


end_of_block: Final[Callable[[], float | None]] = _deadline.get
"""When the innermost block ends that this is called in, in the running loop's time; None outside of any."""


def time_until(end: float | None, clock: Callable[[], float], timeout_s: float | None) -> float | None:
    """The same, of a call that was made in a block that ends at a certain time."""
    if end is None:
        return timeout_s
    left = max(0.0, end - clock())
    return left if timeout_s is None else min(left, timeout_s)
