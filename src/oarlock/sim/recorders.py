"""Recorders of simulated servers, as `raft-trace/1`: what they do, and what becomes of their messages on the way.

Recording only looks: it draws no chance, takes no simulated time and adds nothing to what travels, so a run is the same
with it and without.
"""

from typing import TYPE_CHECKING, Any, Final

from oarlock.check.verdict import Violation
from oarlock.raft.types import ServerId
from oarlock.sim.edits import Edits
from oarlock.sim.mail import LinkMail
from oarlock.sim.schedule import Fault
from oarlock.sim.scheduler import Scheduler
from oarlock.sim.versions import Version, outgoing
from oarlock.trace.lane import World
from oarlock.trace.recorder import Arrival, Recorder
from oarlock.trace.schema import Event, Kind, Sink, server_name
from oarlock.trace.stamps import Stamp

if TYPE_CHECKING:
    from oarlock.sim.network import Link, Network

_BULK: Final = "InstallSnapshot"


class SimRecorder(Recorder):
    """A server's recorder whose messages are told apart by the simulated network.

    Args:
        recording: Of the run.
        server_id: The server.
        life: Which of its processes, from 1.
        core_time: What its clock shows now, in seconds.
        version: Of its program.
    """

    def __init__(
        self,
        recording: "ServersRecording",
        server_id: ServerId,
        life: int,
        core_time: float,
        version: Version = Version.CURRENT,
    ) -> None:
        scheduler = recording.scheduler
        super().__init__(
            server_id,
            life,
            recording.sink,
            lambda: scheduler.now,
            core_offset_us=int((scheduler.now - core_time) * 1e6),
            repeat_fields=False,
            predecessor=recording.recorders.get(server_id),
        )
        self._recording = recording
        self._version = version

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


class ServersRecording:
    """The recorders of a run's servers, and what goes on between them.

    Args:
        scheduler: Tells the time.
        network: Whose links are watched.
        sink: Takes the events.
        edits: Change what becomes of single messages.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        network: "Network",
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
        network.on_new_link = self._link_made

    def sink(self, event: Event) -> bool:
        """Takes the events of all; those of the cluster's burial are none of the run's."""
        return self._out is not None and self._out(event)

    # -- servers -------------------------------------------------------------------------------------------------------

    def began(self, recorder: SimRecorder, server_id: ServerId) -> Recorder:
        """A node has recovered and is about to take part."""
        self.recorders[server_id] = self.living[server_id] = recorder
        return recorder

    def process_ended(self, server_id: ServerId, why: str, *, power: bool, error: BaseException | None) -> None:
        """A process is about to be gone, of itself with an error, perhaps."""
        recorder = self.living.pop(server_id, None)
        particulars: dict[str, Any] = {"why": why, "power": power}
        if error is not None:
            particulars["error"] = repr(error)
        if recorder is not None:
            recorder.crashed(**particulars)
        else:
            self.world.emit(Kind.CRASH, x={"server": server_name(server_id), "recovered": False, **particulars})
        for (source, _), mail in self._mail.items():
            if source == server_id:
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

    # -- the end -------------------------------------------------------------------------------------------------------

    def over(self, violations: list[Violation]) -> None:
        """The run is over: say what does not hold."""
        for violation in violations:
            self._violated(violation)
        self._out = None

    def _violated(self, violation: Violation) -> None:
        """A property does not hold; witnesses are the last events of those concerned."""
        shown_by = self.recorders.get(violation.server_id or 0)
        concerned = [shown_by] if shown_by is not None else list(self.recorders.values())
        witnesses = [recorder.last_id for recorder in concerned]
        self.world.violated(violation.name, violation.sentence, witnesses)
