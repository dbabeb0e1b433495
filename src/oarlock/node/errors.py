"""How a proposal, a read or a start fails, each as a type of its own.

Whether a failed proposal may still take effect is said by `NodeError.outcome_unknown`, so that a client can tell a
write that certainly did not happen from one that perhaps did.
"""

import asyncio
from enum import IntEnum
from typing import Any, ClassVar


class NodeError(Exception):
    """Anything a node refuses or gives up."""

    outcome_unknown: ClassVar[bool] = False
    """Whether the proposal may be applied all the same."""


class ProposalTimeout(NodeError):
    """No answer in the time given; the command may have been applied or may still be."""

    outcome_unknown = True


class ResultUnavailable(NodeError):
    """The command was applied, but inside a snapshot this server received: its result is not at hand."""

    outcome_unknown = True


class Stopped(NodeError):
    """The node is stopping or has stopped; a command already on its way may still be applied elsewhere."""

    outcome_unknown = True


class ActivityCancelled(NodeError):
    """One of the node's own tasks was cancelled by somebody else; without it the node cannot go on."""


def error_of(task: "asyncio.Task[Any]", *, is_stopping: bool) -> BaseException | None:
    """Why a node cannot go on without a task of its own that has ended; None if it was to end."""
    if not task.cancelled():
        return task.exception()
    return None if is_stopping else ActivityCancelled(f"{task.get_name()} was cancelled, and not by the node")


class BootOutdated(NodeError):
    """The cluster has seen a later boot of this server: the date went back, and what counts boots was lost.

    Nothing that this boot proposes is applied; the next one is counted above all of them.
    """


class Overloaded(NodeError):
    """Too many proposals or reads are waiting; nothing was proposed. Try again later."""


class NoLeader(NodeError):
    """There was no leader in the time given; nothing was proposed, or the read could not be confirmed."""


class ProposalTooLarge(NodeError):
    """The command is longer than `NodeConfig.max_command_bytes`; nothing was proposed."""


class DiskFull(NodeError):
    """The disk has no room for more log; nothing was proposed. Writes resume when space returns."""


class ReadTimeout(NodeError):
    """A read could not be confirmed, or this server did not catch up with it, in the time given."""


class RecoveryError(NodeError):
    """What lies on disk does not fit together; the message says what, and what can be done."""


class ServerRemoved(RecoveryError):
    """This server was removed from its cluster: what it holds is of no use, and its id cannot come back."""


class Refusal(IntEnum):
    """Why members cannot be changed as asked; the numbers go over the wire."""

    NOT_A_MEMBER = 1
    MEMBER_EXISTS = 2
    ID_REMOVED = 3
    ADDRESS_IN_USE = 4
    BAD_ADDRESS = 5
    NOT_A_LEARNER = 6
    LEARNER_NOT_READY = 7
    TOO_MANY_LEARNERS = 8
    UNHEALTHY = 9
    """Too few members answer the leader."""
    LAST_VOTER = 10
    NOT_A_VOTER = 11


class ChangeRefused(NodeError):
    """Members were not changed: `refusal` names the cause, the text explains it."""

    def __init__(self, refusal: Refusal, text: str) -> None:
        super().__init__(refusal, text)
        self.refusal = refusal

    def __str__(self) -> str:
        return str(self.args[1])


class ChangeTimeout(NodeError):
    """The change of members was not known to be done in the time given; it may still be."""

    outcome_unknown = True


class NotLeader(NodeError):
    """Only the leader can do this."""


class BadTransferee(NodeError):
    """Leadership can be handed over only to a member that votes."""


class TransferTimeout(NodeError):
    """The successor did not take over in the time given."""

    outcome_unknown = True
