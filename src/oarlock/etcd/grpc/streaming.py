"""Calls of streams of messages: client, server and bidirectional streaming are one thing here."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Self

from oarlock.etcd.grpc import wire
from oarlock.etcd.grpc.call import Call
from oarlock.etcd.grpc.messages import PREFIX, MessageAssembler
from oarlock.etcd.grpc.route import Method, Route, StreamHandler
from oarlock.etcd.grpc.status import RpcError, Status
from oarlock.etcd.http2 import Stream

if TYPE_CHECKING:
    from oarlock.etcd.grpc.server import GrpcConnection

PENDING_HIGH_BYTES = 64 * 1024
"""A handler waits before its next message while as much of its stream waits for the client."""


class RequestStream:
    """The client's messages, in order: iterate over it. It ends when the client has no more to say."""

    def __init__(self, call: "StreamCall") -> None:
        self._call = call
        self._messages: deque[bytes] = deque()
        self._ended = False
        self._waiter: asyncio.Future[None] | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        while not self._messages:
            if self._ended:
                raise StopAsyncIteration
            self._waiter = self._call.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        message = self._messages.popleft()
        if not self._messages:
            self._call.all_taken()
        return message

    @property
    def waiting(self) -> int:
        """How many messages are there already."""
        return len(self._messages)

    def push(self, messages: list[bytes], ended: bool) -> None:
        """For the call: these came, and perhaps the end."""
        self._messages.extend(messages)
        self._ended = self._ended or ended
        if self._waiter is not None and not self._waiter.done() and (self._messages or self._ended):
            self._waiter.set_result(None)


class StreamCall(Call):
    """One streaming call; its handler runs in a task."""

    _assembler: MessageAssembler
    _drained: asyncio.Future[None] | None = None

    def __init__(
        self, connection: "GrpcConnection", stream: Stream, route: Route, timeout: float | None, method: Method
    ) -> None:
        super().__init__(connection, stream, route, timeout)
        assert method.stream is not None  # noqa: S101 - a method has one handler or the other
        self._stats = method.stats
        self._stats.started += 1
        self._assembler = MessageAssembler(connection.max_receive_bytes, route.encoding)
        self._requests = RequestStream(self)
        if self.deadline is not None:
            connection.deadlines.add(self)
        self._task = connection.start_task(self._run(method.stream))

    def create_future(self) -> asyncio.Future[None]:
        """A future of the server's loop."""
        return self._connection.loop.create_future()

    def data(self, payload: bytes, ended: bool) -> None:
        """Queue what came. The client may send on only when the handler has taken everything."""
        if self._is_over:
            return
        try:
            messages = self._assembler.feed(payload, ended=ended)
        except RpcError as error:
            self._fail(error)
            self._was_cut_short = True
            self._stop_handler()
            return
        if messages:
            self._connection.assembly.release(self._stream.id)
            self._stats.received += len(messages)
            self._connection.traffic.received_bytes += sum(map(len, messages))
        self._requests.push(messages, ended)
        if not self._requests.waiting:
            self._let_more_come()

    def all_taken(self) -> None:
        """The handler has taken every message: the client may send more."""
        if not self._is_over:
            self._let_more_come()

    def writable(self) -> None:
        """The client has taken most of what waited for it."""
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    async def _run(self, handler: StreamHandler) -> None:
        messages: AsyncIterator[bytes] | None = None
        try:
            messages = handler(self._requests, self)
            async for message in messages:
                if self._is_over:
                    break
                self._send(message)
                if self._stream.pending_bytes >= PENDING_HIGH_BYTES:
                    await self._wait_until_writable()
        except asyncio.CancelledError:
            if not self._is_over:
                self._answer_failure(Status.UNAVAILABLE, "the server is stopping")
        except Exception as error:  # noqa: BLE001 - `_fail` logs it; the client learns the status
            if not self._is_over:
                self._fail(error)
        else:
            if not self._is_over:
                self._succeed()
        finally:
            close = getattr(messages, "aclose", None)
            if close is not None:
                await close()

    async def _wait_until_writable(self) -> None:
        self._drained = self.create_future()
        self._stream.wants_writable = True
        try:
            await self._drained
        finally:
            self._drained = None

    def _send(self, message: bytes) -> None:
        connection = self._connection
        self._stats.sent += 1
        connection.traffic.sent_bytes += len(message)
        self._send_head()
        connection.http2.send_data(self._stream, PREFIX.pack(0, len(message)) + message)

    def _send_head(self) -> None:
        if not self._stream.responded:
            block = wire.response_headers(self._initial) if self._initial else wire.RESPONSE_HEADERS
            self._connection.http2.send_headers(self._stream, block)

    def _succeed(self) -> None:
        self._is_over = True
        self._connection.assembly.release(self._stream.id)
        self._stats.handled[Status.OK] += 1
        if self.deadline is not None:
            self._connection.deadlines.discard(self)
        self._send_head()
        trailers = wire.trailers(Status.OK, "", self._trailing) if self._trailing else wire.OK_TRAILERS
        self._connection.http2.send_trailers(self._stream, trailers)

    def _stop_handler(self) -> None:
        self._task.cancel()
