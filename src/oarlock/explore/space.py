"""All states there are: made of few different parts, each worked out once.

A state is a number for each server, a number for what is under way to and from each, and one for history. A step
touches one server and few parts, so it is looked up.
"""

from collections.abc import Iterator, Sequence
from struct import Struct

from oarlock.explore.bounds import Bounds, Renaming
from oarlock.explore.history import (
    CRASH,
    PROPOSAL,
    Fact,
    History,
    check_committed,
    check_quorum,
    extend,
    first_history,
)
from oarlock.explore.moves import Move, Moves
from oarlock.explore.network import Network
from oarlock.explore.numbers import Table
from oarlock.explore.properties import check_change, check_pair
from oarlock.explore.server import Stepper
from oarlock.explore.servers import Servers
from oarlock.explore.symmetry import Orders
from oarlock.explore.violation import Broken, requirement

Key = bytes
"""A state: four bytes for each of its parts."""


class Space:
    """The states of a cluster, and the steps between them.

    Args:
        bounds: What may happen.
    """

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.renamings = bounds.renamings()
        self.network = Network()
        self._require = requirement(bounds.ignored)
        self._stepper = Stepper(bounds)
        self.servers = Servers(bounds, self._stepper, self.network, self._require)
        self.moves = Moves(bounds, self._stepper, self.servers, self.network, self._require)
        self.histories: list[History] = []
        self._history_numbers: dict[History, int] = {}
        self._later: dict[Fact, Table] = {}
        self._limits = (bounds.entries, bounds.crashes, bounds.changes, bounds.snapshots)
        self._count = bounds.servers
        self._struct = Struct(f"<{2 * self._count + 1}I")
        self.pack, self.unpack = self._struct.pack, self._struct.unpack
        self._orders = Orders(self.renamings)
        self._part_images = [self._part_image(renaming) for renaming in self.renamings]
        self._history_images = [self._history_image(renaming) for renaming in self.renamings]
        self._sound_pairs: set[int] = set()
        self._sound_histories: set[int] = set()

    # -- states ----------------------------------------------------------------------------------------------------

    def first(self) -> Key:
        """Where everything begins."""
        servers = [self.servers.number_of(self._stepper.first(server_id)) for server_id in self.bounds.ids]
        history = self._number_of_history(first_history(self.bounds))
        return self.canonical([*servers, *[0] * self._count, history])

    def canonical(self, parts: list[int]) -> Key:
        """The one state for all that differ only in names."""
        kinds = self.servers.kinds
        orders = self._orders.of([kinds[server] for server in parts[: self._count]])
        if len(orders) == 1:
            return self.pack(*(self.renamed(parts, orders[0]) if orders[0] else parts))
        return self.pack(*min([self.renamed(parts, order) for order in orders]))

    def renamed(self, parts: Sequence[int], number: int) -> list[int]:
        """A state under the names of a renaming, by its number."""
        count = self._count
        images, part_images = self.servers.images[number], self._part_images[number]
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
        views = self.servers.views
        for place, server in enumerate(servers):
            if (of_history := server << 32 | history) not in sound_histories:
                held = self.histories[history]
                check_committed(views[server], held, self._require)
                check_change(views[server], len(held.committed), self._require)
                sound_histories.add(of_history)
            for other in servers[:place]:
                if (pair := server << 32 | other) not in sound_pairs:
                    check_pair(views[other], views[server], self._require)
                    sound_pairs.add(pair)

    # -- steps -----------------------------------------------------------------------------------------------------

    def steps(self, parts: Sequence[int]) -> Iterator[tuple[list[int], Move]]:
        """Every step from a state that changes it: where it leads, under the names it has here, and what it is.

        Raises:
            Broken: A step breaks a property.
        """
        parts = list(parts)
        spent, limits = self.histories[parts[-1]].spent, self._limits
        crashes_left = limits[CRASH] - spent[CRASH]
        tidiers = self.servers.tidiers[crashes_left > 0]
        for place in range(self._count):
            for move in self._moves_of(parts, place, spent):
                server, changes, fact, cost, _event = move
                if cost >= 0 and spent[cost] >= limits[cost]:
                    continue
                new = parts.copy()
                new[place] = server
                for at, table in changes:
                    new[at] = table[new[at]]
                if fact is not None:
                    new[-1] = self._later_history(parts[-1], move, new)
                if cost == CRASH and crashes_left == 1:
                    self._tidy_all(new)
                else:
                    self._tidy(parts, new, place, tidiers)
                if new != parts:
                    yield new, move

    def _moves_of(self, parts: list[int], place: int, spent: tuple[int, ...]) -> list[Move]:
        server, moves = parts[place], self.moves
        found = moves.local(server).copy()
        if spent[PROPOSAL] < self._limits[PROPOSAL] and self.servers.views[server].is_leader:
            found += moves.proposals(server, spent[PROPOSAL])
        for part in parts[self._count : -1]:
            if part:
                found += moves.arrivals(server, part)
        return found

    def _tidy(self, old: list[int], new: list[int], place: int, tidiers: list[Table]) -> None:
        """Tidy what a server's step led to; what it came from is tidy."""
        count = self._count
        stepped = tidiers[new[place]]
        is_idle = new[place] == old[place]
        for owner in range(count):
            at = count + owner
            part = new[at]
            if part == old[at]:
                if is_idle:
                    continue
                part = stepped[part]
                if part != old[at]:
                    part = tidiers[new[owner]][part]
            elif owner != place:
                own = tidiers[new[owner]]
                part = own[stepped[own[part]]]
            else:
                part = stepped[part]
                for server in new[:count]:
                    part = tidiers[server][part]
                part = stepped[part]
            new[at] = part

    def _tidy_all(self, new: list[int]) -> None:
        """Tidy all after the last crash there can be: more is tidied away from now on."""
        count = self._count
        tidiers = self.servers.tidiers[False]
        for owner in range(count):
            own = tidiers[new[owner]]
            part = own[new[count + owner]]
            for server in new[:count]:
                part = tidiers[server][part]
            new[count + owner] = own[part]

    # -- history ---------------------------------------------------------------------------------------------------

    def _later_history(self, history: int, move: Move, new: list[int]) -> int:
        fact = move.fact
        if fact is None:
            return history
        table = self._later.get(fact)
        if table is None:
            table = self._later[fact] = self._extended(fact)
        try:
            later = table[history]
            if len(self.histories[later].committed) > len(self.histories[history].committed):
                views = [self.servers.views[server] for server in new[: self._count]]
                check_quorum(self.histories[later], fact, views, self._require)
        except Broken as broken:
            broken.at(self.servers.states[move.server].id, move.event)
            raise
        return later

    def _extended(self, fact: Fact) -> Table:
        return Table(lambda history: self._number_of_history(extend(self.histories[history], fact, self._require)))

    def _number_of_history(self, history: History) -> int:
        number = self._history_numbers.get(history)
        if number is None:
            number = self._history_numbers[history] = len(self.histories)
            self.histories.append(history)
        return number

    # -- other names -----------------------------------------------------------------------------------------------

    def _part_image(self, renaming: Renaming) -> Table:
        return Table(lambda part: self.network.renamed(part, renaming))

    def _history_image(self, renaming: Renaming) -> Table:
        return Table(lambda history: self._number_of_history(self.histories[history].renamed(renaming)))
