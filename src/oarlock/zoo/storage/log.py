"""The write-ahead log under faults: what was acknowledged is found again, whole and in order, or the log says why."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Final

from oarlock.raft.types import Configuration, Entry, EntryKind, HardState, Index, SnapshotMetadata, Term
from oarlock.sim.disk import SimDisk
from oarlock.sim.files import PowerLoss
from oarlock.sim.rot import rot
from oarlock.sim.strikes import Strikes
from oarlock.storage import Batch, Recovered, WriteAheadLog
from oarlock.storage.errors import CorruptLog, DiskFull, LogMissing, ReadFailed, StorageError, WriteFailed
from oarlock.zoo.core.broken import Broken, require

DIRECTORY: Final = Path("/data/wal")
LOG_ID: Final = 7
_STEPS: Final = 45
_STARTS: Final = 20
"""A log that still does not open after so many crashes of recovery, with each error over, never will."""
_VOTERS: Final = Configuration(voters=frozenset({1, 2, 3}))

Image = tuple[HardState, SnapshotMetadata, tuple[Entry, ...]]
"""All that a log holds."""


class LogRun:
    """One log, from its beginning through crashes and errors of the disk.

    Args:
        rng: All chance.
    """

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.disk = SimDisk(rng, Strikes())
        self.segment_bytes = rng.choice((4096, 4096, 8192, 10_000))
        self.image: Image = (HardState(), SnapshotMetadata(), ())
        self.in_flight: Image | None = None
        """What the log may hold instead: of an append that has neither returned nor been refused."""
        self.was_interrupted = False
        """Whether a write may have been cut short since the last one that was whole."""
        self.has_begun = False
        self.is_damaged = False
        self.wal = self._open()

    def run(self) -> None:
        """A number of things happen to the log.

        Raises:
            Broken: It does not hold what it must, or does not refuse what it must.
        """
        for _ in range(_STEPS):
            self._step()
            if self.is_damaged:
                return
        self._restart(power=True)

    # -- what happens ----------------------------------------------------------------------------------------------

    def _step(self) -> None:
        action = self.rng.random()
        if self.rng.random() < 0.12:
            self.disk.fail_after = self.rng.randint(0, 14)
        if action < 0.62:
            self._append()
        elif action < 0.68:
            self._do(self._prepare)
        elif action < 0.72:
            self._do(self.wal.seal)
        elif action < 0.77:
            self._refuse_what_does_not_follow()
        elif action < 0.82:
            setattr(self.disk, self.rng.choice(("write_errors", "sync_errors")), 1)
            self._append()
        elif action < 0.87:
            self.disk.full = True
            self._append()
            self.disk.full = False
        elif action < 0.88:
            self._damage()
        else:
            self._restart(power=self.rng.random() < 0.5)
        self.disk.fail_after = None
        self.disk.write_errors = self.disk.sync_errors = 0

    def _append(self) -> None:
        batches, image = self._batches()
        before, self.in_flight = self.image, image
        if self._do(lambda: self.wal.append_many(batches)):
            self.image, self.in_flight, self.was_interrupted = image, None, False
            self._check_bounds()
            if any(batch.base is not None for batch in batches):
                self._check_room()
        elif self.image == before:
            self.in_flight = None  # refused, and open as before; or found not to be there

    def _do(self, action: Callable[[], object]) -> bool:
        """Whether an action on the log succeeds; if it fails for good, the server starts anew."""
        try:
            action()
        except PowerLoss:
            self._lose_power()
            self.wal = self._open()
        except DiskFull:
            require(self.disk.full, "fails only with its disk", "the disk is full, says the log, and is not")
            self.in_flight = None
            self._check_bounds()
        except WriteFailed as error:
            hits = self.disk.strikes
            caused = hits["disk.write_error"] + hits["disk.sync_error"]
            require(caused, "fails only with its disk", str(error))
            self.was_interrupted = True
            self._check_refusing()
            self._restart(power=self.rng.random() < 0.5)
        else:
            return True
        return False

    def _prepare(self) -> None:
        prepared = self.wal.prepare()
        require(prepared or self.disk.full, "a segment is made ahead", "there is room, and it was not")
        require(not (prepared and self.wal.wants_spare), "a segment is made ahead", "it is there, and still wanted")

    def _refuse_what_does_not_follow(self) -> None:
        """The log is the last to see that something is out of order."""
        hard_state, base, entries = self.image
        last, term = base.last_included_index + len(entries), max(1, hard_state.current_term)
        wrong = [
            Batch(None, [_entry(last + 2, term)]),
            Batch(None, [_entry(last + 1, term), _entry(last + 3, term)]),
            Batch(None, [_entry(base.last_included_index, term)]),
            Batch(None, [], None, discard_log=True),
        ]
        if hard_state.current_term:
            wrong.append(Batch(HardState(hard_state.current_term - 1, None)))
        if hard_state.voted_for is not None:
            wrong.append(Batch(HardState(hard_state.current_term, hard_state.voted_for + 1)))
            wrong.append(Batch(HardState(hard_state.current_term, None)))
        if base.last_included_index:
            wrong.append(Batch(None, [], SnapshotMetadata(base.last_included_index - 1, 0, _VOTERS)))
        batch = self.rng.choice(wrong)
        try:
            self.wal.append_many([batch])
        except ValueError:
            self._check_bounds()
        except PowerLoss:
            self._lose_power()
            self.wal = self._open()
        else:
            raise Broken("what does not follow is refused", f"the log took {batch} after {hard_state}, {base}, {last}")

    def _damage(self) -> None:
        self._stop(power=False)
        if rot(self.disk, self.rng.choice(("log_header", "log_body", "hard_state", "log_tail"))):
            self.is_damaged = True
        self.wal = self._open()

    def _restart(self, *, power: bool) -> None:
        self._stop(power=power)
        self.wal = self._open()

    def _stop(self, *, power: bool) -> None:
        """In order, or not; with or without the power."""
        if self.rng.random() < 0.4:
            try:
                self.wal.close()
            except PowerLoss:
                power = self.was_interrupted = True
            else:
                self._check_refusing()
        if power:
            self.disk.lose_power()
        else:
            self.disk.end_process()

    def _lose_power(self) -> None:
        self.was_interrupted = True
        self.disk.lose_power()

    def _open(self) -> WriteAheadLog:
        """Start, and start again where recovery itself meets an error; look at what is found."""
        disk = self.disk
        if self.rng.random() < 0.1:
            disk.read_fault = "error"
        if not self.has_begun:
            self._check_missing()
        for _ in range(_STARTS):
            try:
                if self.has_begun and self.rng.random() < 0.05:
                    self._check_of_another()
                wal, found = WriteAheadLog.open(
                    disk, DIRECTORY, segment_bytes=self.segment_bytes, log_id=LOG_ID, must_exist=self.has_begun
                )
            except PowerLoss:
                self._lose_power()
            except (ReadFailed, WriteFailed) as error:
                hits = disk.strikes
                caused = hits["disk.read_error"] + hits["disk.write_error"] + hits["disk.sync_error"]
                require(caused, "fails only with its disk", str(error))
                disk.read_fault = ""
                disk.write_errors = disk.sync_errors = 0
                self.was_interrupted = True
                disk.end_process()
            except StorageError as error:
                require(self.is_damaged, "recovers", f"an undamaged log does not open: {error}")
                return self.wal
            else:
                self._take(found)
                self.wal = wal
                self._check_bounds()
                return wal
        raise Broken("recovers", f"no start in {_STARTS} succeeds")

    # -- what must hold --------------------------------------------------------------------------------------------

    def _take(self, found: Recovered) -> None:
        image = (found.hard_state, found.base, tuple(found.entries))
        allowed = [self.image] if self.in_flight is None else [self.image, self.in_flight]
        require(image in allowed, "durability", f"found {_told(image)}, not {' or '.join(map(_told, allowed))}")
        if found.torn_bytes:
            may_be_torn = self.was_interrupted or self.is_damaged
            sentence = f"{found.torn_bytes} bytes were cut, with no append under way"
            require(may_be_torn, "only what was never acknowledged is cut", sentence)
        self.image, self.in_flight = image, None
        self.has_begun = True

    def _check_bounds(self) -> None:
        _, base, entries = self.image
        told = self.wal.base, self.wal.last_index
        held = base, base.last_included_index + len(entries)
        require(told == held, "the log knows its bounds", f"it says {told}, and holds {held}")

    def _check_room(self) -> None:
        """A log without entries needs but its present segment."""
        if not self.image[2] and self.disk.fail_after is None:
            segments = [name for name in self.disk.listdir(DIRECTORY) if name.endswith(".wal")]
            require(len(segments) == 1, "room is given back", f"{len(segments)} segments of an empty log")

    def _check_refusing(self) -> None:
        """After a failure, or closed, a log takes nothing any more: what is on the disk is unknown."""
        self.disk.fail_after = None
        for action in (lambda: self.wal.append(hard_state=HardState(1 << 40, None)), self.wal.seal, self.wal.prepare):
            try:
                action()
            except WriteFailed:
                continue
            raise Broken("after a failure nothing is taken", "the log goes on")

    def _check_missing(self) -> None:
        """A server that has had a log does not begin another."""
        try:
            WriteAheadLog.open(self.disk, DIRECTORY, segment_bytes=self.segment_bytes, log_id=LOG_ID, must_exist=True)
        except LogMissing:
            return
        except ReadFailed:
            self.disk.read_fault = ""
            return
        raise Broken("a log that is gone is missed", "another was begun")

    def _check_of_another(self) -> None:
        """Another server's log is refused, and not touched."""
        try:
            WriteAheadLog.open(self.disk, DIRECTORY, segment_bytes=self.segment_bytes, log_id=LOG_ID + 1)
        except CorruptLog:
            return
        raise Broken("another's log is refused", "it was opened")

    # -- what is appended ------------------------------------------------------------------------------------------

    def _batches(self) -> tuple[list[Batch], Image]:
        batches = []
        image = self.image
        for _ in range(self.rng.choice((1, 1, 1, 2, 3))):
            batch = self._batch(image)
            batches.append(batch)
            image = after(image, batch)
        return batches, image

    def _batch(self, image: Image) -> Batch:
        rng = self.rng
        hard_state, base, entries = image
        last = base.last_included_index + len(entries)
        new_base, discard = self._base(image) if rng.random() < 0.2 else (None, False)
        if new_base is not None:
            base = new_base
            last = base.last_included_index if discard else max(last, base.last_included_index)
        term = hard_state.current_term
        new_state = None
        if not term or rng.random() < 0.3:
            vote = hard_state.voted_for
            if not term or rng.random() < 0.6:
                term, vote = term + rng.randint(1, 2), None
            new_state = HardState(term, vote if vote is not None else rng.choice((None, 1, 2)))
        added: list[Entry] = []
        if rng.random() < 0.8:
            first = last + 1 if rng.random() < 0.7 else rng.randint(max(base.last_included_index, last - 6), last) + 1
            size = rng.choice((0, 20, 20, 300, 700, 5000))
            added = [_entry(index, term, size) for index in range(first, first + rng.randint(1, 4))]
        return Batch(new_state, added, new_base, discard)

    def _base(self, image: Image) -> tuple[SnapshotMetadata, bool]:
        """Of a compaction, or of a snapshot that was received."""
        _, base, entries = image
        start, last = base.last_included_index, base.last_included_index + len(entries)
        index = last if self.rng.random() < 0.3 else self.rng.randint(start, last + 3)
        term = entries[index - start - 1].term if start < index <= last else base.last_included_term
        return SnapshotMetadata(index, term, _VOTERS), self.rng.random() < 0.3


def after(image: Image, batch: Batch) -> Image:
    """What a log holds after a batch, worked out the plain way."""
    hard_state, base, entries = image
    if batch.base is not None:
        base = batch.base
        kept = () if batch.discard_log else entries
        entries = tuple(entry for entry in kept if entry.index > base.last_included_index)
    if batch.entries:
        first = batch.entries[0].index
        entries = tuple(entry for entry in entries if entry.index < first) + tuple(batch.entries)
    return batch.hard_state or hard_state, base, entries


def _entry(index: Index, term: Term, size: int = 20) -> Entry:
    return Entry(index, term, EntryKind.COMMAND, (b"%d.%d " % (index, term)).ljust(size, b"."))


def _told(image: Image) -> str:
    hard_state, base, entries = image
    return (
        f"term {hard_state.current_term}, vote {hard_state.voted_for}, base {base.last_included_index}, "
        f"entries {[(entry.index, entry.term) for entry in entries]}"
    )
