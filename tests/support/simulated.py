"""Small simulated worlds: a loop without a server, two hosts with a connection, and schedules."""

import asyncio
import random
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

from oarlock.sim.clock import Clock
from oarlock.sim.connection import SimTransport, connect, listen
from oarlock.sim.loop import SimLoop
from oarlock.sim.network import Host, LinkSettings, Network
from oarlock.sim.schedule import ClientOperation, Fault, Schedule, Settings
from oarlock.sim.scheduler import Scheduler
from oarlock.sim.strikes import Strikes

QUIET = LinkSettings(delay_s=0.001, jitter_s=0.0, tail=0.0, cut=0.0)


class Alone:
    """Surroundings of a loop that has only itself."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self.errors: list[BaseException] = []
        self.turns = 0
        self.loop: SimLoop

    def run_job(
        self, executor: Executor | None, future: "asyncio.Future[Any]", function: Callable[..., Any], args: Any
    ) -> None:
        """Half a second later."""
        self.scheduler.after(0.5, lambda: self.loop.call_soon(future.set_result, function(*args)))

    def after_iteration(self, callbacks: int) -> None:
        self.turns += 1

    def callback_failed(self, error: BaseException) -> None:
        self.errors.append(error)


def lone_loop(scheduler: Scheduler, clock: Clock | None = None) -> SimLoop:
    alone = Alone(scheduler)
    alone.loop = SimLoop(scheduler, clock or Clock(0.0, 0.0), alone)
    return alone.loop


class Ear(asyncio.Protocol):
    """Remembers what came."""

    def __init__(self) -> None:
        self.transport: Any = None
        self.data = b""
        self.reads = 0
        self.lost: list[Exception | None] = []
        self.paused = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.data += data
        self.reads += 1

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.append(exc)

    def pause_writing(self) -> None:
        self.paused += 1


class Pair:
    """Hosts a and b; a is connected to b."""

    def __init__(self, settings: LinkSettings = QUIET) -> None:
        self.scheduler = Scheduler()
        self.strikes = Strikes()
        self.network = Network(self.scheduler, settings, "test", self.strikes)
        self.a, self.b = self.network.add_host("a"), self.network.add_host("b")
        self.loops: dict[str, SimLoop] = {}
        for host in (self.a, self.b):
            host.loop = self.loops[host.name] = lone_loop(self.scheduler)
        self.far = Ear()
        listen(self.b, lambda: self.far, 1)
        self.near = Ear()
        self.opened: asyncio.Task[tuple[SimTransport, asyncio.Protocol]] = self.dial(self.near)

    def dial(self, ear: Ear, port: int = 1) -> "asyncio.Task[tuple[SimTransport, asyncio.Protocol]]":
        loop = self.loops["a"]
        return loop.create_task(connect(self.network, self.a, loop, lambda: ear, ("b", port)))

    def run(self, seconds: float = 1.0) -> "Pair":
        self.scheduler.run_until(self.scheduler.now + seconds)
        return self

    def crash(self, host: Host, *, silent: bool) -> None:
        host.is_powered = not silent
        host.loop = None
        host.listeners.clear()
        self.loops[host.name].kill()
        for transport in list(host.transports):
            transport.vanish(silent=silent)
        host.transports.clear()


def steady(*faults: Fault, servers: int = 3, seconds: float = 5.0, seed: int = 7, **settings: Any) -> Schedule:
    """A cluster with an even load, and the faults given."""
    rng = random.Random(seed)
    operations = [
        ClientOperation(
            at=0.5 + number * 0.02,
            client=1 + number % 3,
            server=1 + number % servers,
            kind=("put", "get", "cas", "put", "serializable")[number % 5],
            key=f"k{rng.randint(1, 3)}",
            value=f"v{number}" + "x" * 100,
        )
        for number in range(int((seconds - 0.5) * 50))
    ]
    return Schedule(
        seed=seed,
        settings=Settings(servers=servers, duration_s=seconds, **settings),
        faults=faults,
        operations=tuple(operations),
    )
