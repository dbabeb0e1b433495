"""Faults that Raft does not claim to survive: a server's disk forgets what the server promised, or two take its name.

What is owed all the same, and when, is in `oarlock.sim.containment`.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from oarlock.raft.types import ServerId
from oarlock.sim import inside
from oarlock.sim.backend import NOTHING
from oarlock.sim.containment import Exposure, Waits
from oarlock.sim.faults.kind import Draw, Drawn, Kind
from oarlock.sim.process import Server
from oarlock.sim.rot import rot
from oarlock.sim.schedule import Fault, Mode
from oarlock.sim.watcher import Watcher

if TYPE_CHECKING:
    from oarlock.sim.cluster import Simulation

AT_ONCE: Final = 0.0
SUPERSEDED: Final = 1.0
"""Values: the server comes back as soon as another leads; or not before all that it may have promised is superseded."""
COPY: Final = 0.0
OLD_COPY: Final = 1.0
EMPTY: Final = 2.0
"""Values of `twin`: what is on its disk. With `TAKES_ADDRESS` added it is found where the other one was."""
TAKES_ADDRESS: Final = 3.0

_LOOK_EVERY_S: Final = 0.02
_MODES: Final[tuple[Mode, ...]] = ("contained",)


def _waits(fault: Fault) -> Waits:
    return "superseded" if fault.value == SUPERSEDED else "led"


def _lie(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    """Syncs return without having done anything; then the power is lost."""
    server = simulation.servers[servers[0]]
    if not simulation.is_whole(server):
        return
    disk = server.disk
    disk.lies = True
    # Whoever waits until it is superseded must do so whenever it goes down.
    early = Exposure(simulation, server, "superseded") if fault.value == SUPERSEDED else None
    if early is not None:
        early.may_end = False

    def end() -> None:
        disk.lies = False
        exposure = early or Exposure(simulation, server, "led")
        exposure.widen(server.durable)
        exposure.may_end = True
        server.kill(power=True)

    simulation.undo_after(fault.seconds, end)


def _old_disk(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    """After a while the server gets back what its disk holds now, as from a backup."""
    server = simulation.servers[servers[0]]
    if not simulation.is_whole(server):
        return
    files, records = server.disk.copy(), server.backend.copy()

    def put_back() -> None:
        if simulation.is_whole(server):
            Exposure(simulation, server, _waits(fault))
            server.kill(power=True)
            server.replace_disk(files, records)
            simulation.strikes.hit("disk.rolled_back")

    simulation.undo_after(fault.seconds, put_back)


def _forget_last(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    """The log's last record rots while its server is down: nobody can tell that from a write that was torn."""
    server = simulation.servers[servers[0]]
    server.kill(power=False)
    if simulation.is_whole(server) and rot(server.disk, "last_record"):
        Exposure(simulation, server, _waits(fault))
    else:
        simulation.restart_after(server.server_id, fault.seconds)


def _wipe(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    """The server comes back under its old name with an empty disk: its word must not count until that is admitted."""
    server = simulation.servers[servers[0]]

    def wipe() -> None:
        server.kill(power=True)
        server.replace_disk({}, NOTHING)
        simulation.strikes.hit("disk.wiped")
        simulation.restart_after(servers[0], fault.seconds)

    _once_admitted(simulation, server, wipe)


def _once_admitted(simulation: "Simulation", server: Server, begin: Callable[[], None]) -> None:
    """Let an empty disk take the server's name once the one that it has is admitted where that cannot be lost.

    Before, the others cannot tell it from a server that they never reached, whose word must count.
    """
    if simulation.is_healed or not simulation.is_whole(server):
        return
    if inside.is_admitted_without(simulation.observer.monitor, server.server_id):
        begin()
    else:
        simulation.scheduler.after(_LOOK_EVERY_S, _once_admitted, simulation, server, begin)


def _twin(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    """A second machine runs under a server's id, beside it; in the end it is gone for good."""
    content = fault.value % TAKES_ADDRESS
    server = simulation.servers[servers[0]]
    if content != EMPTY and server is simulation.leader():
        # Who leads cannot go on without those who now hear the other one.
        server = simulation.servers[simulation.ids[simulation.ids.index(server.server_id) - 1]]
    if not simulation.is_whole(server):
        return
    files, records = ({}, NOTHING) if content == EMPTY else (server.disk.copy(), server.backend.copy())

    def begin() -> None:
        if not simulation.is_healed and simulation.is_whole(server):
            twin = simulation.fleet.add_twin(server, _Aside(simulation))
            twin.replace_disk(files, records)
            _begin_twin(simulation, fault, server, twin)

    if content == EMPTY:
        _once_admitted(simulation, server, begin)
    else:
        simulation.scheduler.after(fault.seconds if content == OLD_COPY else 0.0, begin)


def _begin_twin(simulation: "Simulation", fault: Fault, server: Server, twin: Server) -> None:
    hosts, name = simulation.network.hosts, server.host.name
    # A new disk's word does not count, so it can be forgotten.
    exposure = Exposure(simulation, server, "not") if fault.value % TAKES_ADDRESS != EMPTY else None
    if exposure is not None:
        exposure.may_end = False
    if fault.value >= TAKES_ADDRESS:
        hosts[name] = twin.host
        simulation.strikes.hit("twin.took_the_address")
    twin.start()
    server.is_disk_intact = False  # what it says is not all that is said in its name

    def end() -> None:
        if exposure is not None:
            exposure.widen(server.durable)
            exposure.widen(twin.durable)
            exposure.may_end = True
        hosts[name] = server.host
        twin.kill(power=True)
        twin.is_held_back = True

    simulation.undo_after(fault.seconds, end)


class _Aside(Watcher):
    """Watches a twin: what it does is held against nothing, but it must not raise what it should not."""

    def __init__(self, simulation: "Simulation") -> None:
        self._simulation = simulation

    def started(self, server: Server) -> None:  # noqa: ARG002
        """See `Watcher.started`."""
        self._simulation.strikes.hit("twin.started")

    def iterated(self, server: Server, callbacks: int) -> None:
        """See `Watcher.iterated`."""
        self._simulation.callbacks += callbacks
        self._simulation.trace.iteration(self._simulation.scheduler.now, server.server_id, callbacks)

    def ended(self, server: Server, why: str) -> None:  # noqa: ARG002
        """See `Watcher.ended`."""
        self._simulation.strikes.hit(f"twin.{why}")

    def defect(self, server: Server, error: BaseException) -> None:
        """See `Watcher.defect`."""
        self._simulation.defect(server, error)


NOT_OWED: Final[dict[str, tuple[str, ...]]] = {
    "lie": ("monotone match_index",),
    "old_disk": ("monotone match_index",),
    "forget_last": ("monotone match_index",),
    "wipe": (),
    "twin": ("monotone match_index", "match_index is durable", "committed on a durable quorum"),
}
"""Properties that cannot hold: a leader takes back what it counted on; and nobody looks at the disk of a twin."""


def _when(draw: Draw) -> Drawn:
    return (draw.rng.randint(1, draw.servers),), draw.rng.choice((AT_ONCE, SUPERSEDED))


KINDS: Final[dict[str, Kind]] = {
    "lie": Kind(_lie, _when, most=1, modes=_MODES, values=(AT_ONCE, SUPERSEDED)),
    "old_disk": Kind(_old_disk, _when, most=1, modes=_MODES, values=(AT_ONCE, SUPERSEDED)),
    "forget_last": Kind(_forget_last, _when, most=1, modes=_MODES, values=(AT_ONCE, SUPERSEDED)),
    "wipe": Kind(_wipe, lambda draw: (draw.one(), SUPERSEDED), most=1, modes=_MODES),
    "twin": Kind(
        _twin,
        lambda draw: ((draw.rng.randint(1, draw.servers),), float(draw.rng.randrange(6))),
        most=1,
        modes=_MODES,
        values=(COPY, EMPTY + TAKES_ADDRESS),
    ),
}


def is_alone(fault: Fault) -> bool:
    """Whether a fault is of this family and leaves the others exposed, so that there may be no other beside it."""
    if fault.kind not in KINDS or fault.kind == "wipe":
        return False
    if fault.kind == "twin":
        return fault.value % TAKES_ADDRESS != EMPTY
    return fault.value == AT_ONCE
