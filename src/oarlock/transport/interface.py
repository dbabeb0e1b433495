"""What the runtime asks of a transport, whatever carries the bytes."""

from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Protocol

from oarlock.raft.types import ServerId

Address = tuple[str, int]
"""A host (name or literal; names are resolved at every connect attempt) and a TCP port."""

OnMessage = Callable[[ServerId, bytes], None]
"""Called on the loop with the sender and one payload. Raising closes the connection that brought it."""

OnUnreachable = Callable[[ServerId], None]
"""Called on the loop when an established link is lost: messages taken before may never arrive."""


class Channel(IntEnum):
    """The two connections between a pair, so that a heartbeat never waits behind a snapshot."""

    CONTROL = 1
    SNAPSHOT = 2


class Transport(Protocol):
    """Carries opaque payloads between servers: in order per channel, at most once, perhaps not at all.

    Raft repeats what it still needs, so a full queue drops and never blocks or grows.
    """

    def send(self, to: ServerId, payload: bytes) -> bool:
        """Hand over a protocol message. False: dropped (no link, full queue, too large). Never raises."""
        ...

    def send_bulk(self, to: ServerId, payload: bytes) -> bool:
        """Hand over a piece of a snapshot, on the stream of its own. False: dropped. Never raises."""
        ...

    def add_peer(self, server_id: ServerId, addresses: Sequence[Address]) -> None:
        """Keep a link to this server, or replace the addresses at which it is looked for."""
        ...

    def remove_peer(self, server_id: ServerId) -> None:
        """Drop the link to this server; an unknown one is ignored."""
        ...
