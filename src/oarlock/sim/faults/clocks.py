"""Faults of clocks: drift, halts, leaps."""

from typing import TYPE_CHECKING, Final

from oarlock.raft.types import ServerId
from oarlock.sim.faults.kind import Draw, Drawn, Kind
from oarlock.sim.process import Server
from oarlock.sim.schedule import Fault

if TYPE_CHECKING:
    from oarlock.sim.cluster import Simulation


def _drift(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    """Run fast or slow; at 0, stand still."""
    server = simulation.servers[servers[0]]
    _set_rate(simulation, server, fault.value)
    simulation.strikes.hit("clock.stall" if fault.value == 0 else "clock.drift")
    simulation.undo_after(fault.seconds, lambda: _set_rate(simulation, server, 1.0))


def _set_rate(simulation: "Simulation", server: Server, rate: float) -> None:
    server.clock.set_rate(simulation.scheduler.now, rate)
    if server.process is not None:
        server.process.loop.clock_changed()


def _jump(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    server = simulation.servers[servers[0]]
    server.clock.jump(simulation.scheduler.now, fault.value)
    simulation.strikes.hit("clock.jump")
    if server.process is not None:
        server.process.loop.clock_changed()


def _rate(draw: Draw) -> Drawn:
    """A speed; under leases within half of what is declared, so that two clocks differ by no more than all of it."""
    drift = draw.clock_drift
    rates = (0.0, 0.5, 0.9, 1.1, 2.0) if drift is None else (1 - drift / 2, 1 + drift / 2)
    return draw.one(), draw.rng.choice(rates)


KINDS: Final[dict[str, Kind]] = {
    "drift": Kind(_drift, _rate),
    "jump": Kind(_jump, lambda draw: (draw.one(), draw.rng.choice((0.1, 1.0, 30.0))), bends_time=True),
}
