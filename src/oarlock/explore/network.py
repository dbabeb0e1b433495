"""The network forgets nothing: whatever was sent may arrive at any time, any number of times, in any order, or never.

So drops and duplicates need no steps of their own. What is under way is kept in a part for each server: its requests
and the answers to them, for their ids are its own. A part is a sorted tuple of packet numbers.
"""

from typing import Final, NamedTuple

import msgspec

from oarlock.explore.bounds import Renaming
from oarlock.explore.identifiers import Frame
from oarlock.explore.packets import Packet
from oarlock.explore.renaming import rename
from oarlock.explore.tidying import Absorbed, Tidier, acknowledges, old_request
from oarlock.raft.types import Index, ServerId, Term

_NOTHING: Final = -1
"""Stands for no packet."""

Absorbable = tuple[int, int, Term, Index]
"""A request that may have become old: the number of it, and of an old one; its term, and the last index it is about."""

Part = tuple[int, ...]
"""Numbers of packets, sorted."""


class Change(NamedTuple):
    """What a server's step does to a part."""

    stepped: ServerId
    added: Part = ()
    frame: Frame | None = None
    """Of the server that owns the part, if that is the one that stepped and compares ids anew."""
    ended_writes: int = 0
    crashed: bool = False


class Network:
    """All packets and parts there are, by number."""

    def __init__(self) -> None:
        self.packets: list[Packet] = []
        self.parts: list[Part] = []
        self._packet_numbers: dict[Packet, int] = {}
        self._part_numbers: dict[Part, int] = {}
        self.number_of_part(())

    def number_of(self, packet: Packet) -> int:
        """A packet's number."""
        number = self._packet_numbers.get(packet)
        if number is None:
            number = self._packet_numbers[packet] = len(self.packets)
            self.packets.append(packet)
        return number

    def number_of_part(self, part: Part) -> int:
        """A part's number."""
        number = self._part_numbers.get(part)
        if number is None:
            number = self._part_numbers[part] = len(self.parts)
            self.parts.append(part)
        return number

    def _number_of_set(self, packets: set[int]) -> int:
        return self.number_of_part(tuple(sorted(packets)))

    # -- steps -----------------------------------------------------------------------------------------------------

    def after(self, part: int, change: Change) -> int:
        """A part after a server's step."""
        kept: set[int] = set(change.added)
        for number in self.parts[part]:
            to, message, held = packet = self.packets[number]
            if held and message.source == change.stepped:
                if change.crashed:
                    continue
                packet = packet._replace(held=max(0, held - change.ended_writes))
            if change.frame is not None:
                peer = message.source if packet.is_reply else to
                id_ = change.frame.normal(message, peer)
                if id_ != message.request_id:
                    packet = packet._replace(message=msgspec.structs.replace(message, request_id=id_))
            kept.add(self.number_of(packet))
        return self._number_of_set(kept)

    def tidied(self, part: int, tidier: Tidier) -> int:
        """A part, tidied for one server."""
        known = tidier.known
        numbers = self.parts[part]
        kept = set()
        for number in numbers:
            becomes = known.get(number)
            if becomes is None:
                becomes = known[number] = self._tidied(number, tidier)
            kept.add(self._absorbed(becomes, numbers, tidier.id) if isinstance(becomes, tuple) else becomes)
        kept.discard(_NOTHING)
        return self._number_of_set(kept)

    def _tidied(self, number: int, tidier: Tidier) -> int | Absorbable:
        tidied = tidier.tidied(self.packets[number])
        if isinstance(tidied, Absorbed):
            packet = tidied.packet
            old = self.number_of(old_request(packet))
            return self.number_of(packet), old, packet.message.term, tidied.last_index
        return self.number_of(tidied) if tidied is not None else _NOTHING

    def _absorbed(self, request: Absorbable, numbers: Part, receiver: ServerId) -> int:
        """What stands for a request, given the answers in its part."""
        number, old, term, index = request
        is_acknowledged = any(acknowledges(self.packets[each], receiver, term, index) for each in numbers)
        return old if is_acknowledged else number

    # -- symmetry --------------------------------------------------------------------------------------------------

    def renamed(self, part: int, renaming: Renaming) -> int:
        """A part with other names for the servers."""
        return self._number_of_set({self._renamed(number, renaming) for number in self.parts[part]})

    def _renamed(self, number: int, renaming: Renaming) -> int:
        to, message, held = self.packets[number]
        return self.number_of(Packet(renaming[to - 1], rename(message, renaming), held))
