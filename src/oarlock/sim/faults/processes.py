"""Faults of processes: crashes, restarts, pauses."""

from typing import TYPE_CHECKING, Final

from oarlock.raft.types import ServerId
from oarlock.sim.faults.kind import Kind, anyone
from oarlock.sim.schedule import Fault
from oarlock.sim.versions import Version

if TYPE_CHECKING:
    from oarlock.sim.cluster import Simulation


def _crash(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    for server_id in servers:
        if simulation.servers[server_id].kill(power=fault.kind == "power"):
            simulation.strikes.hit(f"process.{fault.kind}")
        simulation.restart_after(server_id, fault.seconds)


def _step_crash(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    """Lose the power in the middle of disk operations to come: after so many, as the value says."""
    server = simulation.servers[servers[0]]
    if server.process is not None:
        server.disk.fail_after = int(fault.value)
        simulation.restart_after(servers[0], fault.seconds)


def _restart(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    process = simulation.servers[servers[0]].process
    if process is not None and process.is_started:
        simulation.strikes.hit("process.restart")
        process.stop()
        simulation.restart_after(servers[0], fault.seconds)


def _change_version(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    """Stop a server in order, and start it again as another version: an upgrade, or a way back."""
    server = simulation.servers[servers[0]]
    process = server.process
    if process is not None and process.is_started:
        server.version = Version(int(fault.value))
        simulation.strikes.hit(f"version.changed_to_{server.version.name.lower()}")
        process.stop()
        simulation.restart_after(servers[0], fault.seconds)


def _crash_loop(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    """Crash again and again, mostly in recovery."""
    server = simulation.servers[servers[0]]
    times = max(1, int(fault.value))

    def again() -> None:
        if simulation.is_healed:
            return
        if server.kill(power=True):
            simulation.strikes.hit("process.crash_loop")
        server.start()

    for number in range(times):
        simulation.scheduler.after(fault.seconds * number / times, again)


def _pause(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    process = simulation.servers[servers[0]].process
    if process is not None and not process.loop.is_frozen:
        simulation.strikes.hit("process.pause")
        process.freeze()
        simulation.undo_after(fault.seconds, process.thaw)


def _busy(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    process = simulation.servers[servers[0]].process
    if process is not None:
        simulation.strikes.hit("process.blocked_loop")
        process.loop.block(fault.seconds)


KINDS: Final[dict[str, Kind]] = {
    "kill": Kind(_crash, lambda draw: (draw.rng.choice((draw.one(), draw.some(draw.servers))), 0.0)),
    "power": Kind(_crash, lambda draw: (draw.rng.choice((draw.one(), draw.some(draw.servers))), 0.0)),
    "step_crash": Kind(_step_crash, lambda draw: (draw.one(), float(draw.rng.randint(0, 40)))),
    "restart": Kind(_restart, anyone),
    "version": Kind(
        _change_version,
        lambda draw: (draw.one(), float(draw.rng.choice(list(Version)))),
        most=8,
        modes=("available", "safe"),  # the first version cannot tell disks apart
    ),
    "crash_loop": Kind(_crash_loop, lambda draw: (draw.one(), float(draw.rng.randint(2, 6)))),
    "pause": Kind(_pause, anyone),
    "busy": Kind(_busy, anyone),
}
