"""Whether all servers are in the same state: each votes with a hash now and then, and whoever is outvoted stops.

Two hashes: one rolls over the result of every command, and costs next to nothing; the other is of the whole state, at
intervals that grow with its size. Votes are entries of the log, so everybody counts the same ones.
"""

from typing import Any, Final

import google_crc32c
import msgspec

from oarlock.raft.types import Index, ServerId
from oarlock.replica import codec
from oarlock.replica.codec import Value

_KEPT: Final = 8
"""Indexes whose votes are kept."""
_STATE_BYTES_PER_CHECK: Final = 64 << 10
"""Of state, that are hashed for one interval: a larger state is hashed at proportionally fewer of them."""
_NOTHING: Final = codec.canonical(None, "result")
"""What most commands return."""


class Vote(msgspec.Struct, frozen=True, array_like=True):
    """What one server stands at: after the entry of an index."""

    results: int
    """Hash of all results so far."""
    state: int | None = None
    """Hash of the state, where it was taken."""


class Agreement:
    """The rolling hash, when it is voted on, and the votes: a part of the replicated state."""

    def __init__(self, every: int) -> None:
        """Start with nothing.

        Args:
            every: After how many commands to vote; 0 for never. Alike on all servers, or fewer votes are compared.
        """
        self._every = every
        self._results = 0
        self._nothings = 0
        """How often the results that are still to be taken in were None: many at once cost as much as one."""
        self._count = 0
        self._state_due = 0
        self._votes: dict[Index, dict[ServerId, Vote]] = {}
        self._own: dict[Index, Vote] = {}
        """This server's own, whether or not they reached the log; not replicated."""

    def add(self, result: Value, error: BaseException | None) -> bool:
        """Take in what a command gave; whether a vote is due after it."""
        if result is None and error is None:
            self._nothings += 1
        else:
            self._results = google_crc32c.extend(self.results, _in_bytes(result, error))
        self._count += 1
        return self._every > 0 and self._count % self._every == 0

    @property
    def results(self) -> int:
        """The hash of all results so far."""
        if self._nothings:
            self._results = google_crc32c.extend(self._results, _NOTHING * self._nothings)
            self._nothings = 0
        return self._results

    @property
    def wants_state(self) -> bool:
        """Whether the vote that is due is to tell of the state as well."""
        return self._count >= self._state_due

    def vote(self, index: Index, state: bytes | None) -> Vote:
        """This server's vote.

        Args:
            index: Of the entry applied last.
            state: The whole state, encoded; None unless `wants_state`.
        """
        if state is None:
            vote = Vote(self.results)
        else:
            vote = Vote(self.results, google_crc32c.value(state))
            self._state_due = self._count + self._every * (1 + len(state) // _STATE_BYTES_PER_CHECK)
        self._own[index] = vote
        _keep_newest(self._own)
        return vote

    def cast(self, server_id: ServerId, index: Index, vote: Vote) -> None:
        """A server has voted."""
        self._votes.setdefault(index, {})[server_id] = vote
        _keep_newest(self._votes)

    def outvoted(self, index: Index, voters: frozenset[ServerId]) -> str | None:
        """Whether this server's hash of an index is another than that of a majority; says how, or None."""
        own, votes = self._own.get(index), self._votes.get(index, {})
        if own is None:
            return None  # it came past this index with a snapshot
        counted = [vote for server_id, vote in votes.items() if server_id in voters]
        for what, mine, theirs in (
            ("the results of commands", own.results, [vote.results for vote in counted]),
            ("the state", own.state, [vote.state for vote in counted if vote.state is not None]),
        ):
            for value in set(theirs):
                agreeing = theirs.count(value)
                if agreeing * 2 > len(voters) and mine is not None and mine != value:
                    return (
                        f"of {what}, {agreeing} of {len(voters)} servers have hash {value:08x}, and this one {mine:08x}"
                    )
        return None

    def dump(self) -> list[Any]:
        """What is replicated, as plain data."""
        votes = [
            [index, [[server_id, vote.results, vote.state] for server_id, vote in sorted(cast.items())]]
            for index, cast in sorted(self._votes.items())
        ]
        return [self.results, self._count, self._state_due, votes]

    def load(self, table: list[Any]) -> None:
        """Replace it by what was dumped."""
        self._results, self._count, self._state_due, votes = table
        self._votes = {index: {key: Vote(results, state) for key, results, state in cast} for index, cast in votes}
        self._own = {}
        self._nothings = 0


def _in_bytes(result: Value, error: BaseException | None) -> bytes:
    if error is not None:
        return f"raised {type(error).__qualname__}".encode()
    try:
        return codec.canonical(result, "result")
    except TypeError:
        return f"returned {type(result).__qualname__}".encode()


def _keep_newest(table: dict[Index, Any]) -> None:
    while len(table) > _KEPT:
        del table[min(table)]
