"""Objects under the simulator: the production node through faults, and what clients saw judged by a model."""

from typing import Any

import pytest
from tests.support.replicated import Register

import oarlock
from oarlock.check import check_history, make_history
from oarlock.testing.simulated import Client, RunFailed, simulate


async def count(client: Client) -> None:
    """Adds and reads, as fast as answers come."""
    [register] = client.objects
    while True:
        try:
            if client.rng.random() < 0.6:
                amount = client.rng.randint(1, 5)
                await client.operate("add", amount, lambda given=amount: register.add(given))
            else:
                await client.operate("read", None, lambda: register.read(lambda: register.value or 0))
        except oarlock.OarlockError:
            pass
        await client.pause(client.rng.random() * 0.4)


@pytest.mark.parametrize("seed", range(6))
def test_no_acknowledged_command_is_lost_or_done_twice(seed: int) -> None:
    """Through kills, power losses, partitions, halts and wrong dates a counter is linearizable, and its copies equal."""
    run = simulate(seed, objects=lambda: [Register()], work=count)
    assert run.commands > 20
    report = check_history(make_history(run.history), "counter")
    assert report.verdict == "ok", report
    answered = sum(operation.input for operation in run.history if operation.kind == "add" and operation.return_)
    sent = sum(operation.input for operation in run.history if operation.kind == "add")
    assert answered <= run.copies[0][0][0] <= sent


def test_one_seed_is_one_run() -> None:
    """The same seed gives the same history, to the last answer."""
    runs = [simulate(3, objects=lambda: [Register()], work=count, seconds=6, faults=4) for _ in range(2)]
    assert runs[0] == runs[1]


class Careless(Register):
    """Does what no command may do: something else on each server."""

    made = 0

    def __init__(self) -> None:
        super().__init__()
        Careless.made += 1
        self.own = Careless.made

    @oarlock.replicated
    def add(self, amount: int = 1) -> Any:
        self.value = self.own
        return self.value


def test_what_is_not_deterministic_fails_the_run() -> None:
    """A command whose result differs between servers is found at its index."""
    with pytest.raises(RunFailed, match=r"seed 1, .*server \d"):
        simulate(1, objects=lambda: [Careless()], work=count, seconds=5, faults=0)


def test_a_clients_own_checks_fail_the_run() -> None:
    """An assertion of the user's is reported with the seed."""

    async def wrong(client: Client) -> None:
        assert await client.objects[0].add(1) == 0

    with pytest.raises(RunFailed, match=r"seed 5.*AssertionError"):
        simulate(5, objects=lambda: [Register()], work=wrong, seconds=5, faults=0)
