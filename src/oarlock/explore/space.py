"""All states there are: made of few different parts, each worked out once.

A state is a number for each server, a number for what is under way to and from each, and one for history. A step
touches one server and few parts, so it is looked up.
"""

from collections.abc import Iterator, Sequence
from struct import Struct
from typing import Final

from oarlock.explore import numbers
from oarlock.explore.bounds import Bounds, Renaming
from oarlock.explore.choices import Act, Acts, Choices, Menu
from oarlock.explore.closure import Closures
from oarlock.explore.history import (
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
from oarlock.explore.numbers import Memory, Table
from oarlock.explore.properties import check_change, check_pair
from oarlock.explore.server import Stepper
from oarlock.explore.servers import Servers
from oarlock.explore.standing import Names, Settlers, Standing, Standings
from oarlock.explore.symmetry import Orders
from oarlock.explore.violation import Broken, requirement

Key = bytes
"""A state: four bytes for each of its parts."""

_VALUES_OF_A_STANDING: Final = 16
"""As much as that many values of tables take."""

After = tuple[Standing, Sequence[int], int, Move]
"""What a step leads to, under the names that servers had before: the servers, what is under way from and for each,
history; and the step."""


class Space:
    """The states of a cluster, and the steps between them.

    Args:
        bounds: What may happen.
    """

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.renamings = bounds.renamings()
        self.network = Network()
        self._memory = Memory()
        self._require = requirement(bounds.ignored)
        self._stepper = Stepper(bounds)
        self.servers = Servers(bounds, self._stepper, self._require)
        self.moves = Moves(bounds, self._stepper, self.servers, self.network, self._require)
        without_crash, with_crash = [
            Closures(self.servers, self.network, self.moves, self._memory, may_crash=may_crash, eager=bounds.eager)
            for may_crash in (False, True)
        ]
        self._closures = (without_crash, with_crash)
        self._count = bounds.servers
        self._acts = Acts(self.servers, self.network, self._closures, self._memory, self._count)
        self._menus: dict[int, Menu] = {}
        self._choices: dict[tuple[int, int], Choices] = {}
        self._standings = Standings(self._stand)
        self.histories: list[History] = []
        self._history_numbers: dict[History, int] = {}
        self._later: dict[Fact, Table] = {}
        self._spent: list[tuple[int, ...]] = []
        """What happened, each once."""
        self._spent_by: list[int] = []
        """Of each history, the number of what happened."""
        self._limits = (bounds.entries, bounds.crashes, bounds.changes, bounds.snapshots)
        self._struct = Struct(f"<{2 * self._count + 1}I")
        self.key_bytes = self._struct.size
        self.pack, self.unpack = self._struct.pack, self._struct.unpack
        self._orders = Orders(self.renamings)
        self._owners = [tuple([renaming.index(name) for name in bounds.ids]) for renaming in self.renamings]
        self._part_images = [self._part_image(renaming) for renaming in self.renamings]
        self._history_images = [self._history_image(renaming) for renaming in self.renamings]
        self._sound_pairs: set[int] = set()
        self._sound_histories: set[int] = set()

    # -- states ----------------------------------------------------------------------------------------------------

    def first(self) -> Key:
        """Where everything begins."""
        servers = [self.servers.number_of(self._stepper.first(server_id)) for server_id in self.bounds.ids]
        history = self._number_of_history(first_history(self.bounds))
        return self.canonical(self._standings[tuple(servers)], (0,) * self._count, history)

    def canonical(self, standing: Standing, under_way: Sequence[int], history: int) -> Key:
        """The one state for all that differ only in names."""
        names = standing.names
        if not names:
            return self.pack(*standing.servers, *under_way, history)
        if len(names) == 1:
            servers, owners, parts, histories = names[0]
            return self.pack(*servers, *[parts[under_way[owner]] for owner in owners], histories[history])
        states = [
            (*servers, *[parts[under_way[owner]] for owner in owners], histories[history])
            for servers, owners, parts, histories in names
        ]
        return self.pack(*min(states))

    def renamed(self, parts: Sequence[int], number: int) -> list[int]:
        """A state under the names of a renaming, by its number."""
        count = self._count
        servers, owners, images, histories = self._names(parts[:count], number)
        return [*servers, *[images[parts[count + owner]] for owner in owners], histories[parts[-1]]]

    def check(self, standing: Standing, history: int) -> None:
        """Check servers against history; against each other they were checked when they first stood together.

        Raises:
            Broken: A property does not hold.
        """
        sound = self._sound_histories
        for server in standing.servers:
            if (of_history := server << 32 | history) not in sound:
                held, view = self.histories[history], self.servers.views[server]
                check_committed(view, held, self._require)
                check_change(view, len(held.committed), self._require)
                sound.add(of_history)

    def _stand(self, servers: tuple[int, ...]) -> Standing:
        views, sound = self.servers.views, self._sound_pairs
        for place, server in enumerate(servers):
            for other in servers[:place]:
                if (pair := server << 32 | other) not in sound:
                    check_pair(views[other], views[server], self._require)
                    sound.add(pair)
        self._memory.known += _VALUES_OF_A_STANDING
        kinds = self.servers.kinds
        orders = self._orders.of([kinds[server] for server in servers])
        return Standing(servers, tuple([self._names(servers, order) for order in orders]) if orders != (0,) else ())

    def _names(self, servers: Sequence[int], number: int) -> Names:
        images, owners = self.servers.images[number], self._owners[number]
        renamed = tuple([images[servers[owner]] for owner in owners])
        return Names(renamed, owners, self._part_images[number], self._history_images[number])

    # -- steps -----------------------------------------------------------------------------------------------------

    def steps(self, parts: Sequence[int]) -> Iterator[After]:
        """Every step from a state that changes it: where it leads, under the names it has here, and what it is.

        Raises:
            Broken: A step breaks a property.
        """
        if self._memory.known > numbers.MOST_KNOWN:
            self._forget()
        count, history = self._count, parts[-1]
        standing, under_way = self._standings[tuple(parts[:count])], [*parts[count:-1]]
        spent = self._spent_by[history]
        for menu, choices in standing.choices.get(spent) or self._choose(standing, spent):
            bits = 0
            for part in under_way:
                bits |= menu[part]
            for act in choices[bits]:
                later = history if act.fact is None else self._later_history(history, act.move, standing)
                target = standing.next.get(act.server) or self._next(standing, act.move)
                try:
                    new = self._under_way_after(act, target, under_way)
                except Broken as broken:
                    broken.comes_after = (act.server, act.move.event)
                    raise
                if target is not standing or later != history or new != under_way:
                    yield target, new, later, act.move

    def _under_way_after(self, act: Act, target: Standing, under_way: list[int]) -> list[int]:
        """What is under way after a step, and after all that follows by itself."""
        settlers = target.settlers[act.may_crash] or self._settle(target, may_crash=act.may_crash)
        new = under_way.copy()
        for owner, table in act.tables:
            after = table[new[owner]]
            if after == new[owner] and not act.is_last_crash:
                continue
            before = -1
            while after != before:
                before = after
                for settler in settlers[owner]:
                    after = settler[after]
            new[owner] = after
        return new

    def parts(self, after: After) -> list[int]:
        """The parts of the state that a step leads to."""
        standing, under_way, history, _move = after
        return [*standing.servers, *under_way, history]

    def _choose(self, standing: Standing, spent: int) -> tuple[tuple[Menu, Choices], ...]:
        pairs = [self._choices_of(server, spent) for server in standing.servers]
        standing.choices[spent] = chosen = tuple([(choices.menu, choices) for choices in pairs])
        return chosen

    def _choices_of(self, server: int, spent: int) -> Choices:
        choices = self._choices.get((server, spent))
        if choices is None:
            menu = self._menus.get(server)
            if menu is None:
                menu = self._menus[server] = Menu(server, self.moves, self.network, self._memory)
            counts = self._spent[spent]
            left = tuple([limit - held for limit, held in zip(self._limits, counts, strict=True)])
            given = self.moves.local(server)
            if left[PROPOSAL] and self.servers.views[server].is_leader:
                given = given + self.moves.proposals(server, counts[PROPOSAL])
            choices = self._choices[server, spent] = Choices(given, menu, self._acts, left)
        return choices

    def _next(self, standing: Standing, move: Move) -> Standing:
        try:
            target = self._standings[tuple(self._with(standing, move.server))]
        except Broken as broken:
            broken.at(self.servers.states[move.server].id, move.event)
            raise
        standing.next[move.server] = target
        return target

    def _with(self, standing: Standing, server: int) -> list[int]:
        servers = [*standing.servers]
        servers[self.servers.states[server].id - 1] = server
        return servers

    def _settle(self, standing: Standing, *, may_crash: bool) -> Settlers:
        """What becomes of what is under way, where the servers stay as they are."""
        closures = self._closures[may_crash]
        settlers = standing.settlers[may_crash] = tuple(
            [
                (
                    closures.table(own, owns=True),
                    *[closures.table(other, owns=False) for other in standing.servers if other != own],
                )
                for own in standing.servers
            ]
        )
        return settlers

    def _forget(self) -> None:
        """Forget what can be worked out again."""
        self._memory.forget()
        self._standings.clear()

    # -- history ---------------------------------------------------------------------------------------------------

    def _later_history(self, history: int, move: Move, standing: Standing) -> int:
        fact = move.fact
        if fact is None:
            return history
        table = self._later.get(fact)
        if table is None:
            table = self._later[fact] = self._extended(fact)
        try:
            later = table[history]
            if len(self.histories[later].committed) > len(self.histories[history].committed):
                views = [self.servers.views[server] for server in self._with(standing, move.server)]
                check_quorum(self.histories[later], fact, views, self._require)
        except Broken as broken:
            broken.at(self.servers.states[move.server].id, move.event)
            raise
        return later

    def _extended(self, fact: Fact) -> Table:
        return Table(
            lambda history: self._number_of_history(extend(self.histories[history], fact, self._require)), self._memory
        )

    def _number_of_history(self, history: History) -> int:
        number = self._history_numbers.get(history)
        if number is None:
            number = self._history_numbers[history] = len(self.histories)
            self.histories.append(history)
            if history.spent not in self._spent:
                self._spent.append(history.spent)
            self._spent_by.append(self._spent.index(history.spent))
        return number

    # -- other names -----------------------------------------------------------------------------------------------

    def _part_image(self, renaming: Renaming) -> Table:
        return Table(lambda part: self.network.renamed(part, renaming), self._memory)

    def _history_image(self, renaming: Renaming) -> Table:
        return Table(lambda history: self._number_of_history(self.histories[history].renamed(renaming)), self._memory)
