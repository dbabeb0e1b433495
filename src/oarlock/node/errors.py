"""How a proposal, a read or a start fails, each as a type of its own.

Whether a failed proposal may still take effect is said by `NodeError.outcome_unknown`, so that a client can tell a
write that certainly did not happen from one that perhaps did.
"""

from typing import ClassVar


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
