"""One ordered applier, kicked when the commit index moves (Structure Advice; pitfalls G12, T3, T4).

It alone changes the machine. It works in slices and yields to the loop between them, so that a long backlog delays
neither heartbeats nor the owner; a slice is counted in entries and bytes, as a loop's clock may stand still within
one iteration.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from oarlock.machine.interface import MachineApart, StateMachine
from oarlock.node.alarm import Kick
from oarlock.node.proposals import Proposals
from oarlock.node.reads import ReadBarriers
from oarlock.node.status import Counters
from oarlock.raft.types import Entry, EntryKind, Index

_SLICE_ENTRIES: Final = 128
_SLICE_ENTRIES_APART: Final = 256
"""There they delay nothing here, and each slice costs a way there and back."""
_SLICE_BYTES: Final = 256 << 10
_SEQUENCE: Final = slice(17, 25)
"""Where an envelope holds its sequence."""

Restore = Callable[[], Awaitable[Index]]
"""Replaces the machine's state by an installed snapshot, and gives the index it then stands at."""


class Applier:
    """Applies committed entries and installs snapshots, in the order in which the core handed them out."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        machine: StateMachine,
        applied_index: Index,
        proposals: Proposals,
        reads: ReadBarriers,
        counters: Counters,
        on_applied: Callable[[Index], None],
    ) -> None:
        """Prepare; `run` is the task.

        Args:
            loop: The loop.
            machine: What entries are applied to.
            applied_index: Where it stands.
            proposals: Whose waiters are settled.
            reads: Whose barriers fall.
            counters: Running totals.
            on_applied: Told after each slice how far the machine has come.
        """
        self._loop = loop
        self._machine = machine
        self._apart = machine if isinstance(machine, MachineApart) else None
        self._proposals = proposals
        self._reads = reads
        self._counters = counters
        self._on_applied = on_applied
        self._queue: deque[list[Entry] | Restore] = deque()
        self._kick = Kick(loop)
        self.applied_index = applied_index
        reads.applied(applied_index)

    def commit(self, entries: list[Entry], *, may_wait: bool = False) -> None:
        """Take over entries that are committed, and durable here; those that may wait do so for one of the others."""
        self._queue.append(entries)
        if not may_wait:
            self._kick.set()

    @property
    def has_work(self) -> bool:
        """Whether there is something that was taken over and not begun."""
        return bool(self._queue)

    def go_on(self) -> None:
        """Apply whatever was taken over."""
        if self._queue:
            self._kick.set()

    def go_on_soon(self) -> None:
        """The same, once the messages of this iteration of the loop are on their way."""
        if self._queue:
            self._loop.call_soon(self.go_on)

    def install(self, restore: Restore) -> None:
        """Take over a snapshot, to be installed after everything handed over before."""
        self._queue.append(restore)
        self._kick.set()

    async def run(self) -> None:
        """Apply until cancelled."""
        while True:
            await self._kick.wait()
            while self._queue:
                work = self._queue.popleft()
                if isinstance(work, list):
                    await self._apply(work)
                else:
                    self._advance(await work())
                if self._queue:
                    await asyncio.sleep(0)

    async def _apply(self, entries: list[Entry]) -> None:
        first = 0
        while first < len(entries):
            if first:
                await asyncio.sleep(0)
            if self._apart is None:
                first = self._apply_slice(entries, first)
            else:
                first = await self._apply_slice_apart(self._apart, entries, first)

    def _apply_slice(self, entries: list[Entry], first: int) -> int:
        """Apply a bounded number of entries, settle their waiters; gives where the next slice starts."""
        apply = self._machine.apply
        settle = self._proposals.settle
        own = self._proposals.own_prefix
        size = 0
        position = first
        for entry in entries[first : first + _SLICE_ENTRIES]:
            position += 1
            if entry.kind is EntryKind.COMMAND:
                data = entry.data
                result = apply(entry.index, data)
                if data.startswith(own):
                    settle(int.from_bytes(data[_SEQUENCE]), result)
                size += len(data)
                if size > _SLICE_BYTES:
                    break
        self._counters.entries_applied += position - first
        self._advance(entries[position - 1].index)
        return position

    async def _apply_slice_apart(self, machine: MachineApart, entries: list[Entry], first: int) -> int:
        """The same, by a machine of another loop, which may take its time."""
        own = self._proposals.own_prefix
        size = 0
        position = first
        commands: list[tuple[Index, bytes, object]] = []
        own_ones: list[tuple[int, int]] = []  # of the commands, and the sequence
        for entry in entries[first : first + _SLICE_ENTRIES_APART]:
            position += 1
            if entry.kind is EntryKind.COMMAND:
                data, waiter = entry.data, None
                if data.startswith(own):
                    sequence = int.from_bytes(data[_SEQUENCE])
                    own_ones.append((len(commands), sequence))
                    waiter = self._proposals.waiter(sequence)
                commands.append((entry.index, data, waiter))
                size += len(data)
                if size > _SLICE_BYTES:
                    break

        def settle(results: list[object]) -> None:
            for which, sequence in own_ones:
                self._proposals.settle(sequence, results[which])

        if commands:
            await machine.apply_apart(commands, settle)
        self._counters.entries_applied += position - first
        self._advance(entries[position - 1].index)
        return position

    def _advance(self, index: Index) -> None:
        self.applied_index = index
        self._on_applied(index)
        self._reads.applied(index)
