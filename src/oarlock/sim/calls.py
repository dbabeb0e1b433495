"""Calls from a host to the production handlers of a server, over links that may fail, without a connection's bytes."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from oarlock.etcd.grpc import RpcError, Status
from oarlock.sim.network import Network
from oarlock.sim.process import Process, Server

OK, FAILED, UNKNOWN, PENDING = "ok", "failed", "unknown", "pending"
"""What became of a call: it was answered, nothing was done, nobody can tell, it is under way."""

CONNECTION_REFUSED: Final = "connection refused"
UNREACHABLE: Final = "no connection in time"
NOT_SENT: Final = "not looked at by the server"

_NEVER_HAPPENED: Final = (
    Status.RESOURCE_EXHAUSTED,
    Status.INVALID_ARGUMENT,
    Status.FAILED_PRECONDITION,
    Status.NOT_FOUND,
)
"""Errors that promise that nothing was done."""


class Answer(NamedTuple):
    """How a call ended."""

    outcome: str
    data: bytes = b""
    error: str = ""
    messages: tuple[bytes, ...] = ()
    """All, of a method that answers with a stream of them."""


def refusal(error: RpcError) -> Answer:
    """The answer to a call that a handler refused."""
    outcome = FAILED if error.code in _NEVER_HAPPENED else UNKNOWN
    return Answer(outcome, error=f"{error.code.name}: {error.message}")


Work = Callable[[Process], bytes | Awaitable[bytes]]
"""Done on the server's loop, as its gRPC layer calls a handler."""


class Call:
    """One call on its way.

    Args:
        network: Has the links.
        caller: The host that calls.
        server: The one called.
        work: What is done there.
        on_answer: Told of the answer, unless it is lost.
    """

    __slots__ = ("_caller", "_network", "_on_answer", "_server", "_work", "is_lost", "process")

    def __init__(
        self, network: Network, caller: str, server: Server, work: Work, on_answer: Callable[[Answer], None]
    ) -> None:
        self._network = network
        self._caller = caller
        self._server = server
        self._work = work
        self._on_answer = on_answer
        self.is_lost = False
        """Whether it, or its answer, was lost on the way."""
        self.process: Process | None = None
        """The one that it reached."""
        link = network.link(caller, server.host.name)
        if link.is_open:
            network.scheduler.after(link.delay(), self._arrive)
        else:
            self.is_lost = True
            network.strikes.hit("client.request_lost")

    @property
    def is_hopeless(self) -> bool:
        """Whether nobody will answer: it was lost, or the process that had it is gone."""
        return self.is_lost or (self.process is not None and self.process is not self._server.process)

    def _arrive(self) -> None:
        process = self._server.process
        if process is not None and process.is_started:
            self.process = process
            process.loop.call_soon(self._serve, process)
        elif self._server.host.is_powered:
            self._reply(Answer(FAILED, error=CONNECTION_REFUSED))
        else:
            self.is_lost = True

    def _serve(self, process: Process) -> None:
        if not process.is_started:
            return
        try:
            answer = self._work(process)
        except RpcError as error:
            self._reply(refusal(error))
            return
        if isinstance(answer, bytes):
            self._reply(Answer(OK, answer))
            return
        future = process.loop.create_task(answer) if inspect.iscoroutine(answer) else answer
        assert isinstance(future, asyncio.Future)  # noqa: S101 - what handlers give
        process.calls[future] = None
        future.add_done_callback(self._settled)

    def _settled(self, future: "asyncio.Future[bytes]") -> None:
        if self.process is not None:
            self.process.calls.pop(future, None)
        if future.cancelled():
            self.is_lost = True
            return
        error = future.exception()
        if error is None:
            self._reply(Answer(OK, future.result()))
        elif isinstance(error, RpcError):
            self._reply(refusal(error))
        else:
            raise error

    def _reply(self, answer: Answer) -> None:
        link = self._network.link(self._server.host.name, self._caller)
        if link.is_open:
            self._network.scheduler.after(link.delay(), self._on_answer, answer)
        else:
            self.is_lost = True
            self._network.strikes.hit("client.answer_lost")
