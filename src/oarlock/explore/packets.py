"""A message under way."""

from typing import Final, NamedTuple

from oarlock.explore.identifiers import REPLIES
from oarlock.raft.messages import RaftMessage
from oarlock.raft.types import ServerId

SOMEBODY: Final = 0
"""Stands for a server where it does not matter which."""


class Packet(NamedTuple):
    """A message under way."""

    to: ServerId
    message: RaftMessage
    held: int
    """How many writes of its sender must end before it leaves."""

    @property
    def is_reply(self) -> bool:
        """Whether it answers a request."""
        return isinstance(self.message, REPLIES)

    @property
    def owner(self) -> ServerId:
        """The server in whose part it is: who asked, or asks."""
        return self.to if self.is_reply else self.message.source
