"""What follows by itself: steps that only send are taken at once.

Nothing that was sent is ever gone. So of two states that differ only in what is under way, the one with more under way
can do all that the other can, and comes by it to states that differ in the same way. A step that leaves its server as
it is, and sends something, leads to such a state: it is enough to go on from there. Likewise a leader's heartbeat, or
the answer to a message that came before.
"""

from oarlock.explore.effects import Effect, Mask, members
from oarlock.explore.moves import Moves
from oarlock.explore.network import Network
from oarlock.explore.numbers import Memory, Table
from oarlock.explore.servers import Servers
from oarlock.explore.tidying import Tidier


class EffectTable(Table):
    """What becomes of parts of the network by an effect, by number."""

    __slots__ = ("_effect", "_masks")

    def __init__(self, effect: Effect, network: Network, memory: Memory) -> None:
        super().__init__(lambda part: network.part_after(part, effect, 0, None), memory)
        self._effect = effect
        self._masks = network.masks

    def __missing__(self, part: int) -> int:
        mask, effect = self._masks[part], self._effect
        if mask & effect.interest or effect.always & ~mask:
            return super().__missing__(part)
        self[part] = part
        self._memory.known += 1
        return part


class Closures:
    """For each state of a server, what becomes of a part of the network by it alone.

    Args:
        servers: The states.
        network: The parts.
        moves: What a server sends.
        memory: Of the tables.
        may_crash: Whether a crash may still come.
        eager: Whether steps that only send are taken at once; if not, parts are but tidied.
    """

    def __init__(
        self, servers: Servers, network: Network, moves: Moves, memory: Memory, *, may_crash: bool, eager: bool
    ) -> None:
        self._network = network
        self._moves = moves
        self._memory = memory
        self._servers = servers
        self._tidiers = servers.tidiers[may_crash]
        self._eager = eager
        self._effects: dict[int, Effect] = {}
        self._tables: dict[int, Table] = {}

    def effect(self, server: int, *, owns: bool) -> Effect:
        """What becomes of the packets of a part, by a server that owns it or does not."""
        key = 2 * server + owns
        effect = self._effects.get(key)
        if effect is None:
            tidier = self._tidiers[server]
            by_itself = self._moves.idle(server) if self._eager and owns else 0
            effect = self._effects[key] = Effect(
                lambda number: self._network.is_tidied(number, tidier) or bool(self._answers(server, number)),
                lambda mask: self._closed(server, tidier, mask),
                by_itself,
            )
        return effect

    def table(self, server: int, *, owns: bool) -> Table:
        """What a part becomes, by number."""
        key = 2 * server + owns
        table = self._tables.get(key)
        if table is None:
            effect = self.effect(server, owns=owns)
            table = self._tables[key] = EffectTable(effect, self._network, self._memory)
        return table

    def _answers(self, server: int, number: int) -> Mask:
        """What a server may send when it takes a packet, and stay as it is."""
        packet = self._network.packets[number]
        if not self._eager or packet.held or packet.to != self._servers.states[server].id:
            return 0
        return self._moves.answers(server, number)

    def _closed(self, server: int, tidier: Tidier, mask: Mask) -> Mask:
        """Packets, tidied, with all that the server sends on their account."""
        before = -1
        while mask != before:
            before = mask
            mask = self._network.tidied(mask, tidier)
            for number in members(mask):
                mask |= self._answers(server, number)
            mask = self._network.tidied(mask, tidier)
        return mask
