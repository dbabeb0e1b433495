"""Follows the event stream of one local server, for as long as it is wanted, through all its lives."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Final, Protocol

import h11
import msgspec

from oarlock.dashboard.hub import Line, line_of
from oarlock.dashboard.sse import Messages, StreamError
from oarlock.trace.schema import Event

_PAUSE_S: Final = 0.2
"""Between two attempts to reach a server that is down, or is starting."""
_READ_BYTES: Final = 64 << 10
_SILENCE_S: Final = 25.0
"""The server says something every ten seconds."""
_DECODER: Final = msgspec.json.Decoder(Event)


class Taker(Protocol):
    """Who gets the events."""

    def begin(self, name: str) -> None:
        """The stream of a server begins."""

    def end(self, name: str) -> None:
        """It has ended."""

    def take(self, name: str, event: Event, line: Line) -> bool:
        """An event of it."""


class Follower:
    """One server's stream."""

    def __init__(self, name: str, port: int, taker: Taker, on_gap: Callable[[str, int], None]) -> None:
        """Prepare.

        Args:
            name: The server's.
            port: Of its dashboard on 127.0.0.1.
            taker: Gets the events.
            on_gap: Told of events that were lost on the way.
        """
        self._name = name
        self._port = port
        self._taker = taker
        self._on_gap = on_gap
        self._lost = 0

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            with contextlib.suppress(OSError, StreamError, h11.ProtocolError, TimeoutError):
                await self._follow()
            await asyncio.sleep(_PAUSE_S)

    async def ask_for_state(self) -> None:
        """Have the server put its whole state into the stream."""
        with contextlib.suppress(OSError, StreamError, h11.ProtocolError, TimeoutError):
            async for _ in request(self._port, "POST", "/key"):
                pass

    async def _follow(self) -> None:
        messages = Messages()
        begun = False
        try:
            async for data in request(self._port, "GET", "/events"):
                if not begun:
                    self._taker.begin(self._name)
                    begun = True
                for name, lines in messages.feed(data):
                    self._take(name, lines)
        finally:
            if begun:
                self._taker.end(self._name)

    def _take(self, name: str, lines: list[bytes]) -> None:
        if name == "gap":
            self._tell_gap(int(msgspec.json.decode(lines[0]).get("lost", 0)))
        elif not name:
            for text in lines:
                try:
                    event = _DECODER.decode(text)
                except msgspec.MsgspecError as error:
                    raise StreamError(f"an event that is none: {error}") from None
                self._take_event(event, line_of(event, text))

    def _take_event(self, event: Event, line: Line) -> None:
        waits_for_whole = self._lost > 0 and not line.is_whole
        if waits_for_whole or not self._taker.take(self._name, event, line):
            self._lost += 1
        elif self._lost:
            lost, self._lost = self._lost, 0
            self._tell_gap(lost)

    def _tell_gap(self, lost: int) -> None:
        self._on_gap(self._name, lost)


async def request(port: int, method: str, path: str) -> AsyncIterator[bytes]:
    """The body of an answer, in pieces as they come.

    Raises:
        OSError: The server cannot be reached, or the connection broke.
        StreamError: The answer is not a success.
        TimeoutError: Nothing came for too long.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        http = h11.Connection(h11.CLIENT)
        headers = [("host", f"127.0.0.1:{port}"), ("content-type", "application/json"), ("content-length", "0")]
        writer.write(http.send(h11.Request(method=method, target=path, headers=headers)) or b"")
        writer.write(http.send(h11.EndOfMessage()) or b"")
        while True:
            event = http.next_event()
            if event is h11.NEED_DATA:
                async with asyncio.timeout(_SILENCE_S):
                    http.receive_data(await reader.read(_READ_BYTES))
            elif isinstance(event, h11.Response) and event.status_code >= 300:
                raise StreamError(f"status {event.status_code}")
            elif isinstance(event, h11.Data):
                yield bytes(event.data)
            elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
                return
    finally:
        writer.close()
