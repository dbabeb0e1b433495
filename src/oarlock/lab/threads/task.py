"""A virtual thread, as the scheduler sees it."""

from __future__ import annotations

import _thread
from collections.abc import Callable


class Worker:
    """An OS thread that runs tasks one after the other. It sleeps at its gate unless it has the baton."""

    __slots__ = ("gate", "ident", "task")

    def __init__(self) -> None:
        self.gate = _thread.allocate_lock()
        self.gate.acquire()
        self.ident = 0
        """Of the OS thread; 0 until it runs."""
        self.task: Task | None = None
        """What to run next; None to end."""


class Task:
    """One virtual thread, from its start to its end.

    Args:
        number: Counts threads of a runtime from 0, the main one.
        name: For people.
        body: What it does.
    """

    __slots__ = (
        "body",
        "ended",
        "interrupt",
        "joiners",
        "killed",
        "locals",
        "name",
        "number",
        "refused",
        "subject",
        "thread",
        "ticket",
        "verb",
        "waiting",
        "woken",
        "worker",
    )

    def __init__(self, number: int, name: str, body: Callable[[], None]) -> None:
        self.number = number
        self.name = name
        self.body = body
        self.worker: Worker | None = None
        """None before its first turn."""
        self.waiting = False
        """Whether it waits for `wake` or a timer."""
        self.woken = False
        """Whether it was woken, not timed out, when it last waited."""
        self.ticket = 0
        """Rises with each wait: a timer of an earlier one is no concern of this one."""
        self.verb = ""
        """What it waits for, in words; empty if it does not."""
        self.subject: object = None
        """And the thing."""
        self.interrupt: BaseException | None = None
        """What it raises when it has the baton again."""
        self.killed = False
        self.refused = 0
        """How often it went on after it was killed."""
        self.ended = False
        self.joiners: list[Task] = []
        self.thread: object = None
        """Its `threading.Thread`."""
        self.locals: dict[int, dict[str, object]] = {}
        """What `threading.local` objects hold for it."""

    def __repr__(self) -> str:
        return f"<Task {self.number} {self.name}>"
