"""What operators do to a cluster while faults strike: members come, go and return, and leadership is moved."""

from typing import TYPE_CHECKING, Final

from oarlock.raft.types import ServerId
from oarlock.sim.faults.kind import Draw, Drawn, Kind, chance_of
from oarlock.sim.membership import Membership
from oarlock.sim.schedule import Fault

if TYPE_CHECKING:
    from oarlock.sim.cluster import Simulation
    from oarlock.sim.process import Process


def _tasks(simulation: "Simulation", fault: Fault) -> Membership:
    """Tasks with chance of their own, so that they are the same whatever else is in the schedule."""
    return Membership(simulation, chance_of(simulation, fault))


def _add(simulation: "Simulation", fault: Fault, _servers: list[ServerId]) -> None:
    number = simulation.fleet.reserve()
    is_learner = fault.kind == "add_learner"
    task = _tasks(simulation, fault).add(
        number, learner=is_learner, delay_s=fault.seconds, promote=is_learner and fault.value > 0
    )
    simulation.operator.begin(task)


def _promote(simulation: "Simulation", fault: Fault, _servers: list[ServerId]) -> None:
    simulation.operator.begin(_tasks(simulation, fault).promote(None))


def _demote(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    back_after_s = fault.seconds if fault.value > 0 else None
    simulation.operator.begin(_tasks(simulation, fault).demote(servers[0], back_after_s=back_after_s))


def _remove(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    simulation.operator.begin(_tasks(simulation, fault).remove_task(servers[0]))


def _replace(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    task = _tasks(simulation, fault).replace(servers[0], delay_s=fault.seconds, same_machine=fault.value > 0)
    simulation.operator.begin(task)


def _joint(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    leaving = list(dict.fromkeys(servers))
    task = _tasks(simulation, fault).change(leaving, int(fault.value), delay_s=fault.seconds)
    simulation.operator.begin(task)


def _come_back(simulation: "Simulation", _fault: Fault, _servers: list[ServerId]) -> None:
    """Every server that was removed starts again from its old disk, whether it knows of its removal or not."""
    members = {member for configuration in simulation.atlas.possible() for member in configuration.members}
    for server_id in simulation.ids:
        server = simulation.servers[server_id]
        if server_id not in members and server_id not in simulation.lost and server.process is None:
            simulation.strikes.hit("members.came_back")
            server.start()


def _transfer(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    simulation.operator.begin(_tasks(simulation, fault).transfer(servers[0]))


def _forget_leader(simulation: "Simulation", _fault: Fault, servers: list[ServerId]) -> None:
    """Servers forget whom they follow, where they follow anybody."""
    for server_id in dict.fromkeys(servers):
        process = simulation.servers[server_id].process
        if process is not None and process.is_started:
            process.loop.call_soon(_forget, simulation, process)


def _forget(simulation: "Simulation", process: "Process") -> None:
    node = process.node
    if node.leader_id is not None and not node.is_leader:
        simulation.strikes.hit("leader.forgotten")
    node.forget_leader()


def _nobody(_draw: Draw) -> Drawn:
    return (), 0.0


def _several(draw: Draw) -> Drawn:
    """One or two to be removed and as many added; or as many as there are."""
    most = draw.servers if draw.rng.random() < 0.1 else 2
    leaving = draw.some(most)
    return leaving, float(draw.rng.choice((0, 1, 2, len(leaving))))


ADDING: Final = frozenset({"add_learner", "add_voter", "replace", "joint"})
"""Kinds that may bring servers into the cluster."""

KINDS: Final[dict[str, Kind]] = {
    "add_learner": Kind(_add, lambda draw: ((), float(draw.rng.random() < 0.6)), most=3, least_servers=0),
    "add_voter": Kind(_add, _nobody, most=3, least_servers=0),
    "promote": Kind(_promote, _nobody, most=3, least_servers=0),
    "demote": Kind(_demote, lambda draw: (draw.one(), float(draw.rng.random() < 0.6)), most=3, needs_several=True),
    "remove": Kind(_remove, lambda draw: ((draw.rng.randint(1, draw.servers + 2),), 0.0), most=3, needs_several=True),
    "remove_leader": Kind(_remove, lambda _draw: ((0,), 0.0), most=2, needs_several=True),
    "replace": Kind(_replace, lambda draw: (draw.one(), float(draw.rng.random() < 0.5)), most=3, needs_several=True),
    "joint": Kind(_joint, _several, most=2),
    "come_back": Kind(_come_back, _nobody, most=3, needs_several=True, least_servers=0),
    "transfer": Kind(_transfer, lambda draw: ((draw.rng.randint(1, draw.servers + 1),), 0.0), most=10),
    "forget_leader": Kind(_forget_leader, lambda draw: (draw.some(draw.servers), 0.0), most=20, needs_several=True),
}
