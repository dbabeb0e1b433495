"""An asyncio event loop in simulated time: one for each life of a simulated process.

Callbacks run in iterations, as on a real loop: what is ready when an iteration begins runs in it, what is scheduled
meanwhile runs in the next, and an iteration takes a little time by the number of its callbacks. There is no selector,
no thread and no wall clock; the order of everything follows from the scheduler's.
"""

import asyncio
import contextlib
import contextvars
import heapq
import math
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, Final, Protocol, TypeVar

from oarlock.sim.clock import Clock
from oarlock.sim.scheduler import Scheduler

_T = TypeVar("_T")

# What asyncio offers to those who write loops, and is underscored there all the same.
_running_loop: Final = asyncio._get_running_loop  # noqa: SLF001
_set_running_loop: Final = asyncio._set_running_loop  # noqa: SLF001

CALLBACK_S = 2e-6
"""How long each callback keeps its process busy, in true time."""
_ROUNDING_S = 1e-9


class Handle:
    """A scheduled callback, as `asyncio.Handle` and `asyncio.TimerHandle` are to those who hold one."""

    __slots__ = ("_when", "args", "callback", "context")

    def __init__(
        self,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        context: contextvars.Context | None,
        when: float = 0.0,
    ) -> None:
        self.callback: Callable[..., object] | None = callback
        self.args = args
        self.context = context
        self._when = when

    def cancel(self) -> None:
        """Have it not called."""
        self.callback = None
        self.args = ()

    def cancelled(self) -> bool:
        """Whether it was cancelled, or has been called."""
        return self.callback is None

    def when(self) -> float:
        """A timer's deadline, in the loop's time."""
        return self._when


class Surroundings(Protocol):
    """What a loop needs of the process it runs in."""

    def run_job(
        self,
        executor: Executor | None,
        future: "asyncio.Future[Any]",
        function: Callable[..., Any],
        args: tuple[Any, ...],
    ) -> None:
        """Have blocking work done, and the future settled."""

    async def listen(self, factory: Callable[[], asyncio.Protocol], host: str, port: int) -> object:
        """See `asyncio.loop.create_server`."""

    async def connect(self, factory: Callable[[], asyncio.Protocol], host: str, port: int) -> tuple[Any, Any]:
        """See `asyncio.loop.create_connection`."""

    def after_iteration(self, callbacks: int) -> None:
        """An iteration of the loop has ended."""

    def callback_failed(self, error: BaseException) -> None:
        """A callback raised."""


class SimLoop(asyncio.AbstractEventLoop):
    """The loop.

    Args:
        scheduler: Gives true time, and calls the iterations.
        clock: Gives the loop's.
        surroundings: The process.
    """

    def __init__(self, scheduler: Scheduler, clock: Clock, surroundings: Surroundings) -> None:
        self._scheduler = scheduler
        self.clock = clock
        self._surroundings = surroundings
        self._ready: deque[Handle] = deque()
        self._timers: list[tuple[float, int, Handle]] = []
        self._sequence = 0
        self._is_scheduled = False
        self._wake_at = math.inf
        self._busy_until = 0.0
        self._is_frozen = False
        self._is_dead = False
        self._tasks: list[asyncio.Task[Any]] = []
        self._interruption: Callable[[], object] | None = None
        self._interrupt_after = 0
        self.callbacks = 0
        """How many iterations have called, or passed over as cancelled."""
        self.complaints: list[str] = []
        """What the exception handler was told."""

    # -- what asyncio asks of a loop -----------------------------------------------------------------------------

    def time(self) -> float:
        """The process's clock, in seconds."""
        return self.clock.read(self._scheduler.now)

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: object, context: contextvars.Context | None = None
    ) -> Handle:
        """Run a callback in the next iteration."""
        handle = Handle(callback, args, context)
        self._ready.append(handle)
        if not (self._is_scheduled or self._is_dead):
            self._is_scheduled = True
            self._scheduler.at(self._busy_until, self._iterate)
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: object, context: contextvars.Context | None = None
    ) -> Handle:
        """Run a callback when the process's clock has moved on by so many seconds."""
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: object, context: contextvars.Context | None = None
    ) -> Handle:
        """Run a callback when the process's clock shows `when`."""
        handle = Handle(callback, args, context, when)
        self._sequence += 1
        timers = self._timers
        heapq.heappush(timers, (when, self._sequence, handle))
        if timers[0][2] is handle:
            self._set_alarm()
        return handle

    def create_future(self) -> "asyncio.Future[Any]":
        """A future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, _T], *, name: str | None = None, context: contextvars.Context | None = None
    ) -> "asyncio.Task[_T]":
        """A task of this loop."""
        task = asyncio.Task(coro, loop=self, name=name, context=context)
        self._tasks.append(task)
        return task

    def run_in_executor(
        self, executor: Executor | None, func: Callable[..., _T], *args: object
    ) -> "asyncio.Future[_T]":
        """Have blocking work done by the process's simulated threads."""
        future: asyncio.Future[_T] = self.create_future()
        self._surroundings.run_job(executor, future, func, args)
        return future

    async def create_server(  # type: ignore[override]
        self,
        protocol_factory: Callable[[], asyncio.Protocol],
        host: str,
        port: int,
        *,
        backlog: int = 100,  # noqa: ARG002 - connections do not wait to be accepted
    ) -> object:
        """Listen on the simulated network."""
        return await self._surroundings.listen(protocol_factory, host, port)

    async def create_connection(  # type: ignore[override]
        self,
        protocol_factory: Callable[[], asyncio.Protocol],
        host: str,
        port: int,
        *,
        ssl: object = None,
        server_hostname: str | None = None,
    ) -> tuple[Any, Any]:
        """Connect over the simulated network, which knows no TLS."""
        if ssl is not None or server_hostname is not None:
            raise ValueError("the simulated network carries no TLS")
        return await self._surroundings.connect(protocol_factory, host, port)

    def get_debug(self) -> bool:
        """Never: debug mode measures in wall time."""
        return False

    def is_running(self) -> bool:
        """Whether one of its callbacks is being called."""
        return _running_loop() is self

    def is_closed(self) -> bool:
        """Whether its process has ended."""
        return self._is_dead

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Keep what asyncio has to say; of a dead process it is of no interest."""
        if not self._is_dead:
            self.complaints.append(f"{context.get('message')}: {context.get('exception')!r}")

    @property
    def tasks(self) -> list["asyncio.Task[Any]"]:
        """Those that have not ended, the oldest first."""
        return [task for task in self._tasks if not task.done()]

    # -- the process's life ----------------------------------------------------------------------------------------

    @property
    def is_frozen(self) -> bool:
        """Whether it is stopped, as by SIGSTOP."""
        return self._is_frozen

    def freeze(self) -> None:
        """Call nothing until thawed; time goes on."""
        self._is_frozen = True

    def thaw(self) -> None:
        """Go on; what has become due meanwhile is called at once."""
        self._is_frozen = False
        self._schedule()

    def block(self, seconds: float) -> None:
        """Be busy for a while, as with a callback that takes long."""
        self._busy_until = max(self._busy_until, self._scheduler.now + seconds)

    def unblock(self) -> None:
        """Be done with what took so long."""
        self._busy_until = self._scheduler.now
        self._is_scheduled = False
        self._schedule()

    def interrupt(self, callbacks: int, interruption: Callable[[], object]) -> None:
        """Between two callbacks, so many from now, have something done: whatever awaits then is in the middle of it."""
        self._interrupt_after, self._interruption = callbacks, interruption

    def spare(self) -> None:
        """Have nothing done that was to be done so."""
        self._interruption = None

    def clock_changed(self) -> None:
        """The clock was set or runs at another rate: timers fall due at other moments."""
        self._wake_at = math.inf
        self._set_alarm()

    def kill(self) -> None:
        """Call nothing any more."""
        self._is_dead = True
        self._ready.clear()
        self._timers.clear()

    def bury(self) -> None:
        """After the run: close what the process was doing, so that nothing complains of never having ended."""
        for task in self._tasks:
            if not task.done():
                task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001 - as `gather` does
                with contextlib.suppress(RuntimeError):  # some would rather wait for an end that nobody brings
                    task.get_coro().close()
        self._tasks.clear()
        self._ready.clear()

    # -- iterations --------------------------------------------------------------------------------------------------

    def _schedule(self) -> None:
        if not self._is_scheduled and not self._is_dead:
            self._is_scheduled = True
            self._scheduler.at(self._busy_until, self._iterate)

    def _set_alarm(self) -> None:
        """Have an iteration when the earliest timer is due, unless there is one by then."""
        timers = self._timers
        while timers and timers[0][2].callback is None:
            heapq.heappop(timers)
        if timers and not self._is_dead:
            when = self.clock.true_time(timers[0][0])
            if when < self._wake_at:
                self._wake_at = when
                self._scheduler.at(when, self._wake, when)

    def _wake(self, when: float) -> None:
        if when == self._wake_at and not self._is_scheduled:
            self._iterate()

    def _collect_timers(self) -> None:
        """Make ready what is due, and look out for what is due next."""
        due = self.clock.read(self._scheduler.now) + _ROUNDING_S
        ready, timers = self._ready, self._timers
        while timers and (timers[0][0] <= due or timers[0][2].callback is None):
            handle = heapq.heappop(timers)[2]
            if handle.callback is not None:
                ready.append(handle)
        self._wake_at = math.inf
        self._set_alarm()

    def _iterate(self) -> None:
        self._is_scheduled = False
        if self._is_dead or self._is_frozen:
            return
        now = self._scheduler.now
        if now < self._busy_until:
            self._schedule()  # it was blocked, or unblocked and has turned, meanwhile
            return
        if now >= self._wake_at:
            self._collect_timers()
        ready = self._ready
        count = len(ready)
        self._is_scheduled = True  # whatever is called soon from here on is scheduled below, all at once
        if self._interruption is None:
            self._run(ready, count)
        else:
            self._run_interrupted(ready, count)
        self.callbacks += count
        self._is_scheduled = False
        self._busy_until = max(self._busy_until, now + count * CALLBACK_S)
        if ready:
            self._schedule()
        self._surroundings.after_iteration(count)

    def _run_interrupted(self, ready: deque[Handle], count: int) -> None:
        before = min(count, self._interrupt_after)
        self._interrupt_after -= before
        self._run(ready, before)
        if before < count and self._interruption is not None:
            interruption, self._interruption = self._interruption, None
            interruption()
            self._run(ready, count - before)

    def _run(self, ready: deque[Handle], count: int) -> None:
        outer = _running_loop()
        _set_running_loop(self)
        try:
            for _ in range(count):
                if not ready:
                    break  # killed by one of its own callbacks
                handle = ready.popleft()
                callback = handle.callback
                if callback is None:
                    continue
                handle.callback = None
                context = handle.context
                try:
                    if context is None:
                        callback(*handle.args)
                    else:
                        context.run(callback, *handle.args)
                except (SystemExit, KeyboardInterrupt):
                    raise
                except BaseException as error:  # noqa: BLE001 - as asyncio's own loop does
                    self._surroundings.callback_failed(error)
        finally:
            _set_running_loop(outer)
