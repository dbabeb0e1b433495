"""A barrier: so many parties wait for one another."""

import asyncio
from collections.abc import Awaitable
from typing import Final

from oarlock.replica.codec import Value
from oarlock.replica.object import replicated
from oarlock.replica.objects.leased import ASK_AGAIN_MS, PATIENCE_MS
from oarlock.replica.objects.owners import DrawsNames, owner_name
from oarlock.replica.objects.values import positive
from oarlock.replica.objects.waiting import Bell, Deadline, behind, persistently

REMEMBERED_ROUNDS: Final = 16
"""How many finished rounds are remembered, for parties that hear of theirs late."""
REMEMBERED_LEFT: Final = 1024
"""How many visits that were given up are remembered, for commands of theirs that come late."""

WAITING: Final = -1
BROKEN: Final = -2


class ReplicatedBarrier(DrawsNames):
    """Nobody passes until all parties have arrived; then all do, and the next round begins.

    A party that dies while it waits is forgotten after a quarter of a minute: the others wait for another one in its
    place. `abort` breaks the round, for whoever waits in it.
    """

    def __init__(self, name: str, parties: int) -> None:
        """Start with nobody there.

        Args:
            name: The object's name, alike on all servers.
            parties: How many have to arrive; alike on all servers.
        """
        super().__init__(name)
        self._parties = positive(parties, "parties")
        self._round = 0
        self._arrived: dict[str, int] = {}
        self._finished: dict[int, list[str]] = {}
        self._left: dict[str, None] = {}
        self._bell = Bell()

    @property
    def parties(self) -> int:
        """How many have to arrive."""
        return self._parties

    @property
    def n_waiting(self) -> int:
        """How many have arrived, as far as this server knows."""
        return len(self._arrived)

    @property
    def round(self) -> int:
        """How many rounds are finished, as far as this server knows."""
        return self._round

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}: {self.n_waiting} of {self.parties} there>"

    @replicated
    def arrive(self, visit: str, number: int | None = None) -> list[int]:
        """Arrive, or say that one still waits. An attempt that comes late, when the visit is over, does nothing.

        Args:
            visit: Names one party's wait for one round; never used again.
            number: The round, as the first answer said; None the first time.

        Returns:
            The round, and the place in it, in the order of arrival, once the round is finished; before that `WAITING`,
            and `BROKEN` after a round that ended without this visit.
        """
        owner_name(visit, "visit")
        now_ms = self.now_ms
        for finished, visits in self._finished.items():
            if visit in visits:
                return [finished, visits.index(visit)]
        if visit in self._left or (number is not None and number < self._round):
            return [self._round if number is None else number, BROKEN]
        self._arrived = {other: until for other, until in self._arrived.items() if until > now_ms or other == visit}
        self._arrived[visit] = now_ms + PATIENCE_MS
        number = self._round
        if len(self._arrived) < self._parties:
            return [number, WAITING]
        visits = list(self._arrived)
        self._end_round(visits)
        return [number, visits.index(visit)]

    @replicated
    def leave(self, visit: str) -> None:
        """Wait no longer."""
        self._forget(visit)

    def _forget(self, visit: str) -> None:
        self._arrived.pop(visit, None)
        self._left[visit] = None
        if len(self._left) > REMEMBERED_LEFT:
            del self._left[next(iter(self._left))]

    @replicated
    def abort(self) -> None:
        """Break the round: whoever waits in it is told so."""
        for visit in list(self._arrived):
            self._forget(visit)
        self._end_round([])

    def _end_round(self, visits: list[str]) -> None:
        self._finished[self._round] = visits
        if len(self._finished) > REMEMBERED_ROUNDS:
            del self._finished[next(iter(self._finished))]
        self._round += 1
        self._arrived = {}
        self._bell.ring()

    async def wait(self, *, timeout_s: float | None = None) -> int:
        """Wait until all parties have arrived.

        Args:
            timeout_s: How long; None for ever.

        Returns:
            One's place in the order of arrival, 0 for the first.

        Raises:
            asyncio.BrokenBarrierError: The round was broken.
            TimeoutError: Not all came in time; this party does not wait any more.
        """
        deadline = Deadline(timeout_s)
        visit = await self._new_owner(deadline)
        try:
            return await self._wait(visit, deadline)
        except BaseException:
            behind(lambda: self.leave(visit))
            raise

    async def _wait(self, visit: str, deadline: Deadline) -> int:
        number: int | None = None

        def ask() -> Awaitable[list[int]]:
            answer: Awaitable[list[int]] = self.arrive(visit, number)
            return answer

        while True:
            number, place = await persistently(ask, deadline)
            if place >= 0:
                return int(place)
            if place == BROKEN:
                raise asyncio.BrokenBarrierError(f"{self.name}: round {number} was broken")
            if deadline.is_over():
                raise TimeoutError(f"{self.name}: not all {self._parties} came in the time given")
            if self._round == number:
                await self._bell.wait(deadline.left_of(ASK_AGAIN_MS / 1000))

    def on_stop(self) -> None:
        """Nobody arrives any more."""
        self._bell.close()

    def snapshot(self) -> object:
        """Rounds and visits."""
        return [self._round, list(self._arrived.items()), list(self._finished.items()), list(self._left)]

    def restore(self, image: Value) -> None:
        """Take over rounds and visits; whoever waits here asks again."""
        self._round, arrived, finished, left = image
        self._arrived = dict(arrived)
        self._finished = dict(finished)
        self._left = dict.fromkeys(left)
        self._bell.ring()
