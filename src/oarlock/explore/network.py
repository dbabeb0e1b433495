"""The network forgets nothing: whatever was sent may arrive at any time, any number of times, in any order, or never.

So drops and duplicates need no steps of their own. What is under way is kept in a part for each server: its requests
and the answers to them, for their ids are its own. A part is a set of packet numbers.
"""

from typing import Final, NamedTuple

import msgspec

from oarlock.explore.bounds import Renaming
from oarlock.explore.effects import Effect, Mask, mask_of, members
from oarlock.explore.identifiers import Frame
from oarlock.explore.packets import Packet
from oarlock.explore.renaming import rename
from oarlock.explore.tidying import Absorbed, Tidier, acknowledges, old_request
from oarlock.raft.messages import AppendEntriesReply
from oarlock.raft.types import Index, ServerId, Term

_NOTHING: Final = -1
"""Stands for no packet."""

Absorbable = tuple[int, int, Term, Index]
"""A request that may have become old: the number of it, and of an old one; its term, and the last index it is about."""


class Renumbering(NamedTuple):
    """What a server's step does to the packets that were under way before."""

    stepped: ServerId
    frame: Frame | None = None
    """Of the server that owns them, if that is the one that stepped and compares ids anew."""
    ended_writes: int = 0
    crashed: bool = False

    def renamed(self, renaming: Renaming) -> "Renumbering":
        """With other names for the servers."""
        frame = self.frame and self.frame.renamed(renaming)
        return self._replace(stepped=renaming[self.stepped - 1], frame=frame)


class Network:
    """All packets and parts there are, by number."""

    def __init__(self) -> None:
        self.packets: list[Packet] = []
        self.masks: list[Mask] = []
        """Of each part, the numbers of its packets."""
        self._packet_numbers: dict[Packet, int] = {}
        self._part_numbers: dict[Mask, int] = {}
        self._images: dict[Renaming, dict[int, Mask]] = {}
        """Of packets by number, under other names."""
        self.number_of_part(0)

    def number_of(self, packet: Packet) -> int:
        """A packet's number."""
        number = self._packet_numbers.get(packet)
        if number is None:
            number = self._packet_numbers[packet] = len(self.packets)
            self.packets.append(packet)
        return number

    def number_of_part(self, mask: Mask) -> int:
        """A part's number."""
        number = self._part_numbers.get(mask)
        if number is None:
            number = self._part_numbers[mask] = len(self.masks)
            self.masks.append(mask)
        return number

    # -- steps -----------------------------------------------------------------------------------------------------

    def part_after(self, part: int, effect: Effect | None, added: Mask, otherwise: Effect | None) -> int:
        """What a part becomes by an effect and what is added after that, or otherwise, where that changes nothing."""
        mask = before = self.masks[part]
        if effect is not None:
            mask = effect(mask)
        mask |= added
        if mask == before and otherwise is not None:
            mask = otherwise(mask)
        return part if mask == before else self.number_of_part(mask)

    def renumbered(self, number: int, change: Renumbering) -> int | None:
        """A packet after a server's step; None if it is lost."""
        to, message, held = packet = self.packets[number]
        if held and message.source == change.stepped:
            if change.crashed:
                return None
            packet = packet._replace(held=max(0, held - change.ended_writes))
        if change.frame is not None:
            peer = message.source if packet.is_reply else to
            id_ = change.frame.normal(message, peer)
            if id_ != message.request_id:
                packet = packet._replace(message=msgspec.structs.replace(message, request_id=id_))
        return self.number_of(packet)

    def after(self, mask: Mask, change: Renumbering) -> Mask:
        """Packets after a server's step."""
        kept = [self.renumbered(number, change) for number in members(mask)]
        return mask_of([number for number in kept if number is not None])

    def tidied(self, mask: Mask, tidier: Tidier) -> Mask:
        """Packets of one part, tidied for one server."""
        kept = 0
        for number in members(mask):
            becomes = self._becomes(number, tidier)
            if isinstance(becomes, tuple):
                becomes = self._absorbed(becomes, mask, tidier.id)
            if becomes != _NOTHING:
                kept |= 1 << becomes
        return kept

    def is_tidied(self, number: int, tidier: Tidier) -> bool:
        """Whether tidying for one server may change a packet, or others on account of it."""
        packet = self.packets[number]
        if isinstance(packet.message, AppendEntriesReply) and packet.message.source == tidier.id:
            return True  # requests are absorbed by it
        return self._becomes(number, tidier) != number

    def _becomes(self, number: int, tidier: Tidier) -> int | Absorbable:
        becomes = tidier.known.get(number)
        if becomes is None:
            becomes = tidier.known[number] = self._tidied(number, tidier)
        return becomes

    def _tidied(self, number: int, tidier: Tidier) -> int | Absorbable:
        tidied = tidier.tidied(self.packets[number])
        if isinstance(tidied, Absorbed):
            packet = tidied.packet
            old = self.number_of(old_request(packet))
            return self.number_of(packet), old, packet.message.term, tidied.last_index
        return self.number_of(tidied) if tidied is not None else _NOTHING

    def _absorbed(self, request: Absorbable, mask: Mask, receiver: ServerId) -> int:
        """What stands for a request, given the answers in its part."""
        number, old, term, index = request
        is_acknowledged = any(acknowledges(self.packets[each], receiver, term, index) for each in members(mask))
        return old if is_acknowledged else number

    # -- symmetry --------------------------------------------------------------------------------------------------

    def renamed(self, part: int, renaming: Renaming) -> int:
        """A part with other names for the servers."""
        return self.number_of_part(self.renamed_mask(self.masks[part], renaming))

    def renamed_mask(self, mask: Mask, renaming: Renaming) -> Mask:
        """Packets with other names for the servers."""
        images = self._images.setdefault(renaming, {})
        renamed = 0
        for number in members(mask):
            image = images.get(number)
            if image is None:
                to, message, held = self.packets[number]
                packet = Packet(renaming[to - 1], rename(message, renaming), held)
                image = images[number] = 1 << self.number_of(packet)
            renamed |= image
        return renamed
