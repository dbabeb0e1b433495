"""What survives a crash: Raft's state and the service's snapshot, saved together (pitfalls B1, G22)."""

from typing import Any


class Persister:
    """A disk that keeps the last thing saved. Safe to use from several threads: the pair is replaced in one step."""

    def __init__(self, raft_state: bytes = b"", snapshot: bytes = b"") -> None:
        self._held = (raft_state, snapshot)
        self.saves = 0
        """How often anything was saved."""
        self.largest_raft_state = len(raft_state)
        """In bytes, of all that was saved here and in those that this is a copy of."""

    def save(self, raft_state: bytes, snapshot: bytes | None) -> None:
        """Replace both at once; None erases the snapshot.

        Raises:
            TypeError: Either is no bytes.
        """
        self._held = (_as_bytes("raft_state", raft_state), b"" if snapshot is None else _as_bytes("snapshot", snapshot))
        self.saves += 1
        self.largest_raft_state = max(self.largest_raft_state, len(self._held[0]))

    def read_raft_state(self) -> bytes:
        """The last saved; empty before the first time."""
        return self._held[0]

    def read_snapshot(self) -> bytes:
        """The last saved; empty if there is none."""
        return self._held[1]

    def raft_state_size(self) -> int:
        """In bytes."""
        return len(self._held[0])

    def snapshot_size(self) -> int:
        """In bytes."""
        return len(self._held[1])

    def copy(self) -> "Persister":
        """What a crash leaves behind: an old instance that goes on saving does not reach it."""
        twin = Persister(*self._held)
        twin.largest_raft_state = self.largest_raft_state
        return twin


def _as_bytes(name: str, value: Any) -> bytes:  # noqa: ANN401 - whatever a user hands over
    if not isinstance(value, bytes | bytearray | memoryview):
        raise TypeError(f"a persister saves bytes: {name} is a {type(value).__name__}")
    return bytes(value)
