"""What a handler is told about the call that it answers, and what it may say beside its answer."""

from collections.abc import Awaitable, Callable, Mapping

from oarlock.etcd.grpc.route import Route
from oarlock.etcd.grpc.status import RpcError, Status
from oarlock.etcd.grpc.wire import Metadata


class PeerInfo:
    """Who is at the other end of a connection.

    Attributes:
        address: As `host:port`.
        common_name: The subject's common name in the client's verified certificate, or None.
    """

    __slots__ = ("address", "common_name")

    def __init__(self, address: str, common_name: str | None) -> None:
        self.address = address
        self.common_name = common_name


MakeAnswer = Callable[[], bytes]
"""Makes a response's message from what the server knows now, without effect on it."""


class NoRoom(RpcError):
    """An answer cannot be kept until its client takes it: the call, which knows, goes on when there is room."""

    def __init__(self) -> None:
        super().__init__(Status.RESOURCE_EXHAUSTED, "grpc: too much waits to be read by clients")


class RpcContext:
    """One call, as its handler sees it.

    Attributes:
        deadline: When the client stops waiting, in the loop's time, or None. The call is ended then.
    """

    deadline: float | None = None
    _initial: Metadata = ()
    _trailing: Metadata = ()
    _is_over = False
    _was_cut_short = False
    _route: Route
    _peer: PeerInfo

    @property
    def method(self) -> str:
        """The method's full path, `/package.Service/Method`."""
        return self._route.path

    @property
    def metadata(self) -> Mapping[str, str | bytes]:
        """The first value of each field that the client sent, names in lower case, `-bin` values as bytes."""
        return self._route.metadata

    @property
    def all_metadata(self) -> Mapping[str, tuple[str | bytes, ...]]:
        """Every value of each field that the client sent."""
        return self._route.all_metadata

    @property
    def peer(self) -> str:
        """The client's address as `host:port`."""
        return self._peer.address

    @property
    def peer_common_name(self) -> str | None:
        """The common name in the client's verified certificate, or None."""
        return self._peer.common_name

    def cancelled(self) -> bool:
        """Whether the call ended before its handler did: the client cancelled, left, or the deadline passed."""
        return self._was_cut_short

    def make_answer(
        self,
        make: MakeAnswer,
        read: Callable[[MakeAnswer], bytes | Awaitable[bytes]],  # noqa: ARG002 - for calls that have a client
        *,
        cheap: bool = False,  # noqa: ARG002
    ) -> bytes:
        """Make an answer that may be large, unless too many bytes wait for clients already.

        Args:
            make: Makes it.
            read: Has it made later: called with what to call once the state can be read.
            cheap: Making it costs little: only if it proves large is it dropped and made again later.

        Raises:
            NoRoom: Let it through; the call is answered later, when the client has taken more.
        """
        return make()

    def require_room(self, again: Callable[[], bytes | Awaitable[bytes]]) -> None:
        """Put off a call whose answer may be large, before it has any effect.

        Args:
            again: Handles the call later.

        Raises:
            NoRoom: As above.
        """

    def set_initial_metadata(self, metadata: Metadata) -> None:
        """Have fields sent at the response's head; in time only before the first message."""
        self._initial = tuple(metadata)

    def set_trailing_metadata(self, metadata: Metadata) -> None:
        """Have fields sent at the response's end."""
        self._trailing = tuple(metadata)
