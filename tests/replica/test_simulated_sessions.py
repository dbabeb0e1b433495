"""Sessions under the simulator: clients outside the servers, who ask again elsewhere until they have their answer."""

import contextlib
from typing import Any

import pytest
from tests.support.replicated import Register

import oarlock
from oarlock.check import check_history, make_history
from oarlock.check.history import Operation
from oarlock.testing.simulated import Client, simulate


class Outside:
    """A client outside the servers: one command at a time, on any server, under one serial until it is answered.

    Args:
        name: Of the client.
        moments: Counts the moments of the run.
        idle_ms: How long its sessions may lie idle.
    """

    def __init__(self, name: str, moments: list[int], idle_ms: int) -> None:
        self.name = name
        self.key: str | None = None
        self.serial = 0
        self.amount = 0
        self.answered: dict[tuple[str, int], Any] = {}
        self.history: list[Operation] = []
        self.attempts = 0
        self.sessions = 0
        self._moments = moments
        self._idle_ms = idle_ms
        self._asked_at = 0

    def _tick(self) -> int:
        self._moments[0] += 1
        return self._moments[0]

    async def come(self, client: Client) -> None:
        """Ask a server: for a session, or to carry out what is to be done."""
        if self.key is None:
            session = await client.node.open_session(self._idle_ms)
            if self.key is None:  # it may have asked two
                self.key, self.serial = session.id, 0
                self.sessions += 1
                self._next(client)
            return
        key, serial, amount = self.key, self.serial, self.amount
        self.attempts += 1
        try:
            reply = await client.node.session(key).call(client.objects[0].add, amount, serial=serial)
        except oarlock.SerialForgotten:
            assert (key, serial) in self.answered
        except oarlock.SessionExpired:
            if self.key == key:
                self._note(None)
                self.key = None
            raise
        else:
            if (key, serial) in self.answered:
                assert self.answered[key, serial] == reply
            elif (self.key, self.serial) == (key, serial):
                self.answered[key, serial] = reply
                self._note(reply)
                self._next(client)

    def _next(self, client: Client) -> None:
        self.serial += 1
        self.amount = client.rng.randint(1, 5)
        self._asked_at = self._tick()

    def _note(self, reply: Any) -> None:
        """What became of the command that was to be carried out."""
        done = None if reply is None else self._tick()
        name = f"{self.name}.{self.sessions}"
        self.history.append(
            Operation(client=name, kind="add", input=self.amount, output=reply, call=self._asked_at, return_=done)
        )

    def finish(self) -> None:
        """Note what is still under way."""
        if self.key is not None:
            self._note(None)


def run(seed: int, idle_ms: int, **arguments: Any) -> tuple[list[Outside], int]:
    """Three clients, who come to whichever server has time for them; and what the register has in the end."""
    moments = [0]
    clients = [Outside(f"outside {number}", moments, idle_ms) for number in range(3)]

    async def work(client: Client) -> None:
        while True:
            with contextlib.suppress(oarlock.OarlockError):
                await client.rng.choice(clients).come(client)
            await client.pause(client.rng.random() * 0.3)

    done = simulate(seed, objects=lambda: [Register()], work=work, seconds=10, faults=14, **arguments)
    for client in clients:
        client.finish()
    return clients, done.copies[0][0][0] or 0


def judge(clients: list[Outside], total: int) -> None:
    """Every answered command was carried out once, and no other more than once, in one order."""
    history = [operation for client in clients for operation in client.history]
    report = check_history(make_history(history), "counter")
    assert report.verdict == "ok", report
    answered = sum(operation.input for operation in history if operation.return_ is not None)
    assert answered <= total <= sum(operation.input for operation in history)


@pytest.mark.parametrize(("seed", "spares"), [(1, 0), (2, 0), (3, 2), (4, 2)])
def test_a_serial_is_carried_out_once_whoever_is_asked_how_often(seed: int, spares: int) -> None:
    """Through elections, restarts, snapshots, and servers that join and leave; every attempt gets the same reply."""
    clients, total = run(seed, 10**9, spares=spares)
    attempts, answered = sum(client.attempts for client in clients), sum(len(client.answered) for client in clients)
    assert attempts > answered > 15
    assert all(client.sessions == 1 for client in clients)
    judge(clients, total)


@pytest.mark.parametrize("seed", [5, 6])
def test_sessions_end_alike_on_all_servers(seed: int) -> None:
    """Where sessions end soon, and dates jump by an hour, a client's last serial is in doubt, and nothing else."""
    clients, total = run(seed, 500)
    assert sum(client.sessions for client in clients) > len(clients)
    assert sum(len(client.answered) for client in clients) > 10
    judge(clients, total)
