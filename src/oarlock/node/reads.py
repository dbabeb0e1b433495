"""Linearizable reads: barriers that wait until this server has applied what was committed when they began.

All readers that wait in one turn of the owner share one read index, and while an answer is awaited the next readers
gather for the following one. Every attempt has a context of its own that was never used before, so a late answer
cannot confirm a read it was not asked for (etcd issue 20418).
"""

import asyncio
import random
from collections.abc import Callable
from typing import Final

from oarlock.node.config import NodeConfig
from oarlock.node.errors import NodeError, Overloaded, ReadTimeout
from oarlock.node.status import Counters
from oarlock.raft.ready import ReadState
from oarlock.raft.types import Index

_IN_FLIGHT: Final = 2
"""Attempts awaited at once: with two, a reader that just missed one does not wait for two whole round trips."""

Barrier = tuple[asyncio.Future[None], float]
"""A reader's future and its deadline."""


class _Attempt:
    __slots__ = ("barriers", "may_use_lease", "retry_at")

    def __init__(self, barriers: list[Barrier], retry_at: float, *, may_use_lease: bool) -> None:
        self.barriers = barriers
        self.retry_at = retry_at
        self.may_use_lease = may_use_lease


class ReadBarriers:
    """All read barriers of this server."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        config: NodeConfig,
        rng: random.Random,
        counters: Counters,
        wake: Callable[[], None],
    ) -> None:
        """Start with none.

        Args:
            loop: The loop.
            config: Limits and timeouts.
            rng: Where contexts start, so that none of an earlier boot is used again.
            counters: Running totals.
            wake: Has the owner take what waits, soon.
        """
        self._loop = loop
        self._counters = counters
        self._wake = wake
        self._context = rng.getrandbits(62)
        self._max_pending = config.max_pending_reads
        self._default_timeout_s = config.read_timeout_ms / 1000
        self._retry_s = config.election_timeout_ms / 2000
        self._pause_s = config.heartbeat_interval_ms / 2000
        self._sweep_s = max(0.01, min(config.heartbeat_interval_ms, 100) / 2000)
        self._waiting: list[Barrier] = []
        self._may_use_lease = True
        """Whether a lease will do for all who wait."""
        self._attempts: dict[int, _Attempt] = {}
        self._confirmed: list[tuple[Index, list[Barrier]]] = []
        self._applied: Index = 0
        self._count = 0
        self._pause_until = 0.0
        self._sweeper: asyncio.TimerHandle | None = None
        self._refusal: NodeError | None = None
        self.is_confirmed: Callable[[int], bool] = lambda _context: False
        """Whether the core knows an attempt's index, and waits for the machine alone; set before use."""

    def __len__(self) -> int:
        return self._count

    # -- the reader's side ---------------------------------------------------------------------------------------

    def barrier(self, timeout_s: float | None, *, may_use_lease: bool = True) -> asyncio.Future[None]:
        """Register a reader.

        Args:
            timeout_s: When to give up, in seconds; None for the configured time.
            may_use_lease: Whether the leader's lease will do, where there are leases.

        Returns:
            Done when the machine may be read; or fails with `ReadTimeout`, `Overloaded` or `Stopped`.
        """
        future: asyncio.Future[None] = self._loop.create_future()
        self._counters.reads_received += 1
        if self._refusal is not None:
            future.set_exception(type(self._refusal)(*self._refusal.args))
            return future
        if self._count >= self._max_pending:
            self._counters.reads_failed += 1
            future.set_exception(Overloaded(f"{self._count} reads are waiting"))
            return future
        self._count += 1
        self._may_use_lease = self._may_use_lease and may_use_lease
        self._waiting.append(
            (future, self._loop.time() + (self._default_timeout_s if timeout_s is None else timeout_s))
        )
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(self._sweep_s, self._sweep)
        if len(self._attempts) < _IN_FLIGHT:
            self._wake()
        return future

    # -- the owner's side ----------------------------------------------------------------------------------------

    def take(self, now: float) -> tuple[int, bool] | None:
        """A context to ask the core about, for all who wait, and whether a lease will do; None if nothing is asked."""
        if not self._waiting or len(self._attempts) >= _IN_FLIGHT or now < self._pause_until:
            return None
        self._context += 1
        may_use_lease, self._may_use_lease = self._may_use_lease, True
        self._attempts[self._context] = _Attempt(self._waiting, now + self._retry_s, may_use_lease=may_use_lease)
        self._waiting = []
        return self._context, may_use_lease

    def leader_changed(self) -> None:
        """There is somebody else to ask: those refused before need not wait."""
        self._pause_until = 0.0
        if self._waiting:
            self._wake()

    def answered(self, states: list[ReadState]) -> None:
        """The core's answers."""
        for state in states:
            attempt = self._attempts.pop(state.context, None)
            if attempt is None:
                continue  # tried anew meanwhile
            if state.read_index is None:
                self._try_again(attempt)
            elif state.read_index <= self._applied:
                self._release(attempt.barriers)
            else:
                self._confirmed.append((state.read_index, attempt.barriers))
        if self._waiting:
            self._wake()

    def _try_again(self, attempt: _Attempt) -> None:
        self._wait_again(attempt)
        self._pause_until = self._loop.time() + self._pause_s

    def _wait_again(self, attempt: _Attempt) -> None:
        self._waiting = attempt.barriers + self._waiting
        self._may_use_lease = self._may_use_lease and attempt.may_use_lease

    # -- the applier's side --------------------------------------------------------------------------------------

    def applied(self, index: Index) -> None:
        """The machine stands at `index`: whoever waited for no more may read."""
        self._applied = index
        if self._confirmed:
            still: list[tuple[Index, list[Barrier]]] = []
            for read_index, barriers in self._confirmed:
                if read_index <= index:
                    self._release(barriers)
                else:
                    still.append((read_index, barriers))
            self._confirmed = still

    def _release(self, barriers: list[Barrier]) -> None:
        self._count -= len(barriers)
        for future, _ in barriers:
            if not future.done():
                future.set_result(None)

    # -- giving up -----------------------------------------------------------------------------------------------

    def _sweep(self) -> None:
        """Every few milliseconds while somebody waits: deadlines, and answers that do not come."""
        self._sweeper = None
        now = self._loop.time()
        for context, attempt in list(self._attempts.items()):
            # Nothing is lost where only the machine lags; a newer index might always be as far away again.
            if attempt.retry_at <= now and not self.is_confirmed(context):
                del self._attempts[context]
                self._wait_again(attempt)
        self._waiting = self._still_in_time(self._waiting, now)
        for attempt in self._attempts.values():
            attempt.barriers = self._still_in_time(attempt.barriers, now)
        self._confirmed = [(index, self._still_in_time(barriers, now)) for index, barriers in self._confirmed]
        if self._count:
            self._sweeper = self._loop.call_later(self._sweep_s, self._sweep)
            if self._waiting:
                self._wake()

    def _still_in_time(self, barriers: list[Barrier], now: float) -> list[Barrier]:
        if all(deadline > now for _, deadline in barriers):
            return barriers
        for future, deadline in barriers:
            if deadline <= now:
                self._fail(future, ReadTimeout("the read could not be confirmed in the time given"))
        return [(future, deadline) for future, deadline in barriers if deadline > now]

    def _fail(self, future: asyncio.Future[None], error: NodeError) -> None:
        self._count -= 1
        if not future.done():
            self._counters.reads_failed += 1
            future.set_exception(error)

    def fail_all(self, error: NodeError) -> None:
        """Fail every reader with a copy of `error`, and later ones too: the node stops."""
        self._refusal = error
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        everybody = [*self._waiting]
        for attempt in self._attempts.values():
            everybody += attempt.barriers
        for _, barriers in self._confirmed:
            everybody += barriers
        self._waiting, self._attempts, self._confirmed = [], {}, []
        for future, _ in everybody:
            self._fail(future, type(error)(*error.args))
