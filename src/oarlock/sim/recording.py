"""Records a run as `raft-trace/1`: all servers, the network and the clients, in the order in which things happen.

Recording only looks: it draws no chance, takes no simulated time and adds nothing to what travels, so a run is the same
with it and without.
"""

from collections.abc import Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

import msgspec

from oarlock.check.verdict import Violation
from oarlock.machine.exactly_once import read_envelope
from oarlock.raft.types import Index, ServerId
from oarlock.sim.clients import Request
from oarlock.sim.edits import Edits
from oarlock.sim.machine import command_id
from oarlock.sim.mail import LinkMail
from oarlock.sim.schedule import Fault, Schedule
from oarlock.sim.scheduler import Scheduler
from oarlock.sim.versions import outgoing
from oarlock.trace.lane import World
from oarlock.trace.recorder import Arrival, Recorder
from oarlock.trace.schema import VERSION, Event, Header, Kind, Sink, server_name
from oarlock.trace.stamps import Stamp

if TYPE_CHECKING:
    from oarlock.sim.network import Link, Network
    from oarlock.sim.process import Process, Server

_BULK: Final = "InstallSnapshot"


def header_of(schedule: Schedule) -> Header:
    """The first line of a run's trace; it holds the whole schedule, so the run can be repeated from it, or changed."""
    settings = schedule.settings
    plain: dict[str, Any] = msgspec.to_builtins(schedule)
    return Header(
        v=VERSION,
        run=f"sim-{schedule.seed}-{blake2b(msgspec.json.encode(plain), digest_size=6).hexdigest()}",
        kind="sim",
        seed=schedule.seed,
        schedule=plain,
        nodes={server_name(each): f"server {each}" for each in range(1, settings.servers + 1)},
        features=tuple(name for name in ("check_quorum", "pre_vote") if getattr(settings, name)),
    )


class SimRecorder(Recorder):
    """A server's recorder whose messages are told apart by the simulated network."""

    def __init__(self, recording: "Recording", server: "Server", process: "Process") -> None:
        scheduler = recording.scheduler
        super().__init__(
            server.server_id,
            server.incarnation,
            recording.sink,
            lambda: scheduler.now,
            core_offset_us=int((scheduler.now - process.loop.time()) * 1e6),
            repeat_fields=False,
            predecessor=recording.recorders.get(server.server_id),
        )
        self._recording = recording
        self._version = process.version

    def sealed(self, to: int, message: Any, payload: bytes) -> tuple[bytes, Stamp]:  # noqa: ANN401 - any message
        """See `Recorder.sealed`; the bytes stay as they are."""
        stamp = self.sent(to, message)
        mail = self._recording.mail(self._server_id, to)
        written = outgoing(self._version, payload)
        if written is not None:
            mail.posted(stamp.message_id(self._server_id), stamp, written, is_bulk=type(message).__name__ == _BULK)
        return payload, stamp

    def dropped(self, to: int, stamp: Stamp, cause: str) -> None:
        """See `Recorder.dropped`; the network knows more of the cause."""
        mail = self._recording.mail(self._server_id, to)
        if not mail.refused(stamp):
            return
        if mail.link is not None and mail.link.is_blocked:
            cause = "partition"
        elif to not in self._recording.living:
            cause = "dst_down"
        super().dropped(to, stamp, cause)

    def arrival(self, message: Any, payload: bytes) -> Arrival:  # noqa: ANN401 - any message
        """See `Recorder.arrival`."""
        found = self._recording.mail(message.source, self._server_id).arrived(payload)
        return Arrival(message, *(found or ("", 0)))


class Recording:
    """The recorders of a run.

    Args:
        scheduler: Tells the time.
        network: Whose links are watched.
        applied: What was applied at each index, as it becomes known.
        sink: Takes the events.
        edits: Change what becomes of single messages.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        network: "Network",
        applied: Mapping[Index, bytes | None],
        sink: Sink,
        edits: Edits,
    ) -> None:
        self.scheduler = scheduler
        self._out: Sink | None = sink
        self._edits = edits
        self.world = World(self.sink, lambda: scheduler.now)
        self.recorders: dict[ServerId, SimRecorder] = {}
        """The newest of each server."""
        self.living: dict[ServerId, SimRecorder] = {}
        """Of the processes that run and have recovered."""
        self._network = network
        self._hosts: dict[str, ServerId] = {}
        self._mail: dict[tuple[ServerId, ServerId], LinkMail] = {}
        self._cut: list[tuple[ServerId, ServerId]] = []
        self._applied = applied
        self._scanned: Index = 0
        self._placed: dict[int, Index] = {}
        """By command, where it stands in the log."""
        self._told: dict[int, Index] = {}
        """By number of a request, the index that its return named."""
        network.on_new_link = self._link_made

    def sink(self, event: Event) -> bool:
        """Takes the events of all; those of the cluster's burial are none of the run's."""
        return self._out is not None and self._out(event)

    # -- servers -------------------------------------------------------------------------------------------------------

    def begin(self, server: "Server", process: "Process", _boot_epoch: int) -> Recorder:
        """A node has recovered and is about to take part. Lives are counted here: a disk may forget its epochs."""
        recorder = SimRecorder(self, server, process)
        self.recorders[server.server_id] = self.living[server.server_id] = recorder
        return recorder

    def ended(self, server: "Server", why: str, *, power: bool) -> None:
        """A process is about to be gone."""
        recorder = self.living.pop(server.server_id, None)
        particulars = {"why": why, "power": power}
        if server.refusal is not None:
            particulars["error"] = repr(server.refusal)
        if recorder is not None:
            recorder.crashed(**particulars)
        else:
            self.world.emit(Kind.CRASH, x={"server": server_name(server.server_id), "recovered": False, **particulars})
        for (source, _), mail in self._mail.items():
            if source == server.server_id:
                mail.sender_ended()

    # -- the network ---------------------------------------------------------------------------------------------------

    def mail(self, source: ServerId, to: ServerId) -> LinkMail:
        """The messages from one server to another."""
        found = self._mail.get((source, to))
        if found is None:
            found = self._mail[source, to] = LinkMail(self.world, source, to, self._edits)
        return found

    def add_host(self, name: str, server_id: ServerId) -> None:
        """Whose host it is from now on; others may have tried to reach it before."""
        self._hosts[name] = server_id
        for source, target, link in self._network.links_at(name):
            self._link_made(source, target, link)

    def _link_made(self, source: str, target: str, link: "Link") -> None:
        if source in self._hosts and target in self._hosts:
            mail = self.mail(self._hosts[source], self._hosts[target])
            mail.link = link
            link.mail = mail
            link.filter.on_lost = mail.frame_lost
            link.filter.on_doubled = mail.frame_doubled

    def look_at_links(self) -> None:
        """Say which links between servers were cut, or work again, since the last look."""
        hosts = self._hosts
        cut = sorted(
            (hosts[source], hosts[target])
            for source, target in self._network.blocked()
            if source in hosts and target in hosts
        )
        new = [each for each in cut if each not in self._cut]
        old = [each for each in self._cut if each not in cut]
        self._cut = cut
        if new:
            self.world.cut(new)
        if old:
            self.world.healed(old)

    # -- faults --------------------------------------------------------------------------------------------------------

    def fault_begins(self, number: int, fault: Fault, servers: list[ServerId]) -> None:
        """A fault of the schedule strikes."""
        self.world.emit(
            Kind.FAULT,
            x={
                "number": number,
                "kind": fault.kind,
                "servers": [server_name(server) for server in servers],
                "seconds": fault.seconds,
                "value": fault.value,
            },
        )

    def fault_ended(self, number: int, kind: str) -> None:
        """It is over."""
        self.world.emit(Kind.FAULT, x={"number": number, "kind": kind, "ended": True})
        self.look_at_links()

    def healing(self) -> None:
        """The part with faults is over: what has not ended yet ends now."""
        self.world.emit(Kind.FAULT, x={"kind": "all", "ended": True})

    # -- clients -------------------------------------------------------------------------------------------------------

    def called(self, request: Request) -> None:
        """A client asks."""
        operation = request.operation
        asked = {"key": operation.key, "value": operation.value}
        self.world.emit(
            Kind.CLIENT,
            to=server_name(request.server_id),
            x={
                "op": "call",
                "request": request.number,
                "client": operation.client,
                "kind": operation.kind,
                **{name: text for name, text in asked.items() if text},
            },
        )

    def returned(self, request: Request) -> None:
        """A client is answered, or gives up; the index is that of the log at which the operation took effect."""
        operation = request.operation
        index = self._index_of(request)
        x: dict[str, Any] = {
            "op": "return",
            "request": request.number,
            "client": operation.client,
            "outcome": request.outcome,
        }
        if request.error:
            x["error"] = request.error
        if index is not None:
            x["index"] = self._told[request.number] = index
        self.world.emit(Kind.CLIENT, src=server_name(request.server_id), x=x)

    def _index_of(self, request: Request) -> Index | None:
        if request.command is None:
            return request.index
        while (index := self._scanned + 1) in self._applied:
            self._scanned = index
            data = self._applied[index]
            if data is not None:
                envelope = read_envelope(data)
                self._placed.setdefault(command_id(envelope.origin, envelope.epoch, envelope.sequence), index)
        return self._placed.get(request.command)

    # -- the end -------------------------------------------------------------------------------------------------------

    def finished(self, requests: list[Request], violations: list[Violation]) -> None:
        """The run is over: say where operations took effect whose clients did not learn it, and what does not hold."""
        for request in requests:
            index = self._index_of(request)
            if index is not None and request.number not in self._told:
                self.world.emit(
                    Kind.CLIENT,
                    x={
                        "op": "placed",
                        "request": request.number,
                        "client": request.operation.client,
                        "index": index,
                    },
                )

        for violation in violations:
            self._violated(violation)
        self._out = None

    def _violated(self, violation: Violation) -> None:
        """A property does not hold; witnesses are the last events of those concerned."""
        shown_by = self.recorders.get(violation.server_id or 0)
        concerned = [shown_by] if shown_by is not None else list(self.recorders.values())
        witnesses = [recorder.last_id for recorder in concerned]
        self.world.violated(violation.name, violation.sentence, witnesses)
