"""Reads by choice: linearizable, under the leader's lease, or stale by a bounded time.

How stale a server's state is can only be bounded by what it has asked: if a read barrier that began at a moment was
passed, the state holds all that was done before that moment. The messages that a follower happens to receive say less,
as they may have been under way for long.
"""

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from typing import Any, Final

from oarlock.replica.codec import Value
from oarlock.replica.core import Core
from oarlock.replica.deadline import time_left
from oarlock.replica.errors import TooStale, translated
from oarlock.replica.object import Consistency

_REFRESH_SHARE: Final = 0.5
"""Of the bound: a state older than that is refreshed in the background, so that the next reader need not wait."""


class Reader:
    """Reads on one server.

    Args:
        loop: Of the callers.
        core: The node.
        lease_reads: Whether leaders may answer under their lease.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, core: Core, *, lease_reads: bool) -> None:
        self._loop = loop
        self._core = core
        self._lease_reads = lease_reads
        self._fresh_at = float("-inf")
        """All that was done before this moment is in the state."""
        self._refreshing: asyncio.Future[None] | None = None

    async def read(
        self,
        function: Callable[[], Value],
        consistency: Consistency,
        max_staleness_ms: float | None,
        timeout_s: float | None,
    ) -> Value:
        """See `ReplicatedObject.read`."""
        if max_staleness_ms is not None and (consistency != "stale" or max_staleness_ms <= 0):
            raise ValueError(f"max_staleness_ms={max_staleness_ms} is for stale reads, and must be positive")
        match consistency:
            case "linearizable":
                await self.barrier(timeout_s)
            case "lease":
                if not self._lease_reads:
                    raise ValueError("lease reads are not turned on: Settings(lease_reads=True) on all servers")
                await self.barrier(timeout_s, may_use_lease=True)
            case "stale":
                if max_staleness_ms is not None:
                    await self._at_most(max_staleness_ms / 1000)
            case _:
                raise ValueError(f"consistency must be linearizable, lease or stale, not {consistency!r}")
        value = function()
        if isinstance(value, asyncio.Future) or inspect.iscoroutine(value):
            _drop(value)
            raise TypeError("a read must not wait nor change anything: its function gave something to await")
        return value

    async def barrier(self, timeout_s: float | None = None, *, may_use_lease: bool = False) -> None:
        """Wait until this server's state holds all that was done before now, wherever.

        Args:
            timeout_s: When to give up.
            may_use_lease: Whether to believe a leader that has a lease, or else a majority.

        Raises:
            Timeout: That could not be confirmed in time.
        """
        await self._barrier(time_left(self._loop.time, timeout_s), may_use_lease=may_use_lease)

    def _barrier(self, timeout_s: float | None, *, may_use_lease: bool) -> asyncio.Future[None]:
        asked_at = self._loop.time()
        waiter: asyncio.Future[None] = self._loop.create_future()

        def settle(_result: object, error: BaseException | None) -> None:
            if error is None:
                self._fresh_at = max(self._fresh_at, asked_at)
            if waiter.done():
                return  # whoever waited was cancelled
            if error is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(translated(error))

        self._core.read_barrier(timeout_s, settle, may_use_lease=may_use_lease)
        return waiter

    @property
    def staleness_s(self) -> float:
        """By how much the state is surely not more stale, in seconds; infinite if nothing is known."""
        return self._loop.time() - self._fresh_at

    async def _at_most(self, bound_s: float) -> None:
        if self.staleness_s <= bound_s:
            if self.staleness_s > bound_s * _REFRESH_SHARE:
                self._refresh(bound_s)
            return
        refreshing = self._refresh(bound_s)
        await asyncio.wait([refreshing], timeout=bound_s)
        if self.staleness_s > bound_s:
            age = f"{self.staleness_s * 1000:.0f} ms" if self._fresh_at > float("-inf") else "an unknown time"
            raise TooStale(f"this server last knew itself up to date {age} ago; {bound_s * 1000:.0f} ms are allowed")

    def _refresh(self, within_s: float) -> asyncio.Future[None]:
        """Have the state refreshed, once for all who want it."""
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = self._barrier(within_s, may_use_lease=self._lease_reads)
            self._refreshing.add_done_callback(_forget)
        return self._refreshing


def _forget(done: "asyncio.Future[Any]") -> None:
    """Have nobody told of what it raised."""
    if not done.cancelled():
        done.exception()


def _drop(value: "asyncio.Future[Any] | Coroutine[Any, Any, Any]") -> None:
    """Have nobody told of what nobody will wait for."""
    if isinstance(value, asyncio.Future):
        value.add_done_callback(_forget)
    else:
        value.close()
