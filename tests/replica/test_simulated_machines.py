"""Whole state machines under the simulator, in memory and on disk."""

import asyncio
import contextlib
import copy
from typing import Any

import pytest
from tests.support.replicated import Journal

import oarlock
from oarlock.check import check_history, make_history
from oarlock.replica import disk_machine
from oarlock.testing.simulated import Client, RunFailed, simulate


class Files(oarlock.DiskStateMachine):
    """A register for each name, in a table."""

    def apply(self, command: Any, context: oarlock.Context) -> Any:
        kind, name, value = command
        former = self.table.get(name.encode())
        if kind == "cas":
            expected, value = value
            if (None if former is None else int(former)) != expected:
                return False
        self.table.put(name.encode(), str(value).encode())
        return True if kind == "cas" else None


NAMES = ("a", "b", "c")


async def write_together(client: Client) -> None:
    """The same three times at once."""
    hands = [copy.copy(client) for _ in range(3)]
    for which, hand in enumerate(hands):
        hand.number = 3 * client.number + which  # each is a client of its own in the history
    rng = client.rng
    while True:
        await client.pause(rng.random() * 0.6)
        await asyncio.gather(*(write_once(hand) for hand in hands))


async def write(client: Client) -> None:
    """Writes, exchanges and reads registers."""
    while True:
        await write_once(client)
        await client.pause(client.rng.random() * 0.2)


async def write_once(client: Client) -> None:
    """One of these, of any register."""

    def read(name: str) -> int | None:
        value = client.machine.table.get(name.encode())
        return None if value is None else int(value)

    name, value = client.rng.choice(NAMES), client.rng.randrange(100)
    with contextlib.suppress(oarlock.OarlockError):
        match client.rng.randrange(3):
            case 0:
                await client.operate(
                    "write",
                    value,
                    lambda name=name, value=value: client.node.propose(["write", name, value]),
                    name,
                )
            case 1:
                expected = read(name)
                await client.operate(
                    "cas",
                    {"expected": expected, "new": value},
                    lambda name=name, given=[expected, value]: client.node.propose(["cas", name, given]),
                    name,
                )
            case 2:
                await client.operate("read", None, lambda name=name: client.node.read(lambda: read(name)), name)


@pytest.mark.parametrize(
    ("seed", "spares", "work"),
    [(1, 0, write), (2, 0, write), (3, 2, write), (4, 0, write_together), (5, 2, write_together)],
)
def test_a_table_loses_nothing(seed: int, spares: int, work: Any) -> None:
    """Flushes, crashes between them, contents sent to servers that lag or are new: registers are linearizable."""
    run = simulate(seed, machine=Files, work=work, faults=14, spares=spares)
    assert run.commands > 60
    assert run.copies[0][0]
    report = check_history(make_history(run.history), "cas-register")
    assert report.verdict == "ok", report


def test_a_flush_that_says_too_much_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """If what is beside the state claimed a later index than the state has, commands would be lost: runs show it."""
    meta = disk_machine.DiskReplicaMachine._meta
    monkeypatch.setattr(
        disk_machine.DiskReplicaMachine, "_meta", staticmethod(lambda index, beside: meta(index + 1, beside))
    )
    with pytest.raises(RunFailed):
        simulate(1, machine=Files, work=write, faults=14)


def test_a_machine_in_memory() -> None:
    """Its commands come in one order on all servers, each answered one once."""
    answers: list[int] = []

    async def work(client: Client) -> None:
        while True:
            with contextlib.suppress(oarlock.OarlockError):
                length, _ = await client.node.propose(f"{client.number}")
                answers.append(length)
            await client.pause(0.2)

    run = simulate(4, machine=Journal, work=work, seconds=8, faults=6)
    assert len(answers) > 20
    assert len(set(answers)) == len(answers)
    assert len(run.copies[0][0]) >= max(answers)
