"""The steps of single servers, as numbers: a core is given each event once in each state, and never again."""

from contextlib import suppress
from typing import Final, NamedTuple

from oarlock.explore.bounds import Bounds
from oarlock.explore.events import (
    Change,
    Compact,
    Crash,
    Deliver,
    EndWrite,
    Event,
    Fatal,
    Heartbeat,
    LoseMajority,
    News,
    Propose,
    TimeOut,
)
from oarlock.explore.history import CHANGE, CRASH, PROPOSAL, SNAPSHOT, Fact, fact_of
from oarlock.explore.network import Change as PartChange
from oarlock.explore.network import Network
from oarlock.explore.numbers import Table
from oarlock.explore.packets import Packet
from oarlock.explore.properties import check_step
from oarlock.explore.server import Outcome, Stepper
from oarlock.explore.servers import Servers
from oarlock.explore.violation import Broken, Require
from oarlock.raft.messages import PreVote, RequestVote
from oarlock.raft.types import ServerId

_MOST: Final = 300_000
"""Pairs of a server and a part of the network whose moves are kept; what is lost is worked out anew."""


class Move(NamedTuple):
    """A step of one server."""

    server: int
    """What the server becomes."""
    changes: tuple[tuple[int, Table], ...]
    """Places in a state, and what becomes of the part of the network there."""
    fact: Fact | None
    spent: int
    """Which bound it counts against; -1 for none."""
    event: Event | Fatal


class Moves:
    """The moves of all servers.

    Args:
        bounds: What may happen.
        stepper: Gives events to cores.
        servers: The states of servers.
        network: What is under way.
        require: Judges each step.
    """

    def __init__(self, bounds: Bounds, stepper: Stepper, servers: Servers, network: Network, require: Require) -> None:
        self._bounds = bounds
        self._stepper = stepper
        self._servers = servers
        self._network = network
        self._require = require
        self._changes: dict[PartChange, Table] = {}
        self._facts: dict[Fact, Fact] = {}
        self._local: dict[int, list[Move]] = {}
        self._proposals: dict[tuple[int, int], list[Move]] = {}
        self._deliveries: dict[tuple[int, int], list[Move]] = {}
        self._arrivals: dict[int, list[Move]] = {}
        self.core_steps = 0
        """How many times a core was given an event."""

    def local(self, server: int) -> list[Move]:
        """What a server may do by itself, but for taking proposals.

        Raises:
            Broken: A step breaks a property.
        """
        found = self._local.get(server)
        if found is None:
            events = self._local_events(server)
            found = [move for event, spent in events for move in self._outcomes(server, event, spent)]
            self._local[server] = found
        return found

    def _local_events(self, server: int) -> list[tuple[Event, int]]:
        bounds = self._bounds
        events: list[tuple[Event, int]] = [(TimeOut(), -1), (EndWrite(), -1)]
        if bounds.heartbeats:
            events += [(Heartbeat(), -1), (News(), -1)]
        if bounds.check_quorum:
            events.append((LoseMajority(), -1))
        if bounds.snapshots:
            events.append((Compact(), SNAPSHOT))
        if bounds.changes:
            events += [(Change(each), CHANGE) for each in bounds.targets(self._servers.views[server].configuration)]
        if bounds.crashes:
            events.append((Crash(), CRASH))
        return events

    def proposals(self, server: int, number: int) -> list[Move]:
        """What a server may make of a client's next command, when there were `number` before.

        Raises:
            Broken: A step breaks a property.
        """
        found = self._proposals.get((server, number))
        if found is None:
            event = Propose(b"c%d" % (number + 1))
            found = self._proposals[server, number] = self._outcomes(server, event, PROPOSAL)
        return found

    def arrivals(self, server: int, part: int) -> list[Move]:
        """What a server may make of the messages in a part of the network; those that change nothing are left out.

        Raises:
            Broken: A step breaks a property.
        """
        pair = server << 32 | part
        kept = self._arrivals.get(pair)
        if kept is not None:
            return kept
        if len(self._arrivals) >= _MOST:
            self._arrivals.clear()
        own_id = self._servers.states[server].id
        found: dict[tuple[object, ...], Move] = {}
        for number in self._network.parts[part]:
            packet = self._network.packets[number]
            if packet.to != own_id or packet.held:
                continue
            for move in self._delivered(server, number):
                is_idle = move.server == server and move.fact is None and move.spent < 0
                if not is_idle or any(table[part] != part for _, table in move.changes):
                    found.setdefault((move.server, move.changes, move.fact, move.spent), move)
        kept = self._arrivals[pair] = list(found.values())
        return kept

    def _delivered(self, server: int, number: int) -> list[Move]:
        moves = self._deliveries.get((server, number))
        if moves is None:
            message = self._network.packets[number].message
            moves = self._outcomes(server, Deliver(message), -1)
            asks_for_votes = isinstance(message, PreVote | RequestVote) and self._bounds.looks_at_leaders
            if asks_for_votes or self._bounds.late:
                moves += self._outcomes(server, Deliver(message, late=True), -1)
            self._deliveries[server, number] = moves
        return moves

    def rules(self, server: int, event: Event | Fatal) -> list[str]:
        """The rules that act when a server takes an event, in order, each once."""
        acted: dict[str, None] = {}
        with suppress(Broken):
            self._stepper.step(self._servers.states[server], event, lambda rule, _operands: acted.setdefault(rule))
        return list(acted)

    # -- one event -------------------------------------------------------------------------------------------------

    def _outcomes(self, server: int, event: Event, spent: int) -> list[Move]:
        """What an event may lead to: to nothing, if it cannot happen; to more than one end, if a crash may come in."""
        outcome = self._step(server, event)
        if outcome is None:
            return []
        moves = [self._move(server, event, outcome, spent)]
        if self._bounds.crashes and not self._bounds.writes and spent < 0:
            write = 0
            while (died := self._step(server, Fatal(event, write))) is not None:
                if died.sends or write:  # else it is as if it had crashed before
                    moves.append(self._move(server, Fatal(event, write), died, CRASH))
                write += 1
        return moves

    def _step(self, server: int, event: Event | Fatal) -> Outcome | None:
        self.core_steps += 1
        state = self._servers.states[server]
        try:
            return self._stepper.step(state, event)
        except Broken as broken:
            broken.at(state.id, event)
            raise

    def _move(self, number: int, event: Event | Fatal, outcome: Outcome, spent: int) -> Move:
        before = self._servers.views[number]
        try:
            server = self._servers.number_of(outcome.server)
            after = self._servers.views[server]
            check_step(before, after, self._require, is_same_life=not outcome.crashed)
        except Broken as broken:
            broken.at(before.id, event)
            raise
        fact = fact_of(before, after, spent if spent >= 0 else None)
        if fact is not None:
            fact = self._facts.setdefault(fact, fact)
        return Move(server, self._changes_of(before.id, outcome), fact, spent, event)

    def _changes_of(self, stepped: ServerId, outcome: Outcome) -> tuple[tuple[int, Table], ...]:
        added: dict[ServerId, list[int]] = {}
        for send in outcome.sends:
            packet = Packet(*send)
            added.setdefault(packet.owner, []).append(self._network.number_of(packet))
        moves_held = self._bounds.writes > 0 and (outcome.ended_writes > 0 or outcome.crashed)
        changes = []
        for server_id in self._bounds.ids:
            frame = outcome.frame if server_id == stepped else None
            if server_id in added or moves_held or frame is not None:
                change = PartChange(
                    stepped,
                    tuple(sorted(added.get(server_id, ()))),
                    frame,
                    outcome.ended_writes if moves_held else 0,
                    outcome.crashed and moves_held,
                )
                changes.append((self._bounds.servers + server_id - 1, self._change_table(change)))
        return tuple(changes)

    def _change_table(self, change: PartChange) -> Table:
        table = self._changes.get(change)
        if table is None:
            table = self._changes[change] = Table(lambda part: self._network.after(part, change))
        return table
