"""Commands of locks, semaphores, barriers, elections and schedulers, applied one by one without a cluster."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.support.alone import image_of, outcome, restored

from oarlock.check import Operation, Verdict, check_history, make_history
from oarlock.replica.objects.barrier import BROKEN, WAITING, ReplicatedBarrier
from oarlock.replica.objects.election import LeaderElection
from oarlock.replica.objects.errors import NoSuchJob, TooManyWaiters
from oarlock.replica.objects.leased import PATIENCE_MS
from oarlock.replica.objects.locks import ReplicatedLock, ReplicatedSemaphore
from oarlock.replica.objects.scheduler import ReplicatedScheduler

NAMES = st.sampled_from(["a", "b", "c"])
LEASE = 100


def answer(obj: Any, method: str, *args: Any, now_ms: int = 0) -> Any:
    """What a command that does not raise answers."""
    kind, value = outcome(obj, method, *args, now_ms=now_ms)
    assert kind == "is", value
    return value


LOCK_STEPS = st.lists(
    st.tuples(
        st.sampled_from([0, 10, 60, LEASE]),
        st.sampled_from(["try_acquire", "try_acquire", "try_renew", "try_release"]),
        NAMES,
        st.integers(1, 4),
    ),
    max_size=40,
)


@given(LOCK_STEPS)
def test_a_lock_is_the_checkers_lock(steps: list[tuple[int, str, str, int]]) -> None:
    """Answers are those of the model that judges histories, a lease's end being a release in the holder's name."""
    lock, now, operations = ReplicatedLock("l"), 0, []

    def note(kind: str, client: str, given: Any, output: Any) -> None:
        moment = float(len(operations))
        operations.append(
            Operation(client=client, kind=kind, input=given, output=output, call=moment, return_=moment + 0.5)
        )

    for later, method, owner, token in steps:
        now += later
        for dead, holder in lock._permits.holders.items():
            if holder.expires_ms <= now:
                note("release", "time", {"owner": dead}, True)
        if method == "try_acquire":
            note("acquire", owner, {"owner": owner}, answer(lock, method, owner, LEASE, now_ms=now) or False)
        elif method == "try_release":
            note("release", owner, {"owner": owner, "token": token}, answer(lock, method, owner, token, now_ms=now))
        else:
            held = lock.owners().get(owner) == token and lock._permits.holders[owner].expires_ms > now
            assert answer(lock, method, owner, token, LEASE, now_ms=now) is held
    assert check_history(make_history(operations), "lock").verdict is Verdict.OK


@given(LOCK_STEPS, st.integers(0, 40))
def test_two_copies_of_a_semaphore_stay_alike(steps: list[tuple[int, str, str, int]], restart: int) -> None:
    """The same commands give the same snapshot, byte for byte, also where one copy began from a snapshot."""
    one, other, now = ReplicatedSemaphore("s", 2), ReplicatedSemaphore("s", 2), 0
    for number, (later, method, owner, token) in enumerate(steps):
        now += later
        if number == restart:
            one = restored(ReplicatedSemaphore("s", 2), image_of(one))
        args = {"try_acquire": (owner, LEASE, 50), "try_renew": (owner, token, LEASE), "try_release": (owner, token)}
        assert outcome(one, method, *args[method], now_ms=now) == outcome(other, method, *args[method], now_ms=now)
        assert image_of(one) == image_of(other)
        assert len(one.owners()) <= one.permits


def test_bad_arguments_of_a_lock_are_refused_and_change_nothing() -> None:
    """The error names the argument."""
    lock = ReplicatedLock("l", max_waiters=1)
    assert answer(lock, "try_acquire", "a", LEASE) == 1
    before = image_of(lock)
    assert outcome(lock, "try_acquire", "b", 0)[1] == (ValueError, "lease_ms must be above 0, not 0")
    assert outcome(lock, "try_acquire", "b", "long")[1] == (TypeError, "lease_ms must be an int, not str")
    assert outcome(lock, "try_acquire", 7, LEASE)[1] == (TypeError, "owner must be a text, not int")
    assert outcome(lock, "try_acquire", "", LEASE)[1] == (ValueError, "owner must not be empty")
    assert image_of(lock) == before
    assert answer(lock, "try_acquire", "b", LEASE, 50) == 0
    assert outcome(lock, "try_acquire", "c", LEASE, 50)[1] == (TooManyWaiters, "1 wait already")
    assert lock.locked()
    assert (lock.owner, lock.waiting(), lock.last_token) == ("a", ["b"], 1)


def test_an_election_is_a_lock() -> None:
    """Who holds it leads."""
    election = LeaderElection("e")
    answer(election, "try_acquire", "worker 1", LEASE)
    assert election.leader == "worker 1"
    answer(election, "try_release", "worker 1", 1)
    assert election.leader is None


class BarrierModel:
    """Rounds as lists of visits; who left never comes back."""

    def __init__(self, parties: int) -> None:
        self.parties = parties
        self.rounds: list[list[str]] = [[]]
        self.seen: dict[str, int] = {}
        self.left: set[str] = set()

    def arrive(self, now: int, visit: str, number: int | None) -> list[int]:
        for finished, there in enumerate(self.rounds[:-1]):
            if visit in there:
                return [finished, there.index(visit)]
        last = len(self.rounds) - 1
        if visit in self.left or (number is not None and number < last):
            return [last if number is None else number, BROKEN]
        current = self.rounds[-1]
        for other in list(current):
            if other != visit and self.seen[other] + PATIENCE_MS <= now:
                current.remove(other)
        if visit not in current:
            current.append(visit)
        self.seen[visit] = now
        if len(current) < self.parties:
            return [last, WAITING]
        self.rounds.append([])
        return [last, current.index(visit)]

    def leave(self, visit: str) -> None:
        self.left.add(visit)
        if visit in self.rounds[-1]:
            self.rounds[-1].remove(visit)


VISITS = st.sampled_from("abcdef")


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0, 1, PATIENCE_MS // 2, PATIENCE_MS]), VISITS, st.sampled_from([None, 0, 1, "leave"])
        ),
        max_size=30,
    ),
    st.integers(0, 30),
)
def test_a_barrier_lets_through_whole_rounds(steps: list[tuple[int, str, int | str | None]], restart: int) -> None:
    """A round ends when all parties are there at once; late attempts of visits that are over do nothing."""
    barrier, model, now = ReplicatedBarrier("b", 2), BarrierModel(2), 0
    for position, (later, visit, known) in enumerate(steps):
        now += later
        if position == restart:
            barrier = restored(ReplicatedBarrier("b", 2), image_of(barrier))
        if isinstance(known, str):
            answer(barrier, "leave", visit)
            model.leave(visit)
        else:
            number = None if known is None else min(known, barrier.round)
            assert answer(barrier, "arrive", visit, number, now_ms=now) == model.arrive(now, visit, number)
        assert barrier.n_waiting == len(model.rounds[-1])


def test_a_broken_round_and_one_forgotten_are_broken_for_those_in_it() -> None:
    """After `abort` whoever waited is told so, and the next round is whole."""
    barrier = ReplicatedBarrier("b", 2)
    assert answer(barrier, "arrive", "a") == [0, WAITING]
    answer(barrier, "abort")
    assert answer(barrier, "arrive", "a", 0) == [0, BROKEN]
    assert answer(barrier, "arrive", "a") == [1, BROKEN]
    for number in range(1, 20):
        assert answer(barrier, "arrive", f"a{number}") == [number, WAITING]
        assert answer(barrier, "arrive", f"b{number}") == [number, 1]
    assert answer(barrier, "arrive", "a19", 19) == [19, 0]
    assert answer(barrier, "arrive", "a1", 1) == [1, BROKEN]


def test_a_scheduler_claims_each_due_time_once() -> None:
    """Of two servers that claim a run one gets it; a bad setting and an unknown job raise as such."""
    scheduler = ReplicatedScheduler("s")
    assert answer(scheduler, "add_job", "job", 10, now_ms=0) is True
    assert answer(scheduler, "add_job", "job", 10, now_ms=5) is False
    assert answer(scheduler, "claim", "job", "a", now_ms=10) == [1, 10, 0]
    assert answer(scheduler, "claim", "job", "b", now_ms=10)[0] == 0
    assert answer(scheduler, "extend", "job", 1, now_ms=15) is True
    assert answer(scheduler, "finish", "job", 1, True, now_ms=16) is True
    assert answer(scheduler, "claim", "job", "b", now_ms=20) == [2, 20, 0]
    copy = restored(ReplicatedScheduler("s"), image_of(scheduler))
    assert image_of(copy) == image_of(scheduler)
    assert copy.jobs()["job"].running.runner == "b"
    assert outcome(scheduler, "claim", "other", "a")[1] == (NoSuchJob, "'other'")
    assert outcome(scheduler, "add_job", "other", 0)[1] == (ValueError, "every_ms must be above 0, not 0")
    assert outcome(scheduler, "add_job", "other", 1, "never")[1][0] is ValueError
    answer(scheduler, "remove_job", "job")
    assert outcome(scheduler, "remove_job", "job")[1] == (NoSuchJob, "'job'")
