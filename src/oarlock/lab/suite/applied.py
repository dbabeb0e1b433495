"""What each server applied, checked as it comes: in order, each index once, the same command everywhere (SP-5).

Stricter than upstream, whose records forget: what was applied at an index is remembered for good, across restarts; an
index may not come twice in one life; and a snapshot that takes a service back is an error at once (B5).
"""

from typing import Any

import msgspec

from oarlock.lab.interface import ApplyMsg, Runtime

SNAPSHOT_EVERY = 10
"""The snapshot service takes one at 9, 19, 29, ..."""


class Applied:
    """The records of all servers of one group.

    Args:
        runtime: Of the lock.
        size: How many servers.
    """

    def __init__(self, runtime: Runtime, size: int) -> None:
        self._lock = runtime.threading.Lock()
        self._agreed: dict[int, tuple[Any, str]] = {}
        """The command at each index that anyone applied, and who did first."""
        self._records: list[dict[int, Any]] = [{} for _ in range(size)]
        """Of each server, in its present life."""
        self._last = [0] * size
        self._lives = [0] * size

    def begin_life(self, server: int, snapshot: bytes = b"") -> int:
        """A service starts, from its snapshot if it has one; gives the number of this life, for `take`.

        Raises:
            ValueError: The snapshot is none of `snapshot_of`.
        """
        index, commands = read_snapshot(snapshot) if snapshot else (0, [])
        with self._lock:
            self._lives[server] += 1
            self._records[server] = dict(enumerate(commands, 1))
            self._last[server] = index
            return self._lives[server]

    def take(self, server: int, life: int, message: ApplyMsg) -> str:
        """A message came out of a server's apply channel; gives what is wrong with it, or nothing.

        What a server says after its life is over counts for nothing.
        """
        with self._lock:
            if life != self._lives[server]:
                return ""
            if message.snapshot_valid:
                return self._take_snapshot(server, message)
            if message.command_valid:
                return self._take_command(server, message.command_index, message.command)
            return ""

    def _take_command(self, server: int, index: int, command: Any) -> str:  # noqa: ANN401
        last = self._last[server]
        if index != last + 1:
            return f"server {server} applied index {index} after {last}: each must come once, in order"
        self._last[server] = index
        self._records[server][index] = command
        return self._compare(server, index, command)

    def _compare(self, server: int, index: int, command: Any) -> str:  # noqa: ANN401
        agreed, first = self._agreed.setdefault(index, (command, f"server {server}"))
        if agreed != command:
            return (
                f"server {server} applied {shown(command)} at index {index}, where {first} had applied {shown(agreed)}"
            )
        return ""

    def _take_snapshot(self, server: int, message: ApplyMsg) -> str:
        try:
            index, commands = read_snapshot(message.snapshot)
        except ValueError as error:
            return f"server {server} delivered a snapshot for index {message.snapshot_index} that is none: {error}"
        if index != message.snapshot_index:
            return f"server {server} delivered the snapshot of index {index} as that of {message.snapshot_index}"
        last = self._last[server]
        if index < last:
            return f"server {server} delivered a snapshot of index {index} after it had applied {last}"
        self._records[server] = dict(enumerate(commands, 1))
        self._last[server] = index
        return next((wrong for at, each in enumerate(commands, 1) if (wrong := self._compare(server, at, each))), "")

    # -- what scenarios ask --------------------------------------------------------------------------------------

    def committed(self, index: int) -> tuple[int, Any]:
        """How many servers have applied an index, and what."""
        with self._lock:
            count = sum(index in record for record in self._records)
            return count, self._agreed[index][0] if index in self._agreed else None

    def commands(self, server: int) -> list[Any]:
        """All that a server has applied in its present life, in order."""
        with self._lock:
            return [self._records[server][index] for index in sorted(self._records[server])]

    def last_index(self, server: int) -> int:
        """How far a server has come."""
        with self._lock:
            return self._last[server]

    def highest(self) -> int:
        """The highest index that anyone ever applied."""
        with self._lock:
            return max(self._agreed, default=0)

    def snapshot_due(self, server: int, life: int, index: int) -> bytes | None:
        """The snapshot that the service takes after applying `index`, if it takes one there."""
        if (index + 1) % SNAPSHOT_EVERY:
            return None
        with self._lock:
            if life != self._lives[server]:
                return None
            record = self._records[server]
            return snapshot_of([record[at] for at in range(1, index + 1)])


def snapshot_of(commands: list[Any]) -> bytes:
    """A service's state as bytes: all commands so far."""
    return msgspec.msgpack.encode([len(commands), commands])


def read_snapshot(snapshot: bytes) -> tuple[int, list[Any]]:
    """The index and the commands of a snapshot.

    Raises:
        ValueError: The bytes are none.
    """
    try:
        index, commands = msgspec.msgpack.decode(snapshot, type=tuple[int, list[Any]])
    except msgspec.DecodeError as error:
        raise ValueError(f"{len(snapshot)} bytes: {error}") from None
    if index != len(commands):
        raise ValueError(f"{len(commands)} commands up to index {index}")
    return index, commands


def shown(command: Any) -> str:  # noqa: ANN401 - any command
    """A command in a sentence, not too long."""
    text = repr(command)
    return text if len(text) <= 60 else f"{text[:57]}..."
