"""Calls of clients over connections: real HTTP/2 bytes between a client's machine and a server's port."""

import asyncio
import random
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from typing import Any, Final

from oarlock.check.verdict import Violation
from oarlock.etcd.grpc import RpcError, Status
from oarlock.sim.calls import CONNECTION_REFUSED, FAILED, NOT_SENT, OK, UNKNOWN, UNREACHABLE, Answer, refusal
from oarlock.sim.clock import Clock
from oarlock.sim.connection import SimServer, SimTransport, connect, listen
from oarlock.sim.http2_client import Ending, Http2Client
from oarlock.sim.loop import Handle, SimLoop
from oarlock.sim.machine import Asked
from oarlock.sim.network import Network
from oarlock.sim.observer import PropertyBroken
from oarlock.sim.process import CLIENT_PORT
from oarlock.sim.trace import Trace

_CONNECT_TIMEOUT_S: Final = 2.0
_WINDOWS: Final = (65_535, 65_535, 1000, 60)
"""What clients let servers send on a stream, before they take it: usually, and so little that servers wait."""
_KEEPALIVES_S: Final = (1.0, 3.0)
_CLIENT_LOOP: Final = 1 << 63
"""In a fingerprint: the loop is not a server's."""


class ClientMachine:
    """Where a client runs, or a few: a loop, and a connection to each server that they ask.

    Args:
        network: Where its host is.
        number: Of the client, or the first of them.
        seed: From which its chance is made.
        trace: Told of its iterations.
    """

    def __init__(self, network: Network, number: int, seed: str, trace: Trace) -> None:
        self.network = network
        self.host = network.host(f"client{number}")
        self._number = number
        self._trace = trace
        rng = random.Random(f"{seed}/http2/{number}")  # noqa: S311
        clock = Clock(network.scheduler.now, rng.random() * 1e6)
        # Abstract to mypy only: what a client never calls raises NotImplementedError.
        self.loop = self.host.loop = SimLoop(network.scheduler, clock, self)  # type: ignore[abstract]
        self.window_bytes = rng.choice(_WINDOWS)
        self.keepalive_s = rng.choice(_KEEPALIVES_S)
        self._channels: dict[str, Channel] = {}
        self.callbacks = 0
        """How many its loop has called."""

    def channel(self, server: str) -> "Channel":
        """The way to a server's host."""
        found = self._channels.get(server)
        if found is None:
            found = self._channels[server] = Channel(self, server)
        return found

    def bury(self) -> None:
        """After the run."""
        self.loop.kill()
        self.loop.bury()

    # -- what a loop asks of its surroundings --------------------------------------------------------------------------

    def run_job(
        self,
        executor: Executor | None,
        future: "asyncio.Future[Any]",
        function: Callable[..., Any],
        args: tuple[Any, ...],
    ) -> None:
        """See `Surroundings.run_job`: clients have no blocking work."""
        raise NotImplementedError

    async def listen(self, factory: Callable[[], asyncio.Protocol], host: str, port: int) -> SimServer:  # noqa: ARG002
        """See `Surroundings.listen`."""
        return listen(self.host, factory, port)

    async def connect(
        self, factory: Callable[[], asyncio.Protocol], host: str, port: int
    ) -> tuple[SimTransport, asyncio.Protocol]:
        """See `Surroundings.connect`."""
        return await connect(self.network, self.host, self.loop, factory, (host, port))

    def after_iteration(self, callbacks: int) -> None:
        """See `Surroundings.after_iteration`."""
        self.callbacks += callbacks
        self._trace.iteration(self.network.scheduler.now, _CLIENT_LOOP + self._number, callbacks)

    def callback_failed(self, error: BaseException) -> None:
        """See `Surroundings.callback_failed`.

        Raises:
            BaseException: The same: a violation that the client noticed, or a defect of its own.
        """
        raise error


class Channel:
    """A client's way to one server: at most one connection at a time, opened when it is needed."""

    def __init__(self, machine: ClientMachine, server: str) -> None:
        self._machine = machine
        self._server = server
        self._connection: Http2Client | None = None
        self._waiting: list[Http2Call] = []
        self._is_connecting = False

    def call(self, call: "Http2Call") -> None:
        """Send a call, when there is a connection."""
        connection = self._connection
        if connection is not None and connection.is_usable:
            call.send(connection)
            return
        self._waiting.append(call)
        if not self._is_connecting:
            self._is_connecting = True
            loop = self._machine.loop
            task = loop.create_task(loop.create_connection(self._client, self._server, CLIENT_PORT))
            timer = loop.call_later(_CONNECT_TIMEOUT_S, task.cancel)
            task.add_done_callback(partial(self._connected, timer))

    def _client(self) -> Http2Client:
        machine = self._machine
        return Http2Client(machine.loop, machine.window_bytes, machine.keepalive_s, machine.network.strikes)

    def _connected(self, timer: Handle, task: "asyncio.Task[tuple[Any, Any]]") -> None:
        timer.cancel()
        self._is_connecting = False
        waiting, self._waiting = self._waiting, []
        strikes = self._machine.network.strikes
        error = CONNECTION_REFUSED
        if task.cancelled():
            strikes.hit("http2.unreachable")
            error = UNREACHABLE
        elif task.exception() is None:
            connection: Http2Client = task.result()[1]
            if connection.is_usable:
                strikes.hit("http2.connected")
                self._connection = connection
                for call in waiting:
                    call.send(connection)
                return
        else:
            strikes.hit("http2.refused")
        for call in waiting:
            call.not_sent(error)


class Http2Call:
    """One call on its way.

    Args:
        machine: Whose call it is.
        server: The host called.
        path: Of the method.
        message: The request.
        timeout_s: The deadline that the server is told.
        asked: Noted by the server, for the verdict.
        on_answer: Told how it ended, unless it is cancelled before.
    """

    __slots__ = (
        "_asked",
        "_connection",
        "_machine",
        "_message",
        "_on_answer",
        "_path",
        "_server",
        "_stream_id",
        "_timeout_s",
    )

    def __init__(
        self,
        machine: ClientMachine,
        server: str,
        path: str,
        message: bytes,
        timeout_s: float,
        asked: Asked,
        on_answer: Callable[[Answer], None],
    ) -> None:
        self._machine = machine
        self._server = server
        self._path = path
        self._message = message
        self._timeout_s = timeout_s
        self._asked = asked
        self._on_answer: Callable[[Answer], None] | None = on_answer
        self._connection: Http2Client | None = None
        self._stream_id = 0
        machine.loop.call_soon(machine.channel(server).call, self)

    @property
    def is_hopeless(self) -> bool:
        """Whether nobody will answer: the server knows nothing of the connection any more."""
        return self._connection is not None and self._connection.is_hopeless

    @property
    def is_sent(self) -> bool:
        """Whether a server may have got it."""
        return self._connection is not None

    def send(self, connection: Http2Client) -> None:
        """Go out on a connection."""
        if self._on_answer is None:
            return
        self._connection = connection
        self._machine.network.strikes.hit("http2.call")
        self._stream_id = connection.call(self._path, self._message, self._timeout_s, self._ended)
        self._machine.network.asked_over[connection.address, self._stream_id] = self._asked

    def not_sent(self, error: str) -> None:
        """It never went out."""
        self._tell(Answer(FAILED, error=error))

    def cancel(self) -> None:
        """Be given up."""
        self._on_answer = None
        if self._connection is not None:
            self._connection.cancel(self._stream_id)

    def _ended(self, ending: Ending) -> None:
        self._tell(self._answer(ending))

    def _tell(self, answer: Answer) -> None:
        on_answer, self._on_answer = self._on_answer, None
        if on_answer is not None:
            on_answer(answer)

    def _answer(self, ending: Ending) -> Answer:
        """What the ending of a call says.

        Raises:
            PropertyBroken: What no server may answer.
        """
        if ending.is_untouched:
            return Answer(FAILED, error=NOT_SENT)
        if not ending.is_answer:
            return Answer(UNKNOWN, error=f"{ending.status.name}: {ending.message}")
        if ending.status is Status.OK:
            if not ending.messages:
                raise PropertyBroken(Violation("speaks gRPC", f"{self._path} of {self._server}: no message and OK"))
            return Answer(OK, ending.messages[0], messages=ending.messages)
        if ending.status is Status.INTERNAL:
            sentence = f"{self._path} of {self._server} was answered INTERNAL: {ending.message}"
            raise PropertyBroken(Violation("no handler raises", sentence))
        return refusal(RpcError(ending.status, ending.message))
