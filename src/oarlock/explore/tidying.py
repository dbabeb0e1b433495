"""Packets that are alike for whoever takes them, now and always, become one; packets that count for nothing go.

Each rule is exact: what can still happen to the servers is the same with it as without (`tests/explore/test_tidying.py`
compares). A receiver's term only rises, across crashes by what is on its disk; that is what most rules rest on.

- A request of a term older than its receiver's is refused with the receiver's term, whatever it asks.
- So is one that does nothing until then: a vote asked for in vain, entries that are held, acknowledged, and known to be
  committed if they are.
- News of commitment counts only up to a request's last entry, and only where it is news.
- Entries that their receiver holds need not be in a request of its term: nobody deletes them in it.
- An answer that names a newer term makes the asker adopt it, and does nothing else.
- An answer in an older term, or to an earlier campaign or reign, does nothing.
- A vote that was counted does nothing.
- An acknowledgement up to a match_index that is known says only that the follower answers.
- A refusal below match_index, sent before that was known, does nothing. (Sent after it, data were lost.)
"""

from typing import Final, NamedTuple

import msgspec

from oarlock.explore.bounds import Bounds
from oarlock.explore.identifiers import KNOWN, NEWER, REPLIES, STALE
from oarlock.explore.packets import SOMEBODY, Packet
from oarlock.explore.view import View
from oarlock.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    Message,
    PreVote,
    PreVoteReply,
    RequestVote,
    RequestVoteReply,
    TimeoutNow,
)
from oarlock.raft.state import Role
from oarlock.raft.types import Entry, Index, ServerId, Term


class Absorbed(NamedTuple):
    """A request whose entries its receiver holds: it does nothing any more once they were acknowledged."""

    packet: Packet
    """What stands for it until then."""
    last_index: Index


class Tidier:
    """Tidies what is under way to one server.

    Args:
        view: The server.
        bounds: What may happen.
        may_crash: Whether it may still crash; if not, its disk does not count.
    """

    def __init__(self, view: View, bounds: Bounds, *, may_crash: bool) -> None:
        self._view = view
        self.id: Final = view.id
        self._bounds = bounds
        self._may_crash = may_crash
        disk = view.disk.hard_state
        self._term: Final = view.current_term
        self._sure_term: Final[Term] = min(disk.current_term, view.current_term) if may_crash else view.current_term
        """What its term will never be below."""
        vote = disk.voted_for if may_crash else view.voted_for
        self._has_voted: Final = vote is not None
        self._matches = dict(view.match_index)
        self.known: dict[int, int | tuple[int, int, Term, Index]] = {}
        """For the network: what becomes of packets, by number."""

    def tidied(self, packet: Packet) -> Packet | Absorbed | None:
        """What stands for a packet; None if nothing need."""
        message = packet.message
        if is_old_request(packet):
            knows_all = message.source == self.id and self._sure_term >= self._bounds.terms
            return None if knows_all else packet
        if packet.to != self.id or packet.held:
            return packet
        if isinstance(message, REPLIES):
            return self._tidied_reply(packet)
        if message.term < self._sure_term or self._is_spent(message):
            return None if isinstance(message, TimeoutNow) else old_request(packet)
        if not isinstance(message, AppendEntries):
            return packet
        shortened = self._shortened(packet, message)
        if not self._is_held(message):
            return shortened
        if message.request_id == STALE:
            return old_request(packet)
        return Absorbed(shortened, message.prev_log_index + len(message.entries))

    # -- requests --------------------------------------------------------------------------------------------------

    def _is_spent(self, message: Message) -> bool:
        """Whether a request does nothing until its receiver's term rises."""
        if message.request_id != STALE:
            return False
        if isinstance(message, RequestVote):
            return message.term == self._sure_term and self._has_voted
        return isinstance(message, PreVote)

    def _is_held(self, message: AppendEntries) -> bool:
        """Whether a request brings nothing that is not on the receiver's disk, and known to be committed."""
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
        return held == [message.prev_log_term, *[entry.term for entry in message.entries]]

    def _shortened(self, packet: Packet, message: AppendEntries) -> Packet:
        """Without entries that the receiver holds as the leader does, and news of commitment that it has."""
        view = self._view
        first, first_term, entries = message.prev_log_index, message.prev_log_term, message.entries
        leader_commit = min(message.leader_commit, first + len(entries))
        if not self._may_crash and leader_commit <= view.commit_index:
            leader_commit = 0
        if message.term == self._sure_term and not self._bounds.snapshots:
            while entries and view.term(first) == first_term and self._holds(entries[0]):
                first, first_term, entries = first + 1, entries[0].term, entries[1:]
        if entries is message.entries and leader_commit == message.leader_commit:
            return packet
        shortened = msgspec.structs.replace(
            message, prev_log_index=first, prev_log_term=first_term, leader_commit=leader_commit, entries=entries
        )
        return packet._replace(message=shortened)

    def _holds(self, entry: Entry) -> bool:
        view = self._view
        return view.term(entry.index) == entry.term and (not self._may_crash or entry.index <= view.durable_index)

    # -- answers ---------------------------------------------------------------------------------------------------

    def _tidied_reply(self, packet: Packet) -> Packet | None:
        message, view = packet.message, self._view
        if message.term < self._sure_term or (message.term == self._sure_term and message.request_id == STALE):
            return None
        if isinstance(message, PreVoteReply) and message.vote_granted:
            return None if message.request_id == STALE or message.source in view.votes else packet
        if message.term > self._term:
            return Packet(packet.to, RequestVoteReply(SOMEBODY, message.term, STALE, vote_granted=False), 0)
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


def acknowledges(packet: Packet, source: ServerId, term: Term, index: Index) -> bool:
    """Whether a packet says as much as an answer that acknowledges `index`: that very one, or one already counted."""
    message = packet.message
    if not isinstance(message, AppendEntriesReply) or message.source != source or not message.success:
        return False
    if message.term != term or packet.held:
        return False
    return message.match_index == index or (message.request_id == KNOWN and message.match_index > index)


def old_request(packet: Packet) -> Packet:
    """What stands for every request that is refused because its term is old."""
    return Packet(packet.to, RequestVote(packet.message.source, 0, STALE, 0, 0), 0)


def is_old_request(packet: Packet) -> bool:
    """Whether a packet stands for any request that is refused because its term is old."""
    return packet.message.term == 0 and isinstance(packet.message, RequestVote)
