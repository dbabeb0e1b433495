"""Our core on threads: what its methods answer, and that it never waits with its lock."""

from collections.abc import Callable
from typing import Any

import pytest

from oarlock.lab.interface import CLOSED, ApplyMsg
from oarlock.lab.persister import Persister
from oarlock.lab.raft.stored import decode_state
from oarlock.lab.suite.raft_harness import RaftHarness
from oarlock.lab.threads import VirtualRuntime


class Lone:
    """One server whose only peer is itself, on virtual time."""

    def __init__(self, persister: Persister | None = None) -> None:
        self.runtime = VirtualRuntime(1)
        self.persister = persister or Persister()
        self.channel = self.runtime.queue.Queue()
        self.raft: Any = None

    def run(self, function: Callable[[], Any]) -> Any:
        make = self.runtime.load("oarlock.lab.raft:make")

        def main() -> Any:
            self.raft = make([None], 0, self.persister, self.channel)
            self.runtime.time.sleep(1)
            return function()

        return self.runtime.run(main)

    def applied(self) -> list[ApplyMsg | None]:
        self.runtime.time.sleep(0.1)
        taken = []
        while not self.channel.empty():
            taken.append(self.channel.get())
        return taken


def test_start_numbers_commands_from_one() -> None:
    """The no-op that opens the term takes no index, and every command comes out under its own."""
    lone = Lone()

    def main() -> tuple[list[Any], list[Any]]:
        started = [lone.raft.start(text) for text in ("a", {"k": [1, b"v"]})]
        return started, [(each.command, each.command_index) for each in lone.applied()]

    started, applied = lone.run(main)
    assert started == [(1, 1, True), (2, 1, True)]
    assert applied == [("a", 1), ({"k": [1, b"v"]}, 2)]


def test_numbers_go_on_after_restarts_and_snapshots() -> None:
    """Through a snapshot and two restarts, each with a no-op of its own, commands are counted on."""
    persister, indices = Persister(), []
    for life in range(3):
        lone = Lone(persister)

        def main(lone: Lone = lone, life: int = life) -> None:
            lone.applied()
            indices.extend(lone.raft.start(f"{life}{number}")[0] for number in range(3))
            assert [each.command_index for each in lone.applied()] == indices[-3:]
            lone.raft.snapshot(indices[-2], b"all but one")

        lone.run(main)
        assert decode_state(persister.read_raft_state()).base_number == indices[-2]
    assert indices == list(range(1, 10))
    assert persister.read_snapshot() == b"all but one"


def test_a_restart_applies_after_the_snapshot() -> None:
    """A server with a snapshot applies from the index after it, and keeps the snapshot for its next save (B6, B8)."""
    persister = Persister()
    first = Lone(persister)

    def before() -> None:
        for number in range(1, 6):
            first.raft.start(number)
        first.applied()
        first.raft.snapshot(3, b"three")

    first.run(before)
    second = Lone(persister)
    applied = second.run(second.applied)
    assert [(each.command, each.command_index) for each in applied] == [(4, 4), (5, 5)]
    assert persister.read_snapshot() == b"three"


def test_a_snapshot_of_what_was_not_delivered_is_refused() -> None:
    """The service cannot have saved what it was never given; what is covered already is ignored."""
    lone = Lone()

    def main() -> None:
        lone.raft.start("a")
        lone.applied()
        lone.raft.snapshot(1, b"one")
        lone.raft.snapshot(1, b"again")
        with pytest.raises(ValueError, match="a snapshot of index 5"):
            lone.raft.snapshot(5, b"five")

    lone.run(main)
    assert lone.persister.read_snapshot() == b"one"


def test_a_command_must_be_plain_data() -> None:
    """Start refuses what cannot travel, and goes on working."""
    lone = Lone()

    def main() -> tuple[int, int, bool]:
        with pytest.raises(TypeError, match="a command must be plain data"):
            lone.raft.start(object())
        return lone.raft.start("a")

    assert lone.run(main) == (1, 1, True)


def test_kill_closes_the_channel() -> None:
    """After kill the channel is closed by its last message, no thread is left, and start is refused."""
    lone = Lone()

    def main() -> tuple[Any, Any]:
        lone.raft.kill()
        applied = lone.applied()
        lone.runtime.time.sleep(1)
        return applied, (lone.raft.start("a"), lone.runtime.threading.active_count())

    applied, (started, threads) = lone.run(main)
    assert applied == [CLOSED]
    assert started[2] is False
    assert threads == 1


def test_a_service_that_takes_nothing_stops_nobody() -> None:
    """While the applier waits for a service that does not read, the server answers at once (K4)."""
    runtime = VirtualRuntime(1)
    make = runtime.load("oarlock.lab.raft:make")
    persister, channel = Persister(), runtime.queue.Queue(1)

    def main() -> tuple[float, list[Any]]:
        raft = make([None], 0, persister, channel)
        runtime.time.sleep(1)
        for number in range(5):
            raft.start(number)
        runtime.time.sleep(0.1)
        began = runtime.time.monotonic()
        state = [raft.get_state(), raft.start("x")[2]]
        return runtime.time.monotonic() - began, state

    seconds, state = runtime.run(main)
    assert seconds < 0.001
    assert state == [(1, True), True]


def test_heartbeats_are_ten_a_second() -> None:
    """An idle leader sends each follower at most ten RPCs a second."""
    runtime = VirtualRuntime(3)
    lab: list[RaftHarness] = []

    def main() -> int:
        lab.append(RaftHarness(runtime, runtime.load("oarlock.lab.raft:make"), 3))
        lab[0].check_one_leader()
        before = lab[0].network.total_rpcs
        lab[0].sleep(10)
        count = lab[0].network.total_rpcs - before
        lab[0].close()
        return count

    assert 180 <= runtime.run(main) <= 200
