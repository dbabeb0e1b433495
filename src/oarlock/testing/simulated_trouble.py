"""What befalls a simulated cluster: servers end, stand still, are cut off, join and leave, until all is well."""

import random
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Final

from oarlock.replica.errors import OarlockError
from oarlock.sim.network import Link
from oarlock.testing.simulated_server import SimulatedServer

if TYPE_CHECKING:
    from oarlock.testing.simulated import SimulatedCluster

_FAULTS: Final = ("kill", "power", "part", "freeze", "date")
_CHANGES: Final = ("join", "leave")
"""Where there are servers that come and go."""
_LONGEST_FAULT_S: Final = 2.0
_OFFSETS_S: Final = (-3600.0, -5.0, 0.0, 5.0, 3600.0)
"""By how much a date is wrong."""
_FEWEST: Final = 2
"""Servers that stay in any case."""
RESTART_S: Final = 0.4


class Trouble:
    """Strikes at random, from the run's seed.

    Args:
        cluster: The run.
        rng: For this alone.
        comes_and_goes: Whether servers join and leave.
        only: The faults that happen, by number from 1; None for all. The others are drawn all the same.
    """

    def __init__(
        self,
        cluster: "SimulatedCluster",
        rng: random.Random,
        *,
        comes_and_goes: bool,
        only: Collection[int] | None = None,
    ) -> None:
        self._cluster = cluster
        self._rng = rng
        self._kinds = (*_FAULTS, *_CHANGES, *_CHANGES) if comes_and_goes else _FAULTS
        self._only = only
        self.is_over = False

    def strike(self, number: int) -> None:
        """Something happens, for a while."""
        if self.is_over:
            return
        kind = self._rng.choice(self._kinds)
        if kind in _CHANGES:
            self._change(number, kind)
            return
        cluster = self._cluster
        server = self._rng.choice([each for each in cluster.servers if each.is_in])
        lasts_s = self._rng.random() * _LONGEST_FAULT_S
        offset_s = self._rng.choice(_OFFSETS_S) if kind == "date" else 0.0
        if self._is_left_out(number):
            return
        cluster.strikes.hit(f"fault.{kind}")
        links: Sequence[Link] = ()
        match kind:
            case "kill" | "power":
                if server.kill(power=kind == "power"):
                    cluster.scheduler.after(lasts_s, server.start)
            case "part":
                links = self._links(server)
                for link in links:
                    link.block()
            case "freeze":
                server.freeze()
                cluster.scheduler.after(lasts_s, server.thaw)
            case "date":
                server.date_offset_s = offset_s
        if cluster.recording is not None:
            cluster.recording.strikes(number, kind, server, lasts_s)
        cluster.scheduler.after(lasts_s, self._end, number, links)

    def _is_left_out(self, number: int) -> bool:
        return self._only is not None and number not in self._only

    def _links(self, server: SimulatedServer) -> list[Link]:
        """All links of a server."""
        names = [other.host.name for other in self._cluster.servers if other is not server]
        pairs = [(server.host.name, name) for name in names]
        return self._cluster.network.links_of([*pairs, *((name, own) for own, name in pairs)])

    def _end(self, number: int, links: Sequence[Link]) -> None:
        if self.is_over:
            return  # which has ended all
        for link in links:
            link.unblock()
        if self._cluster.recording is not None:
            self._cluster.recording.is_over(number)

    # -- coming and going --------------------------------------------------------------------------------------------

    def _change(self, number: int, kind: str) -> None:
        """A server joins, or asks to be let go."""
        inside = [each for each in self._cluster.servers if each.is_in]
        outside = [each for each in self._cluster.servers if not each.is_in]
        if kind == "join" and outside:
            server = self._rng.choice(outside)
            if self._is_left_out(number):
                return
            server.is_in = True
            server.start()
        elif kind == "leave" and len(inside) > _FEWEST:
            server = self._rng.choice(inside)
            if self._is_left_out(number):
                return
            if server.loop is not None and server.is_up:
                server.loop.create_task(self._leave(server))
        else:
            return
        self._cluster.strikes.hit(f"member.{kind}")
        if self._cluster.recording is not None:
            self._cluster.recording.strikes(number, kind, server, 0.0)

    async def _leave(self, server: SimulatedServer) -> None:
        server.is_leaving = True
        try:
            await server.running_node.leave()
        except OarlockError:
            return  # it stays; or it is told later that it was let go
        self._cluster.scheduler.after(0, self._cluster.let_go, server, server.lives)

    # -- the end -----------------------------------------------------------------------------------------------------

    def heal(self) -> None:
        """All is well from now on; every server that is in starts once more."""
        self.is_over = True
        cluster = self._cluster
        for source, target in cluster.network.blocked():
            link = cluster.network.link(source, target)
            while link.is_blocked:
                link.unblock()
        cluster.network.recover()
        if cluster.recording is not None:
            cluster.recording.healing()
            cluster.recording.look_at_links()
        for server in cluster.servers:
            server.thaw()
            server.kill(power=False, why="to start anew")
            if server.is_in:
                cluster.scheduler.after(RESTART_S, server.start)
