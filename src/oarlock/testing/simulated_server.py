"""One machine of a simulated cluster: its disk and clock last, processes come and go."""

import asyncio
import random
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Any, Final, NamedTuple, Protocol

from oarlock.node.executors import Executors
from oarlock.raft.types import ServerId
from oarlock.replica.object import ReplicatedObject
from oarlock.replica.place import server_id_of
from oarlock.replica.settings import Environment, Settings
from oarlock.replica.statemachine import DiskStateMachine, StateMachine
from oarlock.sim.clock import Clock
from oarlock.sim.connection import SimServer, SimTransport, connect, listen
from oarlock.sim.disk import SimDisk
from oarlock.sim.durable import DurableLog
from oarlock.sim.loop import SimLoop
from oarlock.sim.network import Network
from oarlock.sim.process import EPOCH_S
from oarlock.sim.scheduler import Scheduler
from oarlock.sim.strikes import Strikes
from oarlock.sim.threads import SimThread, hand_over
from oarlock.testing.simulated_node import SimulatedNode
from oarlock.testing.simulated_recording import LibraryRecording
from oarlock.testing.simulated_table import Stored
from oarlock.testing.simulated_watch import Watched
from oarlock.trace.recorder import Recorder
from oarlock.transport.options import TransportOptions

_LEAST_S: Final = 0.0002
_MEAN_S: Final = 0.0008
"""What blocking work takes: at least, and on average beyond."""
NAME: Final = "oarlock"


class Program(NamedTuple):
    """What a server replicates: objects, or a machine."""

    objects: Sequence[ReplicatedObject] = ()
    machine: StateMachine | DiskStateMachine | None = None

    def copy(self) -> list[Any]:
        """The state, as it is here."""
        if isinstance(self.machine, DiskStateMachine):
            return [list(self.machine.table.items())]
        if self.machine is not None:
            return [self.machine.snapshot()]
        return [one.snapshot() for one in self.objects]


class World(Protocol):
    """What a server asks of the run."""

    seed: int
    scheduler: Scheduler
    strikes: Strikes
    network: Network
    recording: LibraryRecording | None

    def contact(self, server: "SimulatedServer") -> str:
        """Whom a server is to ask that joins."""

    def make_program(self) -> "Program":
        """What a server is to replicate."""

    def started(self, server: "SimulatedServer", program: "Program") -> None:
        """A process is there."""

    def iterated(self, server: "SimulatedServer") -> None:
        """An iteration of its loop has ended."""

    def applied(self, server: "SimulatedServer", index: int, results: int) -> None:
        """A server stands at an index, with a hash of all results."""

    def ended(self, server: "SimulatedServer", why: BaseException | None) -> None:
        """A process ended by itself."""

    def defect(self, server: "SimulatedServer", error: BaseException) -> None:
        """Something raised that must not."""


class SimulatedServer:
    """A machine.

    Args:
        world: The run.
        number: From 0.
        address: Where it is reached.
        founders: The addresses of the servers that the cluster begins with.
        settings: Of its nodes.
    """

    def __init__(self, world: World, number: int, address: str, founders: Sequence[str], settings: Settings) -> None:
        self.number = number
        self.address = address
        self.host = world.network.add_host(address.partition(":")[0])
        self.server_id: ServerId = 0
        """Of its node; 0 while it has none."""
        self.is_in = self._founds = address in founders
        """Whether it is a member, or is to be one."""
        self.is_leaving = False
        """Whether it has asked to be let go."""
        self.token = "known to all servers of a run"  # noqa: S105 - of servers that are simulated
        self.lives = 0
        """How many processes there were."""
        self.date_offset_s = 0.0
        """By how much its idea of the date is wrong."""
        self.loop: SimLoop | None = None
        self._world = world
        self._founders = founders
        self._settings = settings
        self._rng = random.Random(f"{world.seed}/server/{number}")  # noqa: S311
        self._disks = 0
        self._change_disk()
        self.clock = Clock(0.0, self._rng.random() * 1e6)
        self.process: Watched | None = None
        """Of the process that runs, what is watched; None before there is any of it."""
        self.is_disk_intact = True
        self._begun: SimulatedNode | None = None
        """The node of the process that runs, from its beginning;"""
        self._node: SimulatedNode | None = None
        """from when it has started."""
        self._threads: list[SimThread] = []
        self._held: list[SimThread] = []
        self._graveyard: list[SimLoop] = []
        if self.is_in:
            self.server_id = server_id_of(NAME, address)
            if world.recording is not None:
                world.recording.is_at(self)

    @property
    def running_node(self) -> SimulatedNode:
        """The node of the process that runs."""
        assert self._node is not None  # noqa: S101 - asked by its own client
        return self._node

    @property
    def is_up(self) -> bool:
        """Whether its node has started."""
        return self._node is not None

    @property
    def incarnation(self) -> int:
        """See `WatchedServer.incarnation`."""
        return self.lives

    def _change_disk(self) -> None:
        """Give it an empty disk."""
        self._disks += 1
        which = self.number if self._disks == 1 else f"{self.number}/{self._disks}"
        self.durable = DurableLog()
        rng = random.Random(f"{self._world.seed}/disk/{which}")  # noqa: S311
        self.disk = SimDisk(rng, self._world.strikes, self.durable)
        self._table = Stored()

    def is_let_go(self) -> None:
        """It is no member any more: its process ends, and its data are of no use."""
        self.kill(power=False, why="left the cluster")
        self.is_in = self.is_leaving = self._founds = False
        self.server_id = 0
        self._change_disk()

    # -- processes -----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin a process, unless there is one."""
        if self.loop is not None:
            return
        self.lives += 1
        self.host.is_powered = True
        # Abstract to mypy only: what a node never calls raises NotImplementedError.
        self.loop = self.host.loop = SimLoop(self._world.scheduler, self.clock, _Process(self, self.lives))  # type: ignore[abstract]
        self._threads = [SimThread("wal"), SimThread("machine"), SimThread("snapshots")]
        self.loop.create_task(self._main())

    async def _main(self) -> None:
        program = self._world.make_program()
        wal, machine, snapshots = self._threads
        timeout_ms = self._settings.election_timeout_ms
        self._watched = Watched(self._world.strikes)
        node = self._begun = SimulatedNode(
            self.address,
            data_dir="/data",
            peers=self._founders if self._founds else None,
            join=None if self._founds else self._world.contact(self),
            token=self.token,
            name=NAME,
            objects=program.objects,
            machine=program.machine,
            settings=self._settings,
            on_end=self._ended_by_itself,
            environment=Environment(
                disk=self.disk,
                rng=random.Random(self._rng.getrandbits(64)),  # noqa: S311
                wall_clock=lambda: EPOCH_S + self._world.scheduler.now + self.date_offset_s,
                executors=Executors(wal=wal, machine=machine, snapshots=snapshots),
                transport_options=TransportOptions(
                    connect_timeout_ms=4 * timeout_ms,
                    handshake_timeout_ms=4 * timeout_ms,
                    backoff_max_ms=timeout_ms,
                    ping_interval_ms=timeout_ms,
                ),
                open_table=partial(self._table.open, self.disk),
                open_trace=self._open_trace if self._world.recording is not None else None,
                transport=self._watched.transport(),
                watch_machine=self._watched.watch_machine,
                check_invariants=True,
            ),
        )
        node.recording, node.server = self._world.recording, self
        try:
            await node.start()
        except Exception as error:  # noqa: BLE001 - whatever it is, the process ends with it
            self._ended_by_itself(error)
            return
        self._node = node
        self._world.started(self, program)

    def _open_trace(self, server_id: ServerId, _boot_epoch: int) -> Recorder:
        recording, loop = self._world.recording, self.loop
        assert recording is not None  # noqa: S101 - or nobody asks
        assert loop is not None  # noqa: S101 - it runs
        self._is(server_id)
        return recording.begin(self, loop.time())

    def _is(self, server_id: ServerId) -> None:
        """Who this is, from now on."""
        if self.server_id != server_id:
            self.server_id = server_id
            if self._world.recording is not None:
                self._world.recording.is_at(self)

    def _ended_by_itself(self, why: BaseException) -> None:
        self._world.scheduler.after(0, self._end_and_tell, self.lives, why)

    def _end_and_tell(self, life: int, why: BaseException) -> None:
        if life == self.lives and self.kill(power=False, why="ended by itself", error=why):
            self._world.ended(self, why)

    def kill(self, *, power: bool, why: str = "killed", error: BaseException | None = None) -> bool:
        """End the process at once; with the power, what is not synced goes too. Whether there was one."""
        loop = self.loop
        if loop is None:
            return False
        if self._world.recording is not None:
            self._world.recording.ended(self, why, power=power, error=error)
        self.loop = self.process = self._begun = self._node = None
        loop.kill()
        self._graveyard.append(loop)
        for thread in self._threads:
            thread.jobs.clear()
        self._held.clear()
        self.host.loop = None
        self.host.listeners.clear()
        transports = list(self.host.transports)
        self.host.transports.clear()
        for transport in transports:
            transport.vanish(silent=power)
        self.host.is_powered = not power
        if power:
            self.disk.lose_power()
        else:
            self.disk.end_process()
        return True

    def freeze(self) -> None:
        """Stop everything, as SIGSTOP does."""
        if self.loop is not None:
            self.loop.freeze()

    def thaw(self) -> None:
        """Go on."""
        if self.loop is not None:
            self.loop.thaw()
        held, self._held = self._held, []
        for thread in held:
            self._world.scheduler.after(0, self.end_job, thread, self.lives)

    def bury(self) -> None:
        """After the run."""
        self.kill(power=True)
        for loop in self._graveyard:
            loop.bury()

    # -- what a loop asks of its surroundings --------------------------------------------------------------------------

    def iterated(self) -> None:
        """An iteration has ended: have it looked at, and tell how far the state has come."""
        if self.process is None:
            node = self._begun.core_node if self._begun is not None else None
            if node is None:
                return
            self._is(node.config.server_id)
            self.process = self._watched
            self.process.node = node
        self._world.iterated(self)
        if self._node is not None:
            self._world.applied(self, *self._node.stands_at())

    def failed(self, error: BaseException) -> None:
        """A callback raised."""
        self._world.defect(self, error)

    async def connect(
        self, factory: Callable[[], asyncio.Protocol], target: tuple[str, int]
    ) -> tuple[SimTransport, asyncio.Protocol]:
        """Connect over the simulated network."""
        assert self.loop is not None  # noqa: S101 - asked by it
        return await connect(self._world.network, self.host, self.loop, factory, target)

    def begin_job(self, thread: SimThread) -> None:
        """A thread takes up its next work."""
        seconds = _LEAST_S + self._rng.expovariate(1 / _MEAN_S)
        self._world.scheduler.after(seconds, self.end_job, thread, self.lives)

    def end_job(self, thread: SimThread, life: int) -> None:
        """A thread's work is done."""
        loop = self.loop
        if life != self.lives or loop is None or not thread.jobs:
            return
        if loop.is_frozen:
            self._held.append(thread)
            return
        thread.do_first(loop)
        if thread.jobs:
            self.begin_job(thread)


class _Process:
    """The surroundings of one loop; see `Surroundings`."""

    def __init__(self, server: SimulatedServer, life: int) -> None:
        self._server = server
        self._life = life

    def run_job(
        self,
        executor: Executor | None,
        future: "asyncio.Future[Any]",
        function: Callable[..., Any],
        args: tuple[Any, ...],
    ) -> None:
        idle = hand_over(executor, future, function, args)
        if idle is not None:
            self._server.begin_job(idle)

    async def listen(self, factory: Callable[[], asyncio.Protocol], host: str, port: int) -> SimServer:  # noqa: ARG002
        return listen(self._server.host, factory, port)

    async def connect(
        self, factory: Callable[[], asyncio.Protocol], host: str, port: int
    ) -> tuple[SimTransport, asyncio.Protocol]:
        return await self._server.connect(factory, (host, port))

    def after_iteration(self, callbacks: int) -> None:  # noqa: ARG002
        if self._life == self._server.lives:
            self._server.iterated()

    def callback_failed(self, error: BaseException) -> None:
        self._server.failed(error)
