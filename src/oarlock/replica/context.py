"""What a command's code may know beside its arguments and the state: alike on all servers."""

import random

import msgspec

from oarlock.raft.types import Index


class Context(msgspec.Struct, gc=False, eq=False):
    """One command that is being applied."""

    index: Index
    """Of its entry in the log, which may hold several commands."""
    now_ms: int
    """Machine time in milliseconds since 1970: the proposing server's clock when it was called, but never before that
    of an earlier command. It stands while the command runs."""
    version: int = 1
    """In which the command was called."""
    target: str = ""
    """The object whose command it is."""
    position: int = 0
    """Of the command in its entry: no two have the same index and position."""
    _random: random.Random | None = None

    @property
    def random(self) -> random.Random:
        """Chance that falls alike on all servers: seeded by the place in the log. Not for secrets."""
        if self._random is None:
            where = f"{self.index}" if self.position == 0 else f"{self.index} {self.position}"
            self._random = random.Random(f"oarlock {where}")  # noqa: S311 - not for secrets
        return self._random
