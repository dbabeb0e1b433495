"""All states there are: made of few different parts, each worked out once.

A state is a number for each server, a number for what is under way to and from each, and one for history. A step
touches one server and few parts, so it is looked up: the core runs once for each different server and event.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from struct import Struct
from typing import Final, NamedTuple

from oarlock.explore.bounds import Bounds, Renaming
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
from oarlock.explore.frozen import server_places
from oarlock.explore.history import (
    CHANGE,
    CRASH,
    PROPOSAL,
    SNAPSHOT,
    Fact,
    History,
    check_committed,
    check_quorum,
    extend,
    fact_of,
    first_history,
)
from oarlock.explore.network import Change as PartChange
from oarlock.explore.network import Network
from oarlock.explore.packets import Packet
from oarlock.explore.properties import check_change, check_pair, check_server, check_step
from oarlock.explore.renaming import rename, rename_core
from oarlock.explore.server import Outcome, ServerState, Stepper
from oarlock.explore.symmetry import Orders
from oarlock.explore.tidying import Tidier
from oarlock.explore.view import View, view_of
from oarlock.explore.violation import Broken, requirement

Key = bytes
"""A state: four bytes for each of its parts."""

_MOST_MOVES: Final = 200_000
"""Pairs of a server and a part whose moves are kept."""


class Table(dict[int, int]):
    """A function of numbers that is worked out where it is asked for."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[[int], int]) -> None:
        super().__init__()
        self._function = function

    def __missing__(self, number: int) -> int:
        value = self[number] = self._function(number)
        return value

    __eq__ = object.__eq__
    __hash__ = object.__hash__  # type: ignore[assignment]


class Move(NamedTuple):
    """A step of one server, as numbers."""

    server: int
    """What the server becomes."""
    changes: tuple[tuple[int, Table], ...]
    """Places in a state, and what becomes of what is there."""
    fact: "FactTable | None"
    spent: int
    """Which of the bounds it counts against; -1 for none."""
    event: Event | Fatal


class FactTable(Table):
    """What a fact makes of a history."""

    __slots__ = ("fact",)

    def __init__(self, fact: Fact, function: Callable[[int], int]) -> None:
        super().__init__(function)
        self.fact = fact


class Space:
    """The states of a cluster, and the steps between them.

    Args:
        bounds: What may happen.
    """

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.stepper = Stepper(bounds)
        self._require = requirement(bounds.ignored)
        self.network = Network()
        self.renamings = bounds.renamings()
        self.servers: list[ServerState] = []
        self.views: list[View] = []
        self.histories: list[History] = []
        self._limits = (bounds.entries, bounds.crashes, bounds.changes, bounds.snapshots)
        self._count = bounds.servers
        self._struct = Struct(f"<{2 * self._count + 1}I")
        self.pack, self.unpack = self._struct.pack, self._struct.unpack
        self._orders = Orders(self.renamings)
        self._server_numbers: dict[ServerState, int] = {}
        self._kinds: list[int] = []
        """Of each server state, what it is but for names."""
        self._images: list[list[int]] = [[] for _ in self.renamings]
        """Of each renaming, what each server state becomes."""
        self._part_images = [Table(self._part_image(renaming)) for renaming in self.renamings]
        self._history_numbers: dict[History, int] = {}
        self._history_images = [Table(self._history_image(renaming)) for renaming in self.renamings]
        self._tidiers: tuple[list[Table], list[Table]] = ([], [])
        """Of each server state, without crashes to come and with."""
        self._changes: dict[PartChange, Table] = {}
        self._facts: dict[Fact, FactTable] = {}
        self._local: dict[int, list[Move]] = {}
        self._proposals: dict[tuple[int, int], list[Move]] = {}
        self._deliveries: dict[tuple[int, int], list[Move]] = {}
        self._moves: dict[int, list[Move]] = {}
        self._sound_pairs: set[int] = set()
        self._sound_histories: set[int] = set()
        self.core_steps = 0
        """How many times a core was given an event."""

    # -- states ----------------------------------------------------------------------------------------------------

    def first(self) -> Key:
        """Where everything begins."""
        servers = [self._number_of_server(self.stepper.first(server_id)) for server_id in self.bounds.ids]
        history = self._number_of_history(first_history(self.bounds))
        return self.canonical([*servers, *[0] * self._count, history])

    def canonical(self, parts: list[int]) -> Key:
        """The one state for all that differ only in names."""
        kinds = self._kinds
        count = self._count
        orders = self._orders.of([kinds[server] for server in parts[:count]])
        if len(orders) == 1:
            return self.pack(*(self._renamed(parts, orders[0]) if orders[0] else parts))
        return self.pack(*min([self._renamed(parts, order) for order in orders]))

    def _renamed(self, parts: list[int], number: int) -> list[int]:
        count = self._count
        images, part_images = self._images[number], self._part_images[number]
        renamed = [0] * (2 * count + 1)
        for place, name in enumerate(self.renamings[number]):
            renamed[name - 1] = images[parts[place]]
            renamed[count + name - 1] = part_images[parts[count + place]]
        renamed[-1] = self._history_images[number][parts[-1]]
        return renamed

    def check(self, parts: Sequence[int]) -> None:
        """Check a state's servers in pairs, and against history.

        Raises:
            Broken: A property does not hold.
        """
        servers, history = parts[: self._count], parts[-1]
        sound_pairs, sound_histories = self._sound_pairs, self._sound_histories
        for place, server in enumerate(servers):
            if (of_history := server << 32 | history) not in sound_histories:
                self._check_with_history(server, history)
                sound_histories.add(of_history)
            for other in servers[:place]:
                if (pair := server << 32 | other) not in sound_pairs:
                    check_pair(self.views[other], self.views[server], self._require)
                    sound_pairs.add(pair)

    def _check_with_history(self, server: int, history: int) -> None:
        view, held = self.views[server], self.histories[history]
        check_committed(view, held, self._require)
        check_change(view, len(held.committed), self._require)

    # -- steps -----------------------------------------------------------------------------------------------------

    def steps(self, key: Key) -> Iterator[tuple[list[int], int, Move]]:
        """Every step from a state: where it leads, under the names it has here; who makes it; what it is.

        Raises:
            Broken: A step breaks a property.
        """
        return self.steps_from(list(self.unpack(key)))

    def steps_from(self, parts: list[int]) -> Iterator[tuple[list[int], int, Move]]:
        """The steps from a state under any names.

        Raises:
            Broken: A step breaks a property.
        """
        count = self._count
        spent, limits = self.histories[parts[-1]].spent, self._limits
        for place in range(count):
            for move in self._moves_of(parts, place, spent):
                if move.spent >= 0 and spent[move.spent] >= limits[move.spent]:
                    continue
                new = parts.copy()
                new[place] = move.server
                for at, table in move.changes:
                    new[at] = table[new[at]]
                if move.fact is not None:
                    new[-1] = self._history_after(parts[-1], move, new)
                crashes_left = limits[CRASH] - spent[CRASH] - (move.spent == CRASH)
                is_new_age = move.spent == CRASH and not crashes_left
                self._tidy(parts, new, place, self._tidiers[crashes_left > 0], is_new_age=is_new_age)
                if new != parts:
                    yield new, place, move

    def _tidy(self, old: list[int], new: list[int], place: int, tables: list[Table], *, is_new_age: bool) -> None:
        """Tidy the parts of a state that a server's step led to; the state before it is tidy.

        It is not, in a new age: from when on no server can crash.
        """
        count = self._count
        stepped = tables[new[place]]
        for at in range(count, 2 * count):
            part, owner = new[at], at - count
            own = tables[new[owner]]
            if owner == place or is_new_age:
                part = own[part]
                for each in range(count):
                    if each != owner:
                        part = tables[new[each]][part]
                part = own[part]
            else:
                if part != old[at]:
                    part = own[part]
                part = stepped[part]
                if part != old[at]:
                    part = own[part]
            new[at] = part

    def _moves_of(self, parts: list[int], place: int, spent: tuple[int, ...]) -> Iterator[Move]:
        server, count = parts[place], self._count
        local = self._local.get(server)
        if local is None:
            local = self._local[server] = self._local_moves(server)
        yield from local
        if self.views[server].is_leader and spent[PROPOSAL] < self._limits[PROPOSAL]:
            yield from self._propose(server, spent[PROPOSAL])
        moves = self._moves
        for at in range(count, 2 * count):
            pair = server << 32 | parts[at]
            found = moves.get(pair)
            if found is None:
                if len(moves) >= _MOST_MOVES:
                    moves.clear()
                found = moves[pair] = self._arrivals(server, place, parts[at])
            yield from found

    def _local_moves(self, server: int) -> list[Move]:
        bounds = self.bounds
        events: list[tuple[Event, int]] = [(TimeOut(), -1), (EndWrite(), -1)]
        if bounds.heartbeats:
            events += [(Heartbeat(), -1), (News(), -1)]
        if bounds.check_quorum:
            events.append((LoseMajority(), -1))
        if bounds.snapshots:
            events.append((Compact(), SNAPSHOT))
        if bounds.changes:
            events += [(Change(each), CHANGE) for each in bounds.targets(self.views[server].configuration)]
        moves = [move for event, spent in events for move in self._outcomes(server, event, spent)]
        if bounds.crashes:
            moves += self._outcomes(server, Crash(), CRASH)
        return moves

    def _propose(self, server: int, number: int) -> list[Move]:
        found = self._proposals.get((server, number))
        if found is None:
            event = Propose(b"abcdefghi"[number : number + 1])
            found = self._proposals[server, number] = self._outcomes(server, event, PROPOSAL)
        return found

    def _arrivals(self, server: int, place: int, part: int) -> list[Move]:
        found: dict[tuple[object, ...], Move] = {}
        for number in self.network.parts[part]:
            to, message, held = self.network.packets[number]
            if to != place + 1 or held:
                continue
            moves = self._deliveries.get((server, number))
            if moves is None:
                moves = self._outcomes(server, Deliver(message), -1) + self._outcomes(
                    server, Deliver(message, True), -1
                )
                self._deliveries[server, number] = moves
            for move in moves:
                if (
                    move.server == server
                    and move.fact is None
                    and all(table[part] == part for _, table in move.changes)
                ):
                    continue
                found.setdefault((move.server, move.changes, move.fact, move.spent), move)
        return list(found.values())

    def _outcomes(self, number: int, event: Event, spent: int) -> list[Move]:
        """What an event may lead to: to nothing, if it cannot happen; to more than one end, if a crash may come in."""
        outcome = self._step(number, event)
        if outcome is None:
            return []
        moves = [self._move(number, event, outcome, spent)]
        if self.bounds.crashes and not self.bounds.writes and not isinstance(event, Crash) and spent < 0:
            write = 0
            while (died := self._step(number, Fatal(event, write))) is not None:
                if died.sends:  # else it is as if it had crashed before
                    moves.append(self._move(number, Fatal(event, write), died, CRASH))
                write += 1
        return moves

    def _step(self, number: int, event: Event | Fatal) -> Outcome | None:
        self.core_steps += 1
        try:
            return self.stepper.step(self.servers[number], event)
        except Broken as broken:
            broken.at(self.servers[number].id, event)
            raise

    def rules(self, number: int, event: Event | Fatal) -> list[str]:
        """The rules that act when a server takes an event, in order, each once."""
        acted: dict[str, None] = {}
        with suppress(Broken):
            self.stepper.step(self.servers[number], event, lambda rule, _operands: acted.setdefault(rule))
        return list(acted)

    def _move(self, number: int, event: Event | Fatal, outcome: Outcome, spent: int) -> Move:
        before = self.views[number]
        try:
            server = self._number_of_server(outcome.server)
            after = self.views[server]
            check_step(before, after, self._require, is_same_life=not outcome.crashed)
        except Broken as broken:
            broken.at(before.id, event)
            raise
        added: dict[int, list[int]] = {}
        for send in outcome.sends:
            packet = Packet(*send)
            added.setdefault(packet.owner, []).append(self.network.number_of(packet))
        moves_held = self.bounds.writes > 0 and (outcome.ended_writes > 0 or outcome.crashed)
        changes = []
        for server_id in self.bounds.ids:
            is_own = server_id == before.id
            if server_id not in added and not moves_held and not (is_own and outcome.frame is not None):
                continue
            change = PartChange(
                before.id,
                tuple(sorted(added.get(server_id, ()))),
                outcome.frame if is_own else None,
                outcome.ended_writes if moves_held else 0,
                outcome.crashed and moves_held,
            )
            changes.append((self._count + server_id - 1, self._change_table(change)))
        fact = fact_of(before, after, spent if spent >= 0 else None)
        return Move(server, tuple(changes), self._fact_table(fact) if fact is not None else None, spent, event)

    def _history_after(self, history: int, move: Move, new: list[int]) -> int:
        fact = move.fact
        assert fact is not None  # noqa: S101
        try:
            after = fact[history]
            if len(self.histories[after].committed) > len(self.histories[history].committed):
                views = [self.views[server] for server in new[: self._count]]
                check_quorum(self.histories[after], fact.fact, views, self._require)
        except Broken as broken:
            broken.at(self.servers[move.server].id, move.event)
            raise
        return after

    # -- numbers ---------------------------------------------------------------------------------------------------

    def _number_of_server(self, server: ServerState) -> int:
        number = self._server_numbers.get(server)
        if number is not None:
            return number
        images = [self._add_server(_rename_server(server, renaming)) for renaming in self.renamings]
        kind = min(images)
        for image in images:
            self._kinds[image] = kind
            for number_of_renaming, renaming in enumerate(self.renamings):
                renamed = self._server_numbers[_rename_server(self.servers[image], renaming)]
                self._images[number_of_renaming][image] = renamed
        check_server(self.views[images[0]], self._require)
        return images[0]

    def _add_server(self, server: ServerState) -> int:
        number = self._server_numbers.get(server)
        if number is None:
            number = self._server_numbers[server] = len(self.servers)
            self.servers.append(server)
            view = view_of(server, self.stepper.thaw(server).state)
            self.views.append(view)
            for may_crash, tidiers in enumerate(self._tidiers):
                tidiers.append(self._tidier_table(Tidier(view, self.bounds, may_crash=bool(may_crash))))
            self._kinds.append(0)
            for images in self._images:
                images.append(0)
        return number

    def _number_of_history(self, history: History) -> int:
        number = self._history_numbers.get(history)
        if number is None:
            number = self._history_numbers[history] = len(self.histories)
            self.histories.append(history)
        return number

    def _part_image(self, renaming: Renaming) -> Callable[[int], int]:
        return lambda part: self.network.renamed(part, renaming)

    def _history_image(self, renaming: Renaming) -> Callable[[int], int]:
        return lambda history: self._number_of_history(self.histories[history].renamed(renaming))

    def _change_table(self, change: PartChange) -> Table:
        table = self._changes.get(change)
        if table is None:
            table = self._changes[change] = Table(lambda part: self.network.after(part, change))
        return table

    def _fact_table(self, fact: Fact) -> FactTable:
        table = self._facts.get(fact)
        if table is None:
            table = self._facts[fact] = FactTable(
                fact, lambda history: self._number_of_history(extend(self.histories[history], fact, self._require))
            )
        return table

    def _tidier_table(self, tidier: Tidier) -> Table:
        return Table(lambda part: self.network.tidied(part, tidier))


def _rename_server(server: ServerState, renaming: Renaming) -> ServerState:
    return ServerState(
        renaming[server.id - 1],
        rename_core(server.core, renaming, server_places),
        rename(server.disk, renaming),
        rename(server.writing, renaming),
    )
