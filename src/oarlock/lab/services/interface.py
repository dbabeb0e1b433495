"""What the later labs' parts ask of each other, and which of them an implementation brings itself."""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Protocol

import msgspec

from oarlock.lab.group import Service
from oarlock.lab.interface import ClientEnd, Make, Persister


class Error(StrEnum):
    """What an answer says besides its value; the labs' words."""

    OK = "OK"
    NO_KEY = "ErrNoKey"
    """There is no such key."""
    VERSION = "ErrVersion"
    """The key has another version than was named; nothing was written."""
    MAYBE = "ErrMaybe"
    """A put that was sent again found another version: perhaps its own, from the first time."""
    WRONG_LEADER = "ErrWrongLeader"
    """This server does not lead; it did nothing."""
    UNKNOWN = "ErrUnknown"
    """This server began, and lost its leadership before it knew the outcome. The labs call this ErrWrongLeader too."""
    WRONG_GROUP = "ErrWrongGroup"
    """This group does not serve the key's shard now; it did nothing."""
    STALE = "ErrStale"
    """The move of a shard is older than what the group knows, or newer than it is ready for."""


class Machine(Protocol):
    """A deterministic service on a replicated log. Called by one thread at a time."""

    def do_op(self, request: bytes, /) -> bytes:
        """Carry out a committed request; gives the reply."""

    def snapshot(self) -> bytes:
        """The whole state."""

    def restore(self, data: bytes, /) -> None:
        """Replace the whole state."""


class ReplicatedMachine(Service, Protocol):
    """What `make_rsm` returns; `raft` is the Raft below, which is told to stop by itself."""

    raft: Any

    def submit(self, request: bytes, /) -> tuple[str, bytes]:
        """Have a request carried out by all; waits.

        Returns:
            "OK" and the reply; or why not, in one of `Error`'s words, and nothing. Returns soon after this server has
            learnt that it does not lead any more, and soon after `kill`.
        """


MakeRsm = Callable[[Sequence[ClientEnd], int, Persister, int, Machine], ReplicatedMachine]
"""`make_rsm(peers, me, persister, max_raft_state, machine)`: a snapshot is taken when the Raft persists more than
`max_raft_state` bytes, never if that is -1."""
MakeKvServer = Callable[[Sequence[ClientEnd], int, Persister, int], Mapping[str, Service]]
"""`make_kv_server(peers, me, persister, max_raft_state)`: the services of a server; "Raft" and "Kv" among them."""


class KvClerk(Protocol):
    """A client of a key-value service."""

    def get(self, key: str, /) -> tuple[str, int, str]:
        """Value, version, and OK or ErrNoKey; tries until there is an answer."""

    def put(self, key: str, value: str, version: int, /) -> str:
        """Write if the key has this version, 0 for a key that is not there; OK, ErrVersion, ErrNoKey or ErrMaybe."""


MakeKvClerk = Callable[[Sequence[ClientEnd]], KvClerk]


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """What an implementation brings: its Raft, and any of the parts above it; where it has none, ours are used.

    `oarlock lab run package:target` takes a `make`, which stands for `Services(make=make)`, or one of these.
    """

    make: Make
    make_rsm: MakeRsm | None = None
    make_kv_server: MakeKvServer | None = None
    make_kv_clerk: MakeKvClerk | None = None
