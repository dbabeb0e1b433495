"""What threads of a virtual runtime do, told to observers as it happens."""

from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

from oarlock.lab.threads.task import Task


class Kind(StrEnum):
    """What happened. A thread that waits says so before, by `..._WAIT`; one that goes on says so after."""

    THREAD_START = "thread start"
    """The subject is the started `Task`."""
    THREAD_BEGIN = "thread begin"
    THREAD_END = "thread end"
    JOIN_WAIT = "join"
    """The subject is the `Task` that is waited for."""
    JOINED = "joined"
    LOCK_WAIT = "lock wait"
    """The lock is taken: its `owner` holds it."""
    LOCK_ACQUIRED = "lock acquired"
    LOCK_RELEASED = "lock released"
    CONDITION_WAIT = "condition wait"
    """The lock of the condition is released already."""
    CONDITION_WOKEN = "condition woken"
    """Or its time is over; the lock is not taken again yet."""
    CONDITION_NOTIFY = "condition notify"
    EVENT_WAIT = "event wait"
    """Also of a semaphore or barrier."""
    EVENT_WOKEN = "event woken"
    EVENT_SET = "event set"
    PUT = "put"
    """Into a queue; it may have to wait for room."""
    PUT_DONE = "put done"
    GET = "get"
    """From a queue; it may have to wait for an item."""
    GET_DONE = "get done"
    SLEEP = "sleep"
    """The subject is a number of seconds."""
    SLEPT = "slept"


class Event(NamedTuple):
    """One thing that one thread did."""

    kind: Kind
    task: Task
    subject: object
    """The lock, condition, event, queue, task or number of seconds that it is about."""
    at_ns: int
    """On the virtual clock."""


Observer = Callable[[Event], None]
"""Is called in the thread that the event is of, while no other runs. It must not use the runtime's threads or locks."""
