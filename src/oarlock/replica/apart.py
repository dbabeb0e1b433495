"""The node in a thread of its own, its machine on the loop of the program that uses it.

A program's loop stands still whenever some code of it computes or blocks for long, in a command or elsewhere.
Heartbeats and votes must not: a leader that falls silent loses its office, and with it everybody waits. So the whole
Raft, its timers and its network, lives on another loop. Objects do not: commands are carried out on the program's own
loop, so that they and whoever reads the objects never see each other half done.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, BinaryIO, Final, TypeAlias, TypeVar

import uvloop

from oarlock.machine.exactly_once import HEADER_BYTES, AlreadyApplied
from oarlock.machine.interface import Job, SnapshotView, StateMachine
from oarlock.node.errors import Stopped
from oarlock.node.executors import settle
from oarlock.node.members import Change
from oarlock.node.node import Node as CoreNode
from oarlock.node.status import NodeStatus
from oarlock.raft.types import Configuration, Index, ServerId
from oarlock.replica.caller import Callers, Nobody
from oarlock.replica.commands import MOST_CALLS, most_calls
from oarlock.replica.core import SeenCore, Settle, told
from oarlock.replica.crossing import Crossing
from oarlock.transport.stats import PeerStats

T = TypeVar("T")

_ASK_S: Final = 30.0
"""How long a question to the other thread may take: it is never blocked for that long."""

_CALLS_AT_ONCE: Final = 4 * MOST_CALLS
"""Carried out without a pause for others who use the program's loop."""

_Committed: TypeAlias = tuple[Index, bytes, object]
"""Index, data, and who waits for the result."""

MakeCore: TypeAlias = Callable[[StateMachine, Callable[[BaseException], None], Callable[[], None]], CoreNode]
"""Makes the node that is to live apart, given its machine, `on_fatal` and `on_removed`."""


class ApartCore(SeenCore):
    """See `Core`; all methods are for the program's loop.

    Args:
        loop: The program's.
        machine: On that loop.
        make: Makes the node.
        on_fatal: See `oarlock.node.node.Node`; called on the program's loop.
        on_removed: The same.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        machine: StateMachine,
        make: MakeCore,
        on_fatal: Callable[[BaseException], None],
        on_removed: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._raft_loop = uvloop.new_event_loop()
        self._there = Crossing(self._raft_loop)
        self.at_the_end = self._there.at_the_end
        self._back = Crossing(loop)
        self._is_over = False
        self._thread = threading.Thread(target=self._run, name="oarlock-raft", daemon=True)
        bridge = MachineBridge(machine, loop, self._raft_loop, self._there)
        self._core = make(
            bridge,
            lambda error: self._back.put(on_fatal, error),
            lambda: self._back.put(on_removed),
        )

    def _run(self) -> None:
        asyncio.set_event_loop(self._raft_loop)
        try:
            self._raft_loop.run_forever()
        finally:
            self._raft_loop.close()

    async def _await_there(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, self._raft_loop))

    def _ask_there(self, question: Callable[[], T]) -> T:
        async def ask() -> T:
            return question()

        return asyncio.run_coroutine_threadsafe(ask(), self._raft_loop).result(_ASK_S)

    # -- life ------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """See `Core.start`."""
        self._thread.start()
        try:
            await self._await_there(self._core.start())
        except BaseException:
            await self._end_thread()
            raise

    async def stop(self) -> None:
        """See `Core.stop`."""
        self._is_over = True
        if self._thread.is_alive():
            await self._await_there(self._core.stop())
            await self._end_thread()

    async def _end_thread(self) -> None:
        self._raft_loop.call_soon_threadsafe(self._raft_loop.stop)
        await self._loop.run_in_executor(None, self._thread.join)

    def fail(self, error: BaseException) -> None:
        """See `Core.fail`."""
        self._is_over = True
        self._there.put(self._core.fail, error)

    # -- what it is for --------------------------------------------------------------------------------------------

    def propose(self, command: bytes, timeout_s: float | None, waiter: Callers | Nobody) -> None:
        """See `Core.propose`."""
        if self._is_over:
            waiter.set_exception(Stopped("the server is stopping, or has stopped"))
            return
        waiter.home = self._back
        self._there.put(self._core.propose_to, command, timeout_s, waiter)

    def read_barrier(self, timeout_s: float | None, settle: Settle, *, may_use_lease: bool) -> None:
        """See `Core.read_barrier`."""
        self._put(partial(self._core.read_barrier, timeout_s, may_use_lease=may_use_lease), settle)

    def _put(self, begin: Callable[[], "asyncio.Future[Any]"], settle: Settle) -> None:
        if self._is_over:
            self._loop.call_soon(settle, None, Stopped("the server is stopping, or has stopped"))
            return
        self._there.put(lambda: begin().add_done_callback(partial(self._done, settle)))

    def _done(self, settle: Settle, future: "asyncio.Future[Any]") -> None:
        self._back.put(told, settle, future)

    def _check(self) -> None:
        if self._is_over:
            raise Stopped("the server is stopping, or has stopped")

    async def change_membership(self, changes: Sequence[Change], timeout_s: float | None = None) -> Configuration:
        """See `Core.change_membership`."""
        self._check()

        async def change() -> Configuration:
            return await self._core.change_membership(changes, timeout_s)

        return await self._await_there(change())

    async def transfer_leadership(self, to: ServerId, timeout_s: float | None = None) -> None:
        """See `Core.transfer_leadership`."""
        self._check()
        await self._await_there(self._core.transfer_leadership(to, timeout_s))

    # -- about it: what must fit together is asked for ---------------------------------------------------------------

    def peer_traffic(self) -> Mapping[ServerId, PeerStats]:
        """See `Core.peer_traffic`."""
        return self._ask_there(self._core.peer_traffic) if self._thread.is_alive() else {}

    def status(self) -> NodeStatus:
        """See `Core.status`."""
        return self._ask_there(self._core.status) if self._thread.is_alive() else self._core.status()


class MachineBridge:
    """The machine as the node sees it from its own loop; see `MachineApart`."""

    def __init__(
        self,
        machine: StateMachine,
        loop: asyncio.AbstractEventLoop,
        raft_loop: asyncio.AbstractEventLoop,
        back: Crossing,
    ) -> None:
        self._machine = machine
        self._loop = loop
        self._raft_loop = raft_loop
        self._there = Crossing(loop)
        self._back = back
        """To the node's loop, the one by which proposals go, so that what follows from a result comes after it."""
        self._busy = asyncio.Lock()
        """Held while commands are carried out: an image must not stand between two of one slice."""

    async def _call(self, function: Callable[[], T], then: Callable[[T], None] | None = None) -> T:
        """Call something on the machine's loop, and then something with what it gave, back on the node's."""
        answer: asyncio.Future[T] = self._raft_loop.create_future()

        def call() -> None:
            try:
                result = function()
            except BaseException as error:  # noqa: BLE001 - the node's, which ends with it
                self._back.put(settle, answer, None, error)
            else:
                self._back.put(_go_on, answer, result, then)

        self._there.put(call)
        return await answer

    async def apply_apart(self, entries: list[_Committed], settle: Callable[[list[object]], None]) -> None:
        """See `MachineApart.apply_apart`."""
        async with self._busy:
            *earlier, last = _parts(entries) if len(entries) > _CALLS_AT_ONCE // MOST_CALLS else (entries,)
            results: list[object] = []
            for part in earlier:
                await self._call(partial(self._apply, part, results))
            await self._call(partial(self._apply, last, results, entries), settle)

    def _apply(self, part: list[_Committed], results: list[object], told: Sequence[_Committed] = ()) -> list[object]:
        """On the machine's loop; whoever waits there for what is settled now is told of it at once."""
        apply = self._machine.apply
        for index, data, _ in part:
            results.append(apply(index, data))
        for (_, _, waiter), result in zip(told, results, strict=False):
            if type(waiter) is Callers and type(result) is not AlreadyApplied:
                waiter.tell(result)
        return results

    async def begin_flush_apart(self) -> Job | None:
        """See `MachineApart.begin_flush_apart`."""
        async with self._busy:
            job = await self._call(self._machine.begin_flush)
        return None if job is None else JobBridge(job, self._loop)

    async def begin_snapshot_apart(self) -> SnapshotView:
        """See `MachineApart.begin_snapshot_apart`."""
        async with self._busy:
            return ViewBridge(await self._call(self._machine.begin_snapshot), self._there)

    def begin_restore(self, source: BinaryIO, index: Index) -> Job:
        """See `StateMachine.begin_restore`: only the job does anything."""
        return JobBridge(self._machine.begin_restore(source, index), self._loop)

    def applied_index(self) -> Index:
        """See `StateMachine.applied_index`."""
        return self._machine.applied_index()

    def durable_index(self) -> Index:
        """See `StateMachine.durable_index`."""
        return self._machine.durable_index()

    def apply(self, index: Index, command: bytes) -> object:
        """Not called: see `MachineApart`."""
        raise NotImplementedError

    def begin_flush(self) -> Job | None:
        """Not called: see `MachineApart`."""
        raise NotImplementedError

    def begin_snapshot(self) -> SnapshotView:
        """Not called: see `MachineApart`."""
        raise NotImplementedError


def _parts(entries: list[_Committed]) -> list[list[_Committed]]:
    """Entries, at least one, in parts that are carried out without a pause."""
    parts: list[list[_Committed]] = []
    room = 0
    for entry in entries:
        calls = most_calls(entry[1], HEADER_BYTES)
        if room < calls:
            parts.append([])
            room = _CALLS_AT_ONCE
        parts[-1].append(entry)
        room -= calls
    return parts


def _go_on(answer: "asyncio.Future[T]", result: T, then: Callable[[T], None] | None) -> None:
    if then is not None:
        then(result)
    settle(answer, result, None)


class JobBridge:
    """A job that ends on the machine's loop, while the thread that ran it waits."""

    def __init__(self, job: Job, loop: asyncio.AbstractEventLoop) -> None:
        self._job = job
        self._loop = loop

    def run(self) -> None:
        """See `Job.run`."""
        try:
            self._job.run()
        except BaseException:
            self._end(self._job.abandon)
            raise
        self._end(self._job.finish)

    def _end(self, step: Callable[[], None]) -> None:
        async def end() -> None:
            step()

        asyncio.run_coroutine_threadsafe(end(), self._loop).result()

    def finish(self) -> None:
        """It has ended in `run`."""

    def abandon(self) -> None:
        """It has ended in `run`."""


class ViewBridge:
    """An image that is let go of on the machine's loop."""

    def __init__(self, view: SnapshotView, there: Crossing) -> None:
        self._view = view
        self._there = there

    @property
    def index(self) -> Index:
        """See `SnapshotView.index`."""
        return self._view.index

    def write(self, out: BinaryIO) -> None:
        """See `SnapshotView.write`."""
        self._view.write(out)

    def close(self) -> None:
        """See `SnapshotView.close`."""
        self._there.put(self._view.close)
