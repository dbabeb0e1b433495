"""When jobs are due and who runs them, against a model that keeps the list of all due times."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oarlock.replica.objects.errors import NoSuchJob, TooManyItems
from oarlock.replica.objects.jobs import MAX_CATCH_UP, MAX_JOBS, Jobs, Missed, Settings

EVERY = 10
GRACE = 3
LEASE = 25


def jobs_with(missed: Missed, first_ms: int = EVERY) -> Jobs:
    """One job, due every ten milliseconds from the tenth on."""
    jobs = Jobs()
    jobs.add(0, "job", Settings(EVERY, missed, GRACE, LEASE), first_ms)
    return jobs


class Model:
    """All due times from the first one on, each of them waiting, run or dropped."""

    def __init__(self, missed: Missed) -> None:
        self.missed = missed
        self.done: dict[int, str] = {}
        self.busy_until = 0

    def claim(self, now: int) -> int | None:
        """The due time that is run for, if one is."""
        if now < self.busy_until:
            return None
        waiting = [due for due in range(EVERY, now + 1, EVERY) if due not in self.done]
        if self.missed == "once":
            keep = waiting[-1:]
        elif self.missed == "skip":
            keep = [due for due in waiting[-1:] if now - due <= GRACE]
        else:
            keep = waiting[-MAX_CATCH_UP - 1 :]
        self.done |= {due: "dropped" for due in waiting if due not in keep}
        if not keep:
            return None
        self.done[keep[0]] = "run"
        self.busy_until = now + LEASE
        return keep[0]


STEPS = st.lists(
    st.tuples(st.sampled_from((0, 1, 4, 10, 27, 55)), st.sampled_from(("claim", "claim", "finish", "extend"))),
    max_size=50,
)


@given(st.sampled_from(("once", "all", "skip")), STEPS, st.integers(0, 50))
def test_due_times_are_run_as_the_model_says(missed: Missed, steps: list[tuple[int, str]], restart: int) -> None:
    """Each due time is run at most once, never beside another run, and by the policy; across a snapshot too."""
    model, jobs, now, token = Model(missed), jobs_with(missed), 0, 0
    for number, (later, kind) in enumerate(steps):
        now += later
        if number == restart:
            image = msgspec.msgpack.decode(msgspec.msgpack.encode(jobs.snapshot()))
            jobs = Jobs()
            jobs.restore(image)
        if kind == "claim":
            expected = model.claim(now)
            claim = jobs.claim(now, "job", "runner")
            assert (claim.due_ms if claim.token else None) == expected
            if claim.token:
                assert claim.token > token
                token = claim.token
            else:
                assert claim.wait_ms > 0
        elif kind == "finish":
            if jobs.finish("job", token, succeeded=True):
                model.busy_until = 0
        elif jobs.extend(now, "job", token):
            assert now < model.busy_until
            model.busy_until = now + LEASE
    job = jobs.jobs["job"]
    assert job.runs == list(model.done.values()).count("run")
    assert job.dropped == list(model.done.values()).count("dropped")


def test_a_refused_claim_says_when_to_ask_again() -> None:
    """At the time that it names the claim succeeds, whether it was too early or another run was under way."""
    jobs = jobs_with("once")
    early = jobs.claim(4, "job", "a")
    assert (early.token, early.wait_ms) == (0, 6)
    assert jobs.claim(10, "job", "a").token == 1
    busy = jobs.claim(12, "job", "b")
    assert (busy.token, busy.wait_ms) == (0, LEASE - 2)
    assert jobs.claim(12 + busy.wait_ms, "job", "b").token == 2


def test_a_run_whose_lease_is_over_can_neither_go_on_nor_end() -> None:
    """A runner that was held up learns so, and does not end the run of its successor."""
    jobs = jobs_with("all")
    first = jobs.claim(10, "job", "a")
    second = jobs.claim(10 + LEASE, "job", "b")
    assert second.token > first.token
    assert not jobs.extend(10 + LEASE, "job", first.token)
    assert not jobs.finish("job", first.token, succeeded=True)
    assert jobs.finish("job", second.token, succeeded=False)
    assert jobs.jobs["job"].failures == 1


def test_adding_again_changes_nothing_unless_the_settings_differ() -> None:
    """Every server may add its jobs at its start without moving their due times."""
    jobs = jobs_with("once")
    jobs.claim(10, "job", "a")
    due_ms = jobs.jobs["job"].due_ms
    assert not jobs.add(15, "job", Settings(EVERY, "once", GRACE, LEASE), None)
    assert jobs.jobs["job"].due_ms == due_ms
    assert jobs.add(15, "job", Settings(7, "once", GRACE, LEASE), None)
    assert jobs.jobs["job"].due_ms == 22


def test_bad_settings_and_unknown_jobs_are_refused_by_name() -> None:
    """The error names the setting, or the job."""
    jobs = Jobs()
    with pytest.raises(ValueError, match="every_ms must be above 0, not 0"):
        jobs.add(0, "job", Settings(0, "once", 0, 1), None)
    with pytest.raises(ValueError, match="lease_ms must be above 0"):
        jobs.add(0, "job", Settings(1, "once", 0, 0), None)
    with pytest.raises(ValueError, match="grace_ms must not be negative: -1"):
        jobs.add(0, "job", Settings(1, "once", -1, 1), None)
    with pytest.raises(ValueError, match="missed must be one of once, all, skip, not 'never'"):
        jobs.add(0, "job", Settings(1, "never", 0, 1), None)  # type: ignore[arg-type]
    with pytest.raises(NoSuchJob, match="job"):
        jobs.claim(0, "job", "a")
    with pytest.raises(NoSuchJob, match="job"):
        jobs.remove("job")
    assert not jobs.extend(0, "job", 1)
    assert not jobs.finish("job", 1, succeeded=True)


def test_the_number_of_jobs_is_bounded() -> None:
    """A thousand jobs are enough; changing one of them is still possible."""
    jobs = Jobs()
    settings = Settings(EVERY, "once", 0, LEASE)
    for number in range(MAX_JOBS):
        jobs.add(0, str(number), settings, None)
    with pytest.raises(TooManyItems, match="1000 jobs"):
        jobs.add(0, "one more", settings, None)
    assert jobs.add(0, "0", Settings(1, "once", 0, LEASE), None)
