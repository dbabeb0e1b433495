"""One stream for several browsers, each with a bounded buffer: who reads too slowly loses events and is told so.

Nobody can begin in the middle of changes: of every lane, a client gets what comes from the next whole state on.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from oarlock.dashboard.sse import PING, message
from oarlock.trace.schema import WORLD, Event, parse_id

MAX_CLIENTS: Final = 8
MAX_BUFFERED_BYTES: Final = 8 << 20
_BATCH_S: Final = 0.04
"""Events of so long go out together: a browser takes few large messages better than many small ones."""
_PING_S: Final = 10.0


class HubFull(Exception):
    """There are as many clients as there may be."""


class Line(NamedTuple):
    """An event as it is sent."""

    lane: str
    text: bytes
    is_whole: bool
    """Whether it holds the whole state of its server."""


def line_of(event: Event, text: bytes) -> Line:
    """An event and its text, without the line's end."""
    return Line(parse_id(event.id).lane, text, event.s is not None)


class Hub:
    """Hands each event to all clients."""

    def __init__(
        self,
        header: bytes,
        ask_for_states: Callable[[], None],
        *,
        max_clients: int = MAX_CLIENTS,
        max_buffered_bytes: int = MAX_BUFFERED_BYTES,
    ) -> None:
        """Nobody listens yet.

        Args:
            header: Of the trace, without its line end.
            ask_for_states: Has the whole state of every server put into the stream soon.
            max_clients: More are refused.
            max_buffered_bytes: For each client; beyond, it loses events.
        """
        self.header = header
        self.standing: Callable[[], Iterable[Line]] = lambda: ()
        """What of the past a newcomer must know: cuts that last, servers that are down, the first events of a life."""
        self.on_empty: Callable[[], None] = lambda: None
        """Called when the last client has gone."""
        self._ask_for_states = ask_for_states
        self._max_clients = max_clients
        self._max_buffered_bytes = max_buffered_bytes
        self._clients: dict[Subscription, None] = {}
        self._said: dict[str, bytes] = {}

    @property
    def clients(self) -> int:
        """How many listen."""
        return len(self._clients)

    def publish(self, line: Line) -> None:
        """An event happened."""
        for client in self._clients:
            client.put(line)

    def say(self, name: str, data: bytes, *, lasts: bool = False) -> None:
        """Send a named message.

        Args:
            name: Its name.
            data: One line.
            lasts: Whether newcomers are told the last one of this name.
        """
        if lasts:
            self._said[name] = data
        for client in self._clients:
            client.say(message(name, [data]))

    def subscribe(self) -> "Subscription":
        """One more client.

        Raises:
            HubFull: There are too many already.
        """
        if len(self._clients) >= self._max_clients:
            raise HubFull(f"{self._max_clients} clients watch already")
        client = Subscription(self, self._max_buffered_bytes)
        self._clients[client] = None
        client.say(message("header", [self.header]))
        for name, data in self._said.items():
            client.say(message(name, [data]))
        self.begin(client)
        return client

    def begin(self, client: "Subscription") -> None:
        """Let a client know what it has to know, for the first time or after it lost something."""
        for line in self.standing():
            client.put(line)
        if not client.knows_states:
            self._ask_for_states()

    def left(self, client: "Subscription") -> None:
        """A client has gone."""
        if self._clients.pop(client, self) is None and not self._clients:
            self.on_empty()


class Subscription:
    """One client. Iterate over it for the pieces to send."""

    def __init__(self, hub: Hub, max_buffered_bytes: int) -> None:
        self._hub = hub
        self._max_buffered_bytes = max_buffered_bytes
        self._lines: list[bytes] = []
        self._pieces: list[bytes] = []
        self._buffered_bytes = 0
        self._known: set[str] = set()
        self._lost = 0
        self._wake = asyncio.Event()

    @property
    def knows_states(self) -> bool:
        """Whether it has the whole state of some server to begin with."""
        return bool(self._known)

    def put(self, line: Line) -> None:
        """An event for it."""
        if self._lost:
            self._lost += 1
            return
        if line.lane not in self._known:
            if not line.is_whole and line.lane != WORLD:
                return
            if line.is_whole:
                self._known.add(line.lane)
        if self._buffered_bytes + len(line.text) > self._max_buffered_bytes:
            self._lost = 1
            self._known.clear()
        else:
            self._lines.append(line.text)
            self._buffered_bytes += len(line.text)
        self._wake.set()

    def say(self, piece: bytes) -> None:
        """A named message for it, in its place between events."""
        if self._buffered_bytes + len(piece) > self._max_buffered_bytes:
            return
        self._flush_lines()
        self._pieces.append(piece)
        self._buffered_bytes += len(piece)
        self._wake.set()

    def _flush_lines(self) -> None:
        if self._lines:
            self._pieces.append(message("", self._lines))
            self._lines = []

    def __aiter__(self) -> "Subscription":
        """The pieces to send, as they come."""
        return self

    async def __anext__(self) -> bytes:
        """What there is to send; a comment where nothing comes."""
        try:
            async with asyncio.timeout(_PING_S):
                await self._wake.wait()
        except TimeoutError:
            return PING
        await asyncio.sleep(_BATCH_S)
        return self._take()

    async def aclose(self) -> None:
        """The client has gone."""
        self._hub.left(self)

    def _take(self) -> bytes:
        self._wake.clear()
        self._flush_lines()
        pieces, self._pieces, self._buffered_bytes = self._pieces, [], 0
        if self._lost:
            pieces.append(message("gap", [b'{"lost":%d}' % self._lost]))
            self._lost = 0
            self._hub.begin(self)
        return b"".join(pieces)
