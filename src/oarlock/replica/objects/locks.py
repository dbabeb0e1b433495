"""Locks and semaphores."""

from oarlock.replica.objects.leased import DEFAULT_MAX_WAITERS, Leased


class ReplicatedLock(Leased):
    """A lock that one owner holds at a time, in the order in which they asked.

    ::

        async with lock.hold(lease_ms=10_000) as lease:
            store.write(data, fencing_token=lease.token)
    """

    def __init__(self, name: str, *, max_waiters: int = DEFAULT_MAX_WAITERS) -> None:
        super().__init__(name, 1, max_waiters=max_waiters)

    @property
    def owner(self) -> str | None:
        """Who holds the lock, as far as this server knows; None for nobody."""
        return next(iter(self._permits.holders), None)

    def locked(self) -> bool:
        """Whether anybody holds the lock, as far as this server knows."""
        return bool(self._permits.holders)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}: {self.owner or 'free'}, last token {self.last_token}>"


class ReplicatedSemaphore(Leased):
    """A number of permits, in the order in which they are asked for.

    Tokens rise over all permits, so a token says which of two holders came later, not which permit it is.
    """

    def __init__(self, name: str, permits: int, *, max_waiters: int = DEFAULT_MAX_WAITERS) -> None:
        """Start with all permits free.

        Args:
            name: The object's name, alike on all servers.
            permits: How many there are; alike on all servers.
            max_waiters: How many may wait; alike on all servers.
        """
        super().__init__(name, permits, max_waiters=max_waiters)

    @property
    def permits(self) -> int:
        """How many there are."""
        return self._permits.limit

    @property
    def available(self) -> int:
        """How many are free, as far as this server knows."""
        return self._permits.limit - len(self._permits.holders)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}: {self.available} of {self.permits} free>"
