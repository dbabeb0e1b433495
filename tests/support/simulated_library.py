"""The library's nodes on simulated processes, disks and networks: the production code, in virtual time, from a seed."""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any

from oarlock.node.executors import Executors
from oarlock.replica.node import Node
from oarlock.replica.object import ReplicatedObject
from oarlock.replica.settings import Environment, Settings
from oarlock.sim.clock import Clock
from oarlock.sim.connection import SimServer, SimTransport, connect, listen
from oarlock.sim.disk import SimDisk
from oarlock.sim.files import PowerLoss
from oarlock.sim.loop import SimLoop
from oarlock.sim.network import Host, LinkSettings, Network
from oarlock.sim.scheduler import Scheduler
from oarlock.sim.strikes import Strikes

PORT = 7000
EPOCH_S = 1_700_000_000.0
SETTINGS = Settings(
    election_timeout_ms=500,
    heartbeat_interval_ms=50,
    command_timeout_ms=3000,
    read_timeout_ms=3000,
    snapshot_count=20,
    snapshot_tail=3,
    agreement_interval=20,
    disk_reserve_bytes=0,
    own_thread=False,
)


class Thread(Executor):
    """One simulated thread: does its jobs one after the other, each taking a millisecond or so."""

    def __init__(self, life: "Life") -> None:
        self.life = life
        self.jobs: deque[tuple[asyncio.Future[Any], Callable[..., Any], tuple[Any, ...]]] = deque()

    def begin(self) -> None:
        """Do the next job."""
        world = self.life.world
        world.scheduler.after(0.0002 + world.rng.expovariate(1 / 0.0008), self._end)

    def _end(self) -> None:
        if self.life.is_over or not self.jobs:
            return
        future, function, args = self.jobs.popleft()
        try:
            result = function(*args)
        except PowerLoss:
            self.jobs.clear()
            return
        except Exception as error:  # noqa: BLE001 - as an executor does
            self.life.loop.call_soon(_settle, future, None, error)
        else:
            self.life.loop.call_soon(_settle, future, result, None)
        if self.jobs:
            self.begin()


def _settle(future: asyncio.Future[Any], result: object, error: Exception | None) -> None:
    if not future.done():
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)


class Life:
    """One process of a server, from its start to its end."""

    def __init__(self, world: "SimulatedLibrary", number: int) -> None:
        self.world = world
        self.number = number
        self.host = world.hosts[number]
        self.is_over = False
        self.errors: list[BaseException] = []
        self.ended: list[BaseException] = []
        """Why the node ended by itself."""
        self.loop = SimLoop(world.scheduler, Clock(world.scheduler.now, world.scheduler.now), self)  # type: ignore[abstract]
        self.host.loop, self.host.is_powered = self.loop, True
        wal, machine, snapshots, self._other = (Thread(self) for _ in range(4))
        self.objects: list[Any] = list(world.make())
        self.node = Node(
            world.addresses[number],
            data_dir="/data",
            peers=world.addresses,
            objects=self.objects,
            settings=world.settings,
            on_end=self.ended.append,
            environment=Environment(
                disk=world.disks[number],
                rng=random.Random(world.rng.getrandbits(64)),
                wall_clock=lambda: EPOCH_S + world.scheduler.now,
                executors=Executors(wal=wal, machine=machine, snapshots=snapshots),
                check_invariants=True,
            ),
        )
        self.is_started = False
        self.spawn(self._start())

    async def _start(self) -> None:
        await self.node.start()
        self.is_started = True

    def spawn(self, activity: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Begin something in this process."""
        return self.loop.create_task(activity)

    def end(self, *, power: bool) -> None:
        """Stop existing; with the power, what is not synced goes too, and nobody is told."""
        self.is_over = True
        self.is_started = False
        self.host.is_powered = not power
        self.loop.kill()
        self.host.loop = None
        self.host.listeners.clear()
        transports = list(self.host.transports)
        self.host.transports.clear()
        for transport in transports:
            transport.vanish(silent=power)
        disk = self.world.disks[self.number]
        if power:
            disk.lose_power()
        disk.end_process()

    # -- what a loop asks of its surroundings ------------------------------------------------------------------------

    def run_job(
        self, executor: Executor | None, future: "asyncio.Future[Any]", function: Callable[..., Any], args: Any
    ) -> None:
        """See `oarlock.sim.loop.Surroundings`."""
        thread = executor if isinstance(executor, Thread) else self._other
        thread.jobs.append((future, function, args))
        if len(thread.jobs) == 1:
            thread.begin()

    async def listen(self, factory: Callable[[], asyncio.Protocol], host: str, port: int) -> SimServer:
        """See `oarlock.sim.loop.Surroundings`."""
        return listen(self.host, factory, port)

    async def connect(
        self, factory: Callable[[], asyncio.Protocol], host: str, port: int
    ) -> tuple[SimTransport, asyncio.Protocol]:
        """See `oarlock.sim.loop.Surroundings`."""
        return await connect(self.world.network, self.host, self.loop, factory, (host, port))

    def after_iteration(self, callbacks: int) -> None:
        """See `oarlock.sim.loop.Surroundings`."""

    def callback_failed(self, error: BaseException) -> None:
        """See `oarlock.sim.loop.Surroundings`."""
        self.errors.append(error)


class SimulatedLibrary:
    """Servers 0 to n - 1 in one simulated world."""

    def __init__(
        self, seed: int, make: Callable[[], list[ReplicatedObject]], size: int = 3, settings: Settings = SETTINGS
    ) -> None:
        self.rng = random.Random(f"library {seed}")
        self.make = make
        self.settings = settings
        self.scheduler = Scheduler()
        strikes = Strikes()
        self.network = Network(self.scheduler, LinkSettings(), f"library {seed}", strikes)
        names = [f"s{number}" for number in range(size)]
        self.addresses = [f"{name}:{PORT}" for name in names]
        self.hosts: list[Host] = [self.network.add_host(name) for name in names]
        self.disks = [SimDisk(random.Random(f"disk {seed} {name}"), strikes) for name in names]
        self.running: dict[int, Life] = {}
        self._past: list[Life] = []
        for number in range(size):
            self.start(number)

    def start(self, number: int) -> None:
        """Begin a process, unless one runs."""
        if number not in self.running:
            self.running[number] = Life(self, number)

    def crash(self, number: int, *, power: bool) -> None:
        """End a process at once, if one runs."""
        life = self.running.pop(number, None)
        if life is not None:
            life.end(power=power)
            self._past.append(life)

    def cut(self, number: int, seconds: float) -> None:
        """Let nothing pass between a server and the others for a while."""
        own = self.hosts[number].name
        others = [host.name for host in self.hosts if host.name != own]
        for link in self.network.links_of([pair for other in others for pair in ((own, other), (other, own))]):
            link.block()
            self.scheduler.after(seconds, link.unblock)

    @property
    def started(self) -> list[Life]:
        """The processes whose nodes have started."""
        return [life for _, life in sorted(self.running.items()) if life.is_started]

    def leader(self) -> int | None:
        """A server that leads, if one does."""
        return next((life.number for life in self.started if life.node.is_leader), None)

    def run(self, seconds: float, done: Callable[[], bool] | None = None) -> bool:
        """Let time pass, up to a moment or until something holds; nothing may have gone wrong in any process."""
        held = self.scheduler.run_until(self.scheduler.now + seconds, done)
        for life in [*self.running.values(), *self._past]:
            assert not life.errors, life.errors
            assert not life.ended, life.ended
            assert life.is_over or not life.loop.complaints, life.loop.complaints
        return held

    def close(self) -> None:
        """After the run."""
        for number in list(self.running):
            self.crash(number, power=True)
        for life in self._past:
            life.loop.bury()
