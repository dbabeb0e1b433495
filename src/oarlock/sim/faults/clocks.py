"""Faults of clocks: drift, halts, leaps, coarse ticks, wrong dates."""

from typing import TYPE_CHECKING, Final

from oarlock.raft.types import ServerId
from oarlock.sim.faults.kind import Draw, Drawn, Kind
from oarlock.sim.process import Server
from oarlock.sim.schedule import Fault

if TYPE_CHECKING:
    from oarlock.sim.cluster import Simulation


def _clock_changed(server: Server) -> None:
    """Timers are due at other moments now."""
    if server.process is not None:
        server.process.loop.clock_changed()


def _drift(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    """Run fast or slow; at 0, stand still."""
    server = simulation.servers[servers[0]]
    _set_rate(simulation, server, fault.value)
    simulation.strikes.hit("clock.stall" if fault.value == 0 else "clock.drift")
    simulation.undo_after(fault.seconds, lambda: _set_rate(simulation, server, 1.0))


def _set_rate(simulation: "Simulation", server: Server, rate: float) -> None:
    server.clock.set_rate(simulation.scheduler.now, rate)
    _clock_changed(server)


def _jump(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    server = simulation.servers[servers[0]]
    server.clock.jump(simulation.scheduler.now, fault.value)
    simulation.strikes.hit("clock.jump")
    _clock_changed(server)


def _ticks(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    """Tick coarsely, as clocks did that counted interrupts: many readings are equal, and timers come late together."""
    server = simulation.servers[servers[0]]
    _set_tick(simulation, server, fault.value)
    simulation.strikes.hit("clock.ticks")
    simulation.undo_after(fault.seconds, lambda: _set_tick(simulation, server, 0.0))


def _set_tick(simulation: "Simulation", server: Server, tick_s: float) -> None:
    server.clock.set_tick(simulation.scheduler.now, tick_s)
    _clock_changed(server)


def _wall_jump(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    """Set the date, forward or back: the only clock that can go back, and only ids and boot epochs are made from it."""
    server = simulation.servers[servers[0]]
    server.wall_offset_s += fault.value
    server.has_gone_back = server.has_gone_back or fault.value < 0
    simulation.strikes.hit("clock.wall_jump")


def _tick(draw: Draw) -> Drawn:
    """A tick; under leases one that is small beside what they allow for."""
    return draw.one(), draw.rng.choice((0.001, 0.004, 0.016, 0.1) if draw.clock_drift is None else (0.001,))


def _rate(draw: Draw) -> Drawn:
    """A speed; under leases within half of what is declared, so that two clocks differ by no more than all of it."""
    drift = draw.clock_drift
    rates = (0.0, 0.5, 0.9, 1.1, 2.0) if drift is None else (1 - drift / 2, 1 + drift / 2)
    return draw.one(), draw.rng.choice(rates)


KINDS: Final[dict[str, Kind]] = {
    "drift": Kind(_drift, _rate),
    "jump": Kind(_jump, lambda draw: (draw.one(), draw.rng.choice((0.1, 1.0, 30.0))), bends_time=True),
    "ticks": Kind(_ticks, _tick, values=(0.0001, 10.0)),
    "wall_jump": Kind(
        _wall_jump, lambda draw: (draw.one(), draw.rng.choice((-3600.0, -1.0, 1.0, 3600.0))), values=(-1e8, 1e8)
    ),
}
