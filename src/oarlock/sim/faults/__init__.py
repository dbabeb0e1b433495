"""Every fault by its name: what a schedule's item does to a cluster, and how a seed draws it."""

from typing import TYPE_CHECKING, Final

from oarlock.sim.faults import clocks, disks, members, network, processes
from oarlock.sim.faults.disks import BREAK_ASSUMPTIONS, FORGET
from oarlock.sim.faults.kind import Draw, Kind
from oarlock.sim.faults.members import ADDING
from oarlock.sim.schedule import Fault

if TYPE_CHECKING:
    from oarlock.sim.cluster import Simulation

__all__ = ["ADDING", "BREAK_ASSUMPTIONS", "FORGET", "KINDS", "Draw", "Kind", "strike"]

KINDS: Final[dict[str, Kind]] = {**network.KINDS, **processes.KINDS, **disks.KINDS, **clocks.KINDS, **members.KINDS}
"""What each kind of fault does."""


def strike(simulation: "Simulation", fault: Fault) -> None:
    """Begin a fault; it ends by itself."""
    servers = [simulation.of_number(number) for number in fault.servers]
    simulation.trace.event(
        simulation.scheduler.now, "fault", kind=fault.kind, servers=servers, seconds=fault.seconds, value=fault.value
    )
    KINDS[fault.kind].strike(simulation, fault, servers)
