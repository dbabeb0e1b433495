"""A state machine of one's own, where objects with methods are not what is wanted."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from oarlock.replica.codec import Value
from oarlock.replica.context import Context

if TYPE_CHECKING:
    from oarlock.replica.table import Table


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


class DiskStateMachine(ABC):
    """A state machine whose state is on disk, and may be larger than memory.

    ::

        class Files(DiskStateMachine):
            def apply(self, command, context):
                self.table.put(command["name"].encode(), command["content"])

    The table is flushed in the background, in one transaction with what is needed to go on from there; after a crash
    the log is applied again from the last flush. Snapshots are streamed from a view of the table, while commands go on.

    Attributes:
        version: See `StateMachine`.
        table: The state: all of it, as `apply` may keep nothing elsewhere. There once the node has started.
    """

    version: ClassVar[int] = 1
    table: "Table"

    @abstractmethod
    def apply(self, command: Value, context: Context) -> Any:  # noqa: ANN401
        """See `StateMachine.apply`."""
