"""Faults between clients and servers, on the bytes of their connections."""

from typing import TYPE_CHECKING, Final

from oarlock.raft.types import ServerId
from oarlock.sim.faults.kind import Draw, Drawn, Kind, anyone
from oarlock.sim.faults.network import hold, slow_down
from oarlock.sim.network import Link
from oarlock.sim.schedule import Fault

if TYPE_CHECKING:
    from oarlock.sim.cluster import Simulation
    from oarlock.sim.connection import SimTransport


def _links(simulation: "Simulation", servers: list[ServerId]) -> list[Link]:
    """Both ways between servers and every client."""
    clients = [f"client{client}" for client in range(1, simulation.schedule.settings.clients + 1)]
    hosts = [simulation.host(server) for server in servers]
    return simulation.network.links_of(
        pair for host in hosts for client in clients for pair in ((client, host), (host, client))
    )


def _connections(simulation: "Simulation", server: ServerId) -> "list[SimTransport]":
    """A server's side of its clients' connections."""
    clients = [machine.host.name for machine in simulation.clients.machines.values()]
    host = simulation.network.hosts[simulation.host(server)]
    return [transport for transport in host.transports if transport.peer_host_name in clients]


def _reset(simulation: "Simulation", _fault: Fault, servers: list[ServerId]) -> None:
    for transport in _connections(simulation, servers[0]):
        simulation.strikes.hit("client.reset")
        transport.break_off(midframe=False)


def _half_open(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    """One side forgets its connections without the other being told: the server, or as the value is 1 its clients."""
    for transport in _connections(simulation, servers[0]):
        simulation.strikes.hit("client.half_open")
        (transport.outgoing.target if fault.value else transport).forget()


def _cut_short(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    """Writes are cut short anywhere, each as likely as the value says, and the connection ends there."""
    hold(simulation, [link.severing for link in _links(simulation, servers)], fault.value, fault.seconds)


def _slow(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    slow_down(simulation, _links(simulation, servers), fault)


def _clog(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    for link in _links(simulation, servers):
        link.clog(fault.seconds)
        simulation.strikes.hit("link.clog")


def _some(draw: Draw) -> tuple[int, ...]:
    return draw.some(draw.servers)


def _likely(draw: Draw) -> Drawn:
    return _some(draw), draw.rng.choice((0.02, 0.1, 0.5))


KINDS: Final[dict[str, Kind]] = {
    "client_reset": Kind(_reset, anyone, modes=()),
    "client_half_open": Kind(
        _half_open, lambda draw: (draw.one(), float(draw.rng.randint(0, 1))), values=(0.0, 1.0), modes=()
    ),
    "client_cut_short": Kind(_cut_short, _likely, values=(0.0, 1.0), modes=()),
    "client_slow": Kind(
        _slow, lambda draw: (_some(draw), draw.rng.choice((3.0, 20.0, 100.0))), values=(0.001, 1e6), modes=()
    ),
    "client_clog": Kind(_clog, lambda draw: (_some(draw), 0.0), modes=()),
}
"""Drawn apart from the others, and only for runs whose clients have connections."""
