"""The shims do what the originals do: each claim holds on the real runtime and on the virtual one."""

import queue
import threading
from collections.abc import Callable

import pytest

from oarlock.lab.threads import RealRuntime, Runtime, VirtualRuntime


@pytest.fixture(params=["real", "virtual"])
def runtime(request: pytest.FixtureRequest) -> Runtime:
    return RealRuntime() if request.param == "real" else VirtualRuntime(5)


def _start(runtime: Runtime, *targets: Callable[[], object]) -> list[threading.Thread]:
    threads = [runtime.threading.Thread(target=target, daemon=True) for target in targets]
    for thread in threads:
        thread.start()
    return threads


def test_lock(runtime: Runtime) -> None:
    """A lock excludes, can be tried and waited for, and is not released twice."""

    def main() -> None:
        lock = runtime.threading.Lock()
        with lock:
            assert lock.locked()
            assert not lock.acquire(blocking=False)
            assert not lock.acquire(timeout=0.01)
            assert not lock.acquire(timeout=0)
        assert not lock.locked()
        with pytest.raises(RuntimeError):
            lock.release()
        with pytest.raises(ValueError, match="non-blocking"):
            lock.acquire(blocking=False, timeout=1)

    runtime.run(main)


def test_rlock(runtime: Runtime) -> None:
    """An RLock may be taken again by its owner, and released by nobody else."""

    def main() -> None:
        lock, seen = runtime.threading.RLock(), []

        def other() -> None:
            seen.append(lock.acquire(blocking=False))
            with pytest.raises(RuntimeError):
                lock.release()

        with lock, lock:
            _start(runtime, other)[0].join()
        assert seen == [False]
        with pytest.raises(RuntimeError):
            lock.release()

    runtime.run(main)


def test_condition(runtime: Runtime) -> None:
    """A condition releases its lock while it waits, also one held twice, and says whether it was notified."""

    def main() -> None:
        changed, ready = runtime.threading.Condition(), []

        def other() -> None:
            with changed:
                ready.append(1)
                changed.notify_all()

        with changed, changed:
            assert not changed.wait(0.01)
            thread = _start(runtime, other)[0]
            assert changed.wait_for(lambda: ready, 10)
            assert changed.wait_for(lambda: False, 0.01) is False
        thread.join()
        with pytest.raises(RuntimeError):
            changed.wait()
        with pytest.raises(RuntimeError):
            changed.notify()
        plain = runtime.threading.Condition(runtime.threading.Lock())
        with plain:
            assert not plain.wait(0.001)

    runtime.run(main)


def test_event_and_semaphore(runtime: Runtime) -> None:
    """An event stays set; a semaphore counts; a bounded one refuses to count too far."""

    def main() -> None:
        event, done = runtime.threading.Event(), runtime.threading.Semaphore(0)
        assert not event.wait(0.01)
        threads = _start(runtime, *[lambda: event.wait() and done.release()] * 3)
        event.set()
        for _ in range(3):
            assert done.acquire(timeout=10)
        assert not done.acquire(timeout=0.01)
        assert not done.acquire(blocking=False)
        assert event.is_set()
        event.clear()
        assert not event.is_set()
        for thread in threads:
            thread.join()
            assert not thread.is_alive()
        bounded = runtime.threading.BoundedSemaphore(1)
        with bounded:
            pass
        with pytest.raises(ValueError, match="too many"):
            bounded.release()

    runtime.run(main)


def test_barrier(runtime: Runtime) -> None:
    """A barrier holds threads until all are there, acts once a round, and breaks for all."""

    def main() -> None:
        acted, passed = [], runtime.queue.Queue()
        barrier = runtime.threading.Barrier(3, action=lambda: acted.append(1))
        for _ in range(2):
            threads = _start(runtime, *[lambda: passed.put(barrier.wait(10))] * 3)
            for thread in threads:
                thread.join()
        assert sorted(passed.get() for _ in range(6)) == [0, 0, 1, 1, 2, 2]
        assert len(acted) == 2
        with pytest.raises(threading.BrokenBarrierError):
            barrier.wait(0.01)
        assert barrier.broken
        barrier.reset()
        assert not barrier.broken

    runtime.run(main)


def test_queues(runtime: Runtime) -> None:
    """Queues keep their orders and bounds, and wake whoever waits."""

    def main() -> None:
        one = runtime.queue.Queue(1)
        one.put("a")
        assert one.full()
        with pytest.raises(queue.Full):
            one.put("b", timeout=0.01)
        with pytest.raises(queue.Full):
            one.put_nowait("b")
        threads = _start(runtime, lambda: one.put("b"))
        assert [one.get(), one.get()] == ["a", "b"]
        threads[0].join()
        with pytest.raises(queue.Empty):
            one.get(timeout=0.01)
        with pytest.raises(runtime.queue.Empty):
            one.get_nowait()
        one.task_done()
        one.task_done()
        one.join()
        with pytest.raises(ValueError, match="too many"):
            one.task_done()
        for kind, expected in (("LifoQueue", [2, 3, 1]), ("PriorityQueue", [1, 2, 3]), ("SimpleQueue", [1, 3, 2])):
            box = getattr(runtime.queue, kind)()
            for item in (1, 3, 2):
                box.put(item)
            assert [box.get() for _ in range(3)] == expected
            assert box.empty()
        assert isinstance(runtime.queue.LifoQueue(), runtime.queue.Queue)

    runtime.run(main)


def test_threads_know_themselves(runtime: Runtime) -> None:
    """Threads have names and numbers, may be subclassed, start once, and do not join themselves."""

    def main() -> None:
        seen = []

        class Mine(runtime.threading.Thread):
            def run(self) -> None:
                seen.append(runtime.threading.current_thread() is self)
                with pytest.raises(RuntimeError):
                    self.join()

        mine = Mine(name="mine", daemon=True)
        with pytest.raises(RuntimeError):
            mine.join()
        mine.start()
        mine.join()
        assert seen == [True]
        assert (mine.name, mine.daemon, mine.is_alive()) == ("mine", True, False)
        with pytest.raises(RuntimeError):
            mine.start()
        me = runtime.threading.current_thread()
        assert me is runtime.threading.main_thread()
        assert runtime.threading.get_ident() == me.ident
        assert me in runtime.threading.enumerate()
        assert "(keyed)" in runtime.threading.Thread(target=_named("keyed")).name

    runtime.run(main)


def _named(name: str) -> Callable[[], None]:
    def function() -> None: ...

    function.__name__ = name
    return function


def test_timer(runtime: Runtime) -> None:
    """A timer calls after its time, unless it is cancelled."""

    def main() -> None:
        called = []
        timers = [runtime.threading.Timer(0.01, called.append, (number,)) for number in range(2)]
        timers[0].start()
        timers[1].start()
        timers[1].cancel()
        for timer in timers:
            timer.join()
        assert called == [0]

    runtime.run(main)


def test_local(runtime: Runtime) -> None:
    """Each thread has its own attributes of a `local`."""

    def main() -> None:
        mine, seen = runtime.threading.local(), []
        mine.value = 1

        def other() -> None:
            seen.append(hasattr(mine, "value"))
            mine.value = 2

        _start(runtime, other)[0].join()
        assert seen == [False]
        assert mine.value == 1
        del mine.value
        assert not hasattr(mine, "value")

    runtime.run(main)


def test_clocks(runtime: Runtime) -> None:
    """All clocks move with sleep; a time can be told in words."""

    def main() -> None:
        clocks = [runtime.time.monotonic, runtime.time.time, runtime.time.perf_counter]
        before = [clock() for clock in clocks]
        runtime.time.sleep(0.02)
        assert all(clock() - earlier >= 0.0199 for clock, earlier in zip(clocks, before, strict=True))
        assert runtime.time.monotonic_ns() > 0
        assert runtime.time.gmtime().tm_year >= 2024
        assert runtime.time.strftime("%Y") >= "2024"
        with pytest.raises(ValueError, match="non-negative"):
            runtime.time.sleep(-1)

    runtime.run(main)


def test_chance(runtime: Runtime) -> None:
    """The functions of `random` and its class are there, and a given seed gives what it always gives."""
    assert runtime.random.Random(5).random() == 0.6229016948897019
    assert runtime.random.Random("x").randint(1, 6) in range(1, 7)
    assert 0 <= runtime.random.uniform(0, 1) <= 1
    assert runtime.random.choice([3]) == 3
