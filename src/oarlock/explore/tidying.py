"""Packets that are alike for whoever takes them, now and always, become one; packets that count for nothing go.

Each rule is exact: what can still happen to the servers is the same with it as without (`tests/explore/test_tidying.py`
compares). A receiver's term only rises, across crashes by what is on its disk; that is what most rules rest on.

- A request of a term older than its receiver's is refused with the receiver's term, whatever it asks.
- Entries that their receiver holds, and has acknowledged, do nothing, until its term rises: then see above.
- An answer that names a newer term makes the asker adopt it, and does nothing else.
- An answer in an older term, or to an earlier campaign or reign, does nothing.
- A vote that was counted does nothing.
- An acknowledgement up to a match_index that is known says only that the follower answers.
- A refusal below match_index, sent before that was known, does nothing. (Sent after it, data were lost.)
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from oarlock.explore.bounds import Bounds
from oarlock.explore.identifiers import KNOWN, NEWER, REPLIES, STALE
from oarlock.explore.packets import SOMEBODY, Packet
from oarlock.explore.view import View
from oarlock.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    PreVote,
    PreVoteReply,
    RequestVote,
    RequestVoteReply,
    TimeoutNow,
)
from oarlock.raft.state import Role
from oarlock.raft.types import Term


class Tidier:
    """Tidies what is under way to one server.

    Args:
        view: The server.
        may_crash: Whether it may still crash; if not, its disk does not count.
        bounds: What may happen.
    """

    def __init__(self, view: View, bounds: Bounds, *, may_crash: bool) -> None:
        self._view = view
        self._bounds = bounds
        self._may_crash = may_crash
        disk = view.disk.hard_state
        self._term: Final = view.current_term
        self._sure_term: Final[Term] = min(disk.current_term, view.current_term) if may_crash else view.current_term
        """What its term will never be below."""
        vote = disk.voted_for if may_crash else view.voted_for
        self._has_voted: Final = vote is not None
        self._matches = dict(view.match_index)

    def tidy(self, packets: Iterable[Packet]) -> set[Packet]:
        """A part of the network, tidied."""
        packets = list(packets)
        return {tidied for packet in packets if (tidied := self._tidied(packet, packets)) is not None}

    def _tidied(self, packet: Packet, packets: list[Packet]) -> Packet | None:
        message = packet.message
        if is_old_request(packet):
            knows_all = message.source == self._view.id and self._sure_term >= self._bounds.terms
            return None if knows_all else packet
        if packet.to != self._view.id or packet.held:
            return packet
        if isinstance(message, REPLIES):
            return self._tidied_reply(packet)
        if message.term < self._sure_term or self._is_spent(packet, packets):
            return None if isinstance(message, TimeoutNow) else old_request(packet)
        return packet

    def _is_spent(self, packet: Packet, packets: list[Packet]) -> bool:
        """Whether a request does nothing until its receiver's term rises."""
        message = packet.message
        match message:
            case PreVote():
                return message.request_id == STALE
            case RequestVote():
                return message.request_id == STALE and message.term == self._sure_term and self._has_voted
            case AppendEntries():
                return self._is_absorbed(message, packets)
            case _:
                return False

    def _is_absorbed(self, message: AppendEntries, packets: list[Packet]) -> bool:
        view = self._view
        if self._bounds.looks_at_leaders or self._bounds.snapshots or view.role is not Role.FOLLOWER:
            return False
        last = message.prev_log_index + len(message.entries)
        commit_index = min(message.leader_commit, last)
        if message.term != self._sure_term or commit_index > (0 if self._may_crash else view.commit_index):
            return False
        if last > view.durable_index or message.term > view.disk.hard_state.current_term:
            return False
        held = [view.term(message.prev_log_index), *[view.term(entry.index) for entry in message.entries]]
        if held != [message.prev_log_term, *[entry.term for entry in message.entries]]:
            return False
        return message.request_id == STALE or any(_acknowledges(other, view.id, last, message) for other in packets)

    def _tidied_reply(self, packet: Packet) -> Packet | None:
        message, view = packet.message, self._view
        if message.term < self._sure_term or (message.term == self._sure_term and message.request_id == STALE):
            return None
        if isinstance(message, PreVoteReply) and message.vote_granted:
            return None if message.request_id == STALE or message.source in view.votes else packet
        if message.term > self._term:
            news = RequestVoteReply(SOMEBODY, message.term, STALE, vote_granted=False)
            return Packet(packet.to, news, 0)
        if message.term < self._term or message.request_id == STALE:
            return packet
        match message:
            case RequestVoteReply() | PreVoteReply():
                return None if message.source in view.votes else packet
            case AppendEntriesReply():
                return self._tidied_acknowledgement(packet, message)
            case _:
                return packet

    def _tidied_acknowledgement(self, packet: Packet, message: AppendEntriesReply) -> Packet | None:
        match_index = self._matches.get(message.source)
        if match_index is None:
            return packet
        if not message.success:
            if message.prev_log_index <= match_index:
                return None if message.request_id == KNOWN else packet
            known = msgspec.structs.replace(message, request_id=NEWER)
        elif message.match_index <= match_index:
            known = msgspec.structs.replace(message, request_id=KNOWN, match_index=match_index)
        else:
            known = msgspec.structs.replace(message, request_id=NEWER)
        return packet._replace(message=known)


def _acknowledges(packet: Packet, source: int, index: int, request: AppendEntries) -> bool:
    """Whether a packet is as good as the answer to a request: that very one, or one that its leader has learnt from."""
    message = packet.message
    if not isinstance(message, AppendEntriesReply) or message.source != source or not message.success:
        return False
    if message.term != request.term or packet.held:
        return False
    return message.match_index == index or (message.request_id == KNOWN and message.match_index > index)


def old_request(packet: Packet) -> Packet:
    """What stands for every request that is refused because its term is old."""
    return Packet(packet.to, RequestVote(packet.message.source, 0, STALE, 0, 0), 0)


def is_old_request(packet: Packet) -> bool:
    """Whether a packet stands for any request that is refused because its term is old."""
    return packet.message.term == 0 and isinstance(packet.message, RequestVote)
