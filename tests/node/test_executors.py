"""The threads for what blocks, by way of `loop.run_in_executor`."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
import uvloop

from oarlock.node.executors import SingleThread


@pytest.fixture
def thread() -> Iterator[SingleThread]:
    single = SingleThread("test")
    yield single
    single.shutdown()


Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine on a loop of its own, of either kind."""

    def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
        with asyncio.Runner(loop_factory=request.param) as runner:
            return runner.run(coroutine)

    return run


def test_calls_are_made_in_order_elsewhere(thread: SingleThread, run: Run) -> None:
    """What is given is called in order, in the one thread, and its results and errors come back."""

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        calls: list[tuple[int, str]] = []

        def work(number: int) -> int:
            calls.append((number, threading.current_thread().name))
            if number == 3:
                raise OSError("three")
            return number * 2

        futures = [loop.run_in_executor(thread, work, number) for number in range(5)]
        results = await asyncio.gather(*futures, return_exceptions=True)
        assert [result if isinstance(result, int) else str(result) for result in results] == [0, 2, 4, "three", 8]
        assert calls == [(number, "test") for number in range(5)]

    run(scenario())


def test_cancelled_before_its_turn_is_left_out(thread: SingleThread, run: Run) -> None:
    """A call that is cancelled while it waits is not made; one under way ends, and nothing hears of it."""

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        entered, leave = threading.Event(), threading.Event()
        done: list[str] = []

        def blocks() -> None:
            entered.set()
            leave.wait(10)
            done.append("under way")

        under_way = loop.run_in_executor(thread, blocks)
        waiting = loop.run_in_executor(thread, done.append, "waiting")
        last = loop.run_in_executor(thread, done.append, "last")
        assert await loop.run_in_executor(None, entered.wait, 10)
        under_way.cancel()
        waiting.cancel()
        leave.set()
        await last
        assert done == ["under way", "last"]
        assert under_way.cancelled()
        assert waiting.cancelled()

    run(scenario())


def test_shut_down_does_what_it_was_given(thread: SingleThread, run: Run) -> None:
    """What was given before the end is done before the thread ends; afterwards everything is refused."""

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        done: list[int] = []
        futures = [loop.run_in_executor(thread, done.append, number) for number in range(100)]
        thread.shutdown()
        assert done == list(range(100))
        await asyncio.gather(*futures)
        with pytest.raises(RuntimeError, match="shut down"):
            thread.submit(done.append, 1)

    run(scenario())


def test_loop_that_has_closed_is_no_matter(thread: SingleThread, run: Run) -> None:
    """A call that ends when its loop is closed disturbs nobody, and the thread serves another loop."""
    entered, leave = threading.Event(), threading.Event()

    async def leave_behind() -> None:
        asyncio.get_running_loop().run_in_executor(thread, lambda: (entered.set(), leave.wait(10)))
        entered.wait(10)

    async def go_on() -> int:
        leave.set()
        return await asyncio.get_running_loop().run_in_executor(thread, lambda: 7)

    run(leave_behind())
    assert run(go_on()) == 7
