"""Faults of processes: crashes, restarts, pauses, cancellation, want of memory."""

import asyncio
from typing import TYPE_CHECKING, Any, Final

from oarlock.check.verdict import Violation
from oarlock.raft.types import ServerId
from oarlock.sim.faults.kind import Draw, Drawn, Kind, anyone
from oarlock.sim.observer import PropertyBroken
from oarlock.sim.process import Process
from oarlock.sim.schedule import Fault
from oarlock.sim.versions import Version

if TYPE_CHECKING:
    from oarlock.sim.cluster import Simulation

_LOOK_S: Final = 0.01
_LOOKS: Final = 100
"""So often, at such intervals, are cancelled tasks looked for: what they wait for at their end may be the disk."""


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
        simulation.restart_after(servers[0], 0.0)  # unless it was lost for good meanwhile

    for number in range(times):
        simulation.scheduler.after(fault.seconds * number / times, again)


def _pause(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    process = simulation.servers[servers[0]].process
    if process is not None and not process.loop.is_frozen:
        simulation.strikes.hit("process.pause")
        process.freeze()
        simulation.undo_after(fault.seconds, process.thaw)


def _suspend(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    """As a pause, but the clock stands still too, as that of a virtual machine that is suspended."""
    server = simulation.servers[servers[0]]
    process = server.process
    if process is None or process.loop.is_frozen:
        return
    simulation.strikes.hit("process.suspended")
    server.clock.halt(simulation.scheduler.now)
    process.freeze()

    def resume() -> None:
        server.clock.go_on(simulation.scheduler.now)
        process.thaw()
        if server.process is not None:  # perhaps a later one, which has known no other clock
            server.process.loop.clock_changed()

    simulation.undo_after(fault.seconds, resume)


def _await_crash(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    """End the process between two callbacks to come, so many from now as half the value says; if odd, by power loss."""
    server = simulation.servers[servers[0]]
    is_power_loss = int(fault.value) % 2 == 1

    def crash() -> None:
        simulation.strikes.hit("process.crash_at_await")
        server.kill(power=is_power_loss)
        simulation.restart_after(servers[0], fault.seconds)

    if server.process is not None:
        server.process.loop.interrupt(int(fault.value) // 2, crash)


def _cancel_calls(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    """After so many callbacks as the value says, and once there are any, have every client with a call be gone."""
    process = simulation.servers[servers[0]].process
    if process is None:
        return
    ends_at = simulation.scheduler.now + fault.seconds

    def cancel() -> None:
        for call in list(process.calls):
            simulation.strikes.hit("process.call_cancelled")
            call.cancel()
        gone = simulation.clients.hang_up(servers[0])
        if gone:
            simulation.strikes.hit("process.call_cancelled", gone)
        elif not process.calls and simulation.scheduler.now < ends_at:
            process.loop.interrupt(1, cancel)

    process.loop.interrupt(int(fault.value), cancel)


def _cancel_task(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    """After so many callbacks as the value says, cancel one of the node's own tasks: it ends in order, or goes on."""
    process = simulation.servers[servers[0]].process

    def cancel() -> None:
        tasks = _own_tasks(process) if process is not None else []
        if process is not None and tasks:
            simulation.strikes.hit("process.task_cancelled")
            process.is_hurt = True
            tasks[int(fault.value) % len(tasks)].cancel()

    if process is not None:
        process.loop.interrupt(int(fault.value), cancel)


def _own_tasks(process: Process) -> list["asyncio.Task[Any]"]:
    """All but clients' calls, and the tasks of links, which nobody but their links can cancel."""
    return [
        task
        for task in process.loop.tasks
        if task not in process.calls and not task.get_name().startswith("oarlock link")
    ]


def _cancel_all(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    """After so many callbacks as the value says, cancel every task, as `asyncio.run` does at its end: all must end."""
    server = simulation.servers[servers[0]]
    process = server.process

    def cancel() -> None:
        if process is not None:
            simulation.strikes.hit("process.all_cancelled")
            process.is_hurt = process.is_ending = True
            for task in process.loop.tasks:
                task.cancel()
            _end_with_tasks(simulation, process, _LOOKS)

    if process is not None:
        process.loop.interrupt(int(fault.value), cancel)


def _end_with_tasks(simulation: "Simulation", process: Process, looks: int) -> None:
    """End a process once its tasks have.

    Raises:
        PropertyBroken: They do not.
    """
    server = process.server
    if server.process is not process:
        return
    left = [task.get_name() for task in process.loop.tasks]
    if not left:
        server.gone(process, "stopped")
        return
    if not looks:
        sentence = f"server {server.server_id}: after all was cancelled there still are {left}"
        raise PropertyBroken(Violation("ends when cancelled", sentence, server.server_id))
    may_go_on = not process.loop.is_frozen and simulation.scheduler.now >= server.stalled_until
    simulation.scheduler.after(_LOOK_S, _end_with_tasks, simulation, process, looks - may_go_on)


def _lack_memory(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    """Run out of memory in the state machine: before the next command has done anything, or after it has done all."""
    process = simulation.servers[servers[0]].process
    if process is not None and process.is_started:
        process.is_hurt = True
        process.machine.lacks_memory = "after" if fault.value else "before"


def _busy(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    process = simulation.servers[servers[0]].process
    if process is not None:
        simulation.strikes.hit("process.blocked_loop")
        process.loop.block(fault.seconds)


def _soon(draw: Draw) -> Drawn:
    """Some server, and a number of callbacks: few, or as many as come in some election timeouts."""
    return draw.one(), float(draw.rng.randrange(draw.rng.choice((10, 100, 1000))))


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
    "suspend": Kind(_suspend, anyone, bends_time=True),
    "await_crash": Kind(_await_crash, _soon),
    "cancel_calls": Kind(_cancel_calls, _soon),
    "cancel_task": Kind(_cancel_task, _soon, most=4),
    "cancel_all": Kind(_cancel_all, _soon, most=4),
    "lack_memory": Kind(_lack_memory, lambda draw: (draw.one(), float(draw.rng.randint(0, 1))), most=4),
}
