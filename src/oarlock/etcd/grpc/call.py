"""What every kind of call shares: its ends."""

import logging
from typing import TYPE_CHECKING

from oarlock.etcd.grpc import wire
from oarlock.etcd.grpc.context import RpcContext
from oarlock.etcd.grpc.messages import MessageAssembler
from oarlock.etcd.grpc.route import MethodStats, Route
from oarlock.etcd.grpc.status import RpcError, Status
from oarlock.etcd.http2 import Stream

if TYPE_CHECKING:
    from oarlock.etcd.grpc.server import GrpcConnection

_logger = logging.getLogger(__name__)


class Call(RpcContext):
    """A call in progress: an HTTP/2 stream's receiver, and its handler's context in one object.

    It ends once: answered, failed, cut short by the client, or by its deadline.
    """

    _stats: MethodStats
    _assembler: MessageAssembler | None = None

    def __init__(self, connection: "GrpcConnection", stream: Stream, route: Route, timeout: float | None) -> None:
        self._connection = connection
        self._stream = stream
        self._route = route
        self._peer = connection.peer
        if timeout is not None:
            self.deadline = connection.http2.now + timeout

    def reset(self, code: int | None) -> None:  # noqa: ARG002
        """The client cancelled, or is gone."""
        if not self._is_over:
            self._cut_short(Status.CANCELLED)

    def expire(self) -> None:
        """The deadline has passed."""
        if not self._is_over:
            self._answer_failure(Status.DEADLINE_EXCEEDED, "context deadline exceeded")
            self._was_cut_short = True
            self._stop_handler()

    def writable(self) -> None:
        """Nobody waits for that, unless the call streams."""

    def _let_more_come(self) -> None:
        """Open the client's window: as usual, or for all of a larger message if there is room for it."""
        assembler, connection = self._assembler, self._connection
        length = connection.window_bytes
        if assembler is not None and assembler.needed_bytes > length:
            if not connection.assembly.reserve(self._stream.id, assembler.needed_bytes, self._let_more_come):
                return
            length = max(length, assembler.missing_bytes)
        connection.http2.allow(self._stream, length)

    def _stop_handler(self) -> None:
        """Have the handler cancelled, if it still runs."""
        raise NotImplementedError

    def _cut_short(self, code: Status) -> None:
        self._is_over = self._was_cut_short = True
        if self._assembler is not None:
            self._connection.assembly.release(self._stream.id)
        self._stats.handled[code] += 1
        if self.deadline is not None:
            self._connection.deadlines.discard(self)
        self._stop_handler()

    def _fail(self, error: BaseException) -> None:
        """Answer with what a handler raised; only `RpcError` tells the client more than that it happened."""
        if isinstance(error, RpcError):
            self._answer_failure(error.code, error.message)
        else:
            _logger.error("handler of %s failed", self._route.path, exc_info=error)
            self._answer_failure(Status.INTERNAL, "internal server error")

    def _answer_failure(self, code: Status, message: str) -> None:
        self._is_over = True
        if self._assembler is not None:
            self._connection.assembly.release(self._stream.id)
        self._stats.handled[code] += 1
        if self.deadline is not None:
            self._connection.deadlines.discard(self)
        http2 = self._connection.http2
        if self._stream.responded:
            http2.send_trailers(self._stream, wire.trailers(code, message, self._trailing))
        else:
            block = wire.trailers_only(code, message, (*self._initial, *self._trailing))
            http2.send_headers(self._stream, block, end_stream=True)
