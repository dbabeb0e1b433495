"""A server of a cluster inside your own process: your objects, replicated."""

import asyncio
import logging
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from oarlock.node.addresses import parse_address
from oarlock.node.status import Counters, NodeStatus
from oarlock.raft.types import Index, ServerId
from oarlock.replica import commands
from oarlock.replica.assembly import Assembly
from oarlock.replica.caller import Totals
from oarlock.replica.codec import Value
from oarlock.replica.context import Context
from oarlock.replica.core import Core
from oarlock.replica.demotion import Demotion
from oarlock.replica.errors import NotStarted, OarlockError, ReadTimedOut, Stopped, Timeout
from oarlock.replica.hosting import APPLY, MACHINE, check_given, known_versions
from oarlock.replica.joining import join
from oarlock.replica.members import MembersCalls, compare_address, hindrance, leave
from oarlock.replica.metrics import Metrics
from oarlock.replica.object import Command, Consistency, ReplicatedObject
from oarlock.replica.place import Place, normal, planned
from oarlock.replica.proposing import Proposer
from oarlock.replica.reading import Reader
from oarlock.replica.session import Session
from oarlock.replica.settings import Environment, Settings
from oarlock.replica.statemachine import DiskStateMachine, StateMachine
from oarlock.replica.tracing import NodeTrace
from oarlock.replica.upkeep import Upkeep
from oarlock.storage.identity import Identity, load_identity
from oarlock.transport.stats import PeerStats
from oarlock.transport.tls import PeerTls

logger = logging.getLogger(__name__)

_DEFAULT_NAME: Final = "oarlock"


class Node(MembersCalls):
    """One server.

    ::

        counter = ReplicatedCounter("visits")
        async with Node("10.0.0.1:7000", data_dir="data", peers=[...], objects=[counter]):
            print(await counter.add(1))

    Commands and reads work on every server. A node that was stopped is not started again: make another one.

    Args:
        address: Where the other servers reach this one, as host:port.
        data_dir: A directory of this server's own; made when absent.
        peers: The addresses of all servers of a new cluster, the same on all of them. Once the directory holds a
            server's data it is not looked at any more.
        join: The address of a server of a running cluster that is to take this one in, instead of `peers`.
        token: What a server that joins must know; the same on all servers. Servers without one take nobody in.
        name: The cluster's; servers of clusters with different names do not speak to each other.
        objects: What is replicated; alike on all servers, each of its own name.
        machine: A whole state machine, instead.
        votes: Whether it is to have a vote when it joins; one without has a copy, and takes commands and reads.
        listen: Where to accept connections, as host:port; None for `address`.
        tls: Certificate, key and CA files: all traffic between servers is then encrypted, and both sides show one.
        trace: A file in which to record what the server does, for `oarlock draw`; None for nowhere.
        settings: All else.
        on_end: Called once, on the loop, when the server has ended by itself, with the reason: it failed, or it was
            removed from the cluster.
        environment: What it stands on; for simulators.

    Raises:
        ValueError, TypeError: An argument cannot be used; the text names it.
    """

    def __init__(
        self,
        address: str,
        *,
        data_dir: str | Path,
        peers: Sequence[str] | None = None,
        join: str | None = None,
        token: str | None = None,
        name: str = _DEFAULT_NAME,
        objects: Sequence[ReplicatedObject] = (),
        machine: StateMachine | DiskStateMachine | None = None,
        votes: bool = True,
        listen: str | None = None,
        tls: PeerTls | None = None,
        trace: str | Path | None = None,
        settings: Settings | None = None,
        on_end: Callable[[BaseException], None] | None = None,
        environment: Environment | None = None,
    ) -> None:
        if (peers is None) == (join is None):
            raise ValueError("a node needs either peers, for a new cluster, or join, for one that runs")
        if isinstance(peers, str):
            raise TypeError(f"peers must be a list of addresses, not {peers!r}")
        if join is not None and not token:
            raise ValueError("join needs the cluster's token")
        check_given(objects, machine)
        self.address = normal(address)
        self.name = name
        self.settings = settings or Settings()
        self.ended: BaseException | None = None
        """Why the server ended by itself; None while it has not."""
        self._data_dir = str(data_dir)
        self._peers = planned(name, address, peers) if peers is not None else None
        self._join = normal(join) if join is not None else None
        self._token = token
        self.objects = tuple(objects)
        self._user_machine = machine
        self._votes = votes
        self._listen = parse_address(listen) if listen is not None else parse_address(address)
        self._tls = tls
        self._trace_path = Path(trace) if trace is not None else None
        self._trace: NodeTrace | None = None
        self._on_end = on_end
        self._environment = environment or Environment()
        self._core: Core | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping: asyncio.Task[None] | None = None
        self._stop_has_begun = False
        for one in self.objects:
            one.attach(self, self)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def __repr__(self) -> str:
        state = "not started" if self._core is None else "stopped" if self._stop_has_begun else f"leader {self.leader}"
        return f"<{type(self).__name__} {self.address}: {state}>"

    # -- life ------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Recover from the data directory and take part; returns before there is a leader, which `ready` waits for.

        Raises:
            JoinRefused: The cluster does not take this server in.
            NotEncodable, NotImplementedError: An object's `snapshot` gives no plain data, or is not there.
            OarlockError: What lies on disk does not fit together, or this server was removed from the cluster.
            StorageError: The directory is in use, another server's, of a newer format, or damaged.
            TlsError: A TLS file cannot be used.
            OSError: The disk failed, or the address cannot be bound.
        """
        if self._core is not None:
            raise RuntimeError(f"node {self.address} was started before; make another one")
        self._loop = asyncio.get_running_loop()
        self._place = place = await self._find_place()
        self._upkeep = Upkeep(
            place.server_id, self.settings.agreement_interval, votes=self._votes, demotion=self._demotion
        )
        self._machine = self._assembly(place).make_machine(
            self._loop, self.objects, self._user_machine, self._upkeep, lambda: self.context
        )
        self._machine.encoded_state()  # an object that cannot say what its state is had better say so now
        await self._open_trace(place)
        assembly = self._assembly(place)
        self._core = core = assembly.make_core(self._loop, self._machine, self._end_by_itself, self._removed)
        self._proposer = Proposer(
            self._loop,
            core,
            self._stamp_ms,
            self._upkeep.usable_version,
            self._upkeep.why_not,
            lambda: self.leader,
            self.settings.max_pending_commands,
            min(self.settings.max_command_bytes, self.settings.max_pending_bytes),
        )
        self._reader = Reader(self._loop, core, lease_reads=self.settings.lease_reads)
        logger.info("server %s (%x) of cluster %s (%x)", self.address, place.server_id, self.name, place.cluster_id)
        try:
            await core.start()
        except BaseException as error:
            self._core = None
            self._machine.close()
            await self._close_trace()
            if isinstance(error, socket.gaierror):
                raise OSError(error.errno, f"cannot listen at {self._listen[0]!r}: {error.strerror}") from error
            raise
        compare_address(core, self._place.server_id, self.address, self._data_dir)
        self._upkeep.connect(core, self._proposer, self._machine)
        self._tasks.append(self._loop.create_task(self._upkeep.run(), name="oarlock-upkeep"))

    def _stamp_ms(self) -> int:
        """The stamp for what is proposed now, in ms since 1970: the date, or machine time where that is ahead."""
        return max(int(self._environment.wall_clock() * 1000), self._machine.estimated_ms())

    async def _find_place(self) -> Place:
        environment = self._environment
        executor = environment.executors.wal if environment.executors is not None else None
        self._demotion = Demotion(environment.disk, Path(self._data_dir), executor)
        identity = await self._loop.run_in_executor(executor, self._look_at_directory)
        if identity is not None:
            members = {identity.server_id: self.address}
            return Place(identity.cluster_id, identity.server_id, joins=True, members=members)
        if self._peers is not None:
            return self._peers
        assert self._join is not None and self._token is not None  # noqa: S101, PT018 - see __init__
        rng, known = environment.rng, known_versions(self.objects, self._user_machine)
        return await join(self._loop, self._join, self.address, self.name, self._token, self._tls, rng, known)

    def _look_at_directory(self) -> Identity | None:
        self._demotion.read()
        return load_identity(self._environment.disk, Path(self._data_dir))

    async def _open_trace(self, place: Place) -> None:
        if self._trace_path is not None:
            self._trace = NodeTrace(self._trace_path, place, lease_reads=self.settings.lease_reads)
            await self._loop.run_in_executor(None, self._trace.open)

    async def _close_trace(self) -> None:
        if self._trace is not None:
            await self._loop.run_in_executor(None, self._trace.close)

    def _assembly(self, place: Place) -> Assembly:
        return Assembly(
            place=place,
            name=self.name,
            data_dir=self._data_dir,
            listen=self._listen,
            token=self._token,
            tls=self._tls,
            settings=self.settings,
            environment=self._environment,
            trace=self._trace,
        )

    def _removed(self) -> None:
        self._end_by_itself(Stopped("this server was removed from the cluster"))

    def _end_by_itself(self, why: BaseException) -> None:
        if self.ended is None:
            self.ended = why
            if self._on_end is not None:
                self._on_end(why)
            self._begin_stop()

    def _begin_stop(self) -> asyncio.Task[None]:
        if self._stopping is None:
            self._stopping = self._loop.create_task(self._stop(), name="oarlock-stop")
        return self._stopping

    async def stop(self) -> None:
        """Hand over leadership, and end; whoever waits gets `Stopped`. The server stays a member. May be repeated."""
        if self._core is None:
            return
        stopping = self._begin_stop()
        try:
            await asyncio.shield(stopping)
        except asyncio.CancelledError:
            if stopping.cancelling() and not self._stop_has_begun:  # as `asyncio.run` cancels all tasks there are
                if self._stopping is stopping:
                    self._stopping = None
                await asyncio.shield(self._begin_stop())
            raise

    async def _stop(self) -> None:
        self._stop_has_begun = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._running.stop()
        for one in self.objects:
            try:
                one.on_stop()
            except Exception:
                logger.exception("%s.on_stop", one.name)
        self._machine.close()
        await self._close_trace()

    def _check_started(self) -> None:
        if self._core is None:
            raise NotStarted(f"node {self.address} has not been started: async with node, or await node.start()")

    @property
    def _running(self) -> Core:
        self._check_started()
        assert self._core is not None  # noqa: S101 - just checked
        return self._core

    def _check_here(self) -> None:
        """See that the caller is where the node lives: a future of another loop would never be told of anything."""
        self._check_started()
        if asyncio._get_running_loop() is not self._loop:  # noqa: SLF001 - without an error where there is none
            raise RuntimeError(
                f"this is not the event loop of node {self.address}: from threads and other loops use oarlock.blocking"
            )

    async def ready(self, timeout_s: float | None = None) -> None:
        """Wait until there is a leader and this server's state is up to date.

        Raises:
            Timeout: That took too long; the text says who is not reached.
        """
        self._check_here()
        try:
            await self._reader.barrier(timeout_s)
        except Timeout as error:
            raise ReadTimedOut(f"node {self.address} is not ready: {hindrance(self._running)}") from error

    # -- commands and reads ------------------------------------------------------------------------------------------

    @property
    def context(self) -> Context | None:
        """See `Host.context`; asked for every command, so this is where a caller on another loop or thread is found."""
        if self._core is None:
            return None
        if asyncio._get_running_loop() is not self._loop:  # noqa: SLF001 - see `_check_here`
            self._check_here()
        return self._machine.context

    def version_of(self, name: str) -> int:
        """See `Host.version_of`."""
        context = self._machine.context
        assert context is not None  # noqa: S101 - asked within a command
        return context.version if name == context.target else self._machine.versions.in_force(name)

    def call(
        self, target: ReplicatedObject, command: Command, args: tuple[Value, ...], kwargs: Mapping[str, Value]
    ) -> asyncio.Future[Any]:
        """See `Host.call`."""
        if self._core is None:
            self._check_started()
        return self._proposer.call(target, command, args, kwargs)

    def propose(
        self,
        command: Value,
        *,
        version: int = 1,
        timeout_s: float | None = None,
        session: tuple[str, int, int] | None = None,
    ) -> asyncio.Future[Any]:
        """Have the state machine apply a command, on every server.

        Args:
            command: Plain data.
            version: In which it is to be understood.
            timeout_s: When to give up; None for the configured time.
            session: For `Session.propose`.

        Returns:
            A future of what `apply` returned here; or raised.

        Raises:
            NotEncodable: The command is not plain data.
            NotUnderstood: Some server does not understand the version yet; nothing was proposed.
        """
        self._check_here()
        if self._user_machine is None:
            raise TypeError("this node has objects: call their methods")
        if version > self._upkeep.usable_version(MACHINE):
            raise self._upkeep.why_not(MACHINE, version)
        return self._proposer.call_named(MACHINE, APPLY, version, (command,), {}, session, timeout_s)

    async def open_session(self, idle_ms: int | None = None) -> Session:
        """Open a session for a client outside the servers, each of whose commands is to be carried out once.

        Args:
            idle_ms: How long it may lie unused, in machine time; None for the configured time.

        Raises:
            TooManySessions: There are as many as there may be, and all are in use.
        """
        self._check_here()
        idle_ms = self.settings.session_idle_ms if idle_ms is None else idle_ms
        if idle_ms <= 0:
            raise ValueError(f"idle_ms must be positive, not {idle_ms}")
        nonce = f"{self._environment.rng.getrandbits(64):016x}"
        stamp_ms = self._proposer.now_ms()
        opened = commands.open_session(stamp_ms, nonce, idle_ms, self.settings.max_sessions)
        return Session(self, await self._proposer.propose(opened))

    def session(self, key: str) -> Session:
        """A session that was opened before, on whichever server: named by its id."""
        return Session(self, key)

    async def close_session(self, key: str) -> None:
        """See `Session.close`."""
        self._check_here()
        await self._proposer.propose(commands.close_session(self._proposer.now_ms(), key))

    async def call_in_session(
        self,
        target: ReplicatedObject,
        command: Command,
        args: tuple[Value, ...],
        kwargs: Mapping[str, Value],
        session: tuple[str, int, int],
        timeout_s: float | None,
    ) -> Any:  # noqa: ANN401
        """See `Session.call`."""
        self._check_here()
        if not any(target is one for one in self.objects):
            raise ValueError(f"{target.name} is not an object of this node")
        return await self._proposer.call(target, command, args, kwargs, session, timeout_s)

    async def read(
        self,
        function: Callable[[], Value],
        consistency: Consistency = "linearizable",
        max_staleness_ms: float | None = None,
        timeout_s: float | None = None,
    ) -> Any:  # noqa: ANN401 - what the function returns
        """Call a function when this server's state is as new as asked; see `ReplicatedObject.read`."""
        self._check_here()
        return await self._reader.read(function, consistency, max_staleness_ms, timeout_s)

    # -- members -------------------------------------------------------------------------------------------------------

    @property
    def server_id(self) -> ServerId:
        """This server's id."""
        self._check_started()
        return self._place.server_id

    async def leave(self, timeout_s: float | None = None) -> None:
        """Leave the cluster for good, leadership handed over first, and stop; the data directory is of no use then.

        Raises:
            ChangeRefused: This is the last server.
            Timeout: The others are not known to have let this server go.
        """
        try:
            await leave(self._running, self._place.server_id, timeout_s)
        except OarlockError:
            if self.ended is None:
                raise
        await self.stop()

    # -- about it ------------------------------------------------------------------------------------------------------

    def status(self) -> NodeStatus:
        """A consistent picture of this server."""
        return self._running.status()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """On which the objects live: all about them is to be done there."""
        self._check_started()
        return self._loop

    def stands_at(self) -> tuple[Index, int]:
        """Up to which entry this server has applied the log, and a hash of the results of all commands up to there."""
        self._check_started()
        return self._machine.applied_index(), self._machine.agreement.results

    def version_in_force(self, name: str = MACHINE) -> int:
        """The version in which an object's commands are proposed by now."""
        self._check_started()
        return self._machine.versions.in_force(name)

    def metrics(self) -> Metrics:
        """Metrics for Prometheus: `metrics().page()`, or a collector for a registry of yours."""
        self._check_started()
        return Metrics(self)

    def peer_traffic(self) -> Mapping[ServerId, PeerStats]:
        """Bytes exchanged with each peer."""
        return self._running.peer_traffic()

    @property
    def slow_commands(self) -> int:
        """Commands whose code took longer than `Settings.slow_command_ms`."""
        self._check_started()
        return self._upkeep.slow_commands

    @property
    def open_sessions(self) -> int:
        """Sessions of clients, idle ones that have not been cleared away among them."""
        self._check_started()
        return len(self._machine.sessions)

    @property
    def command_totals(self) -> Totals:
        """Commands of this program, where `counters` has the entries of the log, which may hold several."""
        self._check_started()
        return self._proposer.totals

    @property
    def counters(self) -> Counters:
        """Running totals."""
        return self._running.counters

    @property
    def staleness_s(self) -> float:
        """By how much this server's state is surely not more stale, in seconds; infinite if it has not asked yet."""
        self._check_started()
        return self._reader.staleness_s
