"""The way to a violation, gone once more by cores that live on, with every message that was really sent.

An exploration tells messages apart only so far as it counts, and takes steps that only send at once. Here each step is
given the message that does what the step did; where none is under way, the steps are taken first that send it.
"""

from collections.abc import Iterator
from contextlib import suppress
from typing import IO, NamedTuple

from oarlock.explore.bounds import Bounds
from oarlock.explore.events import Deliver, Event, Fatal, Heartbeat, News
from oarlock.explore.live import LiveCluster
from oarlock.explore.network import Network, Renumbering
from oarlock.explore.packets import Packet
from oarlock.explore.server import Outcome, ServerState, Stepper
from oarlock.explore.trace import Way
from oarlock.explore.violation import Broken
from oarlock.raft.messages import RaftMessage
from oarlock.raft.types import ServerId


class _Letter:
    """A message under way, as the exploration sees it and as it is."""

    def __init__(self, packet: Packet, message: RaftMessage) -> None:
        self.packet = packet
        self.message = message


class _Wish(NamedTuple):
    """A message that could be sent by a step that only sends."""

    packet: Packet
    by: ServerId
    event: Event
    """With the message as the exploration sees it."""
    takes: "_Letter | _Wish | None"
    """Where that is a message: that one."""


def record(bounds: Bounds, way: Way, broken: Broken, out: IO[bytes]) -> None:
    """Write the trace of a way, the last step of which breaks a property.

    Args:
        bounds: Of the exploration.
        way: From the beginning, under names that stay.
        broken: What breaks at its end.
        out: Takes the trace.
    """
    _Replay(bounds, out).go(way, broken)


class _Replay:
    """The cluster on its way."""

    def __init__(self, bounds: Bounds, out: IO[bytes]) -> None:
        self._bounds = bounds
        self._stepper = Stepper(bounds)
        self._network = Network()
        self._servers = {each: self._stepper.first(each) for each in bounds.ids}
        self._letters: list[_Letter] = []
        self._live = LiveCluster(bounds, self._stepper, out)

    def go(self, way: Way, broken: Broken) -> None:
        """Go all the way."""
        for server_id, event in way[:-1]:
            self._step(server_id, event)
        with suppress(Broken):  # this one, or it breaks only with what others hold
            self._step(*way[-1])
        self._live.violated(broken)

    def _step(self, server_id: ServerId, event: Event | Fatal) -> None:
        inner = event.event if isinstance(event, Fatal) else event
        letter = self._letter_for(server_id, event) if isinstance(inner, Deliver) else None
        self._take(server_id, event, letter)

    # -- the message that a step takes -----------------------------------------------------------------------------

    def _letter_for(self, server_id: ServerId, event: Event | Fatal) -> _Letter:
        server = self._servers[server_id]
        wanted = self._effect(server, event)
        second_best: _Letter | _Wish | None = None
        for found in self._under_way():
            if found.packet.to != server_id or found.packet.held:
                continue
            effect = self._effect(server, _with_message(event, found.packet.message))
            if effect == wanted:
                return self._sent(found)
            if second_best is None and effect[0] is not None and effect[0] == wanted[0]:
                second_best = found
        if second_best is None:
            raise LookupError(f"nothing that could be under way does what server {server_id} does next: {event}")
        return self._sent(second_best)

    def _effect(self, server: ServerState, event: Event | Fatal) -> tuple[object, object]:
        """What a step does to its server, and what it sends; or what it breaks."""
        try:
            outcome = self._stepper.step(server, event)
        except Broken as broken:
            return "breaks", broken.name
        return (outcome.server, outcome.sends) if outcome is not None else (None, None)

    def _under_way(self) -> "Iterator[_Letter | _Wish]":
        """What is under way, the newest first, and what could be by steps that only send."""
        yield from reversed(self._letters)
        known = {letter.packet for letter in self._letters}
        waiting: list[_Letter | _Wish] = [*self._letters]
        for server in self._servers.values():
            for event in (Heartbeat(), News()) if self._bounds.heartbeats else ():
                waiting += self._wishes(server, event, None, known)
        for each in waiting:  # grows
            if isinstance(each, _Wish):
                yield each
            if not each.packet.held:
                waiting += self._wishes(self._servers[each.packet.to], Deliver(each.packet.message), each, known)

    def _wishes(
        self, server: ServerState, event: Event, takes: "_Letter | _Wish | None", known: set[Packet]
    ) -> list[_Wish]:
        try:
            outcome = self._stepper.step(server, event)
        except Broken:
            return []
        if outcome is None or outcome.server != server or outcome.frame is not None or outcome.ended_writes:
            return []
        new = [packet for packet in [Packet(*send) for send in outcome.sends] if packet not in known]
        known.update(new)
        return [_Wish(packet, server.id, event, takes) for packet in new]

    def _sent(self, found: "_Letter | _Wish") -> _Letter:
        """A message that is under way, or is now."""
        if isinstance(found, _Letter):
            return found
        self._take(found.by, found.event, self._sent(found.takes) if found.takes is not None else None)
        return next(letter for letter in reversed(self._letters) if letter.packet == found.packet)

    # -- steps -----------------------------------------------------------------------------------------------------

    def _take(self, server_id: ServerId, event: Event | Fatal, letter: _Letter | None) -> None:
        """Have a server take a step, both as the exploration sees it and as it is."""
        seen, real = event, event
        if letter is not None:
            seen, real = _with_message(event, letter.packet.message), _with_message(event, letter.message)
        sends = self._live.take(server_id, real)
        outcome = self._stepper.step(self._servers[server_id], seen)
        assert outcome is not None  # noqa: S101 - the step was found
        self._servers[server_id] = outcome.server
        self._renumber(server_id, outcome)
        new = [Packet(*send) for send in outcome.sends]
        self._letters += [_Letter(packet, send.message) for packet, send in zip(new, sends, strict=True)]

    def _renumber(self, stepped: ServerId, outcome: Outcome) -> None:
        letters, self._letters = self._letters, []
        for letter in letters:
            frame = outcome.frame if letter.packet.owner == stepped else None
            change = Renumbering(stepped, frame, outcome.ended_writes, outcome.crashed)
            number = self._network.renumbered(self._network.number_of(letter.packet), change)
            if number is None:
                continue
            packet = self._network.packets[number]
            if letter.packet.held and not packet.held:
                self._live.leaves(stepped, packet.to, letter.message)
            letter.packet = packet
            self._letters.append(letter)


def _with_message(event: Event | Fatal, message: RaftMessage) -> Event | Fatal:
    """An event with another message taken."""
    if isinstance(event, Fatal):
        return Fatal(Deliver(message, isinstance(event.event, Deliver) and event.event.late), event.write)
    return Deliver(message, isinstance(event, Deliver) and event.late)
