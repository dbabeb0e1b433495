"""From where on each server is seen without a gap: what was before cannot be judged. `page/sights.js` does the same."""

from enum import Enum
from math import inf

from oarlock.trace.schema import WORLD, Event, EventId, Header, Kind, parse_id


class Seen(Enum):
    """How an event joins what was seen of its server."""

    NEXT = "next"
    """It follows."""
    CUT = "cut"
    """A life begins, and the end of the one before was not recorded."""
    ANEW = "anew"
    """Something is missing, or nothing was seen before."""


class _Sight:
    """Of one server."""

    __slots__ = ("has_ended", "place", "since")

    def __init__(self, place: tuple[int, int]) -> None:
        self.place = place
        """Epoch and number of the last event."""
        self.has_ended = False
        self.since: float = inf
        """Its term when the view of it began that lasts until now; infinite while its state is not known."""


class Sights:
    """Of all servers."""

    def __init__(self, header: Header) -> None:
        self.is_live = header.kind == "live"
        """Whether servers have clocks of their own, and the end of a life may be missing."""
        self._sights: dict[str, _Sight] = {}
        self._heard: dict[str, tuple[int, int]] = {}
        """By server: the latest event of it that others know of, by a message."""

    def take(self, event: Event) -> Seen:
        """An event comes."""
        lane, *place = parse_id(event.id)
        if lane == WORLD:
            if event.k is Kind.CRASH and not self.is_live and (ended := self._sights.get(event.x.get("server", ""))):
                ended.has_ended = True
            return Seen.NEXT
        sight = self._sights.get(lane)
        if sight is None:
            sight = self._sights[lane] = _Sight((place[0], place[1]))
            seen = Seen.ANEW
        else:
            seen = self._joined(lane, sight, place[0], place[1])
        if seen is not Seen.NEXT:
            sight.since = inf
        sight.has_ended = event.k is Kind.CRASH or (sight.has_ended and place[0] == sight.place[0])
        sight.place = (place[0], place[1])
        if event.k is Kind.RECV and event.m:
            self._hear(parse_id(event.m))
        return seen

    def whole(self, lane: str, term: int) -> None:
        """The whole state of a server is known now."""
        self._sights[lane].since = min(self._sights[lane].since, term)

    def is_whole(self, lane: str, term: float = inf) -> bool:
        """Whether all that a server did in a term is known, or its state now, and others know of nothing beyond."""
        sight = self._sights.get(lane)
        if sight is None or sight.since == inf or sight.since > term:
            return False
        return self._heard.get(lane, sight.place) <= sight.place

    def _hear(self, sent: EventId) -> None:
        place = (sent.epoch, sent.number)
        self._heard[sent.lane] = max(self._heard.get(sent.lane, place), place)

    def _joined(self, lane: str, sight: _Sight, epoch: int, number: int) -> Seen:
        if (epoch, number) == (sight.place[0], sight.place[1] + 1):
            return Seen.NEXT
        if epoch <= sight.place[0] or number > 1:
            return Seen.ANEW
        if sight.has_ended:
            return Seen.NEXT
        if self.is_live:  # lives are numbered by the clock: whether there was one between is known from others
            heard = self._heard.get(lane, sight.place)[0]
            return Seen.CUT if heard <= sight.place[0] or heard == epoch else Seen.ANEW
        return Seen.CUT if epoch == sight.place[0] + 1 else Seen.ANEW
