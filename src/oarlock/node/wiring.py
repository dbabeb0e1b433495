"""What a node asks of what it is given, and its owner of what carries out effects."""

from collections.abc import Callable, Sequence
from typing import Protocol

from oarlock.raft.ready import SnapshotChunk, SnapshotChunkRequest
from oarlock.raft.types import ServerId, SnapshotMetadata
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


class SnapshotEffects(Protocol):
    """Carries out what the core wants done with snapshots; each call returns at once."""

    def send_chunk(self, request: SnapshotChunkRequest) -> None:
        """Read a chunk and send it."""

    def write_chunk(self, chunk: SnapshotChunk) -> None:
        """Write a received chunk, then tell the owner."""

    def install(self, metadata: SnapshotMetadata, number: int) -> None:
        """Have the machine restored, once the log's new base (`Ready` `number`) is durable."""

    def take(self) -> None:
        """Make a snapshot for followers, then tell the owner."""
