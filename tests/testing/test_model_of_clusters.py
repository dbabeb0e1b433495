"""What clients saw in a simulated cluster is judged by a model, and a run that fails so is shrunk like any other."""

import contextlib

import pytest

import oarlock
from oarlock.replica.objects.counter import ReplicatedCounter
from oarlock.testing import shrink, simulate
from oarlock.testing.simulated import Client, RunFailed


class Forgetful(ReplicatedCounter):
    """Forgets each fifth of its additions, alike on all servers: no copy and no result differs."""

    @oarlock.replicated
    def add(self, amount: int = 1) -> int:
        """Add, or not."""
        return self.value if self.value % 5 == 4 else self.set(self.value + amount) + amount


async def add(client: Client) -> None:
    """Adds one after the other, and has that noted."""
    [visits] = client.objects
    while True:
        with contextlib.suppress(oarlock.OarlockError):
            await client.operate("add", 1, lambda: visits.add(1))
        await client.pause(0.1 + client.rng.random() * 0.1)


def test_what_the_model_forbids_fails_the_run_and_is_shrunk() -> None:
    """A bug that all servers share is found by the model alone, and shown to need no fault; the sound counter passes."""
    arguments = {"work": add, "seconds": 2, "faults": 2, "model": "counter"}
    simulate(1, objects=lambda: [ReplicatedCounter("visits")], **arguments)
    with pytest.raises(RunFailed, match="what clients saw is impossible for the model counter"):
        simulate(1, objects=lambda: [Forgetful("visits")], **arguments)
    shrunk = shrink(1, objects=lambda: [Forgetful("visits")], **arguments)
    assert [violation.name for violation in shrunk.violations] == ["linearizable history"]
    assert "only=()" in str(shrunk)


def test_single_settings_go_by_name() -> None:
    """A setting of all nodes is given by its name, as to `cluster`; one that there is not is named."""
    run = simulate(1, objects=lambda: [ReplicatedCounter("visits")], work=add, seconds=1, faults=0, snapshot_count=20)
    assert run.commands > 0
    with pytest.raises(TypeError, match="'snapshots'"):
        simulate(1, objects=list, work=add, seconds=1, faults=0, snapshots=20)
