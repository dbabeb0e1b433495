"""Machine time goes on, whatever one server's date was for a moment."""

import time

from oarlock.replica.object import ReplicatedObject
from oarlock.replica.objects import ReplicatedLock
from oarlock.replica.settings import Environment
from oarlock.testing import cluster


async def test_leases_end_after_a_date_was_wrong() -> None:
    """One command stamped an hour ahead does not make the leases of the next hour last for an hour."""
    ahead_s = 0.0

    def make() -> list[ReplicatedObject]:
        return [ReplicatedLock("lock")]

    async with cluster(1, objects=make, own_thread=False) as servers:
        await servers.restart(0, environment=Environment(wall_clock=lambda: time.time() + ahead_s))
        [lock] = servers.objects(0)
        ahead_s = 3600.0
        await lock.try_release("nobody")
        ahead_s = 0.0
        first = await lock.acquire(owner="dead", lease_ms=200)
        second = await lock.acquire(owner="waiting", timeout_s=20)
        assert second.token > first.token
