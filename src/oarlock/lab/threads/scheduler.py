"""One baton among many OS threads: who has it runs, all others sleep; who gets it next is drawn from a seed.

Nothing here needs a lock: only the holder of the baton touches the scheduler. Time is virtual. It moves by a
microsecond at every point where a thread could be pre-empted, and jumps to the next timer when every thread waits.
Three things interrupt the main thread: all wait and no timer is set (`Deadlock`), a bound on steps, time or threads
is passed (`LimitExceeded`), or a thread computes for long without ever reaching a point (`Stuck`).
"""

import _thread
import contextvars
import heapq
import random
from collections.abc import Callable
from typing import Final, TypeVar

from oarlock.lab.threads.errors import Deadlock, LimitExceeded, Stuck, ThreadKilled
from oarlock.lab.threads.events import Event, Kind, Observer
from oarlock.lab.threads.limits import Limits
from oarlock.lab.threads.runtime import ThreadFailure
from oarlock.lab.threads.stacks import stacks_of, tell_all
from oarlock.lab.threads.task import Task, Worker

T = TypeVar("T")

STEP_NS: Final = 1_000
"""What passing a point costs, so that a loop that waits for time to pass ends."""
SLICE: Final = 1_000
"""Points that a thread passes before another is let in even without pre-emption."""
REFUSALS: Final = 200
"""How often a killed thread may catch its end and go on before it is put to sleep for good."""
START_NS: Final = 1_000 * 10**9
"""The clock at first: programs take 0 for never."""


class Scheduler:
    """Threads of one runtime.

    Args:
        seed: Of who runs next.
        preemption: The chance, at each point, that another thread is let in.
        limits: What may grow, and how far.
    """

    def __init__(self, seed: int, preemption: float, limits: Limits) -> None:
        self.now_ns = START_NS
        self.steps = 0
        self.switches = 0
        self.preemption = preemption
        self.current: Task | None = None
        """Who has the baton; None while nothing runs."""
        self.live: dict[int, Task] = {}
        """Tasks that have started and not ended, the main one too."""
        self.failures: list[ThreadFailure] = []
        self.observers: list[Observer] = []
        self._limits = limits
        self._chance = random.Random(f"scheduler {seed}").random  # noqa: S311 - is to be repeatable
        self._ready: list[Task] = []
        self._timers: list[tuple[int, int, Task, int]] = []
        self._timer_count = 0
        self._task_count = 0
        self._slice = 0
        self._main: Task | None = None
        self._killing = False
        self._idle: list[Worker] = []
        self._asked: BaseException | None = None
        """An exception from outside (a signal) that came while the main thread slept."""

    # -- what shims use ------------------------------------------------------------------------------------------

    def emit(self, kind: Kind, subject: object) -> None:
        """Tell the observers, if any."""
        if self.observers and self.current is not None:
            event = Event(kind, self.current, subject, self.now_ns)
            for observer in self.observers:
                observer(event)

    def running(self) -> Task:
        """Who runs now, for something that may have to wait.

        Raises:
            RuntimeError: Nothing runs, so waiting would have no end.
        """
        if self.current is None:
            raise RuntimeError("this would wait, and no thread runs that could end it: use the runtime within run()")
        return self.current

    def point(self) -> None:
        """A place where another thread may be let in."""
        me = self.current
        if me is None:
            return
        self.steps += 1
        self.now_ns += STEP_NS
        self._slice += 1
        if me.interrupt is not None or self.steps > self._limits.steps:
            self._heed(me)
        if self._slice > SLICE or (self.preemption and self._chance() < self.preemption):
            self.give_way()

    def give_way(self) -> None:
        """Let another thread in, if one can run."""
        me = self.current
        if me is None:
            return
        if me.killed:
            self._heed(me)
        self._ready.append(me)
        self._leave(me)

    def block(self, verb: str, subject: object, timeout_s: float | None) -> bool:
        """Wait until `wake`, or for some time.

        Args:
            verb: What for, as in "acquire".
            subject: What it is about.
            timeout_s: None to wait for ever.

        Returns:
            Whether it was woken.
        """
        me = self.running()
        self._heed(me)
        me.waiting, me.woken, me.verb, me.subject = True, False, verb, subject
        me.ticket += 1
        if timeout_s is not None:
            self._timer_count += 1
            wait_ns = min(max(0, round(timeout_s * 1e9)), self._limits.time_ns * 2)
            heapq.heappush(self._timers, (self.now_ns + wait_ns, self._timer_count, me, me.ticket))
        self.steps += 1
        self._leave(me)
        return me.woken

    def sleep(self, seconds: float) -> None:
        """Wait for time to pass; 0 lets others in."""
        self.emit(Kind.SLEEP, seconds)
        self.block("sleep", f"{seconds:g} s", seconds)
        self.emit(Kind.SLEPT, seconds)

    def wake(self, task: Task) -> None:
        """End a task's wait."""
        if task.waiting:
            self._make_ready(task, woken=True)

    def draw(self, waiters: list[Task]) -> Task:
        """Take one of those who wait for the same thing out of their list."""
        return waiters.pop(int(self._chance() * len(waiters)) if len(waiters) > 1 else 0)

    def start(self, name: str, body: Callable[[], None]) -> Task:
        """A new task; it runs when it is drawn.

        Raises:
            LimitExceeded: There are too many.
        """
        if len(self.live) >= self._limits.threads:
            raise LimitExceeded(f"more than {self._limits.threads:,} threads are alive at once")
        self._task_count += 1
        task = Task(self._task_count, name, body)
        self.live[task.number] = task
        self._ready.append(task)
        return task

    # -- the main thread -----------------------------------------------------------------------------------------

    def run(self, main: Task, function: Callable[[], T]) -> T:
        """Run a function as the main task, then kill what is left.

        Raises:
            RuntimeError: The runtime runs already, or a thread of an earlier run is stuck.
        """
        if self.current is not None:
            raise RuntimeError("this runtime runs already")
        main.worker = Worker()
        main.worker.ident = _thread.get_ident()
        main.ended, main.interrupt = False, None
        self._main = self.current = self.live[0] = main
        self._asked = None
        try:
            return function()
        finally:
            if self.current is main:
                self._end_all(main)
                self.current = None

    def stacks(self) -> str:
        """Where each thread is, and what it waits for."""
        return tell_all(list(self.live.values()), stacks_of(list(self.live.values())))

    def _end_all(self, main: Task) -> None:
        """Kill every task that is left, one after the other."""
        observers, self.observers = self.observers, []
        self._killing = True
        for task in [task for task in self.live.values() if task is not main]:
            if task.worker is None:
                task.ended = True
                self.live.pop(task.number, None)
            else:
                task.killed, task.interrupt = True, ThreadKilled()
                self._hand_over(task)
                self._await(main)
        self._ready.clear()
        self._timers.clear()
        self.live.clear()
        main.ended = True
        self._killing = False
        self.observers = observers
        for worker in self._idle:
            worker.task = None
            worker.gate.release()
        self._idle.clear()

    # -- the baton -----------------------------------------------------------------------------------------------

    def _leave(self, me: Task) -> None:
        """Hand the baton on, and come back when it is ours again."""
        following = self._next()
        if following is not me:
            self._hand_over(following)
            self._await(me)
        me.verb = ""
        me.subject = None
        if me.interrupt is not None:
            self._heed(me)

    def _heed(self, me: Task) -> None:
        """Raise what a task is to raise."""
        if me.killed:
            me.refused += 1
            if me.refused > REFUSALS:
                self._abandon(me)
            raise ThreadKilled
        if self.steps > self._limits.steps:
            self._interrupt_main(LimitExceeded(f"more than {self._limits.steps:,} steps", self.stacks()))
            if me is not self._main:
                self._ready.append(me)
                self._leave(me)
        interrupt, me.interrupt = me.interrupt, None
        if interrupt is not None:
            raise interrupt

    def _interrupt_main(self, error: BaseException) -> None:
        main = self._main
        assert main is not None  # noqa: S101 - only within run()
        if main.interrupt is None:
            main.interrupt = error
        if main.waiting:
            self._make_ready(main, woken=False)

    def _make_ready(self, task: Task, *, woken: bool) -> None:
        task.waiting, task.woken = False, woken
        task.ticket += 1
        self._ready.append(task)

    def _next(self) -> Task:
        """Who runs now, and the clock moved on if nobody could."""
        self._slice = 0
        ready, main = self._ready, self._main
        assert main is not None  # noqa: S101 - only tasks get here, within run()
        if self._killing:
            return main
        if self._asked is not None:
            self._interrupt_main(self._asked)
            self._asked = None
        while True:
            timers = self._timers
            while timers and timers[0][0] <= self.now_ns:
                _, _, task, ticket = heapq.heappop(timers)
                if task.ticket == ticket and task.waiting:
                    self._make_ready(task, woken=False)
            if main.interrupt is not None and main in ready:
                ready.remove(main)
                return main
            if ready:
                return self.draw(ready)
            self._jump()

    def _jump(self) -> None:
        """Nobody can run: on to the next timer that somebody still waits for."""
        timers = self._timers
        while timers and not (timers[0][2].waiting and timers[0][2].ticket == timers[0][3]):
            heapq.heappop(timers)
        if not timers:
            self._interrupt_main(Deadlock("every thread waits, and nothing is left that could wake one", self.stacks()))
        elif timers[0][0] - START_NS > self._limits.time_ns:
            seconds = self._limits.time_ns / 1e9
            self._interrupt_main(LimitExceeded(f"more than {seconds:,.0f} s on the virtual clock", self.stacks()))
        else:
            self.now_ns = timers[0][0]

    def _hand_over(self, task: Task) -> None:
        self.switches += 1
        if task.worker is None:
            task.worker = self._worker_for(task)
        self.current = task
        task.worker.gate.release()

    def _await(self, me: Task) -> None:
        """Sleep until the baton is ours."""
        assert me.worker is not None  # noqa: S101 - it has run before
        gate = me.worker.gate
        if me is not self._main:
            while True:
                gate.acquire()
                if self.current is me:
                    return
        while True:
            steps = self.steps
            try:
                came = gate.acquire(timeout=self._limits.stuck_s)
            except BaseException as error:
                if self._asked is not None:
                    raise
                self._asked = error
                continue
            if self.current is me:
                return
            if not came and steps == self.steps:
                self._give_up()
                raise Stuck(f"no thread has waited for anything in {self._limits.stuck_s:g} s", self.stacks())

    def _give_up(self) -> None:
        """Leave who has the baton to itself: it ends where it would next let others in. The others sleep on."""
        self._killing = True
        if self.current is not None:
            self.current.killed, self.current.interrupt = True, ThreadKilled()

    # -- OS threads ----------------------------------------------------------------------------------------------

    def _worker_for(self, task: Task) -> Worker:
        worker = self._idle.pop() if self._idle else None
        if worker is None:
            worker = Worker()
            worker.task = task
            _thread.start_new_thread(self._work, (worker,))
        else:
            worker.task = task
        return worker

    def _work(self, worker: Worker) -> None:
        """Run one task after the other, each when the gate opens."""
        worker.ident = _thread.get_ident()
        while True:
            worker.gate.acquire()
            task = worker.task
            if task is None:
                return
            worker.task = None
            try:
                contextvars.Context().run(self._run_task, task)
            except (ThreadKilled, SystemExit):
                pass
            except BaseException as error:  # noqa: BLE001 - whatever ends a thread is noted
                self.failures.append(ThreadFailure(task.name, error))
            self._end(task, worker)
            del task

    def _run_task(self, task: Task) -> None:
        if task.interrupt is None:
            self.emit(Kind.THREAD_BEGIN, task)
            task.body()
            self.emit(Kind.THREAD_END, task)

    def _end(self, task: Task, worker: Worker) -> None:
        task.ended = True
        del self.live[task.number]
        for joiner in task.joiners:
            self.wake(joiner)
        task.joiners.clear()
        self._idle.append(worker)
        self._hand_over(self._next())

    def _abandon(self, me: Task) -> None:
        """A thread that will not end sleeps for ever; the process does not wait for it."""
        del self.live[me.number]
        main = self._main
        assert main is not None  # noqa: S101 - only run() kills
        self._hand_over(main)
        for_ever = _thread.allocate_lock()
        for_ever.acquire()
        for_ever.acquire()
