"""Each object on simulated clusters whose servers crash, lose power and are cut off: one run for each seed.

Everything from the sockets up is production's; `OARLOCK_SEEDS=1..200` in the environment has these seeds run.
"""

import asyncio
import os
import random

import pytest
from tests.support.alone import image_of
from tests.support.object_workloads import WORKLOADS, Workload
from tests.support.simulated_library import Life, SimulatedLibrary

from oarlock.check import Recorder, check_history

CLIENTS_OF_EACH = 2
HURT_S = 8.0
CALM_S = 12.0
PAUSE_S = 1.6
"""Between two requests of a client at most, so that they are spread over the time of trouble."""


def _seeds() -> range:
    first, _, last = os.environ.get("OARLOCK_SEEDS", "1..2").partition("..")
    return range(int(first), int(last) + 1)


class Run:
    """One simulated run of one workload."""

    def __init__(self, name: str, seed: int) -> None:
        self.workload: Workload = WORKLOADS[name]
        self.rng = random.Random(f"{name} {seed}")
        self.world = SimulatedLibrary(seed, lambda: [self.workload.make()])
        self.recorder = Recorder()
        self.asked = 0
        self.clients = 0
        self.is_calm = False
        self.served: set[int] = set()

    async def client(self, life: Life) -> None:
        """Ask, one thing after the other, in the process of a server."""
        self.clients += 1
        rng = random.Random(f"{self.clients} {self.rng.random()}")
        own = f"client {self.clients}"
        await life.node.ready(60)
        while self.asked < self.workload.operations:
            await asyncio.sleep(rng.uniform(0, PAUSE_S))
            self.asked += 1
            await self.workload.step(life.objects[0], self.recorder, own, rng)

    def serve(self) -> None:
        """Have clients in every process that has just started."""
        for life in self.world.started:
            if id(life) not in self.served:
                self.served.add(id(life))
                for _ in range(CLIENTS_OF_EACH):
                    life.spawn(self.client(life))
        if self.asked < self.workload.operations or not self.is_calm:
            self.world.scheduler.after(0.05, self.serve)

    def strike(self) -> None:
        """One fault, and the next one later."""
        if self.is_calm:
            return
        number = self.rng.randrange(3)
        match self.rng.randrange(3):
            case 0:
                self.world.cut(number, self.rng.uniform(0.2, 2.0))
            case kind:
                self.world.crash(number, power=kind == 1)
                self.world.scheduler.after(self.rng.uniform(0.2, 2.0), self.world.start, number)
        self.world.scheduler.after(self.rng.expovariate(1 / 1.5), self.strike)

    def go(self) -> None:
        """From the start to the verdict."""
        world = self.world
        world.scheduler.after(0.8, self.strike)
        self.serve()
        world.run(HURT_S)
        self.is_calm = True
        for number in range(3):
            world.start(number)
        assert world.run(60, lambda: self.asked >= self.workload.operations), self.asked
        world.run(CALM_S)
        assert len({image_of(life.objects[0]) for life in world.started}) == 1
        assert len(world.started) == 3
        world.close()
        report = check_history(self.recorder.history(self.workload.model), self.workload.model)
        assert report.ok, report.sentence
        assert report.operations - report.unknown_outcomes > self.workload.operations // 4


@pytest.mark.parametrize("name", WORKLOADS)
def test_object_is_linearizable_whatever_happens_to_its_servers(name: str) -> None:
    """Answers fit one order of all operations, and all copies end up alike, snapshots and restarts included."""
    for seed in _seeds():
        run = Run(name, seed)
        try:
            run.go()
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
