"""From a call to its outcome: commands are encoded, proposed, and what became of them is told to whoever waits."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from oarlock.replica import commands
from oarlock.replica.caller import Caller, Nobody
from oarlock.replica.codec import Value
from oarlock.replica.core import Core
from oarlock.replica.deadline import time_left
from oarlock.replica.errors import NotUnderstood
from oarlock.replica.object import Command, ReplicatedObject


class Proposer:
    """Proposes commands by way of the node.

    Args:
        loop: Of the callers.
        core: The node.
        now_ms: What commands are stamped with, in milliseconds since 1970.
        usable_version: The version of an object in which commands can be proposed now; 0 for none.
        why_not: The error for a version that is beyond it.
        leader: Where the leader is reached, for hints.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        core: Core,
        now_ms: Callable[[], int],
        usable_version: Callable[[str], int],
        why_not: Callable[[str, int], NotUnderstood],
        leader: Callable[[], str | None],
    ) -> None:
        self._loop = loop
        self._core = core
        self.now_ms = now_ms
        """The stamp for a command that is proposed now."""
        self._usable_version = usable_version
        self._why_not = why_not
        self._leader = leader

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
        stamp_ms = self.now_ms()
        if session is None:
            command = commands.call(stamp_ms, name, method, version, args, kwargs)
        else:
            command = commands.in_session(stamp_ms, name, method, version, args, kwargs, session)
        return self.propose(command, timeout_s)

    def propose(self, command: bytes, timeout_s: float | None = None) -> asyncio.Future[Any]:
        """Propose a command; what waits for it may be cancelled, which changes nothing about the command."""
        loop = self._loop
        future: asyncio.Future[Any] = loop.create_future()
        self._core.propose(command, time_left(loop.time, timeout_s), Caller(future, self._leader))
        return future

    def propose_unattended(self, command: bytes) -> None:
        """Propose what nobody waits for."""
        self._core.propose(command, None, Nobody())
