"""The steps of single servers, as numbers: a core is given each event once in each state, and never again."""

from contextlib import suppress
from dataclasses import dataclass

from oarlock.explore.bounds import Bounds
from oarlock.explore.effects import Effect, Mask, mask_of, members
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
    rename_event,
)
from oarlock.explore.history import CHANGE, CRASH, PROPOSAL, SNAPSHOT, Fact, fact_of
from oarlock.explore.network import Network, Renumbering
from oarlock.explore.packets import Packet
from oarlock.explore.properties import check_step
from oarlock.explore.server import Outcome, Stepper
from oarlock.explore.servers import Servers
from oarlock.explore.violation import Broken, Require
from oarlock.raft.messages import PreVote, RequestVote
from oarlock.raft.types import ServerId


@dataclass(slots=True, eq=False)
class Move:
    """A step of one server."""

    server: int
    """What the server becomes."""
    changes: tuple[tuple[int, Effect | None, Mask], ...]
    """Owners of parts of the network, from 0, what becomes of the packets there, if anything, and what is added."""
    fact: Fact | None
    spent: tuple[int, ...]
    """The bounds that it counts against."""
    event: Event | Fatal
    idle: Mask | None = None
    """What it sends, if that is all it does: the server stays as it is, and so does everything else."""


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
        self._renamings = bounds.renamings()
        self._inverses = [
            next(
                place
                for place, back in enumerate(self._renamings)
                if all(back[renaming[name - 1] - 1] == name for name in bounds.ids)
            )
            for renaming in self._renamings
        ]
        self._renumberings: dict[Renumbering, Effect] = {}
        self._effects: dict[Effect, Renumbering] = {}
        self._facts: dict[Fact, Fact] = {}
        self._local: dict[int, list[Move]] = {}
        self._all_local: dict[int, list[Move]] = {}
        self._idle: dict[int, Mask] = {}
        self._proposals: dict[tuple[int, int], list[Move]] = {}
        self._deliveries: dict[tuple[int, int], list[Move]] = {}
        self.core_steps = 0
        """How many times a core was given an event."""

    def local(self, server: int) -> list[Move]:
        """What a server may do by itself, but for taking proposals.

        Raises:
            Broken: A step breaks a property.
        """
        found = self._local.get(server)
        if found is None:
            moves = self._local_moves(server)
            found = self._local[server] = [move for move in moves if move.idle is None or not self._bounds.eager]
            self._all_local[server] = moves
            self._idle[server] = _union(moves)
        return found

    def _local_moves(self, server: int) -> list[Move]:
        twin, renaming = self._servers.twin(server)
        if twin != server:
            with suppress(Broken):  # it breaks under its own name
                self.local(twin)
                return self._renamed(self._all_local[twin], server, renaming)
        events = self._local_events(server)
        return [move for event, spent in events for move in self._outcomes(server, event, spent)]

    def idle(self, server: int) -> Mask:
        """The packets that a server may send by itself, and stay as it is.

        Raises:
            Broken: A step breaks a property.
        """
        self.local(server)
        return self._idle[server]

    def answers(self, server: int, packet: int) -> Mask:
        """The packets that a server may send when it takes one, and stay as it is.

        Raises:
            Broken: A step breaks a property.
        """
        return _union(self._delivered(server, packet))

    def _local_events(self, server: int) -> list[tuple[Event, tuple[int, ...]]]:
        bounds = self._bounds
        events: list[tuple[Event, tuple[int, ...]]] = [(TimeOut(), ()), (EndWrite(), ())]
        if bounds.heartbeats:
            events += [(Heartbeat(), ()), (News(), ())]
        if bounds.check_quorum:
            events.append((LoseMajority(), ()))
        if bounds.snapshots:
            events.append((Compact(), (SNAPSHOT,)))
        if bounds.changes:
            events += [(Change(each), (CHANGE,)) for each in bounds.targets(self._servers.views[server].configuration)]
        if bounds.may_crash(self._servers.states[server].id):
            events.append((Crash(), (CRASH,)))
        return events

    def proposals(self, server: int, number: int) -> list[Move]:
        """What a server may make of a client's next command, when there were `number` before.

        Raises:
            Broken: A step breaks a property.
        """
        found = self._proposals.get((server, number))
        if found is None:
            event = Propose(b"c%d" % (number + 1))
            may = self._bounds.may_propose(number + 1, self._servers.views[server].current_term)
            found = self._proposals[server, number] = self._outcomes(server, event, (PROPOSAL,)) if may else []
        return found

    def delivered(self, server: int, number: int) -> list[Move]:
        """What a server may make of a packet, but for what closures take at once.

        Raises:
            Broken: A step breaks a property.
        """
        packet = self._network.packets[number]
        if packet.to != self._servers.states[server].id or packet.held:
            return []
        eager = self._bounds.eager
        return [move for move in self._delivered(server, number) if move.idle is None or (not eager and move.idle)]

    def _delivered(self, server: int, number: int) -> list[Move]:
        moves = self._deliveries.get((server, number))
        if moves is None:
            moves = self._deliveries[server, number] = self._taken(server, number)
        return moves

    def _taken(self, server: int, number: int) -> list[Move]:
        """What a server may make of a packet: what its twin makes of the packet's, where it has one."""
        twin, renaming = self._servers.twin(server)
        if twin != server:
            back = self._inverses[renaming]
            packet = next(members(self._network.renamed_mask(1 << number, self._renamings[back])))
            with suppress(Broken):  # it breaks under its own name
                return self._renamed(self._delivered(twin, packet), server, renaming)
        message = self._network.packets[number].message
        moves = self._outcomes(server, Deliver(message), ())
        asks_for_votes = isinstance(message, PreVote | RequestVote) and self._bounds.looks_at_leaders
        if asks_for_votes or self._bounds.late:
            moves += self._outcomes(server, Deliver(message, late=True), ())
        return moves

    def _renamed(self, moves: list[Move], server: int, number: int) -> list[Move]:
        """The moves of a server's twin, under its own name."""
        renaming, network, images = self._renamings[number], self._network, self._servers.images[number]
        renamed = []
        for move in moves:
            after = images[move.server]
            fact = move.fact and self._fact(server, after, move.fact.spent)
            changes = [
                (
                    renaming[owner] - 1,
                    effect and self._renumbering(self._effects[effect].renamed(renaming)),
                    network.renamed_mask(added, renaming),
                )
                for owner, effect, added in move.changes
            ]
            changes.sort(key=lambda change: change[0])
            event = rename_event(move.event, renaming)
            idle = None if move.idle is None else network.renamed_mask(move.idle, renaming)
            renamed.append(Move(after, tuple(changes), fact, move.spent, event, idle))
        return renamed

    def rules(self, server: int, event: Event | Fatal) -> list[str]:
        """The rules that act when a server takes an event, in order, each once."""
        acted: dict[str, None] = {}
        with suppress(Broken):
            self._stepper.step(self._servers.states[server], event, lambda rule, _operands: acted.setdefault(rule))
        return list(acted)

    # -- one event -------------------------------------------------------------------------------------------------

    def _outcomes(self, server: int, event: Event, spent: tuple[int, ...]) -> list[Move]:
        """What an event may lead to: to nothing, if it cannot happen; to more than one end, if a crash may come in."""
        outcome = self._step(server, event)
        if outcome is None:
            return []
        moves = [self._move(server, event, outcome, spent)]
        may_crash = self._bounds.may_crash(self._servers.states[server].id)
        if may_crash and not self._bounds.writes:
            for write in range(outcome.begun_writes):
                died = self._step(server, Fatal(event, write))
                if died is not None and (spent or died.sends or write):  # else it is as if it had crashed before
                    moves.append(self._move(server, Fatal(event, write), died, (*spent, CRASH)))
        return moves

    def _step(self, server: int, event: Event | Fatal) -> Outcome | None:
        self.core_steps += 1
        state = self._servers.states[server]
        try:
            return self._stepper.step(state, event)
        except Broken as broken:
            broken.at(state.id, event)
            raise

    def _move(self, number: int, event: Event | Fatal, outcome: Outcome, spent: tuple[int, ...]) -> Move:
        before = self._servers.views[number]
        try:
            server = self._servers.number_of(outcome.server)
            after = self._servers.views[server]
            check_step(before, after, self._require, is_same_life=not outcome.crashed)
        except Broken as broken:
            broken.at(before.id, event)
            raise
        fact = self._fact(number, server, spent)
        changes = self._changes_of(before.id, outcome)
        does_more = outcome.frame is not None or outcome.ended_writes or outcome.crashed or fact is not None
        idle = None
        if server == number and not spent and not does_more:
            idle = mask_of([self._network.number_of(Packet(*send)) for send in outcome.sends])
        return Move(server, changes, fact, spent, event, idle)

    def _fact(self, before: int, after: int, spent: tuple[int, ...]) -> Fact | None:
        fact = fact_of(self._servers.views[before], self._servers.views[after], spent)
        return fact and self._facts.setdefault(fact, fact)

    def _changes_of(self, stepped: ServerId, outcome: Outcome) -> tuple[tuple[int, Effect | None, Mask], ...]:
        added: dict[ServerId, Mask] = {}
        for send in outcome.sends:
            packet = Packet(*send)
            added[packet.owner] = added.get(packet.owner, 0) | 1 << self._network.number_of(packet)
        moves_held = self._bounds.writes > 0 and (outcome.ended_writes > 0 or outcome.crashed)
        changes = []
        for server_id in self._bounds.ids:
            frame = outcome.frame if server_id == stepped else None
            effect = None
            if moves_held or frame is not None:
                ended = outcome.ended_writes if moves_held else 0
                effect = self._renumbering(Renumbering(stepped, frame, ended, outcome.crashed and moves_held))
            if effect is not None or server_id in added:
                changes.append((server_id - 1, effect, added.get(server_id, 0)))
        return tuple(changes)

    def _renumbering(self, change: Renumbering) -> Effect:
        effect = self._renumberings.get(change)
        if effect is None:
            network = self._network
            effect = self._renumberings[change] = Effect(
                lambda number: network.renumbered(number, change) != number, lambda mask: network.after(mask, change)
            )
            self._effects[effect] = change
        return effect


def _union(moves: list[Move]) -> Mask:
    """All that moves send which do nothing else."""
    mask = 0
    for move in moves:
        mask |= move.idle or 0
    return mask
