"""Calls of one message for one message: the path that must be short."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

from oarlock.etcd.grpc import wire
from oarlock.etcd.grpc.call import Call
from oarlock.etcd.grpc.context import MakeAnswer, NoRoom
from oarlock.etcd.grpc.messages import PREFIX, PREFIX_BYTES, MessageAssembler
from oarlock.etcd.grpc.route import MethodStats, Route, UnaryHandler
from oarlock.etcd.grpc.status import RpcError, Status
from oarlock.etcd.http2 import SMALL_ANSWER_BYTES, ErrorCode, Stream

if TYPE_CHECKING:
    from oarlock.etcd.grpc.server import GrpcConnection


class UnaryCall(Call):
    """One unary call. A handler that returns bytes or a future is answered without a task."""

    _message: bytes | None = None
    _future: asyncio.Future[bytes] | None = None
    _again: Callable[[], bytes | Awaitable[bytes]] | None = None
    _held_bytes = 0

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
        self._try(self._handler, message, self)

    def _try(self, handle: Callable[..., bytes | Awaitable[bytes]], *arguments: object) -> None:
        connection = self._connection
        try:
            answer = handle(*arguments)
        except NoRoom:
            return
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
            self._release()
            self._connection.http2.wake_up()
            return
        if error is None:
            self._succeed(future.result())
        elif type(error) is not NoRoom:
            self._fail(error)

    def make_answer(
        self, make: MakeAnswer, read: Callable[[MakeAnswer], bytes | Awaitable[bytes]], *, cheap: bool = False
    ) -> bytes:
        """Make an answer if there is room for it; one that is large is counted at once."""
        http2 = self._connection.http2
        if not cheap and (http2.pending_bytes or http2.put_off) and not http2.has_room:
            raise self._put_off(partial(read, partial(self.make_answer, make, read)))
        answer = make()
        length = len(answer)
        if length > SMALL_ANSWER_BYTES:
            if not http2.has_room:
                del answer  # or the error's traceback would keep it
                raise self._put_off(partial(read, partial(self.make_answer, make, read, cheap=cheap)))
            self._held_bytes = length
            http2.hold(length)
        return answer

    def require_room(self, again: Callable[[], bytes | Awaitable[bytes]]) -> None:
        """Go on only if there is room for an answer."""
        http2 = self._connection.http2
        if (http2.pending_bytes or http2.put_off) and not http2.has_room:
            raise self._put_off(again)

    def _put_off(self, again: Callable[[], bytes | Awaitable[bytes]]) -> NoRoom:
        """Take note at once, before anything else is made for this client, that the call waits for room."""
        self._again = again
        self._future = None
        http2 = self._connection.http2
        http2.put_off[self] = None
        if self.deadline is not None:
            self._connection.deadlines.add(self)
        # Room may have come since.
        http2.wake_up()
        return NoRoom()

    def resume(self) -> None:
        """There is room for the answer now."""
        again, self._again = self._again, None
        if self.deadline is not None:
            self._connection.deadlines.discard(self)
        if again is not None:
            self._try(again)

    def _release(self) -> None:
        if self._held_bytes:
            self._connection.http2.release(self._held_bytes)
            self._held_bytes = 0

    def _succeed(self, message: bytes) -> None:
        self._is_over = True
        connection = self._connection
        if self._held_bytes:
            self._release()
        elif connection.http2.pending_bytes and len(message) > SMALL_ANSWER_BYTES and connection.http2.is_overfull:
            # What was asked for has been done, so it can be neither put off nor called a failure.
            connection.http2.fail(ErrorCode.ENHANCE_YOUR_CALM, "more was asked for than is read")
            return
        stats = self._stats
        stats.handled[0] += 1
        stats.sent += 1
        connection.traffic.sent_bytes += len(message)
        if self.deadline is not None and self._future is not None:
            connection.deadlines.discard(self)
        self._future = None  # it holds the message, of which only the copy that waits is needed
        headers = wire.response_headers(self._initial) if self._initial else wire.RESPONSE_HEADERS
        trailers = wire.trailers(Status.OK, "", self._trailing) if self._trailing else wire.OK_TRAILERS
        connection.http2.respond(self._stream, headers, PREFIX.pack(0, len(message)), message, trailers)

    def _stop_handler(self) -> None:
        if self._future is not None:
            self._future.cancel()
        if self._again is not None:
            self._again = None
            self._connection.http2.put_off.pop(self, None)
