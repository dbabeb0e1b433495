"""Brings the files of a live cluster's servers into one order, by the messages between them.

Each server's events keep their order, and a `recv` comes after its `send`. Clocks decide only what that leaves open.
What a message met with after it left is known only if its receiver's file says so: else it is unresolved.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from oarlock.trace.clocks import Clocks
from oarlock.trace.reader import TraceError
from oarlock.trace.schema import Event, EventId, Kind, parse_id, sent_id

MAX_UNRESOLVED: Final = 1_000_000


class _Source:
    """One file, or one series of files, of a server."""

    def __init__(self, events: Iterable[Event]) -> None:
        self._events = iter(events)
        self.head: Event | None = None
        self.id = EventId("", 0, 0)
        self.lanes: dict[str, EventId] = {}
        """The last event taken of each lane in it."""
        self.advance()

    def advance(self) -> None:
        """Look at the next event."""
        self.head = next(self._events, None)
        if self.head is not None:
            self.id = parse_id(self.head.id)
            if self.id <= self.lanes.get(self.id.lane, EventId("", 0, 0)):
                raise TraceError(f"event {self.head.id} comes after {self.lanes[self.id.lane]}")
            self.lanes.setdefault(self.id.lane, EventId(self.id.lane, -1, 0))


class Merge:
    """The events of all sources in one order. Iterate once; what remained open is known afterwards."""

    def __init__(self, sources: Sequence[Iterable[Event]], clocks: Clocks | None = None) -> None:
        """Begin.

        Args:
            sources: Of each server the events in their order.
            clocks: For what messages do not decide; None to take all clocks as equal.

        Raises:
            TraceError: A source cannot be read.
        """
        self._sources = [_Source(events) for events in sources]
        self._clocks = clocks
        self.unresolved: dict[str, Event] = {}
        """Messages that left and were not seen again: perhaps lost, perhaps received where nothing was recorded."""
        self.unknown: list[str] = []
        """Events that received a message whose sender's record is missing."""
        self.forced = 0
        """Times that no order fitted, because files contradict each other."""

    def __iter__(self) -> Iterator[Event]:
        """The events.

        Raises:
            TraceError: A source cannot be read, or its events are not in order.
        """
        while (source := self._next()) is not None:
            event = source.head
            assert event is not None  # noqa: S101 - `_next` gives only such
            source.lanes[source.id.lane] = source.id
            self._note(event)
            source.advance()
            yield event

    def _next(self) -> _Source | None:
        """The earliest by the clock of those whose message has left."""
        waiting = sorted(
            (source for source in self._sources if source.head is not None),
            key=self._time,
        )
        for source in waiting:
            if not self._is_blocked(source):
                return source
        if waiting:
            self.forced += 1
            return waiting[0]
        return None

    def _time(self, source: _Source) -> tuple[int, EventId]:
        assert source.head is not None  # noqa: S101 - as above
        at = source.head.t
        return (at if self._clocks is None else self._clocks.corrected(source.id.lane, at)), source.id

    def _is_blocked(self, source: _Source) -> bool:
        """Whether the event follows from one that another source is still to give."""
        event = source.head
        if event is None or event.k is Kind.SEND or not event.m:
            return False
        sent = parse_id(event.m)
        return any(
            other is not source
            and other.head is not None
            and sent.lane in other.lanes
            and other.lanes[sent.lane][1:] < sent[1:]
            for other in self._sources
        )

    def _note(self, event: Event) -> None:
        if event.k is Kind.SEND:
            self.unresolved[event.id] = event
            if len(self.unresolved) > MAX_UNRESOLVED:
                raise TraceError(f"more than {MAX_UNRESOLVED} messages were not received: a file must be missing")
        elif event.k in (Kind.RECV, Kind.DROP):
            found = self.unresolved.pop(sent_id(event.m), None) if event.m else None
            if found is None and "#" not in event.m:
                self.unknown.append(event.id)
