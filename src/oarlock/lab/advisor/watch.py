"""The watcher: knows who runs, what each holds and has learnt, and tells the checks of everything that happens.

An activity has learnt of a step of another one (it happened before) if a chain leads from there to here of: the order
within an activity; a thread's start and its end that was joined; a put into a queue and a get from it; a set of an
event or semaphore and the end of a wait for it; and the end of `make`. Locks do not count: that two regions of one
lock came in this order in this run does not mean that they do in the next.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

from oarlock.lab.advisor.check import Check
from oarlock.lab.advisor.record import Access, Activity, Frames, Line, Place, Rpc, Variable
from oarlock.lab.advisor.sources import Use
from oarlock.lab.threads import Event, Kind, Task
from oarlock.lab.threads.locks import Lock, Shim
from oarlock.lab.threads.scheduler import Scheduler

LAB: Final = str(Path(__file__).parents[1])
OURS: Final = ("threads/", "advisor/", "network.py", "workers.py", "group.py", "persister.py", "wire.py")
INSIDE: Final = tuple(f"{LAB}/{part}" for part in OURS)
NETWORK: Final = frozenset({f"{LAB}/network.py", f"{LAB}/workers.py"})
EXAMPLES: Final = f"{LAB}/advisor/examples/"
DEPTH: Final = 12
"""Frames kept of a stack, the innermost."""
MOST_VARIABLES: Final = 200_000
"""Objects kept alive so that their addresses are not used again; beyond, new ones are not watched."""


@lru_cache(maxsize=10_000)
def is_inside(filename: str) -> bool:
    """Whether a file is ours, not a user's."""
    return filename.startswith(INSIDE) and not filename.startswith(EXAMPLES)


def frames_from(frame: FrameType | None) -> Frames:
    """The user's frames of a stack."""
    frames: list[tuple[CodeType, int]] = []
    while frame is not None and len(frames) < DEPTH:
        code = frame.f_code
        if not is_inside(code.co_filename):
            frames.append((code, frame.f_lineno))
        elif frames:
            break  # what follows is the scenario, or where threads begin
        frame = frame.f_back
    return tuple(frames)


class Watch:
    """One run under watch.

    Args:
        scheduler: Of the runtime.
        checks: Whom to tell.
        seed: For the findings.
    """

    def __init__(self, scheduler: Scheduler, checks: Sequence[Check], seed: int) -> None:
        self.scheduler = scheduler
        self.seed = seed
        self.paused = 0
        """Above 0 while attributes are looked at by us."""
        self.lock_names: dict[Lock, str] = {}
        """Attributes that hold locks."""
        self.service_locks: set[Lock] = set()
        """Of the scenario's service: they guard its data, not the program's."""
        self.terms: dict[int | None, int] = {}
        """The current term of each server, as last written."""
        self.accesses = 0
        """To attributes, so far."""
        self._checks = checks
        self._variables: dict[tuple[int, str], Variable] = {}
        self._activities: dict[int, list[Activity]] = {}
        """By task: what it does, the innermost last."""
        self._held: dict[int, dict[Lock, int]] = {}
        """By task: the locks of the program's that it holds, each with the number of the region."""
        self._held_all: dict[int, list[Lock]] = {}
        """By task: all that it holds, the service's too."""
        self._clocks: dict[object, dict[int, int]] = {}
        """What whoever waits for a queue, an event or a thread's end learns."""
        self._made: dict[int, dict[int, int]] = {}
        """What was known when a server's `make` returned."""
        self._lives: dict[int, int] = {}
        self._count = 0
        self._regions = 0
        for check in checks:
            check.watch = self
        # Most checks listen to little, and this is where the time goes.
        self._on_access = _listeners([check for check in checks if not check.named_only], "on_access")
        self._on_named_access = _listeners([check for check in checks if check.named_only], "on_access")
        self._on_acquired = _listeners(checks, "on_acquired")
        self._on_event = _listeners(checks, "on_event")
        self._on_region_end = _listeners(checks, "on_region_end")

    # -- who runs ------------------------------------------------------------------------------------------------

    def activity(self) -> Activity | None:
        """What runs now; None outside of the run."""
        task = self.scheduler.current
        return None if task is None else self.activity_of(task)

    def held(self, task: Task) -> dict[Lock, int]:
        """The locks of the program's that a task holds, each with the number of the region."""
        return self._held.setdefault(task.number, {})

    def held_all(self, task: Task) -> list[Lock]:
        """All locks that a task holds, the service's too."""
        return self._held_all.setdefault(task.number, [])

    def is_the_programs(self, lock: Lock) -> bool:
        """Whether a lock is neither the network's nor the service's."""
        return lock not in self.service_locks and not self.is_ours(lock)

    def is_ours(self, lock: Lock) -> bool:
        """Whether a lock is the network's."""
        return lock not in self.lock_names and _is_the_networks(lock)

    @contextmanager
    def entered(self, name: str, server: int, entry: str) -> Iterator[Activity]:
        """A piece of work that came from outside: `make`, a handler, or a call."""
        task = self.scheduler.running()
        stack = self._stack(task)
        activity = self._new(name, task, server, self._made.get(server, {}), None, entry)
        stack.append(activity)
        try:
            yield activity
        finally:
            stack.pop()
            if entry == "make":
                self._made[server] = dict(activity.clock)

    def _stack(self, task: Task) -> list[Activity]:
        stack = self._activities.get(task.number)
        if stack is None:
            stack = self._activities[task.number] = [self._new(task.name, task, None, {}, None, "scenario")]
        return stack

    def activity_of(self, task: Task) -> Activity:
        """What a task does."""
        return self._stack(task)[-1]

    def _new(
        self, name: str, task: Task, server: int | None, clock: dict[int, int], parent: Activity | None, entry: str = ""
    ) -> Activity:
        self._count += 1
        return Activity(self._count, name, task, server, clock, parent, entry=entry)

    @contextmanager
    def pause(self) -> Iterator[None]:
        """We look at a user's objects ourselves."""
        self.paused += 1
        try:
            yield
        finally:
            self.paused -= 1

    def begin_life(self, server: int) -> int:
        """A server is about to be made; which of its lives it is, from 1."""
        self._lives[server] = self._lives.get(server, 0) + 1
        self._made.pop(server, None)
        return self._lives[server]

    def life_of(self, server: int | None) -> int:
        """Which life of a server is the present one."""
        return self._lives.get(-1 if server is None else server, 0)

    # -- events of threads ---------------------------------------------------------------------------------------

    def on_event(self, event: Event) -> None:
        """Observes the runtime."""
        activity = self.activity_of(event.task)
        kind, subject = event.kind, event.subject
        if kind is Kind.LOCK_ACQUIRED:
            assert isinstance(subject, Lock)  # noqa: S101 - see Kind
            self._acquired(event.task, activity, subject)
        elif kind is Kind.LOCK_RELEASED:
            assert isinstance(subject, Lock)  # noqa: S101
            self._released(event.task, activity, subject)
        elif kind is Kind.THREAD_START:
            assert isinstance(subject, Task)  # noqa: S101
            child = self._new(subject.name, subject, activity.server, activity.clock, activity)
            child.started_at = self.frames()
            self._activities[subject.number] = [child]
            activity.step()
        elif kind in TEACHES and not _is_the_networks(subject):
            clock = self._clocks.setdefault(subject, {})
            for number, step in activity.clock.items():
                if clock.get(number, 0) < step:
                    clock[number] = step
            activity.step()
        elif kind in LEARNS and not _is_the_networks(subject):
            activity.learn(self._clocks.get(subject, {}))
        if kind in WAITS and not _is_the_networks(subject):
            activity.waits += 1
        for listen in self._on_event:
            listen(event, activity)

    def _acquired(self, task: Task, activity: Activity, lock: Lock) -> None:
        held = self.held_all(task)
        for listen in self._on_acquired:
            listen(activity, lock, held)
        held.append(lock)
        if self.is_the_programs(lock):
            self._regions += 1
            # A new dict each time: accesses keep the one of their moment.
            self._held[task.number] = {**self.held(task), lock: self._regions}

    def _released(self, task: Task, activity: Activity, lock: Lock) -> None:
        # A plain lock may be released by another thread than took it.
        owner = lock.owner or task
        held = self.held_all(owner)
        if lock in held:
            held.remove(lock)
        if lock in self.held(owner):
            self._held[owner.number] = {each: region for each, region in self.held(owner).items() if each is not lock}
            for listen in self._on_region_end:
                listen(activity)

    # -- attributes ----------------------------------------------------------------------------------------------

    def on_access(
        self, owner: object, attribute: str, value: object, frame: FrameType, use: Use, *, is_write: bool
    ) -> None:
        """An attribute of a user's object was read, or is written."""
        task = self.scheduler.current
        if task is None:
            return
        stack = self._activities.get(task.number)
        activity = stack[-1] if stack else self.activity_of(task)
        if activity.entry == "scenario":
            return
        key = (id(owner), attribute)
        variable = self._variables.get(key)
        if variable is None:
            if len(self._variables) >= MOST_VARIABLES:
                return
            variable = self._variables[key] = Variable(owner, attribute, activity.server)
        access = Access(
            variable,
            activity,
            self.held(task),
            use,
            value,
            frames_from(frame),
            self.scheduler.now_ns,
            is_write=is_write,
        )
        self.accesses += 1
        for listen in self._on_access:
            listen(access)
        if not variable.is_named:
            return
        for listen in self._on_named_access:
            listen(access)
        if is_write and isinstance(value, int) and variable.is_current_term:
            self.terms[variable.server] = value

    # -- RPCs and the apply channel ------------------------------------------------------------------------------

    def on_rpc(self, rpc: Rpc, *, ended: bool) -> None:
        """An RPC begins, or is over."""
        for check in self._checks:
            if ended:
                check.on_rpc_end(rpc)
            else:
                check.on_rpc_begin(rpc)

    def on_apply(self, server: int, life: int, message: Any) -> None:  # noqa: ANN401 - whatever is put
        """Something is put on an apply channel."""
        activity = self.activity()
        if activity is not None and message is not None:
            for check in self._checks:
                check.on_apply(activity, server, life, message)

    def finish(self) -> None:
        """The scenario is over, its threads still there."""
        for check in self._checks:
            check.on_finish()

    # -- places --------------------------------------------------------------------------------------------------

    def frames(self) -> Frames:
        """Where the running thread is."""
        return frames_from(sys._getframe(1))  # noqa: SLF001 - the only way to the caller's frame

    def stack_of(self, task: Task) -> Frames:
        """Where another thread is."""
        ident = task.worker.ident if task.worker is not None else 0
        return frames_from(sys._current_frames().get(ident))  # noqa: SLF001 - the only way to another's frames

    def lock_name(self, lock: Lock) -> str:
        """A lock as the user knows it."""
        return self.lock_names.get(lock) or f"{type(lock).__name__} made at {lock.made_at}"

    def place(self, activity: Activity, doing: str, frames: Frames, locks: Sequence[Lock] = ()) -> Place:
        """A place for a finding."""
        name = activity.name if activity.server is None else f"{activity.name} of server {activity.server}"
        return Place(name, doing, tuple(self.lock_name(lock) for lock in locks), tuple(map(_line, frames)))

    def place_of(self, access: Access, doing: str = "") -> Place:
        """Where an access was."""
        said = doing or f"{'writes' if access.is_write else 'reads'} {access.variable.name}"
        return self.place(access.activity, said, access.frames, list(access.regions))


def _listeners(checks: Sequence[Check], hook: str) -> list[Callable[..., None]]:
    """The methods of that name, of checks that have one of their own."""
    return [getattr(check, hook) for check in checks if getattr(type(check), hook) is not getattr(Check, hook)]


def _is_the_networks(subject: object) -> bool:
    """Whether the network made it: that a request and its reply go through it orders nothing within a server."""
    return isinstance(subject, Shim) and subject.made_at.filename in NETWORK


TEACHES: Final = frozenset({Kind.THREAD_END, Kind.PUT_DONE, Kind.EVENT_SET})
LEARNS: Final = frozenset({Kind.JOINED, Kind.GET_DONE, Kind.EVENT_WOKEN})
WAITS: Final = frozenset({Kind.SLEEP, Kind.CONDITION_WAIT, Kind.EVENT_WAIT})


def _line(frame: tuple[Any, int]) -> Line:
    import linecache  # noqa: PLC0415 - only for findings

    code, line = frame
    return Line(code.co_filename, line, code.co_qualname, linecache.getline(code.co_filename, line).strip())
