"""Faults of disks that leave them whole: failing calls, wrong bytes, want of space, delay, mix-ups."""

from typing import TYPE_CHECKING, Final, cast

from oarlock.raft.types import ServerId
from oarlock.sim.disk import ReadFault
from oarlock.sim.faults.kind import Draw, Drawn, Kind, anyone
from oarlock.sim.schedule import Fault

if TYPE_CHECKING:
    from oarlock.sim.cluster import Simulation

_RESTART_S: Final = 0.05
"""How long a server is down that is killed only to have it start again."""


def _failing_calls(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    """The next write or sync fails, or so many reads and writes stop half-way as the value says."""
    disk = simulation.servers[servers[0]].disk
    name = {"eio_write": "write_errors", "eio_sync": "sync_errors", "short_io": "short_transfers"}[fault.kind]
    setattr(disk, name, max(1, int(fault.value)))
    simulation.undo_after(fault.seconds, lambda: setattr(disk, name, 0))


def _bad_read(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    """A server is killed, and one read of its next life goes wrong: the value says after how many others."""
    server = simulation.servers[servers[0]]
    disk = server.disk
    server.kill(power=False)
    disk.read_fault = cast("ReadFault", {"eio_read": "error"}.get(fault.kind, fault.kind.removesuffix("_read")))
    disk.reads_before = int(fault.value)
    simulation.restart_after(server.server_id, _RESTART_S)

    def end() -> None:
        disk.read_fault = ""

    simulation.undo_after(fault.seconds + _RESTART_S, end)


def _disk_full(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    disk = simulation.servers[servers[0]].disk
    disk.full = True

    def end() -> None:
        disk.full = False

    simulation.undo_after(fault.seconds, end)


def _stall(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    server = simulation.servers[servers[0]]
    server.stalled_until = max(server.stalled_until, simulation.scheduler.now + fault.seconds)


def _swap(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    """Two servers start with each other's disk, until somebody notices."""
    one, other = (simulation.servers[server_id] for server_id in servers[:2])
    if one is other or not (simulation.is_whole(one) and simulation.is_whole(other)):
        return
    _exchange(simulation, one.server_id, other.server_id)
    simulation.strikes.hit("disk.swapped")
    simulation.undo_after(fault.seconds, lambda: _exchange(simulation, one.server_id, other.server_id))


def _exchange(simulation: "Simulation", one: ServerId, other: ServerId) -> None:
    for server_id in (one, other):
        simulation.servers[server_id].kill(power=True)
    simulation.servers[one].swap_disks(simulation.servers[other])
    for server_id in (one, other):
        simulation.restart_after(server_id, _RESTART_S)


def _read_of_a_start(draw: Draw) -> Drawn:
    return draw.one(), float(draw.rng.choice((0, 1, 2, 3, 4, 6, 9, 15)))


KINDS: Final[dict[str, Kind]] = {
    "eio_write": Kind(_failing_calls, anyone),
    "eio_sync": Kind(_failing_calls, anyone),
    "eio_read": Kind(_bad_read, _read_of_a_start),
    "misdirected_read": Kind(_bad_read, _read_of_a_start, likelihood=0.5),
    "stale_read": Kind(_bad_read, _read_of_a_start, likelihood=0.5),
    "short_io": Kind(_failing_calls, lambda draw: (draw.one(), float(draw.rng.choice((1, 5, 50)))), likelihood=0.5),
    "full": Kind(_disk_full, anyone),
    "stall": Kind(_stall, anyone),
    "swap": Kind(_swap, lambda draw: (draw.two(), 0.0), most=2, likelihood=0.4, needs_several=True, least_servers=2),
}
