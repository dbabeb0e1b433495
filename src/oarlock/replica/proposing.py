"""From a call to its outcome: commands are encoded, proposed, and what became of them is told to whoever waits."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from oarlock.replica import commands
from oarlock.replica.codec import Value
from oarlock.replica.core import Core
from oarlock.replica.deadline import time_left
from oarlock.replica.errors import NotUnderstood, translated
from oarlock.replica.failures import Failure
from oarlock.replica.object import Command, ReplicatedObject


class _Call:
    """One command that somebody waits for; see `Waiter`. Told on the loop of who waits."""

    __slots__ = ("_future", "_leader")

    def __init__(self, future: asyncio.Future[Any], leader: Callable[[], str | None]) -> None:
        self._future = future
        self._leader = leader

    def done(self) -> bool:
        return self._future.done()

    def set_result(self, result: object) -> None:
        future = self._future
        if future.done():
            return  # whoever waited was cancelled
        if type(result) is Failure:
            future.set_exception(result.error)
        else:
            future.set_result(result)

    def set_exception(self, error: BaseException) -> None:
        if not self._future.done():
            self._future.set_exception(translated(error, self._leader()))


class _Nobody:
    """Nobody waits; see `Waiter`."""

    def done(self) -> bool:
        return True

    def set_result(self, result: object) -> None:
        """Of no interest."""

    def set_exception(self, error: BaseException) -> None:
        """Of no interest."""


class Proposer:
    """Proposes commands by way of the node.

    Args:
        loop: Of the callers.
        core: The node.
        wall_clock: What commands are stamped with, in seconds since 1970.
        usable_version: The version of an object in which commands can be proposed now; 0 for none.
        why_not: The error for a version that is beyond it.
        leader: Where the leader is reached, for hints.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        core: Core,
        wall_clock: Callable[[], float],
        usable_version: Callable[[str], int],
        why_not: Callable[[str, int], NotUnderstood],
        leader: Callable[[], str | None],
    ) -> None:
        self._loop = loop
        self._core = core
        self._wall_clock = wall_clock
        self._usable_version = usable_version
        self._why_not = why_not
        self._leader = leader

    def now_ms(self) -> int:
        """The stamp for a command that is proposed now."""
        return int(self._wall_clock() * 1000)

    def call(
        self,
        target: ReplicatedObject,
        command: Command,
        args: tuple[Value, ...],
        kwargs: Mapping[str, Value],
        session: tuple[str, int, int] | None = None,
        timeout_s: float | None = None,
    ) -> asyncio.Future[Any]:
        """Propose a call of an object's method.

        Args:
            target: The object.
            command: The method.
            args: For it.
            kwargs: For it.
            session: Its id, the serial, and the serial below which replies are acknowledged.
            timeout_s: When to give up.

        Raises:
            TypeError: The arguments do not fit, or (`NotEncodable`) cannot be replicated.
            NotUnderstood: Some server does not know the method yet.
        """
        name = target.name
        version = self._usable_version(name)
        if version < command.first_version:
            raise self._why_not(name, command.first_version)
        try:
            command.check_call(target, version, args, kwargs)
        except TypeError:
            newest = max(command.bodies)
            if newest == version:
                raise
            command.check_call(target, newest, args, kwargs)
            raise self._why_not(name, newest) from None
        return self.call_named(name, command.name, version, args, kwargs, session, timeout_s)

    def call_named(
        self,
        name: str,
        method: str,
        version: int,
        args: tuple[Value, ...],
        kwargs: Mapping[str, Value],
        session: tuple[str, int, int] | None = None,
        timeout_s: float | None = None,
    ) -> asyncio.Future[Any]:
        """The same, of a method and version that are known to be right."""
        stamp_ms = int(self._wall_clock() * 1000)
        if session is None:
            command = commands.call(stamp_ms, name, method, version, args, kwargs)
        else:
            command = commands.in_session(stamp_ms, name, method, version, args, kwargs, session)
        return self.propose(command, timeout_s)

    def propose(self, command: bytes, timeout_s: float | None = None) -> asyncio.Future[Any]:
        """Propose a command; what waits for it may be cancelled, which changes nothing about the command."""
        loop = self._loop
        waiter: asyncio.Future[Any] = loop.create_future()
        self._core.propose(command, time_left(loop.time(), timeout_s), _Call(waiter, self._leader))
        return waiter

    def propose_unattended(self, command: bytes) -> None:
        """Propose what nobody waits for."""
        self._core.propose(command, None, _Nobody())
