"""From a call to its outcome: commands are encoded, proposed, and what became of them is told to whoever waits.

All calls of one iteration of the program's loop are one entry of the log, as far as they fit into one.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

from oarlock.replica import commands
from oarlock.replica.caller import Callers, Nobody, Totals
from oarlock.replica.codec import Value
from oarlock.replica.commands import MOST_BYTES, MOST_CALLS
from oarlock.replica.core import Core
from oarlock.replica.deadline import end_of_block, time_until
from oarlock.replica.errors import NotUnderstood, Overloaded
from oarlock.replica.object import Command, ReplicatedObject

_HEAD_BYTES: Final = 32
"""Of an entry, before its calls; no less."""


class Proposer:
    """Proposes commands by way of the node.

    Args:
        loop: Of the callers.
        core: The node.
        now_ms: What commands are stamped with, in milliseconds since 1970.
        usable_version: The version of an object in which commands can be proposed now; 0 for none.
        why_not: The error for a version that is beyond it.
        leader: Where the leader is reached, for hints.
        most: How many commands may be under way.
        most_bytes: How large an entry may be of which a larger one would be refused.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        core: Core,
        now_ms: Callable[[], int],
        usable_version: Callable[[str], int],
        why_not: Callable[[str, int], NotUnderstood],
        leader: Callable[[], str | None],
        most: int,
        most_bytes: int,
    ) -> None:
        self._loop = loop
        self._core = core
        self.now_ms = now_ms
        """The stamp for a command that is proposed now."""
        self._usable_version = usable_version
        self._why_not = why_not
        self._leader = leader
        self._most = most
        self._most_bytes = min(MOST_BYTES, most_bytes - _HEAD_BYTES)
        self.totals = Totals()
        self._calls: list[bytes] = []
        """Of this iteration, not proposed yet;"""
        self._futures: list[asyncio.Future[Any]] = []
        self._bytes = 0
        self._timeout_s: float | None = None
        """what all of them bring;"""
        self._end: float | None = None
        """and the end of the block that all of them are in."""

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
        call = commands.call(name, method, version, args, kwargs, session)
        future = self.begin()
        if not future.done():
            self._gather(call, future, timeout_s)
        return future

    def begin(self) -> asyncio.Future[Any]:
        """What the caller of a command waits for, and may cancel; done already where there is no room for more."""
        totals = self.totals
        future: asyncio.Future[Any] = self._loop.create_future()
        totals.called += 1
        if totals.waiting < self._most:
            totals.waiting += 1
        else:
            totals.failed += 1
            future.set_exception(Overloaded(f"{totals.waiting} commands are waiting"))
        return future

    def _gather(self, call: bytes, future: asyncio.Future[Any], timeout_s: float | None) -> None:
        """Put a call into the entry that is going to be proposed; those of one entry are given up at one time."""
        calls, end = self._calls, end_of_block()
        if calls and (
            len(calls) == MOST_CALLS
            or self._bytes + len(call) > self._most_bytes
            or timeout_s != self._timeout_s
            or end != self._end
        ):
            self._hand_over()
            calls = self._calls
        if not calls:
            self._timeout_s, self._end = timeout_s, end
            self._core.at_the_end(self._hand_over)
        calls.append(call)
        self._futures.append(future)
        self._bytes += len(call)

    def _hand_over(self) -> None:
        if self._calls:
            calls, self._calls = self._calls, []
            futures, self._futures = self._futures, []
            self._bytes = 0
            self._propose(commands.stamped(self.now_ms(), calls), futures, self._timeout_s, self._end)

    def _propose(
        self, command: bytes, futures: list[asyncio.Future[Any]], timeout_s: float | None, end: float | None
    ) -> None:
        left_s = time_until(end, self._loop.time, timeout_s)
        self._core.propose(command, left_s, Callers(futures, self.totals, self._leader))

    def propose(self, command: bytes, timeout_s: float | None = None) -> asyncio.Future[Any]:
        """Propose a command that is an entry of its own, after all that was called before."""
        self._hand_over()
        future = self.begin()
        if not future.done():
            self._propose(command, [future], timeout_s, end_of_block())
        return future

    def propose_unattended(self, command: bytes) -> None:
        """Propose what nobody waits for, after all that was called before."""
        self._hand_over()
        self._core.propose(command, None, Nobody())
