"""Objects to replicate, for tests of the library."""

import threading
import time
from typing import Any

from oarlock import Context, ReplicatedObject, StateMachine, register_error, replicated


@register_error
class OutOfStock(Exception):
    """An error of a user's own, made known."""


class Unregistered(Exception):
    """An error of a user's own, not made known."""


class Register(ReplicatedObject):
    """A value, a list of what was done, and commands that misbehave."""

    def __init__(self, name: str = "register") -> None:
        super().__init__(name)
        self.value: Any = None
        self.history: list[Any] = []
        self.drift = 0
        """What makes this copy differ from the others, where a test says so."""

    @replicated
    def set(self, value: Any, *, note: str = "") -> Any:
        """Set the value; the former one."""
        former, self.value = self.value, value
        self.history.append(value)
        return former

    @replicated
    def add(self, amount: int = 1) -> int:
        """Add to the value."""
        self.value = (self.value or 0) + amount + self.drift
        return self.value

    @replicated
    def add_twice(self, amount: int) -> int:
        """Calls another command, in place."""
        self.add(amount)
        return self.add(amount)

    @replicated
    def when(self) -> list[Any]:
        """Machine time and chance."""
        return [self.now_ms, self.random.random()]

    @replicated
    def fail(self, kind: str) -> None:
        """Change the state, then raise."""
        self.history.append(kind)
        match kind:
            case "key":
                raise KeyError("missing")
            case "own":
                raise OutOfStock("apples", 3)
            case "unregistered":
                raise Unregistered("nobody knows me")
            case "stop":
                raise StopIteration("over")
            case _:
                raise ValueError(kind)

    @replicated
    def block(self, seconds: float) -> None:
        """Hold up whatever thread this runs in."""
        time.sleep(seconds)

    @replicated
    def give(self) -> Any:
        """A result that msgpack cannot carry."""
        return threading

    @replicated
    def share(self) -> list[Any]:
        """A result that is part of the state."""
        return self.history

    def get(self) -> Any:
        return self.value

    def snapshot(self) -> object:
        return [self.value, self.history]

    def restore(self, image: Any) -> None:
        self.value, self.history = image


class Journal(StateMachine):
    """A state machine that lists what it was given."""

    def __init__(self) -> None:
        self.entries: list[Any] = []

    def apply(self, command: Any, context: Context) -> Any:
        if command == "fail":
            raise LookupError("told to")
        self.entries.append(command)
        return [len(self.entries), context.version]

    def snapshot(self) -> object:
        return self.entries

    def restore(self, image: Any) -> None:
        self.entries = image
