"""Records a simulated cluster of a library's nodes as `raft-trace/1`, with what their programs call and are answered.

A call stands on the lane of whoever made it: "1.0" is the first that server 1's program has under way, "1.1" the next
beside it. Where a command stands in the log is known by its proposal, so its place is there even if nobody learnt of
the answer; a read is placed where its server's copy stood when it was read.
"""

import asyncio
import reprlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from oarlock.check.verdict import Violation
from oarlock.machine.exactly_once import read_envelope
from oarlock.raft.types import EntryKind, Index
from oarlock.replica.errors import OarlockError
from oarlock.sim.edits import Edits, HandOver
from oarlock.sim.machine import command_id
from oarlock.sim.network import Network
from oarlock.sim.recorders import ServersRecording, SimRecorder
from oarlock.sim.schedule import Fault, MessageEdit, Schedule
from oarlock.sim.scheduler import Scheduler
from oarlock.trace.loaded import Trace
from oarlock.trace.recorder import Recorder
from oarlock.trace.schema import VERSION, Event, Header, Kind, encode, server_name

if TYPE_CHECKING:
    from oarlock.testing.simulated_server import SimulatedServer

_LONGEST: Final = 60


class _Shortened(reprlib.Repr):
    """Values in a few characters, without addresses, which would differ from run to run."""

    def repr_instance(self, x: Any, level: int) -> str:  # noqa: ANN401, ARG002 - as the base has it
        return f"<{type(x).__name__}>"


_shortened: Final = _Shortened()
_shortened.maxlevel = 3
_shortened.maxstring = _shortened.maxother = 24
_shortened.maxlist = _shortened.maxtuple = _shortened.maxdict = 4


def shown(value: object) -> str:
    """A value in a few characters."""
    return _shortened.repr(value)


def shown_arguments(args: Sequence[object], kwargs: Mapping[str, object]) -> str:
    """Arguments of a call in a few characters."""
    text = ", ".join([*map(shown, args), *(f"{name}={shown(value)}" for name, value in kwargs.items())])
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


class Noted:
    """One call of a server's program, from when it is made.

    Args:
        recording: Of the run.
        server: Where.
        what: Object and method.
        arguments: Shortened.
    """

    def __init__(self, recording: "LibraryRecording", server: "SimulatedServer", what: str, arguments: str) -> None:
        self.command: int | None = None
        """What tells its proposal from all others, in the log."""
        self.index: Index | None = None
        """Of a read: where this server's copy stood."""
        self.is_placed = False
        """Whether the trace says where it took effect."""
        self.number, self.client = recording.admitted(self, server)
        self._recording = recording
        self._server = server
        asked = {"kind": what, "key": arguments}
        self._emit("call", {name: text for name, text in asked.items() if text}, to=server_name(server.server_id))

    def returned(self, result: object) -> None:
        """It was answered."""
        self._end("ok", {"result": shown(result)})

    def raised(self, error: BaseException) -> None:
        """It failed: by itself, which is an answer like any other, or for want of one."""
        if isinstance(error, asyncio.CancelledError) or (isinstance(error, OarlockError) and error.outcome_unknown):
            outcome = "unknown"
        else:
            outcome = "ok" if self._place() is not None else "failed"
        self._end(outcome, {"error": f"{type(error).__name__}: {error}"[: 2 * _LONGEST]})

    def placed(self) -> None:
        """The run is over: say where it took effect, if the trace does not."""
        index = self._place()
        if index is not None and not self.is_placed:
            self._emit("placed", {"index": index})

    def _place(self) -> Index | None:
        return self.index if self.command is None else self._recording.placed.get(self.command)

    def _end(self, outcome: str, particulars: dict[str, Any]) -> None:
        self._recording.left(self, self._server)
        index = self._place()
        if index is not None:
            self.is_placed = True
            particulars["index"] = index
        self._emit("return", {"outcome": outcome, **particulars}, src=server_name(self._server.server_id))

    def _emit(self, operation: str, particulars: dict[str, Any], **ends: Any) -> None:  # noqa: ANN401
        x = {"op": operation, "request": self.number, "client": self.client, **particulars}
        self._recording.world.emit(Kind.CLIENT, x=x, **ends)


class _Recorder(SimRecorder):
    """A server's recorder that also tells which command stands where."""

    placed: dict[int, Index]

    def end(self, kind: Kind, *, left: Any = None, **fields: Any) -> Event | None:  # noqa: ANN401 - as the base has it
        """See `Recorder.end`."""
        if left is not None:
            for entry in left.committed_entries:
                if entry.kind is EntryKind.COMMAND:
                    envelope = read_envelope(entry.data)
                    number = command_id(envelope.origin, envelope.epoch, envelope.sequence)
                    self.placed.setdefault(number, entry.index)
        return super().end(kind, left=left, **fields)


class LibraryRecording(ServersRecording):
    """A run of a library's nodes, in memory.

    Args:
        seed: Of the run.
        scheduler: Tells the time.
        network: Whose links are watched.
        lease_reads: Whether leaders answer under their lease.
        what_if: What is to become of single messages.
        hand_over: Gives a message past the network.
    """

    def __init__(
        self,
        seed: int,
        scheduler: Scheduler,
        network: Network,
        *,
        lease_reads: bool,
        what_if: Sequence[MessageEdit],
        hand_over: HandOver,
    ) -> None:
        self._events: list[Event] = []
        edits = Edits(scheduler, Schedule(seed=seed, edits=tuple(what_if)), hand_over)
        super().__init__(scheduler, network, self._keep, edits)
        self.placed: dict[int, Index] = {}
        """By command, where it stands in the log."""
        self._calls: list[Noted] = []
        self._lanes: dict[int, dict[int, Noted]] = {}
        """By server, what its program has under way."""
        self._seed = seed
        self._nodes: dict[str, str] = {}
        self._features = ("lease_reads", "pre_vote") if lease_reads else ("pre_vote",)
        self._faults: dict[int, str] = {}
        """Those that last, by number."""

    def _keep(self, event: Event) -> bool:
        self._events.append(event)
        return True

    @property
    def trace(self) -> Trace:
        """All of it."""
        header = Header(
            v=VERSION,
            run=f"library-{self._seed}",
            kind="sim",
            seed=self._seed,
            nodes=self._nodes,
            features=self._features,
        )
        return Trace(header, self._events)

    # -- servers -------------------------------------------------------------------------------------------------------

    def is_at(self, server: "SimulatedServer") -> None:
        """Who the server on a machine is, from now on."""
        self._nodes[server_name(server.server_id)] = f"server {server.number}"
        self.add_host(server.host.name, server.server_id)

    def begin(self, server: "SimulatedServer", core_time: float) -> Recorder:
        """A node has recovered, and is about to take part."""
        recorder = _Recorder(self, server.server_id, server.lives, core_time)
        recorder.placed = self.placed
        return self.began(recorder, server.server_id)

    def ended(self, server: "SimulatedServer", why: str, *, power: bool, error: BaseException | None) -> None:
        """A process is about to be gone; and with it what its program had under way."""
        self._lanes.pop(server.number, None)
        if server.server_id:
            self.process_ended(server.server_id, why, power=power, error=error)

    # -- calls ---------------------------------------------------------------------------------------------------------

    def admitted(self, noted: Noted, server: "SimulatedServer") -> tuple[int, str]:
        """A number for a call, and whose it is said to be."""
        self._calls.append(noted)
        lanes = self._lanes.setdefault(server.number, {})
        lane = next(each for each in range(len(lanes) + 1) if each not in lanes)
        lanes[lane] = noted
        return len(self._calls), f"{server.number}.{lane}"

    def left(self, noted: Noted, server: "SimulatedServer") -> None:
        """A call is under way no longer."""
        lanes = self._lanes.get(server.number, {})
        for lane, held in list(lanes.items()):
            if held is noted:
                del lanes[lane]

    # -- faults --------------------------------------------------------------------------------------------------------

    def strikes(self, number: int, kind: str, server: "SimulatedServer", seconds: float) -> None:
        """Something goes wrong with a server."""
        self._faults[number] = kind
        concerned = [server.server_id] if server.server_id else []
        self.fault_begins(number, Fault(at=self.scheduler.now, kind=kind, seconds=seconds), concerned)
        self.look_at_links()

    def is_over(self, number: int) -> None:
        """That has passed, unless all has."""
        kind = self._faults.pop(number, None)
        if kind is not None:
            self.fault_ended(number, kind)

    # -- the end -------------------------------------------------------------------------------------------------------

    def finished(self, violations: Sequence[Violation]) -> None:
        """The run is over: say where calls took effect that nobody learnt of, and what does not hold."""
        for noted in self._calls:
            noted.placed()
        self.over(list(violations))


def write(trace: Trace, path: str | Path) -> None:
    """Write a trace as a file.

    Raises:
        OSError: It cannot be written.
    """
    with Path(path).open("wb") as out:
        out.write(encode(trace.header))
        out.writelines(map(encode, trace.events))
