"""What each server's disk holds for certain, followed through a trace: from writes handed out and syncs that ended.

Of a server that was not seen from its start on, the disk is known once a write is durable that was seen to begin.
"""

from collections import deque
from typing import Any

from oarlock.diagram.logs import last_index
from oarlock.trace.schema import Event, Kind, LogDelta, ServerState


class _Write:
    """One write under way."""

    __slots__ = ("hard_state", "last", "number")

    def __init__(self, number: int, hard_state: tuple[int, str | None] | None, last: int | None) -> None:
        self.number = number
        self.hard_state = hard_state
        self.last = last
        """Where the log ends that it brings; None if it brings none."""


class Disk:
    """One disk. `last` is up to where it holds the log as memory has it."""

    def __init__(self, state: ServerState) -> None:
        self.term = state.term
        self.vote = state.vote
        self.last = last_index(state)
        self.writes: deque[_Write] = deque()
        self.is_known = True


class Disks:
    """All of them."""

    def __init__(self) -> None:
        self._disks: dict[str, Disk] = {}

    def of(self, server: str) -> Disk | None:
        """A server's disk; None if the trace has not told of it yet."""
        disk = self._disks.get(server)
        return disk if disk is not None and disk.is_known else None

    def forget(self, server: str) -> None:
        """Events of a server are missing."""
        self._disks.pop(server, None)

    def learn(self, server: str, state: ServerState) -> None:
        """A server is seen in the middle of a life: what is written from now on tells what its disk holds."""
        if server not in self._disks:
            self._disks[server] = Disk(state)
            self._disks[server].is_known = False

    def begin(self, server: str, state: ServerState) -> None:
        """A life begins: what it recovered is what the disk holds."""
        self._disks[server] = Disk(state)

    def hand_out(self, server: str, fields: dict[str, Any], state: ServerState) -> None:
        """A `ready`: its write is on its way."""
        disk, write = self._disks.get(server), fields.get("write")
        if disk is not None and write is not None:
            hard, log = write.get("hard_state"), write.get("log")
            last = None if log is None else int(log[1])
            held = None if hard is None else (int(hard[0]), hard[1])
            if not disk.is_known:  # what it leaves out has been handed out before, and is durable first
                last = last_index(state) if last is None else last
                held = (state.term, state.vote) if held is None else held
            disk.writes.append(_Write(int(fields["number"]), held, last))

    def sync(self, server: str, number: int) -> None:
        """All writes up to one are durable."""
        disk = self._disks.get(server)
        while disk is not None and disk.writes and disk.writes[0].number <= number:
            write = disk.writes.popleft()
            if write.hard_state is not None:
                disk.term, disk.vote = write.hard_state
            if write.last is not None:
                disk.last = write.last
            disk.is_known = True

    def follow(self, server: str, event: Event, state: ServerState) -> None:
        """Take an event of a server, whose state after it this is."""
        if event.k is Kind.RESTART:
            self.begin(server, state)
        elif event.s is not None:
            self.learn(server, state)
        elif event.k is Kind.READY:
            self.hand_out(server, event.x, state)
        elif event.k is Kind.FSYNC:
            self.sync(server, int(event.x.get("number", 0)))
        if event.w is not None and event.w.log is not None:
            self.changed(server, event.w.log)

    def changed(self, server: str, log: LogDelta) -> None:
        """The log changed in memory: what was written of deleted entries counts no more."""
        disk = self._disks.get(server)
        if disk is None:
            return
        if log.trunc:
            disk.last = min(disk.last, log.trunc - 1)
            for write in disk.writes:
                write.last = None if write.last is None else min(write.last, log.trunc - 1)
        if log.base is not None:
            disk.last = max(disk.last, log.base[0])
