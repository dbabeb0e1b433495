"""What a learner implements and is given: `make`, the Raft that it returns, its peers, its persister, its channel.

The labs' interface in Python's names. `make` returns quickly; `start` neither waits nor promises that the command
commits; the first command's index is 1.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import msgspec


class ApplyMsg(msgspec.Struct, frozen=True, kw_only=True):
    """What a Raft puts on its apply channel: a committed command, or a snapshot that replaces the service's state.

    One with neither `command_valid` nor `snapshot_valid` is ignored.
    """

    command_valid: bool = False
    command: Any = None
    command_index: int = 0
    snapshot_valid: bool = False
    snapshot: bytes = b""
    snapshot_term: int = 0
    snapshot_index: int = 0


CLOSED: Final = None
"""Put on the apply channel after `kill`, as the last thing: nothing more will come."""


class ApplyChannel(Protocol):
    """A queue with room for one message: putting may wait until the service has taken the one before."""

    def put(self, item: ApplyMsg | None, /) -> None:
        """Hand a message to the service; `CLOSED` is the last."""


class ClientEnd(Protocol):
    """One way to one peer."""

    def call(self, method: str, args: Any, reply_type: Any = None, /) -> Any:  # noqa: ANN401 - as the user has it
        """Call a handler, such as `"request_vote"`, and wait for its reply.

        Args:
            method: The name of a public method of the peer's Raft; `"KV.get"` is that of another service.
            args: Plain data, or dataclasses and `msgspec.Struct`s of such: they travel as MessagePack, never shared.
                The handler is given plain data, or what it annotates its parameter with.
            reply_type: What to read the reply as; plain data by default.

        Returns:
            The reply; None if the request or its reply was lost, the peer is not there, or the network is closed.
            It may take seconds to learn that.
        """


class Persister(Protocol):
    """What survives a crash."""

    def save(self, raft_state: bytes, snapshot: bytes | None) -> None:
        """Replace both at once; None erases the snapshot."""

    def read_raft_state(self) -> bytes:
        """The last saved; empty before the first time."""

    def read_snapshot(self) -> bytes:
        """The last saved; empty if there is none."""

    def raft_state_size(self) -> int:
        """In bytes."""

    def snapshot_size(self) -> int:
        """In bytes."""


class Raft(Protocol):
    """What `make` returns. Its handlers of RPCs are further methods, each with one argument, under names of its own."""

    def start(self, command: Any, /) -> tuple[int, int, bool]:  # noqa: ANN401 - any plain data
        """Begin agreement on a command, without waiting: its index if it ever commits, the term, whether we lead."""

    def get_state(self) -> tuple[int, bool]:
        """The current term, and whether this server believes to lead."""

    def snapshot(self, index: int, snapshot: bytes, /) -> None:
        """The service has saved all up to `index` in a snapshot: the log up to there is not needed any more."""

    def persist_bytes(self) -> int:
        """The size of the persisted log and state, without the snapshot."""

    def kill(self) -> None:
        """Stop all threads soon. Does not wait."""


Make = Callable[[Sequence[ClientEnd], int, Persister, ApplyChannel], Raft]
"""`make(peers, me, persister, apply_ch)`: a server that is `peers[me]`, begun from what `persister` holds."""


class Runtime(Protocol):
    """Where threads, time, queues and chance come from: attributes as the modules of these names have them."""

    @property
    def threading(self) -> Any:  # noqa: ANN401 - a module, or something like it
        """Threads and what they wait for."""

    @property
    def time(self) -> Any:  # noqa: ANN401
        """The clock."""

    @property
    def queue(self) -> Any:  # noqa: ANN401
        """Channels."""

    @property
    def random(self) -> Any:  # noqa: ANN401
        """Chance."""
