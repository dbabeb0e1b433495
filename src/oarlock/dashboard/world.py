"""What happens to a local cluster from outside, as events of the lane `net`: servers end, links are cut, a pause."""

import time
from collections.abc import Callable, Iterable, Sequence

import msgspec

from oarlock.dashboard.hub import Line, line_of
from oarlock.dashboard.proxy import Link
from oarlock.trace.lane import Lane
from oarlock.trace.schema import WORLD, Event, Kind, encode, server_name


class WorldLane:
    """Tells it, and remembers what of it still holds."""

    def __init__(self) -> None:
        self.listeners: list[Callable[[Event, Line], object]] = []
        # Of every start another lane epoch, as servers have, so that ids stay unique in a series of files.
        self._lane = Lane(WORLD, time.time_ns() // 1_000_000, self._tell, time.time)
        self._faults = 0
        self._down: dict[str, Event] = {}
        self._paused: dict[str, tuple[int, Event]] = {}
        self._cuts: list[Event] = []

    def _tell(self, event: Event) -> bool:
        line = line_of(event, encode(event).rstrip())
        for listener in self.listeners:
            listener(event, line)
        return True

    def ended(self, server: str, why: str) -> None:
        """A server's process is gone, and could not say so."""
        self._down[server] = self._lane.emit(Kind.CRASH, x={"server": server, "why": why})

    def started(self, server: str) -> None:
        """It has a new one."""
        self._down.pop(server, None)

    def paused(self, server: str) -> None:
        """Its process stands still."""
        self._faults += 1
        event = self._lane.emit(Kind.FAULT, x={"number": self._faults, "kind": "pause", "servers": [server]})
        self._paused[server] = (self._faults, event)

    def resumed(self, server: str) -> None:
        """It goes on, or has ended."""
        found = self._paused.pop(server, None)
        if found is not None:
            self._lane.emit(Kind.FAULT, x={"number": found[0], "kind": "pause", "servers": [server], "ended": True})

    def cut(self, links: Sequence[Link]) -> None:
        """Links let nothing through."""
        shown = [[server_name(one), server_name(other)] for one, other in links]
        self._cuts.append(self._lane.emit(Kind.PART, x={"links": shown}))

    def healed(self) -> None:
        """All links work."""
        if self._cuts:
            self._cuts.clear()
            self._lane.emit(Kind.HEAL)

    def standing(self) -> Iterable[Line]:
        """What still holds, for who comes later: the same events, told now."""
        now = time.time_ns() // 1000
        for event in [*self._down.values(), *(event for _, event in self._paused.values()), *self._cuts]:
            told = msgspec.structs.replace(event, t=now, x={**event.x, "since": event.t})
            yield line_of(told, encode(told).rstrip())
