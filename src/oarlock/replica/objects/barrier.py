"""A barrier: so many parties wait for one another."""

import asyncio
from typing import Final

from oarlock.replica.codec import Value
from oarlock.replica.object import replicated
from oarlock.replica.objects.leased import ASK_AGAIN_MS, PATIENCE_MS
from oarlock.replica.objects.owners import DrawsNames, owner_name
from oarlock.replica.objects.values import positive
from oarlock.replica.objects.waiting import Bell, Deadline, behind

REMEMBERED_ROUNDS: Final = 16
"""How many finished rounds are remembered, for parties that hear of theirs late."""

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
    def arrive(self, party: str, number: int | None = None) -> list[int]:
        """Arrive, or say that one still waits.

        Args:
            party: Who.
            number: In which round, as the first answer said; None the first time.

        Returns:
            The round, and the place in it, in the order of arrival, once the round is finished; before that `WAITING`,
            and `BROKEN` after a round that ended without this party.
        """
        owner_name(party)
        now_ms = self.now_ms
        if number is not None and number < self._round:
            parties = self._finished.get(number, [])
            return [number, parties.index(party) if party in parties else BROKEN]
        self._arrived = {other: until for other, until in self._arrived.items() if until > now_ms or other == party}
        self._arrived[party] = now_ms + PATIENCE_MS
        number = self._round
        if len(self._arrived) < self._parties:
            return [number, WAITING]
        parties = list(self._arrived)
        self._end_round(parties)
        return [number, parties.index(party)]

    @replicated
    def leave(self, party: str) -> None:
        """Wait no longer."""
        self._arrived.pop(party, None)

    @replicated
    def abort(self) -> None:
        """Break the round: whoever waits in it is told so."""
        self._end_round([])

    def _end_round(self, parties: list[str]) -> None:
        self._finished[self._round] = parties
        if len(self._finished) > REMEMBERED_ROUNDS:
            del self._finished[next(iter(self._finished))]
        self._round += 1
        self._arrived = {}
        self._bell.ring()

    async def wait(self, *, party: str | None = None, timeout_s: float | None = None) -> int:
        """Wait until all parties have arrived.

        Args:
            party: Under which name, which nobody else may use meanwhile; None for a new one.
            timeout_s: How long; None for ever.

        Returns:
            One's place in the order of arrival, 0 for the first.

        Raises:
            asyncio.BrokenBarrierError: The round was broken.
            TimeoutError: Not all came in time; this party does not wait any more.
        """
        party = await self._new_owner() if party is None else party
        try:
            return await self._wait(party, timeout_s)
        except BaseException:
            behind(lambda: self.leave(party))
            raise

    async def _wait(self, party: str, timeout_s: float | None) -> int:
        deadline = Deadline(timeout_s)
        number = None
        while True:
            number, place = await self.arrive(party, number)
            if place >= 0:
                return int(place)
            if place == BROKEN:
                raise asyncio.BrokenBarrierError(f"{self.name}: round {number} was broken")
            if deadline.is_over():
                raise TimeoutError(f"{self.name}: not all {self._parties} came within {timeout_s} s")
            if self._round == number:
                await self._bell.wait(deadline.left_of(ASK_AGAIN_MS / 1000))

    def snapshot(self) -> object:
        """Rounds and parties."""
        return [self._round, list(self._arrived.items()), list(self._finished.items())]

    def restore(self, image: Value) -> None:
        """Take over rounds and parties; whoever waits here asks again."""
        self._round, arrived, finished = image
        self._arrived = dict(arrived)
        self._finished = dict(finished)
        self._bell.ring()
