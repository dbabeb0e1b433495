"""What operators and the servers' own repetitions bring: alarms, and proposals that reach the leader more than once."""

import random
from typing import TYPE_CHECKING, Final

from oarlock.etcd.proto.rpc_pb2 import AlarmRequest, AlarmType
from oarlock.raft.types import ServerId
from oarlock.sim import inside
from oarlock.sim.calls import OK
from oarlock.sim.faults.kind import Kind, chance_of
from oarlock.sim.faults.network import filter_frames, links_between
from oarlock.sim.frames import FrameFaults
from oarlock.sim.operator import Task
from oarlock.sim.schedule import Fault

if TYPE_CHECKING:
    from oarlock.sim.cluster import Simulation

_FORWARD: Final = 64
"""The tag of messages that carry proposals to the leader."""
_PATH: Final = "/etcdserverpb.Maintenance/Alarm"
_PAUSE_S: Final = 0.3
_LEAST_PATIENCE_S: Final = 0.002


def _alarm(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    """There is said to be no space, for a while: puts are refused by every state machine."""
    rng = chance_of(simulation, fault)
    simulation.operator.begin(_raise_alarm(simulation, rng, servers[0], fault.seconds))


def _raise_alarm(simulation: "Simulation", rng: random.Random, member: ServerId, seconds: float) -> Task:
    operator = simulation.operator

    raise_it, end_it = (
        AlarmRequest(action=action, memberID=member, alarm=AlarmType.NOSPACE).SerializeToString()
        for action in (AlarmRequest.ACTIVATE, AlarmRequest.DEACTIVATE)
    )
    answer = yield operator.ask(operator.somebody(rng), _PATH, raise_it)
    if answer.outcome == OK:
        simulation.strikes.hit("alarm.raised")
        yield seconds
    while True:  # else nothing can be written any more
        answer = yield operator.ask(operator.somebody(rng), _PATH, end_it)
        if answer.outcome == OK:
            return
        yield _PAUSE_S


def _repeat_proposals(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    """What servers forward to the leader comes twice, or once more much later; and they forward it again unasked."""
    faults = FrameFaults(duplicate=fault.value, replay=fault.value / 2, kinds=(_FORWARD,))
    filter_frames(simulation, faults, links_between(simulation, servers), fault.seconds)
    rng = chance_of(simulation, fault)
    ends_at = simulation.scheduler.now + fault.seconds

    def again() -> None:
        for server in simulation.servers.values():
            process = server.process
            if process is not None and process.is_started and rng.random() < fault.value:
                process.loop.call_soon(inside.lose_patience, process.node)
        if simulation.scheduler.now < ends_at:
            simulation.scheduler.after(max(_LEAST_PATIENCE_S, simulation.schedule.settings.link_delay_s), again)

    again()


KINDS: Final[dict[str, Kind]] = {
    "alarm": Kind(
        _alarm, lambda draw: (draw.one(), 0.0), most=2, least_servers=1, likelihood=0.3, modes=("available", "safe")
    ),
    "repeat_proposals": Kind(
        _repeat_proposals,
        lambda draw: ((), draw.rng.choice((0.3, 1.0))),
        values=(0.0, 1.0),
        least_servers=0,
        needs_several=True,
    ),
}
