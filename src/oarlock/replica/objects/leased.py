"""Holding a permit under a lease: what locks, semaphores and elections offer to callers."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Final

from oarlock.replica.codec import Value
from oarlock.replica.errors import Stopped
from oarlock.replica.object import replicated
from oarlock.replica.objects.errors import NotHeld
from oarlock.replica.objects.owners import DrawsNames, owner_name
from oarlock.replica.objects.permits import Permits
from oarlock.replica.objects.values import positive, whole
from oarlock.replica.objects.waiting import Bell, Deadline, behind, persistently

DEFAULT_LEASE_MS: Final = 10_000
DEFAULT_MAX_WAITERS: Final = 1_000
PATIENCE_MS: Final = 15_000
"""How long a place in the queue is kept for somebody who does not ask again."""
ASK_AGAIN_MS: Final = PATIENCE_MS // 3
_SHORTEST_PAUSE_S: Final = 0.005
_STAGGER_S: Final = 0.1
RENEWALS_PER_LEASE: Final = 3

logger = logging.getLogger(__name__)


class Lease:
    """A permit that was granted.

    Attributes:
        owner: Under which name it is held.
        token: The fencing token: above that of every earlier grant. Send it along with whatever is done under the
            permit, and let the receiver refuse tokens below the highest that it has seen.
        lease_ms: How long the permit lasts without being renewed.
        lost: Set when the permit was found to be gone, or cannot be relied on any more.
    """

    def __init__(self, owner: str, token: int, lease_ms: int, asked_at: float) -> None:
        self.owner = owner
        self.token = token
        self.lease_ms = lease_ms
        self.lost = asyncio.Event()
        self._clock = asyncio.get_running_loop().time
        self._asked_at = asked_at

    def __repr__(self) -> str:
        return f"<Lease {self.owner!r}, token {self.token}, {max(0.0, self.left_s()):.1f} s left>"

    def left_s(self) -> float:
        """Seconds for which the permit is surely held, by this server's clock; counted from before it was asked for."""
        return self._asked_at + self.lease_ms / 1000 - self._clock()

    def is_held(self) -> bool:
        """Whether the permit is surely held, as far as this server's clock can tell."""
        return self.left_s() > 0 and not self.lost.is_set()

    def renewed(self, asked_at: float) -> None:
        """Count from a later request on."""
        self._asked_at = max(self._asked_at, asked_at)


class Leased(DrawsNames):
    """Permits under leases, for whoever asks first.

    Time is machine time: it is stamped on commands by the server that proposes them, never runs backwards, and stands
    in the log; so all servers agree on whether a lease is over, and two holders of one permit are impossible, however
    late a message arrives. What no lease can give is that a holder knows in time that it is over (it may have been
    asleep): for that there are tokens.
    """

    def __init__(self, name: str, limit: int, *, max_waiters: int = DEFAULT_MAX_WAITERS) -> None:
        """Start with all permits free.

        Args:
            name: The object's name, alike on all servers.
            limit: How many permits there are; alike on all servers.
            max_waiters: How many may wait; alike on all servers. `TooManyWaiters` is raised beyond.
        """
        super().__init__(name)
        self._permits = Permits(positive(limit, "limit"), positive(max_waiters, "max_waiters"), self._granted)
        self._bells: dict[str, Bell] = {}
        self._last_ms = 0

    # -- commands --------------------------------------------------------------------------------------------------

    @replicated
    def try_acquire(self, owner: str, lease_ms: int, patience_ms: int = 0) -> int:
        """Ask for a permit once; the token, or 0 where there is none now.

        Args:
            owner: Who asks. Who holds the permit already is told the same token, and the lease begins anew: so it is
                safe to ask again after an error.
            lease_ms: How long to hold it.
            patience_ms: How long to keep a place in the queue until the owner asks again; 0 for no place.

        Raises:
            TooManyWaiters: The queue is full.
        """
        return self._permits.acquire(
            self._tick(), owner_name(owner), positive(lease_ms, "lease_ms"), whole(patience_ms, "patience_ms")
        )

    @replicated
    def try_renew(self, owner: str, token: int, lease_ms: int) -> bool:
        """Let the lease begin anew; whether the permit was still held under that token."""
        return self._permits.renew(self._tick(), owner, token, positive(lease_ms, "lease_ms"))

    @replicated
    def try_release(self, owner: str, token: int | None = None) -> bool:
        """Give the permit back; whether it was still held, under that token where one is given."""
        return self._permits.release(self._tick(), owner, token)

    @replicated
    def withdraw(self, owner: str) -> None:
        """Leave the queue, or give back what was granted meanwhile."""
        self._permits.withdraw(self._tick(), owner)

    def _tick(self) -> int:
        """Machine time, noted for those who wait here."""
        self._last_ms = self.now_ms
        return self._last_ms

    def _granted(self, owner: str) -> None:
        """A waiter's turn has come; it may wait on this server."""
        bell = self._bells.get(owner)
        if bell is not None:
            bell.ring()

    # -- this server's copy ----------------------------------------------------------------------------------------

    def owners(self) -> dict[str, int]:
        """Who holds permits, with their tokens, as far as this server knows; leases may be over that none has ended."""
        return {owner: holder.token for owner, holder in self._permits.holders.items()}

    def waiting(self) -> list[str]:
        """Who waits, in order, as far as this server knows."""
        return list(self._permits.waiters)

    @property
    def last_token(self) -> int:
        """The highest token granted, as far as this server knows."""
        return self._permits.last_token

    # -- for callers -----------------------------------------------------------------------------------------------

    async def acquire(
        self, *, owner: str | None = None, lease_ms: int = DEFAULT_LEASE_MS, timeout_s: float | None = None
    ) -> Lease:
        """Wait for a permit.

        Whoever is cancelled, or gives up, leaves the queue; whoever dies loses the place after a quarter of a minute.

        Args:
            owner: Under which name, which nobody else may use meanwhile; None for a new one.
            lease_ms: How long to hold it without renewing.
            timeout_s: How long to wait; None for ever.

        Raises:
            TimeoutError: There was none in time.
            TooManyWaiters: The queue is full.
        """
        deadline = Deadline(timeout_s)
        owner = await self._new_owner(deadline) if owner is None else owner
        try:
            return await self._acquire(owner, lease_ms, deadline)
        except BaseException:
            behind(lambda: self.withdraw(owner))
            raise

    async def _acquire(self, owner: str, lease_ms: int, deadline: Deadline) -> Lease:
        clock = asyncio.get_running_loop().time
        asked_at = 0.0

        def ask() -> Awaitable[int]:
            nonlocal asked_at
            asked_at = clock()
            token: Awaitable[int] = self.try_acquire(owner, lease_ms, PATIENCE_MS)
            return token

        while True:
            token = await persistently(ask, deadline)
            if token:
                return Lease(owner, token, lease_ms, asked_at)
            if deadline.is_over():
                raise TimeoutError(f"{self.name}: nothing was free in the time given")
            await self._until_worth_asking(owner, deadline)

    async def _until_worth_asking(self, owner: str, deadline: Deadline) -> None:
        """Until this server sees the owner's turn come, or a lease must be over, or the place would be lost."""
        if owner in self._permits.holders:
            return
        pause_s = deadline.left_of(ASK_AGAIN_MS / 1000)
        expiry_ms = self._permits.first_expiry_ms()
        if expiry_ms is not None:
            # The first in the queue asks first; those behind it only in case that it is dead.
            place = self.waiting().index(owner) if owner in self._permits.waiters else 0
            pause_s = min(pause_s, max(0, expiry_ms - self._last_ms) / 1000 + _SHORTEST_PAUSE_S + place * _STAGGER_S)
        bell = self._bells.setdefault(owner, Bell())
        try:
            await bell.wait(pause_s)
        finally:
            if not len(bell):
                self._bells.pop(owner, None)

    async def renew(self, lease: Lease) -> None:
        """Let a lease begin anew.

        Raises:
            NotHeld: It is over.
        """
        asked_at = asyncio.get_running_loop().time()
        if not await self.try_renew(lease.owner, lease.token, lease.lease_ms):
            lease.lost.set()
            raise NotHeld(f"{self.name}: the lease of {lease.owner} under token {lease.token} is over")
        lease.renewed(asked_at)

    async def release(self, lease: Lease) -> None:
        """Give a permit back.

        Raises:
            NotHeld: It was not held any more.
        """
        lease.lost.set()
        if not await self.try_release(lease.owner, lease.token):
            raise NotHeld(f"{self.name}: the lease of {lease.owner} under token {lease.token} was over already")

    @asynccontextmanager
    async def hold(
        self, *, owner: str | None = None, lease_ms: int = DEFAULT_LEASE_MS, timeout_s: float | None = None
    ) -> AsyncIterator[Lease]:
        """Hold a permit for as long as the block lasts: it is renewed meanwhile, and given back at the end.

        A block that must not go on without the permit looks at `lease.is_held()`, or waits for `lease.lost`.

        Args:
            owner: As for `acquire`.
            lease_ms: How soon others can have the permit if this server dies.
            timeout_s: As for `acquire`.

        Raises:
            TimeoutError, TooManyWaiters: As for `acquire`.
        """
        lease = await self.acquire(owner=owner, lease_ms=lease_ms, timeout_s=timeout_s)
        renewing = asyncio.get_running_loop().create_task(self.keep(lease))
        try:
            yield lease
        finally:
            renewing.cancel()
            await asyncio.wait([renewing])
            await self._give_back(lease)

    async def _give_back(self, lease: Lease) -> None:
        """Release at the end of a block, whose outcome counts more than that this failed: the lease ends anyway."""
        lease.lost.set()
        try:
            await self.try_release(lease.owner, lease.token)
        except Exception as error:  # noqa: BLE001 - see above
            logger.warning("%s: could not give back the lease of %s: %s", self.name, lease.owner, error)

    async def keep(self, lease: Lease) -> None:
        """Renew a lease again and again; returns, with `lease.lost` set, when it is lost or may be."""
        pause_s = lease.lease_ms / 1000 / RENEWALS_PER_LEASE
        while lease.is_held():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(lease.lost.wait(), min(pause_s, max(0.0, lease.left_s())))
            if not lease.is_held():
                break
            try:
                async with asyncio.timeout(lease.left_s()):
                    await self.renew(lease)
            except (NotHeld, Stopped):
                break
            except Exception as error:  # noqa: BLE001 - any error leaves the lease as it is: try again while it lasts
                logger.warning("%s: could not renew the lease of %s: %s", self.name, lease.owner, error)
                pause_s = min(pause_s, max(_SHORTEST_PAUSE_S, lease.left_s() / RENEWALS_PER_LEASE))
        lease.lost.set()

    def on_stop(self) -> None:
        """Nobody's turn comes any more."""
        for bell in list(self._bells.values()):
            bell.close()

    def snapshot(self) -> object:
        """Holders and waiters."""
        return self._permits.snapshot()

    def restore(self, image: Value) -> None:
        """Take over holders and waiters; whoever waits here asks again."""
        self._permits.restore(image)
        for bell in self._bells.values():
            bell.ring()
