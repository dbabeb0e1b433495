"""Records a run as `raft-trace/1`: all servers, the network and the clients, in the order in which things happen."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import msgspec

from oarlock.check.verdict import Violation
from oarlock.machine.exactly_once import read_envelope
from oarlock.raft.types import Index
from oarlock.sim.clients import Request
from oarlock.sim.edits import Edits
from oarlock.sim.machine import command_id
from oarlock.sim.recorders import ServersRecording, SimRecorder
from oarlock.sim.schedule import Schedule
from oarlock.sim.scheduler import Scheduler
from oarlock.trace.recorder import Recorder
from oarlock.trace.schema import VERSION, Header, Kind, Sink, server_name

if TYPE_CHECKING:
    from oarlock.sim.network import Network
    from oarlock.sim.process import Process, Server


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


class Recording(ServersRecording):
    """A run of etcd's servers, with their clients.

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
        super().__init__(scheduler, network, sink, edits)
        self._applied = applied
        self._scanned: Index = 0
        self._placed: dict[int, Index] = {}
        """By command, where it stands in the log."""
        self._told: dict[int, Index] = {}
        """By number of a request, the index that its return named."""

    # -- servers -------------------------------------------------------------------------------------------------------

    def begin(self, server: "Server", process: "Process", _boot_epoch: int) -> Recorder:
        """A node has recovered and is about to take part. Lives are counted here: a disk may forget its epochs."""
        recorder = SimRecorder(self, server.server_id, server.incarnation, process.loop.time(), process.version)
        return self.began(recorder, server.server_id)

    def ended(self, server: "Server", why: str, *, power: bool) -> None:
        """A process is about to be gone."""
        self.process_ended(server.server_id, why, power=power, error=server.refusal)

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
        self.over(violations)
