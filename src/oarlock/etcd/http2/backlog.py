"""What a whole server keeps for clients that have not taken it yet, and who waits until that is less."""

from typing import Protocol

DEFAULT_BACKLOG_BYTES = 256 * 1024 * 1024


class Waiting(Protocol):
    """A connection with calls that were put off."""

    def wake_up(self) -> None:
        """There is room again: look soon."""


class Backlog:
    """Response bytes that wait for clients, of all connections together.

    Args:
        max_bytes: Above it, large answers are put off, and clients that take nothing are cut off early.

    Attributes:
        kept_bytes: How much waits.
    """

    __slots__ = ("_waiting", "kept_bytes", "max_bytes")

    def __init__(self, max_bytes: int = DEFAULT_BACKLOG_BYTES) -> None:
        self.max_bytes = max_bytes
        self.kept_bytes = 0
        self._waiting: dict[Waiting, None] = {}

    @property
    def is_over(self) -> bool:
        """Whether more waits than should."""
        return self.kept_bytes > self.max_bytes

    def wait(self, connection: Waiting) -> None:
        """Wake a connection when there is room."""
        self._waiting[connection] = None

    def forget(self, connection: Waiting) -> None:
        """The connection is gone."""
        self._waiting.pop(connection, None)

    def release(self, length: int) -> None:
        """So much was taken, or is not wanted any more."""
        self.kept_bytes -= length
        if self._waiting and self.kept_bytes <= self.max_bytes:
            waiting, self._waiting = self._waiting, {}
            for connection in waiting:
                connection.wake_up()
