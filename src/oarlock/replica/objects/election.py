"""Electing one of several workers as their leader; which has nothing to do with who leads the Raft."""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from oarlock.replica.objects.leased import DEFAULT_LEASE_MS, DEFAULT_MAX_WAITERS, Lease
from oarlock.replica.objects.locks import ReplicatedLock

Elected: TypeAlias = Callable[[Lease], Awaitable[Any] | Any]
Deposed: TypeAlias = Callable[[], Awaitable[Any] | Any]

logger = logging.getLogger(__name__)


class LeaderElection(ReplicatedLock):
    """One candidate at a time leads; when it dies, another does as soon as the lease is over.

    ::

        async def lead(lease):
            while True:
                await do_the_work(fencing_token=lease.token)

        await election.campaign(on_elected=lead, on_deposed=stop_the_work)
    """

    def __init__(self, name: str, *, max_waiters: int = DEFAULT_MAX_WAITERS) -> None:
        super().__init__(name, max_waiters=max_waiters)
        self._lease: Lease | None = None

    @property
    def leader(self) -> str | None:
        """Who leads, as far as this server knows; None for nobody."""
        return self.owner

    async def campaign(
        self,
        on_elected: Elected,
        on_deposed: Deposed | None = None,
        *,
        candidate: str | None = None,
        lease_ms: int = DEFAULT_LEASE_MS,
    ) -> None:
        """Stand for election, lead, and stand again after losing the lead, until cancelled.

        Args:
            on_elected: Called with the lease when this candidate has won. A coroutine runs beside the renewals, and is
                cancelled when the lead is lost; when it returns the lead is kept. An exception gives the lead up and
                ends the campaign.
            on_deposed: Called when the lead is over, for whatever reason. By this server's clock that is before anybody
                else can have won, unless this process was held up; whence the token.
            candidate: Under which name; None for a new one.
            lease_ms: How soon another can win if this one dies.
        """
        while True:
            self._lease = lease = await self.acquire(owner=candidate, lease_ms=lease_ms)
            logger.info("%s: %s leads under token %d", self.name, lease.owner, lease.token)
            try:
                await self._lead(lease, on_elected)
            finally:
                logger.info("%s: %s leads no more", self.name, lease.owner)
                try:
                    if on_deposed is not None:
                        await _call(on_deposed)
                finally:
                    await self._give_back(lease)

    async def _lead(self, lease: Lease, on_elected: Elected) -> None:
        """Until the lead is lost; the work is cancelled then, and also if the caller is."""
        loop = asyncio.get_running_loop()
        keeping = loop.create_task(self.keep(lease))
        working = loop.create_task(_call(on_elected, lease))
        try:
            await asyncio.wait([keeping, working], return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                await working  # raises what the work raised
            await keeping
        finally:
            for task in (working, keeping):
                task.cancel()
            await asyncio.gather(working, keeping, return_exceptions=True)

    def resign(self) -> bool:
        """Give up the lead if a candidate of this process has it; whether one had. Its campaign goes on."""
        lease, self._lease = self._lease, None
        if lease is None or lease.lost.is_set():
            return False
        lease.lost.set()
        return True


async def _call(function: Callable[..., Awaitable[Any] | Any], *args: Lease) -> None:
    result = function(*args)
    if inspect.isawaitable(result):
        await result
