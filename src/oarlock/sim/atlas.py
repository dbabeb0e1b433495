"""What may be broken at one time: in every configuration that may be in force, a majority must stay whole.

The faults that nobody recovers from (damaged disks, machines lost for good) and the operator's changes of members look
here first. A configuration may be in force if any server's log holds it, uncommitted ones and those before them
included. Servers that were added and do not run yet are no damage: whoever added them will start them.
"""

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from oarlock.raft.types import Configuration, ServerId
from oarlock.sim import inside
from oarlock.sim.process import Server

if TYPE_CHECKING:
    from oarlock.sim.cluster import Simulation


class Atlas:
    """Knows the damage done, and the changes of members under way.

    Args:
        simulation: The run.
    """

    def __init__(self, simulation: "Simulation") -> None:
        self._simulation = simulation
        self._leaving: list[ServerId] = []
        """Voters whose removal was asked for and may still come about."""
        self._gaining: list[ServerId] = []
        """Learners for which a vote was asked, likewise."""

    def possible(self) -> list[Configuration]:
        """Every configuration that may be in force now or become so again."""
        simulation = self._simulation
        gone = {**simulation.lost, **simulation.dismissed, **simulation.fleet.retired}
        found = inside.possible_configurations(simulation.observer.monitor, gone)
        if not found:
            found = [Configuration(voters=frozenset(range(1, simulation.schedule.settings.servers + 1)))]
        return found

    @property
    def damaged(self) -> set[ServerId]:
        """Servers whose disk is not whole, or may have forgotten what it held."""
        servers = self._simulation.servers
        return {
            server_id
            for server_id, server in servers.items()
            if not server.is_disk_intact or server_id in self._simulation.lost or _is_new(server)
        }

    def may_damage(self, server: Server) -> bool:
        """Whether a majority stays whole, now and after every change under way, if this server's disk does not."""
        if server.has_anothers_disk:
            return False
        damaged = self.damaged | {server.server_id}
        return self._stands(damaged, self._leaving, self._gaining)

    def may_leave(self, leaving: Collection[ServerId]) -> bool:
        """Whether that is so if these servers are removed, or lose their votes; notes that they may be."""
        if not self._stands(self.damaged, [*self._leaving, *leaving], self._gaining):
            return False
        self._leaving += leaving
        return True

    def left(self, leaving: Iterable[ServerId]) -> None:
        """It is known what became of their removal."""
        for server_id in leaving:
            self._leaving.remove(server_id)

    def may_gain(self, server_id: ServerId) -> bool:
        """Whether that is so if this learner gets a vote; notes that it may."""
        if not self._stands(self.damaged, self._leaving, [*self._gaining, server_id]):
            return False
        self._gaining.append(server_id)
        return True

    def gained(self, server_id: ServerId) -> None:
        """It is known whether it has got it."""
        self._gaining.remove(server_id)

    def _stands(self, damaged: set[ServerId], leaving: Collection[ServerId], gaining: Collection[ServerId]) -> bool:
        if self._simulation.schedule.settings.mode == "safe":
            return True  # only safety is owed
        return all(
            len(half - damaged - set(leaving)) > len(half & damaged)
            for configuration in self.possible()
            for voters in (configuration.voters, configuration.voters_outgoing)
            for half in (voters, voters | (configuration.learners & set(gaining)))
            if voters
        )

    def is_core(self, servers: Collection[ServerId]) -> bool:
        """Whether these servers can elect and commit by themselves, whichever configuration is in force."""
        whole = set(servers) - self.damaged
        return all(
            2 * len(half & whole) > len(half)
            for configuration in self.possible()
            for half in (configuration.voters, configuration.voters_outgoing)
            if half
        )


def _is_new(server: Server) -> bool:
    """Whether its disk has not yet held what a leader had committed, though there was time for it (NS-1)."""
    directory = Path(server.config.data_dir)
    if server.config.joins:
        return False
    return server.disk.holds(directory / "new") or not server.disk.holds(directory / "identity")
