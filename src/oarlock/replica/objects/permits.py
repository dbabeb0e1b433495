"""A number of permits, each held under a lease: the state that locks, semaphores and elections share.

Pure: time comes in with every call (machine time, so it is the same on every server), and nothing here waits. Those
who find no permit stand in a queue, first come, first served. What the dead leave behind ends by itself: a holder's
permit with its lease, a waiter's place when it has not asked again for the time that it said it would.

Every grant bears a token above all earlier ones. Whoever does something under a permit sends the token along, and a
store that remembers the highest it has seen refuses a holder that does not know yet that its lease is over
(M. Kleppmann, "How to do distributed locking").
"""

from collections.abc import Callable

import msgspec

from oarlock.replica.objects.errors import TooManyWaiters


class Holder(msgspec.Struct, array_like=True):
    """Who has a permit."""

    token: int
    expires_ms: int
    """Machine time at which the lease is over."""


class Waiter(msgspec.Struct, array_like=True):
    """Who stands in the queue."""

    lease_ms: int
    """How long it wants to hold the permit, from the grant on."""
    until_ms: int
    """When its place is lost, unless it asks again."""


class PermitsImage(msgspec.Struct, array_like=True):
    """All of the state, in the order in which everyone came."""

    last_token: int
    holders: list[tuple[str, Holder]]
    waiters: list[tuple[str, Waiter]]


class Permits:
    """Permits, their holders and those who wait, by owner."""

    def __init__(self, limit: int, max_waiters: int, granted: Callable[[str], None] | None = None) -> None:
        """Start with all permits free.

        Args:
            limit: How many there are.
            max_waiters: How many may wait.
            granted: Called with each waiter whose turn has come.
        """
        self._granted = granted
        self.limit = limit
        self.max_waiters = max_waiters
        self.holders: dict[str, Holder] = {}
        self.waiters: dict[str, Waiter] = {}
        self.last_token = 0
        self._soonest_ms = 0
        """Before this time nothing can be over; only to save looking."""

    def acquire(self, now_ms: int, owner: str, lease_ms: int, patience_ms: int) -> int:
        """Grant a permit, or let the owner wait for one.

        Asking again is harmless: a holder has its lease extended and is told the same token, a waiter keeps its place.

        Args:
            now_ms: Machine time.
            owner: Who asks.
            lease_ms: How long the permit is held from now, or from the grant on.
            patience_ms: How long to keep a place in the queue for; 0 for none.

        Returns:
            The token; 0 where there is no permit now.

        Raises:
            TooManyWaiters: The queue is full.
        """
        self.expire(now_ms)
        holder = self.holders.get(owner)
        if holder is not None:
            holder.expires_ms = self._remember(now_ms + lease_ms)
            return holder.token
        if len(self.holders) < self.limit:  # nobody waits then
            return self._grant(now_ms, owner, lease_ms)
        if patience_ms > 0:
            if owner not in self.waiters and len(self.waiters) >= self.max_waiters:
                raise TooManyWaiters(f"{len(self.waiters)} wait already")
            waiter = self.waiters.setdefault(owner, Waiter(lease_ms, 0))
            waiter.lease_ms = lease_ms
            waiter.until_ms = self._remember(now_ms + patience_ms)
        return 0

    def renew(self, now_ms: int, owner: str, token: int, lease_ms: int) -> bool:
        """Extend a lease, from now on; whether the owner still held the permit under that token."""
        self.expire(now_ms)
        holder = self.holders.get(owner)
        if holder is None or holder.token != token:
            return False
        holder.expires_ms = self._remember(now_ms + lease_ms)
        return True

    def release(self, now_ms: int, owner: str, token: int | None) -> bool:
        """Give a permit back; whether the owner still held it.

        Args:
            now_ms: Machine time.
            owner: Who held it.
            token: Under which token; None for whichever it is.
        """
        self.expire(now_ms)
        holder = self.holders.get(owner)
        if holder is None or (token is not None and holder.token != token):
            return False
        del self.holders[owner]
        self._grant_to_waiters(now_ms)
        return True

    def withdraw(self, now_ms: int, owner: str) -> None:
        """Leave the queue, and give back the permit if it was granted meanwhile."""
        self.waiters.pop(owner, None)
        self.release(now_ms, owner, None)

    def expire(self, now_ms: int) -> None:
        """Drop what is over, and grant what that frees."""
        if now_ms < self._soonest_ms:
            return
        self.holders = {owner: holder for owner, holder in self.holders.items() if holder.expires_ms > now_ms}
        self.waiters = {owner: waiter for owner, waiter in self.waiters.items() if waiter.until_ms > now_ms}
        self._grant_to_waiters(now_ms)
        deadlines = [holder.expires_ms for holder in self.holders.values()]
        deadlines += [waiter.until_ms for waiter in self.waiters.values()]
        self._soonest_ms = min(deadlines, default=now_ms)

    def first_expiry_ms(self) -> int | None:
        """Machine time at which the next lease is over, if anybody holds one."""
        return min((holder.expires_ms for holder in self.holders.values()), default=None)

    def _grant_to_waiters(self, now_ms: int) -> None:
        while self.waiters and len(self.holders) < self.limit:
            owner = next(iter(self.waiters))
            self._grant(now_ms, owner, self.waiters.pop(owner).lease_ms)
            if self._granted is not None:
                self._granted(owner)

    def _grant(self, now_ms: int, owner: str, lease_ms: int) -> int:
        self.last_token += 1
        self.holders[owner] = Holder(self.last_token, self._remember(now_ms + lease_ms))
        return self.last_token

    def _remember(self, deadline_ms: int) -> int:
        self._soonest_ms = min(self._soonest_ms, deadline_ms)
        return deadline_ms

    def snapshot(self) -> object:
        """The state as plain data."""
        return msgspec.to_builtins(
            PermitsImage(self.last_token, list(self.holders.items()), list(self.waiters.items()))
        )

    def restore(self, image: object) -> None:
        """Take over a state that `snapshot` made, as it came out of msgpack."""
        whole = msgspec.convert(image, PermitsImage)
        self.last_token = whole.last_token
        self.holders = dict(whole.holders)
        self.waiters = dict(whole.waiters)
        self._soonest_ms = 0
