"""A run as data: its settings, and timed lists of faults and client operations. Format `oarlock-schedule/1`."""

from typing import Final, Literal

import msgspec

FORMAT: Final = "oarlock-schedule/1"

Mode = Literal["available", "safe", "contained"]
"""What a run owes: everything, since the disks of a majority stay whole; only that nothing is lost in silence, whatever
is damaged; or that what one server's disk forgets harms nobody else."""
MODES: Final[tuple[Mode, ...]] = ("available", "safe", "contained")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a run is set up with."""

    servers: int = 3
    clients: int = 4
    duration_s: float = 20.0
    """Of the part with faults."""
    election_timeout_ms: int = 300
    heartbeat_interval_ms: int = 30
    max_learners: int = 1
    pre_vote: bool = True
    check_quorum: bool = True
    proposal_timeout_ms: int = 3000
    snapshot_count: int = 200
    snapshot_tail: int = 20
    snapshot_chunk_bytes: int = 1024
    segment_bytes: int = 16 << 10
    flush_interval_ms: int = 50
    link_delay_s: float = 0.0005
    link_jitter_s: float = 0.0005
    link_tail: float = 0.01
    disk_mean_s: float = 0.0008
    heal: Literal["all", "majority"] = "all"
    """Whom the healing reaches: everybody, or only a majority drawn from the seed."""
    mode: Mode = "available"
    lease_reads: bool = False
    """Whether leaders answer reads by their lease; clocks then differ by no more than `max_clock_drift`."""
    max_clock_drift: float = 0.1
    knobs: dict[str, int | bool] = {}
    """Any other setting for every server, by its name: of `NodeConfig` as it is, of `RaftConfig` after "raft.", of
    `TransportOptions` after "transport."."""
    server_knobs: dict[int, dict[str, int | bool]] = {}
    """The same for single servers, by number; counts before what all have."""
    client_failover: bool = False
    """Whether clients turn to the next server where one refuses connections, and repeat reads that failed."""
    client_protocol: Literal["direct", "http2"] = "direct"
    """Whether clients call the handlers of a process, or its port, with HTTP/2 over connections."""
    versions: dict[int, int] = {}
    """Which version single servers begin as, by number: see `oarlock.sim.versions`."""


class Fault(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One fault, with its end."""

    at: float
    """In seconds of true time."""
    kind: str
    """As in `oarlock.sim.faults.KINDS`."""
    servers: tuple[int, ...] = ()
    """Whom it concerns, by their numbers; 0 for whoever leads at that moment. Servers that are added get the numbers
    that follow; a number that nobody has, or has any more, means some other server."""
    seconds: float = 0.0
    """How long it lasts."""
    value: float = 0.0
    """How strong it is, in the unit of its kind."""


class ClientOperation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One request of a client."""

    at: float
    client: int
    server: int
    """Whom it is asked of; 0 for whoever leads at that moment."""
    kind: str
    """"put", "get", "serializable", "range", "delete", "delete_range", "cas", "txn", "compact"."""
    key: str = ""
    value: str = ""
    retries: int = 0
    """How often it is asked anew, as a request of its own, while nobody can tell what became of the last."""


class MessageEdit(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is to become of one message, whatever would have become of it: a counterfactual."""

    message: str
    """The id of its sending in the trace of the run without this edit, such as "n3.1.13"."""
    do: Literal["drop", "deliver", "delay", "duplicate"]
    """It is lost; it arrives, past everything that stands in the way; it arrives so much later, overtaken by others; it
    arrives twice."""
    seconds: float = 0.0
    """Of the delay."""


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """All that a run is made from, its seed for chance in the small included."""

    format: str = FORMAT
    seed: int = 0
    settings: Settings = Settings()
    faults: tuple[Fault, ...] = ()
    operations: tuple[ClientOperation, ...] = ()
    edits: tuple[MessageEdit, ...] = ()
    """The first names a message of the run without edits, each other one of the run with those before it."""
