"""The library for programs with threads: whatever is awaited elsewhere blocks here.

There is one proxy, which knows nothing of what it stands for: it does everything on the loop on which the node lives,
and waits for the outcome. So there is no second copy of anything, and state is never read while a command changes it.

    from oarlock.blocking import Node, blocking

    visits = ReplicatedCounter("visits")
    with Node("10.0.0.1:7000", data_dir="data", peers=[...], objects=[visits]):
        print(blocking(visits).add(1))
"""

import asyncio
import inspect
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Final, Self

import uvloop

from oarlock.replica.deadline import deadline
from oarlock.replica.errors import Stopped
from oarlock.replica.node import Node as AsyncNode
from oarlock.replica.object import ReplicatedObject
from oarlock.replica.session import Session

__all__ = ["Blocking", "Node", "blocking", "deadline"]

_PROXIED: Final = (ReplicatedObject, AsyncNode, Session)
"""What is handed out as a proxy where a call gives it."""

_LETTING_GO_S: Final = 1.0


class Blocking:
    """Stands for something that lives on a loop, and blocks where that is awaited.

    Attributes, methods and operators are those of what it stands for. Iterating gives what was there at the beginning.
    An asynchronous context manager becomes an ordinary one. Functions that are handed over are called on the loop, and
    must not block it.
    """

    __slots__ = ("_loop", "_subject")

    def __init__(self, subject: Any, loop: asyncio.AbstractEventLoop) -> None:  # noqa: ANN401
        self._subject = subject
        self._loop = loop

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        value = self._do(lambda: getattr(self._subject, name))
        return self._calling(value) if callable(value) else value

    def _calling(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            opened = [_opened(argument) for argument in args]
            return self._do(lambda: function(*opened, **kwargs))

        call.__name__ = getattr(function, "__name__", "call")
        call.__doc__ = function.__doc__
        return call

    def _do(self, step: Callable[[], Any]) -> Any:  # noqa: ANN401
        """Do something on the loop, and wait for what comes of it."""
        result = run_on(self._loop, step)
        if isinstance(result, _PROXIED) or hasattr(result, "__aenter__"):
            return Blocking(result, self._loop)
        return result

    # -- operators ---------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return int(self._do(lambda: len(self._subject)))

    def __bool__(self) -> bool:
        return bool(self._do(lambda: bool(self._subject)))

    def __int__(self) -> int:
        return int(self._do(lambda: int(self._subject)))

    def __contains__(self, item: object) -> bool:
        return bool(self._do(lambda: item in self._subject))

    def __getitem__(self, key: object) -> Any:  # noqa: ANN401
        return self._do(lambda: self._subject[key])

    def __iter__(self) -> Iterator[Any]:
        return iter(self._do(lambda: list(self._subject)))

    def __eq__(self, other: object) -> bool:
        return bool(self._do(lambda: self._subject == _opened(other)))

    def __hash__(self) -> int:
        return hash(self._subject)

    def __repr__(self) -> str:
        return f"<blocking {self._subject!r}>"

    def __enter__(self) -> Any:  # noqa: ANN401
        return self._do(self._subject.__aenter__)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        suppressed: bool | None = self._do(lambda: self._subject.__aexit__(kind, error, trace))
        return suppressed


async def _let_callers_go() -> None:
    """See that no thread waits for a loop that is about to end: `Stopped` may still be on its way to some."""
    waiting = asyncio.all_tasks() - {asyncio.current_task()}
    if waiting:
        _, late = await asyncio.wait(waiting, timeout=_LETTING_GO_S)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)


def _opened(value: Any) -> Any:  # noqa: ANN401
    """What a proxy stands for; anything else as it is."""
    return value._subject if isinstance(value, Blocking) else value  # noqa: SLF001 - of the same class


def run_on(loop: asyncio.AbstractEventLoop, step: Callable[[], Any]) -> Any:  # noqa: ANN401
    """Do something on a loop of another thread, and wait for it; if it gives something to await, for that too.

    Raises:
        RuntimeError: The caller is on that loop, which would wait for itself.
        Stopped: The loop has ended, with its node.
        Whatever the step raises.
    """
    if loop.is_closed():
        raise Stopped("the node has stopped, and its loop with it")
    if asyncio._get_running_loop() is loop:  # noqa: SLF001 - without an error where there is none
        raise RuntimeError("this code runs on the loop: await, instead of blocking it")

    async def do() -> Any:  # noqa: ANN401
        result = step()
        return await result if inspect.isawaitable(result) else result

    future = asyncio.run_coroutine_threadsafe(do(), loop)
    try:
        return future.result()
    except BaseException:
        future.cancel()  # of an interrupted caller; changes nothing about a future that is done
        raise


def blocking(subject: Any) -> Any:  # noqa: ANN401 - what it has is what the subject has
    """The blocking twin of an object of a node that has been started, in whatever thread that lives.

    Args:
        subject: An object or a session.
    """
    node = subject.node
    return Blocking(subject, node.loop)


class Node:
    """`oarlock.Node` for threads: takes the same arguments, and has the same methods, which block.

    It may be used by many threads at once. Its loop has a thread of its own.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        self._node = AsyncNode(*args, **kwargs)
        self._loop = uvloop.new_event_loop()
        self._proxy = Blocking(self._node, self._loop)
        self._thread = threading.Thread(target=self._run, name="oarlock-program", daemon=True)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.run_until_complete(_let_callers_go())
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
            self._loop.close()

    def start(self) -> None:
        """See `oarlock.Node.start`."""
        self._thread.start()
        try:
            run_on(self._loop, self._node.start)
        except BaseException:
            self._end_thread()
            raise

    def stop(self) -> None:
        """See `oarlock.Node.stop`."""
        if self._thread.is_alive():
            run_on(self._loop, self._node.stop)
            self._end_thread()

    def leave(self, timeout_s: float | None = None) -> None:
        """See `oarlock.Node.leave`."""
        run_on(self._loop, lambda: self._node.leave(timeout_s))
        self._end_thread()

    def _end_thread(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._proxy, name)
