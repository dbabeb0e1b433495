"""`threading.Thread` and its kin for virtual threads."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Self

from oarlock.lab.threads.events import Kind
from oarlock.lab.threads.locks import Event, Shim
from oarlock.lab.threads.task import Task


class Thread(Shim):
    """As `threading.Thread`; may be subclassed likewise."""

    names: ClassVar[dict[str, int]]
    """Counts threads without a name of their own."""

    def __init__(
        self,
        group: None = None,
        target: Callable[..., object] | None = None,
        name: str | None = None,
        args: Iterable[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        daemon: bool | None = None,
    ) -> None:
        if group is not None:
            raise ValueError("group argument must be None for now")
        if name is None:
            self.names["Thread"] = self.names.get("Thread", 0) + 1
            target_name = getattr(target, "__name__", "")
            suffix = f" ({target_name})" if target_name else ""
            name = f"Thread-{self.names['Thread']}{suffix}"
        self._name = str(name)
        self._target: Callable[..., object] | None = target
        self._args = tuple(args)
        self._kwargs = dict(kwargs or {})
        self._task: Task | None = None
        self.daemon = bool(daemon)
        """Without meaning here: what is left at the end is killed either way."""

    @property
    def name(self) -> str:
        """For people."""
        return self._name

    @name.setter
    def name(self, name: str) -> None:
        self._name = str(name)
        if self._task is not None:
            self._task.name = self._name

    @property
    def ident(self) -> int | None:
        """A number that no other thread of this runtime has; None before the start."""
        return None if self._task is None else self._task.number + 1

    native_id = ident

    def start(self) -> None:
        """Have it run, once.

        Raises:
            RuntimeError: It was started before.
        """
        if self._task is not None:
            raise RuntimeError("threads can only be started once")
        task = self.scheduler.start(self._name, self._run)
        self.be(task)
        self.scheduler.emit(Kind.THREAD_START, task)
        self.scheduler.point()

    def be(self, task: Task) -> None:
        """This is the thread of that task."""
        self._task = task
        task.thread = self

    def run(self) -> None:
        """What it does: call the target, unless a subclass has it otherwise."""
        if self._target is not None:
            self._target(*self._args, **self._kwargs)

    def _run(self) -> None:
        try:
            self.run()
        finally:
            del self._target, self._args, self._kwargs

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end, or for some time.

        Raises:
            RuntimeError: It has not started, or it is the one that waits.
        """
        task = self._task
        if task is None:
            raise RuntimeError("cannot join thread before it is started")
        if task is self.scheduler.current:
            raise RuntimeError("cannot join current thread")
        self.scheduler.emit(Kind.JOIN_WAIT, task)
        if not task.ended:
            me = self.scheduler.running()
            task.joiners.append(me)
            try:
                self.scheduler.block("join", task, timeout)
            finally:
                if me in task.joiners:
                    task.joiners.remove(me)
        if task.ended:
            self.scheduler.emit(Kind.JOINED, task)

    def is_alive(self) -> bool:
        """Whether it has started and not ended."""
        self.scheduler.point()
        return self._task is not None and not self._task.ended

    def isDaemon(self) -> bool:  # noqa: N802 - the original still has it
        """See `daemon`."""
        return self.daemon

    def setDaemon(self, daemonic: bool) -> None:  # noqa: N802
        """See `daemon`."""
        self.daemon = daemonic

    def getName(self) -> str:  # noqa: N802
        """See `name`."""
        return self.name

    def setName(self, name: str) -> None:  # noqa: N802
        """See `name`."""
        self.name = name

    def __repr__(self) -> str:
        state = "initial" if self._task is None else "stopped" if self._task.ended else "started"
        return f"<{type(self).__name__}({self.name}, {state})>"


class Timer(Thread):
    """As `threading.Timer`: calls a function after a while, in a thread of its own."""

    event: ClassVar[type[Event]]

    def __init__(
        self,
        interval: float,
        function: Callable[..., object],
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        Thread.__init__(self)
        self.interval = interval
        self.function = function
        self.args = list(args or ())
        self.kwargs = dict(kwargs or {})
        self.finished = self.event()

    def cancel(self) -> None:
        """Have nothing happen, if nothing has yet."""
        self.finished.set()

    def run(self) -> None:
        """Wait, then call."""
        if not self.finished.wait(self.interval):
            self.function(*self.args, **self.kwargs)
        self.finished.set()


class local(Shim):  # noqa: N801 - the original's name
    """As `threading.local`: attributes of which every thread has its own."""

    _number: int
    numbers: ClassVar = itertools.count()

    def __new__(cls, *_: object, **__: object) -> Self:  # noqa: D102 - makes one
        made = super().__new__(cls)
        object.__setattr__(made, "_number", next(cls.numbers))
        return made

    def _attributes(self) -> dict[str, object]:
        task = self.scheduler.current
        if task is None:
            return self.__dict__
        return task.locals.setdefault(self._number, {})

    def __getattr__(self, name: str) -> object:
        try:
            return self._attributes()[name]
        except KeyError:
            raise AttributeError(f"this thread has no {name!r}") from None

    def __setattr__(self, name: str, value: object) -> None:
        self._attributes()[name] = value

    def __delattr__(self, name: str) -> None:
        try:
            del self._attributes()[name]
        except KeyError:
            raise AttributeError(f"this thread has no {name!r}") from None
