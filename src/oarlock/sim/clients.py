"""Clients: each asks one thing at a time, over a link that may fail, of the production service handlers."""

import asyncio
import inspect
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from msgspec import structs

from oarlock.etcd.grpc import RpcError, Status
from oarlock.raft.types import Index, ServerId
from oarlock.sim import inside
from oarlock.sim.machine import Asked
from oarlock.sim.network import Network
from oarlock.sim.operations import encode, handler_of
from oarlock.sim.process import Process, Server
from oarlock.sim.schedule import ClientOperation
from oarlock.sim.trace import Trace

if TYPE_CHECKING:
    from oarlock.sim.recording import Recording

_NEVER_HAPPENED: Final = (Status.RESOURCE_EXHAUSTED, Status.INVALID_ARGUMENT, Status.FAILED_PRECONDITION)
"""Errors that promise that nothing was done."""

OK, FAILED, UNKNOWN, PENDING = "ok", "failed", "unknown", "pending"


class Request:
    """One operation on its way, and what became of it."""

    __slots__ = (
        "answer",
        "asked",
        "called",
        "command",
        "error",
        "is_lost",
        "number",
        "operation",
        "outcome",
        "process",
        "returned",
    )

    def __init__(self, number: int, operation: ClientOperation) -> None:
        self.number = number
        self.operation = operation
        self.called = 0.0
        self.returned = 0.0
        self.outcome = PENDING
        self.answer = b""
        self.error = ""
        self.command: int | None = None
        """Of a proposal: what tells it from all others, in the log."""
        self.asked = Asked()
        self.process: Process | None = None
        """The one that it reached."""
        self.is_lost = False
        """Whether it, or its answer, was lost on the way."""

    @property
    def index(self) -> Index | None:
        """Of an answered read: what had been applied."""
        return self.asked.index


def command_id(origin: ServerId, epoch: int, sequence: int) -> int:
    """One number for a proposal's id."""
    return (origin << 128) | (epoch << 64) | sequence


class Clients:
    """All clients of a run.

    Args:
        network: Has the links between clients and servers.
        servers: By id.
        timeout_s: How long a client waits for an answer.
        trace: Told what is asked and answered.
    """

    def __init__(self, network: Network, servers: Mapping[ServerId, Server], timeout_s: float, trace: Trace) -> None:
        self._network = network
        self._scheduler = network.scheduler
        self._servers = servers
        self._timeout_s = timeout_s
        self._trace = trace
        self.recording: Recording | None = None
        """Where the run is recorded."""
        self.requests: list[Request] = []
        self.avoided: Callable[[ServerId], bool] = lambda _: False
        """Servers that clients have given up on: they turn to the next one."""
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
            if queue and (queue[0].is_lost or not self._is_alive(queue[0])):
                self._end(queue[0], UNKNOWN, "no answer")

    def _is_alive(self, request: Request) -> bool:
        return request.process is None or request.process is self._servers[request.operation.server].process

    def plan(self, operation: ClientOperation) -> None:
        """Have an operation asked at its time."""
        self._scheduler.at(operation.at, self.ask, operation)

    def ask(self, operation: ClientOperation) -> Request:
        """Ask now, or when the client's earlier requests are over."""
        request = Request(len(self.requests) + 1, operation)
        self.requests.append(request)
        self.pending += 1
        queue = self._waiting.setdefault(operation.client, deque())
        queue.append(request)
        if len(queue) == 1:
            self._send(request)
        return request

    def _send(self, request: Request) -> None:
        operation = request.operation = self._directed(request.operation)
        scheduler = self._scheduler
        request.called = scheduler.now
        if self.recording is not None:
            self.recording.called(request)
        scheduler.after(self._timeout_s, self._give_up, request)
        link = self._network.link(_host_of(operation.client), self._servers[operation.server].host.name)
        if link.is_open:
            scheduler.after(link.delay(), self._arrive, request)
        else:
            request.is_lost = True
            self._network.strikes.hit("client.request_lost")

    def _directed(self, operation: ClientOperation) -> ClientOperation:
        servers = list(self._servers)
        start = servers.index(operation.server)
        for server in (*servers[start:], *servers[:start]):
            if not self.avoided(server):
                return operation if server == operation.server else structs.replace(operation, server=server)
        return operation

    def _arrive(self, request: Request) -> None:
        server = self._servers[request.operation.server]
        process = server.process
        if process is not None and process.is_started:
            process.loop.call_soon(self._serve, request, process)
        elif server.host.is_powered:
            self._reply(request, b"", "connection refused", FAILED)
        else:
            request.is_lost = True

    def _serve(self, request: Request, process: Process) -> None:
        """On the server's loop, as the gRPC layer calls a handler."""
        request.process = process
        if not process.is_started:
            return
        operation = request.operation
        calls = process.calls
        calls.asked = request.asked
        before = inside.last_sequence(process.node)
        try:
            data = encode(operation, max(1, process.machine.store.current_revision - 10))
            answer = handler_of(process, operation.kind)(data, process.context(self._timeout_s))
        except RpcError as error:
            self._fail(request, error)
            return
        finally:
            calls.asked = None
        sequence = inside.last_sequence(process.node)
        if sequence != before:
            request.command = command_id(process.server.server_id, inside.boot_epoch(process.node), sequence)
        if isinstance(answer, bytes):
            self._reply(request, answer, "", OK)
            return
        future = process.loop.create_task(answer) if inspect.iscoroutine(answer) else answer
        assert isinstance(future, asyncio.Future)  # noqa: S101 - what handlers give
        future.add_done_callback(lambda done: self._answered(request, done))

    def _answered(self, request: Request, future: "asyncio.Future[bytes]") -> None:
        if future.cancelled():
            return
        error = future.exception()
        if error is None:
            self._reply(request, future.result(), "", OK)
        elif isinstance(error, RpcError):
            self._fail(request, error)
        else:
            raise error

    def _fail(self, request: Request, error: RpcError) -> None:
        outcome = FAILED if error.code in _NEVER_HAPPENED else UNKNOWN
        self._reply(request, b"", f"{error.code.name}: {error.message}", outcome)

    def _reply(self, request: Request, answer: bytes, error: str, outcome: str) -> None:
        operation = request.operation
        link = self._network.link(self._servers[operation.server].host.name, _host_of(operation.client))
        if link.is_open:
            self._scheduler.after(link.delay(), self._return, request, answer, error, outcome)
        else:
            request.is_lost = True
            self._network.strikes.hit("client.answer_lost")

    def _return(self, request: Request, answer: bytes, error: str, outcome: str) -> None:
        if request.outcome == PENDING:
            request.answer = answer
            self._end(request, outcome, error)

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
            server=operation.server,
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
