"""Every limit and timeout of the transport, with the reason for its default."""

from dataclasses import dataclass, fields

from oarlock.transport.framing import PAYLOAD_LIMIT_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportOptions:
    """Limits and timeouts of one server's transport.

    Raises:
        ValueError: A value is below 1, or `max_message_bytes` is beyond what a frame can carry.
    """

    max_message_bytes: int = 16 << 20
    """Largest payload sent or accepted; a sender drops more, a receiver closes the connection."""
    queue_messages: int = 4096
    """Messages that may wait for the control connection of one peer."""
    queue_bytes: int = 16 << 20
    """Bytes that may wait there; one message alone may be larger, up to `max_message_bytes`."""
    bulk_queue_messages: int = 64
    """Snapshot chunks that may wait for the snapshot connection of one peer."""
    bulk_queue_bytes: int = 8 << 20
    """Bytes that may wait there."""
    write_buffer_bytes: int = 256 << 10
    """Bytes inside the loop's own write buffer above which we keep further ones in our queue."""
    connect_timeout_ms: int = 5000
    """Resolving, TCP and TLS of one attempt together."""
    handshake_timeout_ms: int = 5000
    """From connection to agreed hello; on the accepting side TLS counts in."""
    backoff_initial_ms: int = 50
    """Wait after the first failure, before jitter."""
    backoff_max_ms: int = 1000
    """Longest wait: about one election timeout, so a returned server is found before it campaigns again."""
    ping_interval_ms: int = 1000
    """How often a connection is asked for a sign of life, and its round trip measured."""
    silent_pings: int = 5
    """Intervals without any sign of life after which a control connection counts as dead."""
    bulk_silent_pings: int = 30
    """The same for a snapshot connection, where an answer waits behind megabytes on a slow line."""
    idle_timeout_ms: int = 30_000
    """An incoming connection without a byte for so long is closed; a living peer pings meanwhile."""
    max_half_open: int = 64
    """Incoming connections before their hello is agreed; one more evicts the oldest."""
    max_incoming: int = 256
    """Incoming connections altogether; one more is refused."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value < 1:
                raise ValueError(f"transport option {field.name} must be at least 1, not {value}")
        if self.max_message_bytes > PAYLOAD_LIMIT_BYTES:
            raise ValueError(
                f"transport option max_message_bytes must be at most {PAYLOAD_LIMIT_BYTES}, "
                f"not {self.max_message_bytes}"
            )
