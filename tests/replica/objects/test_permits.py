"""Permits under leases, against a model that keeps nothing but a list of who asked for what."""

from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oarlock.replica.objects.errors import TooManyWaiters
from oarlock.replica.objects.permits import Permits

OWNERS = ("a", "b", "c", "d")
MAX_WAITERS = 2


@dataclass
class Model:
    """The slow way: at each call everything is worked out anew."""

    limit: int
    held: list[tuple[str, int, int]] = field(default_factory=list)
    """Owner, token, end of the lease."""
    queue: list[tuple[str, int, int]] = field(default_factory=list)
    """Owner, lease, end of the patience."""
    granted: int = 0

    def call(self, now: int, kind: str, owner: str, number: int) -> object:
        """One operation; `number` is a lease, a patience or a token."""
        if kind == "withdraw":  # first: nobody is let in who wants to leave
            self.queue = [waiter for waiter in self.queue if waiter[0] != owner]
        self.held = [holder for holder in self.held if holder[2] > now]
        self.queue = [waiter for waiter in self.queue if waiter[2] > now]
        self._let_in(now)
        mine = next((holder for holder in self.held if holder[0] == owner), None)
        match kind:
            case "acquire":
                return self._acquire(now, owner, number, mine)
            case "renew":
                if mine is None or mine[1] != number:
                    return False
                self.held[self.held.index(mine)] = (owner, number, now + 50)
                return True
            case "release":
                if mine is None or mine[1] != number:
                    return False
                self.held.remove(mine)
                self._let_in(now)
                return True
            case _:
                self.held = [holder for holder in self.held if holder[0] != owner]
                self._let_in(now)
                return None

    def _acquire(self, now: int, owner: str, patience: int, mine: tuple[str, int, int] | None) -> object:
        if mine is not None:
            self.held[self.held.index(mine)] = (owner, mine[1], now + 50)
            return mine[1]
        if len(self.held) < self.limit:
            self.granted += 1
            self.held.append((owner, self.granted, now + 50))
            return self.granted
        if patience > 0:
            places = [waiter[0] for waiter in self.queue]
            if owner in places:
                self.queue[places.index(owner)] = (owner, 50, now + patience)
            elif len(places) >= MAX_WAITERS:
                return "full"
            else:
                self.queue.append((owner, 50, now + patience))
        return 0

    def _let_in(self, now: int) -> None:
        while self.queue and len(self.held) < self.limit:
            owner, lease, _ = self.queue.pop(0)
            self.granted += 1
            self.held.append((owner, self.granted, now + lease))


def call(permits: Permits, now: int, kind: str, owner: str, number: int) -> object:
    """The same operation on the real thing."""
    try:
        match kind:
            case "acquire":
                return permits.acquire(now, owner, 50, number)
            case "renew":
                return permits.renew(now, owner, number, 50)
            case "release":
                return permits.release(now, owner, number)
            case _:
                return permits.withdraw(now, owner)
    except TooManyWaiters:
        return "full"


STEPS = st.lists(
    st.tuples(
        st.sampled_from((0, 0, 1, 10, 30, 60)),
        st.sampled_from(("acquire", "acquire", "acquire", "renew", "release", "withdraw")),
        st.sampled_from(OWNERS),
        st.sampled_from((0, 1, 2, 3, 20, 100)),
    ),
    max_size=60,
)


@given(st.integers(1, 3), STEPS, st.integers(0, 60))
@example(1, [(0, "acquire", "a", 0), (0, "acquire", "b", 100), (60, "withdraw", "b", 0), (0, "acquire", "a", 0)], 0)
def test_permits_are_what_the_model_says(limit: int, steps: list[tuple[int, str, str, int]], restart: int) -> None:
    """Answers, holders and queue are those of the model, before and after a restore from a snapshot in the middle."""
    model, permits, now = Model(limit), Permits(limit, MAX_WAITERS), 0
    for number, (later, kind, owner, argument) in enumerate(steps):
        if number == restart:
            image = msgspec.msgpack.decode(msgspec.msgpack.encode(permits.snapshot()))
            permits = Permits(limit, MAX_WAITERS)
            permits.restore(image)
        now += later
        assert call(permits, now, kind, owner, argument) == model.call(now, kind, owner, argument)
        assert [(o, h.token, h.expires_ms) for o, h in permits.holders.items()] == model.held
        assert [(o, w.lease_ms, w.until_ms) for o, w in permits.waiters.items()] == model.queue


@given(STEPS)
def test_a_lock_is_never_granted_twice(steps: list[tuple[int, str, str, int]]) -> None:
    """At no machine time are there two holders, and each grant's token is above all earlier ones."""
    permits, now, seen = Permits(1, MAX_WAITERS), 0, 0
    for later, kind, owner, argument in steps:
        now += later
        before = dict(permits.holders)
        call(permits, now, kind, owner, argument)
        assert len(permits.holders) <= 1
        for who, holder in permits.holders.items():
            if who not in before or before[who].token != holder.token:
                assert holder.token > seen
                seen = holder.token


def test_a_snapshot_does_not_change_afterwards() -> None:
    """What a snapshot holds is cut off from the state that goes on."""
    permits = Permits(1, MAX_WAITERS)
    permits.acquire(0, "a", 50, 0)
    image = permits.snapshot()
    before = msgspec.msgpack.encode(image)
    permits.renew(10, "a", 1, 50)
    permits.acquire(10, "b", 50, 20)
    assert msgspec.msgpack.encode(image) == before


def test_the_dead_do_not_hold_up_the_queue() -> None:
    """A holder that never comes back loses the lock with its lease, to the first waiter that still asks."""
    told: list[str] = []
    permits = Permits(1, MAX_WAITERS, told.append)
    assert permits.acquire(0, "dead holder", 50, 0) == 1
    assert permits.acquire(1, "dead waiter", 50, 20) == 0
    assert permits.acquire(2, "alive", 50, 100) == 0
    assert permits.acquire(49, "alive", 50, 100) == 0
    assert permits.acquire(50, "late", 50, 100) == 0
    assert told == ["alive"]
    assert permits.acquire(51, "alive", 50, 100) == 2


def test_a_full_queue_refuses_newcomers_alone() -> None:
    """Whoever has a place keeps it; the error says how many wait."""
    permits = Permits(1, 1)
    permits.acquire(0, "a", 50, 0)
    permits.acquire(0, "b", 50, 50)
    assert permits.acquire(1, "b", 50, 50) == 0
    with pytest.raises(TooManyWaiters, match="1 wait already"):
        permits.acquire(1, "c", 50, 50)
