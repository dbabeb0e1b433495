"""A lane of a trace: events of one server's one life, or of the network, numbered and timed."""

from collections.abc import Callable
from typing import Any, Final

from oarlock.trace.schema import WORLD, Event, Kind, Sink, server_name

Clock = Callable[[], float]
"""The present in seconds, as the core is told it."""


class Lane:
    """Numbers events, keeps the Lamport clock, and says so when events were lost."""

    def __init__(self, name: str, epoch: int, sink: Sink, clock: Clock, clock_offset_us: int = 0) -> None:
        self.name = name
        self.epoch = epoch
        self.number = 0
        self.lamport = 0
        self._prefix: Final = f"{name}.{epoch}."
        self._sink = sink
        self._clock = clock
        self._clock_offset_us = clock_offset_us
        self._lost = 0

    @property
    def next_id(self) -> str:
        """The id of the event to come."""
        return f"{self._prefix}{self.number + 1}"

    @property
    def last_id(self) -> str:
        """The id of the last event."""
        return f"{self._prefix}{self.number}"

    def emit(self, kind: Kind, *, seen: int = 0, **fields: Any) -> Event:  # noqa: ANN401 - fields of `Event`
        """Record an event.

        Args:
            kind: What it is.
            seen: The Lamport clock of what it follows from elsewhere.
            fields: The others of `Event`.
        """
        after_gap = self._lost > 0
        can_keep = not after_gap or self._announce_gap()
        self.number = number = self.number + 1
        self.lamport = lamport = (seen if seen > self.lamport else self.lamport) + 1  # noqa: FURB136 - a hot path
        at = int(self._clock() * 1e6) + self._clock_offset_us
        event = Event(f"{self._prefix}{number}", at, lamport, kind, **fields)
        if not can_keep or not self._sink(event):
            self._lost += 1
        elif after_gap:
            # Not before this event: the state already holds its changes.
            self.after_gap()
        return event

    def _announce_gap(self) -> bool:
        """There may be room again: say what is missing first."""
        lost, self._lost = self._lost, 0
        self.emit(Kind.GAP, x={"lost": lost})
        if self._lost:
            self._lost += lost
            return False
        return True

    def after_gap(self) -> None:
        """The first event is kept again, after some were not."""


class World(Lane):
    """What happens to no server: the network's lane, for whoever moves the messages."""

    def __init__(self, sink: Sink, clock: Clock) -> None:
        super().__init__(WORLD, 0, sink, clock)

    def dropped(self, message_id: str, cause: str, *, source: int, to: int, seen: int = 0) -> Event:
        """A message was lost."""
        return self.emit(Kind.DROP, seen=seen, m=message_id, cause=cause, src=server_name(source), to=server_name(to))

    def doubled(self, message_id: str, *, source: int, to: int, seen: int = 0) -> Event:
        """A message will arrive once more."""
        return self.emit(Kind.DUP, seen=seen, m=message_id, src=server_name(source), to=server_name(to))

    def cut(self, links: list[tuple[int, int]]) -> Event:
        """Links, each one way, let nothing through any more."""
        return self.emit(Kind.PART, x={"links": [[server_name(a), server_name(b)] for a, b in links]})

    def healed(self, links: list[tuple[int, int]] | None = None) -> Event:
        """Links work again; None for all."""
        shown = None if links is None else [[server_name(a), server_name(b)] for a, b in links]
        return self.emit(Kind.HEAL, x={} if shown is None else {"links": shown})

    def violated(self, property_name: str, sentence: str, witnesses: list[str]) -> Event:
        """A check found that a property does not hold; witnesses are ids of events."""
        return self.emit(Kind.VIOL, x={"property": property_name, "sentence": sentence, "witnesses": witnesses})
