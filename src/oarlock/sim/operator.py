"""Whoever runs the cluster: carries out tasks that ask servers for things and go on with their answers.

A task is a generator that yields what it asks of a server, or how long it waits. So tasks overlap as those of several
people would, and a fault may come between any two steps.
"""

import random
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Final, TypeVar

from oarlock.raft.types import ServerId
from oarlock.sim.calls import OK, UNKNOWN, Answer, Call, Work
from oarlock.sim.machine import DirectContext
from oarlock.sim.process import Process

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from oarlock.sim.cluster import Simulation

_T = TypeVar("_T")

HOST: Final = "operator"
"""The machine that tasks ask from."""

Step = tuple[ServerId, Work] | float
"""Whom to ask for what, or how many seconds to wait."""

Task = Generator[Step, Answer, None]

Part = Generator[Step, Answer, _T]
"""Of a task, with a result."""


class Operator:
    """Carries out tasks.

    Args:
        simulation: The run.
        timeout_s: How long an answer is waited for.
    """

    def __init__(self, simulation: "Simulation", timeout_s: float) -> None:
        self._simulation = simulation
        self._timeout_s = timeout_s
        self.begun = 0
        """How many tasks there were."""
        self.under_way = 0
        """Tasks that have not ended."""
        self.is_resting = False
        """Whether nothing new is to be begun."""

    def begin(self, task: Task) -> None:
        """Begin a task."""
        self.begun += 1
        self.under_way += 1
        self._go(task, None)

    def _go(self, task: Task, answer: Answer | None) -> None:
        try:
            step = next(task) if answer is None else task.send(answer)
        except StopIteration:
            self.under_way -= 1
            return
        if isinstance(step, float):
            self._simulation.scheduler.after(step, self._go, task, Answer(OK))
        else:
            _Errand(self._simulation, self._timeout_s, step, lambda answer: self._go(task, answer))

    def ask(self, server_id: ServerId, path: str, data: bytes) -> Step:
        """The step that calls a unary method of a server."""

        def work(process: Process) -> "bytes | Awaitable[bytes]":
            context = DirectContext(path, process.loop.time() + self._timeout_s)
            return process.services.handler(path)(data, context)

        return server_id, work

    def somebody(self, rng: random.Random) -> ServerId:
        """A server that can be asked; now and then one that is down."""
        simulation = self._simulation
        able = [each for each in simulation.ids if each not in simulation.lost and each not in simulation.dismissed]
        up = [each for each in able if simulation.servers[each].is_up]
        return rng.choice(up if up and rng.random() < 0.9 else able or simulation.ids)


class _Errand:
    """One question, until it is answered or given up."""

    def __init__(
        self,
        simulation: "Simulation",
        timeout_s: float,
        step: tuple[ServerId, Work],
        on_answer: Callable[[Answer], None],
    ) -> None:
        server_id, work = step
        self._on_answer: Callable[[Answer], None] | None = on_answer
        simulation.scheduler.after(timeout_s, self._end, Answer(UNKNOWN, error="no answer"))
        Call(simulation.network, HOST, simulation.servers[server_id], work, self._end)

    def _end(self, answer: Answer) -> None:
        if self._on_answer is not None:
            on_answer, self._on_answer = self._on_answer, None
            on_answer(answer)
