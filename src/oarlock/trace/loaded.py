"""A trace in memory, with its index: for questions that go back and forth."""

from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Final

from oarlock.trace.reader import TraceError, open_trace
from oarlock.trace.schema import WORLD, Event, Header, Kind, parse_id, sent_id

MAX_LOADED: Final = 2_000_000
"""Events; each takes one to two kilobytes of memory."""


class Trace:
    """Events in an order in which each comes after what it follows from."""

    def __init__(self, header: Header, events: Iterable[Event], max_events: int = MAX_LOADED) -> None:
        """Index the events.

        Raises:
            TraceError: Two have one id, a lane's numbers do not rise, or there are more than `max_events`.
        """
        self.header = header
        self.events: list[Event] = []
        self.lanes: dict[str, list[int]] = {}
        """By lane, the positions of its events."""
        self.wholes: dict[str, list[int]] = {}
        """By lane, the positions of the events that hold a whole state."""
        self._position: dict[str, int] = {}
        self._receipts: dict[str, list[int]] = {}
        for position, event in enumerate(events):
            if position >= max_events:
                raise TraceError(f"there are more than {max_events} events, too many to hold at once")
            self._add(position, event)
        self._check_order()

    def _add(self, position: int, event: Event) -> None:
        if self._position.setdefault(event.id, position) != position:
            raise TraceError(f"there are two events {event.id}")
        self.events.append(event)
        lane = parse_id(event.id).lane
        self.lanes.setdefault(lane, []).append(position)
        wholes = self.wholes.setdefault(lane, [])
        if event.s is not None:
            wholes.append(position)
        if event.k in (Kind.RECV, Kind.DROP) and event.m:
            self._receipts.setdefault(sent_id(event.m), []).append(position)

    def _check_order(self) -> None:
        for lane, positions in self.lanes.items():
            for earlier, later in pairwise(self.events[position].id for position in positions):
                if parse_id(earlier) >= parse_id(later):
                    raise TraceError(f"lane {lane}: event {later} comes after {earlier}")

    def __len__(self) -> int:
        return len(self.events)

    @property
    def servers(self) -> list[str]:
        """The lanes of servers, by their ids."""
        return sorted((lane for lane in self.lanes if lane != WORLD), key=lambda lane: int(lane[1:], 16))

    def position(self, event_id: str) -> int:
        """Where an event stands, from 0.

        Raises:
            KeyError: The trace does not hold it.
        """
        return self._position[sent_id(event_id)]

    def find(self, event_id: str) -> Event | None:
        """An event, by its id or as the `send` of a message's id; None if the trace does not hold it."""
        position = self._position.get(sent_id(event_id))
        return None if position is None else self.events[position]

    def ends_of(self, message_id: str) -> list[Event]:
        """What became of a message: every `recv` and `drop` of it or of a copy; none if that is not known."""
        return [self.events[position] for position in self._receipts.get(sent_id(message_id), ())]


def load(path: str | Path, max_events: int = MAX_LOADED) -> Trace:
    """Read one file into memory.

    Raises:
        TraceError: It is no trace, or too long.
        OSError: It cannot be read.
    """
    with open_trace(path) as reader:
        return Trace(reader.header, reader, max_events)
