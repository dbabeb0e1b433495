"""How far the clocks of live servers differ, as far as the messages between them tell.

A message cannot arrive before it left: so the least difference of times seen from A to B bounds how far B's clock is
ahead from above, and that from B to A bounds it from below. Between the two lies what nothing recorded can decide.
"""

from collections.abc import Iterable
from heapq import heappop, heappush
from typing import Final

import msgspec

from oarlock.trace.schema import Event, Kind, parse_id, sent_id

_MOST_UNDER_WAY: Final = 1_000_000


class Offset(msgspec.Struct, frozen=True):
    """A clock is ahead of another by `us` microseconds, give or take `error_us`."""

    us: int
    error_us: int


class Clocks(msgspec.Struct, frozen=True):
    """What was found."""

    reference: str
    """The server by whose clock all are measured."""
    offsets: dict[str, Offset]
    """By server, how far it is ahead of the reference; absent where messages did not go both ways."""
    links: dict[tuple[str, str], Offset]
    """By pair of servers, in order of name, how far the second is ahead of the first."""

    def corrected(self, lane: str, t: int) -> int:
        """A server's time by the reference's clock; as it is where nothing is known."""
        offset = self.offsets.get(lane)
        return t if offset is None else t - offset.us


def estimate_clocks(events: Iterable[Event]) -> Clocks:
    """Estimate, assuming that no clock drifts during the trace.

    Args:
        events: Of all servers, one after the other or in any order.
    """
    left: dict[str, tuple[int, str]] = {}
    arrived: dict[str, tuple[int, str]] = {}
    least: dict[tuple[str, str], int] = {}
    lanes: dict[str, None] = {}
    for event in events:
        lane = parse_id(event.id).lane
        lanes[lane] = None
        if event.k is Kind.SEND:
            _match(event.id, event.t, lane, left, arrived, least, sign=1)
        elif event.k is Kind.RECV and event.m:
            _match(sent_id(event.m), event.t, lane, arrived, left, least, sign=-1)
    links = _links(least)
    reference = _most_linked(links, list(lanes))
    return Clocks(reference, _offsets(reference, links), links)


def _match(
    message: str,
    t: int,
    lane: str,
    own: dict[str, tuple[int, str]],
    others: dict[str, tuple[int, str]],
    least: dict[tuple[str, str], int],
    *,
    sign: int,
) -> None:
    """Pair a message's two ends; `sign` is 1 at the sender's."""
    other = others.get(message) if sign > 0 else others.pop(message, None)
    if other is None:
        own[message] = (t, lane)
        if len(own) > _MOST_UNDER_WAY:
            del own[next(iter(own))]
        return
    other_t, other_lane = other
    link = (lane, other_lane) if sign > 0 else (other_lane, lane)
    took = sign * (other_t - t)
    least[link] = min(took, least.get(link, took))


def _links(least: dict[tuple[str, str], int]) -> dict[tuple[str, str], Offset]:
    links = {}
    for (one, other), above in sorted(least.items()):
        below = least.get((other, one))
        if one < other and below is not None:
            links[one, other] = Offset((above - below) // 2, (above + below + 1) // 2)
    return links


def _most_linked(links: dict[tuple[str, str], Offset], lanes: list[str]) -> str:
    counts = {lane: sum(lane in link for link in links) for lane in sorted(lanes)}
    return max(counts, key=lambda lane: counts[lane], default="")


def _offsets(reference: str, links: dict[tuple[str, str], Offset]) -> dict[str, Offset]:
    """From the reference along the links whose errors add up to the least."""
    offsets: dict[str, Offset] = {}
    queue = [(0, reference, 0)] if reference else []
    while queue:
        error, lane, us = heappop(queue)
        if lane in offsets:
            continue
        offsets[lane] = Offset(us, error)
        for (one, other), ahead in links.items():
            if lane == one:
                heappush(queue, (error + ahead.error_us, other, us + ahead.us))
            elif lane == other:
                heappush(queue, (error + ahead.error_us, one, us - ahead.us))
    return offsets
