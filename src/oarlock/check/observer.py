"""Turn a live core into observations: find what changed in its log, at a cost of what changed."""

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from oarlock.check.observed import Digest, Observed, ObservedEntry
from oarlock.raft.types import (
    Configuration,
    DiskId,
    Entry,
    EntryKind,
    Index,
    ServerId,
    SnapshotMetadata,
    Term,
)

_CONFIGURATION = msgspec.msgpack.Decoder(Configuration)


class LogView(Protocol):
    """The log of a core, as far as an observer looks at it."""

    base: SnapshotMetadata
    base_index: Index
    durable_index: Index

    @property
    def last_index(self) -> Index:
        """The last index."""

    def entry(self, index: Index) -> Entry:
        """The entry there."""


class CoreView(Protocol):
    """The state of a core, as far as an observer looks at it."""

    current_term: Term
    voted_for: ServerId | None
    disk_id: DiskId
    commit_index: Index
    last_applied: Index
    role: Any
    leader: Any

    @property
    def log(self) -> LogView:
        """The log."""

    @property
    def configuration(self) -> Configuration:
        """The configuration acted upon."""


def digest_of(entry: Entry) -> Digest:
    """An entry's contents; a command's own bytes, so nothing is copied or hashed."""
    return entry.data if entry.kind is EntryKind.COMMAND else f"{entry.kind}:{entry.data.hex()}"


def given(entries: Sequence[Entry]) -> tuple[tuple[Index, Digest], ...]:
    """What a state machine was given, for `Observed.applied`."""
    return tuple([(entry.index, digest_of(entry)) for entry in entries])


class Observer:
    """Watches the log of one server through one life."""

    def __init__(self) -> None:
        self._base_index: Index = 0
        self._known: list[Entry] | None = None

    def observe(self, core: CoreView, server_id: ServerId, **seen_elsewhere: Any) -> Observed:  # noqa: ANN401 - fields
        """One server after one event.

        Args:
            core: The state of its core.
            server_id: Whose.
            seen_elsewhere: Further fields of `Observed`, which a core alone does not show, such as `incarnation`,
                `durable_hard_state`, `applied`, `promises`; and `durable_index`, if the disk is looked at instead of
                what the core believes of it.
        """
        log = core.log
        leader = core.leader
        seen_elsewhere.setdefault("durable_index", log.durable_index)
        return Observed(
            server_id=server_id,
            disk_id=core.disk_id,
            current_term=core.current_term,
            voted_for=core.voted_for,
            role=core.role.value,
            base=log.base,
            last_index=log.last_index,
            entries=self._written(log),
            commit_index=core.commit_index,
            applied_index=core.last_applied,
            configuration=core.configuration,
            match_index=tuple([(peer, progress.match_index) for peer, progress in leader.peers.items()])
            if leader is not None
            else (),
            **seen_elsewhere,
        )

    def _written(self, log: LogView) -> tuple[ObservedEntry, ...]:
        """What was written since the last observation: entries never change, so equal ones are the same object."""
        last, base_index = log.last_index, log.base_index
        known = self._known
        if known is None:
            known = self._known = []
        elif base_index != self._base_index:
            del known[: base_index - self._base_index]
        self._base_index = base_index
        kept = min(len(known), last - base_index)
        while kept and known[kept - 1] is not log.entry(base_index + kept):
            kept -= 1
        if kept == len(known) and base_index + kept == last:
            return ()
        del known[kept:]
        written = [log.entry(index) for index in range(base_index + kept + 1, last + 1)]
        known += written
        return tuple(map(_observed, written))


def _observed(entry: Entry) -> ObservedEntry:
    configuration = _CONFIGURATION.decode(entry.data) if entry.kind is EntryKind.CONFIGURATION else None
    return ObservedEntry(entry.index, entry.term, digest_of(entry), configuration)
