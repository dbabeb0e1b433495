"""Threads for what blocks: one each for the log, the machine's storage, and snapshots."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, Final

import msgspec

_Work = tuple["Future[Any]", Callable[..., Any], tuple[Any, ...]]
_END: Final = None


class SingleThread(Executor):
    """One thread that does what it is given, in order.

    A disk write is handed over for every batch, so this costs less than half of what `ThreadPoolExecutor` does, which
    keeps count of idle threads and takes three locks a call.
    """

    def __init__(self, name: str) -> None:
        """Start the thread; it does not keep the process alive."""
        self._queue: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":  # noqa: ANN401
        """See `Executor.submit`; keyword arguments are not taken.

        Raises:
            RuntimeError: It has been shut down.
        """
        if self._ended:
            raise RuntimeError("the thread has been shut down")
        if kwargs:
            raise TypeError("keyword arguments are not taken")
        future: Future[Any] = Future()
        self._queue.put((future, fn, args))
        return future

    def _run(self) -> None:
        while (work := self._queue.get()) is not _END:
            future, fn, args = work
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = fn(*args)
            except BaseException as error:  # noqa: BLE001 - it is the future's
                future.set_exception(error)
            else:
                future.set_result(result)
            del work, future, fn, args  # while waiting, keep nothing alive

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """See `Executor.shutdown`; what was given is always done."""
        del cancel_futures
        if not self._ended:
            self._ended = True
            self._queue.put(_END)
        if wait:
            self._thread.join()


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
