"""Looks at every server after every iteration of its loop, and holds what it sees against Raft's invariants."""

import struct
from collections.abc import Callable
from typing import Final

import msgspec

from oarlock.check.invariants import Monitor
from oarlock.check.observed import Digest, Observed, ObservedEntry
from oarlock.check.verdict import Violation
from oarlock.raft.state import RaftState, Role
from oarlock.raft.types import Configuration, EntryKind, HardState, Index, ServerId, SnapshotMetadata, Term
from oarlock.sim import inside
from oarlock.sim.scheduler import Scheduler
from oarlock.sim.strikes import Strikes
from oarlock.sim.trace import Trace
from oarlock.sim.watched import WatchedProcess, WatchedServer

_NOT_APPLIED: Final = "not applied"
_NOBODY: Final[list[Index]] = []
_pack_state = struct.Struct("<QQQQQQQ").pack


class PropertyBroken(Exception):
    """A property does not hold; the run ends here."""

    def __init__(self, violation: Violation) -> None:
        super().__init__(str(violation))
        self.violation = violation


class _Life:
    """What was last seen of one process, whose parts stay the same all its life."""

    __slots__ = (
        "applied",
        "base",
        "base_index",
        "commit_index",
        "current_term",
        "durable_version",
        "last_index",
        "last_term",
        "lease_until",
        "matches",
        "process",
        "role",
        "state",
        "terms",
        "voted_for",
    )

    def __init__(self, process: WatchedProcess, state: RaftState) -> None:
        self.process = process
        self.state = state
        self.base: SnapshotMetadata | None = None
        self.terms: list[Term] = []
        """Of the entries behind the base."""
        self.applied: Index = 0
        self.matches: list[Index] = []
        self.durable_version = -1
        self.lease_until: float | None = None

    def is_as_it_was(self, applied: Index, matches: list[Index], durable_version: int) -> bool:
        """Whether nothing has changed since `note`; looked at after every iteration of every loop."""
        state = self.state
        log = state.log
        return (
            self.commit_index == state.commit_index
            and self.applied == applied
            and self.durable_version == durable_version
            and self.last_index == log.last_index
            and self.current_term == state.current_term
            and self.role is state.role
            and self.matches == matches
            and self.voted_for == state.voted_for
            and self.last_term == log.last_term
            and self.base_index == log.base_index
            and not self.process.promises
            and (not state.config.lease_reads or self.lease_until == _lease(state))
        )

    def note(self, applied: Index, matches: list[Index], durable_version: int) -> None:
        """Remember what is seen."""
        state = self.state
        log = state.log
        self.applied, self.matches, self.durable_version = applied, matches, durable_version
        self.current_term, self.voted_for, self.role = state.current_term, state.voted_for, state.role
        self.commit_index = state.commit_index
        self.last_index, self.last_term, self.base_index = log.last_index, log.last_term, log.base_index
        self.lease_until = _lease(state)


class Observer:
    """Watches all servers of a run.

    Args:
        scheduler: Tells the time.
        trace: Gets a digest of every state.
        strikes: Where to count.
        ignored: Properties that the run breaks on purpose.
    """

    def __init__(self, scheduler: Scheduler, trace: Trace, strikes: Strikes, ignored: tuple[str, ...] = ()) -> None:
        self._scheduler = scheduler
        self._trace = trace
        self._strikes = strikes
        self.monitor = Monitor(ignored)
        self._lives: dict[ServerId, _Life] = {}
        self.committed_at: dict[Index, float] = {}
        """When each index was first seen committed anywhere, in true time."""
        self.applied: dict[Index, bytes | None] = {}
        """What was applied at each index; None for what is not for the state machine."""
        self.refused: dict[Index, None] = {}
        """Where the state machines refused what they were given."""
        self._committed: Index = 0
        self.on_leader: Callable[[WatchedServer, Term], None] | None = None
        """Told of each server that is seen leading a term for the first time."""
        self._terms_led: dict[Term, None] = {}

    @property
    def elections(self) -> int:
        """In how many terms a leader was seen."""
        return len(self._terms_led)

    def look(self, server: WatchedServer) -> None:
        """Look at a server, if it has a node that has recovered.

        Raises:
            PropertyBroken: Something does not hold.
        """
        process = server.process
        life = self._lives.get(server.server_id)
        if life is None or life.process is not process:
            state = inside.raft_state(process.node) if process is not None else None
            if process is None or state is None:
                return
            life = self._lives[server.server_id] = _Life(process, state)
            server.durable.restart(state.hard_state, state.log)
        if _may_lead_again(life.state, server.durable.hard_state):
            return
        is_new = life.durable_version < 0
        leader = life.state.leader
        applied = inside.applied_index(life.process.node)
        matches = [progress.match_index for progress in leader.peers.values()] if leader is not None else _NOBODY
        version = server.durable.version
        if is_new or not life.is_as_it_was(applied, matches, version):
            given = () if is_new else self._applied(life.process, life.state, life.applied, applied)
            life.note(applied, matches, version)
            self._observe(server, life, given)

    def _observe(self, server: WatchedServer, life: _Life, given: tuple[tuple[Index, Digest], ...]) -> None:
        process, state, durable = life.process, life.state, server.durable
        log = state.log
        promises = tuple(process.promises)
        process.promises.clear()
        hashes = process.machine.hashes
        peers = state.leader.peers if state.leader is not None else ()
        seen = Observed(
            server_id=server.server_id,
            incarnation=server.incarnation,
            disk_is_intact=server.is_disk_intact,
            disk_id=state.disk_id,
            current_term=state.current_term,
            voted_for=state.voted_for,
            role=state.role.value,
            base=log.base,
            last_index=log.last_index,
            entries=self._written(state, life),
            commit_index=state.commit_index,
            applied_index=life.applied,
            configuration=state.configuration,
            match_index=tuple(zip(peers, life.matches, strict=True)),
            durable_hard_state=durable.hard_state,
            durable_index=durable.common_index(log),
            durable_applied_index=None if server.disk.has_lied else process.machine.durable_index(),
            applied=given,
            state_hash=hashes[-1] if hashes else None,
            promises=promises,
            at=self._scheduler.now,
            lease_until=server.clock.true_time(life.lease_until) if life.lease_until is not None else None,
        )
        hashes.clear()
        if life.lease_until is not None:
            self._strikes.hit("lease.held")
        self._note(server, state, seen)
        found = self.monitor.observe(seen)
        if found:
            raise PropertyBroken(found[0])

    def _note(self, server: WatchedServer, state: RaftState, seen: Observed) -> None:
        self._trace.digest(
            _pack_state(
                server.server_id,
                seen.current_term,
                seen.voted_for or 0,
                seen.last_index,
                seen.commit_index,
                seen.applied_index,
                seen.durable_index or 0,
            )
        )
        if state.commit_index > self._committed:
            for index in range(self._committed + 1, state.commit_index + 1):
                self.committed_at[index] = self._scheduler.now
            self._committed = state.commit_index
        if state.leader is not None and state.current_term not in self._terms_led:
            self._terms_led[state.current_term] = None
            if self.on_leader is not None:
                self.on_leader(server, state.current_term)

    @staticmethod
    def _written(state: RaftState, life: _Life) -> tuple[ObservedEntry, ...]:
        """What is new in the log; brings `life` up to date."""
        log = state.log
        base = log.base_index
        old_base = life.base.last_included_index if life.base is not None else base
        terms = life.terms
        if base > old_base:
            del terms[: base - old_base]
        life.base = log.base
        same = min(base + len(terms), log.last_index)
        while same > base and terms[same - base - 1] != log.term(same):
            same -= 1
        new = log.slice(same + 1, log.last_index)
        del terms[same - base :]
        terms.extend(entry.term for entry in new)
        return tuple(
            ObservedEntry(
                entry.index,
                entry.term,
                entry.data,
                msgspec.msgpack.decode(entry.data, type=Configuration)
                if entry.kind is EntryKind.CONFIGURATION
                else None,
            )
            for entry in new
        )

    def _applied(
        self, process: WatchedProcess, state: RaftState, before: Index, applied: Index
    ) -> tuple[tuple[Index, Digest], ...]:
        """What the machine was given, with the entries between that are not for it."""
        recorded = process.machine.applied
        given: list[tuple[Index, Digest]] = []
        position = 0
        log = state.log
        for index in range(before + 1, applied + 1):
            if position < len(recorded) and recorded[position][0] == index:
                data = recorded[position][1]
                given.append((index, data))
                self.applied.setdefault(index, data)
                position += 1
            elif index <= log.base_index:
                given.clear()  # a snapshot took the machine there
            else:
                entry = log.entry(index)
                is_missing = entry.kind is EntryKind.COMMAND
                given.append((index, _NOT_APPLIED if is_missing else entry.data))
                if not is_missing:
                    self.applied.setdefault(index, None)
        given.extend((index, data) for index, data in recorded[position:])
        recorded.clear()
        machine = process.machine
        self.refused.update(dict.fromkeys(machine.refused))
        machine.refused.clear()
        if machine.repeated:
            self._strikes.hit("proposal.applied_before", machine.repeated)
            machine.repeated = 0
        return tuple(given)


def _lease(state: RaftState) -> float | None:
    """Until when, by its own clock, a leader answers reads by its lease alone."""
    leader = state.leader
    return leader.lease_until if leader is not None and leader.lease_until > state.now else None


def _may_lead_again(state: RaftState, on_disk: HardState) -> bool:
    """Whether an only voter leads a term that is not on its disk yet.

    It leads as soon as it campaigns, but nobody can know before it has committed something; a crash before its term is
    durable has it campaign for the same term again, and write other entries.
    """
    return (
        state.role is Role.LEADER
        and on_disk.current_term < state.current_term
        and state.configuration.all_voters == {state.server_id}
    )
