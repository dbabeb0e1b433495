"""`raft-trace/1`, field by field: a header, then one JSON object per event.

Names are short where they repeat in every line. A field at its default is left out. Servers are named `n` and their
id in hexadecimal, since a 64-bit number is not safe in JSON; integers beyond 2**53 are written as strings.
"""

import re
from collections.abc import Callable
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final, NamedTuple

import msgspec

VERSION: Final = 1
FORMAT: Final = "raft-trace"
RULES: Final = "fig2/1"
"""The catalogue that the ids in `Event.r` are of."""
KEYFRAME_EVERY: Final = 1024
"""Events of one server after which its whole state is written again."""
LARGEST_SAFE_INTEGER: Final = (1 << 53) - 1
"""Beyond this a JSON number may change its value in a reader that knows only doubles."""

WORLD: Final = "net"
"""The lane of what happens to no server: the network's doings."""


class Kind(StrEnum):
    """What an event is (`Event.k`)."""

    RESTART = "restart"
    """A life begins, the first one too; `s` is the state as recovered."""
    CRASH = "crash"
    """A life ended, without a word."""
    RECV = "recv"
    """A message was taken."""
    SEND = "send"
    """A message left; its id is the message's."""
    DROP = "drop"
    """A message was lost for certain; `cause` says how."""
    DUP = "dup"
    """A message was doubled on the way."""
    TIMER = "timer"
    """A deadline passed."""
    CLIENT = "client"
    """A call from outside: a proposal, a read, a change of members, and how it ended."""
    READY = "ready"
    """The effects of the events so far were taken out; `x.write` if part of them went on its way to disk."""
    FSYNC = "fsync"
    """The disk part of every `ready` up to number `x.number` is durable."""
    ADVANCE = "advance"
    """The core learnt of that."""
    APPLY = "apply"
    """The state machine has applied up to an index."""
    SNAPSHOT = "snapshot"
    """A snapshot was made, received in part, or found wanting; or the log was compacted."""
    LINK = "link"
    """The transport lost a connection."""
    PART = "part"
    """The network was cut; `x.links`."""
    HEAL = "heal"
    """A cut ended."""
    KEY = "key"
    """The whole state once more, so that a reader can begin here."""
    GAP = "gap"
    """`x.lost` events could not be kept; the state is unknown from here to the next `key`, two events on."""
    FAULT = "fault"
    """A simulated fault began; with `x.ended`, it is over."""
    VIOL = "viol"
    """A property does not hold: `x.property`, `x.sentence`, `x.witnesses`."""


CAUSES: Final = {
    "lost": "the network lost this one message",
    "partition": "nothing got through between the two, until the sender or its connection gave up",
    "dst_down": "the receiver's process was gone, or ended before it took the message",
    "src_down": "the sender's process ended before the message had left it",
    "queue": "the sender gave it up: no connection, or no room",
    "reset": "the connection broke under it",
    "corrupt": "it was damaged on the way, and the receiver noticed",
    "stale_epoch": "it came by a connection of an earlier life of the sender",
}
"""Why a message was dropped (`Event.cause`)."""

Pair = tuple[int | None, int | None]
Names = tuple[str | None, str | None]
"""Before and after."""

LogRow = tuple[int, int, int, str | None]
"""An entry: index, term, kind (0 no-op, 1 command, 2 configuration), payload as the recorder may show it."""

Run = tuple[int, int, int]
"""First index, last index, and the term of all entries between."""


class LogDelta(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """How the log changed: first the base moved, then the end was cut off, then entries were appended."""

    base: tuple[int, int] | None = None
    """Index and term up to which the log was compacted away; all entries up to it are gone."""
    trunc: int = 0
    """Entries from this index on were deleted."""
    app: tuple[LogRow, ...] = ()


class ConfigurationView(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True, frozen=True):
    """Who votes and who learns."""

    voters: tuple[str, ...] = ()
    outgoing: tuple[str, ...] = ()
    """Not empty while joint."""
    learners: tuple[str, ...] = ()


class Delta(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """What an event changed: each a pair of before and after, per server where it is of a follower."""

    term: Pair | None = None
    vote: Names | None = None
    role: Names | None = None
    leader: Names | None = None
    commit: Pair | None = None
    handed: Pair | None = None
    """How far committed entries were handed to the state machine."""
    applied: Pair | None = None
    durable: Pair | None = None
    """How far the core knows its log to be on disk."""
    timer: Pair | None = None
    """When the election timer runs out, in microseconds on the event's clock."""
    beat: tuple[bool, bool] | None = None
    """Whether heartbeats are due."""
    snapshot: Pair | None = None
    """Up to which index a snapshot is at hand."""
    transfer: Names | None = None
    """To whom the lead is being handed over."""
    conf: tuple[ConfigurationView, ConfigurationView] | None = None
    log: LogDelta | None = None
    next: dict[str, Pair] | None = None
    match: dict[str, Pair] | None = None
    mode: dict[str, Names] | None = None
    votes: dict[str, tuple[bool | None, bool | None]] | None = None


class ServerState(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """All of one server that is observed; fields as in `Delta`."""

    term: int = 0
    vote: str | None = None
    role: str = "follower"
    leader: str | None = None
    commit: int = 0
    handed: int = 0
    applied: int = 0
    durable: int = 0
    timer: int | None = None
    beat: bool = False
    snapshot: int = 0
    transfer: str | None = None
    conf: ConfigurationView = ConfigurationView()
    base: tuple[int, int] = (0, 0)
    log: list[Run] = []
    next: dict[str, int] = {}
    match: dict[str, int] = {}
    mode: dict[str, str] = {}
    votes: dict[str, bool] = {}


class Event(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """One event."""

    id: str
    """`n2.3.187`: server, boot epoch, and the number of the event in that life, from 1."""
    t: int
    """Microseconds: of virtual time in a simulation, since 1970 in a live run."""
    lc: int
    """Lamport clock: above that of the previous event here and, for a `recv`, of the message's `send`."""
    k: Kind
    src: str = ""
    """Sender of the message."""
    to: str = ""
    """Receiver of the message."""
    m: str = ""
    """The message: the id of its `send`, with `#2` and so on for further copies; empty if that is not known."""
    by: str = ""
    """Of a `send`: the event that decided it."""
    x: dict[str, Any] = {}
    """Particulars: a message's fields, `type` first among them; a call's."""
    r: tuple[str, ...] = ()
    """Rules that acted, in order."""
    g: tuple[tuple[Any, ...], ...] = ()
    """The operands of each, in parallel; their names are in `flows.FLOWS`."""
    rd: dict[str, str] = {}
    """What was read, and the event that last wrote it."""
    w: Delta | None = None
    cause: str = ""
    """Of a `drop`."""
    s: ServerState | None = None
    """The whole state after the event: of `restart` and `key`."""


class Header(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """The first line."""

    v: int = msgspec.field()
    format: str = FORMAT
    run: str
    """Names the run; equal in all files of one live cluster's incident."""
    kind: str
    """`sim` or `live`."""
    seed: int | None = None
    schedule: dict[str, Any] | None = None
    """Of a simulation: all of the run as data (`oarlock-schedule/1`), so that it can be run again, or changed."""
    nodes: dict[str, str] = {}
    """Known servers, by name in the trace, with the name people know."""
    clock: str = "virtual"
    """`virtual`, or `wall`: then the clocks of different servers differ."""
    features: tuple[str, ...] = ()
    """Settings of the core that are on, such as `pre_vote`."""
    rules: str = RULES
    payloads: str = "hashed"
    """`hashed`, `omitted` or `verbatim`: what stands where bytes of clients would."""
    part: int = 1
    """The number of this file in a rotated series."""


Sink = Callable[[Event], bool]
"""Takes an event; False if there was no room for it, and it is lost."""

_ENCODER: Final = msgspec.json.Encoder()


def encode(item: Event | Header) -> bytes:
    """A line, with its end."""
    return _ENCODER.encode(item) + b"\n"


@lru_cache(maxsize=1 << 12)
def server_name(server_id: int) -> str:
    """How a server is named in traces."""
    return f"n{server_id:x}"


class EventId(NamedTuple):
    """The parts of an event's id."""

    lane: str
    epoch: int
    number: int


_ID: Final = re.compile(r"([a-z0-9]+)\.(\d{1,20})\.(\d{1,20})(?:#\d{1,9})?", re.ASCII)


@lru_cache(maxsize=1 << 16)
def parse_id(text: str) -> EventId:
    """Take an event's or message's id apart; the number of a copy is left out.

    Raises:
        ValueError: It is none.
    """
    match = _ID.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:80]!r} is not an event id such as 'n2.3.187'")
    return EventId(match[1], int(match[2]), int(match[3]))


def sent_id(message_id: str) -> str:
    """The id of the `send` of a message or of any copy of it."""
    return message_id.partition("#")[0]
