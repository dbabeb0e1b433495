"""Calls of one message for one message: the path that must be short."""

import asyncio
from typing import TYPE_CHECKING

from oarlock.etcd.grpc import wire
from oarlock.etcd.grpc.call import Call
from oarlock.etcd.grpc.messages import PREFIX, PREFIX_BYTES, MessageAssembler
from oarlock.etcd.grpc.route import MethodStats, Route, UnaryHandler
from oarlock.etcd.grpc.status import RpcError, Status
from oarlock.etcd.http2 import Stream

if TYPE_CHECKING:
    from oarlock.etcd.grpc.server import GrpcConnection


class UnaryCall(Call):
    """One unary call. A handler that returns bytes or a future is answered without a task."""

    _message: bytes | None = None
    _future: asyncio.Future[bytes] | None = None

    def __init__(
        self,
        connection: "GrpcConnection",
        stream: Stream,
        route: Route,
        timeout: float | None,
        handler: UnaryHandler,
        stats: MethodStats,
    ) -> None:
        super().__init__(connection, stream, route, timeout)
        self._handler = handler
        self._stats = stats
        stats.started += 1

    def data(self, payload: bytes, ended: bool) -> None:
        """Collect the message; call the handler when the request is complete."""
        if (
            ended
            and self._assembler is None
            and len(payload) >= PREFIX_BYTES
            and payload[0] == 0
            and int.from_bytes(payload[1:PREFIX_BYTES], "big") == len(payload) - PREFIX_BYTES
            and len(payload) - PREFIX_BYTES <= self._connection.max_receive_bytes
        ):
            self._handle(payload[PREFIX_BYTES:])
        else:
            try:
                self._collect(payload, ended)
            except RpcError as error:
                self._fail(error)

    def _collect(self, payload: bytes, ended: bool) -> None:
        assembler = self._assembler
        if assembler is None:
            assembler = self._assembler = MessageAssembler(self._connection.max_receive_bytes, self._route.encoding)
        for message in assembler.feed(payload, ended=ended):
            if self._message is not None:
                raise RpcError(Status.INTERNAL, "grpc: more than one message in a unary call")
            self._message = message
        if ended:
            if self._message is None:
                raise RpcError(Status.INTERNAL, "grpc: a unary call without a message")
            self._connection.assembly.release(self._stream.id)
            self._handle(self._message)
        else:
            self._let_more_come()

    def _handle(self, message: bytes) -> None:
        connection = self._connection
        self._stats.received += 1
        connection.traffic.received_bytes += len(message)
        try:
            answer = self._handler(message, self)
        except Exception as error:  # noqa: BLE001 - `_fail` logs it; the client learns the status
            self._fail(error)
            return
        if type(answer) is bytes:
            self._succeed(answer)
            return
        future = answer if asyncio.isfuture(answer) else connection.loop.create_task(answer)  # type: ignore[arg-type]
        if future.done():
            self._settled(future)
            return
        self._future = future
        future.add_done_callback(self._settled)
        if self.deadline is not None:
            connection.deadlines.add(self)

    def _settled(self, future: "asyncio.Future[bytes]") -> None:
        """The handler's future is done; if the call is not over, so is it."""
        if future.cancelled():
            if not self._is_over:
                self._answer_failure(Status.CANCELLED, "context canceled")
            return
        error = future.exception()
        if self._is_over:
            return
        if error is None:
            self._succeed(future.result())
        else:
            self._fail(error)

    def _succeed(self, message: bytes) -> None:
        self._is_over = True
        connection = self._connection
        stats = self._stats
        stats.handled[0] += 1
        stats.sent += 1
        connection.traffic.sent_bytes += len(message)
        if self._future is not None and self.deadline is not None:
            connection.deadlines.discard(self)
        headers = wire.response_headers(self._initial) if self._initial else wire.RESPONSE_HEADERS
        trailers = wire.trailers(Status.OK, "", self._trailing) if self._trailing else wire.OK_TRAILERS
        connection.http2.respond(self._stream, headers, PREFIX.pack(0, len(message)), message, trailers)

    def _stop_handler(self) -> None:
        if self._future is not None:
            self._future.cancel()
