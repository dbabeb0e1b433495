"""Where a request goes: worked out once for all requests with an equal head."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from oarlock.etcd.grpc.status import Status

if TYPE_CHECKING:
    from oarlock.etcd.grpc.context import RpcContext
    from oarlock.etcd.grpc.streaming import RequestStream

UnaryHandler = Callable[[bytes, "RpcContext"], bytes | Awaitable[bytes]]
"""Answers a message at once, or with a future (the cheaper way to wait) or a coroutine."""

StreamHandler = Callable[["RequestStream", "RpcContext"], AsyncIterator[bytes]]
"""Answers a stream of messages with another; an asynchronous generator."""


class MethodStats:
    """What a method has been asked and has answered, for the metrics.

    Attributes:
        service: `package.Service`.
        method: `Method`.
        kind: `unary`, `client_stream`, `server_stream` or `bidi_stream`.
        started: Calls begun.
        handled: Calls ended, by status code.
        received: Messages taken.
        sent: Messages sent.
    """

    __slots__ = ("handled", "kind", "method", "received", "sent", "service", "started")

    def __init__(self, path: str, kind: str) -> None:
        self.service, _, self.method = path.lstrip("/").rpartition("/")
        self.kind = kind
        self.started = 0
        self.handled = [0] * len(Status)
        self.received = 0
        self.sent = 0


class Method:
    """A registered method."""

    __slots__ = ("path", "stats", "stream", "unary")

    def __init__(
        self, path: str, kind: str, *, unary: UnaryHandler | None = None, stream: StreamHandler | None = None
    ) -> None:
        self.path = path
        self.stats = MethodStats(path, kind)
        self.unary = unary
        self.stream = stream


class Route:
    """A request's destination, or the reason why it has none.

    Attributes:
        path: The method's path as asked for.
        method: The registered method, if the call can be made.
        refusal: Status, text and HTTP status of the answer if it cannot.
        all_metadata: Every value of the client's metadata.
        metadata: The first values.
        encoding: The request's `grpc-encoding`.
    """

    __slots__ = ("all_metadata", "encoding", "metadata", "method", "path", "refusal")

    def __init__(
        self,
        path: str,
        *,
        method: Method | None = None,
        refusal: tuple[Status, str, int] | None = None,
        all_metadata: Mapping[str, tuple[str | bytes, ...]] = MappingProxyType({}),
        encoding: str = "identity",
    ) -> None:
        self.path = path
        self.method = method
        self.refusal = refusal
        self.all_metadata = all_metadata
        self.metadata = MappingProxyType({name: values[0] for name, values in all_metadata.items()})
        self.encoding = encoding
