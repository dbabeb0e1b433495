"""Damage to what a disk holds, such as its server can notice; the atlas says whose may be damaged (`may_damage`)."""

from typing import TYPE_CHECKING, Final, cast

from oarlock.raft.types import ServerId
from oarlock.sim.disk import WriteFault
from oarlock.sim.faults.kind import Draw, Drawn, Kind, anyone
from oarlock.sim.process import Server
from oarlock.sim.rot import Region, rot
from oarlock.sim.schedule import Fault, Mode

if TYPE_CHECKING:
    from oarlock.sim.cluster import Simulation

_MODES: Final[tuple[Mode, ...]] = ("available", "safe")
_LOOK_EVERY_S: Final = 0.005
_HARMLESS: Final = ("log_tail", "boot")
"""Regions where damage may not even stop a server."""


def _rot(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    """Damage a file of a server that is down for it, and stays away if it notices."""
    server = simulation.servers[servers[0]]
    region = cast("Region", fault.kind.removeprefix("rot_"))
    if region not in _HARMLESS and not simulation.may_damage(server):
        return
    server.kill(power=False)
    if rot(server.disk, region) and region not in _HARMLESS:
        server.is_disk_intact = False
    simulation.restart_after(servers[0], fault.seconds)


def _rot_snapshot(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    """Damage a snapshot under a server that runs on, as soon as there is one within the fault's time."""
    server = simulation.servers[servers[0]]
    until = simulation.scheduler.now + fault.seconds

    def look() -> None:
        if simulation.is_healed or simulation.scheduler.now > until or not simulation.may_damage(server):
            return
        if rot(server.disk, "snapshot"):
            server.is_disk_intact = False
        else:
            simulation.scheduler.after(_LOOK_EVERY_S, look)

    look()


def _damage_database(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    """Under a server that runs on, if the value is 0: it meets the damage when it reads there, or starts again."""
    server = simulation.servers[servers[0]]
    if not simulation.may_damage(server):
        return
    if fault.value:
        server.kill(power=False)
    if server.backend.rot() if fault.kind == "rot_database" else server.backend.lose_page():
        server.is_disk_intact = False
    simulation.restart_after(servers[0], fault.seconds)


def _bad_write(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    """A sector of the log goes elsewhere, or nowhere, though its sync succeeded; in the end the server starts anew."""
    disk = simulation.servers[servers[0]].disk
    disk.write_fault = cast("WriteFault", fault.kind.removesuffix("_write"))

    def holder() -> Server | None:  # disks are swapped, too
        return next((server for server in simulation.servers.values() if server.disk is disk), None)

    def strikes() -> bool:
        server = holder()
        if server is None or not simulation.may_damage(server):
            return False
        server.is_disk_intact = False
        return True

    def end() -> None:
        disk.write_fault = ""
        server = holder()
        if server is not None and not server.is_disk_intact:
            server.kill(power=False)
            simulation.restart_after(server.server_id, 0.05)

    disk.may_misplace = strikes
    simulation.undo_after(fault.seconds, end)


def _lose_forever(simulation: "Simulation", _fault: Fault, servers: list[ServerId]) -> None:
    """The machine burns down."""
    server = simulation.servers[servers[0]]
    if simulation.may_damage(server):
        server.kill(power=True)
        server.disk.wipe()
        server.is_disk_intact = False
        simulation.lost[server.server_id] = "lost for good"
        simulation.strikes.hit("process.lost_forever")


def _running_or_not(draw: Draw) -> Drawn:
    return draw.one(), float(draw.rng.random() < 0.5)


KINDS: Final[dict[str, Kind]] = {
    "rot_log_header": Kind(_rot, anyone, most=2, likelihood=0.2, modes=_MODES),
    "rot_log_body": Kind(_rot, anyone, most=2, likelihood=0.2, modes=_MODES),
    "rot_hard_state": Kind(_rot, anyone, most=2, likelihood=0.2, modes=_MODES),
    "rot_log_tail": Kind(_rot, anyone, most=4, likelihood=0.3),
    "rot_boot": Kind(_rot, anyone, most=2, likelihood=0.2),
    "rot_identity": Kind(_rot, anyone, most=2, likelihood=0.1, modes=_MODES),
    "rot_snapshot": Kind(_rot_snapshot, anyone, most=4, likelihood=0.4, modes=_MODES),
    "rot_database": Kind(_damage_database, _running_or_not, most=2, likelihood=0.3, modes=_MODES),
    "lost_page": Kind(_damage_database, _running_or_not, most=2, likelihood=0.2, modes=_MODES),
    "misdirected_write": Kind(_bad_write, anyone, most=2, likelihood=0.3, modes=_MODES),
    "lost_write": Kind(_bad_write, anyone, most=2, likelihood=0.3, modes=_MODES),
    "lose_forever": Kind(_lose_forever, anyone, most=2, modes=_MODES),
}
