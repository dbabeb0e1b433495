"""Clients: each asks one thing at a time, over a link that may fail, of the production service handlers."""

import random
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from msgspec import structs

from oarlock.etcd.proto.rpc_pb2 import SnapshotResponse
from oarlock.raft.types import Index, ServerId
from oarlock.sim.calls import (
    CONNECTION_REFUSED,
    FAILED,
    NOT_SENT,
    OK,
    PENDING,
    UNKNOWN,
    UNREACHABLE,
    Answer,
    Call,
)
from oarlock.sim.fleet import Fleet
from oarlock.sim.http2_calls import ClientMachine, Http2Call
from oarlock.sim.machine import Asked, DirectContext
from oarlock.sim.network import Network
from oarlock.sim.operations import READS, encode, method_of
from oarlock.sim.process import Process
from oarlock.sim.schedule import ClientOperation
from oarlock.sim.services import whole_backup
from oarlock.sim.trace import Trace

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from oarlock.sim.recording import Recording

_MOST_TRIES: Final = 8
_BACKOFF_S: Final = 0.03
_NOTHING_DONE: Final = (CONNECTION_REFUSED, UNREACHABLE, NOT_SENT)
"""Errors after which any request may be repeated."""

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
        "tries",
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
        self.tries = 0
        self.asked = Asked()
        """Of the last try."""
        self.call: Call | Http2Call | None = None
        """The last try."""

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
        fails_over: Whether clients do as etcd's: where a connection is refused they ask the next server, and reads that
            failed they repeat.
        over_http2: From which chance is made, where clients speak HTTP/2 over connections; None where they call
            handlers directly.
    """

    def __init__(
        self,
        network: Network,
        fleet: Fleet,
        timeout_s: float,
        trace: Trace,
        *,
        fails_over: bool,
        over_http2: str | None = None,
    ) -> None:
        self._network = network
        self._scheduler = network.scheduler
        self._fleet = fleet
        self._timeout_s = timeout_s
        self._trace = trace
        self._fails_over = fails_over
        self._over_http2 = over_http2
        self._together = random.Random(f"{over_http2}/together").choice((1, 3))  # noqa: S311
        """How many clients share a machine, and its connections."""
        self.machines: dict[int, ClientMachine] = {}
        """By the first of its clients, where they speak HTTP/2."""
        self._is_over = False
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
        """Forget what clients only meant to ask; from now on they ask nothing by themselves."""
        self._is_over = True
        for queue in self._waiting.values():
            while len(queue) > 1:
                self.requests.remove(queue.pop())
                self.pending -= 1

    def give_up_lost(self) -> None:
        """Wait no longer for what nobody will answer: what was lost on the way, or was at a process that is gone."""
        for queue in list(self._waiting.values()):
            if queue and queue[0].call is not None and queue[0].call.is_hopeless:
                self._give_up_call(queue[0])
                self._end(queue[0], UNKNOWN, "no answer")

    def plan(self, operation: ClientOperation) -> None:
        """Have an operation asked at its time."""
        self._scheduler.at(operation.at, self.ask, operation)

    def ask(self, operation: ClientOperation) -> Request:
        """Ask now, or when the client's earlier requests are over."""
        request = self._request(operation)
        queue = self._waiting.setdefault(operation.client, deque())
        queue.append(request)
        if len(queue) == 1:
            self._send(request)
        return request

    def _request(self, operation: ClientOperation) -> Request:
        self._asked += 1
        request = Request(self._asked, operation)
        self.requests.append(request)
        self.pending += 1
        return request

    def _send(self, request: Request) -> None:
        request.called = self._scheduler.now
        self._scheduler.after(self._timeout_s, self._give_up, request)
        self._try(request)
        if self.recording is not None:
            self.recording.called(request)

    def _try(self, request: Request) -> None:
        if request.outcome != PENDING:
            return
        operation = request.operation
        request.server_id = self._directed(operation.server, request.tries)
        request.tries += 1
        request.asked = asked = Asked()
        server = self._fleet.servers[request.server_id]
        if self._over_http2 is not None:
            request.call = over = Http2Call(
                self._machine(operation.client, self._over_http2),
                server.host.name,
                method_of(operation.kind),
                _encoded(operation, server.process),
                request.called + self._timeout_s - self._scheduler.now,
                asked,
                lambda answer: self._return(request, over, answer),
            )
            return
        request.call = call = Call(
            self._network,
            _host_of(operation.client),
            server,
            lambda process: self._serve(operation, asked, process),
            lambda answer: self._return(request, call, answer),
        )

    def _machine(self, client: int, seed: str) -> ClientMachine:
        first = client - (client - 1) % self._together
        found = self.machines.get(first)
        if found is None:
            found = self.machines[first] = ClientMachine(self._network, first, seed, self._trace)
        return found

    def hang_up(self, server_id: ServerId) -> int:
        """Have every client be gone whose call a server may have, over a connection; gives how many there were."""
        gone = [
            queue[0]
            for queue in self._waiting.values()
            if queue
            and queue[0].server_id == server_id
            and isinstance(queue[0].call, Http2Call)
            and queue[0].call.is_sent
        ]
        for request in gone:
            self._give_up_call(request)
            self._end(request, UNKNOWN, "cancelled")
        return len(gone)

    def bury(self) -> None:
        """After the run."""
        for machine in self.machines.values():
            machine.bury()

    def _directed(self, number: int, tries: int) -> ServerId:
        """The server of that number, 0 the leader; further on with each try, and past those that were given up."""
        servers = self._fleet.ids
        start = (servers.index(self.of_number(number)) + tries) % len(servers)
        wanted = servers[start]
        return next((each for each in (*servers[start:], *servers[:start]) if not self.avoided(each)), wanted)

    def _serve(self, operation: ClientOperation, asked: Asked, process: Process) -> "bytes | Awaitable[bytes]":
        deadline = process.loop.time() + self._timeout_s
        if operation.kind == "backup":
            return process.services.backup(deadline)
        path = method_of(operation.kind)
        return process.services.handler(path)(_encoded(operation, process), DirectContext(path, deadline, asked))

    def _return(self, request: Request, call: Call | Http2Call, answer: Answer) -> None:
        if request.outcome != PENDING or request.call is not call:
            return
        if self._fails_over and request.tries <= _MOST_TRIES and _may_repeat(request.operation, answer):
            is_refused = answer.error in _NOTHING_DONE
            self._network.strikes.hit("client.failed_over" if is_refused else "client.read_again")
            self._scheduler.after(_BACKOFF_S, self._try, request)
            return
        request.answer = answer.data
        if request.operation.kind == "backup" and answer.messages:
            request.answer = whole_backup([SnapshotResponse.FromString(each) for each in answer.messages])
        self._end(request, answer.outcome, answer.error)

    def _give_up(self, request: Request) -> None:
        if request.outcome == PENDING:
            self._network.strikes.hit("client.gave_up")
            self._give_up_call(request)
            self._end(request, UNKNOWN, "no answer")

    def _give_up_call(self, request: Request) -> None:
        if isinstance(request.call, Http2Call):
            request.call.cancel()

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
        if outcome == UNKNOWN and operation.retries and not self._is_over:
            self._network.strikes.hit("client.asked_again")
            again = structs.replace(operation, retries=operation.retries - 1)
            queue.appendleft(self._request(again))
        if queue:
            self._send(queue[0])


def _may_repeat(operation: ClientOperation, answer: Answer) -> bool:
    """Whether etcd's clients repeat a request by themselves: where it never left, and reads that failed."""
    if answer.error in _NOTHING_DONE:
        return True
    return answer.outcome == UNKNOWN and operation.kind in READS


def _encoded(operation: ClientOperation, process: Process | None) -> bytes:
    """A request's bytes; compactions go up to a little before where the server stands."""
    stands_at = process.machine.store.current_revision if process is not None and process.is_started else 0
    return encode(operation, max(1, stands_at - 10))


def _host_of(client: int) -> str:
    return f"client{client}"
