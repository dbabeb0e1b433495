"""A cluster of your objects in the simulator: one seed is one run, with what goes wrong in it, in no real time.

The node is the production one: Raft, log, snapshots, transport, objects. Below it are the simulator's loop, network,
disks and clocks. Servers are killed, lose power, are cut off, stand still and are told wrong dates; at the end all is
well, and all copies must be equal. Meanwhile the results of commands must be the same on all servers at every index.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec

from oarlock.check.history import Operation
from oarlock.replica.errors import Diverged, OarlockError
from oarlock.replica.object import ReplicatedObject
from oarlock.replica.settings import Settings
from oarlock.sim.network import Link, LinkSettings, Network
from oarlock.sim.scheduler import Scheduler
from oarlock.sim.strikes import Strikes
from oarlock.testing.simulated_server import SimulatedServer

Objects = Callable[[], Sequence[ReplicatedObject]]
Work = Callable[["Client"], Awaitable[None]]

SETTINGS: Final = Settings(
    own_thread=False,
    election_timeout_ms=300,
    heartbeat_interval_ms=50,
    command_timeout_ms=3000,
    read_timeout_ms=3000,
    snapshot_count=60,
    snapshot_tail=10,
    agreement_interval=10,
    disk_reserve_bytes=0,
)
"""Snapshots and votes come often, so that a short run has many."""

_FAULTS: Final = ("kill", "power", "part", "freeze", "date")
_RESTART_S: Final = 0.4
_PAUSE_S: Final = 0.5
"""Between two faults, on average."""
_LONGEST_FAULT_S: Final = 2.0
_SETTLE_S: Final = 60.0


class SimulatedRun(msgspec.Struct):
    """What came of a run."""

    seed: int
    history: list[Operation]
    """What clients did, for `oarlock.check.check_history`; those that certainly did nothing are left out."""
    copies: list[list[Any]]
    """At the end: the snapshots of all objects, by server."""
    strikes: dict[str, int]
    """What went wrong how often."""
    commands: int
    """Entries that the furthest server applied."""
    seconds: float
    """Of simulated time."""


class RunFailed(AssertionError):
    """What must hold did not; the text names the seed."""


class Client:
    """Whoever works on one server for one life of its process; its work ends with that, wherever it was.

    Attributes:
        objects: The server's.
        number: The server's.
        rng: For this client alone.
    """

    def __init__(self, world: "SimulatedCluster", server: SimulatedServer, objects: Sequence[ReplicatedObject]) -> None:
        self.objects = objects
        self.number = server.number
        self.rng = random.Random(f"{world.seed}/client/{server.number}/{server.lives}")  # noqa: S311
        self._world = world
        self._server = server
        self._name = 0

    async def operate(self, kind: str, given: Any, call: Callable[[], Awaitable[Any]], key: str = "") -> Any:  # noqa: ANN401
        """Do one thing, and have it noted in the history.

        Args:
            kind: As the model calls it that is to judge the history.
            given: The input, in the model's words.
            call: Does it.
            key: The object, where the model has several.

        Raises:
            OarlockError: It failed; noted as unknown, or left out where it certainly did nothing.
        """
        world = self._world
        client = f"{self.number}.{self._server.lives}.{self._name}"
        began = world.tick()
        operation = Operation(client=client, kind=kind, key=key, input=given, call=began)
        place = len(world.history)
        world.history.append(operation)
        try:
            answer = await call()
        except OarlockError as error:
            if not error.outcome_unknown:
                world.left_out.add(place)
            self._name += 1  # one client has one thing under way
            raise
        world.history[place] = msgspec.structs.replace(operation, output=answer, return_=world.tick())
        return answer

    async def pause(self, seconds: float) -> None:
        """Wait, in simulated time."""
        await asyncio.sleep(seconds)


class SimulatedCluster:
    """One run; see `simulate`."""

    def __init__(self, seed: int, servers: int, objects: Objects, work: Work, settings: Settings) -> None:
        self.seed = seed
        self.scheduler = Scheduler()
        self.strikes = Strikes()
        self.network = Network(self.scheduler, LinkSettings(), f"replica/{seed}", self.strikes)
        self.history: list[Operation] = []
        self.left_out: set[int] = set()
        self.defects: list[str] = []
        self._objects = objects
        self._work = work
        self._rng = random.Random(f"replica/{seed}")  # noqa: S311
        self._results: dict[int, int] = {}
        self._copies: dict[int, list[Any]] = {}
        self._ticks = 0
        self._is_healed = False
        addresses = [f"server{number}:2380" for number in range(servers)]
        self.servers = [SimulatedServer(self, number, addresses, settings) for number in range(servers)]

    def tick(self) -> int:
        """A moment of the run, later than all before."""
        self._ticks += 1
        return self._ticks

    # -- what servers tell -------------------------------------------------------------------------------------------

    def make_objects(self) -> Sequence[ReplicatedObject]:
        """A server's objects."""
        return self._objects()

    def started(self, server: SimulatedServer, objects: Sequence[ReplicatedObject]) -> None:
        """A process is there: its client begins, or says at the end what it has."""
        assert server.loop is not None  # noqa: S101 - it has just run
        if self._is_healed:
            server.loop.create_task(self._report(server, objects))
        else:
            server.loop.create_task(self._client(server, objects))

    async def _client(self, server: SimulatedServer, objects: Sequence[ReplicatedObject]) -> None:
        try:
            await self._work(Client(self, server, objects))
        except OarlockError:
            pass  # its server ends, or it did not mind
        except Exception as error:  # noqa: BLE001 - of the user's own checks
            self.defects.append(f"the client of server {server.number} raised {error!r}")

    def applied(self, server: SimulatedServer, index: int, results: int) -> None:
        """A server stands at an index: all that ever stood there must have had the same results."""
        known = self._results.setdefault(index, results)
        if known != results:
            self.defects.append(f"server {server.number} has other results up to index {index} than another server")

    def ended(self, server: SimulatedServer, why: BaseException | None) -> None:
        """A process ended by itself."""
        if isinstance(why, Diverged):
            self.defects.append(f"server {server.number}: {why}")
        self.scheduler.after(_RESTART_S, server.start)

    def defect(self, server: SimulatedServer, error: BaseException) -> None:
        """Something raised that must not."""
        self.defects.append(f"server {server.number}: {error!r}")

    # -- the run -----------------------------------------------------------------------------------------------------

    def run(self, seconds: float, faults: int) -> SimulatedRun:
        """Go through it.

        Raises:
            RunFailed: What must hold did not.
        """
        for server in self.servers:
            self.scheduler.after(self._rng.random() * 0.05, server.start)
        for _ in range(faults):
            self.scheduler.at(0.5 + self._rng.random() * max(0.0, seconds - 1.0), self._strike)
        self.scheduler.run_until(seconds, lambda: bool(self.defects))
        self._heal()
        if not self.defects:
            self.scheduler.run_until(seconds + _SETTLE_S, lambda: bool(self.defects) or self._is_settled())
        for server in self.servers:
            server.bury()
        self._judge(seconds)
        return SimulatedRun(
            seed=self.seed,
            history=[one for place, one in enumerate(self.history) if place not in self.left_out],
            copies=[self._copies[server.number] for server in self.servers],
            strikes=self.strikes.as_dict(),
            commands=max(self._results, default=0),
            seconds=self.scheduler.now,
        )

    def _strike(self) -> None:
        """Something goes wrong, for a while."""
        if self._is_healed:
            return
        kind = self._rng.choice(_FAULTS)
        server = self._rng.choice(self.servers)
        lasts_s = self._rng.random() * _LONGEST_FAULT_S
        self.strikes.hit(f"fault.{kind}")
        match kind:
            case "kill" | "power":
                if server.kill(power=kind == "power"):
                    self.scheduler.after(lasts_s, server.start)
            case "part":
                names = [other.host.name for other in self.servers if other is not server]
                pairs = [(server.host.name, name) for name in names]
                links = self.network.links_of([*pairs, *((name, own) for own, name in pairs)])
                for link in links:
                    link.block()
                    self.scheduler.after(lasts_s, self._unblock, link)
            case "freeze":
                server.freeze()
                self.scheduler.after(lasts_s, server.thaw)
            case "date":
                server.date_offset_s = self._rng.choice((-3600.0, -5.0, 0.0, 5.0, 3600.0))

    def _unblock(self, link: Link) -> None:
        if not self._is_healed:  # which has ended all
            link.unblock()

    def _heal(self) -> None:
        """All is well from now on; every server starts once more, and says what it has."""
        self._is_healed = True
        for source, target in self.network.blocked():
            link = self.network.link(source, target)
            while link.is_blocked:
                link.unblock()
        self.network.recover()
        for server in self.servers:
            server.thaw()
            server.kill(power=False)
            self.scheduler.after(_RESTART_S, server.start)

    async def _report(self, server: SimulatedServer, objects: Sequence[ReplicatedObject]) -> None:
        while True:
            try:
                await server.running_node.ready()
            except OarlockError:
                await asyncio.sleep(_PAUSE_S)
            else:
                break
        self._copies[server.number] = [one.snapshot() for one in objects]

    def _is_settled(self) -> bool:
        return len(self._copies) == len(self.servers)

    def _judge(self, seconds: float) -> None:
        if not self.defects and not self._is_settled():
            missing = [server.number for server in self.servers if server.number not in self._copies]
            self.defects.append(f"{_SETTLE_S:g} s after all was well servers {missing} are not up to date")
        copies = list(self._copies.values())
        if not self.defects and any(copy != copies[0] for copy in copies):
            self.defects.append(f"the copies differ at the end: {copies!r}")
        if self.defects:
            raise RunFailed(f"seed {self.seed}, {seconds:g} s: {'; '.join(self.defects)}")


def simulate(
    seed: int,
    *,
    objects: Objects,
    work: Work,
    servers: int = 3,
    seconds: float = 15.0,
    faults: int = 10,
    settings: Settings = SETTINGS,
) -> SimulatedRun:
    """Run a cluster in the simulator; the same seed gives the same run.

    Args:
        seed: Of the run.
        objects: Makes a server's objects; called for each start of each server.
        work: What a client does on each server, from each start of it on, until its process ends: calls the client's
            objects. Library errors may end it; any other exception fails the run.
        servers: How many.
        seconds: For how long things go wrong, in simulated time.
        faults: How many do.
        settings: Of all nodes; they must run on one loop.

    Raises:
        RunFailed: Copies differ, results differ, a server diverged, or the cluster did not recover.
    """
    if settings.own_thread:
        raise ValueError("a simulated node has one loop: Settings(own_thread=False)")
    return SimulatedCluster(seed, servers, objects, work, settings).run(seconds, faults)
