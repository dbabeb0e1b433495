"""One server: a disk and a clock that last, and processes that come and go on them.

The process is the production one: node, storage, transport, store and service handlers. Only what is below their seams
is simulated.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from oarlock.check.observed import Promise
from oarlock.etcd.http2 import Limits
from oarlock.etcd.joining import description_of
from oarlock.etcd.port import PortServer
from oarlock.etcd.services import calls
from oarlock.mvcc.store import Store
from oarlock.node.config import NodeConfig
from oarlock.node.node import Executors, Node
from oarlock.raft.types import ServerId
from oarlock.sim.backend import Copy, SimBackend
from oarlock.sim.clock import Clock
from oarlock.sim.connection import SimServer, SimTransport, connect, listen
from oarlock.sim.disk import Content, SimDisk
from oarlock.sim.durable import DurableLog
from oarlock.sim.files import PowerLoss
from oarlock.sim.joining import find_place
from oarlock.sim.loop import SimLoop
from oarlock.sim.machine import RecordingMachine, RecordingTransport
from oarlock.sim.network import Host, Network
from oarlock.sim.services import Services
from oarlock.sim.threads import SimThread, hand_over
from oarlock.sim.versions import Version, incoming, leave_behind, take_over
from oarlock.sim.watcher import Watcher
from oarlock.transport.interface import OnMessage, OnUnreachable
from oarlock.transport.options import TransportOptions

if TYPE_CHECKING:
    from oarlock.sim.recording import Recording

PEER_PORT: Final = 2380
CLIENT_PORT: Final = 2379
_DRAIN_S: Final = 5.0
"""How long calls under way may take when a process is asked to stop, as in production."""
EPOCH_S: Final = 1_700_000_000.0
"""What the wall clock shows when a run begins, in seconds since 1970."""


class DiskSpeed(msgspec.Struct, frozen=True):
    """How long blocking work takes."""

    least_s: float = 0.0002
    mean_s: float = 0.0008
    """Added to the least, exponentially distributed."""


class Server:
    """A machine of the cluster.

    Args:
        config: Of the node.
        number: By which schedules call it.
        host: Where it runs.
        contacts: For a server that joins: the peer URLs of members to ask.
        network: Where its host is.
        disk: Its disk.
        durable: Follows the disk.
        clock: Its clock.
        speed: Of blocking work.
        options: Of the transport.
        rng: For this server alone.
        watcher: Is told.
    """

    def __init__(
        self,
        config: NodeConfig,
        *,
        number: int,
        host: Host,
        contacts: Sequence[str],
        network: Network,
        disk: SimDisk,
        durable: DurableLog,
        clock: Clock,
        speed: DiskSpeed,
        options: TransportOptions,
        rng: random.Random,
        watcher: Watcher,
    ) -> None:
        self.server_id: ServerId = config.server_id
        self.number = number
        self.config = config
        self.network = network
        self.host = host
        self.contacts = contacts
        self.disk = disk
        self.backend = SimBackend(disk)
        self.durable = durable
        self.clock = clock
        self.speed = speed
        self.options = options
        self._rng = rng
        self._watcher = watcher
        self.incarnation = 0
        self.process: Process | None = None
        """The one that runs; None while there is none."""
        self.refusal: BaseException | None = None
        """Why the last start was refused."""
        self.is_disk_intact = True
        """False once the disk was damaged on purpose, in a way that may make it forget."""
        self.port_limits: Limits | None = None
        """Of the port where processes listen for clients; None if they do not."""
        self.has_anothers_disk = False
        """Whether it was given another server's disk."""
        self.is_held_back = False
        """Whether whoever looks after it leaves it down."""
        self.wall_offset_s = 0.0
        """By how much its idea of the date is wrong."""
        self.has_gone_back = False
        """Whether its date has ever gone back."""
        self.stalled_until = 0.0
        """Blocking work ends no sooner, in true time."""
        self.version = Version.CURRENT
        """Of the next process."""
        self.last_version = Version.CURRENT
        """Of the last that could use the data directory."""
        self.graveyard: list[Process] = []
        self.recording: Recording | None = None
        """Where the run is recorded."""

    @property
    def is_up(self) -> bool:
        """Whether a process runs whose node has started."""
        return self.process is not None and self.process.is_started

    @property
    def has_identity(self) -> bool:
        """Whether its data directory says whose it is."""
        return self.disk.holds(Path(self.config.data_dir) / "identity")

    def start(self) -> None:
        """Begin a process, unless there is one, or must be none."""
        if self.process is None and not self.is_held_back:
            self.incarnation += 1
            self.refusal = None
            self.host.is_powered = True
            self.process = Process(self, random.Random(self._rng.getrandbits(64)), self.options, self._watcher)  # noqa: S311
            self.disk.on_power_loss = self.process.power_lost
            self.process.begin()

    def kill(self, *, power: bool) -> bool:
        """End the process at once; with the power, what is not synced goes too, and nobody is told.

        Returns:
            Whether there was one.
        """
        process = self.process
        if process is None:
            return False
        process.end("killed", power=power)
        self.host.is_powered = not power
        if power:
            self.is_disk_intact = self.is_disk_intact and not self.disk.has_lied
            self.disk.lose_power()
            self.backend = self.backend.after_power_loss()
        self._forget(process, "killed")
        return True

    def replace_disk(self, files: Content, records: Copy) -> None:
        """Give a server that is down another disk's content."""
        self.is_disk_intact = False
        self.disk.put_back(files)
        self.backend = SimBackend(self.disk, records)

    def swap_disks(self, other: "Server") -> None:
        """Exchange disks with another server, both being down."""
        for name in ("disk", "backend", "durable", "is_disk_intact"):
            mine, others = getattr(self, name), getattr(other, name)
            setattr(self, name, others)
            setattr(other, name, mine)
        self.has_anothers_disk = other.has_anothers_disk = not self.has_anothers_disk

    def gone(self, process: "Process", why: str) -> None:
        """A process ended by itself."""
        if self.process is process:
            process.end(why, power=False)
            self._forget(process, why)

    def _forget(self, process: "Process", why: str) -> None:
        self.process = None
        self.graveyard.append(process)
        self.disk.end_process()
        self._watcher.ended(self, why)

    def bury(self) -> None:
        """After the run."""
        self.recording = None
        if self.process is not None:
            self.process.end("the run is over", power=True)
            self.graveyard.append(self.process)
            self.process = None
        for process in self.graveyard:
            process.loop.bury()


class Process:
    """One life of a server."""

    def __init__(self, server: Server, rng: random.Random, options: TransportOptions, watcher: Watcher) -> None:
        self.server = server
        self._rng = rng
        self._options = options
        self._watcher = watcher
        self._scheduler = server.network.scheduler
        # Abstract to mypy only: what a node never calls raises NotImplementedError.
        self.loop = SimLoop(self._scheduler, server.clock, self)  # type: ignore[abstract]
        self.threads = [SimThread("wal"), SimThread("machine"), SimThread("snapshots"), SimThread("maintenance")]
        self.is_started = False
        self.is_stopping = False
        self.is_hurt = False
        """Whether one of its tasks was cancelled, or memory refused to it: then it may end, in order."""
        self.is_ending = False
        """Whether all its tasks were cancelled, as at the end of `asyncio.run`."""
        self.calls: dict[asyncio.Future[Any], None] = {}
        """Of clients, under way."""
        self.is_removed = False
        """Whether it knows that its server is no member any more."""
        self.promises: list[Promise] = []
        """What messages claimed since it was last looked at."""
        self._waiting_jobs: list[SimThread] = []
        self.machine: RecordingMachine
        self.services: Services
        self.port: PortServer | None = None
        """Where clients connect to, if they do."""
        self.version = server.version
        self.node = self._make_node(server.config)

    def _make_node(self, config: NodeConfig) -> Node:
        server = self.server
        wal, machine, snapshots, _ = self.threads
        return Node(
            config,
            disk=server.disk,
            rng=self._rng,
            open_transport=self._open_transport,
            open_machine=self._open_machine,
            listen=[(server.host.name, PEER_PORT)],
            executors=Executors(wal=wal, machine=machine, snapshots=snapshots),
            # As production takes the clock's, so that a server on an empty disk is not taken for its former self.
            boot_epoch=round(self._wall_clock() * 1000),
            on_fatal=self._fatal,
            on_removed=self._removed,
            open_trace=partial(server.recording.begin, server, self) if server.recording is not None else None,
            tracer=self._watcher.acted,
            check_invariants=True,
            names_disk=self.version is not Version.BEFORE,
        )

    def _open_transport(self, on_message: OnMessage, on_unreachable: OnUnreachable) -> RecordingTransport:
        config = self.server.config
        transport = RecordingTransport(
            self.loop,
            config.cluster_id,
            config.server_id,
            self._rng,
            None,
            on_message if self.version is Version.CURRENT else partial(self._received, on_message),
            on_unreachable,
            options=self._options,
        )
        transport.promises = self.promises
        transport.version, transport.strikes = self.version, self.server.disk.strikes
        transport.describe_by(lambda: description_of(config.cluster_id, self.node))
        return transport

    def _received(self, on_message: OnMessage, source: ServerId, payload: bytes) -> None:
        """A message for a server of another version."""
        on_message(source, incoming(self.version, payload, self.server.disk.strikes))

    def _open_machine(self) -> RecordingMachine:
        self.machine = RecordingMachine(Store(self.server.backend), self.server.server_id)
        return self.machine

    def begin(self) -> None:
        """Start the node."""
        self.server.host.loop = self.loop
        self.loop.create_task(self._main())

    async def _main(self) -> None:
        server = self.server
        has_started = False
        try:
            if self.version is not Version.CURRENT:
                await self.loop.run_in_executor(self.threads[0], take_over, self.version, server.config, server.disk)
            if server.config.joins:
                place = await find_place(server.config, server.disk, server.contacts, self.loop, self.threads[0])
                self.node = self._make_node(place)
            await self.node.start()
            has_started = True
            if self.version is not Version.CURRENT:
                await self.loop.run_in_executor(self.threads[0], leave_behind, self.version, server.config, server.disk)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - whatever it is, the process ends with it
            server.refusal = error
            if isinstance(error, asyncio.CancelledError) and server.disk.is_locked and not has_started:
                self.is_hurt = False
                server.refusal = RuntimeError("its start was cancelled, and has left its directory locked")
            self._scheduler.after(0, server.gone, self, "refused")
            return
        limits = calls.Limits(request_timeout_s=server.config.proposal_timeout_ms / 1000)
        self.services = Services(self.loop, self.node, limits, self.threads[3], self._wall_clock)
        if server.port_limits is not None:
            self.services.open()
            self.services.calls.asked_over = server.network.asked_over
            self.port = PortServer(self.loop, self.services, limits=server.port_limits)
            await self.port.start(server.host.name, CLIENT_PORT)
        self.is_started = True
        server.last_version = self.version
        self.loop.create_task(self.services.publish(server.host.name))
        self._watcher.started(server)

    def _wall_clock(self) -> float:
        return EPOCH_S + self._scheduler.now + self.server.wall_offset_s

    def _removed(self) -> None:
        """The server is no member any more: production ends the process in order."""
        self.is_removed = True
        self.stop()

    def _fatal(self, error: BaseException) -> None:
        """The node cannot go on: production ends the process at once, unless it is ending already."""
        if self.is_ending:
            return
        self.server.refusal = error
        self.is_started = False
        self._scheduler.after(0, self.server.gone, self, "failed")

    def stop(self) -> None:
        """Ask for an orderly end, as SIGTERM does."""
        if self.is_started and not self.is_stopping:
            self.is_stopping = True
            self.loop.create_task(self._stop()).add_done_callback(self._stopped)

    def _stopped(self, task: "asyncio.Task[None]") -> None:
        if task.cancelled():  # before it had begun
            self.server.refusal = asyncio.CancelledError()
            self._scheduler.after(0, self.server.gone, self, "could not stop")

    async def _stop(self) -> None:
        try:
            if self.port is not None:
                await self.port.drain(_DRAIN_S)
            await self.node.stop()
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - production would end with a stack trace
            self.server.refusal = error
            self._scheduler.after(0, self.server.gone, self, "could not stop")
            return
        self.machine.store.close()
        self._scheduler.after(0, self.server.gone, self, "removed" if self.is_removed else "stopped")

    # -- what a loop asks of its surroundings --------------------------------------------------------------------------

    async def listen(self, factory: Callable[[], asyncio.Protocol], host: str, port: int) -> SimServer:  # noqa: ARG002
        """See `Surroundings.listen`."""
        return listen(self.server.host, factory, port)

    async def connect(
        self, factory: Callable[[], asyncio.Protocol], host: str, port: int
    ) -> tuple[SimTransport, asyncio.Protocol]:
        """See `Surroundings.connect`."""
        return await connect(self.server.network, self.server.host, self.loop, factory, (host, port))

    def after_iteration(self, callbacks: int) -> None:
        """See `Surroundings.after_iteration`."""
        self._watcher.iterated(self.server, callbacks)

    def callback_failed(self, error: BaseException) -> None:
        """See `Surroundings.callback_failed`."""
        self._watcher.defect(self.server, error)

    # -- blocking work -----------------------------------------------------------------------------------------------

    def run_job(
        self,
        executor: Executor | None,
        future: "asyncio.Future[Any]",
        function: Callable[..., Any],
        args: tuple[Any, ...],
    ) -> None:
        """See `Surroundings.run_job`."""
        idle = hand_over(executor, future, function, args)
        if idle is not None:
            self._begin_job(idle)

    def _begin_job(self, thread: SimThread) -> None:
        speed = self.server.speed
        seconds = speed.least_s + self._rng.expovariate(1 / speed.mean_s)
        self._scheduler.after(seconds, self._end_job, thread)

    def _end_job(self, thread: SimThread) -> None:
        if self.server.process is not self or not thread.jobs:
            return
        if self.loop.is_frozen:
            self._waiting_jobs.append(thread)
            return
        if self._scheduler.now < self.server.stalled_until:
            self.server.disk.strikes.hit("disk.stall")
            self._waiting_jobs.append(thread)
            self._scheduler.at(self.server.stalled_until, self.resume_jobs)
            return
        try:
            thread.do_first(self.loop)
        except PowerLoss:
            thread.jobs.clear()
        if thread.jobs:
            self._begin_job(thread)

    # -- pauses and the end ------------------------------------------------------------------------------------------

    def freeze(self) -> None:
        """Stop everything, threads too, as SIGSTOP does."""
        self.loop.freeze()

    def thaw(self) -> None:
        """Go on."""
        self.loop.thaw()
        self.resume_jobs()

    def resume_jobs(self) -> None:
        """Go on with blocking work that had to wait."""
        waiting, self._waiting_jobs = self._waiting_jobs, []
        for thread in waiting:
            self._scheduler.after(0, self._end_job, thread)

    def power_lost(self) -> None:
        """In the middle of a disk operation."""
        self._scheduler.after(0, self._lose_power)

    def _lose_power(self) -> None:
        if self.server.process is self:
            self.server.disk.strikes.hit("process.crash_at_step")
            for thread in self.threads:
                thread.jobs.clear()
            self.server.kill(power=True)

    def end(self, why: str, *, power: bool) -> None:
        """Stop existing: no callback comes any more; what was on its way to the disk is there in part."""
        self.is_started = False
        if self.server.recording is not None:
            self.server.recording.ended(self.server, why, power=power)
        disk = self.server.disk
        for thread in self.threads:
            if thread.jobs:
                self._break_off(thread, disk)
        host = self.server.host
        self.loop.kill()
        host.loop = None
        host.listeners.clear()
        transports = list(host.transports)
        host.transports.clear()
        for transport in transports:
            transport.vanish(silent=power)

    def _break_off(self, thread: SimThread, disk: SimDisk) -> None:
        """A job is under way: do some of its steps, or none, or all; its result reaches nobody."""
        _, function, args = thread.jobs[0]
        thread.jobs.clear()
        steps = self._rng.choice((0, 1, 2, 3, 5, 8, 1000))
        if not steps:
            return
        disk.strikes.hit("process.crash_in_blocking_work")
        disk.fail_after = steps
        try:
            function(*args)
        except (PowerLoss, Exception):  # noqa: BLE001
            disk.strikes.hit("process.crash_within_steps")
        disk.fail_after = None
