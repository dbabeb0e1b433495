"""What can be set about a node of the library, and what it stands on."""

import random
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from oarlock.machine.interface import StateMachine
from oarlock.node.executors import Executors
from oarlock.raft.types import ServerId
from oarlock.replica.table import Table
from oarlock.storage.disk import Disk, PosixDisk
from oarlock.trace.recorder import Recorder
from oarlock.transport.options import TransportOptions
from oarlock.transport.tcp import TcpTransport


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of one node; times in milliseconds as named, sizes in bytes. The same on all servers where it says so.

    Raises:
        ValueError: A setting is out of range; the message names it.
    """

    election_timeout_ms: int = 1000
    """How long the leader may be silent before another is elected; the same on all servers."""
    heartbeat_interval_ms: int = 100
    """How often the leader shows that it is there; the same on all servers."""
    command_timeout_ms: int = 7000
    """For commands that bring no time of their own."""
    read_timeout_ms: int = 7000
    """For reads that bring no time of their own."""
    max_command_bytes: int = 8 << 20
    max_pending_commands: int = 16_384
    """Commands of this server that are under way; more are refused with `Overloaded`."""
    max_pending_bytes: int = 128 << 20
    """The same in bytes."""
    lease_reads: bool = False
    """Let a leader answer reads under its lease, without asking the others: safe only while `max_clock_drift` holds."""
    max_clock_drift: float = 0.1
    """By what fraction any two servers' clocks may differ in speed; matters for `lease_reads` alone."""
    snapshot_count: int = 10_000
    """Entries of the log after which a snapshot is taken and the log is cut.

    Commands that are called together are one entry, up to 128 of them and 16 KiB.
    """
    snapshot_tail: int = 1_000
    """Entries kept behind that for servers that lag a little."""
    slow_command_ms: float = 100.0
    """A command whose code takes longer is reported."""
    agreement_interval: int = 1000
    """After how many commands servers compare their states; 0 for never. The same on all servers."""
    session_idle_ms: int = 3_600_000
    """How long a session may lie idle before it is forgotten."""
    max_sessions: int = 10_000
    disk_reserve_bytes: int = 32 << 20
    """Free space below which nothing is written any more."""
    own_thread: bool = True
    """Let the Raft run in a thread of its own, so that code of yours that blocks the loop costs no election."""

    def __post_init__(self) -> None:
        """Refuse what cannot work; the node's own settings are judged by the node."""
        for name in ("slow_command_ms", "session_idle_ms", "max_sessions"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)}")
        if self.agreement_interval < 0:
            raise ValueError(f"agreement_interval must not be negative: {self.agreement_interval}")


def _rng() -> random.Random:
    return random.Random(secrets.randbits(128))  # noqa: S311 - for timeouts; ids of sessions take from it as well


@dataclass(frozen=True, kw_only=True)
class Environment:
    """What a node stands on; a simulator brings its own."""

    disk: Disk = field(default_factory=PosixDisk)
    rng: random.Random = field(default_factory=_rng)
    wall_clock: Callable[[], float] = time.time
    """Seconds since 1970."""
    executors: Executors | None = None
    """Threads for what blocks; made by the node where None."""
    transport: type[TcpTransport] = TcpTransport
    transport_options: TransportOptions = field(default_factory=lambda: TransportOptions(max_message_bytes=32 << 20))
    open_trace: Callable[[ServerId, int], Recorder] | None = None
    """Makes what records a server's life, given its id and boot epoch, where no `trace` says so."""
    open_table: Callable[[Path], Table] = Table
    """Opens the table of a machine on disk, in a directory."""
    watch_machine: Callable[[StateMachine], StateMachine] | None = None
    """Puts between the node and its machine what looks on, where both are on one loop."""
    check_invariants: bool = False
    """Have the core check itself at each step; for tests."""
