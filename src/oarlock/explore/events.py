"""What can happen to one server, in one step."""

from typing import NamedTuple, cast

from oarlock.explore.bounds import Renaming
from oarlock.explore.renaming import rename
from oarlock.raft.messages import RaftMessage
from oarlock.raft.types import Configuration


class Deliver(NamedTuple):
    """A message arrives."""

    message: RaftMessage
    late: bool = False
    """Whether all that the server waits for has waited long: it has heard from no leader lately, and what it sent
    counts as lost."""


class TimeOut(NamedTuple):
    """The election timer runs out."""


class Heartbeat(NamedTuple):
    """A leader's heartbeat is due."""


class News(NamedTuple):
    """A leader tells what is committed, though it has nothing else to send."""


class LoseMajority(NamedTuple):
    """A leader has not heard from a majority for an election timeout."""


class Propose(NamedTuple):
    """A client proposes a command."""

    command: bytes


class Change(NamedTuple):
    """An operator begins a change of members."""

    target: Configuration


class Compact(NamedTuple):
    """A snapshot of what is applied is taken, and the log up to there dropped."""


class EndWrite(NamedTuple):
    """The disk ends its oldest write."""


class Crash(NamedTuple):
    """The process dies, with the writes under way, and starts again."""


Event = Deliver | TimeOut | Heartbeat | News | LoseMajority | Propose | Change | Compact | EndWrite | Crash


class Fatal(NamedTuple):
    """A process dies while the disk carries out a write that an event brought, and starts again."""

    event: Event
    write: int
    """Which of the event's writes is lost, from 0; those before it are on the disk."""


def rename_event(event: Event | Fatal, renaming: Renaming) -> Event | Fatal:
    """An event with other names for the servers."""
    match event:
        case Fatal(inner, write):
            return Fatal(cast("Event", rename_event(inner, renaming)), write)
        case Deliver(message, late):
            return Deliver(rename(message, renaming), late)
        case Change(target):
            return Change(rename(target, renaming))
        case _:
            return event


def describe(event: Event | Fatal) -> str:
    """What happens, in words that follow "server 1"."""
    match event:
        case Fatal(inner, write):
            return f"{describe(inner)}, and crashes before its write {write + 1} is on disk; it starts again"
        case Deliver(message, late):
            waited = ", long after it last heard from anybody" if late else ""
            sender = f"server {message.source}" if message.source else "somebody"  # where it does not matter who
            return f"takes {type(message).__name__} of term {message.term} from {sender}{waited}"
        case TimeOut():
            return "has its election timer run out"
        case Heartbeat():
            return "sends heartbeats"
        case News():
            return "tells what is committed"
        case LoseMajority():
            return "has not heard from a majority for an election timeout"
        case Propose(command):
            return f"is given command {command.decode()}"
        case Change(target):
            return f"is to change the voters to {sorted(target.voters)}"
        case Compact():
            return "takes a snapshot and drops its log up to there"
        case EndWrite():
            return "ends a write to its disk"
        case Crash():
            return "crashes, and starts again"
