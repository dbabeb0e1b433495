"""Where a lab program's threads, time, queues and chance come from: the real modules, or others that act like them."""

import importlib
import queue
import random
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeVar

from oarlock.lab.threads.target import BadTarget, first_on_path, parse_target

T = TypeVar("T")


class ThreadFailure(NamedTuple):
    """An exception that nobody caught ended a thread."""

    thread: str
    error: BaseException

    def __str__(self) -> str:
        """As the interpreter would have printed it."""
        return f"in thread {self.thread}:\n" + "".join(traceback.format_exception(self.error))


class Runtime(Protocol):
    """Four attributes named and used as the modules are, a way to load a program on them, and one to run it."""

    threading: Any
    """`Thread`, `Lock`, `RLock`, `Condition`, `Event`, `Semaphore`, `Timer`, `current_thread` and the like."""
    time: Any
    """`sleep`, `monotonic`, `time`, `perf_counter` and the like."""
    queue: Any
    """`Queue`, `SimpleQueue`, `Empty`, `Full` and the like."""
    random: Any
    """`Random`, and the functions of a shared one."""
    failures: list[ThreadFailure]
    """What ended threads other than the main one, in order, while `run` was at work."""

    def load(self, target: str) -> Callable[..., Any]:
        """Import a user's module, such that it gets these modules, and find a function in it.

        Args:
            target: `package.module:function`, or `path/to/module.py:function`.

        Raises:
            BadTarget: It cannot be found, or the module raises when imported.
        """

    def run(self, function: Callable[[], T]) -> T:
        """Run a function as the main thread; what it returns or raises."""


class RealRuntime:
    """The standard library's own modules, on real time. Threads that are left over go on after `run`."""

    def __init__(self) -> None:
        self.threading: Any = threading
        self.time: Any = time
        self.queue: Any = queue
        self.random: Any = random
        self.failures: list[ThreadFailure] = []

    def load(self, target: str) -> Callable[..., Any]:
        """Import a module as anyone does; see `Runtime.load`."""
        found = parse_target(target)
        with first_on_path(found.directory):
            try:
                module = importlib.import_module(found.module)
            except Exception as error:
                raise BadTarget(f"{found.module} cannot be imported: {type(error).__name__}: {error}") from error
        return found.of(module)

    def run(self, function: Callable[[], T]) -> T:
        """Run a function here, and note what ends other threads meanwhile."""
        before = threading.excepthook
        threading.excepthook = self._note_failure
        try:
            return function()
        finally:
            threading.excepthook = before

    def _note_failure(self, what: threading.ExceptHookArgs, /) -> None:
        name = what.thread.name if what.thread is not None else "a thread that is gone"
        error = what.exc_value if what.exc_value is not None else what.exc_type()
        self.failures.append(ThreadFailure(name, error))
