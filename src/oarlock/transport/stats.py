"""Plain counters, read by whoever publishes metrics."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class LinkStats:
    """One channel of one peer. Bytes are of whole frames of messages, headers in, pings not."""

    sent_messages: int = 0
    sent_bytes: int = 0
    received_messages: int = 0
    received_bytes: int = 0
    dropped_disconnected: int = 0
    """Refused by `send` because there was no link."""
    dropped_queue_full: int = 0
    """Refused by `send` because the queue had reached its bound in messages or bytes."""
    dropped_too_large: int = 0
    """Refused by `send` because of `max_message_bytes`."""
    dropped_lost: int = 0
    """Taken by `send`, but still in our queue when the link was lost."""
    connects: int = 0
    """Times the link was established; all but the first are reconnects."""
    losses: int = 0
    """Times an established link was lost."""
    connect_failures: int = 0
    """Attempts that failed before a hello was answered: name, TCP, TLS, timeout."""
    handshake_failures: int = 0
    """Attempts refused by either side."""
    connected: bool = False
    """Whether the outgoing link is established."""
    round_trip_s: float | None = None
    """The latest measured round trip, in seconds, as finely as `loop.time()` counts; None before the first."""

    @property
    def dropped_messages(self) -> int:
        """Messages dropped, whatever the cause."""
        return self.dropped_disconnected + self.dropped_queue_full + self.dropped_too_large + self.dropped_lost


@dataclass(slots=True)
class PeerStats:
    """Both channels of one peer."""

    control: LinkStats = field(default_factory=LinkStats)
    bulk: LinkStats = field(default_factory=LinkStats)

    @property
    def sent_bytes(self) -> int:
        """Bytes sent on both channels."""
        return self.control.sent_bytes + self.bulk.sent_bytes

    @property
    def received_bytes(self) -> int:
        """Bytes received on both channels."""
        return self.control.received_bytes + self.bulk.received_bytes


@dataclass(slots=True)
class IncomingStats:
    """Incoming connections of all peers, and what went wrong with them."""

    established: int = 0
    """Handshakes agreed since the start."""
    refused: dict[str, int] = field(default_factory=dict)
    """Refused hellos by reason, named as in `handshake.RefusalReason`, in lower case."""
    handshake_timeouts: int = 0
    tls_failures: int = 0
    half_open_evicted: int = 0
    over_limit: int = 0
    """Turned away because of `max_incoming`."""
    bad_frames: int = 0
    """Closed because of damaged, oversized or unexpected frames."""
    handler_failures: int = 0
    """Closed because the runtime raised on a payload."""
