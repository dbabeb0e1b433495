"""A simulated cluster going through a schedule: faults and operations, healing, and what must hold at every moment."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Final

from oarlock.check.verdict import Violation
from oarlock.etcd.joining import JoinError
from oarlock.mvcc.errors import StorageFailedError, StorageFullError
from oarlock.node.errors import ActivityCancelled, BootOutdated, ServerRemoved
from oarlock.node.members import removed_servers
from oarlock.raft.types import ServerId, Term
from oarlock.sim import inside
from oarlock.sim.atlas import Atlas
from oarlock.sim.clients import Clients
from oarlock.sim.containment import Exposure, NotOwed
from oarlock.sim.edits import Edits
from oarlock.sim.faults import NOT_OWED, strike
from oarlock.sim.fleet import Fleet
from oarlock.sim.network import LinkSettings, Network
from oarlock.sim.observer import Observer, PropertyBroken
from oarlock.sim.operator import Operator
from oarlock.sim.process import Server
from oarlock.sim.recording import Recording
from oarlock.sim.schedule import Fault, Schedule
from oarlock.sim.scheduler import Scheduler
from oarlock.sim.strikes import Strikes
from oarlock.sim.trace import Trace
from oarlock.sim.versions import Version
from oarlock.sim.watched import WatchedServer
from oarlock.sim.watcher import Watcher
from oarlock.storage.errors import DiskFull, NewerFormat, ReadFailed, WriteFailed, WrongIdentity
from oarlock.trace.schema import Event, Sink

_OF_HURT: Final = (MemoryError, ActivityCancelled, asyncio.CancelledError)
"""How a process ends whose tasks were cancelled, or that was refused memory."""
_RESTART_S: Final = 0.5
"""How soon a process that failed is started again by whoever looks after it."""


class Simulation(Watcher):
    """The cluster, its network and its clients, all in one place.

    Args:
        schedule: What is to happen.
        trace: Takes everything that does.
        sink: Where to record it; None for nowhere.
    """

    def __init__(self, schedule: Schedule, trace: Trace | None = None, sink: Sink | None = None) -> None:
        settings = schedule.settings
        self.schedule = schedule
        self.trace = trace or Trace()
        self.scheduler = Scheduler()
        self.strikes = Strikes()
        self._seed = f"oarlock/{schedule.seed}"
        links = LinkSettings(delay_s=settings.link_delay_s, jitter_s=settings.link_jitter_s, tail=settings.link_tail)
        self.network = Network(self.scheduler, links, self._seed, self.strikes)
        not_owed = sorted({name for fault in schedule.faults for name in NOT_OWED.get(fault.kind, ())})
        self.observer = Observer(self.scheduler, self.trace, self.strikes, tuple(not_owed))
        self.observer.on_leader = self._led
        self.fleet = Fleet(settings, self._seed, self.network, self.strikes, self)
        self.servers = self.fleet.servers
        if sink is None and schedule.edits:
            sink = _unheard  # messages are named by what records them
        self.recording = self._record(sink) if sink is not None else None
        self.lost: dict[ServerId, str] = {}
        """Servers that will not come back, and why."""
        self.dismissed: dict[ServerId, None] = {}
        """Servers that know that they were removed from the cluster."""
        self.atlas = Atlas(self)
        timeout_s = settings.proposal_timeout_ms / 1000 + 1.0
        self.clients = Clients(
            self.network,
            self.fleet,
            timeout_s,
            self.trace,
            fails_over=settings.client_failover,
            over_http2=self._seed if settings.client_protocol == "http2" else None,
        )
        self.clients.recording = self.recording
        self.clients.of_number = self.of_number
        self.clients.avoided = lambda server_id: server_id in self.lost or server_id in self.dismissed
        self.operator = Operator(self, timeout_s)
        self.exposures: list[Exposure] = []
        """Servers whose disks have forgotten something."""
        self.is_healed = False
        self.rules: Counter[str] = Counter()
        """How often each rule of the core acted."""
        self.callbacks = 0
        """How many callbacks the loops have called."""
        self._undo: dict[int, tuple[Callable[[], object], int]] = {}
        """What ends a fault, and its number in the schedule, from 1."""
        self._undo_number = 0
        self._striking = 0
        """The number of the fault that begins just now."""

    def _record(self, sink: Sink) -> Recording:
        edits = Edits(self.scheduler, self.schedule, self._hand_over)
        recording = Recording(self.scheduler, self.network, self.observer.applied, sink, edits)
        for server_id, server in self.servers.items():
            server.recording = recording
            recording.add_host(server.host.name, server_id)
        return recording

    def _hand_over(self, source: ServerId, to: ServerId, payload: bytes) -> bool:
        """Give a server a message past the network; False if it is down."""
        process = self.servers[to].process
        if process is None or not process.is_started:
            return False
        process.loop.call_soon(inside.hand_over, process.node, source, payload)
        return True

    # -- for faults ----------------------------------------------------------------------------------------------------

    @property
    def ids(self) -> list[ServerId]:
        """Every server there is, members or not."""
        return self.fleet.ids

    def host(self, server_id: ServerId) -> str:
        """The name of a server's host."""
        return self.servers[server_id].host.name

    def of_number(self, number: int) -> ServerId:
        """The server that a schedule's number means; 0 is whoever leads now, by the highest term, or any if nobody."""
        leader = self.leader() if number == 0 else None
        return leader.server_id if leader is not None else self.fleet.of_number(number)

    def leader(self) -> Server | None:
        """The server that leads the highest term."""
        leading = [
            (process.node.term, server_id)
            for server_id, server in self.servers.items()
            if (process := server.process) is not None and process.is_started and process.node.is_leader
        ]
        return self.servers[max(leading)[1]] if leading else None

    def undo_after(self, seconds: float, undo: Callable[[], object]) -> None:
        """End a fault after its time, or when the cluster is healed, whichever comes first."""
        self._undo_number += 1
        number = self._undo_number
        self._undo[number] = undo, self._striking
        self.scheduler.after(seconds, self._end_fault, number)

    def _end_fault(self, number: int) -> None:
        found = self._undo.pop(number, None)
        if found is None:
            return
        undo, fault = found
        undo()
        if self.recording is not None and fault:
            self.recording.fault_ended(fault, self.schedule.faults[fault - 1].kind)

    def _strike(self, number: int, fault: Fault) -> None:
        self._striking = number
        if self.recording is not None:
            servers = [self.of_number(number) for number in fault.servers]
            self.recording.fault_begins(number, fault, servers)
        strike(self, fault)
        if self.recording is not None:
            self.recording.look_at_links()
        self._striking = 0

    def restart_after(self, server_id: ServerId, seconds: float) -> None:
        """Have a server started again, if it is down by then."""
        self.scheduler.after(seconds, self._start, server_id)

    def _start(self, server_id: ServerId) -> None:
        if server_id not in self.lost and server_id not in self.fleet.retired and server_id not in self.dismissed:
            self.servers[server_id].start()

    def may_damage(self, server: Server) -> bool:
        """Whether a copy of everything stays whole if this server's is damaged: the atlas of faults."""
        return self.atlas.may_damage(server)

    def is_whole(self, server: Server) -> bool:
        """Whether a server has its own disk, undamaged, and on it what every start after the first finds."""
        return (
            server.is_disk_intact
            and not server.has_anothers_disk
            and not server.is_held_back
            and server.server_id not in self.lost
            and server.has_identity
        )

    def add_server(self, server_id: ServerId, number: int) -> None:
        """Set up and start a server that was added to the running cluster, where it is not there yet."""
        if server_id in self.servers:
            return
        server = self.fleet.add(server_id, number, self.fleet.urls())
        if self.recording is not None:
            server.recording = self.recording
            self.recording.add_host(server.host.name, server_id)
        server.start()

    def adopt(self) -> None:
        """Start every member that nobody has started yet, because whoever added it never learnt that it was."""
        for configuration in self.atlas.possible():
            addresses = dict(configuration.addresses)
            for server_id in sorted(configuration.members - self.servers.keys()):
                number = self.fleet.number_at(addresses[server_id])
                self.strikes.hit("members.adopted")
                self.add_server(server_id, number)

    # -- a run's parts -------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Start every server, and have everything in the schedule happen in its time."""
        for server_id in self.ids:
            self.servers[server_id].start()
        for number, fault in enumerate(self.schedule.faults, 1):
            self.scheduler.at(fault.at, self._strike, number, fault)
        for operation in self.schedule.operations:
            self.clients.plan(operation)

    def heal(self) -> None:
        """End every fault, and start what is down."""
        self.is_healed = True
        self.operator.is_resting = True
        self.trace.event(self.scheduler.now, "heal")
        if self.recording is not None:
            self.recording.healing()
        for number in list(self._undo):
            self._end_fault(number)
        for server_id in self.ids:
            server = self.servers[server_id]
            server.stalled_until = 0.0
            server.disk.fail_after = None
            if server.process is not None:
                server.process.loop.unblock()
                server.process.loop.spare()
                server.process.resume_jobs()
                if server.process.is_started:
                    server.process.machine.lacks_memory = ""
            self._start(server_id)
        self.network.recover()

    @property
    def has_changed_members(self) -> bool:
        """Whether anybody may have; or did anything else that has to come to an end."""
        return self.operator.begun > 0

    def are_members_settled(self) -> bool:
        """Whether no change of members is under way, and every member has been started and knows who it is.

        Starts those that nobody has started.
        """
        self.adopt()
        if self.operator.under_way:
            return False
        for server_id in self.ids:
            process = self.servers[server_id].process
            if process is not None and process.is_started and inside.changes_members(process.node):
                return False
        self._stop_untold()
        possible = self.atlas.possible()
        if any(configuration.is_joint for configuration in possible):
            return False
        gone = {**self.lost, **self.dismissed, **self.fleet.retired}
        return all(
            server_id in gone or self.servers[server_id].has_identity
            for configuration in possible
            for server_id in sorted(configuration.members)
        )

    def _stop_untold(self) -> None:
        """Stop removed servers of a version that has no word for it: whoever removed them knows that."""
        leader = self.leader()
        state = inside.raft_state(leader.process.node) if leader is not None and leader.process is not None else None
        if state is None or state.configuration_index > state.commit_index:
            return
        for server_id in removed_servers(state.configuration):
            server = self.servers.get(server_id)
            process = server.process if server is not None else None
            if server is not None and process is not None and process.version is Version.BEFORE:
                self.strikes.hit("version.stopped_untold")
                self.dismissed[server_id] = None
                server.kill(power=False)

    def close(self) -> None:
        """End everything; nothing is left that could act."""
        for server in (*self.servers.values(), *self.fleet.twins):
            server.bury()
        self.clients.bury()

    # -- Watcher -------------------------------------------------------------------------------------------------------

    def iterated(self, server: Server, callbacks: int) -> None:
        """See `Watcher.iterated`."""
        self.callbacks += callbacks
        self.trace.iteration(self.scheduler.now, server.server_id, callbacks)
        self.observer.look(server)

    def started(self, server: Server) -> None:
        """See `Watcher.started`.

        Raises:
            PropertyBroken: It has another server's disk.
        """
        if server.has_anothers_disk:
            sentence = f"server {server.server_id} started on another server's disk"
            raise PropertyBroken(Violation("refuses another's disk", sentence, server.server_id))
        self.trace.event(self.scheduler.now, "started", server=server.server_id, life=server.incarnation)

    def ended(self, server: Server, why: str) -> None:
        """See `Watcher.ended`: whoever looks after the server starts it again, unless it was killed on purpose.

        Raises:
            PropertyBroken: It ended or would not start for no fault of its disk.
        """
        error = server.refusal
        self.trace.event(self.scheduler.now, "ended", server=server.server_id, why=why, error=repr(error))
        if why == "removed":
            self.strikes.hit("members.left")
            self.dismissed[server.server_id] = None
        if server.graveyard[-1].is_hurt and isinstance(error, _OF_HURT):
            is_of_memory = isinstance(error, MemoryError)
            self.strikes.hit("process.ended_for_want_of_memory" if is_of_memory else "process.ended_cancelled")
            self.restart_after(server.server_id, _RESTART_S)
            return
        if why == "stopped" or (why == "killed" and self.is_healed):  # by what was on its way when all was healed
            self.restart_after(server.server_id, _RESTART_S)
        if why == "could not stop" and isinstance(error, StorageFailedError):
            self.strikes.hit("process.stopped_on_failed_disk")
            self.restart_after(server.server_id, _RESTART_S)
        elif why == "could not stop":
            sentence = f"server {server.server_id}, asked to stop, did not end in order: {error!r}"
            raise PropertyBroken(Violation("ends in order", sentence, server.server_id)) from error
        if why not in {"refused", "failed"}:
            return
        if server.has_anothers_disk and isinstance(error, WrongIdentity):
            self.strikes.hit("process.refused_anothers_disk")
        elif server.disk.was_misread:
            self.strikes.hit("process.ended_on_bad_read")
            self.restart_after(server.server_id, _RESTART_S)
        elif isinstance(error, DiskFull | WriteFailed | ReadFailed | OSError) or _is_of_disk(error):
            self.strikes.hit(f"process.{why}")
            self.restart_after(server.server_id, _RESTART_S)
        elif isinstance(error, BootOutdated) and (server.has_gone_back or self.exposures):
            self.strikes.hit("process.counted_its_boot_anew")
            self.restart_after(server.server_id, _RESTART_S)
        elif isinstance(error, NewerFormat):
            self.strikes.hit("version.refused_newer_data")
            server.version = server.last_version
            self.restart_after(server.server_id, _RESTART_S)
        elif isinstance(error, JoinError):
            self.strikes.hit("process.could_not_join")
            self.restart_after(server.server_id, _RESTART_S)
        elif isinstance(error, ServerRemoved):
            self.strikes.hit("process.refused_removed")
            self.dismissed[server.server_id] = None
        elif not server.is_disk_intact:
            self.strikes.hit("process.refused_damaged_disk")
            self.lost[server.server_id] = repr(error)
        else:
            sentence = f"server {server.server_id} {why} on an undamaged disk: {error!r}"
            raise PropertyBroken(Violation("goes on", sentence, server.server_id)) from error

    def defect(self, server: Server, error: BaseException) -> None:
        """See `Watcher.defect`.

        Raises:
            PropertyBroken: Always.
        """
        sentence = f"server {server.server_id}: a callback raised {error!r}"
        raise PropertyBroken(Violation("no callback raises", sentence, server.server_id)) from error

    def acted(self, rule: str, operands: tuple[object, ...]) -> None:  # noqa: ARG002
        """See `Watcher.acted`."""
        self.rules[rule] += 1

    def _led(self, server: WatchedServer, term: Term) -> None:
        """A server is seen leading a term for the first time.

        Raises:
            NotOwed: Another's disk has forgotten what it promised.
        """
        self.trace.event(self.scheduler.now, "leader", server=server.server_id, term=term)
        if any(exposure.is_open for exposure in self.exposures):
            raise NotOwed


def _is_of_disk(error: BaseException | None) -> bool:
    """Whether the store's database failed."""
    return isinstance(error, StorageFailedError | StorageFullError)


def _unheard(_event: Event) -> bool:
    """A sink for what nobody wants to see."""
    return True
