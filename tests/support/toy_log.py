"""Copies of replicated objects on simulated processes, with a log that is simply there: only the objects are on trial.

Each server is a process on a virtual loop of its own, which can be frozen, cut off or killed. The log is a list; what
is proposed reaches it late or never, and copies apply it late, each at its own time. So thousands of runs of what waits,
renews and claims cost little; whole clusters are simulated elsewhere.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from tests.support.simulated import Alone

from oarlock.replica.codec import copied, decode, encode
from oarlock.replica.context import Context
from oarlock.replica.errors import Timeout
from oarlock.replica.object import Command, Consistency, ReplicatedObject, commands_of, version_of
from oarlock.sim.clock import Clock
from oarlock.sim.loop import SimLoop
from oarlock.sim.scheduler import Scheduler

TIMEOUT_S = 2.0
EPOCH_MS = 1_700_000_000_000


class ToyServer:
    """One process with its copy of an object."""

    def __init__(self, world: "ToyWorld", number: int, target: ReplicatedObject) -> None:
        self.world = world
        self.number = number
        self.target = target
        self.context: Context | None = None
        self.is_alive = True
        self.is_cut_off = False
        self.clock_offset_ms = 0
        self.tasks: list[asyncio.Task[Any]] = []
        surroundings = Alone(world.scheduler)
        self.loop = surroundings.loop = SimLoop(world.scheduler, Clock(0.0, 0.0), surroundings)  # type: ignore[abstract]
        self.errors = surroundings.errors
        self._now_ms = 0
        self._applied = 0
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        target.attach(self)
        self._commands = commands_of(target)

    def version_of(self, _name: str) -> int:
        """The newest."""
        return version_of(self.target)

    def call(
        self, target: ReplicatedObject, command: Command, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> asyncio.Future[Any]:
        """Send a command on its way to the log."""
        stamp_ms = EPOCH_MS + int(self.loop.time() * 1000) + self.clock_offset_ms
        data = encode([stamp_ms, command.name, list(args), dict(kwargs)], f"arguments of {target.name}")
        future = self.loop.create_future()
        serial = self.world.send(self, data)
        self._waiting[serial] = future
        self.loop.call_later(TIMEOUT_S, self._give_up, serial)
        return future

    def _give_up(self, serial: int) -> None:
        future = self._waiting.pop(serial, None)
        if future is not None and not future.done():
            future.set_exception(Timeout("no answer in time"))

    async def read(
        self,
        function: Callable[[], Any],
        consistency: Consistency,
        max_staleness_ms: float | None,
        timeout_s: float | None,
    ) -> Any:
        """Not needed here."""
        raise NotImplementedError

    def apply(self, upto: int) -> None:
        """Apply the log up to a place, in order."""
        while self._applied < upto:
            source, serial, data = self.world.log[self._applied]
            self._applied += 1
            stamp_ms, name, args, kwargs = decode(data)
            self._now_ms = max(self._now_ms, stamp_ms)
            self.context = Context(self._applied, self._now_ms)
            future = self._waiting.pop(serial, None) if source is self else None
            try:
                result = copied(self._commands[name].bodies[1](self.target, *args, **kwargs))
            except Exception as error:  # noqa: BLE001 - the caller's
                if future is not None and not future.done():
                    future.set_exception(error)
            else:
                if future is not None and not future.done():
                    future.set_result(result)
            finally:
                self.context = None

    def spawn(self, activity: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Begin something in this process."""
        task = self.loop.create_task(activity)
        self.tasks.append(task)
        return task

    def kill(self) -> None:
        """End the process at once."""
        self.is_alive = False
        self.loop.kill()


class ToyWorld:
    """Servers 0 to n - 1."""

    def __init__(self, seed: int, make: Callable[[], ReplicatedObject], size: int = 3) -> None:
        self.rng = random.Random(seed)
        self.scheduler = Scheduler()
        self.log: list[tuple[ToyServer, int, bytes]] = []
        self.servers = [ToyServer(self, number, make()) for number in range(size)]
        self.loss = 0.0
        """How likely it is that a command never arrives."""
        self._serial = 0

    @property
    def now(self) -> float:
        """True time, in seconds."""
        return self.scheduler.now

    def send(self, source: ToyServer, data: bytes) -> int:
        """A command leaves a server."""
        self._serial += 1
        if self.rng.random() >= self.loss:
            self.scheduler.after(self.rng.expovariate(1 / 0.01), self._arrive, source, self._serial, data)
        return self._serial

    def _arrive(self, source: ToyServer, serial: int, data: bytes) -> None:
        if source.is_cut_off:
            self.scheduler.after(0.5, self._arrive, source, serial, data)  # the link sends again
            return
        self.log.append((source, serial, data))
        for server in self.servers:
            self.scheduler.after(self.rng.expovariate(1 / 0.01), self._tell, server, len(self.log))

    def _tell(self, server: ToyServer, upto: int) -> None:
        if server.is_cut_off:
            self.scheduler.after(0.5, self._tell, server, upto)
        elif server.is_alive:
            server.loop.call_soon(server.apply, upto)

    def run(self, seconds: float) -> None:
        """Let time pass; nothing may have gone wrong in any process."""
        self.scheduler.run_until(self.now + seconds)
        for server in self.servers:
            assert not server.errors, server.errors
            for task in server.tasks:
                if server.is_alive and task.done() and not task.cancelled():
                    task.result()

    def close(self) -> None:
        """After the run."""
        for server in self.servers:
            server.loop.kill()
            server.loop.bury()
