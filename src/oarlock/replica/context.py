"""What a command's code may know beside its arguments and the state: alike on all servers."""

import random

from oarlock.raft.types import Index


class Context:
    """One command that is being applied.

    Attributes:
        index: Of its entry in the log.
        now_ms: Machine time in milliseconds since 1970: the proposing server's clock when it was called, but never
            before that of an earlier command. It stands while the command runs.
        version: In which the command was called.
        target: The object whose command it is.
    """

    __slots__ = ("_random", "index", "now_ms", "target", "version")

    def __init__(self, index: Index, now_ms: int, version: int = 1, target: str = "") -> None:
        self.index = index
        self.now_ms = now_ms
        self.version = version
        self.target = target
        self._random: random.Random | None = None

    @property
    def random(self) -> random.Random:
        """Chance that falls alike on all servers: seeded by the entry. Not for secrets."""
        if self._random is None:
            self._random = random.Random(f"oarlock {self.index}")  # noqa: S311
        return self._random
