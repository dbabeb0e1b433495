"""How a command, a read or a start fails, each as a type of its own.

`outcome_unknown` of any of them says whether the command may take effect, or have taken effect, all the same.
"""

from oarlock.node.errors import (
    BadTransferee,
    ChangeRefused,
    ChangeTimeout,
    DiskFull,
    NodeError,
    NoLeader,
    Overloaded,
    ProposalTimeout,
    ProposalTooLarge,
    ReadTimeout,
    RecoveryError,
    ResultUnavailable,
    ServerRemoved,
    Stopped,
    TransferTimeout,
)
from oarlock.node.errors import NotLeader as NodeNotLeader

__all__ = [
    "BadTransferee",
    "ChangeRefused",
    "CommandFailed",
    "DiskFull",
    "Diverged",
    "JoinRefused",
    "NoLeader",
    "NotEncodable",
    "NotLeader",
    "NotStarted",
    "NotUnderstood",
    "OarlockError",
    "Overloaded",
    "ProposalTooLarge",
    "ReadTimedOut",
    "RecoveryError",
    "ResultUnavailable",
    "SerialForgotten",
    "ServerRemoved",
    "SessionExpired",
    "Stopped",
    "Timeout",
    "TooManySessions",
    "TooStale",
    "translated",
]

OarlockError = NodeError
"""Anything that the library refuses or gives up; what a command's own code raises is not of this type."""


class Timeout(OarlockError, TimeoutError):
    """Not done in the time given; a command may be carried out all the same, or has been."""

    outcome_unknown = True


class ReadTimedOut(Timeout):
    """A read could not be confirmed in the time given."""

    outcome_unknown = False


class NotStarted(Stopped):
    """The node was not started yet, so nothing was proposed."""

    outcome_unknown = False


class NotLeader(OarlockError):
    """Only the leader can do this.

    Attributes:
        leader: Where the leader is reached, as far as this server knows.
    """

    def __init__(self, text: str, leader: str | None = None) -> None:
        super().__init__(text, leader)
        self.leader = leader

    def __str__(self) -> str:
        return f"{self.args[0]}; {self.leader or 'nobody known'} does"


class NotEncodable(OarlockError, TypeError):
    """An argument, a result or a snapshot holds what msgpack cannot carry; the text names what and where."""


class CommandFailed(OarlockError):
    """A command raised an exception whose class is not known here.

    Attributes:
        type_name: The class's name, with its module.
        text: The exception's text.
    """

    def __init__(self, type_name: str, text: str) -> None:
        super().__init__(type_name, text)
        self.type_name = type_name
        self.text = text

    def __str__(self) -> str:
        return f"{self.type_name}: {self.text}"


class NotUnderstood(OarlockError):
    """A command is newer than what some server understands; nothing was proposed.

    Attributes:
        servers: Where those that do not understand it are reached.
    """

    def __init__(self, text: str, servers: tuple[str, ...] = ()) -> None:
        super().__init__(text, servers)
        self.servers = servers

    def __str__(self) -> str:
        return str(self.args[0])


class SessionExpired(OarlockError):
    """The session is not known any more: it was closed, or not used for too long. Earlier commands stay done."""

    outcome_unknown = True  # this one may be one of them


class TooManySessions(OarlockError):
    """As many sessions are open as there may be."""


class SerialForgotten(OarlockError):
    """The reply to this serial was given up, as the client had said it needs it no more; it was applied once."""


class TooStale(OarlockError):
    """This server does not know itself as up to date as the read demands."""


class Diverged(OarlockError):
    """This server's state differs from that of the majority: some command is not deterministic, or memory is bad."""


class JoinRefused(OarlockError):
    """The cluster does not take this server in; the text says why."""


def translated(error: BaseException, leader: str | None = None) -> BaseException:
    """An error of the node as callers of the library know it."""
    match error:
        case ProposalTimeout() | ChangeTimeout() | TransferTimeout():
            return Timeout(str(error))
        case ReadTimeout():
            return ReadTimedOut(str(error))
        case NodeNotLeader():
            return NotLeader(str(error), leader)
        case _:
            return error
