"""One thread at a time, on virtual time, in an order that follows from the seed."""

import contextlib
import os
import subprocess
import sys
import time

import pytest
from tests.support.lab_programs import busy_program

from oarlock.lab.threads import Deadlock, LimitExceeded, Limits, Stuck, VirtualRuntime


def _log(seed: int) -> list[object]:
    runtime, log = VirtualRuntime(seed), []
    runtime.run(busy_program(runtime, log))
    return log


def test_the_seed_decides_the_order() -> None:
    """One seed, one order; another seed, another."""
    assert _log(1) == _log(1)
    assert _log(1) != _log(2)


def test_the_order_is_the_same_in_any_process() -> None:
    """Hashes of strings and addresses do not reach the order: processes with other hash seeds print the same."""
    program = "from tests.lab.threads.test_scheduler import _log; print(_log(7))"
    outputs = []
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True)
        outputs.append(done.stdout)
    assert outputs[0] == outputs[1]
    assert outputs[0] == f"{_log(7)}\n".encode()


def test_sleep_costs_no_real_time() -> None:
    """A day passes at once, and sleepers wake in the order of their times."""
    runtime = VirtualRuntime(0, limits=Limits(time_s=1e6))
    woken: list[int] = []

    def sleep(days: int) -> None:
        runtime.time.sleep(days * 86_400)
        woken.append(days)

    def main() -> float:
        threads = [runtime.threading.Thread(target=sleep, args=(days,)) for days in (3, 1, 2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return runtime.time.monotonic()

    began = time.monotonic()
    assert runtime.run(main) == pytest.approx(1000 + 3 * 86_400, abs=1)
    assert time.monotonic() - began < 60
    assert woken == [1, 2, 3]


@pytest.mark.parametrize("preemption", [0, 0.05])
def test_a_loop_that_waits_without_sleeping_ends(preemption: float) -> None:
    """Looking at a clock or a lock lets time pass and others in, with and without pre-emption."""
    runtime = VirtualRuntime(0, preemption=preemption)
    lock = runtime.threading.Lock()
    done: list[bool] = []

    def main() -> None:
        until = runtime.time.monotonic() + 0.01
        while runtime.time.monotonic() < until:
            pass
        runtime.threading.Thread(target=lambda: done.append(True)).start()
        while not done:
            with lock:
                pass

    runtime.run(main)


def test_deadlock_is_told_with_all_stacks() -> None:
    """When all wait with no timer, the main thread is told who waits for what, who holds it, and where."""
    runtime = VirtualRuntime(0)
    first, second = runtime.threading.Lock(), runtime.threading.Lock()

    def take(one: object, other: object) -> None:
        with one:
            runtime.time.sleep(1)
            with other:
                pass

    def main() -> None:
        runtime.threading.Thread(target=take, args=(first, second), name="left").start()
        right = runtime.threading.Thread(target=take, args=(second, first), name="right")
        right.start()
        right.join()

    with pytest.raises(Deadlock) as told:
        runtime.run(main)
    assert "thread left waits: acquire the Lock made at test_scheduler.py" in told.value.stacks
    assert "held by right" in told.value.stacks
    assert "thread MainThread waits: join right" in told.value.stacks
    assert told.value.stacks.count("in take") == 2
    assert "lab/threads" not in told.value.stacks.replace("tests/lab/threads", "")


def test_leftover_threads_are_killed() -> None:
    """What still runs at the end is ended, with its locks released; what never began is dropped."""
    runtime = VirtualRuntime(0)
    lock = runtime.threading.Lock()
    ended: list[str] = []

    def hold() -> None:
        try:
            with lock:
                runtime.time.sleep(1e9)
        finally:
            ended.append("hold")

    def main() -> None:
        runtime.threading.Thread(target=hold).start()
        runtime.time.sleep(1)
        runtime.threading.Thread(target=ended.append, args=("never",)).start()

    for _ in range(2):
        runtime.run(main)
    assert not lock.locked()
    assert ended.count("hold") == 2
    assert runtime.failures == []


def test_a_thread_that_refuses_to_end_is_left_behind() -> None:
    """A loop that catches everything does not keep the run from ending."""
    runtime = VirtualRuntime(0)

    def stay() -> None:
        while True:
            with contextlib.suppress(BaseException):
                runtime.time.sleep(1)

    def main() -> int:
        runtime.threading.Thread(target=stay).start()
        runtime.time.sleep(10)
        return 5

    assert runtime.run(main) == 5


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (Limits(steps=1_000), "more than 1,000 steps"),
        (Limits(time_s=100), "more than 100 s on the virtual clock"),
        (Limits(threads=10), "more than 10 threads"),
    ],
)
def test_everything_that_can_grow_is_bounded(limits: Limits, message: str) -> None:
    """Steps, virtual time and threads each end the run with an error that names the bound."""
    runtime = VirtualRuntime(0, limits=limits)

    def tick() -> None:
        while True:
            runtime.time.sleep(1)
            runtime.time.monotonic()

    def main() -> None:
        runtime.threading.Thread(target=tick).start()
        while True:
            if limits.threads == 10:
                runtime.threading.Thread(target=tick).start()
            runtime.time.sleep(0.5)

    with pytest.raises(LimitExceeded, match=message):
        runtime.run(main)


def test_a_thread_that_lets_nobody_in_is_told_of() -> None:
    """A thread that waits for something real is noticed by the real clock, and where it is is told."""
    runtime = VirtualRuntime(0, limits=Limits(stuck_s=0.2))

    def main() -> None:
        runtime.threading.Thread(target=time.sleep, args=(2,), name="sleepy").start()
        runtime.time.sleep(1)

    with pytest.raises(Stuck, match="thread sleepy can run"):
        runtime.run(main)
    with pytest.raises(RuntimeError, match="runs already"):
        runtime.run(main)


def test_exceptions_in_threads_are_noted() -> None:
    """A thread that dies of an exception is in `failures`; the others go on."""
    runtime = VirtualRuntime(0)

    def main() -> None:
        thread = runtime.threading.Thread(target=lambda: 1 // 0, name="unlucky")
        thread.start()
        thread.join()

    runtime.run(main)
    (failure,) = runtime.failures
    assert failure.thread == "unlucky"
    assert isinstance(failure.error, ZeroDivisionError)


def test_what_main_raises_comes_out() -> None:
    """`run` raises what its function raises, and the runtime can run again."""
    runtime = VirtualRuntime(0)
    with pytest.raises(ZeroDivisionError):
        runtime.run(lambda: 1 // 0)
    assert runtime.run(lambda: 3) == 3


def test_preemption_finds_what_waiting_alone_does_not() -> None:
    """A read and a write in two lock regions lose updates only if somebody is let in between."""

    def lost(preemption: float) -> int:
        runtime = VirtualRuntime(3, preemption=preemption)
        lock, box = runtime.threading.Lock(), [0]

        def add() -> None:
            for _ in range(50):
                with lock:
                    seen = box[0]
                with lock:
                    box[0] = seen + 1

        def main() -> None:
            threads = [runtime.threading.Thread(target=add) for _ in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        runtime.run(main)
        return 100 - box[0]

    assert lost(0) == 0
    assert lost(0.2) > 0
