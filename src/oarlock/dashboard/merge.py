"""Brings the streams of several servers into one order while they run; `trace/merge.py` does it for files.

Each server's events keep their order and a `recv` comes after its `send`. That may be in a stream that lags, so an
event waits for it, but not for long: then it is passed on as it is, and its message has no known beginning.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from oarlock.dashboard.hub import Line
from oarlock.trace.schema import Event, Kind, parse_id

HOLD_S: Final = 0.1
"""How long an event waits for earlier ones of other servers."""
PATIENCE_S: Final = 1.0
"""How long it waits for the event that it follows from."""
MAX_WAITING: Final = 50_000
"""Events of one server."""


class Arrived(NamedTuple):
    """An event that waits."""

    event: Event
    line: Line
    at: float


class _Source:
    """One server's stream."""

    def __init__(self) -> None:
        self.waiting: deque[Arrived] = deque()
        self.ended = False
        self.lane = ""


class LiveMerge:
    """Takes events as they come, and gives them in order."""

    def __init__(
        self, emit: Callable[[Event, Line], None], clock: Callable[[], float], *, max_waiting: int = MAX_WAITING
    ) -> None:
        """Begin.

        Args:
            emit: Gets each event in its turn.
            clock: The loop's time, in seconds.
            max_waiting: Events of one server that may wait.
        """
        self._emit = emit
        self._clock = clock
        self._max_waiting = max_waiting
        self._sources: dict[str, _Source] = {}
        self._passed: dict[str, tuple[int, int]] = {}
        self.forced = 0
        """Events passed on without the one that they follow from."""

    def begin(self, name: str, lane: str = "") -> None:
        """A stream begins, or is to; what waits of an earlier one of this name goes first.

        Args:
            name: Of the stream.
            lane: The server's, if it is known already: then others wait for what it sent before it has said anything.
        """
        source = self._sources.setdefault(name, _Source())
        source.ended = False
        source.lane = lane or source.lane

    def end(self, name: str) -> None:
        """A stream has ended."""
        source = self._sources.get(name)
        if source is not None:
            source.ended = True

    def take(self, name: str, event: Event, line: Line) -> bool:
        """An event came; False if there is no room for it."""
        source = self._sources[name]
        if len(source.waiting) >= self._max_waiting:
            return False
        source.lane = line.lane
        source.waiting.append(Arrived(event, line, self._clock()))
        return True

    def pump(self) -> None:
        """Give what may go by now."""
        now = self._clock()
        while (source := self._next(now)) is not None:
            arrived = source.waiting.popleft()
            self._passed[arrived.line.lane] = parse_id(arrived.event.id)[1:]
            self._emit(arrived.event, arrived.line)
        for name in [name for name, source in self._sources.items() if source.ended and not source.waiting]:
            del self._sources[name]

    def _next(self, now: float) -> _Source | None:
        waiting = [source for source in self._sources.values() if source.waiting]
        is_complete = all(source.waiting or source.ended for source in self._sources.values())
        for source in sorted(waiting, key=lambda each: each.waiting[0].event.t):
            first = source.waiting[0]
            if self._is_blocked(first):
                if now - first.at < PATIENCE_S:
                    continue
                self.forced += 1
                return source
            return source if is_complete or now - first.at >= HOLD_S else None
        return None

    def _is_blocked(self, arrived: Arrived) -> bool:
        """Whether the sending of its message is still to come."""
        event = arrived.event
        if event.k is Kind.SEND or not event.m:
            return False
        sent = parse_id(event.m)
        if self._passed.get(sent.lane, (-1, -1)) >= sent[1:]:
            return False
        return any(
            source.lane == sent.lane and not (source.ended and not source.waiting) for source in self._sources.values()
        )
