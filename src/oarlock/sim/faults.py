"""Every fault by its name: what a schedule's item does to a cluster, and how it ends."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

import msgspec

from oarlock.raft.types import ServerId
from oarlock.sim.frames import FrameFaults
from oarlock.sim.network import Link
from oarlock.sim.process import Server
from oarlock.sim.schedule import Fault

if TYPE_CHECKING:
    from oarlock.sim.cluster import Simulation

Start = Callable[["Simulation", Fault, list[ServerId]], None]

_FRAME_KINDS: Final = ("drop", "duplicate", "replay", "reorder", "corrupt", "truncate")


def strike(simulation: "Simulation", fault: Fault) -> None:
    """Begin a fault; it ends by itself."""
    servers = [simulation.leader_or(server) if server == 0 else server for server in fault.servers]
    simulation.trace.event(
        simulation.scheduler.now, "fault", kind=fault.kind, servers=servers, seconds=fault.seconds, value=fault.value
    )
    KINDS[fault.kind](simulation, fault, servers)


# -- the network -------------------------------------------------------------------------------------------------------


def _cut(simulation: "Simulation", fault: Fault, pairs: Iterable[tuple[ServerId, ServerId]]) -> None:
    """Let nothing pass between pairs, one way each, for the fault's time."""
    links = simulation.network.links_of((simulation.host(a), simulation.host(b)) for a, b in pairs)
    _block(simulation, links, fault.seconds)
    if links:
        simulation.strikes.hit(f"partition.{fault.kind}")


def _block(simulation: "Simulation", links: list[Link], seconds: float) -> None:
    for link in links:
        link.block()

    def end() -> None:
        for link in links:
            link.unblock()

    simulation.undo_after(seconds, end)


def _across(one: Iterable[ServerId], other: Iterable[ServerId]) -> list[tuple[ServerId, ServerId]]:
    others = list(other)
    return [pair for a in one for b in others if a != b for pair in ((a, b), (b, a))]


def _isolate(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    _cut(simulation, fault, _across(servers, [other for other in simulation.ids if other not in servers]))


def _split3(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    """Three parts: the first server named, the second, and all others."""
    rest = [other for other in simulation.ids if other not in servers]
    parts = [servers[:1], servers[1:], rest]
    pairs = [pair for at, part in enumerate(parts) for other in parts[at + 1 :] for pair in _across(part, other)]
    _cut(simulation, fault, pairs)


def _one_way(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    """The first server named is heard by nobody; it hears all."""
    _cut(simulation, fault, [(servers[0], other) for other in simulation.ids if other != servers[0]])


def _deaf(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    """The first server named hears nobody; all hear it."""
    _cut(simulation, fault, [(other, servers[0]) for other in simulation.ids if other != servers[0]])


def _bridge(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    """Two halves that only the first server named can talk to."""
    rest = [other for other in simulation.ids if other != servers[0]]
    half = len(rest) // 2
    _cut(simulation, fault, _across(rest[:half], rest[half:]))


def _ring(simulation: "Simulation", fault: Fault, _servers: list[ServerId]) -> None:
    """Each server reaches only its neighbours: every one sees a majority, no two the same (of five)."""
    ids = simulation.ids
    count = len(ids)
    near = {1, count - 1}
    pairs = [(a, b) for at, a in enumerate(ids) for to, b in enumerate(ids) if a != b and (at - to) % count not in near]
    _cut(simulation, fault, pairs)


def _client_cut(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    hosts = [simulation.host(server) for server in servers]
    clients = [f"client{client}" for client in range(1, simulation.schedule.settings.clients + 1)]
    pairs = [pair for host in hosts for client in clients for pair in ((client, host), (host, client))]
    _block(simulation, simulation.network.links_of(pairs), fault.seconds)
    simulation.strikes.hit("partition.client")


def _links_between(simulation: "Simulation", servers: list[ServerId]) -> list[Link]:
    """One server: all its links; two: the one from the first to the second; none: all links."""
    ids = simulation.ids
    if len(servers) == 2 and servers[0] != servers[1]:
        pairs = [(servers[0], servers[1])]
    elif servers:
        pairs = _across(servers[:1], ids)
    else:
        pairs = [(a, b) for a in ids for b in ids]
    return simulation.network.links_of((simulation.host(a), simulation.host(b)) for a, b in pairs)


def _clog(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    links = _links_between(simulation, servers)
    for number, link in enumerate(links):
        # Swizzled: one after the other, so that they also open one after the other.
        link.clog(fault.seconds * (number + 1) / len(links))
        simulation.strikes.hit("link.clog")


def _slow(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    links = _links_between(simulation, servers)
    for link in links:
        link.slowness *= fault.value

    def end() -> None:
        for link in links:
            link.slowness /= fault.value

    simulation.undo_after(fault.seconds, end)


def _narrow(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    links = _links_between(simulation, servers)
    for link in links:
        link.narrowings.append(fault.value)

    def end() -> None:
        for link in links:
            link.narrowings.remove(fault.value)

    simulation.undo_after(fault.seconds, end)


def _reset(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    for server in simulation.ids:
        if server != servers[0]:
            simulation.network.reset(
                simulation.host(servers[0]), simulation.host(server), midframe=fault.kind == "reset_midframe"
            )


def _half_open(simulation: "Simulation", _fault: Fault, servers: list[ServerId]) -> None:
    for server in simulation.ids:
        if server != servers[0]:
            simulation.network.half_open(simulation.host(servers[0]), simulation.host(server))


def _frames(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    """Faults of frames: the second word of the kind says which, the value how likely."""
    faults = msgspec.structs.replace(FrameFaults(), **{fault.kind.removeprefix("frame_"): fault.value})
    _filter(simulation, faults, _links_between(simulation, servers), fault.seconds)


def _drop_kind(simulation: "Simulation", fault: Fault, servers: list[ServerId]) -> None:
    """Lose every message of one kind: the fault's value is its tag."""
    faults = FrameFaults(drop=1.0, kinds=(int(fault.value),))
    _filter(simulation, faults, _links_between(simulation, servers), fault.seconds)


def _filter(simulation: "Simulation", faults: FrameFaults, links: list[Link], seconds: float) -> None:
    for link in links:
        link.filter.active.append(faults)

    def end() -> None:
        for link in links:
            link.filter.active.remove(faults)

    simulation.undo_after(seconds, end)


# -- processes ---------------------------------------------------------------------------------------------------------


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


# -- disks -------------------------------------------------------------------------------------------------------------


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


# -- clocks ------------------------------------------------------------------------------------------------------------


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


BREAK_ASSUMPTIONS: Final = ("lie", "wipe", "old_disk")
"""Faults that Raft does not claim to survive: what is asked is that their harm stays with the server concerned, in a
cluster that is otherwise well. No seed draws them."""

KINDS: Final[dict[str, Start]] = {
    "isolate": _isolate,
    "split": _isolate,
    "split3": _split3,
    "one_way": _one_way,
    "deaf": _deaf,
    "bridge": _bridge,
    "ring": _ring,
    "client_cut": _client_cut,
    "clog": _clog,
    "slow": _slow,
    "narrow": _narrow,
    "reset": _reset,
    "reset_midframe": _reset,
    "half_open": _half_open,
    **{f"frame_{name}": _frames for name in _FRAME_KINDS},
    "drop_kind": _drop_kind,
    "kill": _crash,
    "power": _crash,
    "step_crash": _step_crash,
    "restart": _restart,
    "crash_loop": _crash_loop,
    "pause": _pause,
    "busy": _busy,
    "eio_write": _disk_errors,
    "eio_sync": _disk_errors,
    "eio_read": _disk_errors,
    "full": _disk_full,
    "stall": _stall,
    "rot": _rot,
    "lose_forever": _lose_forever,
    "lie": _lie,
    "wipe": _wipe,
    "old_disk": _old_disk,
    "drift": _drift,
    "jump": _jump,
}
"""What each kind of fault does."""
