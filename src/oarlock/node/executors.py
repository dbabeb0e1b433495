"""Threads for what blocks: one each for the log, the machine's storage, and snapshots."""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, Final

import msgspec

_Work = tuple["asyncio.Future[Any]", Callable[..., Any], tuple[Any, ...]]
_END: Final = None


class SingleThread(Executor):
    """One thread that does what it is given, in order; for `loop.run_in_executor`.

    A disk write is handed over for every batch, and everybody waits for it. `ThreadPoolExecutor` takes three locks a
    call, and what it gives, a future for threads, is then tied to another one for the loop. This one gives the loop's
    own future, which `run_in_executor` takes as it is.
    """

    def __init__(self, name: str) -> None:
        """Start the thread; it does not keep the process alive."""
        self._queue: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(  # type: ignore[override]
        self,
        fn: Callable[..., Any],
        /,
        *args: Any,  # noqa: ANN401
    ) -> "asyncio.Future[Any]":
        """Have a function called.

        Returns:
            A future of the running loop. Cancelled before the thread comes to it, the call is left out; later, it ends
            unheard.

        Raises:
            RuntimeError: The executor has been shut down, or no loop is running.
        """
        if self._ended:
            raise RuntimeError("the thread has been shut down")
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._queue.put((future, fn, args))
        return future

    def _run(self) -> None:
        while (work := self._queue.get()) is not _END:
            future, fn, args = work
            if not future.cancelled():
                result, error = None, None
                try:
                    result = fn(*args)
                except BaseException as raised:  # noqa: BLE001 - it is the future's
                    error = raised
                with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                    future.get_loop().call_soon_threadsafe(settle, future, result, error)
                del result, error
            del work, future, fn, args  # while waiting, keep nothing alive

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """See `Executor.shutdown`; what was given is always done."""
        del cancel_futures
        if not self._ended:
            self._ended = True
            self._queue.put(_END)
        if wait:
            self._thread.join()


def settle(future: "asyncio.Future[Any]", result: object, error: BaseException | None) -> None:
    """Give a future its result or its error, on its loop, unless whoever waited for it is gone."""
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


class Executors(msgspec.Struct):
    """The threads for what blocks, one each."""

    wal: Executor
    """Writes the log, nothing else."""
    machine: Executor
    """Flushes the machine's storage."""
    snapshots: Executor
    """Reads, writes and installs snapshots."""

    @classmethod
    def threads(cls) -> "Executors":
        """One real thread each."""
        return cls(
            wal=SingleThread("oarlock-wal"),
            machine=SingleThread("oarlock-machine"),
            snapshots=SingleThread("oarlock-snapshots"),
        )

    def shutdown(self) -> None:
        """End the threads, when they have done what they were given."""
        for executor in (self.wal, self.machine, self.snapshots):
            executor.shutdown()
