"""What the runtime needs of a replicated state machine (paper, section 5.3: apply in log order).

A machine belongs to the event loop's thread. What must block is handed out as a job: begun on the loop, where
nothing else happens meanwhile, run in an executor beside further applies, and ended on the loop again.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import BinaryIO, Protocol, runtime_checkable

from oarlock.raft.types import Index


class FlushPostponed(Exception):
    """There was no room for the flush; nothing was lost, and it may be tried again later."""


class Job(Protocol):
    """Blocking work on a machine; `carry_out` does its three steps in order."""

    def run(self) -> None:
        """Do the work; blocking, in an executor.

        Raises:
            FlushPostponed: A flush found no room; try again later.
            ValueError: The image to restore is damaged; the machine is as it was.
            Exception: The machine's storage is beyond use.
        """

    def finish(self) -> None:
        """Take the result into use; on the loop, after `run` has returned."""

    def abandon(self) -> None:
        """Go on as if it had not begun; on the loop, after `run` has raised."""


class SnapshotView(Protocol):
    """A consistent image of the machine, pinned while applies go on.

    `write` blocks and is for an executor; `close` releases what the view pins, on the loop, and may be called
    more than once.
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

    def begin_flush(self) -> Job | None:
        """Begin to make durable what is applied.

        Returns:
            The job after which `durable_index` is what `applied_index` is now; None when there is nothing to
            flush, or a flush or restore is under way.
        """

    def begin_snapshot(self) -> SnapshotView:
        """Pin an image of the state as of `applied_index`; cheap."""

    def begin_restore(self, source: BinaryIO, index: Index) -> Job:
        """Begin to replace the whole state by an image; until the job ends, nothing else may use the machine.

        Args:
            source: What `SnapshotView.write` wrote; read while the job runs.
            index: The index the image stands at, from the snapshot's metadata.
        """


@runtime_checkable
class MachineApart(StateMachine, Protocol):
    """A machine that belongs to another loop, in a thread of its own: what is done there is awaited.

    So code of commands that blocks its loop blocks neither heartbeats nor votes. The plain methods of the same purpose
    are not called; jobs see to it themselves that they end on the machine's loop.
    """

    async def apply_apart(
        self, entries: list[tuple[Index, bytes, object]], settle: Callable[[list[object]], None]
    ) -> None:
        """Apply committed commands. See `apply`.

        Args:
            entries: Index, data, and who waits here for the result, or None. Whoever waits on the machine's own loop
                may be told there and then.
            settle: Called on this loop with the results, in order, before anything comes in here that whoever was
                told may do next.
        """

    async def begin_flush_apart(self) -> Job | None:
        """See `begin_flush`."""

    async def begin_snapshot_apart(self) -> SnapshotView:
        """See `begin_snapshot`."""


async def carry_out(job: Job, loop: asyncio.AbstractEventLoop, executor: Executor | None) -> None:
    """Run a job and end it, on the loop, even if the caller is cancelled meanwhile.

    Args:
        job: Just begun.
        loop: The running loop.
        executor: Where it may block; None for the loop's own.

    Raises:
        Whatever `Job.run` raised, after the job was abandoned.
    """
    running = loop.run_in_executor(executor, job.run)
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])  # the thread cannot be cancelled, and the job must not be left half done
        _end(job, running)
        raise
    except BaseException:
        job.abandon()
        raise
    job.finish()


def _end(job: Job, running: "asyncio.Future[None]") -> None:
    if running.cancelled() or running.exception() is not None:
        job.abandon()
    else:
        job.finish()
