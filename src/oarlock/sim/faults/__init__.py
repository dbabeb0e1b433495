"""Every fault by its name: what a schedule's item does to a cluster, and how a seed draws it."""

from typing import TYPE_CHECKING, Final

from oarlock.sim.faults import clocks, connections, damage, disks, forgetting, members, network, processes, upkeep
from oarlock.sim.faults.forgetting import NOT_OWED, is_alone
from oarlock.sim.faults.kind import Draw, Kind
from oarlock.sim.faults.members import ADDING
from oarlock.sim.schedule import Fault

if TYPE_CHECKING:
    from oarlock.sim.cluster import Simulation

__all__ = [
    "ADDING",
    "CONNECTIONS",
    "FORGETTING",
    "KINDS",
    "MEMBERSHIP",
    "NOT_OWED",
    "Draw",
    "Kind",
    "is_alone",
    "strike",
]

KINDS: Final[dict[str, Kind]] = {
    **network.KINDS,
    **connections.KINDS,
    **processes.KINDS,
    **disks.KINDS,
    **damage.KINDS,
    **forgetting.KINDS,
    **clocks.KINDS,
    **members.KINDS,
    **upkeep.KINDS,
}
"""What each kind of fault does."""
CONNECTIONS: Final = tuple(connections.KINDS)
"""Those of connections between clients and servers."""
FORGETTING: Final = tuple(forgetting.KINDS)
"""Those that break what Raft assumes; runs that owe containment have one of them."""
MEMBERSHIP: Final = tuple(name for name in members.KINDS if name not in ("transfer", "forget_leader"))
"""Those that change members. Where a disk forgets, what is owed holds for members that stay."""


def strike(simulation: "Simulation", fault: Fault) -> None:
    """Begin a fault; it ends by itself."""
    servers = [simulation.of_number(number) for number in fault.servers]
    simulation.trace.event(
        simulation.scheduler.now, "fault", kind=fault.kind, servers=servers, seconds=fault.seconds, value=fault.value
    )
    KINDS[fault.kind].strike(simulation, fault, servers)
