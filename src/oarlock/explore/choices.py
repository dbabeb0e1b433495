"""What a server may do next, looked up by numbers: by its own, by what is under way, and by what is still allowed."""

from oarlock.explore.closure import Closures
from oarlock.explore.effects import Effect, Mask, members
from oarlock.explore.history import CRASH, Fact
from oarlock.explore.moves import Move, Moves
from oarlock.explore.network import Network
from oarlock.explore.numbers import Memory, Table
from oarlock.explore.servers import Servers

Counts = tuple[int, ...]
"""Of proposals, crashes, changes and snapshots."""


class Act:
    """A move, with what it makes of each part of the network.

    What it makes of a part is worked out together with what the server as it is then does at once.
    """

    __slots__ = ("fact", "is_last_crash", "may_crash", "move", "server", "tables")

    def __init__(
        self, move: Move, tables: tuple[tuple[int, Table], ...], *, may_crash: bool, is_last_crash: bool
    ) -> None:
        self.move = move
        self.server: int = move.server
        self.fact: Fact | None = move.fact
        self.tables = tables
        """Of the parts that it may change: their owners' places, and what they become."""
        self.may_crash = may_crash
        """Whether a crash may still come after it."""
        self.is_last_crash = is_last_crash
        """Whether from now on no disk counts, so that all is tidied anew."""


class Menu(Table):
    """Of each part of the network, those packets that a server may do something with, as a set of the menu's own."""

    __slots__ = ("_bits", "_known", "_moves", "_network", "_server", "_support", "moves")

    def __init__(self, server: int, moves: Moves, network: Network, memory: Memory) -> None:
        super().__init__(self._bits_of, memory)
        self._server = server
        self._moves = moves
        self._network = network
        self._known: Mask = 0
        self._support: Mask = 0
        self._bits: dict[int, Mask] = {}
        self.moves: list[list[Move]] = []
        """Of each member of the menu's own sets."""

    def _bits_of(self, part: int) -> Mask:
        mask = self._network.masks[part]
        if mask & ~self._known:
            self._learn(mask & ~self._known)
        bits = 0
        for number in members(mask & self._support):
            bits |= self._bits[number]
        return bits

    def _learn(self, unknown: Mask) -> None:
        for number in members(unknown):
            moves = self._moves.delivered(self._server, number)
            if moves:
                self._support |= 1 << number
                self._bits[number] = 1 << len(self.moves)
                self.moves.append(moves)
        self._known |= unknown


class Choices(dict[Mask, list[Act]]):
    """What a server may do while some things are still allowed, given the packets of its menu that are under way.

    Args:
        given: Its moves whatever is under way.
        menu: Its other moves.
        acts: Moves as acts.
        left: How many proposals, crashes, changes and snapshots there may still be.
    """

    __slots__ = ("_acts", "_given", "_left", "menu")

    def __init__(self, given: list[Move], menu: Menu, acts: "Acts", left: Counts) -> None:
        super().__init__()
        self._given = given
        self.menu = menu
        self._acts = acts
        self._left = left

    def __missing__(self, bits: Mask) -> list[Act]:
        found: dict[tuple[object, ...], Move] = {}
        for number in members(bits):
            for move in self.menu.moves[number]:
                found.setdefault((move.server, move.changes, move.fact, move.spent), move)
        moves = [*self._given, *found.values()]
        left = self._left
        acts = self[bits] = [self._act(move) for move in moves if all(left[bound] > 0 for bound in move.spent)]
        return acts

    def _act(self, move: Move) -> Act:
        return self._acts.of(move, may_crash=self._left[CRASH] > (CRASH in move.spent))


class Acts:
    """Moves as acts.

    Args:
        servers: The states of servers.
        network: What is under way.
        closures: What follows by itself, where no crash is to come, and where one may.
        memory: Of the tables.
        count: How many servers there are.
    """

    def __init__(
        self, servers: Servers, network: Network, closures: tuple[Closures, Closures], memory: Memory, count: int
    ) -> None:
        self._servers = servers
        self._network = network
        self._closures = closures
        self._memory = memory
        self._owners = range(count)
        self._known: tuple[dict[Move, Act], dict[Move, Act]] = ({}, {})

    def of(self, move: Move, *, may_crash: bool) -> Act:
        """A move as an act, after which a crash may come or not."""
        act = self._known[may_crash].get(move)
        if act is None:
            is_last_crash = CRASH in move.spent and not may_crash
            tables = self._tables(move, self._closures[may_crash], is_last_crash=is_last_crash)
            act = self._known[may_crash][move] = Act(move, tables, may_crash=may_crash, is_last_crash=is_last_crash)
        return act

    def _tables(self, move: Move, closures: Closures, *, is_last_crash: bool) -> tuple[tuple[int, Table], ...]:
        stepped = self._servers.states[move.server].id - 1
        changes = {owner: (effect, added) for owner, effect, added in move.changes}
        tables = []
        for owner in self._owners:
            is_own = owner == stepped
            if owner not in changes and not is_last_crash:
                tables.append((owner, closures.table(move.server, owns=is_own)))
            else:
                settled = None if is_last_crash else closures.effect(move.server, owns=is_own)
                tables.append((owner, self._table(*changes.get(owner, (None, 0)), settled)))
        return tuple(tables)

    def _table(self, effect: Effect | None, added: Mask, settled: Effect | None) -> Table:
        network = self._network
        return Table(lambda part: network.part_after(part, effect, added, settled), self._memory)
