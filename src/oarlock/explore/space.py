"""All states there are: made of few different parts, each worked out once.

A state is a number for each server, a number for what is under way to and from each, and one for history. A step
touches one server and few parts, so it is looked up.
"""

from collections.abc import Iterator, Sequence
from struct import Struct

from oarlock.explore.bounds import Bounds, Renaming
from oarlock.explore.closure import Closures
from oarlock.explore.effects import Mask
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
        self.servers = Servers(bounds, self._stepper, self._require)
        self.moves = Moves(bounds, self._stepper, self.servers, self.network, self._require)
        self._closures = [
            Closures(self.servers, self.network, self.moves, may_crash=may_crash, eager=bounds.eager)
            for may_crash in (False, True)
        ]
        self.histories: list[History] = []
        self._history_numbers: dict[History, int] = {}
        self._later: dict[Fact, Table] = {}
        self._limits = (bounds.entries, bounds.crashes, bounds.changes, bounds.snapshots)
        self._count = bounds.servers
        self._struct = Struct(f"<{2 * self._count + 1}I")
        self.key_bytes = self._struct.size
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
        count, numbers, number_of_part = self._count, self.network.masks, self.network.number_of_part
        history = parts[-1]
        servers = list(parts[:count])
        masks = [numbers[part] for part in parts[count:-1]]
        spent, limits = self.histories[history].spent, self._limits
        crashes_left = limits[CRASH] - spent[CRASH]
        for place in range(count):
            for move in self._moves_of(servers[place], masks, spent):
                cost = move.spent
                if cost >= 0 and spent[cost] >= limits[cost]:
                    continue
                new, under_way = servers.copy(), masks.copy()
                new[place] = move.server
                for owner, effect, added in move.changes:
                    mask = under_way[owner]
                    under_way[owner] = (effect(mask) if effect is not None else mask) | added
                later = history if move.fact is None else self._later_history(history, move, new)
                if cost == CRASH and crashes_left == 1:
                    self._settle(new, under_way, self._closures[False])
                else:
                    self._settle(new, under_way, self._closures[crashes_left > (cost == CRASH)], masks, place)
                if later != history or new != servers or under_way != masks:
                    yield [*new, *map(number_of_part, under_way), later], move

    def _moves_of(self, server: int, masks: list[Mask], spent: tuple[int, ...]) -> list[Move]:
        moves = self.moves
        found = moves.local(server)
        if spent[PROPOSAL] < self._limits[PROPOSAL] and self.servers.views[server].is_leader:
            found = found + moves.proposals(server, spent[PROPOSAL])
        under_way = 0
        for mask in masks:
            under_way |= mask
        return found + moves.arrivals(server, under_way)

    def _settle(
        self, servers: list[int], masks: list[Mask], closures: Closures, old: Sequence[Mask] = (), place: int = 0
    ) -> None:
        """Tidy what is under way, and add to it what servers send though they stay as they are.

        Args:
            servers: The servers.
            masks: What is under way from and for each; changed here.
            closures: What becomes of it.
            old: What was under way before a step, and settled, if so.
            place: Who stepped.
        """
        others = [closures[2 * server] for server in servers]
        for owner, given in enumerate(masks):
            own, mask = closures[2 * servers[owner] + 1], given
            if old and mask == old[owner]:
                mask = own(mask) if owner == place else others[place](mask)
                if mask == given:
                    continue
            before = -1
            while mask != before:
                before = mask
                mask = own(mask)
                for at, closure in enumerate(others):
                    if at != owner:
                        mask = closure(mask)
            masks[owner] = mask

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
                views = [self.servers.views[server] for server in new]
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
