"""Under which names things are held: of the caller's choice, or drawn from the log."""

from oarlock.replica.object import ReplicatedObject, replicated
from oarlock.replica.objects.waiting import Deadline, persistently

_BITS = 64


class DrawsNames(ReplicatedObject):
    """An object whose callers need names that nobody else has, in any process, now or later."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._drawn: str | None = None
        self._serial = 0

    @replicated
    def draw_name(self) -> str:
        """A name that no other command draws: one for each process is enough, which counts on from there."""
        return f"{self.random.getrandbits(_BITS):016x}"

    async def _new_owner(self, deadline: Deadline) -> str:
        if self._drawn is None:
            self._drawn = await persistently(self.draw_name, deadline)
        self._serial += 1
        return f"{self._drawn}-{self._serial}"


def owner_name(owner: object, what: str = "owner") -> str:
    """A name as it came with a command.

    Raises:
        TypeError: It is no text.
        ValueError: It is empty.
    """
    if not isinstance(owner, str):
        raise TypeError(f"{what} must be a text, not {type(owner).__name__}")
    if not owner:
        raise ValueError(f"{what} must not be empty")
    return owner
