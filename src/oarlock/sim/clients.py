"""Clients: each asks one thing at a time, over a link that may fail, of the production service handlers."""

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from oarlock.raft.types import Index, ServerId
from oarlock.sim.calls import FAILED, OK, PENDING, UNKNOWN, Answer, Call
from oarlock.sim.fleet import Fleet
from oarlock.sim.machine import Asked, DirectContext
from oarlock.sim.network import Network
from oarlock.sim.operations import encode, method_of
from oarlock.sim.process import Process
from oarlock.sim.schedule import ClientOperation
from oarlock.sim.trace import Trace

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from oarlock.sim.recording import Recording

__all__ = ["FAILED", "OK", "PENDING", "UNKNOWN", "Clients", "Request"]


class Request:
    """One operation on its way, and what became of it."""

    __slots__ = (
        "answer",
        "asked",
        "call",
        "called",
        "error",
        "number",
        "operation",
        "outcome",
        "returned",
        "server_id",
    )

    def __init__(self, number: int, operation: ClientOperation) -> None:
        self.number = number
        self.operation = operation
        self.server_id: ServerId = 0
        """Who is asked."""
        self.called = 0.0
        self.returned = 0.0
        self.outcome = PENDING
        self.answer = b""
        self.error = ""
        self.asked = Asked()
        self.call: Call | None = None
        """Under way."""

    @property
    def index(self) -> Index | None:
        """Of an answered read: what had been applied."""
        return self.asked.index

    @property
    def command(self) -> int | None:
        """Of a proposal: what tells it from all others, in the log."""
        return self.asked.command


class Clients:
    """All clients of a run.

    Args:
        network: Has the links between clients and servers.
        fleet: The servers.
        timeout_s: How long a client waits for an answer.
        trace: Told what is asked and answered.
    """

    def __init__(self, network: Network, fleet: Fleet, timeout_s: float, trace: Trace) -> None:
        self._network = network
        self._scheduler = network.scheduler
        self._fleet = fleet
        self._timeout_s = timeout_s
        self._trace = trace
        self.recording: Recording | None = None
        """Where the run is recorded."""
        self.requests: list[Request] = []
        self._asked = 0
        """How many there were, those included that were dropped before they were sent."""
        self.avoided: Callable[[ServerId], bool] = lambda _: False
        """Servers that clients have given up on: they turn to the next one."""
        self.of_number: Callable[[int], ServerId] = fleet.of_number
        """The server that a number in a schedule means."""
        self._waiting: dict[int, deque[Request]] = {}
        """By client; the first is under way."""
        self.pending = 0
        """How many have no answer yet."""

    def drop_unsent(self) -> None:
        """Forget what clients only meant to ask."""
        for queue in self._waiting.values():
            while len(queue) > 1:
                self.requests.remove(queue.pop())
                self.pending -= 1

    def give_up_lost(self) -> None:
        """Wait no longer for what nobody will answer: what was lost on the way, or was at a process that is gone."""
        for queue in list(self._waiting.values()):
            if queue and queue[0].call is not None and queue[0].call.is_hopeless:
                self._end(queue[0], UNKNOWN, "no answer")

    def plan(self, operation: ClientOperation) -> None:
        """Have an operation asked at its time."""
        self._scheduler.at(operation.at, self.ask, operation)

    def ask(self, operation: ClientOperation) -> Request:
        """Ask now, or when the client's earlier requests are over."""
        self._asked += 1
        request = Request(self._asked, operation)
        self.requests.append(request)
        self.pending += 1
        queue = self._waiting.setdefault(operation.client, deque())
        queue.append(request)
        if len(queue) == 1:
            self._send(request)
        return request

    def _send(self, request: Request) -> None:
        scheduler = self._scheduler
        request.server_id = self._directed(request.operation.server)
        request.called = scheduler.now
        if self.recording is not None:
            self.recording.called(request)
        scheduler.after(self._timeout_s, self._give_up, request)
        server = self._fleet.servers[request.server_id]
        request.call = Call(
            self._network,
            _host_of(request.operation.client),
            server,
            lambda process: self._serve(request, process),
            lambda answer: self._return(request, answer),
        )

    def _directed(self, number: int) -> ServerId:
        """The server of that number, 0 the leader, or the next one that clients have not given up on."""
        wanted = self.of_number(number)
        servers = self._fleet.ids
        start = servers.index(wanted)
        return next((each for each in (*servers[start:], *servers[:start]) if not self.avoided(each)), wanted)

    def _serve(self, request: Request, process: Process) -> "bytes | Awaitable[bytes]":
        path = method_of(request.operation.kind)
        data = encode(request.operation, max(1, process.machine.store.current_revision - 10))
        context = DirectContext(path, process.loop.time() + self._timeout_s, request.asked)
        return process.services.handler(path)(data, context)

    def _return(self, request: Request, answer: Answer) -> None:
        if request.outcome == PENDING:
            request.answer = answer.data
            self._end(request, answer.outcome, answer.error)

    def _give_up(self, request: Request) -> None:
        if request.outcome == PENDING:
            self._network.strikes.hit("client.gave_up")
            self._end(request, UNKNOWN, "no answer")

    def _end(self, request: Request, outcome: str, error: str) -> None:
        operation = request.operation
        request.outcome = outcome
        request.error = error
        request.returned = self._scheduler.now
        self.pending -= 1
        self._trace.event(
            self._scheduler.now,
            "answer",
            request=request.number,
            client=operation.client,
            server=request.server_id,
            kind=operation.kind,
            key=operation.key,
            called=request.called,
            outcome=outcome,
            error=error,
        )
        if self.recording is not None:
            self.recording.returned(request)
        queue = self._waiting[operation.client]
        queue.popleft()
        if queue:
            self._send(queue[0])


def _host_of(client: int) -> str:
    return f"client{client}"
