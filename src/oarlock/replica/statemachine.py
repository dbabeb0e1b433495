"""A state machine of one's own, where objects with methods are not what is wanted."""

from abc import ABC, abstractmethod
from typing import Any, BinaryIO, ClassVar, Protocol

from oarlock.raft.types import Index
from oarlock.replica.codec import Value
from oarlock.replica.context import Context


class StateMachine(ABC):
    """Applies commands, one after the other, on every server in the same order.

    Attributes:
        version: The highest version of commands that this program understands. `node.propose(command, version=2)` is
            refused until all servers of the cluster understand it.
    """

    version: ClassVar[int] = 1

    @abstractmethod
    def apply(self, command: Value, context: Context) -> Any:  # noqa: ANN401
        """Carry out a command; the same on every server.

        Args:
            command: What was proposed; tuples have become lists.
            context: Index, machine time, chance, and the version in which the command was proposed.

        Returns:
            The result, for whoever proposed it. An exception is raised there, and nowhere else; what was changed before
            stays changed, on every server.
        """

    @abstractmethod
    def snapshot(self) -> object:
        """The whole state as plain data; encoded before anything else happens."""

    @abstractmethod
    def restore(self, image: Value) -> None:
        """Replace the whole state by what `snapshot` gave; tuples have become lists."""


class View(Protocol):
    """A state that stands still while commands go on."""

    def write(self, out: BinaryIO) -> None:
        """Write all of it; in a thread.

        Args:
            out: Where to; only `write` is called.
        """

    def close(self) -> None:
        """Let go of it."""


class DurableStateMachine(ABC):
    """A state machine that keeps its state on disk itself, which may be larger than memory.

    `apply` changes what is on disk, not necessarily durably: `flush` does that, in a thread, and with it notes durably
    up to which entry. After a crash the log is applied again from there, so nothing may be durable in part: one
    transaction for what one `flush` covers.
    """

    version: ClassVar[int] = 1

    @abstractmethod
    def durable(self) -> tuple[Index, bytes]:
        """What the last `flush` that counts was given; (0, b"") for a state that never had one."""

    @abstractmethod
    def apply(self, command: Value, context: Context) -> Any:  # noqa: ANN401
        """See `StateMachine.apply`."""

    @abstractmethod
    def begin_flush(self, index: Index, beside: bytes) -> "Flush":
        """Begin to make durable what was applied, with these beside it; on the loop.

        Args:
            index: Of the last entry applied.
            beside: What the library keeps with the state.
        """

    @abstractmethod
    def view(self) -> View:
        """Pin the state as it is now, for a snapshot; on the loop."""

    @abstractmethod
    def restore(self, source: BinaryIO, index: Index, beside: bytes) -> None:
        """Replace the state by what a view wrote, durably and all at once; in a thread, while nothing else is done."""


class Flush(Protocol):
    """A flush that has begun."""

    def run(self) -> None:
        """Do it; in a thread, while commands go on."""

    def finish(self) -> None:
        """It is done; on the loop."""

    def abandon(self) -> None:
        """It has failed; on the loop."""
