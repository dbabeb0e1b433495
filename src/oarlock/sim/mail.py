"""What becomes of each recorded message from the moment its sender gives it away to that when its receiver reads it.

Nothing is added to what travels, lest recording change a run: a message is known by its bytes, of which requests have
each their own. Equal ones, such as replies to a doubled request, are taken in the order in which they left.
"""

from collections import deque
from typing import TYPE_CHECKING, Final

from oarlock.raft.types import ServerId
from oarlock.sim.edits import Edits
from oarlock.sim.frames import message_kind, split
from oarlock.sim.schedule import MessageEdit
from oarlock.trace.lane import World
from oarlock.trace.stamps import Stamp, copy_id
from oarlock.transport.framing import HEADER_BYTES

if TYPE_CHECKING:
    from oarlock.sim.connection import Pipe
    from oarlock.sim.network import Link

_MOST_LETTERS: Final = 65_536
"""Of one direction; older ones are forgotten, and if they come once more, come without identity."""


class _Letter:
    """One message, with its copies."""

    __slots__ = ("copies", "edit", "fates", "is_bulk", "is_handed", "message_id", "payload", "stamp")

    def __init__(
        self, message_id: str, stamp: Stamp, payload: bytes, edit: MessageEdit | None, *, is_bulk: bool
    ) -> None:
        self.message_id = message_id
        self.edit = edit
        self.is_handed = False
        """Whether its receiver was given it past the network, and has not read it yet."""
        self.stamp = stamp
        self.payload = payload
        self.is_bulk = is_bulk
        self.copies = 1
        self.fates = 0
        """How many of the copies were lost or have arrived. As they are equal, the first to end is the first copy."""

    @property
    def goes_past(self) -> bool:
        """Whether it arrives past the network, so that what the network does to it is nothing."""
        return self.edit is not None and self.edit.do == "deliver"

    def next_copy(self) -> str:
        """One more of them has an end: the id of that one."""
        self.fates += 1
        self.copies = max(self.copies, self.fates)
        return copy_id(self.message_id, self.fates)


class LinkMail:
    """The messages from one server to another.

    Args:
        world: Gets the losses.
        source: Their sender.
        to: Their receiver.
        edits: Change what becomes of single ones.
    """

    def __init__(self, world: World, source: ServerId, to: ServerId, edits: Edits) -> None:
        self._world = world
        self._edits = edits
        self._source = source
        self._to = to
        self.link: Link | None = None
        """What they travel by, once there is anything."""
        self._letters: dict[bytes, list[_Letter]] = {}
        self._order: deque[_Letter] = deque()
        self._queued: tuple[dict[_Letter, None], dict[_Letter, None]] = ({}, {})
        """Taken by the transport and not yet written: of the control connection, and of that for snapshots."""
        self._under_way: dict[Pipe, dict[_Letter, int]] = {}
        """By pipe, how many copies of which message are in it."""
        self._pipe: Pipe | None = None
        """The one written to last."""

    # -- the sender ----------------------------------------------------------------------------------------------------

    def posted(self, message_id: str, stamp: Stamp, payload: bytes, *, is_bulk: bool) -> None:
        """The transport is about to get a message."""
        letter = _Letter(message_id, stamp, payload, self._edits.find(message_id), is_bulk=is_bulk)
        self._letters.setdefault(payload, []).append(letter)
        self._order.append(letter)
        self._queued[is_bulk][letter] = None
        if len(self._order) > _MOST_LETTERS:
            self._forget(self._order.popleft())
        if letter.goes_past:
            self._edits.after_usual_delay(self._hand_over, letter)

    def _hand_over(self, letter: _Letter) -> None:
        letter.is_handed = self._edits.hand_over(self._source, self._to, letter.payload)
        if not letter.is_handed:
            self._world.dropped(letter.message_id, "dst_down", source=self._source, to=self._to, seen=letter.stamp.lc)

    def _forget(self, letter: _Letter) -> None:
        equal = self._letters[letter.payload]
        equal.remove(letter)
        if not equal:
            del self._letters[letter.payload]

    def refused(self, stamp: Stamp) -> bool:
        """The transport did not take it; gives whether it is lost by that."""
        is_lost = True
        for queued in self._queued:
            for letter in [each for each in reversed(queued) if each.stamp == stamp]:
                del queued[letter]
                is_lost = is_lost and not letter.goes_past
        return is_lost

    def sender_ended(self) -> None:
        """The process is gone, and with it what was not written yet."""
        for queued in self._queued:
            self._lose_queued(list(queued), "src_down")

    def _lose_queued(self, letters: list[_Letter], cause: str) -> None:
        for letter in letters:
            del self._queued[letter.is_bulk][letter]
            self._lose(letter, cause)

    def _lose(self, letter: _Letter, cause: str) -> None:
        if letter.goes_past:
            return
        self._world.dropped(letter.next_copy(), cause, source=self._source, to=self._to, seen=letter.stamp.lc)

    # -- the network ---------------------------------------------------------------------------------------------------

    def written(self, pipe: "Pipe", data: bytes) -> bytes:
        """Whole frames go into a connection; gives what is to travel instead, where a message is edited."""
        self._pipe = pipe
        edited: dict[int, tuple[bytes, ...]] = {}
        for number, frame in enumerate(split(data)):
            if message_kind(frame) is None:
                continue
            letter = next((each for each in self._find(frame) if each in self._queued[each.is_bulk]), None)
            if letter is None:
                continue
            queued = self._queued[letter.is_bulk]
            before = []
            for each in queued:
                if each is letter:
                    break
                before.append(each)
            self._lose_queued(before, "reset")  # they waited for a connection that was lost
            del queued[letter]
            if letter.edit is None:
                self._put(pipe, letter)
            else:
                edited[number] = self._edit(pipe, letter, letter.edit, frame)
        if not edited:
            return data
        return b"".join(part for number, frame in enumerate(split(data)) for part in edited.get(number, (frame,)))

    def _edit(self, pipe: "Pipe", letter: _Letter, edit: MessageEdit, frame: bytes) -> tuple[bytes, ...]:
        """What an edited message puts into a connection just now."""
        if edit.do == "drop":
            self._lose(letter, "lost")
        if edit.do in ("drop", "deliver"):
            return ()
        self._put(pipe, letter)
        if edit.do == "delay":
            self._edits.after(edit.seconds, pipe.send_alone, frame)
            return ()
        letter.copies += 1
        self._put(pipe, letter)
        copy = copy_id(letter.message_id, letter.copies)
        self._world.doubled(copy, source=self._source, to=self._to, seen=letter.stamp.lc)
        return frame, frame

    def _find(self, frame: bytes) -> list[_Letter]:
        return self._letters.get(frame[HEADER_BYTES:], [])

    def _put(self, pipe: "Pipe", letter: _Letter) -> None:
        inside = self._under_way.setdefault(pipe, {})
        inside[letter] = inside.get(letter, 0) + 1

    def _take(self, pipe: "Pipe", letter: _Letter) -> None:
        inside = self._under_way[pipe]
        inside[letter] -= 1
        if not inside[letter]:
            del inside[letter]
        if not inside:
            del self._under_way[pipe]

    def frame_lost(self, frame: bytes, cause: str) -> None:
        """A frame just written is taken out, or will be recognised as damaged."""
        pipe = self._pipe
        for letter in self._find(frame):
            if pipe is not None and letter in self._under_way.get(pipe, {}):
                self._take(pipe, letter)
                self._lose(letter, cause)
                return

    def frame_doubled(self, frame: bytes) -> None:
        """A frame, perhaps an old one, is put in once more."""
        letters = self._find(frame)
        if letters and self._pipe is not None:
            letter = letters[0]
            letter.copies += 1
            self._put(self._pipe, letter)
            copy = copy_id(letter.message_id, letter.copies)
            self._world.doubled(copy, source=self._source, to=self._to, seen=letter.stamp.lc)

    def broken(self, pipe: "Pipe", cause: str) -> None:
        """Nobody will read what is in a connection."""
        for letter, copies in self._under_way.pop(pipe, {}).items():
            for _ in range(copies):
                self._lose(letter, cause)

    # -- the receiver --------------------------------------------------------------------------------------------------

    def arrived(self, payload: bytes) -> tuple[str, int] | None:
        """A message was read: its id and its sender's Lamport clock; None if it is not known."""
        letters = self._letters.get(payload)
        if not letters:
            return None
        for letter in letters:
            if letter.is_handed:
                letter.is_handed = False
                return letter.next_copy(), letter.stamp.lc
            for pipe, inside in self._under_way.items():
                if letter in inside:
                    self._take(pipe, letter)
                    return letter.next_copy(), letter.stamp.lc
        return letters[0].next_copy(), letters[0].stamp.lc
