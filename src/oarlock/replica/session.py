"""Sessions as callers have them: a command with a serial is carried out once, however often it is sent."""

import asyncio
from typing import TYPE_CHECKING, Any

from oarlock.replica.codec import Value
from oarlock.replica.object import BoundCommand

if TYPE_CHECKING:
    from oarlock.replica.node import Node


class Session:
    """One client's session, on whichever server it comes to: `Node.open_session` and `Node.session` give it.

    The client numbers its commands from 1 on and sends a number again, to any server, until it has the reply. It says
    which replies it has, so that they need not be kept. Without numbers of its own a session counts for itself, which
    is of use to a client that stays on one server.

    Attributes:
        id: By which the client names the session; whoever knows it can use the session.
    """

    def __init__(self, node: "Node", key: str) -> None:
        self.id = key
        self._node = node
        self._serial = 0
        self._waiting: dict[int, None] = {}

    @property
    def node(self) -> "Node":
        """Of the server that it is used on."""
        return self._node

    def __repr__(self) -> str:
        return f"<Session {self.id}>"

    async def call(
        self,
        command: Any,  # noqa: ANN401 - a bound command, whose type says what it takes
        /,
        *args: Value,
        serial: int | None = None,
        acknowledged: int | None = None,
        timeout_s: float | None = None,
        **kwargs: Value,
    ) -> Any:  # noqa: ANN401 - what the command returns
        """Have a command carried out once.

        Args:
            command: Of an object: `counter.add`.
            args: For it.
            serial: The client's number for it; the same for every attempt. None to count here.
            acknowledged: The client has the replies to all serials below; None for the serial itself, as of a client
                that does one thing at a time.
            timeout_s: When to give up; then try again with the same serial.
            kwargs: For it.

        Returns:
            What it returned when it was carried out, now or before; or raises what it raised then. An exception of a
            class that is not known (`register_error`) is raised as `CommandFailed`.

        Raises:
            SessionExpired: The session is not known any more. Whether the command was carried out is not known either.
            SerialForgotten: The client had said that it has the reply.
            Overloaded: Too many replies are not acknowledged.
            Timeout, NoLeader, ...: As for any command.
        """
        if not isinstance(command, BoundCommand):
            raise TypeError(f"a session calls commands of objects, not {command!r}")
        number, acknowledged = self._number(serial, acknowledged)
        try:
            return await self._node.call_in_session(
                command.target, command.command, args, kwargs, (self.id, number, acknowledged), timeout_s
            )
        finally:
            self._waiting.pop(number, None)

    def _number(self, serial: int | None, acknowledged: int | None) -> tuple[int, int]:
        if serial is None:
            self._serial += 1
            number = self._serial
            self._waiting[number] = None
            return number, next(iter(self._waiting)) if acknowledged is None else acknowledged
        if serial < 1:
            raise ValueError(f"serials begin at 1, not {serial}")
        self._serial = max(self._serial, serial)
        return serial, serial if acknowledged is None else acknowledged

    def propose(
        self, command: Value, *, serial: int, acknowledged: int | None = None, version: int = 1
    ) -> "asyncio.Future[Any]":
        """The same for a whole state machine; see `Node.propose`."""
        number, below = self._number(serial, acknowledged)
        return self._node.propose(command, version=version, session=(self.id, number, below))

    async def close(self) -> None:
        """Have the session forgotten."""
        await self._node.close_session(self.id)
