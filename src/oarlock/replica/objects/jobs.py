"""When jobs are due, and who runs them: the state of the scheduler. Pure: time comes in with every call."""

from typing import Final, Literal, TypeAlias

import msgspec

from oarlock.replica.codec import Value
from oarlock.replica.objects.errors import NoSuchJob, TooManyItems
from oarlock.replica.objects.values import positive, whole

Missed: TypeAlias = Literal["once", "all", "skip"]
MISSED: Final = ("once", "all", "skip")
MAX_JOBS: Final = 1_000
MAX_CATCH_UP: Final = 1_000
"""How many missed due times "all" makes up for; older ones are dropped."""


class Settings(msgspec.Struct, array_like=True, frozen=True):
    """What a job was added with."""

    every_ms: int
    missed: Missed
    """What becomes of due times at which nobody could run the job: one run for all of them, one for each, or none."""
    grace_ms: int
    """With "skip": how late a run may begin."""
    lease_ms: int
    """How long a run counts as under way without word from who runs it."""


class Running(msgspec.Struct, array_like=True):
    """A run that was claimed and has not ended."""

    runner: str
    token: int
    until_ms: int


class Job(msgspec.Struct, array_like=True):
    """One job."""

    settings: Settings
    due_ms: int
    """The next due time that nobody has claimed."""
    running: Running | None = None
    runs: int = 0
    failures: int = 0
    """Runs that ended with an error."""
    dropped: int = 0
    """Due times that nobody ran."""


class Claim(msgspec.Struct, array_like=True, frozen=True):
    """An answer to who would run a job."""

    token: int
    """Above that of every earlier run of any job; 0 where it must not be run now."""
    due_ms: int
    """The due time that is to be run for, in machine time."""
    wait_ms: int
    """How long to wait before asking again, where the token is 0."""


class Jobs:
    """All jobs by name."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.last_token = 0

    def add(self, now_ms: int, name: str, settings: Settings, first_ms: int | None) -> bool:
        """Add a job, or change it; whether anything changed.

        Args:
            now_ms: Machine time.
            name: Its name.
            settings: How it is to be run.
            first_ms: The first due time; None for one period from now.

        Raises:
            ValueError: A setting is out of range.
            TooManyItems: There are too many jobs.
        """
        positive(settings.every_ms, "every_ms")
        positive(settings.lease_ms, "lease_ms")
        if settings.missed not in MISSED:
            raise ValueError(f"missed must be one of {', '.join(MISSED)}, not {settings.missed!r}")
        if first_ms is not None:
            whole(first_ms, "first_ms")
        if whole(settings.grace_ms, "grace_ms") < 0:
            raise ValueError(f"grace_ms must not be negative: {settings.grace_ms}")
        known = self.jobs.get(name)
        if known is not None and known.settings == settings and first_ms in (None, known.due_ms):
            return False
        if known is None and len(self.jobs) >= MAX_JOBS:
            raise TooManyItems(f"{len(self.jobs)} jobs; the limit is {MAX_JOBS}")
        due_ms = now_ms + settings.every_ms if first_ms is None else first_ms
        if known is None:
            self.jobs[name] = Job(settings, due_ms)
        else:
            known.settings, known.due_ms = settings, due_ms
        return True

    def remove(self, name: str) -> None:
        """Forget a job; a run under way goes on."""
        self.named(name)
        del self.jobs[name]

    def named(self, name: str) -> Job:
        """The job of that name.

        Raises:
            NoSuchJob: There is none.
        """
        job = self.jobs.get(name)
        if job is None:
            raise NoSuchJob(name)
        return job

    def claim(self, now_ms: int, name: str, runner: str) -> Claim:
        """Claim a run: it is the runner's, and no due time up to it is ever run again.

        Raises:
            NoSuchJob: There is no such job.
        """
        job = self.named(name)
        if job.running is not None and job.running.until_ms > now_ms:
            return Claim(0, 0, job.running.until_ms - now_ms)
        job.running = None
        self._drop_missed(now_ms, job)
        if job.due_ms > now_ms:
            return Claim(0, 0, job.due_ms - now_ms)
        self.last_token += 1
        job.running = Running(runner, self.last_token, now_ms + job.settings.lease_ms)
        job.runs += 1
        due_ms = job.due_ms
        job.due_ms += job.settings.every_ms
        return Claim(self.last_token, due_ms, 0)

    @staticmethod
    def _drop_missed(now_ms: int, job: Job) -> None:
        """Go on to the first due time that is still to be run for."""
        settings = job.settings
        passed = (now_ms - job.due_ms) // settings.every_ms
        drop = max(0, passed - MAX_CATCH_UP if settings.missed == "all" else passed)
        if settings.missed == "skip" and now_ms - (job.due_ms + drop * settings.every_ms) > settings.grace_ms:
            drop += 1
        job.due_ms += drop * settings.every_ms
        job.dropped += drop

    def extend(self, now_ms: int, name: str, token: int) -> bool:
        """A run goes on; whether it still counts as under way."""
        job = self.jobs.get(name)
        if job is None or job.running is None or job.running.token != token or job.running.until_ms <= now_ms:
            return False
        job.running.until_ms = now_ms + job.settings.lease_ms
        return True

    def finish(self, name: str, token: int, succeeded: bool) -> bool:
        """A run has ended; whether it still counted as under way."""
        job = self.jobs.get(name)
        if job is None or job.running is None or job.running.token != token:
            return False
        job.running = None
        job.failures += not succeeded
        return True

    def snapshot(self) -> object:
        """The state as plain data."""
        return [self.last_token, [[name, msgspec.to_builtins(job)] for name, job in self.jobs.items()]]

    def restore(self, image: Value) -> None:
        """Take over a state that `snapshot` made."""
        self.last_token, jobs = image
        self.jobs = {name: msgspec.convert(job, Job) for name, job in jobs}
