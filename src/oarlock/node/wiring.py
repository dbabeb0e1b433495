"""What a node asks of the transport that it is given."""

from collections.abc import Callable, Sequence
from typing import Protocol

from oarlock.raft.types import ServerId
from oarlock.trace.recorder import Recorder
from oarlock.transport.interface import Address, OnMessage, OnUnreachable, Transport
from oarlock.transport.stats import PeerStats


class NodeTransport(Transport, Protocol):
    """A transport with a beginning and an end."""

    async def start(self, listen: Sequence[Address]) -> None:
        """Accept connections."""

    async def close(self) -> None:
        """End; no callback comes after this."""

    def is_connected(self, server_id: ServerId) -> bool:
        """Whether there is a link to this peer."""

    @property
    def stats(self) -> dict[ServerId, PeerStats]:
        """Counters by peer."""


OpenTransport = Callable[[OnMessage, OnUnreachable], NodeTransport]
"""Makes the transport, given whom to tell of messages and of lost links."""

OpenTrace = Callable[[int], Recorder]
"""Makes the recorder of this life, given its boot epoch."""
