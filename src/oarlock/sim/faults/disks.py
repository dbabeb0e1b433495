"""Faults of disks: errors, damage, loss; and those that break what Raft assumes."""

from typing import TYPE_CHECKING, Final

from oarlock.raft.types import ServerId
from oarlock.sim.faults.kind import Kind, anyone
from oarlock.sim.schedule import Fault

if TYPE_CHECKING:
    from oarlock.sim.cluster import Simulation


def _disk_errors(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    disk = simulation.servers[servers[0]].disk
    name = {"eio_write": "write_errors", "eio_sync": "sync_errors", "eio_read": "read_errors"}[fault.kind]
    setattr(disk, name, 1)
    simulation.undo_after(fault.seconds, lambda: setattr(disk, name, 0))


def _disk_full(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    disk = simulation.servers[servers[0]].disk
    disk.full = True

    def end() -> None:
        disk.full = False

    simulation.undo_after(fault.seconds, end)


def _stall(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    server = simulation.servers[servers[0]]
    server.stalled_until = max(server.stalled_until, simulation.scheduler.now + fault.seconds)


def _rot(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    """Damage a file of a server that is down for it, and stays away if it notices."""
    server = simulation.servers[servers[0]]
    if not simulation.may_damage(server):
        return
    server.kill(power=False)
    word = ("/wal/", "/snapshots/", "/identity")[int(fault.value) % 3]
    if server.disk.rot(word) is not None:
        server.is_disk_intact = False
    simulation.restart_after(servers[0], fault.seconds)


def _lose_forever(simulation: "Simulation", _fault: Fault, servers: list[ServerId]) -> None:
    """The machine burns down."""
    server = simulation.servers[servers[0]]
    if simulation.may_damage(server):
        server.kill(power=True)
        server.disk.wipe()
        server.is_disk_intact = False
        simulation.lost[server.server_id] = "lost for good"
        simulation.strikes.hit("process.lost_forever")


def _lie(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    """Syncs return without having done anything: one of Raft's assumptions is broken."""
    disk = simulation.servers[servers[0]].disk
    disk.lies = True

    def end() -> None:
        disk.lies = False

    simulation.undo_after(fault.seconds, end)


def _wipe(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    """The server comes back under its old name with an empty disk: another assumption broken."""
    server = simulation.servers[servers[0]]
    server.kill(power=True)
    server.replace_disk({}, ({}, {}))
    simulation.strikes.hit("disk.wiped")
    simulation.restart_after(servers[0], fault.seconds)


def _old_disk(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    """After a while the server gets back what its disk holds now, as from a backup: a third one."""
    server = simulation.servers[servers[0]]
    copy, records = server.disk.copy(), server.backend.copy()

    def put_back() -> None:
        server.kill(power=True)
        server.replace_disk(copy, records)
        simulation.strikes.hit("disk.rolled_back")
        server.start()

    simulation.undo_after(fault.seconds, put_back)


BREAK_ASSUMPTIONS: Final = ("lie", "wipe", "old_disk")
"""Faults that Raft does not claim to survive: what is asked is that their harm stays with the server concerned, in a
cluster that is otherwise well. No seed draws them."""

FORGET: Final = ("lie", "old_disk")
"""Those after which a disk that is the same as far as anybody can tell has forgotten what it had promised."""

KINDS: Final[dict[str, Kind]] = {
    "eio_write": Kind(_disk_errors, anyone),
    "eio_sync": Kind(_disk_errors, anyone),
    "eio_read": Kind(_disk_errors, anyone),
    "full": Kind(_disk_full, anyone),
    "stall": Kind(_stall, anyone),
    "rot": Kind(_rot, lambda draw: (draw.one(), float(draw.rng.randint(0, 2))), most=1),
    "lose_forever": Kind(_lose_forever, anyone, most=1),
    "lie": Kind(_lie, anyone, is_drawn=False),
    "wipe": Kind(_wipe, anyone, is_drawn=False),
    "old_disk": Kind(_old_disk, anyone, is_drawn=False),
}
