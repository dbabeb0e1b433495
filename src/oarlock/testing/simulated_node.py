"""A library's node that has each call of its program noted; apart from that it is the production one."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from oarlock.replica.caller import Callers
from oarlock.replica.codec import Value
from oarlock.replica.core import SameLoopCore
from oarlock.replica.node import Node
from oarlock.replica.object import Command, Consistency, ReplicatedObject
from oarlock.replica.session import Session
from oarlock.sim import inside
from oarlock.sim.machine import command_id
from oarlock.testing.simulated_recording import LibraryRecording, Noted, shown, shown_arguments

if TYPE_CHECKING:
    from oarlock.node.node import Node as CoreNode
    from oarlock.node.proposals import Waiter
    from oarlock.testing.simulated_server import SimulatedServer


class SimulatedNode(Node):
    """See `Node`. Calls take the same way whether they are recorded or not, so that runs are the same.

    Attributes:
        recording: Where calls are noted; None for nowhere.
        server: Where it runs.
    """

    recording: LibraryRecording | None
    server: "SimulatedServer"
    _proposed: Noted | None = None
    """The call that is being made."""

    @property
    def core_node(self) -> "CoreNode | None":
        """The node below this one, from when there is one, which is before it has started."""
        core = self._core
        assert core is None or isinstance(core, SameLoopCore)  # noqa: S101 - by its settings
        return core._core if core is not None else None  # noqa: SLF001 - as `inside` does for the node

    async def start(self) -> None:
        """See `Node.start`."""
        await super().start()
        core, node = self._running, self.core_node
        assert isinstance(core, SameLoopCore)  # noqa: S101 - by its settings
        assert node is not None  # noqa: S101 - it has started
        propose, begin = core.propose, self._proposer.begin
        begun: dict[asyncio.Future[Any], Noted] = {}

        def begin_noted() -> asyncio.Future[Any]:
            future = begin()
            noted, self._proposed = self._proposed, None
            if noted is not None:
                begun[future] = noted
            return future

        def propose_noted(command: bytes, timeout: float | None, waiter: "Waiter") -> None:
            before = inside.last_sequence(node)
            propose(command, timeout, waiter)
            sequence = inside.last_sequence(node)
            for future in waiter.futures if isinstance(waiter, Callers) else ():
                noted = begun.pop(future, None)
                if noted is not None and sequence != before:
                    noted.command = command_id(self.server_id, inside.boot_epoch(node), sequence)

        self._proposer.begin = begin_noted  # type: ignore[method-assign]  # as `propose` below
        core.propose = propose_noted

    def call(
        self, target: ReplicatedObject, command: Command, args: tuple[Value, ...], kwargs: Mapping[str, Value]
    ) -> asyncio.Future[Any]:
        """See `Node.call`."""
        make = partial(super().call, target, command, args, kwargs)
        return self._settled(f"{target.name}.{command.name}", shown_arguments(args, kwargs), make)

    def propose(
        self,
        command: Value,
        *,
        version: int = 1,
        timeout_s: float | None = None,
        session: tuple[str, int, int] | None = None,
    ) -> asyncio.Future[Any]:
        """See `Node.propose`."""
        make = partial(super().propose, command, version=version, timeout_s=timeout_s, session=session)
        return self._settled("apply", shown(command), make)

    async def open_session(self, idle_ms: int | None = None) -> Session:
        """See `Node.open_session`."""
        opened: Session = await self._awaited("open session", "", super().open_session(idle_ms))
        return opened

    async def close_session(self, key: str) -> None:
        """See `Node.close_session`."""
        await self._awaited("close session", shown(key), super().close_session(key))

    async def call_in_session(
        self,
        target: ReplicatedObject,
        command: Command,
        args: tuple[Value, ...],
        kwargs: Mapping[str, Value],
        session: tuple[str, int, int],
        timeout_s: float | None,
    ) -> Any:  # noqa: ANN401
        """See `Node.call_in_session`."""
        what = f"{target.name}.{command.name}"
        arguments = shown_arguments(args, {**kwargs, "serial": session[1]})
        call = super().call_in_session(target, command, args, kwargs, session, timeout_s)
        return await self._awaited(what, arguments, call)

    async def read(
        self,
        function: Callable[[], Value],
        consistency: Consistency = "linearizable",
        max_staleness_ms: float | None = None,
        timeout_s: float | None = None,
    ) -> Any:  # noqa: ANN401
        """See `Node.read`."""
        noted = self._note(*_read(function, consistency))

        def made() -> Value:
            if noted is not None:
                noted.index = self.stands_at()[0]
            return function()

        return await self._told(noted, super().read(made, consistency, max_staleness_ms, timeout_s))

    # -- noting --------------------------------------------------------------------------------------------------------

    def _note(self, what: str, arguments: str) -> Noted | None:
        return None if self.recording is None else Noted(self.recording, self.server, what, arguments)

    def _settled(self, what: str, arguments: str, make: Callable[[], asyncio.Future[Any]]) -> asyncio.Future[Any]:
        self._proposed = noted = self._note(what, arguments)
        try:
            future = make()
        except Exception as error:
            if noted is not None:
                noted.raised(error)
            raise
        finally:
            self._proposed = None
        future.add_done_callback(partial(_tell, noted))
        return future

    async def _awaited(self, what: str, arguments: str, call: Awaitable[Any]) -> Any:  # noqa: ANN401
        self._proposed = noted = self._note(what, arguments)  # proposed before the call waits for the first time
        return await self._told(noted, call)

    async def _told(self, noted: Noted | None, call: Awaitable[Any]) -> Any:  # noqa: ANN401
        try:
            result = await call
        except (Exception, asyncio.CancelledError) as error:  # not the end of a process, which nobody is told of
            if noted is not None:
                noted.raised(error)
            raise
        finally:
            if noted is not None and self._proposed is noted:
                self._proposed = None
        if noted is not None:
            noted.returned(result)
        return result


def _tell(noted: Noted | None, future: asyncio.Future[Any]) -> None:
    """What became of a call."""
    if noted is None:
        return
    if future.cancelled():
        noted.raised(asyncio.CancelledError())
        return
    error = future.exception()
    if error is not None:
        noted.raised(error)
    else:
        noted.returned(future.result())


def _read(function: Callable[[], Value], consistency: Consistency) -> tuple[str, str]:
    """What is read, and with which arguments."""
    how = "" if consistency == "linearizable" else f" ({consistency})"
    if not isinstance(function, partial):
        return f"read{how}", ""
    reader = function.func
    owner = getattr(reader, "__self__", None)
    name = getattr(reader, "__name__", "")
    what = f"{owner.name}.{name}" if isinstance(owner, ReplicatedObject) else "read"
    return f"{what}{how}", shown_arguments(function.args, function.keywords)
