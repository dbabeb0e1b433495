"""What follows by itself: steps that only send are taken at once.

Nothing that was sent is ever gone. So of two states that differ only in what is under way, the one with more under way
can do all that the other can, and comes by it to states that differ in the same way. A step that leaves its server as
it is, and sends something, leads to such a state: it is enough to go on from there. Likewise a leader's heartbeat, or
the answer to a message that came before.
"""

from oarlock.explore.effects import Effect, Mask, members
from oarlock.explore.moves import Moves
from oarlock.explore.network import Network
from oarlock.explore.servers import Servers
from oarlock.explore.tidying import Tidier


class Closures(dict[int, Effect]):
    """For each state of a server, what becomes of a part of the network by it alone.

    Keys are twice the server's number, and one more for the part of its own.

    Args:
        servers: The states.
        network: The parts.
        moves: What a server sends.
        may_crash: Whether a crash may still come.
        eager: Whether steps that only send are taken at once; if not, parts are but tidied.
    """

    def __init__(self, servers: Servers, network: Network, moves: Moves, *, may_crash: bool, eager: bool) -> None:
        super().__init__()
        self._servers = servers
        self._network = network
        self._moves = moves
        self._tidiers = servers.tidiers[may_crash]
        self._eager = eager

    def __missing__(self, key: int) -> Effect:
        server, is_own = divmod(key, 2)
        tidier = self._tidiers[server]

        def acts_on(number: int) -> bool:
            return self._network.is_tidied(number, tidier) or bool(self._answers(server, number))

        by_itself = self._moves.idle(server) if self._eager and is_own else 0
        effect = self[key] = Effect(acts_on, lambda mask: self._closed(server, tidier, mask), by_itself)
        return effect

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
