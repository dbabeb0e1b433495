"""Periodic jobs of which each run happens once in the cluster."""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import msgspec

from oarlock.replica.codec import Value
from oarlock.replica.errors import Stopped
from oarlock.replica.object import replicated
from oarlock.replica.objects.errors import NoSuchJob
from oarlock.replica.objects.jobs import Claim, Job, Jobs, Missed, Settings
from oarlock.replica.objects.owners import DrawsNames, owner_name
from oarlock.replica.objects.waiting import Bell, Deadline

DEFAULT_RUN_LEASE_MS: Final = 30_000
_EXTENSIONS_PER_LEASE: Final = 3
_LONGEST_PAUSE_S: Final = 60.0
_PAUSE_AFTER_ERROR_S: Final = 1.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """What a job's function is told."""

    job: str
    due_ms: int
    """The due time that this run is for, in machine time."""
    token: int
    """Above that of every earlier run of any job."""


Function: TypeAlias = Callable[[Run], Awaitable[Any] | Any]


@dataclass(frozen=True)
class _Local:
    function: Function
    settings: Settings
    first_ms: int | None


class ReplicatedScheduler(DrawsNames):
    """Runs each job at each due time on one of the servers, at most once.

    ::

        @scheduler.job("clean up", every_ms=60_000)
        async def clean_up(run):
            ...

        await scheduler.run()       # on every server

    A run is claimed in the log before it begins, so no other server begins it, whoever dies meanwhile. For the same
    reason a run that its server did not survive is not repeated: the next is that of the next due time. Two runs of one
    job never overlap, unless a server was held up for longer than a run's lease: its run is cancelled as soon as it
    notices, and its token is the lower one.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._jobs = Jobs()
        self._bell = Bell()
        self._local: dict[str, _Local] = {}

    # -- commands --------------------------------------------------------------------------------------------------

    @replicated
    def add_job(
        self,
        name: str,
        every_ms: int,
        missed: Missed = "once",
        grace_ms: int = 0,
        lease_ms: int = DEFAULT_RUN_LEASE_MS,
        first_ms: int | None = None,
    ) -> bool:
        """Add a job, or change its settings; whether anything changed. Every server may do so at its start.

        Args:
            name: Its name.
            every_ms: The time from one due time to the next.
            missed: What becomes of due times at which nobody could run the job: "once" makes up for all of them with
                one run, "all" with a run for each (of the last thousand), "skip" drops those that are more than
                `grace_ms` past.
            grace_ms: See "skip".
            lease_ms: After how long without word from who runs it a run counts as over.
            first_ms: The first due time, in machine time; None for one period from now.

        Raises:
            ValueError: A setting is out of range.
            TooManyItems: There are a thousand jobs.
        """
        settings = Settings(every_ms, missed, grace_ms, lease_ms)
        changed = self._jobs.add(self.now_ms, owner_name(name, "a job's name"), settings, first_ms)
        if changed:
            self._bell.ring()
        return changed

    @replicated
    def remove_job(self, name: str) -> None:
        """Forget a job; a run under way goes on.

        Raises:
            NoSuchJob: There is none of that name.
        """
        self._jobs.remove(name)
        self._bell.ring()

    @replicated
    def claim(self, name: str, runner: str) -> list[int]:
        """Claim the run that is due; a `Claim` as data.

        Raises:
            NoSuchJob: There is none of that name.
        """
        claim = self._jobs.claim(self.now_ms, name, runner)
        return [claim.token, claim.due_ms, claim.wait_ms]

    @replicated
    def extend(self, name: str, token: int) -> bool:
        """A run goes on; whether it still counts as under way."""
        return self._jobs.extend(self.now_ms, name, token)

    @replicated
    def finish(self, name: str, token: int, succeeded: bool) -> bool:
        """A run has ended; whether it still counted as under way."""
        self._bell.ring()
        return self._jobs.finish(name, token, succeeded)

    # -- this server's copy ----------------------------------------------------------------------------------------

    def jobs(self) -> dict[str, Job]:
        """All jobs, as far as this server knows; copies."""
        return {name: msgspec.convert(msgspec.to_builtins(job), Job) for name, job in self._jobs.jobs.items()}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}: {len(self._jobs.jobs)} jobs>"

    # -- running them on this server ---------------------------------------------------------------------------------

    def job(
        self,
        name: str,
        *,
        every_ms: int,
        missed: Missed = "once",
        grace_ms: int = 0,
        lease_ms: int = DEFAULT_RUN_LEASE_MS,
        first_ms: int | None = None,
    ) -> Callable[[Function], Function]:
        """Decorate the function that runs a job; `run` adds the job. Arguments as for `add_job`.

        The function gets a `Run`, and may be a coroutine function. A plain function must not block.
        """

        def registered(function: Function) -> Function:
            if name in self._local:
                raise ValueError(f"job {name!r} has a function already")
            self._local[name] = _Local(function, Settings(every_ms, missed, grace_ms, lease_ms), first_ms)
            return function

        return registered

    async def run(self) -> None:
        """Run, until cancelled, those jobs that have a function here, whenever it falls to this server.

        Raises:
            Stopped: The node has stopped.
        """
        runner = await self._new_owner(Deadline(None))
        try:
            async with asyncio.TaskGroup() as group:
                for name in self._local:
                    group.create_task(self._serve(name, runner))
        except ExceptionGroup as all_of_them:
            raise all_of_them.exceptions[0] from None

    async def _serve(self, name: str, runner: str) -> None:
        added = False
        while True:
            try:
                added = added or await self._add(name)
                token, due_ms, wait_ms = await self.claim(name, runner)
            except NoSuchJob:
                await self._bell.wait(_LONGEST_PAUSE_S)  # it was removed, and may come back
                continue
            except Stopped:
                raise
            except Exception as error:  # noqa: BLE001 - no leader, overload: it is tried again
                logger.warning("%s: could not claim %s: %s", self.name, name, error)
                await asyncio.sleep(_PAUSE_AFTER_ERROR_S)
                continue
            claim = Claim(token, due_ms, wait_ms)
            if claim.token:
                await self._carry_out(name, claim)
            else:
                await self._bell.wait(min(claim.wait_ms / 1000, _LONGEST_PAUSE_S))

    async def _add(self, name: str) -> bool:
        local = self._local[name]
        settings = local.settings
        await self.add_job(
            name, settings.every_ms, settings.missed, settings.grace_ms, settings.lease_ms, local.first_ms
        )
        return True

    async def _carry_out(self, name: str, claim: Claim) -> None:
        local = self._local[name]
        succeeded = False
        loop = asyncio.get_running_loop()
        working = loop.create_task(_call(local.function, Run(name, claim.due_ms, claim.token)))
        extending = loop.create_task(self._extend_until_lost(name, claim.token, local.settings.lease_ms))
        try:
            await asyncio.wait([working, extending], return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                succeeded = working.exception() is None
                if not succeeded:
                    logger.error("%s: job %s failed", self.name, name, exc_info=working.exception())
            else:
                logger.error("%s: job %s took too long to say that it goes on: cancelled", self.name, name)
        finally:
            for task in (working, extending):
                task.cancel()
            await asyncio.gather(working, extending, return_exceptions=True)
            await self._say_finished(name, claim.token, succeeded)

    async def _extend_until_lost(self, name: str, token: int, lease_ms: int) -> None:
        """Returns when the run may count as over elsewhere."""
        clock = asyncio.get_running_loop().time
        lease_s = lease_ms / 1000
        sure_until = clock() + lease_s
        while (left_s := sure_until - clock()) > 0:
            await asyncio.sleep(min(lease_s, left_s) / _EXTENSIONS_PER_LEASE)
            asked_at = clock()
            try:
                async with asyncio.timeout(max(0.0, sure_until - asked_at)):
                    if not await self.extend(name, token):
                        return
            except Exception as error:  # noqa: BLE001 - it is tried again while the lease lasts
                logger.warning("%s: could not extend a run of %s: %s", self.name, name, error)
            else:
                sure_until = asked_at + lease_s

    async def _say_finished(self, name: str, token: int, succeeded: bool) -> None:
        try:
            await self.finish(name, token, succeeded)
        except Exception as error:  # noqa: BLE001 - then the run ends with its lease
            logger.warning("%s: could not say that a run of %s is over: %s", self.name, name, error)

    def on_stop(self) -> None:
        """No run is claimed any more."""
        self._bell.close()

    def snapshot(self) -> object:
        """All jobs."""
        return self._jobs.snapshot()

    def restore(self, image: Value) -> None:
        """Take over all jobs; whoever waits here asks again."""
        self._jobs.restore(image)
        self._bell.ring()


async def _call(function: Function, run: Run) -> None:
    result = function(run)
    if inspect.isawaitable(result):
        await result
