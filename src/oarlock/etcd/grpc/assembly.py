"""How much of large, unfinished messages one connection may make us keep."""

from collections.abc import Callable

MAX_ASSEMBLY_BYTES = 16 * 1024 * 1024


class AssemblyBudget:
    """Shares a connection's budget among the large messages that are coming in.

    A message above a stream's window gets its full length allowed at once, if the budget has room; if not, it waits,
    in order. One message that does not fit is always let through, so that there is progress whatever the sizes.
    """

    __slots__ = ("_excess", "_limit", "_reserved", "_used", "_waiting")

    def __init__(self, limit: int = MAX_ASSEMBLY_BYTES) -> None:
        self._limit = limit
        self._used = 0
        self._reserved: dict[int, int] = {}
        self._waiting: dict[int, tuple[int, Callable[[], None]]] = {}
        self._excess: int | None = None

    def reserve(self, stream_id: int, length: int, proceed: Callable[[], None]) -> bool:
        """Ask for room for a stream's message, once for each message.

        Returns:
            Whether there is room; if not, `proceed` is called when there is.
        """
        if stream_id in self._reserved:
            return True
        if stream_id in self._waiting:
            return False
        if self._fits(stream_id, length):
            return True
        self._waiting[stream_id] = length, proceed
        return False

    def release(self, stream_id: int) -> None:
        """The stream's message is whole, or will never be."""
        self._waiting.pop(stream_id, None)
        self._used -= self._reserved.pop(stream_id, 0)
        if self._excess == stream_id:
            self._excess = None
        for waiting_id in list(self._waiting):
            length, proceed = self._waiting[waiting_id]
            if not self._fits(waiting_id, length):
                break
            del self._waiting[waiting_id]
            proceed()

    def _fits(self, stream_id: int, length: int) -> bool:
        if self._used + length > self._limit:
            if self._excess is not None:
                return False
            self._excess = stream_id
        self._reserved[stream_id] = length
        self._used += length
        return True
