"""What the runtime needs of a replicated state machine (paper, section 5.3: apply in log order)."""

from typing import BinaryIO, Protocol

from oarlock.raft.types import Index


class SnapshotView(Protocol):
    """A consistent image of the machine, pinned while applies go on.

    `write` blocks and is for an executor; `close` releases what the view pins and may be called more than
    once.
    """

    @property
    def index(self) -> Index:
        """The last log index the image includes (Figure 13's lastIncludedIndex)."""

    def write(self, out: BinaryIO) -> None:
        """Write the image; blocking.

        Args:
            out: Where to; only `write` is called.

        Raises:
            OSError: The destination failed; the view stays usable.
        """

    def close(self) -> None:
        """Let go of the image."""


class StateMachine(Protocol):
    """A deterministic machine: the same commands in the same order give the same state everywhere."""

    def apply(self, index: Index, command: bytes) -> object:
        """Apply one committed command, on the event loop; must be fast and must not wait.

        Args:
            index: The entry's log index, above every earlier one.
            command: The entry's data.

        Returns:
            The result, for whoever proposed the command on this server. A command that fails returns its
            error as a result: only a broken machine raises, and then the server stops.
        """

    def applied_index(self) -> Index:
        """The highest index applied, durable or not; 0 before the first."""

    def durable_index(self) -> Index:
        """The highest index that survives a crash in the machine's own storage; 0 for machines in memory."""

    def flush(self) -> None:
        """Make `durable_index` at least what `applied_index` was at the call; blocking, runs in an executor.

        Raises:
            OSError: The storage failed; what was not flushed stays at hand.
        """

    def begin_snapshot(self) -> SnapshotView:
        """Pin an image of the state as of `applied_index`; cheap, on the event loop."""

    def write_snapshot(self, out: BinaryIO) -> Index:
        """Write an image of the state; blocking, in an executor beside applies.

        Args:
            out: Where to; only `write` is called.

        Returns:
            The index the image stands at.
        """

    def restore(self, source: BinaryIO, index: Index) -> None:
        """Replace the whole state by an image; blocking, durable when it returns.

        Args:
            source: What `SnapshotView.write` wrote.
            index: The index the image stands at, from the snapshot's metadata.

        Raises:
            ValueError: The image is not one, or stands at another index; the old state is still in place.
        """
