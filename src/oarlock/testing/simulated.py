"""A cluster of your objects in the simulator: one seed is one run, with what goes wrong in it, in no real time.

The node is the production one: Raft, log, snapshots, transport, objects. Below it are the simulator's loop, network,
disks and clocks. Servers are killed, lose power, are cut off, stand still and are told wrong dates; at the end all is
well, and all copies must be equal. Meanwhile the results of commands must be the same on all servers at every index,
and after every event the observer of `oarlock sim` holds the server concerned against Raft's safety properties.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from oarlock.check.history import Operation, make_history
from oarlock.check.linearizability import check_history
from oarlock.check.verdict import Verdict, Violation
from oarlock.raft.types import ServerId
from oarlock.replica.errors import Diverged, JoinRefused, OarlockError, ServerRemoved, Stopped
from oarlock.replica.node import Node
from oarlock.replica.object import ReplicatedObject
from oarlock.replica.settings import Settings
from oarlock.replica.statemachine import DiskStateMachine, StateMachine
from oarlock.sim import inside
from oarlock.sim.network import LinkSettings, Network
from oarlock.sim.observer import Observer, PropertyBroken
from oarlock.sim.schedule import MessageEdit
from oarlock.sim.scheduler import Scheduler
from oarlock.sim.strikes import Strikes
from oarlock.sim.trace import Trace as StateTrace
from oarlock.testing.simulated_recording import LibraryRecording, write
from oarlock.testing.simulated_server import Program, SimulatedServer
from oarlock.testing.simulated_trouble import RESTART_S, Trouble
from oarlock.testing.what_if import edit_of, in_words
from oarlock.trace.loaded import Trace
from oarlock.trace.schema import Kind as EventKind

Objects = Callable[[], Sequence[ReplicatedObject]]
Work = Callable[["Client"], Awaitable[None]]
Record = str | Path | Callable[[Trace], None]

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

_PAUSE_S: Final = 0.5
"""Between two faults, on average."""
_SETTLE_S: Final = 60.0


class SimulatedRun(msgspec.Struct):
    """What came of a run."""

    seed: int
    history: list[Operation]
    """What clients did, for `oarlock.check.check_history`; those that certainly did nothing are left out."""
    copies: list[list[Any]]
    """At the end, by server: the snapshots of all objects, or of the machine; of one on disk, all records."""
    strikes: dict[str, int]
    """What went wrong how often."""
    commands: int
    """Entries that the furthest server applied."""
    seconds: float
    """Of simulated time."""


class RunFailed(AssertionError):
    """What must hold did not; the text names the seed.

    Attributes:
        violations: All of it, what was found first before the rest.
    """

    def __init__(self, text: str, violations: Sequence[Violation]) -> None:
        super().__init__(text)
        self.violations = tuple(violations)


class Client:
    """Whoever works on one server for one life of its process; its work ends with that, wherever it was.

    Attributes:
        objects: The server's.
        machine: The server's, instead.
        node: The server's.
        number: The server's.
        life: Which of the server's processes it is, from 1.
        rng: For this client alone.
    """

    def __init__(self, world: "SimulatedCluster", server: SimulatedServer, program: Program) -> None:
        self.objects, self.machine = program
        self.node: Node = server.running_node
        self.number = server.number
        self.life = server.lives
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

    def __init__(
        self,
        seed: int,
        servers: int,
        make: Callable[[], Program],
        work: Work,
        settings: Settings,
        *,
        spares: int = 0,
        is_recorded: bool = False,
        what_if: Sequence[MessageEdit] = (),
        only: Sequence[int] | None = None,
        model: str | None = None,
    ) -> None:
        self.seed = seed
        self.scheduler = Scheduler()
        self.strikes = Strikes()
        self.network = Network(self.scheduler, LinkSettings(), f"replica/{seed}", self.strikes)
        self.recording = None
        if is_recorded or what_if:  # messages are named by what records them
            self.recording = LibraryRecording(
                seed,
                self.scheduler,
                self.network,
                lease_reads=settings.lease_reads,
                what_if=what_if,
                hand_over=self._hand_over,
            )
        self._what_if, self._only, self._model = what_if, only, model
        self.observer = Observer(self.scheduler, StateTrace(), self.strikes)
        self.history: list[Operation] = []
        self.left_out: set[int] = set()
        self.defects: list[Violation] = []
        self._size = servers
        self._make = make
        self._work = work
        self._rng = random.Random(f"replica/{seed}")  # noqa: S311
        self._trouble = Trouble(self, self._rng, comes_and_goes=spares > 0, only=only)
        self._results: dict[int, int] = {}
        self._copies: dict[int, list[Any]] = {}
        self._ticks = 0
        addresses = [f"server{number}:2380" for number in range(servers + spares)]
        self.servers = [
            SimulatedServer(self, number, address, addresses[:servers], settings)
            for number, address in enumerate(addresses)
        ]

    def tick(self) -> int:
        """A moment of the run, later than all before."""
        self._ticks += 1
        return self._ticks

    def _hand_over(self, source: ServerId, to: ServerId, payload: bytes) -> bool:
        """Give a server a message past the network; False if it is down."""
        for server in self.servers:
            if server.server_id == to and server.is_up and server.loop is not None and server.process is not None:
                server.loop.call_soon(inside.hand_over, server.process.node, source, payload)
                return True
        return False

    # -- what servers tell -------------------------------------------------------------------------------------------

    def make_program(self) -> Program:
        """What a server is to replicate."""
        return self._make()

    def started(self, server: SimulatedServer, program: Program) -> None:
        """A process is there: its client begins, or says at the end what it has."""
        assert server.loop is not None  # noqa: S101 - it has just run
        if self._trouble.is_over:
            server.loop.create_task(self._report(server, program))
        else:
            server.loop.create_task(self._client(server, program))

    async def _client(self, server: SimulatedServer, program: Program) -> None:
        try:
            await self._work(Client(self, server, program))
        except OarlockError:
            pass  # its server ends, or it did not mind
        except Exception as error:  # noqa: BLE001 - of the user's own checks
            if asyncio._get_running_loop() is None:  # noqa: SLF001 - without an error where there is none
                return  # its process is over: what it waited in is closed, and can ask for nothing any more
            self._broken("the client's own checks", f"the client of server {server.number} raised {error!r}", server)

    def iterated(self, server: SimulatedServer) -> None:
        """A server may have changed: hold it against Raft's properties."""
        if self.defects:
            return
        try:
            self.observer.look(server)
        except PropertyBroken as broken:
            self.defects.append(self._readable(broken.violation))

    def applied(self, server: SimulatedServer, index: int, results: int) -> None:
        """A server stands at an index: all that ever stood there must have had the same results."""
        known = self._results.setdefault(index, results)
        if known != results:
            self._broken(
                "equal results",
                f"server {server.number} has other results up to index {index} than another server",
                server,
            )

    def ended(self, server: SimulatedServer, why: BaseException | None) -> None:
        """A process ended by itself: allowed only to one that the others have removed, or do not take in."""
        if isinstance(why, Diverged):
            self._broken("equal states", f"server {server.number}: {why}", server)
        elif not isinstance(why, Stopped | ServerRemoved | JoinRefused):
            self._broken("goes on", f"server {server.number} ended by itself: {why!r}", server)
        if isinstance(why, Stopped | ServerRemoved):
            if not server.is_leaving:
                self._broken("members stay until they leave", f"server {server.number}: {why}", server)
            self.let_go(server, server.lives)
        else:
            self.scheduler.after(RESTART_S, server.start)

    def let_go(self, server: SimulatedServer, life: int) -> None:
        """A server has left."""
        if server.is_leaving and server.lives == life:
            server.is_let_go()
            self.strikes.hit("member.left")

    def contact(self, server: SimulatedServer) -> str:
        """Whom a server is to ask that joins."""
        others = [each for each in self.servers if each is not server and each.is_in and each.is_up]
        return self._rng.choice(others or [each for each in self.servers if each is not server]).address

    def defect(self, server: SimulatedServer, error: BaseException) -> None:
        """Something raised that must not."""
        self._broken("nothing is raised", f"server {server.number}: {error!r}", server)

    def _broken(self, name: str, sentence: str, server: SimulatedServer | None = None) -> None:
        self.defects.append(Violation(name, sentence, server.server_id if server is not None else None))

    def _readable(self, violation: Violation) -> Violation:
        """With servers' numbers in place of their ids."""
        sentence = violation.sentence
        for server in self.servers:
            if server.server_id:
                sentence = sentence.replace(str(server.server_id), str(server.number))
        return msgspec.structs.replace(violation, sentence=sentence)

    # -- the run -----------------------------------------------------------------------------------------------------

    def run(self, seconds: float, faults: int) -> SimulatedRun:
        """Go through it.

        Raises:
            RunFailed: What must hold did not.
        """
        for server in self.servers:
            if server.is_in:
                self.scheduler.after(self._rng.random() * 0.05, server.start)
        moments = [0.5 + self._rng.random() * max(0.0, seconds - 1.0) for _ in range(faults)]
        for number, moment in enumerate(sorted(moments), 1):
            self.scheduler.at(moment, self._trouble.strike, number)
        self.scheduler.run_until(seconds, lambda: bool(self.defects))
        self._trouble.heal()
        if not self.defects:
            self.scheduler.run_until(seconds + _SETTLE_S, lambda: bool(self.defects) or self._is_settled())
        self._judge()
        if self.recording is not None:
            self.recording.finished(self.defects)
        for server in self.servers:
            server.bury()
        self._check_edits()
        if self.defects:
            raise RunFailed(self._told(seconds, faults), self.defects)
        return SimulatedRun(
            seed=self.seed,
            history=self._told_to_clients(),
            copies=[self._copies[server.number] for server in self.servers if server.is_in],
            strikes=self.strikes.as_dict(),
            commands=max(self._results, default=0),
            seconds=self.scheduler.now,
        )

    def _check_edits(self) -> None:
        """Each message whose fate was to be changed must have been sent."""
        trace = self.recording.trace if self.recording is not None else None
        for edit in self._what_if:
            sent = trace.find(edit.message) if trace is not None else None
            if sent is None or sent.k is not EventKind.SEND:
                raise ValueError(f"what_if: no message {edit.message} was sent in this run of seed {self.seed}")

    def _told(self, seconds: float, faults: int) -> str:
        """What does not hold, and how to see it again."""
        found = "; ".join(map(str, self.defects))
        spares = len(self.servers) - self._size
        shape = f"servers={self._size}, spares={spares}, seconds={seconds:g}, faults={faults}"
        if self._only is not None:
            shape += f", only={tuple(self._only)}"
        if self._what_if:
            shape += f", what_if={[in_words(edit) for edit in self._what_if]}"
        return (
            f"seed {self.seed}, after {self.scheduler.now:g} s: {found}\n"
            f'again: oarlock.testing.simulate({self.seed}, {shape}, ..., record="run.jsonl"), '
            "then: oarlock trace why run.jsonl viol"
        )

    async def _report(self, server: SimulatedServer, program: Program) -> None:
        while True:
            try:
                await server.running_node.ready()
            except OarlockError:
                await asyncio.sleep(_PAUSE_S)
            else:
                break
        self._copies[server.number] = program.copy()

    def _is_settled(self) -> bool:
        inside = [server for server in self.servers if server.is_in]
        addresses = sorted(server.address for server in inside)
        return all(
            server.number in self._copies and server.is_up and sorted(server.running_node.members.values()) == addresses
            for server in inside
        )

    def _judge(self) -> None:
        if self.defects:
            return
        if not self._is_settled():
            missing = [server.number for server in self.servers if server.is_in and server.number not in self._copies]
            what = f"servers {missing} are not up to date" if missing else "it is not agreed who votes"
            self._broken(
                "everybody is up to date after healing",
                f"{_SETTLE_S:g} s after all was well {what}",
            )
            return
        copies = [self._copies[server.number] for server in self.servers if server.is_in]
        if any(copy != copies[0] for copy in copies):
            self._broken("equal copies", f"the copies differ at the end: {copies!r}")
        elif self._model is not None:
            report = check_history(make_history(self._told_to_clients()), self._model)
            if report.verdict is not Verdict.OK:
                verdict = "is impossible for" if report.verdict is Verdict.VIOLATED else "could not be judged by"
                self._broken("linearizable history", f"what clients saw {verdict} the model {self._model}")

    def _told_to_clients(self) -> list[Operation]:
        return [one for place, one in enumerate(self.history) if place not in self.left_out]


def simulate(
    seed: int,
    *,
    work: Work,
    objects: Objects | None = None,
    machine: Callable[[], StateMachine | DiskStateMachine] | None = None,
    servers: int = 3,
    seconds: float = 15.0,
    faults: int = 10,
    spares: int = 0,
    settings: Settings = SETTINGS,
    record: Record | None = None,
    what_if: Sequence[str] = (),
    only: Sequence[int] | None = None,
    model: str | None = None,
    **changes: Any,  # noqa: ANN401 - settings
) -> SimulatedRun:
    """Run a cluster in the simulator; the same seed gives the same run.

    Args:
        seed: Of the run.
        objects: Makes a server's objects; called for each start of each server;
        machine: or its state machine.
        work: What a client does on each server, from each start of it on, until its process ends: calls the client's
            objects. Library errors may end it; any other exception fails the run.
        servers: How many.
        seconds: For how long things go wrong, in simulated time.
        faults: How many do.
        spares: How many servers there are beside them that are no members at first. With any, servers join and leave
            as well, as chance has it: by the address of another and a token, with an empty disk.
        settings: Of all nodes; they must run on one loop.
        record: Where to write all that happened, for `oarlock draw` and `oarlock trace`; or what is to be given it.
            The run is the same without.
        what_if: What is to become of single messages, as for `oarlock trace what-if`: "drop n2.1.47",
            "deliver n2.1.47", "duplicate n2.1.47", or "delay n2.1.47 50", in milliseconds. The first names a message of
            the run without, as its record does, each other one of the run with those before it.
        only: Of the faults those that happen, by their numbers in the record; None for all. See `shrink`.
        model: What judges the history at the end, by its name in `oarlock.check.MODELS`; None for nothing.
        changes: Single settings, by name.

    Raises:
        TypeError: There is no such setting, or argument.
        ValueError: `what_if` cannot be read, or names a message that is not there.
        RunFailed: Copies differ, results differ, clients saw what the model does not allow, a server diverged or ended
            by itself, one of Raft's properties does not hold, or the cluster did not recover.
    """
    settings = msgspec.structs.replace(settings, **changes)
    if settings.own_thread:
        raise ValueError("a simulated node has one loop: Settings(own_thread=False)")
    is_recorded = record is not None

    def make() -> Program:
        return Program(objects() if objects is not None else (), machine() if machine is not None else None)

    cluster = SimulatedCluster(
        seed,
        servers,
        make,
        work,
        settings,
        spares=spares,
        is_recorded=is_recorded,
        what_if=[edit_of(text) for text in what_if],
        only=only,
        model=model,
    )
    try:
        return cluster.run(seconds, faults)
    finally:
        if cluster.recording is not None and is_recorded:
            _hand_out(cluster.recording.trace, record)


def _hand_out(trace: Trace, record: Record | None) -> None:
    if callable(record):
        record(trace)
    elif record is not None:
        write(trace, record)
